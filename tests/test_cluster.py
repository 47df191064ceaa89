"""Work on the workers of a Ray cluster of three nodes: the same as here, whatever dies."""

import functools
import itertools
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from conftest import ToyEncoder
from test_examples import stand_ins

from curator import Recipe, Workspace, engines, files, neighbours, reading, storage
from curator.catalogue import Catalogue
from curator.documents import ingest
from curator.engines import HERE
from curator.errors import CuratorWarning, DataError, QueryError, UnknownNameError, UsageError, WorkError
from curator.files import sha256
from curator.functions import _ngrams, dsir, leaders, near_duplicates
from curator.neighbours import spread, within
from curator.recipe import Engine
from curator.relation import Relation
from curator.session import Session
from curator.stages import Stage, run
from curator.stages import spread as spread_stages
from curator.storage.mirror import Mirror
from curator.storage.objects import Objects
from curator.vectors import Vectors
from curator.vectors import store as stores

ray = pytest.importorskip("ray", reason="Ray is an extra: pip install 'curator[ray]'")
pytestmark = [pytest.mark.xdist_group("cluster"), pytest.mark.filterwarnings("ignore::ResourceWarning")]

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def cluster(s3_server):
    from ray.cluster_utils import Cluster

    kept, os.environ["PYTHONPATH"] = os.environ.get("PYTHONPATH"), f"{ROOT}{os.pathsep}{ROOT / 'tests'}"
    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "object_store_memory": 200 << 20})
    for _ in range(2):
        nodes.add_node(num_cpus=1, object_store_memory=200 << 20)
    yield nodes
    engines.stop()
    ray.shutdown()
    nodes.shutdown()
    os.environ.pop("PYTHONPATH") if kept is None else os.environ.update(PYTHONPATH=kept)


@pytest.fixture
def settings(cluster):
    return Engine(kind="ray", address=cluster.address, workers=3)


@pytest.fixture
def engine(settings):
    return engines.engine_of(settings)


class Doing:
    """Work of numbers: doubles them; some say something first, fail, or take their worker with them."""

    def __init__(self, folder, fail=(), die=(), once=()):
        self.folder, self.fail, self.die, self.once = folder, fail, die, once

    def name(self, part):
        return f"number {part}"

    def run(self, parts):
        for part in parts:
            with (self.folder / f"{part}").open("a") as file:
                file.write("x")
            first = (self.folder / f"{part}").read_text() == "x"
            logging.getLogger("curator.somewhere").warning("looked at")
            if part in self.fail:
                raise RuntimeError(f"{part} is no good")
            if part in self.die or (part in self.once and first):
                os.kill(os.getpid(), signal.SIGKILL)
            yield 2 * part


def attempts(folder):
    return {int(path.name): len(path.read_text()) for path in folder.iterdir()}


def test_results_come_in_order_and_parts_are_taken_when_their_turn_comes(engine, tmp_path):
    taken = []

    def parts():
        for part in range(40):
            taken.append(part)
            yield part

    found = []
    for number, result in enumerate(engine.map(Doing(tmp_path), parts())):
        assert len(taken) <= number + 1 + 4 * engine.workers
        found.append(result)
    assert found == list(HERE.map(Doing(tmp_path), range(40))) == list(range(0, 80, 2))
    assert engine.peak > 0.01


def test_what_cannot_be_done_is_tried_three_times_and_set_aside_with_its_name(engine, tmp_path, caplog):
    found = []
    with pytest.raises(WorkError) as caught:
        found.extend(engine.map(Doing(tmp_path, fail=[3], die=[5], once=[7]), range(12)))
    assert found == [2 * part for part in range(12) if part not in (3, 5)]
    assert attempts(tmp_path) == {part: {3: 3, 5: 3, 7: 2}.get(part, 1) for part in range(12)}
    assert [name for name, _ in sorted(caught.value.parts)] == ["number 3", "number 5"]
    assert "number 3: RuntimeError: 3 is no good" in str(caught.value)
    assert "number 5: its worker died" in str(caught.value)
    assert "number 4: looked at" in caplog.messages


def test_a_consumer_that_has_enough_leaves_workers_for_the_next(engine, tmp_path):
    some = engine.map(Doing(tmp_path), range(100))
    assert [next(some), next(some)] == [0, 2]
    some.close()
    assert len(attempts(tmp_path)) < 40
    assert list(engine.map(Doing(tmp_path), range(5))) == [0, 2, 4, 6, 8]


