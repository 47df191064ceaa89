"""Reading documents. The oracles are the standard library and the libraries that wrote the files."""

import csv
import gzip
import io
import json
import random
import string
import sys
import types
from decimal import Decimal
from pathlib import Path

import hypothesis.strategies as st
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings

from curator.documents import RESERVED, Columns, Reject, files, lines, normalise, read, records
from curator.documents.shape import Holders
from curator.documents.values import strings
from curator.errors import DataError, MissingExtraError, UsageError

FIELDS = ["id", "text", "label", "source", "split"]


def everything(origin, **settings):
    """All documents and rejects of an origin, and what was renamed."""
    batches = list(read(origin, corpus=settings.pop("corpus", "c"), **settings))
    for batch in batches:
        assert batch.frame.columns[:5] == FIELDS
        assert batch.frame.columns[-1] == "_row"
        assert batch.frame.schema["_row"] == pl.Int64
        assert [batch.frame.schema[name] for name in FIELDS] == [pl.String] * 5
        assert not RESERVED & set(batch.frame.columns)
    frame = pl.concat([b.frame for b in batches], how="diagonal_relaxed") if batches else pl.DataFrame()
    return frame, [r for b in batches for r in b.rejects], {n for b in batches for n in b.renamed}


def write(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def jsonl(path: Path, *rows) -> Path:
    return write(path, "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))


def zst(content: bytes) -> bytes:
    return pa.Codec("zstd").compress(content, asbytes=True)


# --- what comes back is what was written


texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12).filter(str.strip)
rows = st.lists(st.tuples(texts, st.none() | texts), min_size=1, max_size=8)


@pytest.mark.parametrize("kind", ["parquet", "csv", "tsv", "jsonl"])
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=rows)
def test_round_trip(kind, rows, tmp_path):
    frame = pl.DataFrame(
        {
            "id": [f"n{i}" for i in range(len(rows))],
            "text": [text for text, _ in rows],
            "label": pl.Series([label for _, label in rows], dtype=pl.String),
        }
    )
    path = tmp_path / f"x.{kind}"
    match kind:
        case "parquet":
            frame.write_parquet(path)
        case "jsonl":
            frame.write_ndjson(path)
        case _:
            frame.write_csv(path, separator="\t" if kind == "tsv" else ",", quote_style="non_numeric")
    found, rejects, _ = everything(path)
    assert rejects == []
    assert found.select("id", "text", "label").equals(frame)
    assert found["_row"].to_list() == list(range(len(rows)))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(texts, texts), min_size=1, max_size=6), end=st.sampled_from(["\n", "\r\n"]))
def test_csv_of_the_standard_library(rows, end, tmp_path):
    out = io.StringIO(newline="")
    quoting = (
        csv.QUOTE_ALL if end == "\n" else csv.QUOTE_MINIMAL
    )  # by itself it quotes "\r" only if the line ends in it
    writer = csv.writer(out, lineterminator=end, quoting=quoting)
    writer.writerows([("text", "other"), *rows])
    found, rejects, _ = everything(write(tmp_path / "x.csv", out.getvalue()))
    assert rejects == []
    assert found.select("text", "other").rows() == rows


def test_default_columns_ids_and_places(tmp_path):
    jsonl(tmp_path / "a.jsonl", {"text": "one"}, "", {"text": "two", "source": "web", "split": "dev"})
    pl.DataFrame({"text": ["three", "four"]}).write_parquet(tmp_path / "b.parquet")
    write(tmp_path / "c.csv", 'text,label\n"five\nlines",x\nsix,\n')
    found, rejects, _ = everything(tmp_path, corpus="mine")
    assert rejects == []
    assert found["id"].to_list() == ["a.jsonl:1", "a.jsonl:3", "b.parquet:1", "b.parquet:2", "c.csv:2", "c.csv:4"]
    assert found["text"].to_list() == ["one", "two", "three", "four", "five\nlines", "six"]
    assert found["source"].to_list() == ["mine", "web", "mine", "mine", "mine", "mine"]
    assert found["split"].to_list() == [None, "dev", None, None, None, None]
    assert found["label"].to_list() == [None] * 4 + ["x", None]
    assert found["_row"].to_list() == [0, 1, 2, 3, 4, 5]


