"""Mixes end to end on a small task with the toy encoder: the ledger, the lockfile, verify, diff, explain, export."""

import json
import os
import shutil

import polars as pl
import pytest
from tiny_bert import write_classifier

from curator import Recipe, Workspace
from curator.errors import (
    DataError,
    QueryError,
    RecipeError,
    UnknownNameError,
    UsageError,
    VerificationError,
    WorkspaceError,
)
from curator.functions import kl_reduction
from curator.mix import told
from curator.mix.build import DECONTAMINATE
from curator.recipe import StageUse
from curator.relation import Relation

SUBJECTS = ("card", "room", "food", "train")


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture
def folder(tmp_path):
    """A target of 24, a test set of 12 and two sources, with a leak, a repeat and labels that are not the task's."""
    moods = {"positive": "good thanks", "negative": "bad late"}
    target = [
        {"id": f"t{i}", "text": f"{moods[label]} card number {i} {label}", "label": label}
        for i, label in enumerate(["positive", "negative"] * 12)
    ]
    test = [
        {"id": f"e{i}", "text": f"{moods[label]} card case {i} {label}", "label": label}
        for i, label in enumerate(["positive", "negative"] * 6)
    ]
    one = [
        {
            "id": f"a{i}",
            "text": f"{moods[label]} {SUBJECTS[i % 4]} remark {i} of one",
            "stars": {"positive": 5, "negative": 1}[label],
        }
        for i, label in enumerate(["positive", "negative"] * 20)
    ]
    one += [
        {"id": "leak", "text": test[3]["text"].upper() + "!", "stars": 1},
        {"id": "repeat", "text": one[7]["text"], "stars": 1},
        {"id": "three", "text": "an unremarkable room, neither here nor there", "stars": 3},
        {"id": "none", "text": "a room without any stars at all"},
    ]
    two = [
        {"text": f"{moods[label]} {SUBJECTS[i % 4]} tale {i} of two", "label": label}
        for i, label in enumerate(["positive", "negative"] * 10)
    ]
    for name, rows in {"target": target, "test": test, "one": one, "two": two}.items():
        write(tmp_path / f"{name}.jsonl", rows)
    return tmp_path


def recipe(folder, **changes):
    values = {
        "name": "small",
        "task": {"target": "target.jsonl", "test": "test.jsonl", "shots": 10},
        "pool": {
            "one": {"path": "one.jsonl", "label": "stars", "labels": {"5": "positive", "1": "negative"}},
            "two": {"path": "two.jsonl"},
        },
        "stage": [{"use": "deduplicate"}, {"use": "pairing", "k": 4}, {"use": "ratio", "budget": 12, "by": "label"}],
        **changes,
    }
    return Recipe.parse(values, folder=folder)


@pytest.fixture
def ws(folder, toy):
    return Workspace(folder / "work", encoder=toy)


def test_every_pool_document_has_one_deciding_row_and_the_counts_add_up(ws, folder):
    mix = ws.mix(recipe(folder))
    ledger, summary = mix.ledger(), mix.summary()
    deciding = ledger.filter("deciding")
    assert summary["pool"] == 44 + 20 == len(deciding) == deciding.select("corpus", "id").n_unique()
    assert deciding["keep"].sum() == len(mix) == len(mix.frame()) == 12
    seen = summary["pool"]
    for step in summary["funnel"]:
        assert (step["seen"], step["kept"] + step["dropped"]) == (seen, seen)
        seen = step["kept"]
    assert seen == len(mix)
    assert sum(row["documents"] for row in summary["composition"]) == len(mix)
    assert sum(row["of"] for row in summary["composition"]) == summary["pool"]
    assert [step["stage"] for step in summary["funnel"]][:2] == ["labels", DECONTAMINATE]


def test_what_was_planted_stays_out_for_the_right_reason(ws, folder):
    mix = ws.mix(recipe(folder))
    fate = {row["id"]: row for row in mix.ledger().filter("deciding", corpus="one").iter_rows(named=True)}
    assert (fate["leak"]["stage"], fate["leak"]["partner_id"]) == (DECONTAMINATE, "e3")
    assert (fate["repeat"]["stage"], fate["repeat"]["partner_id"]) == ("deduplicate", "a7")
    assert fate["three"]["rule"] == fate["none"]["rule"] == "no usable label"
    assert "3" in fate["three"]["reason"]
    assert "no label" in fate["none"]["reason"]


