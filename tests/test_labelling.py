"""What a person should label next: the choice against gradients that are made in full, the file, and the way back."""

import csv
import hashlib
import json
import random
import re

import numpy as np
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare
from test_cli import run  # noqa: F401  fixture
from test_mix import folder, recipe, write, ws  # noqa: F401  fixtures

from curator import Workspace, labelling
from curator.documents import normalise, whole
from curator.errors import DataError, UnknownNameError, UsageError
from curator.labelling import at_random, badge, choosing, guesses, margin
from curator.mix.build import DECONTAMINATE
from curator.probe import Probe
from curator.race.arms import choose
from curator.vectors import Vectors

FORMULA = re.compile(r"\s*[=+\-@＝＋－＠\t\r\n]")
COLUMNS = ["id", "text", "label", "suggestion", "probability", "second", "why", "corpus"]


# The choice


def example_of(seed, n=40, labels=5, d=6):
    """A probe, documents whose vectors are of any length, one of them zero, two equal, and their lots."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(n, d)).astype(np.float32) * rng.uniform(0.2, 2, size=(n, 1)).astype(np.float32)
    rows[3], rows[5] = 0, rows[4]
    return Probe(rng.normal(size=(labels, d)), rng.normal(size=labels)), rows, lots(n, seed)


def lots(n, seed):
    keys = (hashlib.blake2b(f"{seed}:{number}".encode(), digest_size=8).digest() for number in range(n))
    return np.frombuffer(b"".join(keys), "<u8")


def gradients(probe, rows):
    """(n, labels · d), each the outer product of p − e and x."""
    logits = rows.astype(np.float64) @ probe.weights.T + probe.intercept
    chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    residuals = chances - np.eye(len(probe.weights))[chances.argmax(axis=1)]
    return np.stack([np.outer(r, x).ravel() for r, x in zip(residuals, rows, strict=True)])


def by_badge(probe, rows, luck, count):
    vectors = Vectors.of(rows)
    return badge(probe, vectors, guesses(probe, vectors), luck, count)


@pytest.mark.parametrize("block", [7, 16_384])
@pytest.mark.parametrize("seed", range(5))
def test_distances_are_those_of_the_gradients(seed, block, monkeypatch):
    monkeypatch.setattr(choosing, "BLOCK", block)
    probe, rows, luck = example_of(seed)
    found, full = by_badge(probe, rows, luck, 20), gradients(probe, rows)
    assert len(set(found.rows)) == 20
    assert found.rows[0] == np.linalg.norm(full, axis=1).argmax()
    assert (found.nearest[0], np.isnan(found.distance[0])) == (choosing.FIRST, True)
    for place in range(1, 20):
        to_chosen = np.linalg.norm(full[found.rows[:place]] - full[found.rows[place]], axis=1)
        assert found.distance[place] == pytest.approx(to_chosen.min(), rel=1e-3, abs=2e-3)
        assert to_chosen[found.nearest[place]] == pytest.approx(to_chosen.min(), rel=1e-3, abs=2e-3)


def test_the_chance_to_be_drawn_is_the_squared_distance():
    """Second and third together, against the chances worked out from gradients in full."""
    probe, rows, _ = example_of(1, n=6, labels=3, d=3)
    full = gradients(probe, rows)
    square = np.square(full[:, None] - full[None]).sum(axis=2)
    first = int(np.linalg.norm(full, axis=1).argmax())
    chances = {}
    for second in set(range(6)) - {first}:
        for third in set(range(6)) - {first, second}:
            nearest = np.minimum(square[first], square[second])
            chance = square[first, second] / square[first].sum() * nearest[third] / nearest.sum()
            if chance > 1e-12:
                chances[second, third] = chance
    assert sum(chances.values()) == pytest.approx(1)
    draws = 4_000
    drawn = [tuple(by_badge(probe, rows, lots(6, seed), 3).rows[1:].tolist()) for seed in range(draws)]
    assert set(drawn) <= set(chances)
    often = [pair for pair in chances if chances[pair] * draws >= 5]
    expected = np.array([chances[pair] * draws for pair in often])
    counted = np.array([drawn.count(pair) for pair in often])
    rest = draws - expected.sum(), draws - counted.sum()
    assert chisquare([*counted, rest[1]], [*expected, rest[0]]).pvalue > 0.01
    other = np.array([np.sqrt(square[first, second]) for second, _ in often])
    assert chisquare(counted, other / other.sum() * counted.sum()).pvalue < 1e-9  # it would tell D from D²


def test_documents_that_are_the_same_to_the_probe_are_drawn_evenly():
    probe, rows, _ = example_of(2, n=7)
    rows[:] = rows[0]
    found = [by_badge(probe, rows, lots(7, seed), 7) for seed in range(600)]
    assert all(sorted(one.rows) == list(range(7)) for one in found)
    assert all((one.distance[1:] == 0).all() for one in found)
    assert chisquare(np.bincount([one.rows[1] for one in found], minlength=7)[1:]).pvalue > 0.01


@pytest.mark.parametrize("block", [3, 16_384])
def test_margins_are_in_order(block, monkeypatch):
    monkeypatch.setattr(choosing, "BLOCK", block)
    probe, rows, _ = example_of(3)
    of = guesses(probe, Vectors.of(rows))
    table = probe.probabilities(rows.astype(np.float64))
    for row, chances in enumerate(table):
        ranked = sorted(range(5), key=lambda label: -chances[label])
        assert [of.first[row], of.second[row]] == ranked[:2]
        assert (of.probability[row], of.runner_up[row]) == pytest.approx((chances[ranked[0]], chances[ranked[1]]))
    gaps = [sorted(chances)[-1] - sorted(chances)[-2] for chances in table]
    assert margin(of, 40).rows.tolist() == sorted(range(40), key=lambda row: gaps[row])
    assert margin(of, 7).rows.tolist() == margin(of, 40).rows[:7].tolist()


def test_random_is_a_sample_without_replacement_and_every_set_is_as_likely():
    drawn = [tuple(sorted(at_random(lots(5, seed), 2).rows.tolist())) for seed in range(2_000)]
    counts = [drawn.count(pair) for pair in sorted(set(drawn))]
    assert len(counts) == 10
    assert chisquare(counts).pvalue > 0.01


# The documents


def by_text(frame):
    return dict(frame.select("text", "id").iter_rows())


@pytest.mark.parametrize("by", labelling.WAYS)
def test_the_choice_depends_on_the_documents_and_the_seed_alone(ws, folder, toy, by):  # noqa: F811
    first = ws.label(recipe(folder), documents=12, by=by)
    assert first.columns == COLUMNS
    assert first["label"].null_count() == 12 == first["id"].n_unique()
    assert ws.label(recipe(folder), documents=5, by=by).select("id", "text").equals(first.select("id", "text").head(5))
    for number, name in enumerate(("target", "test", "one")):
        rows = (folder / f"{name}.jsonl").read_text().splitlines(keepends=True)
        random.Random(number).shuffle(rows)
        (folder / f"{name}.jsonl").write_text("".join(rows))
    turned = recipe(folder).model_copy(update={"pool": dict(reversed(recipe(folder).pool.items()))})
    again = Workspace(folder / "again", encoder=toy).label(turned, documents=12, by=by)
    assert again.equals(first)
    if by != "margin":
        seeds = {tuple(ws.label(recipe(folder, task=TASK), documents=12, by=by, seed=s)["id"]) for s in range(3)}
        assert len(seeds) == 3


TASK = {"target": "target.jsonl", "test": "test.jsonl"}  # all of the target, whatever the seed


def test_what_is_offered_is_new_and_every_other_document_is_counted(ws, folder):  # noqa: F811
    target = [json.loads(line) for line in (folder / "target.jsonl").read_text().splitlines()]
    rows = [json.loads(line) for line in (folder / "one.jsonl").read_text().splitlines()]
    write(folder / "one.jsonl", [*rows, {"id": "known", "text": target[5]["text"].upper() + "!?"}])
    everything = ws.label(recipe(folder), documents=62)
    report = ws.last_report
    assert (report["pool"], report["known"], report["repeated"], report["decontaminated"]) == (65, 1, 1, 1)
    offered = set(everything["id"])
    assert offered == {f"one:{row['id']}" for row in rows if row["id"] not in ("leak", "repeat")} | {
        f"two:two.jsonl:{line}" for line in range(1, 21)
    }  # three, with a label of none, and none, without a label, too
    with pytest.raises(UsageError, match=r"documents = 63, and 62 are left to label"):
        ws.label(recipe(folder), documents=63)
    undone = ws.label(recipe(folder, task={**TASK, "decontaminate": False}), documents=63)
    assert set(undone["id"]) - offered == {"one:leak"}
    strict = [{"use": DECONTAMINATE, "max_similarity": -1}]
    with pytest.raises(DataError, match=r"no document is left to label: of 65 .* 63 are in the test set or dev"):
        ws.label(recipe(folder, stage=strict), documents=1)


def test_what_is_asked_wrongly_is_said(ws, folder):  # noqa: F811
    with pytest.raises(UsageError, match="documents = 0"):
        ws.label(recipe(folder), documents=0)
    with pytest.raises(UnknownNameError, match="did you mean 'margin'"):
        ws.label(recipe(folder), by="margins")
    with pytest.raises(UsageError, match=r"not '\.xlsx'"):
        ws.label(recipe(folder), output=folder / "a.xlsx")
    ws.label(recipe(folder), documents=3, output=folder / "a.csv")
    before = (folder / "a.csv").read_bytes()
    with pytest.raises(UsageError, match="may have labels that a person filled in"):
        ws.label(recipe(folder), documents=4, output=folder / "a.csv")
    assert (folder / "a.csv").read_bytes() == before


def test_the_reasons_are_those_of_the_probe(ws, folder):  # noqa: F811
    frame = ws.label(recipe(folder), documents=12)
    for place, row in enumerate(frame.iter_rows(named=True)):
        said = re.fullmatch(r"between '(\w+)' \(([\d.]+)\) and '(\w+)' \(([\d.]+)\); (.*)", row["why"])
        assert (said[1], said[3]) == (row["suggestion"], row["second"])
        assert float(said[2]) == pytest.approx(row["probability"], abs=0.006)
        assert float(said[2]) + float(said[4]) == pytest.approx(1, abs=0.011)
        if place:
            assert said[5].split()[-1] in set(frame["id"][:place])
    assert set(ws.label(recipe(folder), documents=4, by="random")["why"].str.split("; ").list.last()) == {
        "drawn at random"
    }


def test_labels_of_which_more_was_labelled_are_not_suggested_for_that(ws, folder):  # noqa: F811
    """Twelve labels, each a word of its own; of one there are four times as many documents."""
    words = [f"word{i}" for i in range(12)]
    target = [{"text": f"{w} note {n}", "label": w} for w in words for n in range(8 if w == "word3" else 2)]
    write(folder / "target.jsonl", target)
    write(folder / "two.jsonl", [{"text": f"{w} remark {n}"} for w in words for n in range(3)])
    few = recipe(folder, task=TASK).model_copy(update={"pool": {"two": recipe(folder).pool["two"]}})
    frame = ws.label(few, documents=36, by="random")
    assert (frame["suggestion"] == frame["text"].str.split(" ").list.first()).all()
    assert frame["probability"].min() > 0.2  # a twelfth would be no guess at all


# The file

CELLS = st.text(st.sampled_from("=+-@'＝\t\r\n\",;é漢🙂 ax0\\\0\u2028"), min_size=1, max_size=8)


def to_label(texts, **columns):
    n = len(texts)
    return pl.DataFrame(
        {
            "id": [f"pool:{i}" for i in range(n)],
            "text": texts,
            "label": pl.Series([None] * n, dtype=pl.String),
            "suggestion": ["-1"] * n,
            "probability": [0.5] * n,
            "second": ["@b"] * n,
            "why": ["between '-1' (0.50) and '@b' (0.50)"] * n,
            "corpus": ["pool"] * n,
            **columns,
        }
    )


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_every_text_comes_back_as_it_was(ending, tmp_path):
    @given(st.lists(CELLS.filter(str.strip), min_size=1, max_size=5))
    @example(["=1+1", "'=1+1", "''=1+1", " =1", "\t=1", "'", "''", "-", "+49", '@me\n"said"', "a,b;c", "it's", "\rx"])
    @settings(max_examples=60, deadline=None)
    def check(texts):
        path = tmp_path / f"a.{ending}"
        path.unlink(missing_ok=True)
        assert labelling.write(to_label(texts), path) == []
        read, rejected = whole(path, others=("suggestion", "second"))
        assert rejected == 0
        assert read["text"].to_list() == texts
        assert set(read["suggestion"]) == {"-1"}
        assert set(read["second"]) == {"@b"}
        assert read["label"].null_count() == len(texts)

    check()


def test_no_cell_is_a_formula_and_a_spreadsheet_leaves_the_texts_as_they_are(tmp_path):
    texts = [
        '=HYPERLINK("x")',
        "+1",
        "-1",
        "@a",
        "'=1",
        "  =1",
        "\t1",
        "two\nlines",
        'a "b", c',
        "é漢🙂",
        "＝1",
        "'tis",
    ]
    labelling.write(to_label(texts), tmp_path / "a.csv")
    raw = (tmp_path / "a.csv").read_bytes()
    assert raw.startswith(b"\xef\xbb\xbf")  # else Excel takes it for the system's code page
    header, *rows = csv.reader(raw.decode("utf-8-sig").splitlines(keepends=True))
    assert header == COLUMNS
    assert [row[0] for row in rows] == [f"pool:{i}" for i in range(len(texts))]
    assert not [cell for row in rows for cell in row if FORMULA.match(cell)]
    kept = [[*row[:2], "label", *row[3:]] for row in rows]
    eaten = [[cell.removeprefix("'") if FORMULA.match(cell[1:]) else cell for cell in row] for row in kept]
    for saved, delimiter, quoting in (
        (kept, ",", csv.QUOTE_MINIMAL),
        (kept, ";", csv.QUOTE_ALL),
        (kept, ";", csv.QUOTE_MINIMAL),
        (eaten, ",", csv.QUOTE_MINIMAL),  # by a program that takes the apostrophe for its own mark of a text
    ):
        with (tmp_path / "saved.csv").open("w", encoding="utf-8-sig", newline="") as file:
            csv.writer(file, delimiter=delimiter, quoting=quoting).writerows([header, *saved])
        read, _ = whole(tmp_path / "saved.csv")
        assert read["text"].to_list() == texts
        assert set(read["label"]) == {"label"}


def test_an_apostrophe_is_an_apostrophe_in_any_other_file(tmp_path):
    (tmp_path / "a.csv").write_text("text,label,why\n'=1,'-2,'@x\n")
    assert whole(tmp_path / "a.csv")[0].row(0)[1:] == ("'=1", "'-2")


def test_a_text_that_no_cell_holds_is_told_of(tmp_path):
    assert "cuts; use .jsonl" in labelling.write(to_label(["x" * 32_768]), tmp_path / "a.csv")[0]
    assert labelling.write(to_label(["x" * 32_767]), tmp_path / "b.csv") == []
    assert labelling.write(to_label(["x" * 32_768]), tmp_path / "a.jsonl") == []


# The way back


def fill(path, labels):
    """Write labels (by id) into a file that was written to be labelled, as a person would."""
    if path.suffix == ".csv":
        header, *rows = csv.reader(path.read_text("utf-8-sig").splitlines(keepends=True))
        with path.open("w", encoding="utf-8-sig", newline="") as file:
            csv.writer(file).writerows([header, *([*row[:2], labels.get(row[0], ""), *row[3:]] for row in rows)])
        return
    frame = pl.read_parquet(path) if path.suffix == ".parquet" else pl.read_ndjson(path, infer_schema_length=None)
    filled = frame.with_columns(pl.Series("label", [labels.get(name) for name in frame["id"]], dtype=pl.String))
    filled.write_parquet(path) if path.suffix == ".parquet" else filled.write_ndjson(path)


def again(folder, *files, **changes):  # noqa: F811
    task = {"target": ["target.jsonl", *files], "test": "test.jsonl", **changes.pop("task", {})}
    return recipe(folder, task=task, **changes)


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_what_is_filled_in_teaches_once_and_is_not_offered_again(ws, folder, ending):  # noqa: F811
    write(
        folder / "one.jsonl",
        [
            {"id": "a0", "text": "=SUM(good) thanks, food", "stars": 1, "second": {"any": "thing"}},
            {"id": "a1", "text": '-5 "bad"\nlate 漢 room', "stars": 1},
            {"id": "copy", "text": "=sumgood thanks food!", "stars": 1},
            *({"id": f"b{i}", "text": f"bad late train {i}", "stars": 1} for i in range(9)),
        ],
    )
    path = folder / f"first.{ending}"
    first = ws.label(recipe(folder, task=TASK), documents=31, output=path)  # 12 and 20 without the copy
    assert ws.last_report["next"] == f'under [task]: target = ["target.jsonl", "first.{ending}"]'
    answers = {"one:a0": "positive", "one:a1": "negative", "two:two.jsonl:7": "negative"}
    fill(path, answers)
    filled = again(folder, path.name)
    task = ws._workshop(filled).prepare(filled, 0)
    assert task.warnings == ("28 target documents have no label and are not used",)
    taught = pl.concat([task.target.frame, task.dev.frame])
    ours = taught.filter(pl.col("id").is_in(list(answers)))
    assert len(taught) == 24 + 3
    assert {name: answers[name] for name in ours["id"]} == dict(ours.select("id", "label").iter_rows())
    assert {text: name for name, text in first.select("id", "text").iter_rows()}.items() >= by_text(ours).items()
    with pytest.raises(DataError, match="no document is left to label: of 32 documents in the pool 32 have a text"):
        ws.label(filled, documents=1)  # those that were left empty are in the person's hands


def test_a_document_does_not_teach_twice(ws, folder):  # noqa: F811
    """The one that was labelled, and its copy under another id, are no candidates of any arm."""
    path = folder / "first.jsonl"
    ws.label(recipe(folder, task=TASK), documents=62, output=path)
    fill(path, {"one:a7": "positive", "two:two.jsonl:3": "negative"})  # the stars of a7 say negative
    filled = again(folder, path.name, task={"dev": "dev.jsonl"}, stage=[])
    write(folder / "dev.jsonl", [{"text": "a dev text like none", "label": "negative"}])
    workshop = ws._workshop(filled)
    task, mix = workshop.prepare(filled, 0), ws.mix(filled)
    fates = {(row["corpus"], row["id"]): row for row in mix.ledger().filter("deciding").iter_rows(named=True)}
    twice = {("one", "a7"): "one:a7", ("one", "repeat"): "one:a7", ("two", "two.jsonl:3"): "two:two.jsonl:3"}
    for key, partner in twice.items():
        fate = fates[key]
        assert (fate["stage"], fate["keep"], fate["rule"]) == ("labels", False, "in the target")
        assert (fate["partner_corpus"], fate["partner_id"]) == ("target", partner)
    assert {key for key, fate in fates.items() if fate["rule"] == "in the target"} == set(twice)
    assert "a person has labelled it" in str(mix.explain("one:a7"))
    for arm in ("mix", "random", "full"):
        assert not set(choose(arm, task, mix).documents.select("corpus", "id").iter_rows()) & set(twice)
    assert mix.verify().documents == len(mix)
    texts = [normalise(text) for text in [*task.target.frame["text"], *mix.frame()["text"]]]
    assert len(texts) == len(set(texts))


def test_a_text_that_pool_and_target_share_by_chance_is_left_to_the_stages(ws, folder):  # noqa: F811
    rows = [json.loads(line) for line in (folder / "target.jsonl").read_text().splitlines()]
    write(folder / "two.jsonl", [{"id": row["id"], "text": row["text"], "label": row["label"]} for row in rows])
    ledger = ws.mix(recipe(folder, task=TASK, stage=[])).ledger()
    assert "in the target" not in set(ledger["rule"])


def test_a_label_that_is_new_is_a_label_of_the_task_and_is_told_of(ws, folder):  # noqa: F811
    path = folder / "first.csv"
    ws.label(recipe(folder, task=TASK), documents=8, by="margin", output=path)
    ids = ws.label(recipe(folder, task=TASK), documents=8, by="margin")["id"].to_list()
    fill(path, {ids[0]: "postive", ids[1]: "neither", ids[2]: "neither", ids[3]: "negative"})
    filled = again(folder, path.name)
    task = ws._workshop(filled).prepare(filled, 0)
    assert task.labels == ("negative", "neither", "positive", "postive")
    assert [told for told in task.warnings if "new label" in told] == [
        "'neither' is a new label of the task: 2 documents that were labelled by hand have it, and no other of the "
        "target",
        "'postive' is a new label of the task: 1 documents that were labelled by hand have it, and no other of the "
        "target; was 'positive' meant?",
    ]
    offered = ws.label(filled, documents=30)
    assert not set(offered["id"]) & set(ids)
    assert set(offered["second"]) | set(offered["suggestion"]) > {"neither"}
    assert [note for note in ws.mix(filled).summary()["warnings"] if "'neither' is a new label" in note]


def test_a_split_gains_no_test_document_by_what_is_labelled(ws, folder):  # noqa: F811
    def of(*files):
        task = {"target": ["target.jsonl", *files], "split": {"test": 0.4}}
        return recipe(folder, task=task)

    before = ws._workshop(of()).prepare(of(), 0)
    everything = ws.label(of(), documents=30, output=folder / "first.jsonl")
    assert ws.last_report["cut"] > 5
    fill(folder / "first.jsonl", dict.fromkeys(everything["id"][:20], "positive"))
    after = ws._workshop(of("first.jsonl")).prepare(of("first.jsonl"), 0)
    assert after.test.frame.equals(before.test.frame)
    assert len(after.target) + len(after.dev) == len(before.target) + len(before.dev) + 20
    assert "10 target documents have no label and are not used" in after.warnings


def test_two_files_one_after_the_other_have_no_id_in_common(ws, folder):  # noqa: F811
    first = ws.label(recipe(folder, task=TASK), documents=9, output=folder / "first.csv")
    fill(folder / "first.csv", dict.fromkeys(first["id"][:4], "negative"))
    second = ws.label(again(folder, "first.csv"), documents=9, output=folder / "second.csv")
    assert not set(first["id"]) & set(second["id"])
    fill(folder / "second.csv", dict.fromkeys(second["id"], "positive"))
    both = again(folder, "first.csv", "second.csv")
    task = ws._workshop(both).prepare(both, 0)
    assert task.used[0].corpus.rejects == 0
    assert len(task.target) + len(task.dev) == 24 + 4 + 9
    assert ws.last_report["next"] == 'under [task]: target = ["target.jsonl", "first.csv", "second.csv"]'


def test_rows_that_cannot_be_read_are_told_of(ws, folder):  # noqa: F811
    ws.label(recipe(folder, task=TASK), documents=3, output=folder / "first.csv")
    with (folder / "first.csv").open("ab") as file:
        file.write(b"one:a1,two fields\n")
    filled = again(folder, "first.csv")
    assert set(ws._workshop(filled).prepare(filled, 0).warnings) == {
        "1 rows of the target could not be read, the first at first.csv:5: 2 fields where the header has 8; "
        "rejects('small_target') has all",
        "3 target documents have no label and are not used",
    }


def test_columns_are_called_as_the_target_calls_them(ws, folder):  # noqa: F811
    rows = [json.loads(line) for line in (folder / "target.jsonl").read_text().splitlines()]
    write(folder / "target.jsonl", [{"key": r["id"], "body": r["text"], "mood": r["label"], "part": "a"} for r in rows])
    source = {"path": ["target.jsonl"], "id": "key", "text": "body", "label": "mood", "where": "part = 'a'"}
    named = recipe(folder, task={**TASK, "target": source})
    frame = ws.label(named, documents=4, output=folder / "first.csv")
    assert frame.columns == ["key", "body", "mood", *COLUMNS[3:]]
    assert ws.last_report["next"] == 'under [task], in target: path = ["target.jsonl", "first.csv"]'
    (told,) = ws.last_report["warnings"]
    where = "(part = 'a') OR why <> ''"
    assert where in told
    header, *lines = csv.reader((folder / "first.csv").read_text("utf-8-sig").splitlines(keepends=True))
    with (folder / "first.csv").open("w", encoding="utf-8-sig", newline="") as file:
        csv.writer(file).writerows([header, *([*line[:2], "negative", *line[3:]] for line in lines)])
    filled = recipe(folder, task={**TASK, "target": {**source, "path": ["target.jsonl", "first.csv"], "where": where}})
    task = ws._workshop(filled).prepare(filled, 0)
    assert len(task.target) + len(task.dev) == 24 + 4


def test_shots_are_told_of(ws, folder):  # noqa: F811
    ws.label(recipe(folder), documents=2)
    assert "shots = 10 draws that many target documents for each label" in ws.last_report["warnings"][0]


# The command


def test_the_command_writes_the_file_and_says_what_to_do_with_it(run, folder):  # noqa: F811
    (folder / "small.toml").write_text(
        '[task]\ntarget = "target.jsonl"\ntest = "test.jsonl"\n[pool.one]\npath = "one.jsonl"\n'
    )
    path = folder / "first.csv"
    code, out, err = run("-q", "label", folder / "small.toml", "-o", path, "--documents", 6)
    assert (code, err) == (0, "")
    assert f"{path}: 6 of 42 candidates; of 44 documents in the pool 1 repeat another, 1 are in the test set" in out
    assert "fill in 'label', and leave it empty where no label is right; then, under [task]: target = [\"target." in out
    assert len(whole(path)[0]) == 6
    code, _, err = run("label", folder / "small.toml", "-o", path)
    assert code == 2
    assert "is there, and may have labels" in err
    code, out, _ = run(
        "-q", "label", folder / "small.toml", "-o", folder / "b.parquet", "--by", "margin", "--documents", 3, "--json"
    )
    found = json.loads(out)
    assert [list(row) for row in found["rows"]] == [COLUMNS] * 3
    assert found["report"]["candidates"] == 42
    assert run("label", folder / "small.toml", "-o", folder / "c.csv", "--documents", 43)[0] == 2
    assert not (folder / "c.csv").exists()
