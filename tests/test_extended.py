"""A mix whose pool is not what it was: only what is new is judged, and the mix is the one built from nothing."""

import json

import numpy as np
import polars as pl
import pytest
import test_mix
import test_reuse

from curator import Workspace, stages
from curator.errors import CuratorWarning, QueryError, RecipeError, VerificationError
from curator.mix import told
from curator.mix.unchanged import _equal_columns
from curator.race.arms import Arm
from curator.race.run import _selection
from curator.relation import Relation
from curator.report.settings import _selection as shown
from curator.stages import Stage

folder, ws, ran = test_mix.folder, test_mix.ws, test_reuse.ran

WORDS = ["card", "late", "refund", "room", "food", "good", "bad", "train", "thanks", "queue", "a", "of"]
LABELS = {"5": "positive", "1": "negative"}
STAGES = [
    {"use": "quality", "min_words": 3},
    {"use": "relevance", "min_score": 0.2},
    {"use": "ratio", "budget": 14, "by": "label", "order": "score"},
]


def document(rng, name):
    words = " ".join(rng.choice(WORDS, rng.integers(1, 9)))
    return {"id": name, "text": f"{words} {name}", "stars": [5, 1, 3, None][rng.choice(4, p=[0.4, 0.4, 0.1, 0.1])]}


def pools(rng):
    return {name: {f"{name}{i}": document(rng, f"{name}{i}") for i in range(30)} for name in ("red", "blue")}


def recipe(folder, sources, **changes):
    for name, rows in sources.items():
        test_mix.write(folder / f"{name}.jsonl", rows.values())
    pool = {name: {"path": f"{name}.jsonl", "label": "stars", "labels": LABELS} for name in sources}
    return test_mix.recipe(folder, **{"pool": pool, "stage": STAGES, **changes})


def changed(rng, sources):
    """Other pools: documents come, go, are reworded, get another label or change places; so do whole sources."""
    sources = {name: {key: dict(row) for key, row in rows.items()} for name, rows in sources.items()}
    for name, rows in sources.items():
        for key in rng.choice(list(rows), rng.integers(0, 4), replace=False):
            del rows[key]
        for key in rng.choice(list(rows), rng.integers(0, 4), replace=False):
            rows[key]["text"] += " queue"
        for key in rng.choice(list(rows), rng.integers(0, 4), replace=False):
            rows[key]["stars"] = {5: 1, 1: 5, 3: 5, None: 1}[rows[key]["stars"]]
        for number in range(rng.integers(0, 6)):
            rows[f"{name}-new{number}"] = document(rng, f"{name}-new{number}")
        if rng.random() < 0.3:
            sources[name] = {key: rows[key] for key in rng.permutation(list(rows))}
    if rng.random() < 0.3:
        del sources["blue"]
    if rng.random() < 0.3:
        sources["green"] = {f"g{i}": document(rng, f"g{i}") for i in range(9)}
        sources["green"]["g0"]["mood"] = "calm"  # a column that no document had
    return dict(reversed(sources.items())) if rng.random() < 0.3 else sources


def unlike(one, other):
    """(corpus, id) of the documents of one that are not in the other as they are, in plain Python."""
    flat = [
        {(n, key): (row["text"], row["stars"]) for n, rows in s.items() for key, row in rows.items()}
        for s in (one, other)
    ]
    return {key for key, row in flat[0].items() if flat[1].get(key) != row}


def stored(mix):
    """All files that say what the mix is, and its lockfile but for when it was made and how long that took."""
    files = {name: (mix._directory / name).read_bytes() for name in ("mix.parquet", "ledger.parquet", "pool.parquet")}
    lock = {name: value for name, value in mix.lock.items() if name not in ("created", "seal")}
    return files, lock | {"sha256": {n: s for n, s in lock["sha256"].items() if n != "summary.json"}}


@pytest.fixture
def judged(monkeypatch):
    """For each stage that was run, the documents that it judged."""
    seen, run = [], stages.run

    def noted(stage, parameters, relations, **rest):
        seen.append((stage.name, set(relations["candidates"].select(["corpus", "id"]).iter_rows())))
        return run(stage, parameters, relations, **rest)

    monkeypatch.setattr("curator.mix.judging.run", noted)
    return seen