def test_labels_are_those_of_the_task(ws, folder):
    frame = ws.mix(recipe(folder)).frame()
    assert set(frame["label"]) == {"positive", "negative"}
    assert frame["label"].value_counts()["count"].to_list() == [6, 6]


def test_the_same_recipe_gives_the_same_mix_and_a_rerun_builds_nothing(ws, folder, toy, monkeypatch):
    first = ws.mix(recipe(folder))
    monkeypatch.setattr("curator.mix.build", lambda *_: pytest.fail("built again"))
    assert ws.mix(recipe(folder)).lock == first.lock
    assert ws.mix(recipe(folder, train={"steps": 7}, description="trained otherwise")).lock == first.lock
    monkeypatch.undo()
    other = Workspace(folder / "other", encoder=toy).mix(recipe(folder))
    assert other.frame().equals(first.frame())
    assert other.lock["ids_sha256"] == first.lock["ids_sha256"]


def test_verify_rebuilds_and_lists_changed_files_as_stale(ws, folder, toy):
    mix = ws.mix(recipe(folder))
    seen = len(toy.seen)
    assert mix.verify().stale == ()
    assert len(toy.seen) == seen  # from the stored vectors
    write(folder / "two.jsonl", [{"text": "quite another text", "label": "positive"}])
    (folder / "one.jsonl").unlink()
    stale = {os.path.basename(item.path): item.change for item in mix.verify().stale}  # noqa: PTH119
    assert stale == {"two.jsonl": "changed", "one.jsonl": "gone"}
    with pytest.raises(VerificationError, match=r"two\.jsonl has changed"):
        mix.verify(origin=True)


def test_verify_still_passes_after_the_pool_was_read_again(ws, folder):
    mix = ws.mix(recipe(folder))
    text = (folder / "two.jsonl").read_text().splitlines(keepends=True)
    (folder / "two.jsonl").write_text("".join(text[:-4]))
    ws.mix(recipe(folder, name="later"))
    assert mix.verify().documents == 12


def test_verify_finds_a_mix_that_is_not_what_the_lockfile_says(ws, folder):
    mix = ws.mix(recipe(folder))
    lock = next((folder / "work/mixes/small").glob("*/lock.json"))
    values = json.loads(lock.read_text())
    values["stages"][-1]["parameters"]["budget"] = 10
    lock.write_text(json.dumps(values))
    with pytest.raises(VerificationError, match="2 documents differ"):
        ws.mix("small").verify()
    shard = next((folder / "work/corpora/two").glob("*/documents-00000.parquet"))
    shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(WorkspaceError, match="damaged"):
        mix.verify()


def test_diff_says_who_changed_and_why(ws, folder):
    one = ws.mix(recipe(folder))
    two = ws.mix(
        recipe(
            folder,
            name="smaller",
            stage=[{"use": "deduplicate"}, {"use": "pairing", "k": 4}, {"use": "ratio", "budget": 8, "by": "label"}],
        )
    )
    changes = one.diff(two)
    assert changes["change"].to_list() == ["removed"] * 4
    assert set(changes["stage"]) == {"ratio"}
    assert two.diff(one)["change"].to_list() == ["added"] * 4
    assert len(one.diff(one)) == 0


def test_explain_tells_kept_and_dropped(ws, folder):
    mix = ws.mix(recipe(folder))
    told = str(mix.explain("one:repeat"))
    assert "was left out" in told
    assert "one:a7" in told
    assert "good" in told or "bad" in told  # the partner's text is shown
    kept = mix.frame().row(0, named=True)
    assert "is in the mix" in str(mix.explain(f"{kept['corpus']}:{kept['id']}"))
    with pytest.raises(UnknownNameError, match="did you mean 'repeat'"):
        mix.explain("repeatt")


