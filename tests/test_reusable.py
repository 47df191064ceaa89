"""Mixes used again: tagged, listed, compared group by group, exported with their card."""

import json
import random
import re
import shutil
import sys

import datasets
import numpy as np
import polars as pl
import pytest
import yaml
from huggingface_hub import DatasetCard
from hypothesis import given, settings
from hypothesis import strategies as st
from test_cli import run  # noqa: F401  fixture
from test_mix import folder, recipe, write, ws  # noqa: F401  fixtures

from curator import Workspace
from curator.errors import MissingExtraError, QueryError, RecipeError, UnknownNameError, UsageError, WorkspaceError
from curator.mix.build import DECONTAMINATE
from curator.mix.card import hub_licence, size_category
from curator.mix.grouped import by_target, compared

SMALLER = [{"use": "deduplicate"}, {"use": "pairing", "k": 4}, {"use": "ratio", "budget": 8, "by": "label"}]


# Tags and the list


def test_tags_are_put_on_and_taken_off_and_stay_with_the_name(ws, folder):  # noqa: F811
    mix = ws.mix(recipe(folder))
    assert mix.tags == ()
    assert mix.tag("b", "a") == mix.tag("a") == mix.tags == ("a", "b")
    assert ws.mix(recipe(folder, stage=SMALLER)).tags == ("a", "b")  # another version of the name
    assert Workspace(ws.root).mix("small").tags == ("a", "b")
    assert mix.untag("a") == ("b",)
    with pytest.raises(UnknownNameError, match="no tag named 'a'"):
        mix.untag("b", "a")
    for bad in ("", "two words", "-x", "é", "a\n"):
        with pytest.raises(UsageError, match="cannot be a tag"):
            mix.tag("fine", bad)
    assert mix.tags == ("b",)
    assert mix.verify().documents == 12


def test_the_list_tells_size_target_tags_and_what_has_changed(ws, folder):  # noqa: F811
    assert ws.ls_mixes() == []
    ws.mix(recipe(folder)).tag("kept")
    ws.mix(recipe(folder, name="later", stage=SMALLER)).tag("kept", "late")
    first, second = ws.ls_mixes()
    assert (first["mix"], first["tags"], second["mix"], second["tags"]) == (
        "later",
        ["kept", "late"],
        "small",
        ["kept"],
    )
    assert (first["documents"], second["documents"], first["pool"]) == (8, 12, 64)
    assert (first["target"], second["target"], first["seed"]) == ("later_target", "small_target", 0)
    assert second["created"] == ws.mix("small").lock["created"]
    assert (second["locked"], second["stale"], second["newer"]) == (True, [], [])
    assert [row["mix"] for row in ws.ls_mixes("late")] == ["later"]
    with pytest.raises(UnknownNameError, match="did you mean 'kept'"):
        ws.ls_mixes("keep")
    write(folder / "two.jsonl", [{"text": "another text", "label": "positive"}])
    assert [row["stale"] for row in ws.ls_mixes()] == [[str(folder / "two.jsonl")]] * 2
    assert [row["newer"] for row in ws.ls_mixes()] == [[], []]
    ws.add("two", folder / "two.jsonl")
    assert [row["newer"] for row in ws.ls_mixes()] == [["two"], ["two"]]


def test_a_damaged_lockfile_or_tags_are_told_and_mended(ws, folder):  # noqa: F811
    mix = ws.mix(recipe(folder))
    mix.tag("a")
    tags = ws.root / "mixes" / "small" / "tags.json"
    assert ws.check() == []
    tags.write_text(tags.read_text().replace('"a"', '"b"'))
    with pytest.raises(WorkspaceError, match="drops the tags of 'small'"):
        ws.ls_mixes()
    assert [damage.path for damage in ws.check()] == ["mixes/small/tags.json"]
    assert "curator tag puts them on again" in str(ws.repair())
    assert (ws.check(), mix.tags) == ([], ())
    lock = next((ws.root / "mixes" / "small").glob("*/lock.json"))
    lock.write_text(lock.read_text().replace('"seed": 0', '"seed": 1'))
    assert [(row["locked"], row["documents"]) for row in ws.ls_mixes()] == [(False, None)]


# Differences by group


def groups(seed):
    """Two mixes of documents, each with a group or none; some documents are in both, some in another group there."""
    dice = random.Random(seed)
    names = [("a", str(i)) for i in range(12)] + [("b", str(i)) for i in range(12)]
    picked = [dice.sample(names, dice.randint(1, 20)) for _ in range(2)]
    return [{key: dice.choice(["x", "y", "z", None]) for key in keys} for keys in picked]


def frame_of(mix):
    rows = [(corpus, name, group) for (corpus, name), group in mix.items()]
    return pl.DataFrame(rows, schema={"corpus": pl.String, "id": pl.String, "group": pl.String}, orient="row")