@pytest.mark.parametrize("seed", range(8))
def test_an_extended_mix_is_the_one_built_from_nothing(ws, folder, toy, tmp_path, judged, seed):
    rng = np.random.default_rng(seed)
    before = pools(rng)
    after = changed(rng, before)
    first = ws.mix(recipe(folder, before))
    stages = [dict(stage) for stage in STAGES]
    if another := rng.random() < 0.3:
        stages[1]["min_score"] = 0.3
    new, kept = unlike(after, before), first.ledger().filter("keep").select("corpus", "id", "position")
    del judged[:]
    mix = ws.mix(recipe(folder, after, stage=stages))
    for name, documents in judged[: 2 if another else 3]:
        assert documents <= new, name  # a stage that has nothing to judge is not run
    by_stage = {row["stage"]: row for row in mix.summary()["reused"]["stages"]}
    assert list(by_stage) == ["decontaminate", "quality", *([] if another else ["relevance"])]
    old = {(c, n) for c, n, p in kept.iter_rows() if p == 0} & {(c, n) for c, rows in after.items() for n in rows} - new
    assert by_stage["decontaminate"]["taken"] == len(old)
    fresh = Workspace(tmp_path / "fresh", encoder=toy).mix(recipe(folder, after, stage=stages))
    assert fresh.summary()["reused"] is None
    assert stored(mix) == stored(fresh)
    del judged[:]
    assert mix.verify().documents == len(mix)
    assert [name for name, _ in judged] == ["decontaminate", "quality", "relevance", "ratio"]
    assert len(judged[0][1]) == mix.ledger().filter(position=0, keep=True).height  # verify judges everything


def grown(folder, ws, **more):
    """A mix, and the one that 6 new documents make of it, of which 2 are far nearer to the target."""
    rows = pools(np.random.default_rng(3))
    one = ws.mix(recipe(folder, rows, **more))
    for i in range(6):
        near = "thanks good card positive thanks refund" if i < 2 else "the room"
        rows["red"][f"new{i}"] = {"id": f"new{i}", "text": f"{near} {i}", "stars": 5}
    return one, lambda **changes: ws.mix(recipe(folder, rows, **more | changes))


def test_it_is_told_how_many_were_judged_and_whose_fate_changed(ws, folder):
    one, extend = grown(folder, ws)
    two = extend()
    reused = two.summary()["reused"]
    assert reused["mix"] == f"small/{one._directory.name}"
    usable = one.ledger().filter(position=0, keep=True).height
    assert reused["stages"][0] == {"stage": "decontaminate", "taken": usable, "judged": 6}
    diff = one.diff(two)
    counts = {(row["change"], row["stage"]): row["documents"] for row in reused["changes"]}
    assert counts == {(c, s): n for c, s, n in diff.group_by("change", "stage").len().iter_rows()}
    added = counts["added", "not in the pool"]
    assert added == counts["removed", "ratio"] >= 2  # what is new took the places of as many
    lines = told(two.summary())
    assert lines[0].startswith(f"verdicts taken from small/{one._directory.name}: decontaminate {usable} (6 more were ")
    told_of = f"{added} in, which it left out: not in the pool {added}; {added} out, which it had: ratio {added}"
    assert lines[1] == f"against small/{one._directory.name}: {told_of}"


def test_a_diff_by_stage_counts_every_fate(ws, folder):
    one, extend = grown(folder, ws)
    two = extend()
    table = {row["group"]: row for row in one.diff(two, by="stage").to_dicts()}
    fates = [
        {
            (c, n): "in the mix" if k else s
            for c, n, s, k in m.ledger().filter("deciding").select("corpus", "id", "stage", "keep").iter_rows()
        }
        for m in (one, two)
    ]
    for group, row in table.items():
        here, there = ({key for key, fate in of.items() if fate == group} for of in fates)
        assert row["both"] == len(here & there)
        assert row["only_there"] == len(there - fates[0].keys())
        assert row["moved_out"] == len((here & fates[1].keys()) - there)
        assert row["moved_in"] == len((there & fates[0].keys()) - here)
    assert table["in the mix"]["only_there"] == table["in the mix"]["moved_out"] >= 2


def test_documents_that_only_went_leave_no_stage_to_run(ws, folder, ran):
    rows = pools(np.random.default_rng(3))
    ws.mix(recipe(folder, rows))
    del rows["red"]["red4"], ran[:]
    ws.mix(recipe(folder, rows))
    assert ran == ["ratio"]