def test_ids_in_two_corpora_need_their_corpus(ws, folder):
    write(folder / "two.jsonl", [{"id": f"a{i}", "text": f"good bad tale {i}", "label": "positive"} for i in range(9)])
    mix = ws.mix(recipe(folder))
    with pytest.raises(UsageError, match="one:a3"):
        mix.explain("a3")


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])
def test_export_is_read_back_the_same(ws, folder, suffix):
    mix = ws.mix(recipe(folder))
    path = mix.export(folder / f"mix.{suffix}")
    read = {"jsonl": pl.read_ndjson, "csv": pl.read_csv, "parquet": pl.read_parquet}[suffix](path)
    assert read.equals(mix.frame())
    assert json.loads((folder / f"mix.{suffix}.lock.json").read_text())["ids_sha256"] == mix.lock["ids_sha256"]
    with pytest.raises(UsageError, match="jsonl"):
        mix.export(folder / "mix.xlsx")


def test_seeds_draw_other_shots_and_dev(ws, folder):
    tasks = [ws._workshop(None).prepare(recipe(folder), seed) for seed in (0, 0, 1)]
    ids = [sorted(task.target.frame["id"]) for task in tasks]
    assert ids[0] == ids[1] != ids[2]
    for task in tasks:
        dev, target = task.dev.frame, task.target.frame
        assert len(dev) == 2 * 2
        assert len(target) == 2 * 8
        assert dev["label"].n_unique() == 2
        assert not set(dev["id"]) & set(target["id"])
        assert "label" not in task.test.frame.columns


def test_few_shots_leave_no_dev(ws, folder):
    few = recipe(folder, task={"target": "target.jsonl", "test": "test.jsonl", "shots": 4})
    task = ws._workshop(None).prepare(few, 0)
    assert (len(task.dev), len(task.target)) == (0, 8)
    assert len(ws.mix(few)) == 12


def test_a_split_keeps_equal_texts_on_one_side(ws, folder):
    rows = [json.loads(line) for line in (folder / "target.jsonl").read_text().splitlines()]
    write(
        folder / "target.jsonl",
        rows + [{**row, "id": row["id"] + "b", "text": row["text"].upper() + " !"} for row in rows],
    )
    task = ws._workshop(None).prepare(recipe(folder, task={"target": "target.jsonl", "split": {"test": 0.5}}), 0)
    sides = [{name.removesuffix("b") for name in part.frame["id"]} for part in (task.test, task.target, task.dev)]
    assert sides[0]
    assert not sides[0] & (sides[1] | sides[2])
    assert len(task.test) == 2 * len(sides[0])


def test_decontamination_is_left_out_only_in_writing(ws, folder):
    task = {"target": "target.jsonl", "test": "test.jsonl", "shots": 10, "decontaminate": False}
    mix = ws.mix(recipe(folder, task=task, stage=[]))
    assert "leak" in mix.frame()["id"].to_list()
    assert "leak" not in ws.mix(recipe(folder, name="other", stage=[])).frame()["id"].to_list()
    with pytest.raises(RecipeError, match="must be the first"):
        ws.mix(recipe(folder, stage=[{"use": "quality"}, {"use": "decontaminate"}]))


def test_a_persons_own_stage(ws, folder):
    (folder / "short.sql").write_text(
        "-- Keep short texts.\n-- :most  INTEGER  30  characters\n"
        "SELECT corpus, id, length(text) <= $most AS keep, length(text) AS score FROM candidates WHERE id <> 'a0'"
    )
    mix = ws.mix(recipe(folder, stage=[{"use": "short.sql", "most": 30}]))
    assert mix.frame()["text"].str.len_chars().max() <= 30
    fate = mix.ledger().filter("deciding", corpus="one", id="a0").row(0, named=True)
    assert (fate["keep"], fate["reason"]) == (False, "not returned")


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("SELECT corpus, id FROM candidates", "returns no column 'keep'"),
        ("SELECT corpus, id, true AS keep, 1 AS colour FROM candidates", "'colour'"),
        ("SELECT corpus, 'x' AS id, true AS keep FROM candidates", "one:x comes more than once"),
        ("SELECT corpus, id || 'x' AS id, true AS keep FROM candidates", "one:a0x is not a candidate"),
        ("SELECT corpus, id, true AS keep FROM test", "no corpus or table named 'test'"),
        ("SELECT corpus, id, $a > 1 AS keep FROM candidates", r"own\.sql:1: \$a is used but not declared"),
        ("-- :a  FLOAT  1.0  unused\nSELECT corpus, id, true AS keep FROM candidates", "'a' is declared but not used"),
        ("-- :a  FLOAT  x1  bad\nSELECT corpus, id, $a > 1 AS keep FROM candidates", r"own\.sql:1: the default x1"),
        ("SELECT corpus, id, false AS keep FROM candidates", "no pool document is left after 'own'"),
    ],
)
def test_bad_stages_say_what_is_wrong(ws, folder, sql, message):
    (folder / "own.sql").write_text(sql)
    with pytest.raises((RecipeError, UsageError, DataError), match=message):
        ws.mix(recipe(folder, stage=[{"use": "own.sql"}]))