def test_columns_by_name(tmp_path):
    path = jsonl(tmp_path / "a.jsonl", {"body": "one", "stars": 5, "key": 7, "text": "not this", "extra": 1.5})
    found, rejects, renamed = everything(path, columns=Columns(id="key", text="body", label="stars"))
    assert rejects == []
    assert found.rows(named=True) == [
        {
            "id": "7",
            "text": "one",
            "label": "5",
            "source": "c",
            "split": None,
            "text_": "not this",
            "extra": 1.5,
            "_row": 0,
        }
    ]
    assert renamed == {"text"}


def test_reserved_names_are_renamed_and_told(tmp_path):
    names = sorted(RESERVED)
    assert {"corpus", "embedding", "score", "rank", "keep", "weight", "rule", "reason", "threshold"} < RESERVED
    path = jsonl(
        tmp_path / "a.jsonl", {"text": "x", **dict.fromkeys(names, 1), "score_": 2, "TEXT": 3, "": 4, "_row": 9}
    )
    found, _, renamed = everything(path)
    assert found["score_"].to_list() == [2]  # a name that is free stays with its column
    assert found["score__"].to_list() == [1]
    assert found["rank_"].to_list() == [1]
    assert found["TEXT_"].to_list() == [3]
    assert found["unnamed"].to_list() == [4]
    assert found["_row_"].to_list() == [9]
    assert renamed == {*names, "TEXT", "", "_row"}


def test_a_renamed_column_keeps_its_name_in_later_batches(tmp_path):
    jsonl(tmp_path / "a.jsonl", {"text": "x", "score": 1})
    jsonl(tmp_path / "b.jsonl", {"text": "y", "score": 2, "score_": 3})
    found, _, _ = everything(tmp_path)
    assert found["score_"].to_list() == [1, 2]


def test_types_of_ids_labels_and_texts():
    cases = {
        "int": (pl.Series([1, 2]), ["1", "2"]),
        "whole floats": (pl.Series([1.0, -0.0]), ["1", "0"]),
        "floats": (pl.Series([1.5, float("nan")]), ["1.5", None]),
        "float32": (pl.Series([0.1, 3], dtype=pl.Float32), ["0.1", "3"]),
        "huge": (pl.Series([1e300]), ["1e+300"]),
        "bool": (pl.Series([True, False]), ["true", "false"]),
        "category": (pl.Series(["a", "b"], dtype=pl.Categorical), ["a", "b"]),
        "bytes": (pl.Series([b"a", b"\xff", None]), ["a", None, None]),
        "null": (pl.Series([None]), [None]),
        "list": (pl.Series([[1]]), [None]),
    }
    for name, (series, expected) in cases.items():
        assert strings(series).to_list() == expected, name
    frame = pl.DataFrame({"id": [1.0, 2.0], "text": [10, 11], "label": [True, None]})
    assert everything(frame)[0].select("id", "text", "label").rows() == [("1", "10", "true"), ("2", "11", None)]


def test_json_values_of_mixed_types(tmp_path):
    path = jsonl(
        tmp_path / "a.jsonl",
        {"text": 1, "id": 1, "label": 2.0, "mixed": 1, "part": {"a": 1}, "big": 2**70, "void": {}, "some": [1]},
        {"text": True, "id": "b", "label": "x", "mixed": "y", "part": {"b": [2]}, "big": 1, "void": {}, "some": ["z"]},
        {"text": "t", "id": 2.5, "label": False, "mixed": None, "other": 3},
    )
    found, rejects, _ = everything(path)
    assert rejects == []
    assert found.select("id", "text", "label").rows() == [("1", "1", "2"), ("b", "true", "x"), ("2.5", "t", "false")]
    assert found["mixed"].to_list() == ["1", "y", None]
    assert found["part"].to_list() == [{"a": 1, "b": None}, {"a": None, "b": [2]}, None]
    assert found["big"].to_list() == [str(2**70), "1", None]
    assert found["void"].to_list() == ["{}", "{}", None]  # Parquet cannot hold a struct without fields
    assert found["some"].to_list() == ["[1]", '["z"]', None]
    assert found["other"].to_list() == [None, None, 3]


# --- what is no document