def test_what_is_an_answer_is_raised_at_once(engine, tmp_path):
    with pytest.raises(ValueError, match="no number"):
        list(engine.map(Answering(functools.partial(ValueError, "no number"), tmp_path), range(9)))
    with pytest.raises(UsageError, match="no mix named 'b': there are: a"):
        list(engine.map(Answering(functools.partial(UnknownNameError, "mix", "b", ["a"]), tmp_path), range(9)))
    assert len(attempts(tmp_path)) < 8
    assert max(attempts(tmp_path).values()) <= 2  # one of each
    assert list(engine.map(Doing(tmp_path), range(3))) == [0, 2, 4]


class Answering(Doing):
    """Says of every part that it cannot be."""

    def __init__(self, error, folder):
        super().__init__(folder)
        self.error = error

    def run(self, parts):
        for part in parts:
            with (self.folder / f"{part}").open("a") as file:
                file.write("x")
            raise self.error()
            yield


def test_settings_that_cannot_be_are_refused(tmp_path, cluster, engine):
    with pytest.raises(UsageError, match="address is for kind = 'ray'"):
        Engine.of("local", address="auto")
    with pytest.raises(UsageError, match="'spark'"):
        Workspace(tmp_path, engine="spark")
    assert engine.workers == 3
    with pytest.raises(UsageError, match="already, and cannot go to"):
        engines.engine_of(Engine(kind="ray", address="10.0.0.1:1")).workers  # noqa: B018
    with pytest.raises(UsageError, match=r"'num_cpus': 40.* they have: 1 CPUs and 0 GPUs; 1 CPUs"):
        engines.engine_of(Engine(kind="ray", address=cluster.address, cpus=40)).workers  # noqa: B018
    assert engines.engine_of(Engine()) is HERE


def test_of_several_engines_one_has_workers(settings, engine, tmp_path):
    other = engines.engine_of(settings.model_copy(update={"workers": 2}))
    for one, workers in ((engine, 3), (other, 2), (engine, 3)):
        assert list(one.map(Doing(tmp_path), range(9))) == list(range(0, 18, 2))
        assert len(one._idle) + len(one._starting) == workers
    assert not other._idle


@pytest.fixture
def listened(engine, monkeypatch):
    """What is asked of the engine: the names of the parts' work."""
    asked, real = [], engine.map
    monkeypatch.setattr(engine, "map", lambda work, parts: asked.append(work) or real(work, parts))
    return asked


# Vectors


@pytest.fixture
def rows(tmp_path):
    """2,000 unit vectors in three files, some of them equal, by the engine asked for."""
    made = np.random.default_rng(0).normal(size=(2000, 24)).astype(np.float32)
    made[1500:1520] = made[:20]
    made /= np.linalg.norm(made, axis=1, keepdims=True)
    ends = [0, 700, 1100, 2000]
    for number, (start, stop) in enumerate(itertools.pairwise(ends)):
        np.save(tmp_path / f"{number}.npy", made[start:stop])
    arrays = [np.load(tmp_path / f"{number}.npy", mmap_mode="r") for number in range(3)]
    counts = np.diff(ends)
    row = np.concatenate([np.arange(count) for count in counts])
    return lambda where: Vectors(arrays, np.repeat(np.arange(3, dtype=np.int32), counts), row, unit=True, engine=where)


@pytest.fixture
def small_parts(monkeypatch):
    monkeypatch.setattr(spread, "LEAST_PAIRS", 1)
    monkeypatch.setattr(spread, "PART_ROWS", 150)
    monkeypatch.setattr(within, "PART_ROWS", 150)


def same(one, other):
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in ("left", "right", "score", "rank"))


@pytest.mark.parametrize("metric", ["inner_product", "distance"])
def test_neighbours_are_those_found_here(engine, rows, small_parts, metric):
    few = Vectors.of(rows(HERE).block(1490, 1530), unit=True)
    for left, right, k in [(0, 1, 7), (1, 0, 7), (0, 1, 300)]:
        here, there = ([few, rows(where)] for where in (HERE, engine))
        assert same(
            neighbours.nearest(here[left], here[right], k, metric=metric),
            neighbours.nearest(there[left], there[right], k, metric=metric),
        )