def test_bad_recipes_say_what_is_wrong(ws, folder):
    with pytest.raises(RecipeError, match="did you mean 'min_score'"):
        ws.mix(recipe(folder, stage=[{"use": "relevance", "min_scor": 0.3}]))
    with pytest.raises(RecipeError, match="min_score takes a FLOAT, not 'high'"):
        ws.mix(recipe(folder, stage=[{"use": "relevance", "min_score": "high"}]))
    with pytest.raises(UnknownNameError, match="did you mean 'relevance'"):
        ws.mix(recipe(folder, stage=[{"use": "relevanc"}]))
    with pytest.raises(RecipeError, match="not one SQL predicate"):
        ws.mix(recipe(folder, pool={"two": {"path": "two.jsonl", "where": "true FROM x"}}))
    with pytest.raises(DataError, match="at least two"):
        ws.mix(
            recipe(
                folder, task={"target": {"path": "target.jsonl", "where": "label = 'positive'"}, "test": "test.jsonl"}
            )
        )
    with pytest.raises(RecipeError, match="give each a where"):
        recipe(folder, task={"target": "target.jsonl", "test": "target.jsonl"})


def test_where_and_sample_choose_what_is_in_the_pool(ws, folder):
    mix = ws.mix(
        recipe(
            folder,
            stage=[],
            pool={
                "two": {"path": "two.jsonl", "where": "text LIKE '%card%'"},
                "one": {
                    "path": "one.jsonl",
                    "label": "stars",
                    "sample": 7,
                    "labels": {"5": "positive", "1": "negative"},
                },
            },
        )
    )
    pool = mix.ledger().filter("deciding")
    assert pool["corpus"].value_counts().sort("corpus")["count"].to_list() == [7, 5]


def test_vote_labels_come_from_the_nearest_target_documents(ws, folder):
    mix = ws.mix(
        recipe(folder, stage=[{"use": "pairing", "k": 20}], pool={"two": {"path": "two.jsonl", "serves": "vote"}})
    )
    frame = mix.frame()
    right = frame.filter((pl.col("label") == "positive") == pl.col("text").str.contains("good"))
    assert len(right) / len(frame) > 0.9
    assert frame["weight"].max() <= 1.0