@pytest.mark.parametrize(
    ("changes", "run"),
    [
        ({"stage": [STAGES[0] | {"min_words": 2}, *STAGES[1:]]}, ["decontaminate", "quality", "relevance", "ratio"]),
        (
            {"stage": [{"use": "deduplicate"}, *STAGES]},
            ["decontaminate", "deduplicate", "quality", "relevance", "ratio"],
        ),
        ({"task": {"target": "target.jsonl", "test": "test.jsonl", "shots": 9}}, None),
    ],
    ids=str,
)
def test_what_differs_beside_the_pool_is_judged_whole(ws, folder, judged, changes, run):
    _, extend = grown(folder, ws)
    del judged[:]
    mix = extend(**changes)
    taken = [row["stage"] for row in (mix.summary()["reused"] or {"stages": []})["stages"]]
    assert taken == ([] if run is None else ["decontaminate"])
    assert [len(documents) > 6 for name, documents in judged] == [name not in taken for name, _ in judged]


def test_a_stage_over_the_whole_pool_ends_what_is_taken(ws, folder, judged):
    stages = [STAGES[0], {"use": "deduplicate"}, STAGES[1]]
    _, extend = grown(folder, ws, stage=stages)
    del judged[:]
    mix = extend()
    assert [row["stage"] for row in mix.summary()["reused"]["stages"]] == ["decontaminate", "quality"]
    assert [len(documents) > 6 for _, documents in judged] == [False, False, True, True]