@given(st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_groups_are_counted_as_by_hand(seed):
    here, there = groups(seed)
    table = {row["group"]: row for row in compared(frame_of(here), frame_of(there)).iter_rows(named=True)}
    assert set(table) == set(here.values()) | set(there.values())
    for group, row in table.items():
        ours, theirs = ({key for key, g in mix.items() if g == group} for mix in (here, there))
        assert row["both"] == len(ours & theirs)
        assert row["only_here"] == len(ours - set(there))
        assert row["only_there"] == len(theirs - set(here))
        assert row["moved_out"] == len((ours & set(there)) - theirs)
        assert row["moved_in"] == len((theirs & set(here)) - ours)
        assert row["share_here"] == pytest.approx(len(ours) / len(here))
        assert row["share_there"] == pytest.approx(len(theirs) / len(there))
    sizes = [sum(row[c] for c in ("both", "only_here", "moved_out", "both", "only_there", "moved_in"))
             for row in compared(frame_of(here), frame_of(there)).iter_rows(named=True)]  # fmt: skip
    assert sizes == sorted(sizes, reverse=True)


def placed(folder):  # noqa: F811
    """Give the first source a column ``place``: 21 documents of one and 23 of the other."""
    rows = [json.loads(line) for line in (folder / "one.jsonl").read_text().splitlines()]
    write(folder / "one.jsonl", [{**row, "place": "north" if i < 21 else "south"} for i, row in enumerate(rows)])


def test_a_diff_by_source_label_and_column(ws, folder):  # noqa: F811
    placed(folder)
    one = ws.mix(recipe(folder))
    two = ws.mix(recipe(folder, name="smaller", stage=SMALLER))
    changed = one.diff(two)
    assert set(changed["change"]) == {"removed"}
    for by in ("label", "source"):
        table = one.diff(two, by)
        frame = one.frame()
        for row in table.iter_rows(named=True):
            gone = changed.filter(pl.col(by) == row["group"]).height
            assert (row["only_here"], row["only_there"], row["moved_out"], row["moved_in"]) == (gone, 0, 0, 0)
            assert row["both"] + gone == frame.filter(pl.col(by) == row["group"]).height
            assert row["text"] is None
        assert table["both"].sum() == 8
    places = one.diff(two, "place")  # of the one source that has the column
    assert set(places["group"]) <= {"north", "south", None}
    assert places["both"].sum() + places["only_here"].sum() == 12
    with pytest.raises(UnknownNameError, match="no column named 'colour'"):
        one.diff(two, "colour")
    with pytest.raises(UsageError, match="k = 3"):
        one.diff(two, "label", k=3)


def test_a_column_that_one_pool_lacks_is_null_there(ws, folder):  # noqa: F811
    placed(folder)
    both = ws.mix(recipe(folder, stage=[]))
    alone = ws.mix(recipe(folder, name="alone", stage=[], pool={"two": {"path": "two.jsonl"}}))
    table = both.diff(alone, "place")
    counts = {row["group"]: (row["both"], row["only_here"], row["only_there"]) for row in table.iter_rows(named=True)}
    assert counts[None] == (len(alone), 0, 0)
    assert counts["north"] == (0, 21, 0)
    assert alone.diff(both, "place").filter(pl.col("group") == "north")["only_there"].item() == 21


def test_a_diff_by_the_target_document_it_was_paired_with(ws, folder):  # noqa: F811
    one = ws.mix(recipe(folder))
    two = ws.mix(recipe(folder, name="smaller", stage=SMALLER))
    pairs = {}
    for mix in (one, two):
        kept = mix.ledger().filter("keep", stage="pairing")
        pairs[mix.name] = {(r["corpus"], r["id"]): f"target:{r['partner_id']}" for r in kept.iter_rows(named=True)}
    table = one.diff(two, "target")
    assert None not in table["group"].to_list()
    for row in table.iter_rows(named=True):
        here = {key for key in one.frame().select("corpus", "id").iter_rows() if pairs["small"][key] == row["group"]}
        there = {key for key in two.frame().select("corpus", "id").iter_rows() if pairs["smaller"][key] == row["group"]}
        assert (row["both"], row["only_here"], row["only_there"]) == tuple(
            map(len, (here & there, here - there, there - here))
        )
        assert row["text"].split()[0] in ("good", "bad")
    unpaired = ws.mix(recipe(folder, name="plain", stage=[]))
    assert unpaired.diff(unpaired, "target")["group"].to_list() == [None]


def test_of_several_stages_the_last_says_which_target_document():
    rows = [
        ("a", "1", 1, "test", "e"),
        ("a", "1", 3, "target", "t3"),
        ("a", "1", 2, "target", "t2"),
        ("a", "2", 1, "a", "1"),
    ]
    ledger = pl.DataFrame(rows, schema=["corpus", "id", "position", "partner_corpus", "partner_id"], orient="row")
    found = by_target(pl.DataFrame({"corpus": ["a", "a"], "id": ["2", "1"]}), ledger)
    assert found.rows() == [("a", "2", None), ("a", "1", "target:t3")]


def test_a_diff_by_cluster_puts_documents_of_both_into_the_same_clusters(ws, folder, toy):  # noqa: F811
    one = ws.mix(recipe(folder, stage=[], pool={"two": {"path": "two.jsonl"}}))
    two = ws.mix(recipe(folder, name="wide", stage=[]))
    seen = len(toy.seen)
    table = one.diff(two, "cluster", k=2, seed=1)
    assert len(toy.seen) == seen
    assert table.equals(one.diff(two, "cluster", k=2, seed=1))
    assert table["both"].sum() == len(one)
    assert table["only_there"].sum() == len(two) - len(one)
    assert table["only_here"].sum() == table["moved_out"].sum() == table["moved_in"].sum() == 0
    assert table["share_there"].sum() == pytest.approx(1)
    assert {text.split()[0] for text in table["text"]} == {"good", "bad"}  # the two words that part the texts
    vectors = toy.encode(two.frame()["text"].to_list()).vectors
    middle = {row["group"]: toy.encode([row["text"]]).vectors[0] for row in table.iter_rows(named=True)}
    nearest = np.argmax(vectors @ np.stack(list(middle.values())).T, axis=1)
    counts = (table["both"] + table["only_there"]).to_list()
    assert sorted(np.bincount(nearest).tolist(), reverse=True) == counts
    assert len(one.diff(two, "cluster")) == 7  # the root of 60 documents, rounded down
    with pytest.raises(QueryError, match="k"):
        one.diff(two, "cluster", k=0)


def test_clusters_of_vectors_that_cannot_be_compared_are_refused(ws, folder, toy, monkeypatch):  # noqa: F811
    one = ws.mix(recipe(folder))
    monkeypatch.setattr(type(toy), "key", "other")
    two = ws.mix(recipe(folder, name="other"))
    with pytest.raises(UsageError, match="cannot be compared"):
        one.diff(two, "cluster")


# A saved dataset and its card


def licensed(folder, **changes):  # noqa: F811
    pool = {
        "one": {"path": "one.jsonl", "label": "stars", "labels": {"5": "positive", "1": "negative"}, **changes},
        "two": {"path": "two.jsonl", "licence": "CC-BY-4.0"},
    }
    return recipe(folder, pool=pool, stage=[{"use": "language", "keep": "en, de"}])


def front_of(text):
    assert text.startswith("---\n")
    return yaml.safe_load(text.split("---\n")[1])


def test_a_saved_dataset_is_read_back_the_same(ws, folder, monkeypatch):  # noqa: F811
    mix = ws.mix(recipe(folder))
    for where in (folder / "out" / "saved", folder / "empty"):
        if where.name == "empty":
            where.mkdir()
        assert mix.export(where) == where
        back = datasets.load_from_disk(where)
        assert pl.DataFrame(back.data.table).equals(mix.frame())
        assert json.loads((where / "lock.json").read_text()) == mix.lock
        assert not list(where.parent.glob(".*"))
    first, second = ((folder / name / "state.json").read_bytes() for name in ("out/saved", "empty"))
    assert first == second
    ws.add("again", folder / "out" / "saved")  # curator reads what it wrote
    assert ws.sql("SELECT text, label FROM again").equals(mix.frame().select("text", "label"))
    shutil.copytree(folder / "empty", folder / "hub")
    (folder / "hub" / "state.json").unlink()  # which tells load_dataset that load_from_disk is meant
    loaded = datasets.load_dataset(str(folder / "hub"), split="train", cache_dir=str(folder / "cache"))
    assert loaded["id"][:] == mix.frame()["id"].to_list()  # the card says which files
    with pytest.raises(UsageError, match="not empty"):
        mix.export(folder / "empty")
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'curator\[hub\]'"):
        mix.export(folder / "third")
    assert not (folder / "third").exists()


def test_the_card_says_each_sources_licence_counts_and_how_it_was_made(ws, folder):  # noqa: F811
    mix = ws.mix(licensed(folder))
    mix.tag("first")
    text = (mix.export(folder / "saved") / "README.md").read_text()
    front = front_of(text)
    assert front["license"] == ["cc-by-4.0", "unknown"]
    assert front["language"] == ["de", "en"]
    assert front["size_categories"] == ["n<1K"]
    assert front["tags"] == ["curator", "first"]
    assert DatasetCard(text).data.license == front["license"]
    counts = dict(mix.frame()["corpus"].value_counts().iter_rows())
    assert re.search(rf"\| one \| unknown \| one.jsonl \| \w+ \| {counts['one']} \| 44 \|", text)
    assert re.search(rf"\| two \| CC-BY-4.0 \| two.jsonl \| \w+ \| {counts['two']} \| 20 \|", text)
    for source, label, documents in mix.frame().group_by("source", "label").len().iter_rows():
        assert f"| {source} | {label} | {documents} |" in text
    assert "| language | keep = 'en, de', min\\_probability = 0.0 |" in text
    assert "Seed 0" in text
    assert mix.lock["ids_sha256"] in text
    plain = front_of((ws.mix(recipe(folder)).export(folder / "plain") / "README.md").read_text())
    assert "language" not in plain
    assert plain["license"] == "unknown"


def test_a_licence_is_the_recipes_or_what_the_corpus_was_added_with(ws, folder):  # noqa: F811
    mix = ws.mix(licensed(folder))
    assert mix.licences() == {"one": None, "two": "CC-BY-4.0"}
    ws.add("one", folder / "one.jsonl", label="stars", licence="MIT")
    ws.add("two", folder / "two.jsonl", licence="CC0-1.0")
    ws.add("one", folder / "one.jsonl", label="stars")  # what was said stays
    assert mix.licences() == {"one": "MIT", "two": "CC-BY-4.0"}
    assert {row["corpus"]: row["licence"] for row in ws.ls()}["two"] == "CC0-1.0"
    assert ws.mix(licensed(folder, licence="ODbL-1.0")).licences() == {"one": "ODbL-1.0", "two": "CC-BY-4.0"}
    with pytest.raises(UsageError, match="a licence is a name"):
        ws.add("two", folder / "two.jsonl", licence=" ")
    stated = ws.root / "corpora" / "two" / "licence.json"
    assert ws.check() == []
    stated.write_text(stated.read_text().replace("CC0", "CC9"))
    assert [damage.path for damage in ws.check()] == ["corpora/two/licence.json"]
    assert "say the licence again" in str(ws.repair())
    with pytest.raises(WorkspaceError, match="say the licence again"):
        ws.ls()
    ws.add("two", folder / "two.jsonl", licence="CC0-1.0")
    assert ws.check() == []


@pytest.mark.parametrize(
    ("licence", "hub"),
    [
        (None, "unknown"), ("Unknown", "unknown"), ("CC-BY-4.0", "cc-by-4.0"), ("mit", "mit"),
        ("GPL-3.0-only", "gpl-3.0"), ("AGPL-3.0-or-later", "agpl-3.0"), ("ODC-By-1.0", "odc-by"), ("ODbL-1.0", "odbl"),
        ("of my own", "other"), ("CC-BY-1.0", "other"), ("mit-license: [x", "other"), ("odbl-x", "other"),
    ],
)  # fmt: skip
def test_licences_by_the_hubs_names(licence, hub):
    assert hub_licence(licence) == hub


@pytest.mark.parametrize(
    ("documents", "size"),
    [
        (999, "n<1K"),
        (1000, "1K<n<10K"),
        (9999, "1K<n<10K"),
        (10**6, "1M<n<10M"),
        (10**12 - 1, "100B<n<1T"),
        (10**12, "n>1T"),
    ],
)
def test_sizes_by_the_hubs_names(documents, size):
    assert size_category(documents) == size


def test_what_a_person_named_renders_as_itself_in_a_card(ws, folder):  # noqa: F811
    evil = "<script>|`x`[a](b)\n# h\n---"
    rows = [{"text": f"{mood} tale {i}", "label": label, "source": evil} for i in range(6)
            for label, mood in (("positive", "good"), ("negative", "bad"))]  # fmt: skip
    write(folder / "two.jsonl", rows)
    mix = ws.mix(recipe(folder, stage=[], pool={"two": {"path": "two.jsonl", "licence": evil}}))
    text = (mix.export(folder / "saved") / "README.md").read_text()
    assert front_of(text)["license"] == "other"
    assert "<script>" not in text
    assert text.count("&lt;script&gt;\\|\\`x\\`\\[a\\](b) \\# h ---") == 3  # a licence, a source with two labels
    assert sum(line.startswith("#") for line in text.splitlines()) == 4  # the headings of the card


# A mix as a pool


def of(folder, *names, name="again", **changes):  # noqa: F811
    """A recipe whose pool is mixes."""
    pool = {"both": {"mix": list(names), **changes.pop("pool", {})}}
    return recipe(folder, **{"name": name, "pool": pool, "stage": [], **changes})


def keys(mix):
    return set(mix.frame().select("corpus", "id").iter_rows())


def test_a_mix_is_a_pool_with_its_keys_labels_and_provenance(ws, folder, toy):  # noqa: F811
    placed(folder)
    first = ws.mix(recipe(folder))
    seen = len(toy.seen)
    again = ws.mix(
        recipe(folder, name="again", pool={"chosen": {"mix": "small"}}, stage=[{"use": "ratio", "budget": 5}])
    )
    assert len(toy.seen) == seen
    assert keys(again) < keys(first)
    assert len(again) == 5
    assert again.frame().equals(
        first.frame().join(again.frame(), on=["corpus", "id"], how="semi", maintain_order="left")
    )
    version = next((ws.root / "mixes" / "small").glob("*/lock.json")).parent.name
    told = {"pool": "chosen", "mix": "small", "version": version, "ids_sha256": first.lock["ids_sha256"]}
    assert again.lock["mixes"] == [told]
    pools = [entry for entry in again.lock["corpora"] if entry["role"] == "pool"]
    assert pools == [entry for entry in first.lock["corpora"] if entry["role"] == "pool"]
    assert again.summary()["pool"] == 12
    start = again.ledger().filter(stage="labels")
    assert set(start["reason"]) == {"it is in small"}
    assert "labels kept it — it is in small" in str(again.explain(":".join(min(keys(again)))))
    assert set(again.affected("place")["group"]) <= {"north", "south", None}  # a column of its corpus
    assert ws.mix("again").verify().documents == 5


def test_a_pool_of_a_mix_keeps_its_version_and_says_when_it_is_gone(ws, folder):  # noqa: F811
    ws.mix(recipe(folder))
    again = ws.mix(of(folder, "small"))
    before = again.lock["mixes"][0]["version"]
    ws.mix(recipe(folder, stage=SMALLER))  # the name means another version now
    assert again.verify().documents == 12
    renewed = ws.mix(of(folder, "small"))
    assert (len(renewed), renewed.lock["mixes"][0]["version"] == before) == (8, False)
    write(folder / "two.jsonl", [{"text": "another text", "label": "positive"}])
    ws.add("two", folder / "two.jsonl")
    ws.gc()
    assert again.verify().documents == 12
    shutil.rmtree(ws.root / "mixes" / "small" / before)
    assert [damage.path for damage in ws.check()] == [f"mixes/small/{before}/lock.json"]
    with pytest.raises(WorkspaceError, match="not there any more"):
        again.verify()
    documents = ws.root / "mixes" / "small" / renewed.lock["mixes"][0]["version"] / "mix.parquet"
    documents.write_bytes(documents.read_bytes()[:-1])
    with pytest.raises(WorkspaceError, match="damaged"):
        ws.mix(of(folder, "small", name="other"))
    with pytest.raises(UnknownNameError, match="did you mean 'small'"):
        ws.mix(of(folder, "smal"))


def test_a_pool_of_a_mix_is_decontaminated_by_the_test_set_of_its_recipe(ws, folder):  # noqa: F811
    loose = {"target": "target.jsonl", "test": "test.jsonl", "shots": 10, "decontaminate": False}
    first = ws.mix(recipe(folder, task=loose, stage=[]))
    assert ("one", "leak") in keys(first)
    again = ws.mix(of(folder, "small"))
    assert ("one", "leak") not in keys(again)
    fate = again.ledger().filter("deciding", id="leak").row(0, named=True)
    assert (fate["stage"], fate["partner_id"]) == (DECONTAMINATE, "e3")


def test_where_sample_and_labels_apply_to_a_pool_of_a_mix(ws, folder):  # noqa: F811
    first = ws.mix(recipe(folder, stage=[]))
    where = "corpus = 'one' AND text LIKE '%card%'"
    some = ws.mix(of(folder, "small", pool={"where": where, "sample": 4}))
    assert len(some) == 4
    assert set(some.frame()["corpus"]) == {"one"}
    assert some.frame()["text"].str.contains("card").all()
    mapped = ws.mix(of(folder, "small", pool={"labels": {"positive": "negative", "negative": "none"}}))
    assert set(mapped.frame()["label"]) == {"negative"}
    assert len(mapped) == first.frame().filter(label="positive").height


def test_weights_and_masked_texts_go_along(ws, folder):  # noqa: F811
    (folder / "heavy.sql").write_text(
        "-- Weigh all the same.\nSELECT corpus, id, true AS keep, 0.5 AS weight FROM candidates"
    )
    rows = [{"text": f"good thanks tale {i} from joe{i}@example.com", "label": "positive"} for i in range(6)]
    write(folder / "two.jsonl", rows)
    first = ws.mix(recipe(folder, stage=[{"use": "pii"}, {"use": "heavy.sql"}]))
    again = ws.mix(of(folder, "small", pool={"weights": [3.0]}))
    assert set(again.frame()["weight"]) == {1.5}
    assert again.frame().drop("weight").equals(first.frame().drop("weight"))
    assert not again.frame()["text"].str.contains("@example.com").any()
    for name in ("pool", "partners"):
        stored = pl.read_parquet(next((ws.root / "mixes" / "again").glob(f"*/{name}.parquet")))
        assert not stored["text"].str.contains("@example.com").any()
    assert again.verify().documents == len(again)


@pytest.mark.parametrize(
    ("pool", "message"),
    [
        ({"x": {"mix": "small", "path": "two.jsonl"}}, "path = 'two.jsonl' does not go with mix"),
        ({"x": {"mix": "small", "licence": "MIT"}}, "licence = 'MIT' does not go with mix"),
        ({"x": {"mix": "small", "serves": "vote"}}, "serves = 'vote' does not go with mix"),
        ({"x": {"mix": ["small", "small"]}}, "names a mix twice"),
        ({"x": {"mix": ["small", "b"], "weights": [1.0]}}, "1 weights for 2 mixes"),
        ({"x": {"mix": "small", "weights": [0.0]}}, "above 0 and finite"),
        ({"x": {"mix": "small", "weights": [float("nan")]}}, "above 0 and finite"),
        ({"two": {"path": "two.jsonl", "weights": [1.0]}}, "say which: mix"),
        ({"x": {"mix": "small"}, "two": {"path": "two.jsonl"}}, "two pools have documents of 'two'"),
        ({"x": {"mix": "small"}, "y": {"mix": "small"}}, "two pools have documents of 'one'"),
    ],
)
def test_pools_of_mixes_that_cannot_be_say_why(ws, folder, pool, message):  # noqa: F811
    ws.mix(recipe(folder))
    with pytest.raises(RecipeError, match=re.escape(message)):
        ws.mix(recipe(folder, name="again", pool=pool, stage=[]))


def test_a_licence_goes_along_with_a_mix(ws, folder):  # noqa: F811
    ws.mix(licensed(folder))
    assert ws.mix(of(folder, "small")).licences() == {"one": None, "two": "CC-BY-4.0"}
    pool = {"two": {"mix": "small"}}  # which is what the mix calls one of its corpora
    assert ws.mix(recipe(folder, name="third", pool=pool, stage=[])).licences() == {"one": None, "two": "CC-BY-4.0"}


def test_a_document_that_is_forgotten_goes_from_what_was_made_of_a_mix(ws, folder):  # noqa: F811
    ws.mix(recipe(folder, stage=[]))
    again = ws.mix(of(folder, "small"))
    told = ws.forget("one:a3")[0]
    assert sorted(name.split()[0] for name in told.mixes) == ["again", "small"]
    assert ("one", "a3") not in keys(ws.mix("again"))
    assert ws.mix("again").verify().documents == len(again) - 1


# Mixes combined


def halves(ws, folder):  # noqa: F811
    """A mix of documents about cards and rooms and one about rooms and food, of the same task."""
    for name, words in (("a", ("card", "room")), ("b", ("room", "food"))):
        where = " OR ".join(f"text LIKE '%{word}%'" for word in words)
        pool = {"two": {"path": "two.jsonl", "where": where}}
        if name == "a":
            one = {"path": "one.jsonl", "label": "stars", "labels": {"5": "positive", "1": "negative"}}
            pool = {"one": {**one, "where": where}, **pool}
        yield ws.mix(recipe(folder, name=name, pool=pool, stage=[]))


def test_a_combination_has_each_document_once_and_says_from_which_mixes(ws, folder, toy):  # noqa: F811
    a, b = halves(ws, folder)
    seen = len(toy.seen)
    both = ws.combine("both", ["a", "b"])
    assert len(toy.seen) == seen
    assert keys(both) == keys(a) | keys(b)
    assert len(both) == len(keys(both)) < len(a) + len(b)
    start = both.ledger().filter(stage="labels")
    told = {(row["corpus"], row["id"]): row["reason"] for row in start.iter_rows(named=True)}
    for key in keys(both):
        assert told[key] == "it is in " + ", ".join(name for name, mix in (("a", a), ("b", b)) if key in keys(mix))
    assert {why: sum(reason == why for reason in told.values()) for why in set(told.values())} == {
        "it is in a": 20 + 5, "it is in a, b": 5, "it is in b": 5,
    }  # fmt: skip
    texts = dict(pl.concat([a.frame(), b.frame()]).select("id", "text").iter_rows())
    assert dict(both.frame().select("id", "text").iter_rows()) == texts
    assert [(entry["mix"], entry["ids_sha256"]) for entry in both.lock["mixes"]] == [
        (mix.name, mix.lock["ids_sha256"]) for mix in (a, b)
    ]
    assert both.verify().documents == len(both)
    assert ws.combine("both", ["a", "b"]).lock == both.lock
    assert keys(ws.combine("turned", ["b", "a"])) == keys(both)
    assert a.diff(both, "source")["only_here"].sum() == 0
    assert ws.check() == []


def test_weights_of_a_combination_multiply_and_the_largest_counts(ws, folder):  # noqa: F811
    a, b = halves(ws, folder)
    weights = ws.combine("both", ["a", "b"], [0.5, 2.0]).frame()
    for row in weights.iter_rows(named=True):
        key = row["corpus"], row["id"]
        assert row["weight"] == max(w for mix, w in ((a, 0.5), (b, 2.0)) if key in keys(mix))
    assert set(weights["weight"]) == {0.5, 2.0}
    with pytest.raises(RecipeError, match="1 weights for 2 mixes"):
        ws.combine("other", ["a", "b"], [1.0])


def test_a_document_without_a_label_in_one_mix_contradicts_none(ws, folder):  # noqa: F811
    plain = {"path": "two.jsonl"}
    a = ws.mix(recipe(folder, name="a", pool={"two": plain}, stage=[]))
    ws.mix(recipe(folder, name="b", pool={"two": {**plain, "serves": "text"}}, stage=[]))
    both = ws.combine("both", ["b", "a"])
    assert both.frame().select("id", "label").equals(a.frame().select("id", "label"))
    assert both.summary()["warnings"] == []


def test_labels_that_contradict_each_other_are_reported_and_left_out(ws, folder):  # noqa: F811
    plain = {"path": "two.jsonl"}
    ws.mix(recipe(folder, name="a", pool={"two": plain}, stage=[]))
    turned = {"negative": "positive"}
    ws.mix(recipe(folder, name="b", pool={"two": {**plain, "labels": turned}}, stage=[]))
    both = ws.combine("both", ["a", "b"])
    assert set(both.frame()["label"]) == {"positive"}
    assert len(both) == 10
    dropped = both.ledger().filter("deciding", keep=False)
    assert set(dropped["reason"]) == {"it is negative in a, positive in b: the mixes disagree"}
    assert set(dropped["rule"]) == {"no usable label"}
    told = "10 documents of pool mixes have other labels in other mixes and are not used"
    assert told in both.summary()["warnings"]
    assert both.verify().documents == 10


def test_the_text_of_the_mix_in_which_a_stage_changed_it_is_taken(ws, folder):  # noqa: F811
    rows = [{"text": f"good thanks tale {i} from joe{i}@example.com", "label": "positive"} for i in range(6)]
    write(folder / "two.jsonl", rows)
    pool = {"two": {"path": "two.jsonl"}}
    ws.mix(recipe(folder, name="a", pool=pool, stage=[]))
    masked = ws.mix(recipe(folder, name="b", pool=pool, stage=[{"use": "pii"}]))
    for name, order in (("ab", ["a", "b"]), ("ba", ["b", "a"])):
        assert ws.combine(name, order).frame()["text"].equals(masked.frame()["text"])


def test_combinations_that_cannot_be_say_why(ws, folder):  # noqa: F811
    halves_ = list(halves(ws, folder))
    assert len(halves_) == 2
    with pytest.raises(UsageError, match="two mixes or more"):
        ws.combine("one", ["a"])
    with pytest.raises(UsageError, match="give the result another"):
        ws.combine("a", ["a", "b"])
    with pytest.raises(RecipeError, match="names a mix twice"):
        ws.combine("both", ["a", "a"])
    with pytest.raises(UnknownNameError):
        ws.combine("both", ["a", "c"])
    task = {"target": "target.jsonl", "test": "other.jsonl", "shots": 10}
    rows = [json.loads(line) for line in (folder / "test.jsonl").read_text().splitlines()]
    write(folder / "other.jsonl", [*rows[:10], {"id": "x", "text": "good thanks", "label": "positive"}])
    ws.mix(recipe(folder, name="c", task=task, pool={"two": {"path": "two.jsonl"}}, stage=[]))
    with pytest.raises(UsageError, match=r"1 texts are only in that of 'c', 2 only in the other; .*mix = \"c\""):
        ws.combine("both", ["a", "c"])
    write(folder / "three.jsonl", [{"text": f"good {i}", "label": label} for i, label in enumerate("pq" * 12)])
    task = {"target": "three.jsonl", "test": "test.jsonl", "shots": 10}
    pool = {"two": {"path": "two.jsonl", "labels": {"positive": "p"}}}
    ws.mix(recipe(folder, name="d", task=task, pool=pool, stage=[]))
    with pytest.raises(UsageError, match="has p, q"):
        ws.combine("both", ["a", "d"])
    write(folder / "two.jsonl", [{"text": "good card", "label": "positive"}])
    ws.mix(recipe(folder, name="e", pool={"two": {"path": "two.jsonl"}}, stage=[]))
    with pytest.raises(RecipeError, match="build both of the same version"):
        ws.combine("both", ["a", "e"])


def test_a_combination_is_decontaminated_unless_every_mix_says_not(ws, folder):  # noqa: F811
    loose = {"target": "target.jsonl", "test": "test.jsonl", "shots": 10, "decontaminate": False}
    one = {"one": {"path": "one.jsonl", "label": "stars", "labels": {"5": "positive", "1": "negative"}}}
    for name, task in (("a", loose), ("b", loose), ("c", {**loose, "decontaminate": True})):
        ws.mix(recipe(folder, name=name, task=task, pool=one, stage=[]))
    assert ("one", "leak") in keys(ws.combine("ab", ["a", "b"]))
    assert ("one", "leak") not in keys(ws.combine("ac", ["a", "c"]))
    assert ("one", "leak") not in keys(ws.combine("ca", ["c", "a"]))


def test_mixes_of_a_task_that_cuts_its_test_set_are_combined(ws, folder):  # noqa: F811
    task = {"target": "target.jsonl", "split": {"test": 0.4}, "shots": 5}
    for name, budget in (("a", 4), ("b", 9)):
        ws.mix(recipe(folder, name=name, task=task, stage=[{"use": "ratio", "budget": budget}]))
    both = ws.combine("both", ["a", "b"])
    assert keys(both) == keys(ws.mix("a")) | keys(ws.mix("b"))
    assert both.verify().documents == len(both)
    other = {**task, "split": {"test": 0.6}}
    ws.mix(recipe(folder, name="c", task=other, stage=[]))
    with pytest.raises(UsageError, match="different test sets"):
        ws.combine("third", ["a", "c"])


# The command line

RECIPE = '[task]\ntarget = "target.jsonl"\nsplit = { test = 0.3 }\n[pool.p]\npath = "pool.jsonl"\n'


def two_mixes(run):  # noqa: F811
    lines = [
        json.dumps({"id": f"{kind}{i}", "text": f"{kind} words {i} are here", "label": kind})
        for i in range(10)
        for kind in ("up", "down")
    ]
    (run.folder / "target.jsonl").write_text("\n".join(lines))
    (run.folder / "pool.jsonl").write_text("\n".join(line.replace("here", "there now") for line in lines))
    (run.folder / "r.toml").write_text(RECIPE)
    (run.folder / "s.toml").write_text(RECIPE + '[[stage]]\nuse = "ratio"\nbudget = 6\n')
    for name in ("r", "s"):
        code, _, err = run("mix", run.folder / f"{name}.toml")
        assert code == 0, err


def test_tag_and_list_on_the_command_line(run):  # noqa: F811
    assert run("ls", "--mixes")[1] == "mixes: none\n"
    two_mixes(run)
    assert run("tag", "r", "good", "v1")[:2] == (0, "r: good, v1\n")
    assert run("tag", "r", "good", "--remove")[1] == "r: v1\n"
    assert run("tag", "s")[1] == "s: no tags\n"
    assert json.loads(run("tag", "r", "--json")[1]) == {"rows": [{"tag": "v1"}], "report": {"mix": "r"}}
    code, _, err = run("tag", "s", "good", "--remove")
    assert code == 2
    assert "no tag named 'good'" in err
    code, out, _ = run("ls", "--mixes")
    assert [line.split()[0] for line in out.splitlines()] == ["mix", "r", "s"]
    told = json.loads(run("ls", "--tag", "v1", "--json")[1])
    assert [(row["mix"], row["tags"], row["documents"], row["stale"]) for row in told["rows"]] == [
        ("r", ["v1"], 20, [])
    ]
    assert run("ls", "--tag", "v2")[0] == 2


def test_diff_by_group_on_the_command_line(run):  # noqa: F811
    two_mixes(run)
    told = json.loads(run("diff", "r", "s", "--by", "label", "--json")[1])
    assert told["report"] == {"by": "label", "documents": {"r": 20, "s": 6}}
    assert {row["group"] for row in told["rows"]} == {"up", "down"}
    assert sum(row["both"] for row in told["rows"]) == 6
    code, out, _ = run("diff", "r", "s", "--by", "cluster", "-k", "2", "--seed", "3")
    assert code == 0
    assert len(out.splitlines()) == 3


def test_export_of_a_dataset_and_a_licence_on_the_command_line(run):  # noqa: F811
    two_mixes(run)
    assert run("add", "p", run.folder / "pool.jsonl", "--licence", "MIT")[0] == 0
    assert json.loads(run("ls", "--json")[1])["rows"][0]["licence"] == "MIT"
    code, out, _ = run("export", "s", run.folder / "saved")
    assert code == 0
    assert out.endswith("saved and its card, saved/README.md\n")
    assert front_of((run.folder / "saved" / "README.md").read_text())["license"] == "mit"
    code, _, err = run("export", "s", run.folder / "saved")
    assert code == 2
    assert "not empty" in err


def test_combine_on_the_command_line(run):  # noqa: F811
    two_mixes(run)
    code, out, err = run("combine", "both", "r", "s", "--weight", "1", "--weight", "3")
    assert code == 0, err
    assert out.startswith("both: 20 of 20 documents")
    told = json.loads(run("combine", "both", "r", "s", "--weight", "1", "--weight", "3", "--json")[1])
    assert sorted(row["weight"] for row in told["rows"]) == [1] * 14 + [3] * 6
    assert run("verify", "both")[0] == 0
    assert run("combine", "both", "r")[0] == 2