def test_the_error_of_votes_is_that_on_dev(ws, folder, toy):
    """Oracle: the vote by hand, over cosines of the encoder's own vectors. A third of the dev labels is wrong."""
    moods = {"positive": "good thanks", "negative": "bad late"}
    dev = [
        {"text": f"{moods[label]} card form {i}", "label": "positive" if i % 3 == 0 else label}
        for i, label in enumerate(["positive", "negative"] * 6)
    ]
    write(folder / "dev.jsonl", dev)
    values = recipe(
        folder,
        stage=[{"use": "pairing", "k": 20, "neighbours": 5, "min_share": 0.7}],
        pool={"two": {"path": "two.jsonl", "serves": "vote"}},
        task={"target": "target.jsonl", "test": "test.jsonl", "dev": "dev.jsonl"},
    )
    mix = ws.mix(values)
    target = [json.loads(line) for line in (folder / "target.jsonl").read_text().splitlines()]
    known = toy.encode([row["text"] for row in target]).vectors
    given = wrong = 0
    for row in dev:
        cosines = known @ toy.encode([row["text"]]).vectors[0]
        tally = dict.fromkeys(moods, 0.0)
        for place in cosines.argsort()[::-1][:5]:
            tally[target[place]["label"]] += max(cosines[place], 0)
        winner = max(tally, key=tally.get)
        if tally[winner] / sum(tally.values()) >= 0.7:
            given += 1
            wrong += winner != row["label"]
    (found,) = mix.summary()["votes"]
    assert 0 < wrong < given
    assert (found["stage"], found["dev"], found["given"], found["wrong"]) == ("pairing", 12, given, wrong)
    assert found["low"] < wrong / given < found["high"]
    assert found["voted"] == 20 - mix.ledger().filter(stage="pairing")["label"].null_count()
    (line,) = [line for line in told(mix.summary()) if "by vote" in line]
    assert f"of 12 dev documents {given} would get one, and {wrong} of them a wrong one" in line
    again = ws.mix(values.model_copy(update={"stage": [*values.stage, StageUse(use="ratio", budget=3)]}))
    assert again.summary()["votes"] == [found]


def test_without_dev_nobody_knows_the_error_of_votes(ws, folder):
    mix = ws.mix(
        recipe(
            folder,
            stage=[{"use": "pairing", "k": 20}],
            pool={"two": {"path": "two.jsonl", "serves": "vote"}},
            task={"target": "target.jsonl", "test": "test.jsonl", "shots": 6},
        )
    )
    (line,) = [line for line in told(mix.summary()) if "by vote" in line]
    assert line.endswith("labels by vote, and no dev document to tell how many are wrong")
    assert ws.mix(recipe(folder, name="other")).summary()["votes"] == []


def test_a_rebuilt_mix_leaves_the_earlier_one_as_it_was(ws, folder):
    one = ws.mix(recipe(folder))
    two = ws.mix(recipe(folder, stage=[{"use": "ratio", "budget": 5}]))
    assert (one.name, two.name) == ("small", "small")
    assert (len(one.frame()), len(two.frame()), len(ws.mix("small"))) == (12, 5, 5)
    assert len(one.diff(two)) > 0
    assert one.verify().documents == 12


def test_target_and_test_may_not_share_documents(ws, folder):
    same = {"target": "target.jsonl", "test": ["target.jsonl"]}
    with pytest.raises(RecipeError, match="target and test share 24 documents"):
        ws.mix(recipe(folder, task=same))
    rows = [json.loads(line) for line in (folder / "test.jsonl").read_text().splitlines()]
    with (folder / "target.jsonl").open("a") as file:
        file.write(json.dumps({**rows[0], "id": "copy"}) + "\n")
    task = ws._workshop(None).prepare(recipe(folder, task={"target": "target.jsonl", "test": "test.jsonl"}), 0)
    assert task.warnings == ("1 target documents have the text of a test document; they train every arm",)


def test_the_same_corpus_in_two_versions_verifies(ws, folder):
    pool = {
        "one": {"corpus": "shared", "path": "two.jsonl"},
        "two": {"corpus": "shared", "path": "target.jsonl"},
    }
    mix = ws.mix(recipe(folder, stage=[], pool=pool))
    assert mix.verify().documents == len(mix)


def test_voted_documents_need_a_stage_that_votes(ws, folder):
    with pytest.raises(DataError, match="20 documents would be in the mix without a label"):
        ws.mix(recipe(folder, stage=[], pool={"two": {"path": "two.jsonl", "serves": "vote"}}))


def test_vectors_of_ones_own_do_not_mix_with_the_encoders(ws, folder):
    ws.add(
        "own",
        pl.DataFrame({"text": ["good card", "bad card"], "label": ["positive", "negative"]}),
        vectors=[[1.0] * 64, [-1.0] * 64],
    )
    with pytest.raises(DataError, match="came with vectors of its own"):
        ws.mix(recipe(folder, pool={"own": {}}))