def test_json_rejects(tmp_path):
    path = write(
        tmp_path / "a.jsonl",
        b"\xef\xbb\xbf"
        + b"\n".join(
            [
                b'{"text": "good", "id": "g"}',
                b'{"text": "cut',
                b'["text"]',
                b'{"text": "\xff"}',
                b'{"text": "\\uD83D alone"}',
                b'{"text": "\\ud83d\\ude00 pair"}',
                b'{"text": "x", "other": {"\\ud800": 1}}',
                b'{"text": ""}',
                b'{"text": " \\n\\u2003 "}',
                b'{"text": null}',
                b'{"other": 1}',
                b'{"text": ["x"]}',
                b'{"text": "x", "label": {"a": 1}}',
                b'{"text": "again", "id": "g"}',
                b"",
                b'{"text": ' + b"[" * 100_000 + b"}",
                b'{"text": ' + b"1" * 5_000 + b"}",
                b'{"text": "last"}',
            ]
        ),
    )
    found, rejects, _ = everything(path)
    assert found["text"].to_list() == ["good", "😀 pair", "last"]
    assert found["_row"].to_list() == [0, 5, 16]  # the blank line is none
    assert found["id"].to_list() == ["g", "a.jsonl:6", "a.jsonl:18"]
    assert {r.file for r in rejects} == {str(path)}
    reasons = {r.line: r.reason for r in rejects}
    assert sorted(reasons) == [2, 3, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 16, 17]
    assert reasons[2].startswith("malformed JSON: Unterminated string")
    assert reasons[3] == "not a JSON object but a list"
    assert reasons[4] == "bad UTF-8 at byte 11 of the line"
    assert reasons[5] == "a lone surrogate \\ud83d, which is no character"
    assert "surrogate" in reasons[7]
    assert reasons[8] == reasons[9] == "empty text"
    assert reasons[10] == reasons[11] == "no text"
    assert reasons[12] == "text is a list, not a single value"
    assert reasons[13] == "label is an object, not a single value"
    assert reasons[14] == f"duplicate id 'g', first at {path}:1"
    assert rejects[0].excerpt == '{"text": "cut'


def test_csv_rejects(tmp_path):
    path = write(
        tmp_path / "a.csv",
        b"\xef\xbb\xbfid,text,label\r\n"
        b'1,"a ""quoted""\r\ntext, with comma",x\r\n'  # lines 2 and 3
        b"2,too,many,fields\r\n"
        b"3,few\r\n"
        b"\r\n"
        b"4,\xff,x\r\n"
        b'5,"two\r\nlines \xff",x\r\n'  # 8 and 9
        b'6,"closed" early,x\r\n'
        b"1,again,x\r\n"
        b"7,,x\r\n"
        b'8,in "the" middle,x\r\n'
        b'9,"never closed,x\r\n'
        b"10,still,read\r\n",
    )
    found, rejects, _ = everything(path)
    assert found.select("id", "text", "label").rows() == [
        ("1", 'a "quoted"\r\ntext, with comma', "x"),
        ("8", 'in "the" middle', "x"),
        ("10", "still", "read"),
    ]
    reasons = {r.line: r.reason for r in rejects}
    assert reasons == {
        4: "4 fields where the header has 3",
        5: "2 fields where the header has 3",
        7: "bad UTF-8 at byte 3 of the record",
        8: "bad UTF-8 at byte 15 of the record",
        10: "malformed CSV: text after a closing quote; a quote inside a quoted field is written twice",
        11: f"duplicate id '1', first at {path}:2",
        12: "empty text",
        14: "malformed CSV: a quote is opened and never closed",
    }
    assert found["_row"].to_list() == [0, 8, 10]


def test_csv_headers(tmp_path):
    twice = write(tmp_path / "a.csv", "text,text,n\na,b,c\n")
    found, _, renamed = everything(twice)
    assert found.select("text", "text_", "n").rows() == [("a", "b", "c")]
    assert "text" in renamed
    for content in (b"", b"te\xff,a\nb,c\n", b'"text\n'):
        found, rejects, _ = everything(write(tmp_path / "b.csv", content))
        assert found.is_empty()
        assert [(r.file, r.line) for r in rejects] == [(str(tmp_path / "b.csv"), 1)]
        assert rejects[0].reason.startswith("no header line")
    found, rejects, _ = everything(write(tmp_path / "one.csv", "text\na\n\nb\n"))
    assert found["text"].to_list() == ["a", "b"]
    assert [(r.line, r.reason) for r in rejects] == [(3, "empty text")]
    assert found["_row"].to_list() == [0, 2]