def test_a_run_that_was_killed_ends_in_the_same_bytes(ws, folder, toy, tmp_path, monkeypatch):
    one, extend = grown(folder, ws)
    with monkeypatch.context() as patch:
        patch.setattr("curator.mix.stored.seal", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            extend()
    two = extend()
    assert two.summary()["reused"]["mix"].endswith(one._directory.name)
    fresh = Workspace(tmp_path / "fresh", encoder=toy)
    assert stored(two) == stored(fresh.mix(grown_recipe(folder)))


def grown_recipe(folder):
    """The recipe of the files that are there."""
    rows = {
        name: {row["id"]: row for row in map(json.loads, (folder / f"{name}.jsonl").read_text().splitlines())}
        for name in ("red", "blue")
    }
    return recipe(folder, rows)


def own_vectors(ws, name, n, shift=0):
    rng = np.random.default_rng(7)
    vectors = rng.normal(size=(n, 8)).astype(np.float32)
    vectors[:shift] = rng.normal(size=(shift, 8))
    rows = [{"id": f"{name}{i}", "text": f"some words of {name} {i}", "label": "ab"[i % 2]} for i in range(n)]
    ws.add(name, pl.DataFrame(rows), vectors=vectors)


def test_vectors_of_ones_own_are_a_part_of_the_document(tmp_path, judged):
    ws = Workspace(tmp_path / "own")
    for name, n in {"goal": 12, "held": 10, "red": 30}.items():
        own_vectors(ws, name, n)
    values = {
        "task": {"target": {"corpus": "goal"}, "test": {"corpus": "held"}},
        "pool": {"red": {"corpus": "red"}},
        "stage": [{"use": "relevance", "min_score": 0.1}],
    }
    ws.mix(test_mix.recipe(tmp_path, **values))
    own_vectors(ws, "red", 30, shift=4)
    del judged[:]
    ws.mix(test_mix.recipe(tmp_path, **values))
    assert judged[0] == ("decontaminate", {("red", f"red{i}") for i in range(4)})


OWN = "-- Long ones.\n-- judges: each alone\nSELECT corpus, id, len(text) > 12 AS keep FROM candidates"


def test_a_stage_of_ones_own_may_say_it(ws, folder, judged):
    (folder / "long.sql").write_text(OWN)
    _, extend = grown(folder, ws, stage=[{"use": "long.sql"}])
    del judged[:]
    ledger = extend().ledger().filter(pl.col("id").str.starts_with("new"))
    for (name, documents), position in zip(judged, (1, 2), strict=True):
        assert documents == set(ledger.filter(position=position).select("corpus", "id").iter_rows()), name


def test_who_vouches_wrongly_is_found_by_verify(ws, folder):
    (folder / "first.sql").write_text(
        "-- The first five.\n-- judges: each alone\n"
        "SELECT corpus, id, row_number() OVER (ORDER BY corpus DESC, id) <= 5 AS keep FROM candidates"
    )
    _, extend = grown(folder, ws, stage=[{"use": "first.sql"}])
    mix = extend()
    with pytest.raises(VerificationError, match="does not rebuild"):
        mix.verify()


@pytest.mark.parametrize(
    ("header", "sql", "said"),
    [
        ("-- judges: all alike", "", r"own\.sql:1: a stage can only judge 'each alone', not 'all alike'"),
        ("-- judges: each alone\n-- :by  EXPRESSION  'label'  a group", "AND $by = 'a'", "'by' is an EXPRESSION"),
        ("-- judges: each alone", "AND random() < 0.5", r"own\.sql:2: .*with 'random\('"),
        ("-- judges: each alone", "AND d < current_date", "with 'current_date'"),
        ("-- judges: each alone", "USING SAMPLE 5", "with 'USING SAMPLE'"),
        ("-- judges: each alone", "AND id IN (SELECT id FROM target APPROX NEAREST 1 BY", "with 'APPROX'"),
    ],
)
def test_what_cannot_be_vouched_for_is_refused(header, sql, said):
    with pytest.raises(RecipeError, match=said):
        Stage.parse("own", f"{header}\nSELECT corpus, id, true AS keep FROM candidates WHERE true {sql}", "own.sql")


def test_words_that_only_look_like_it_are_not():
    sql = "-- judges: each alone\nSELECT corpus, id, today AS keep, 'random()' AS rule FROM candidates -- now()"
    assert Stage.parse("own", sql, "own.sql").alone


def test_a_stage_that_judges_each_alone_does_not_see_the_pool(ws, folder):
    (folder / "big.sql").write_text(
        OWN.replace("FROM candidates", "FROM candidates WHERE (SELECT count(*) FROM pool) > 1")
    )
    with pytest.raises(QueryError, match="pool"):
        grown(folder, ws, stage=[{"use": "big.sql"}])


def test_what_a_stage_warned_of_is_said_again(ws, folder):
    stages = [{"use": "blocklist", "terms": "C++"}, {"use": "ratio", "budget": 9}]
    with pytest.warns(CuratorWarning, match="'C\\+\\+' is looked for as 'c'"):
        one, extend = grown(folder, ws, stage=stages)
    assert [row["stage"] for row in one.summary()["warned"]] == ["blocklist"]
    rows = pools(np.random.default_rng(3))
    del rows["red"]["red4"]
    for again in (lambda: ws.mix(recipe(folder, rows, stage=stages)), extend):
        with pytest.warns(CuratorWarning) as raised:
            mix = again()
        assert ["looked for as 'c'" in str(one.message) for one in raised] == [True]
        assert mix.summary()["warned"] == one.summary()["warned"]


@pytest.mark.parametrize(
    ("before", "now", "same"),
    [
        ({"a": [1, 2, None]}, {"a": [1, 3, None]}, [True, False, True]),
        ({"a": [1.0, float("nan"), None]}, {"a": [1.0, float("nan"), 0.0]}, [True, True, False]),
        ({"a": [1, 2, 3]}, {"a": ["1", "2", "3"]}, [False] * 3),  # a new document gave the column another type
        ({"a": [1, 2, 3]}, {"a": [1.0, 2.0, 3.0]}, [False] * 3),
        ({"id": ["x", "y", "z"]}, {"id": ["x", "y", "z"], "b": [None, "new", None]}, [True, False, True]),
        ({"id": ["x", "y", "z"], "b": [None, "old", None]}, {"id": ["x", "y", "z"]}, [True, False, True]),
        ({"a": [[1, 2], [1], None]}, {"a": [[1, 2], [2], None]}, [True, False, True]),
        ({"a": [{"b": 1}, {"b": 2}, None]}, {"a": [{"b": 1}, {"b": 3}, None]}, [True, False, True]),
    ],
    ids=str,
)
def test_documents_are_the_same_if_every_column_is(before, now, same):
    one, other = (Relation(pl.DataFrame(columns)) for columns in (before, now))
    rows = pl.Series([0, 1, 2])
    assert _equal_columns(one, other, rows, rows).tolist() == same
    back = pl.Series([2, 1, 0])
    assert _equal_columns(one, Relation(other.frame.reverse()), rows, back).tolist() == same


def test_a_race_says_how_many_verdicts_its_seconds_leave_out(ws, folder):
    one, extend = grown(folder, ws)
    two = extend()
    alone, extended = (_selection(Arm("mix", of.frame(), None), of, 99.0) for of in (one, two))
    assert alone == {
        "selection_seconds": pytest.approx(sum(r["seconds"] for r in one.summary()["funnel"])),
        "reused_verdicts": 0,
    }
    assert extended["reused_verdicts"] == sum(row["taken"] for row in two.summary()["reused"]["stages"]) > 100
    assert _selection(Arm("random", two.frame(), None), two, 1.5) == {"selection_seconds": 1.5, "reused_verdicts": 0}
    assert shown({"selection_seconds": 1.5, "reused_verdicts": 1234}) == "1.5 s and 1,234 verdicts reused"
    assert shown({"selection_seconds": 1.5}) == "1.5 s"  # a record from before