def test_names_of_rules_and_columns_are_not_taken_over(ws, folder):
    (folder / "labels.sql").write_text("SELECT corpus, id, true AS keep FROM candidates")
    with pytest.raises(RecipeError, match="give the file another"):
        ws.mix(recipe(folder, stage=[{"use": "labels.sql"}]))
    rows = [json.loads(line) for line in (folder / "two.jsonl").read_text().splitlines()]
    write(folder / "two.jsonl", [{**row, "quality_score": 1, "serves": "x"} for row in rows])
    with pytest.raises(RecipeError, match="quality_score"):
        ws.mix(recipe(folder, stage=[{"use": "quality"}]))
    assert len(ws.mix(recipe(folder, stage=[]))) > 0


def test_scores_against_the_test_set_go_no_further_than_the_ledger(ws, folder):
    (folder / "peek.sql").write_text("SELECT corpus, id, previous_score IS NULL AS keep FROM candidates")
    mix = ws.mix(recipe(folder, stage=[{"use": "peek.sql"}]))
    assert len(mix) == mix.summary()["funnel"][1]["kept"]
    (folder / "peek.sql").write_text("SELECT corpus, id, decontaminate_score > 0 AS keep FROM candidates")
    with pytest.raises(QueryError, match="decontaminate_score"):
        ws.mix(recipe(folder, stage=[{"use": "peek.sql"}]))


def test_a_stage_can_ask_for_tokens(ws, folder):
    words = [{"text": f"good thanks {'so ' * (i % 4)}tale {i}", "label": "positive"} for i in range(20)]  # 4 to 7
    write(folder / "two.jsonl", words)
    (folder / "first.sql").write_text(
        "SELECT corpus, id, n_tokens <= 6 AS keep, n_tokens AS score FROM candidates "
        "WHERE n_tokens < (SELECT max(n_tokens) FROM pool)"
    )
    (folder / "second.sql").write_text("SELECT corpus, id, true AS keep, n_tokens AS score FROM candidates")
    mix = ws.mix(recipe(folder, stage=[{"use": "first.sql"}, {"use": "second.sql"}]))
    texts = {(row["corpus"], row["id"]): row["text"] for row in mix.frame().iter_rows(named=True)}
    scored = mix.ledger().filter(pl.col("stage") == "second")
    assert len(scored) == len(mix) == len(texts) > 9
    for row in scored.iter_rows(named=True):
        assert row["score"] == len(texts[row["corpus"], row["id"]].split()) <= 6


def test_what_a_stage_masks_is_seen_nowhere(ws, folder):
    rows = [json.loads(line) for line in (folder / "one.jsonl").read_text().splitlines()]
    rows[0]["text"] += " mail jane@example.org"
    rows[1]["text"] += " or ring 020 7946 0958"
    rows.append({"id": "copy", "text": rows[0]["text"] + "!", "stars": 5})  # dropped before pii sees it
    write(folder / "one.jsonl", rows)
    target = [json.loads(line) for line in (folder / "target.jsonl").read_text().splitlines()]
    write(folder / "target.jsonl", [{**row, "text": row["text"] + " jane@example.org"} for row in target])
    masking = {"use": "pii"}
    mix = ws.mix(recipe(folder, stage=[masking]))
    texts = dict(mix.frame().filter(corpus="one").select("id", "text").iter_rows())
    assert texts["a0"].endswith("of one mail <EMAIL>")
    assert texts["a1"].endswith("of one or ring <PHONE>")
    fate = {row["id"]: row for row in mix.ledger().filter(stage="pii", corpus="one").to_dicts()}
    assert (fate["a0"]["rule"], fate["a0"]["reason"], fate["a2"]["rule"]) == ("email", "email 1", None)
    rules = next(row for row in mix.summary()["funnel"] if row["stage"] == "pii")["rules"]
    assert {row["rule"]: row["documents"] for row in rules} == {"email": 2, "phone": 1}

    # A stage behind it reads the masked text, and one that drops takes the text out of what is kept to explain.
    dropping = ws.mix(recipe(folder, name="dropping", stage=[{**masking, "action": "drop", "kinds": "email"}]))
    assert "<EMAIL>" in str(dropping.explain("one:a0"))
    (folder / "at.sql").write_text(
        "-- Drop texts with an @.\nSELECT corpus, id, NOT contains(text, '@') AS keep FROM candidates"
    )
    stages = [{"use": "exact_duplicates"}, {"use": "pairing", "k": 9}, masking, {"use": "at.sql"}]
    behind = ws.mix(recipe(folder, name="behind", stage=stages))
    assert "<EMAIL>" in str(behind.explain("one:copy"))
    assert "a0" in behind.frame().filter(corpus="one")["id"]
    for made in (mix, dropping, behind):
        stored = b"".join(p.read_bytes() for p in (folder / "work/mixes" / made.name).rglob("*.json"))
        frames = [pl.read_parquet(p) for p in (folder / "work/mixes" / made.name).rglob("*.parquet")]
        assert b"jane@" not in stored
        assert not any("jane@" in str(row) for frame in frames for row in frame.iter_rows())

    # The texts are part of what is verified, and of what differs.
    assert mix.verify().documents == len(mix)
    path = next((folder / "work/mixes" / mix.name).rglob("lock.json"))
    values = json.loads(path.read_text())
    values["stages"][-1]["parameters"]["kinds"] = "email"
    path.write_text(json.dumps(values))
    with pytest.raises(VerificationError, match="1 documents differ"):
        ws.mix(mix.name).verify()
    plain = ws.mix(recipe(folder, name="plain", stage=[]))
    assert sorted(plain.diff(mix).select("id", "change").rows()) == [("a0", "text"), ("a1", "text"), ("copy", "text")]