@pytest.mark.parametrize("most", [1 << 20, 40])
def test_leaders_and_pairs_are_those_found_here(engine, rows, listened, small_parts, monkeypatch, most, caplog):
    monkeypatch.setattr(within, "PAIR_BLOCK", 260)
    monkeypatch.setattr(within, "PART_ROWS", 700)
    monkeypatch.setattr(within, "MOST", most)
    caplog.set_level(logging.INFO, "curator")
    few = rows(HERE).take(np.arange(1490, 1530))
    sides = {"one": (rows, None, 0.6), "left": (rows, lambda _: few, 0.5), "right": (lambda _: few, rows, 0.5)}
    for left, right, least in sides.values():
        parts = [list(neighbours.pairs_within(left(where), right and right(where), least)) for where in (HERE, engine)]
        here, there = map(neighbours.concat, parts)
        order = [np.lexsort((edges.right, edges.left)) for edges in (here, there)]
        for name in ("left", "right", "score"):
            assert np.array_equal(getattr(here, name)[order[0]], getattr(there, name)[order[1]])
    assert [type(work).__name__ for work in listened] == ["_Searching"] * 3
    names = pl.DataFrame({"id": [f"{number:05}" for number in range(2000)]}).with_columns(corpus=pl.lit("c"))
    with warnings.catch_warnings(action="ignore", category=CuratorWarning):
        here, there = (leaders(Relation(names, rows(where)), min_score=0.6) for where in (HERE, engine))
    assert 200 < here["leader_id"].null_count < 1800
    assert there.equals(here)
    assert len(listened) == 4
    assert ("searched here" in caplog.text) == (most == 40)


def test_clusters_are_those_found_here(engine, rows, small_parts):
    one, other = (neighbours.kmeans(rows(where), 9, seed=3) for where in (HERE, engine))
    assert np.array_equal(one.assignment, other.assignment)
    assert np.array_equal(one.similarity, other.similarity)


def test_what_lies_in_files_travels_by_their_names(rows):
    import pickle

    whole = rows(HERE)
    assert len(pickle.dumps(whole.alone(0, 2000))) < 60_000 < whole.matrix().nbytes
    for some in (whole.alone(650, 1300), Vectors.of(whole.matrix(), unit=True).alone(650, 1300)):
        again = pickle.loads(pickle.dumps(some))
        assert np.array_equal(again.matrix(), whole.block(650, 1300))
        assert again.is_unit
    assert len(pickle.dumps(Vectors.of(whole.matrix()).alone(3, 5))) < 2_000


# Texts