def test_a_stray_quote_far_from_the_next_costs_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(lines, "RECORD", 1_000)
    body = ["text,n", '"stray,0', *(f"line {i},{i}" for i in range(1, 500)), '"closed",500']
    found, rejects, _ = everything(write(tmp_path / "a.csv", "\n".join(body)))
    assert [(r.line, "never closed" in r.reason) for r in rejects] == [(2, True)]
    assert found["n"].to_list() == [str(i) for i in range(1, 501)]


def test_thousands_of_bad_csv_lines_do_not_pile_up(tmp_path):
    body = "text,n\n" + 'x,"a\n' * 20_001
    found, rejects, _ = everything(write(tmp_path / "a.csv", body))
    assert found.is_empty()
    assert len(rejects) == 20_001


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_a_line_of_many_megabytes(kind, tmp_path):
    long = "word " * 20_000_000  # 100 MB
    if kind == "jsonl":
        path = write(tmp_path / "a.jsonl", '{"text": "a"}\n{"text": "' + long + '"}\n{"text": "b"}\n')
    else:
        path = write(tmp_path / "a.csv", f'text\na\n"{long}"\nb\n')
    batches = list(read(path, corpus="c"))
    assert [len(text) for batch in batches for text in batch.frame["text"]] == [1, len(long), 1]
    assert len(batches) == 2  # a batch is full by bytes too