def test_a_list_comes_from_a_file_and_stays_in_the_lockfile(ws, folder):
    (folder / "list.txt").write_text("room\nfood\n")
    use = {"use": "blocklist", "terms": {"file": "list.txt"}}
    mix = ws.mix(recipe(folder, stage=[use]))
    assert not any(word in text for text in mix.frame()["text"] for word in ("room", "food"))
    (folder / "list.txt").write_text("card\n")
    assert mix.verify().documents == len(mix)
    assert ws.mix(recipe(folder, stage=[use])).frame()["text"].str.contains("card").sum() == 0
    with pytest.raises(RecipeError, match=r"blocklist: terms: .*none\.txt cannot be read"):
        ws.mix(recipe(folder, stage=[{**use, "terms": {"file": "none.txt"}}]))
    with pytest.raises(RecipeError, match=r"a text in a file is given as \{ file = "):
        ws.mix(recipe(folder, stage=[{**use, "terms": {"path": "list.txt"}}]))
    with pytest.raises(QueryError, match="has no term"):
        ws.mix(recipe(folder, stage=[{"use": "blocklist"}]))


def test_whom_a_stage_drops(ws, folder):
    rows = [json.loads(line) for line in (folder / "one.jsonl").read_text().splitlines()]
    for i, row in enumerate(rows):
        row["age"] = ("old", "young")[i % 4 > 1]
        row["text"] += " heck" * (row["age"] == "young" and i > 5)
    write(folder / "one.jsonl", rows)
    mix = ws.mix(recipe(folder, stage=[{"use": "blocklist", "terms": "heck"}]))
    ledger = mix.ledger().filter(stage="blocklist").to_dicts()
    ages = {("one", row["id"]): row["age"] for row in rows}
    for by, of in {
        "age": lambda row: ages.get((row["corpus"], row["id"])),
        "corpus": lambda row: row["corpus"],
    }.items():
        got = {row["group"]: row for row in mix.affected(by).filter(stage="blocklist").to_dicts()}
        assert set(got) == {of(row) for row in ledger}
        for group, row in got.items():
            inside = [not line["keep"] for line in ledger if of(line) == group]
            outside = [not line["keep"] for line in ledger if of(line) != group]
            assert (row["seen"], row["dropped"]) == (len(inside), sum(inside))
            assert row["share"] == pytest.approx(sum(inside) / len(inside))
            assert row["others"] == pytest.approx(sum(outside) / len(outside))
            assert row["low"] - 1e-12 <= row["share"] <= row["high"] + 1e-12
    apart = {(row["stage"], row["by"], row["group"]) for row in mix.summary()["affected"]}
    assert ("blocklist", "source", "two") in apart  # a source of which it dropped none
    assert not any(stage == "decontaminate" for stage, *_ in apart)
    with pytest.raises(UnknownNameError, match="did you mean 'age'"):
        mix.affected("ages")