def documents(engine=HERE, n=60):
    """Texts of several kinds: some alike, some in German, some with an address, some without a letter."""
    kinds = [
        "Send {0} the card to shop{0}@example.org, and wait.",
        "Die Karte {0} wurde heute leider abgelehnt.",
        "??? {0}",
    ]
    kinds += [
        "The card number {0} was declined by a big shop",
        "the card number {0} was declined by a big shop!",
        "spam " * 30,
    ]
    rows = [(str(i), kinds[i % 6].format(i // 12)) for i in range(n)]
    frame = pl.DataFrame(rows, schema=["id", "text"], orient="row")
    given = {"corpus": pl.lit("c"), "label": pl.lit("x"), "source": pl.lit("s"), "weight": pl.lit(1.0)}
    return Relation(frame.with_columns(previous_score=pl.lit(0.5), **given), engine=engine)


def judged(use, given, candidates):
    """The verdicts of a stage, and what it warns of."""
    stage = Stage.load(use, ROOT)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", CuratorWarning)
        found = run(stage, stage.bind(given, 0), {"candidates": candidates}, Session()).frame
    return found, [str(one.message) for one in told]


ALONE = {"quality": {}, "gopher": {}, "c4": {}, "fineweb": {}, "language": {"keep": "de"}, "pii": {"action": "drop"}}


@pytest.mark.parametrize(("use", "given"), [*ALONE.items(), ("blocklist", {"terms": "C++, card"})])
def test_what_judges_each_text_alone_says_the_same_in_parts(engine, listened, monkeypatch, use, given):
    monkeypatch.setattr(spread_stages, "PART_ROWS", 7)
    here, told_here = judged(use, given, documents())
    there, told_there = judged(use, given, documents(engine))
    assert there.equals(here)
    assert told_there == told_here
    assert len(told_here) == (use == "blocklist")
    assert 0 < here["keep"].sum() < 60 or use in ("gopher", "c4", "fineweb")
    assert len(listened) == 1


def test_an_error_of_a_stage_is_the_one_raised_here(engine, listened, monkeypatch, tmp_path):
    monkeypatch.setattr(spread_stages, "PART_ROWS", 7)
    (tmp_path / "odd.sql").write_text(
        "-- Odd.\n-- judges: each alone\n"
        "SELECT corpus, id, CASE WHEN text LIKE '%spam%' THEN error('spam in ' || id) ELSE true END AS keep "
        "FROM candidates"
    )
    stage = Stage.load("odd.sql", tmp_path)
    for candidates in (documents(), documents(engine)):
        with pytest.raises(QueryError, match=r"odd\.sql: spam in \d+"):
            run(stage, {}, {"candidates": candidates}, Session())
    assert listened


@pytest.mark.parametrize(
    ("where", "also", "before"),
    [
        ("id IN (SELECT id FROM target)", {"target": documents()}, None),
        ("text IN (SELECT text FROM '{folder}/some.csv')", {}, None),
        ("is_short(text)", {}, "CREATE MACRO is_short(text) AS len(text) < 20"),
        ("len(text) < getvariable('most')", {}, "SET VARIABLE most = 20"),
        ("text = '??? 2' OR 5 / 2 < 2.1", {}, "SET integer_division = true"),
    ],
)
def test_a_stage_that_needs_more_than_texts_is_run_here(engine, listened, monkeypatch, tmp_path, where, also, before):
    monkeypatch.setattr(spread_stages, "PART_ROWS", 7)
    (tmp_path / "some.csv").write_text("text\n??? 2\n")
    own = where.format(folder=tmp_path)
    (tmp_path / "own.sql").write_text(
        f"-- Own.\n-- judges: each alone\nSELECT corpus, id, {own} AS keep FROM candidates"
    )
    session = Session()
    if before:
        session.run(before, {}, {})
    stage = Stage.load("own.sql", tmp_path)
    found = [run(stage, {}, {"candidates": one, **also}, session).frame for one in (documents(), documents(engine))]
    assert found[0].equals(found[1])
    assert found[0]["keep"].any()
    assert not listened


def test_signatures_and_counts_are_those_made_here(engine, listened, monkeypatch):
    monkeypatch.setitem(near_duplicates.__globals__, "TEXTS", 7)
    monkeypatch.setattr(_ngrams, "BLOCK", 7)
    here, there = documents(n=40), documents(engine, n=40)  # of 50 of one source so many alike would be told
    found = near_duplicates(here)
    assert found["leader_id"].null_count < 40
    assert near_duplicates(there).equals(found)
    assert dsir(here.take([1, 7]), there).equals(dsir(here.take([1, 7]), here))
    assert [work.what for work in listened] == ["MinHash", "n-grams"]


# A workspace


@pytest.fixture
def texts(tmp_path):
    path = tmp_path / "texts.parquet"
    pl.DataFrame({"text": [f"card {i % 240} was declined in shop {i}" for i in range(260)]}).write_parquet(path)
    return path


def shards(root):
    """The files of vectors; what a killed process has begun is swept by the next."""
    (folder,) = (path for path in (root / "vectors").iterdir() if path.is_dir())
    return {path.name: sha256(path) for path in folder.iterdir() if path.suffix != ".part"}


@pytest.fixture
def here(tmp_path, texts, monkeypatch):
    """What the vectors of the texts are when they are made here, in shards of 16."""
    monkeypatch.setattr(stores, "SHARD_ROWS", 16)
    ws = Workspace(tmp_path / "here", encoder=ToyEncoder())
    ws.add("texts", texts)
    ws.embed("texts")
    return shards(tmp_path / "here")


def test_shards_are_the_bytes_of_those_made_here(tmp_path, texts, here, settings):
    told = []
    ws = Workspace(tmp_path / "there", encoder=ToyEncoder(), engine=settings, progress=lambda *step: told.append(step))
    ws.add("texts", texts)
    ws.embed("texts")
    assert shards(tmp_path / "there") == here
    assert len(here) == 3 * 17
    assert told[-1][:3] == ("embedding texts", 260, 260)


def several_files(folder):
    """Large files and small ones, a column that some lack, ids that stand in two files, and lines that are broken."""
    rng = np.random.default_rng(0)
    sizes = {"a": 20_000, "b": 70_000, "c": 20_000, "d": 20_000, **{f"e{number:02}": 300 for number in range(30)}}
    for number, (name, size) in enumerate(sizes.items()):
        frame = pl.DataFrame({"id": [f"{name}-{row}" for row in range(size)], "text": rng.integers(0, 1 << 60, size)})
        frame = frame.with_columns(pl.col("text").cast(pl.String) + " words of a text")
        if name == "c":
            frame = frame.with_columns(
                pl.when(pl.int_range(size) % 5000 == 7).then(pl.lit("a-5")).otherwise("id").alias("id")
            )
        if name == "d":
            frame = frame.with_columns(pl.lit(number).alias("price"))
        lines = frame.write_ndjson()
        (folder / f"{name}.jsonl").write_text(lines + "{broken\n" * (name in ("b", "e03")))
    return sum(sizes.values())


def corpus_of(ws):
    """The bytes of a corpus's files, by name."""
    (folder,) = (path for path in (ws.root / "corpora" / "all").iterdir() if path.is_dir())
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_files_that_workers_read_become_the_same_corpus(tmp_path, settings, listened, monkeypatch):
    (tmp_path / "data").mkdir()
    total = several_files(tmp_path / "data")
    here = Workspace(tmp_path / "here")
    expected = here.add("all", tmp_path / "data")
    monkeypatch.setattr(reading, "PART_BYTES", 1 << 20)
    rows, told = [], []
    taken = ingest._with_text
    monkeypatch.setattr(ingest, "_with_text", lambda chunk, *of: (rows.append(chunk.rows), taken(chunk, *of))[1])
    there = Workspace(tmp_path / "there", engine=settings, progress=lambda *step: told.append(step))
    added = there.add("all", tmp_path / "data")
    assert str(added) == str(expected)
    assert added.rejects == 2 + 4
    assert corpus_of(there) == corpus_of(here)
    assert [type(work) for work in listened] == [reading.Reading]
    assert 0 < sum(rows) < total / 4  # what hangs on other files is read by the driver: c, and some of the small ones
    assert told[-1][:2] == ("reading all", added.documents)
    assert not list((tmp_path / "there" / "corpora" / "all").glob(".earlier-*"))
    with (tmp_path / "data" / "d.jsonl").open("a") as file:
        file.write(json.dumps({"id": "new", "text": "one more"}) + "\n")
    listened.clear()
    assert str(there.add("all", tmp_path / "data")) == str(here.add("all", tmp_path / "data"))
    assert not listened  # one file is not worth a journey


def test_what_workers_have_read_is_taken_up_by_who_comes_after(tmp_path, settings, listened, monkeypatch):
    (tmp_path / "data").mkdir()
    several_files(tmp_path / "data")
    here = Workspace(tmp_path / "here")
    here.add("all", tmp_path / "data")
    monkeypatch.setattr(reading, "PART_BYTES", 1 << 20)
    there = Workspace(tmp_path / "there", engine=settings)
    with pytest.raises(UsageError, match="cannot name a corpus"):
        there.add("../../all", tmp_path / "data")
    assert not listened
    with monkeypatch.context() as patch:
        patch.setattr(Catalogue, "add", lambda *_, **__: 1 / 0)  # where the driver is killed
        with pytest.raises(ZeroDivisionError):
            there.add("all", tmp_path / "data")
    read = len(list((tmp_path / "there" / "corpora" / "all").glob(".earlier-*/documents-*")))
    assert read > 5
    listened.clear()
    Workspace(tmp_path / "there", engine=settings).add("all", tmp_path / "data")
    assert not listened
    assert corpus_of(there) == corpus_of(here)


def test_a_node_that_is_lost_changes_nothing_but_time(tmp_path, texts, here, settings, cluster):
    node, lost = cluster.add_node(num_cpus=1, object_store_memory=100 << 20), []

    def progress(what, done, total, tokens=0):
        if what == "embedding texts" and done > 60 and not lost:
            lost.append(done)
            cluster.remove_node(node, allow_graceful=False)

    more = settings.model_copy(update={"workers": 4})
    ws = Workspace(tmp_path / "there", encoder=ToyEncoder(), engine=more, progress=progress)
    ws.add("texts", texts)
    ws.embed("texts")
    assert lost
    assert shards(tmp_path / "there") == here


def test_a_driver_that_is_killed_goes_on_where_it_was(tmp_path, texts, here, settings):
    code = f"""
import os, signal
from conftest import ToyEncoder
from curator import Workspace
from curator.recipe import Engine
from curator.vectors import store
store.SHARD_ROWS = 16
def progress(what, done, total, tokens=0):
    if what == "embedding texts" and done > 60:
        os.kill(os.getpid(), signal.SIGKILL)
engine = Engine.model_validate({settings.model_dump()!r})
ws = Workspace({str(tmp_path / "there")!r}, encoder=ToyEncoder(), engine=engine, progress=progress)
ws.add("texts", {str(texts)!r})
ws.embed("texts")
"""
    engines.stop()  # or there would be no room for the workers of another driver
    killed = subprocess.run([sys.executable, "-c", code], check=False, timeout=600)
    assert killed.returncode == -signal.SIGKILL
    left = shards(tmp_path / "there")
    assert 0 < sum(name.endswith(".json") for name in left) < 17
    Workspace(tmp_path / "there", encoder=ToyEncoder(), engine=settings).embed("texts")
    assert shards(tmp_path / "there") == here


def test_the_model_of_a_recipe_makes_the_same_shards(tmp_path, texts, settings, monkeypatch):
    monkeypatch.setattr(stores, "SHARD_ROWS", 8)
    for name, where in (("here", {}), ("there", {"engine": settings})):
        ws = Workspace(tmp_path / name, **where)
        ws.add("texts", pl.read_parquet(texts)[:24])
        ws.embed("texts")
    assert shards(tmp_path / "here") == shards(tmp_path / "there")
    assert len(shards(tmp_path / "here")) == 3 * 3


RECIPES = sorted(path.stem for path in (ROOT / "recipes").glob("*.toml"))


@pytest.mark.filterwarnings("ignore::curator.CuratorWarning")
@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_is_the_same_mix(tmp_path, settings, small_parts, listened, monkeypatch, name):
    """On stand-ins for its files, and with an encoder that costs nothing."""
    monkeypatch.setattr(stores, "SHARD_ROWS", 64)
    monkeypatch.setattr(spread_stages, "PART_ROWS", 200)
    monkeypatch.setattr(within, "PAIR_BLOCK", 200)
    monkeypatch.setitem(near_duplicates.__globals__, "TEXTS", 200)
    recipe_ = stand_ins(name, tmp_path)
    here = Workspace(tmp_path / "here", encoder=ToyEncoder()).mix(recipe_, data=tmp_path)
    assert not listened
    there = Workspace(tmp_path / "there", encoder=ToyEncoder(), engine=settings).mix(recipe_, data=tmp_path)
    works = {work.what if hasattr(work, "what") else type(work).__name__ for work in listened}
    does = {"quality": "Judging", "near_duplicates": "MinHash", "deduplicate": "_Searching", "pairing": "neighbours"}
    assert works >= {"Encoding", *(does[use.use] for use in recipe_.stage if use.use in does)}
    assert len(here) > 50
    dropped = set(here.ledger().filter(~pl.col("keep"))["stage"])
    assert dropped >= {use.use for use in recipe_.stage if use.use in ("deduplicate", "near_duplicates")}
    assert here.version == there.version
    assert here.frame().equals(there.frame())
    assert here.ledger().equals(there.ledger())
    assert shards(tmp_path / "here") == shards(tmp_path / "there")


@pytest.mark.skipif("CURATOR_DATA" not in os.environ, reason="CURATOR_DATA names the folder of the public sets")
@pytest.mark.filterwarnings("ignore::curator.CuratorWarning")
@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_is_the_same_mix_on_the_data_that_it_names(tmp_path, settings, monkeypatch, name):
    monkeypatch.setattr(spread, "LEAST_PAIRS", 1 << 22)
    monkeypatch.setattr(spread_stages, "PART_ROWS", 2_048)
    data = os.environ["CURATOR_DATA"]
    path = ROOT / "recipes" / f"{name}.toml"
    missing = [entry for entry in named_files(path) if not (Path(data) / entry).exists()]
    if missing:
        pytest.skip(f"{data} has no {missing[0]}")

    def made(where, engine=None):
        try:
            return Workspace(tmp_path / where, encoder=ToyEncoder(), engine=engine).mix(path, data=data)
        except DataError as error:  # to this encoder texts of another script are all alike
            return str(error)

    here, there = made("here"), made("there", settings)
    if isinstance(here, str):
        assert here == there
        return
    assert here.version == there.version
    assert here.frame().equals(there.frame())
    # Of more than nine documents that are equally near, as there are to this encoder, any may be the one that is named.
    named = ["partner_corpus", "partner_id"]
    assert here.ledger().drop(named).equals(there.ledger().drop(named))
    assert shards(tmp_path / "here") == shards(tmp_path / "there")


def named_files(path):
    """The files that a recipe reads."""
    recipe_ = Recipe.load(path)
    sources = [recipe_.task.target, recipe_.task.test, recipe_.task.dev, *recipe_.pool.values()]
    paths = [source.path for source in sources if source and source.path]
    return [str(one) for path in paths for one in ([path] if isinstance(path, str) else path)]


def test_a_recipe_says_where(tmp_path, cluster):
    engine = {"kind": "ray", "address": cluster.address, "workers": 2}
    values = {"name": "one", "task": {"target": "t", "test": "u"}, "pool": {"p": {}}, "engine": engine}
    recipe_ = Recipe.parse(values)
    assert recipe_.engine.workers == 2
    assert "engine" not in json.loads(recipe_.model_dump_json())
    ws = Workspace(tmp_path)
    assert ws._workshop(recipe_).corpora.engine.workers == 2
    assert ws._corpora.engine is HERE


def test_what_workers_warn_of_reaches_the_person(tmp_path, settings, monkeypatch):
    monkeypatch.setattr(stores, "SHARD_ROWS", 16)
    ws = Workspace(tmp_path / "there", encoder=ToyEncoder(), engine=settings)
    ws.add("texts", pl.DataFrame({"text": ["so long " * 400, "short"]}))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", CuratorWarning)
        ws.embed("texts")
    assert any("1 of 2 texts" in str(one.message) for one in caught)


def test_a_workspace_may_be_named_from_where_one_is(tmp_path, texts, here, settings, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ws = Workspace("there", encoder=ToyEncoder(), engine=settings)
    ws.add("texts", "texts.parquet")
    ws.embed("texts")
    assert shards(tmp_path / "there") == here


# A race


def raced(root, tmp_path, arms, **where):
    """A small race of BERT on sentences that tell their label."""
    words = {"good": "fine lovely great", "bad": "poor awful broken"}
    rows = [(f"{words[label]} card {i} {label}", label) for label in words for i in range(40)]
    frame = pl.DataFrame(rows, schema=["text", "label"], orient="row")
    for name, part in {"target": frame[::4], "test": frame[1::4], "pool": frame[2::2]}.items():
        part.with_columns(pl.col("text") + f" {name}").write_parquet(tmp_path / f"{name}.parquet")
    values = {
        "name": "small",
        "task": {"target": "target.parquet", "test": "test.parquet", "shots": 4},
        "pool": {"sayings": {"path": "pool.parquet"}},
        "stage": [{"use": "ratio", "budget": 12, "by": "label"}],
        "train": {"steps": 3, "batch_size": 4, "max_length": 16},
        "race": {"arms": arms, "seeds": 2},
    }
    ws = Workspace(root, **where)
    return ws.race(Recipe.parse(values, folder=tmp_path)), root / "races" / "small"


def scored(record):
    """What every run came to, without the time it took."""
    timed = {"seconds", "selection_seconds"}
    return [{name: value for name, value in run.items() if name not in timed} for run in record["runs"]]


def test_a_race_is_the_same_and_what_fails_is_told(tmp_path, settings, monkeypatch):
    arms = ["zero-shot", "target-only", "random", "mix"]
    here, _ = raced(tmp_path / "here", tmp_path, arms)
    monkeypatch.chdir(tmp_path)
    there, folder = raced(Path("there"), tmp_path, arms, engine=settings)
    assert scored(there.record) == scored(here.record)
    assert not any(run["error"] for run in there.record["runs"])
    assert {path.name for path in (folder / "model").iterdir()} == {
        path.name for path in (tmp_path / "here" / "races" / "small" / "model").iterdir()
    }
    assert not list(folder.glob("runs/*.safetensors"))
    for path in folder.glob("runs/random-*.json"):
        path.unlink()
    again, _ = raced(Path("there"), tmp_path, arms, engine=settings)
    assert scored(again.record) == scored(here.record)
    shutil.rmtree(folder)
    (folder / "runs").mkdir(parents=True)
    (folder / "runs" / "mix-seed1.safetensors").mkdir()  # where the checkpoint of a run should go
    broken, _ = raced(Path("there"), tmp_path, arms, engine=settings)
    failed = {(run["arm"], run["seed"]) for run in broken.record["runs"] if run["error"]}
    assert failed == {("mix", 1)}


class Noting:
    """Reads a file of a workspace and writes another, as trainings do."""

    def __init__(self, root):
        self.root = root

    def name(self, part):
        return f"note {part}"

    def run(self, parts):
        for part in parts:
            read = pl.read_parquet(storage.here(next(self.root.glob("corpora/reviews/*/documents-00000.parquet"))))
            files.write_text(self.root / "notes" / f"{part}.txt", read["text"][part])
            yield len(read)


def test_a_worker_without_the_directory_has_the_store(tmp_path, url, texts, engine, monkeypatch):
    monkeypatch.setenv("CURATOR_MIRRORS", str(tmp_path / "mirrors"))
    ws = Workspace(url, encoder=ToyEncoder())
    ws.add("reviews", texts)
    elsewhere = Mirror(url, tmp_path / "elsewhere")  # is in the place of this machine's copy
    monkeypatch.setattr(storage, "_mirrors", {elsewhere.root: elsewhere})
    monkeypatch.setattr(storage, "every", lambda: [(url, elsewhere.root, "another")])
    engine.close()
    rows = list(engine.map(Noting(elsewhere.root), range(6)))
    assert rows == [len(ws.sql("SELECT * FROM reviews"))] * 6
    store = Objects(url)
    assert not any(name.startswith("notes/") for name in store.files(store.latest(), (0, {})))
    elsewhere.push()
    found = store.files(store.latest(), (0, {}))
    assert {name for name in found if name.startswith("notes/")} == {f"notes/{part}.txt" for part in range(6)}
    assert {entry.sha256 for entry in found.values()} <= store.stored().keys()
    engine.close()


@pytest.mark.filterwarnings("ignore::curator.CuratorWarning")
def test_a_mix_on_an_object_store_is_the_same(tmp_path, url, settings, monkeypatch, small_parts):
    monkeypatch.setenv("CURATOR_MIRRORS", str(tmp_path / "mirrors"))
    monkeypatch.setattr(stores, "SHARD_ROWS", 64)
    recipe = stand_ins("default", tmp_path)
    here = Workspace(tmp_path / "here", encoder=ToyEncoder()).mix(recipe, data=tmp_path)
    engines.stop()  # workers that start now know of the store
    ws = Workspace(url, encoder=ToyEncoder(), engine=settings)
    there = ws.mix(recipe, data=tmp_path)
    assert there.frame().equals(here.frame())
    assert there.version == here.version
    monkeypatch.setenv("CURATOR_MIRRORS", str(tmp_path / "another"))
    again = Workspace(url, encoder=ToyEncoder())
    assert again.check() == []
    again.mix(recipe.name).verify()
    engines.stop()


def test_files_that_another_machine_is_writing_are_left_alone(tmp_path):
    theirs, left = tmp_path / ".a.npy.999999@elsewhere.part", tmp_path / ".b.npy.999999@elsewhere.part"
    for path in (theirs, left):
        path.touch()
    os.utime(left, (0, 0))
    files.sweep(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [theirs.name]
    assert files.is_coming(tmp_path / "a.npy")
    assert not files.is_coming(tmp_path / "b.npy")
    with files.announced(tmp_path / "c.npy"):
        assert files.is_coming(tmp_path / "c.npy")
        files.sweep(tmp_path)
        assert files.is_coming(tmp_path / "c.npy")
