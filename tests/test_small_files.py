"""Many small files are made into documents together, and come out as if each had been read by itself."""

import json
import random

import polars as pl
import pytest

from curator.documents import Reject, gather, read, records


def some_lines(draw):
    """Lines of a small JSONL file of one of two kinds, some of them bad."""
    lines, kind = [], draw.random() < 0.8
    for _ in range(draw.randrange(0, 7)):
        row = {
            "text": draw.choice(["", "  ", None, f"a text {draw.random()}"]),
            "id": draw.choice([None, "", "a", "b"]),
        }
        row["id"] = row["id"] and row["id"] + str(draw.randrange(30))
        row |= {"sure": draw.choice([True, False, None])} if kind else {"size": draw.randrange(9), "label": "x"}
        lines.append(json.dumps(row) if draw.random() < 0.9 else "{bad")
    return lines


def by_hand(folder):
    """Ids, texts and rows of the documents, and the rejects with line and reason, file by file."""
    documents, rejects, seen, row = [], [], {}, -1
    for path in sorted(folder.iterdir()):
        for line, raw in enumerate(path.read_text().splitlines(), 1):
            row += 1
            if raw == "{bad":
                rejects.append((str(path), line, "malformed JSON: "))
                continue
            values = json.loads(raw)
            name = values["id"] or f"{path.name}:{line}"
            if values["text"] is None or not values["text"].strip():
                rejects.append((str(path), line, "no text" if values["text"] is None else "empty text"))
            elif name in seen:
                rejects.append((str(path), line, f"duplicate id '{name}', first at {seen[name]}"))
            else:
                seen[name] = f"{path}:{line}"
                documents.append((name, values["text"], row, str(path), line))
    return documents, rejects


@pytest.fixture
def folder(tmp_path):
    draw = random.Random(1)
    for number in range(400):
        (tmp_path / f"{number:03}.jsonl").write_text("".join(line + "\n" for line in some_lines(draw)))
    return tmp_path


def test_documents_and_rejects_are_those_of_each_file(folder):
    batches = list(read(folder, corpus="c"))
    documents, rejects = by_hand(folder)
    assert len(batches) < 400
    places = [
        (piece.file, line) for batch in batches for piece in batch.pieces for line in piece.line_numbers().tolist()
    ]
    rows = [row for batch in batches for row in batch.frame.select("id", "text", "_row").iter_rows()]
    assert [(*row, *place) for row, place in zip(rows, places, strict=True)] == documents
    found = [reject for batch in batches for reject in batch.rejects]
    assert [reject[:2] for reject in found] == [reject[:2] for reject in rejects]
    assert all(reject.reason.startswith(words) for reject, (_, _, words) in zip(found, rejects, strict=True))
    repeated = {file for file, _, reason in rejects if reason.startswith("duplicate")}
    assert {piece.file for batch in batches for piece in batch.pieces if piece.duplicates} == repeated


@pytest.mark.parametrize("size", [300, 1_000, 3_000, 1 << 26])
def test_batches_end_where_they_would_if_each_file_came_alone(folder, monkeypatch, size):
    """Also where a batch is full, which is a matter of bytes: a part of a frame must not count for more than itself."""
    monkeypatch.setattr(records, "BYTES", size)
    together = list(read(folder, corpus="c"))
    monkeypatch.setattr(gather, "RAW", 0)
    alone = list(read(folder, corpus="c"))
    assert len(alone) > (20 if size < 1 << 20 else 5)
    assert [batch.pieces for batch in together] == [batch.pieces for batch in alone]
    for one, other in zip(together, alone, strict=True):
        assert one.frame.equals(other.frame)
        assert one.frame.schema == other.frame.schema
        assert (one.rejects, one.is_closed, one.following) == (other.rejects, other.is_closed, other.following)


def test_few_files_are_made_into_documents_by_themselves(folder, monkeypatch):
    sizes = []

    def shape(raws, to):
        sizes.append(len(raws))
        return shaped(raws, to)

    shaped = gather.shape
    monkeypatch.setattr(gather, "shape", shape)
    list(read(folder, corpus="c"))
    assert sum(sizes) == 400
    assert len(sizes) < 250  # of two kinds that alternate, at random


def test_rejects_as_a_table():
    rejects = [Reject("a", 3, "no text"), Reject("b", None, "gone", "é")]
    table = records.reject_table(rejects)
    assert table.schema == pl.Schema({"file": pl.String, "line": pl.Int64, "reason": pl.String, "excerpt": pl.String})
    assert table.rows() == [("a", 3, "no text", ""), ("b", None, "gone", "é")]
    assert records.reject_table([]).schema == table.schema