def test_intervals_of_shares_and_differences():
    """Against scipy's Wilson intervals, and Newcombe's paper: 56 of 70 and 48 of 80 differ by 0.0524 to 0.3339."""
    from scipy.stats import binomtest

    from curator.mix.affected import affected

    def table(fates):
        rows = [
            {"corpus": "c", "id": f"{group}{i}", "group": group, "stage": "s", "position": 1, "keep": i >= dropped}
            for group, (dropped, seen) in fates.items()
            for i in range(seen)
        ]
        frame = pl.DataFrame(rows)
        found = affected(frame.drop("group"), frame.select("corpus", "id", "group"))
        return {row["group"]: row for row in found.to_dicts()}

    for row in table({"a": (10, 100), "b": (20, 40), None: (0, 7)}).values():
        expected = binomtest(row["dropped"], row["seen"]).proportion_ci(1 - 0.05 / 3, "wilson")
        assert (row["low"], row["high"]) == pytest.approx(tuple(expected))
    assert table({"a": (56, 70), "b": (48, 80)})["a"]["apart"]  # at 97.5 %, for two groups
    assert not table({"a": (56, 70), "b": (51, 80)})["a"]["apart"]
    assert not table({"a": (1, 44), "b": (0, 20)})["a"]["apart"]
    assert [row["apart"] for row in table({"a": (0, 200), "b": (30, 200)}).values()] == [True, True]
    assert table({"a": (3, 4)})["a"]["others"] is None


def test_dsir_reports_how_much_nearer_the_target_it_came(ws, folder):
    made = recipe(folder, stage=[{"use": "dsir", "budget": 20, "by": "label"}])
    mix = ws.mix(made)
    rows = mix.summary()["reductions"]
    task = ws._workshop(made).prepare(made, 0)
    seen = mix.ledger().filter(stage="dsir")
    before = task.pool.frame.join(seen.select("corpus", "id"), on=["corpus", "id"], how="semi")
    relations = [task.target, Relation(before), Relation(mix.frame())]
    expected = pl.DataFrame(kl_reduction(*relations, by="label")).to_dicts()
    assert rows == [{"stage": "dsir", **row} for row in expected]
    assert [row["target"] for row in rows] == ["negative", "positive"]
    assert "dsir: the divergence of the target negative from the documents fell by" in "".join(told(mix.summary()))
    assert ws.mix(recipe(folder, name="plain")).summary()["reductions"] == []


def test_another_classifier_makes_another_mix(ws, folder):
    made = recipe(folder, stage=[{"use": "classifier", "model": "judge", "label": "bad", "max_score": 0.5}])
    write_classifier(folder / "judge", ["card", "room"], ["bad", "fine"], biases=[0.0, 1.0])
    mix = ws.mix(made)
    assert len(mix) == mix.ledger().filter(stage="classifier").height  # of every document it says bad with 0.27
    assert mix.verify().documents == len(mix)
    write_classifier(folder / "judge", ["card", "room"], ["bad", "fine"], biases=[1.0, 0.0])
    with pytest.raises(DataError, match="no pool document is left after 'classifier'"):
        ws.mix(made)
    with pytest.raises(
        VerificationError, match=r"/judge, the model of its stage 'classifier', is not what it was; put"
    ):
        mix.verify()
    shutil.rmtree(folder / "judge")
    with pytest.raises(VerificationError, match=r"/judge, the model of its stage 'classifier', is not there any more"):
        mix.verify()


def test_a_mix_with_a_classifier_is_verified_from_any_folder(ws, folder, monkeypatch):
    write_classifier(folder / "judge", ["card", "room"], ["bad", "fine"], biases=[0.0, 1.0])
    stage = {"use": "classifier", "model": "judge", "label": "bad", "max_score": 0.5}
    monkeypatch.chdir(folder)
    mix = ws.mix(recipe(folder.relative_to(folder), stage=[stage]))
    monkeypatch.chdir(folder.parent)
    assert mix.verify().documents == len(mix)