# --- compression and damage


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
@pytest.mark.parametrize("kind", ["jsonl", "ndjson", "csv", "tsv"])
def test_compressed(kind, suffix, tmp_path):
    mark = {"csv": ",", "tsv": "\t"}.get(kind)
    content = f"text{mark}n\na{mark}1\nb{mark}2\n" if mark else '{"text":"a","n":"1"}\n{"text":"b","n":"2"}\n'
    packed = gzip.compress(content.encode()) if suffix == ".gz" else zst(content.encode())
    found, rejects, _ = everything(write(tmp_path / f"x.{kind}{suffix}", packed))
    assert rejects == []
    assert found.select("text", "n").rows() == [("a", "1"), ("b", "2")]


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_truncated(kind, suffix, tmp_path):
    draw = random.Random(0)
    texts = ["".join(draw.choices(string.ascii_letters, k=40)) for _ in range(30_000)]
    body = [json.dumps({"text": t}) if kind == "jsonl" else t for t in texts]
    content = ("\n".join(body if kind == "jsonl" else ["text", *body]) + "\n").encode()
    packed = gzip.compress(content, 1) if suffix == ".gz" else zst(content)
    path = write(tmp_path / f"x.{kind}{suffix}", packed[: len(packed) * 2 // 3])
    found, rejects, _ = everything(path)
    assert 0.5 * len(texts) < len(found) < 0.75 * len(texts)
    assert found["text"].to_list() == texts[: len(found)]
    [reject] = rejects
    assert reject.file == str(path)
    assert reject.line == len(found) + (1 if kind == "jsonl" else 2)
    assert "cannot be read from here on: Truncated" in reject.reason


def test_a_truncated_stream_loses_no_whole_line(tmp_path):
    """Python's zlib says how much a cut file holds."""
    import zlib

    content = b"".join(b'{"text": "%d"}\n' % i for i in range(200_000))
    packed = gzip.compress(content)[:-5_000]
    whole = zlib.decompressobj(wbits=31).decompress(packed).count(b"\n")
    found, _, _ = everything(write(tmp_path / "x.jsonl.gz", packed))
    assert len(found) == whole


def test_what_is_not_compressed_at_all(tmp_path):
    found, rejects, _ = everything(write(tmp_path / "x.jsonl.gz", b'{"text": "a"}\n'))
    assert found.is_empty()
    assert [r.line for r in rejects] == [1]
    found, rejects, _ = everything(write(tmp_path / "x.csv.gz", b"text\na\n"))
    assert found.is_empty()
    assert [r.line for r in rejects] == [1]


def test_corrupt_parquet(tmp_path):
    pl.DataFrame({"text": ["good"]}).write_parquet(tmp_path / "z.parquet")
    write(tmp_path / "a.parquet", b"PAR1 nothing of the kind")
    found, rejects, _ = everything(tmp_path)
    assert found["text"].to_list() == ["good"]
    [reject] = rejects
    assert reject.file == str(tmp_path / "a.parquet")
    assert "the file cannot be read as Parquet" in reject.reason


def test_parquet_damaged_in_the_middle_keeps_its_start_and_its_row_numbers(tmp_path, monkeypatch):
    path = tmp_path / "a.parquet"
    texts = [f"text number {i}" for i in range(40_000)]
    pq.write_table(pa.table({"text": texts}), path, row_group_size=10_000, compression="zstd", use_dictionary=False)
    column = pq.ParquetFile(path).metadata.row_group(2).column(0)
    damaged = bytearray(path.read_bytes())
    start = column.data_page_offset
    damaged[start : start + column.total_compressed_size] = bytes(column.total_compressed_size)
    write(path, bytes(damaged))
    pl.DataFrame({"text": ["next"]}).write_parquet(tmp_path / "b.parquet")
    for module in ("tables", "records"):
        monkeypatch.setattr(f"curator.documents.{module}.ROWS", 10_000)
    found, rejects, _ = everything(tmp_path)
    assert found["text"].to_list() == [*texts[:20_000], "next"]
    assert found["_row"].to_list() == [*range(20_000), 40_000]
    [reject] = rejects
    assert reject.line == 20_001
    assert "the last 20,000 of 40,000 rows" in reject.reason


# --- columns that are not there


def test_no_file_has_the_column(tmp_path):
    jsonl(tmp_path / "a.jsonl", {"body": "x", "stars": 1})
    write(tmp_path / "b.csv", "title,n\nx,1\n")
    for columns, message in [
        (Columns(), r"no column 'text'; there are: body, stars, title, n\..*holds the text, for example text = 'body'"),
        (Columns(text="body", label="sentiment"), "no column 'sentiment'.*holds the label"),
        (Columns(text="body", id="key"), "no column 'key'.*holds the id"),
    ]:
        with pytest.raises(DataError, match=message):
            read(tmp_path, corpus="c", columns=columns)


def test_some_files_lack_the_text(tmp_path):
    jsonl(tmp_path / "a.jsonl", *({"body": i} for i in range(1_234)))
    jsonl(tmp_path / "b.jsonl", {"text": "x"})
    write(tmp_path / "c.csv", "title\nx\ny,z\n")
    found, rejects, _ = everything(tmp_path)
    assert found.select("text", "_row").rows() == [("x", 1_234)]
    assert Reject(str(tmp_path / "a.jsonl"), None, 'no column "text"; 1,234 rows') in rejects
    assert Reject(str(tmp_path / "c.csv"), None, 'no column "text"; 1 rows') in rejects
    assert len(rejects) == 3


def test_some_files_lack_the_label_or_the_id(tmp_path):
    jsonl(tmp_path / "a.jsonl", {"text": "x"})
    jsonl(tmp_path / "b.jsonl", {"text": "y", "stars": 3, "key": "k"})
    found, rejects, _ = everything(tmp_path, columns=Columns(id="key", label="stars"))
    assert rejects == []
    assert found.select("id", "label").rows() == [("a.jsonl:1", None), ("k", "3")]


def test_a_column_that_only_a_late_row_has(tmp_path):
    path = jsonl(tmp_path / "a.jsonl", *({"n": i} for i in range(70_000)), {"text": "late"})
    found, rejects, _ = everything(path)
    assert found.select("text", "_row").rows() == [("late", 70_000)]
    missing = sum(int(r.reason.split("; ")[1].split()[0].replace(",", "")) if ";" in r.reason else 1 for r in rejects)
    assert missing == 70_000


def test_too_many_keys(tmp_path):
    path = jsonl(tmp_path / "a.jsonl", *({"text": "x", f"key{i}": i} for i in range(1_200)))
    with pytest.raises(DataError, match="1,201 different keys within 1,200 lines"):
        list(read(path, corpus="c"))


# --- places


def test_files(tmp_path):
    for name in ("b/x.csv", "a.jsonl", "b/c/y.csv.gz", ".hidden/z.csv", "b/notes.md", "we[1]ird.csv", "b/.z.csv"):
        write(tmp_path / name, "text\n")
    names = lambda *origin: [f.relative_to(tmp_path).as_posix() for f in files(list(origin), tmp_path)]  # noqa: E731
    assert names(".") == ["a.jsonl", "b/c/y.csv.gz", "b/x.csv", "we[1]ird.csv"]
    assert names("**/*.csv") == ["b/x.csv", "we[1]ird.csv"]
    assert names("b/*.csv", "a.jsonl", "b/x.csv") == ["b/x.csv", "a.jsonl"]
    assert names("we[1]ird.csv") == ["we[1]ird.csv"]
    assert names("b/**/*.gz") == ["b/c/y.csv.gz"]
    assert files(tmp_path / "a.jsonl", Path("/")) == [tmp_path / "a.jsonl"]
    assert files(str(tmp_path / "*.jsonl"), Path("/")) == [tmp_path / "a.jsonl"]
    assert files(pl.DataFrame(), tmp_path) == []
    assert files("hf://owner/name", tmp_path) == []
    with pytest.raises(DataError, match=r"nothing matches 'no/\*\.csv' in .*" + tmp_path.name):
        files("no/*.csv", tmp_path)
    with pytest.raises(DataError, match=r"notes\.md: the format \.md is not known; known are \.parquet"):
        files("b/notes.md", tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no file that can be read"):
        files("empty", tmp_path)


def test_relative_to_the_current_directory(tmp_path, monkeypatch):
    jsonl(tmp_path / "a.jsonl", {"text": "x"})
    monkeypatch.chdir(tmp_path)
    assert everything("*.jsonl")[0]["id"].to_list() == ["a.jsonl:1"]


def test_links_in_circles_end(tmp_path):
    jsonl(tmp_path / "d" / "a.jsonl", {"text": "x"})
    (tmp_path / "d" / "loop").symlink_to(tmp_path / "d")
    assert len(files(tmp_path)) == 1


def test_files_of_one_name_do_not_share_ids(tmp_path):
    jsonl(tmp_path / "a" / "x.jsonl", {"text": "1"})
    jsonl(tmp_path / "b" / "x.jsonl", {"text": "2"})
    jsonl(tmp_path / "b" / "y.jsonl", {"text": "3"})
    found, rejects, _ = everything(["**/*.jsonl", "a/x.jsonl", tmp_path / "b"], base=tmp_path)
    assert rejects == []
    assert found["id"].to_list() == ["a/x.jsonl:1", "b/x.jsonl:1", "y.jsonl:1"]


def test_text_files(tmp_path):
    write(tmp_path / "d/one.txt", "first\nfile")
    write(tmp_path / "d/sub/two.txt", b"\xef\xbb\xbfsecond")
    write(tmp_path / "d/bad.txt", b"\xff")
    write(tmp_path / "d/blank.txt", b" \n")
    found, rejects, _ = everything(tmp_path / "d", columns=Columns(text="body"))
    assert found.select("id", "text").rows() == [("one.txt", "first\nfile"), ("sub/two.txt", "second")]
    assert [(Path(r.file).name, r.line, r.reason) for r in rejects] == [
        ("bad.txt", None, "bad UTF-8 at byte 1"),
        ("blank.txt", None, "empty text"),
    ]
    assert found["_row"].to_list() == [2, 3]
    assert everything(tmp_path / "d/one.txt")[0]["id"].to_list() == ["one.txt"]


# --- frames


def frames():
    plain = {"id": ["a", "b", "a", "d"], "text": ["one", None, "three", "four"], "n": [1, 2, 3, 4]}
    return {"polars": lambda: pl.DataFrame(plain), "arrow": lambda: pa.table(plain), "pandas": lambda: pandas(plain)}


def pandas(columns, **settings):
    return pytest.importorskip("pandas").DataFrame(columns, **settings)


@pytest.mark.parametrize("kind", ["polars", "arrow", "pandas"])
def test_frames(kind):
    found, rejects, _ = everything(frames()[kind](), corpus="mine")
    assert found.rows() == [("a", "one", None, "mine", None, 1, 0), ("d", "four", None, "mine", None, 4, 3)]
    assert rejects == [
        Reject("mine", 2, "no text"),
        Reject("mine", 3, "duplicate id 'a', first at mine:1", "three"),
    ]
    found, _, _ = everything(
        frames()[kind]().__class__({"text": ["x"]}) if kind != "arrow" else pa.table({"text": ["x"]})
    )
    assert found["id"].to_list() == ["c:1"]


def test_pandas_columns_that_arrow_cannot_hold():
    frame = pandas(
        {
            "text": ["x", 5, float("nan"), "\ud800", "ok", ["no"]],
            "label": [1.0, float("nan"), 2.0, 1.0, 1.0, 1.0],
            7: [1, "a", None, b"c", True, {"d": 1}],
        }
    )
    found, rejects, _ = everything(frame)
    assert found.select("text", "label", "7", "_row").rows() == [
        ("x", "1", "1", 0),
        ("5", None, "a", 1),
        ("ok", "1", "true", 4),
    ]
    assert {r.line: r.reason for r in rejects} == {
        3: "no text",
        4: "a lone surrogate, which is no character",
        6: "text is a list, not a single value",
    }


def test_pandas_index():
    named = pandas({"text": ["x", "y"]}, index=pytest.importorskip("pandas").Index([4, 5], name="id"))
    assert everything(named)[0]["id"].to_list() == ["4", "5"]
    nameless = pandas({"text": ["x", "y"]}).iloc[1:]
    assert everything(nameless)[0].columns == [*FIELDS, "_row"]


def test_arrow_types(tmp_path):
    bad = pa.StringArray.from_buffers(3, pa.array([0, 2, 3, 4], pa.int32()).buffers()[1], pa.py_buffer(b"a\xffbc"))
    table = pa.table(
        {
            "text": bad,
            "label": pa.array(["x", "y", "x"]).dictionary_encode(),
            "bytes": pa.array([b"\xff", b"", None]),
            "when": pa.array([1, 2, 3], pa.timestamp("s")),
            "wide": pa.array([1, 2, 3]).cast(pa.decimal256(40, 2)),
            "maybe": pa.array(["x", "x", "y"]).dictionary_encode(),
            "nested": pa.array([[{"a": 1}], [], None]),
            "score": pa.nulls(3),
            "runs": pa.RunEndEncodedArray.from_arrays([3], ["r"]),
        }
    )
    found, rejects, renamed = everything(table)
    assert found["text"].to_list() == ["b", "c"]
    assert found["label"].to_list() == ["y", "x"]
    assert found["wide"].to_list() == [Decimal("2.00"), Decimal("3.00")]
    assert found["maybe"].to_list() == ["x", "y"]
    assert found["nested"].to_list() == [[], None]
    assert found["runs"].to_list() == ["r", "r"]
    assert [(r.line, r.reason) for r in rejects] == [(1, "bad UTF-8 in the text")]
    assert renamed == {"score"}
    found.write_parquet(tmp_path / "x.parquet")


def test_a_nested_text_column():
    found, rejects, _ = everything(pl.DataFrame({"text": [["a"], None]}))
    assert found.is_empty()
    assert [r.reason for r in rejects] == ["text is a list, not a single value", "no text"]
    assert (
        everything(pl.DataFrame({"text": [object(), "x"]}, schema={"text": pl.Object}))[0]["text"].to_list()[1] == "x"
    )


def test_what_is_no_origin():
    for origin in (5, pl.LazyFrame(), [], None, {"text": ["a"]}):
        with pytest.raises(UsageError, match="cannot read documents from"):
            read(origin, corpus="c")
    with pytest.raises(UsageError, match="must consist of paths, not of int"):
        read([5], corpus="c")


# --- many rows


def test_batches_are_bounded_and_ids_unique_across_them(tmp_path):
    ids = [i % 150_000 for i in range(200_000)]
    pl.DataFrame({"id": ids, "text": ["x"] * len(ids)}).write_parquet(tmp_path / "a.parquet")
    batches = list(read(tmp_path / "a.parquet", corpus="c"))
    assert max(len(batch.frame) + len(batch.rejects) for batch in batches) <= 65_536
    found = pl.concat([batch.frame for batch in batches])
    assert found["id"].to_list() == [str(i) for i in range(150_000)]
    rejects = [r for batch in batches for r in batch.rejects]
    assert [r.line for r in rejects] == list(range(150_001, 200_001))
    assert rejects[7].reason == f"duplicate id '7', first at {tmp_path / 'a.parquet'}:8"


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(st.integers(0, 30), max_size=12), max_size=8))
def test_holders_of_ids(batches):
    holders, first = Holders(), {}
    for number, ids in enumerate(batches):
        names = pl.Series([f"n{i}" for i in ids], dtype=pl.String)
        expected = {}
        for row, name in enumerate(names):
            if name in first:
                expected[row] = first[name]
            first.setdefault(name, f"file{number}:{row + 1}")
        lines = pl.int_range(1, len(ids) + 1, eager=True)
        assert holders.claim(names, holders.places(f"file{number}", lines)) == expected
    assert sum(len(hashes) for hashes, _ in holders._runs) == len(first)  # an id is kept once


# --- Hugging Face


def hub_datasets():
    datasets = pytest.importorskip("datasets")
    features = datasets.Features(
        text=datasets.Value("string"), label=datasets.ClassLabel(names=["no", "yes"]), split=datasets.Value("int64")
    )
    rows = {"text": ["a", "b"], "label": [1, -1], "split": [7, 8]}
    data = datasets.Dataset.from_dict(rows, features=features)
    return datasets, data, datasets.DatasetDict(train=data, test=data.select([1]))


def test_datasets():
    _, data, splits = hub_datasets()
    found, rejects, _ = everything(data)
    assert rejects == []
    assert found.rows() == [("c:1", "a", "yes", "c", "7", 0), ("c:2", "b", None, "c", "8", 1)]
    assert everything(data.to_iterable_dataset())[0].equals(found)
    found, rejects, renamed = everything(splits)
    assert rejects == []
    assert renamed == {"split"}
    assert found.select("id", "split", "split_", "_row").rows() == [
        ("c/train:1", "train", 7, 0),
        ("c/train:2", "train", 8, 1),
        ("c/test:1", "test", 8, 2),
    ]


def test_saved_datasets(tmp_path):
    _, data, splits = hub_datasets()
    data.save_to_disk(tmp_path / "one")
    splits.save_to_disk(tmp_path / "many")
    assert everything(tmp_path / "one")[0]["id"].to_list() == ["one:1", "one:2"]
    assert everything("m*y", base=tmp_path)[0]["id"].to_list() == ["many/train:1", "many/train:2", "many/test:1"]
    assert len(everything(tmp_path)[0]) == 5  # found below a directory
    inside = files(tmp_path / "many")
    assert all(path.is_file() for path in inside)
    assert "data-00000-of-00001.arrow" in {path.name for path in inside}


def test_a_directory_with_a_file_called_state_is_no_saved_dataset(tmp_path):
    write(tmp_path / "state.json", "{}")
    jsonl(tmp_path / "a.jsonl", {"text": "x"})
    assert files(tmp_path) == [tmp_path / "a.jsonl"]


def test_a_broken_saved_dataset(tmp_path):
    pytest.importorskip("datasets")
    write(tmp_path / "d" / "dataset_dict.json", '{"splits": ["train"]}')
    with pytest.raises(DataError, match="the datasets library cannot load it"):
        read(tmp_path / "d", corpus="c")


def test_hub_names(monkeypatch):
    _, _, splits = hub_datasets()
    calls = []

    def load_dataset(path, name=None, split=None):
        calls.append((path, name, split))
        if path == "no/such":
            raise FileNotFoundError("Dataset 'no/such' doesn't exist on the Hub")
        return splits[split] if split else splits

    exceptions = types.SimpleNamespace(DatasetsError=KeyError)
    monkeypatch.setitem(
        sys.modules, "datasets", types.SimpleNamespace(load_dataset=load_dataset, exceptions=exceptions)
    )
    found, _, _ = everything("hf://owner/name")
    assert found["id"].to_list() == ["owner/name/train:1", "owner/name/train:2", "owner/name/test:1"]
    found, _, _ = everything("hf://owner/name/config#test")
    assert found.select("id", "split").rows() == [("owner/name/config/test:1", "test")]
    assert calls == [("owner/name", None, None), ("owner/name", "config", "test")]
    with pytest.raises(DataError, match=r"hf://no/such: the datasets library cannot load it: .*doesn't exist"):
        read("hf://no/such", corpus="c")
    for wrong in ("hf://name", "hf://a/b/c/d", "hf://a//b"):
        with pytest.raises(UsageError, match="write hf://owner/name"):
            read(wrong, corpus="c")


def test_without_the_datasets_library(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingExtraError, match=r"reading hf://owner/name needs.*pip install 'curator\[hub\]'"):
        read("hf://owner/name", corpus="c")


# --- the same text


def test_normalise():
    assert normalise("  Hello,\tWORLD!\n") == "hello world"
    assert normalise("ﬁne — Straße") == "fine straße"
    assert normalise("don't") == "dont"
    assert normalise("你好。") == "你好"
    assert normalise("C++ $5") == "c++ $5"
    assert normalise(":)") == ":)"
    assert normalise("?!") != normalise("...")
    assert normalise(" ") == ""


@settings(max_examples=300)
@given(st.text())
def test_normalise_is_idempotent(text):
    once = normalise(text)
    assert normalise(once) == once
    assert once == " ".join(once.split())


def test_limits_are_those_documented():
    assert records.ROWS == 65_536
