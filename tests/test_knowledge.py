"""The stage knowledge against paths that are walked one by one, and a recipe's concepts and relations end to end."""

import itertools
import json
import math
from pathlib import Path

import networkx
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curator import Recipe, Workspace
from curator.errors import DataError, RecipeError, UnknownNameError
from curator.relation import Relation
from curator.session import Session
from curator.stages import Stage, run
from curator.vectors import Vectors

SESSION = Session()
STAGE = Stage.load("knowledge", Path())
CONCEPTS = "abcde"


def unit(rng: np.random.Generator, n: int) -> np.ndarray:
    vectors = rng.normal(size=(n, 3)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def documents(corpus: str, drawn: list[tuple[str, str]], vectors: np.ndarray) -> Relation:
    rows = [(corpus, f"{i:02}", " ".join(text), label) for i, (text, label) in enumerate(drawn)]
    schema = {"corpus": pl.String, "id": pl.String, "text": pl.String, "label": pl.String}
    return Relation(pl.DataFrame(rows, schema, orient="row"), Vectors.of(vectors, unit=True))


def links(words: str, vector, names, k: int, least: float) -> dict[str, float]:
    """The concepts of a document, by a loop over all names."""
    near = sorted(((float(np.float64(vector) @ np.float64(v)), c) for c, v in names), reverse=True)[:k]
    found = {}
    for similarity, concept in near:
        if similarity >= least:
            found[concept] = max(similarity, found.get(concept, 0))
    return found | dict.fromkeys(set(words) & set(CONCEPTS), 1.0)


def best(starts: dict[str, float], edges, hops: int, decay: float, *, both: bool) -> dict[str, float]:
    """The most that any walk brings to each concept, every walk of at most ``hops`` steps taken by itself."""
    graph = networkx.MultiDiGraph()
    graph.add_nodes_from(CONCEPTS)
    for head, _, tail, weight in edges:
        graph.add_edge(head, tail, weight=weight)
        if both:
            graph.add_edge(tail, head, weight=weight)
    found = {}
    for start, share in starts.items():
        for end in CONCEPTS:
            paths = [[]] if start == end else networkx.all_simple_edge_paths(graph, start, end, cutoff=hops)
            for path in paths:
                weight = share * math.prod(decay * graph.edges[step]["weight"] for step in path)
                found[end] = max(found.get(end, 0.0), weight)
    return found


def expected(target, candidates, names, edges, p) -> list[float | None]:
    scores = []
    own = [links(words, vector, names, p["k"], p["min_similarity"]) for (words, _), vector in candidates]
    n = len(own)
    holders = {concept: sum(concept in linked for linked in own) for concept in CONCEPTS}
    idf = {c: math.log(1 + (n - h + 0.5) / (h + 0.5)) if p["idf"] else 1.0 for c, h in holders.items()}
    for ((_, label), _), linked in zip(candidates, own, strict=True):
        examples = [
            links(words, vector, names, p["k"], p["min_similarity"])
            for (words, other), vector in target
            if not p["same_label"] or other == label
        ]
        starts = {
            c: sum(e.get(c, 0) for e in examples) / len(examples) for c in CONCEPTS if any(c in e for e in examples)
        }
        reach = best(starts, edges, p["hops"], p["decay"], both=p["both_ways"])
        norm = math.hypot(*[reach[c] * idf[c] for c in reach if holders[c]])
        shared = sum(linked[c] * idf[c] * reach[c] * idf[c] for c in linked if c in reach)
        scores.append(shared / (math.hypot(*[linked[c] * idf[c] for c in linked]) * norm) if shared else 0.0)
    return scores


DOCUMENT = st.tuples(st.text(alphabet="abcdexy", max_size=4), st.sampled_from(["one", "two"]))
EDGE = st.tuples(
    st.sampled_from(CONCEPTS), st.sampled_from(["r", "s"]), st.sampled_from(CONCEPTS), st.sampled_from([0.25, 0.7, 1.0])
).filter(lambda edge: edge[0] != edge[2])
PARAMETERS = st.fixed_dictionaries(
    {
        "hops": st.integers(0, 3),
        "decay": st.sampled_from([0.3, 0.5, 1.0]),
        "both_ways": st.booleans(),
        "same_label": st.booleans(),
        "idf": st.booleans(),
        "k": st.integers(1, 4),
        "min_similarity": st.sampled_from([0.4, 0.8]),
    }
)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(DOCUMENT, min_size=1, max_size=5),
    st.lists(DOCUMENT, min_size=1, max_size=7),
    st.lists(EDGE, max_size=8, unique_by=lambda edge: edge[:3]),
    PARAMETERS,
    st.integers(0, 1000),
)
def test_scores_are_those_of_every_walk_taken_by_itself(target, candidates, edges, parameters, seed):
    rng = np.random.default_rng(seed)
    vectors = {name: unit(rng, n) for name, n in (("t", len(target)), ("c", len(candidates)), ("n", 7))}
    owners = [*CONCEPTS, "a", "b"]  # two concepts have a second name, by vector alone
    named = pl.DataFrame({"concept": owners, "name": [*CONCEPTS, "second", "third"]})
    ways = pl.DataFrame(
        edges, {"head": pl.String, "relation": pl.String, "tail": pl.String, "weight": pl.Float64}, orient="row"
    )
    tables = {
        "target": documents("target", target, vectors["t"]),
        "candidates": documents("pool", candidates, vectors["c"]),
        "concepts": Relation(named, Vectors.of(vectors["n"], unit=True)),
        "relations": Relation(ways),
    }
    got = run(STAGE, STAGE.bind(parameters, 0), tables, SESSION).frame
    wanted = expected(
        list(zip(target, vectors["t"], strict=True)),
        list(zip(candidates, vectors["c"], strict=True)),
        list(zip(owners, vectors["n"], strict=True)),
        edges,
        parameters,
    )
    assert got["score"].to_list() == pytest.approx(wanted, abs=1e-6)
    assert got["keep"].to_list() == [score >= 0.1 for score in got["score"]]
    for row, (_, label) in zip(got.to_dicts(), candidates, strict=True):
        if row["partner_id"] is not None:
            _is_a_path(row, edges, parameters, target, label)


def _is_a_path(row, edges, parameters, target, label) -> None:
    """Each step of the path is a relation, in a way that may be gone, and the target document is of the right label."""
    words = row["reason"].partition(": ")[2].partition(", which target:")[0].split(" ")
    known = {(head, relation, tail) for head, relation, tail, _ in edges}
    assert len(words) // 2 <= parameters["hops"]
    for here, way, there in zip(words[::2], words[1::2], words[2::2], strict=False):
        inward = way.startswith("<-")
        step = (there, way[3:-2], here) if inward else (here, way[2:-3], there)
        assert step in known
        assert inward or parameters["both_ways"]
    other = target[int(row["partner_id"])][1]
    assert other == label or not parameters["same_label"]


def test_of_equal_paths_the_first_of_the_shortest_is_told_whatever_the_order_of_the_rows():
    edges = [("a", "r", "x"), ("b", "r", "x"), ("t", "s", "a"), ("t", "s", "b"), ("t", "q", "b")]
    told = set()
    for order in [*itertools.permutations(edges)][::13]:
        ways = pl.DataFrame(order, ["head", "relation", "tail"], orient="row").with_columns(weight=1.0)
        names = pl.DataFrame({"concept": list("abtx")}).with_columns(name="concept")
        tables = {
            "target": documents("target", [("t", "one")], unit(np.random.default_rng(0), 1)),
            "candidates": documents("pool", [("x", "one")], unit(np.random.default_rng(1), 1)),
            "concepts": Relation(names, Vectors.of(unit(np.random.default_rng(2), 4), unit=True)),
            "relations": Relation(ways),
        }
        told |= set(
            run(STAGE, STAGE.bind({"links": "mention", "hops": 4, "decay": 1.0}, 0), tables, SESSION).frame["reason"]
        )
    assert told == {'"x" in the text: x <-[r]- a <-[s]- t, which target:00 mentions'}


@pytest.fixture
def folder(tmp_path):
    files = {
        "target": [{"id": f"t{i}", "text": f"my {w} {i}", "label": w} for i, w in enumerate(["card", "loan"] * 3)],
        "test": [
            {"id": f"e{i}", "text": f"so this is the {w} no {i}", "label": w}
            for i, w in enumerate(["card", "loan"] * 3)
        ],
        "shop": [
            {"id": "pin", "text": "where is the pin code", "label": "card"},
            {"id": "rate", "text": "what interest do you take", "label": "loan"},
            {"id": "sun", "text": "it is sunny", "label": "loan"},
        ],
    }
    for name, rows in files.items():
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "concepts.csv").write_text("concept,name\ncard,card\nloan,loan\npin,PIN code\nrate,interest\n")
    (tmp_path / "relations.csv").write_text("head,relation,tail,weight\npin,part_of,card,1\nrate,of,loan,0.5\n")
    return tmp_path


def recipe(folder, **changes):
    values = {
        "name": "small",
        "task": {"target": "target.jsonl", "test": "test.jsonl"},
        "pool": {"shop": {"path": "shop.jsonl"}},
        "knowledge": {"concepts": "concepts.csv", "relations": "relations.csv"},
        "stage": [{"use": "knowledge", "min_similarity": 1.0}],
        **changes,
    }
    return Recipe.parse({key: value for key, value in values.items() if value is not None}, folder=folder)


@pytest.fixture
def ws(folder, toy):
    return Workspace(folder / "work", encoder=toy)


def test_a_mix_says_by_which_path_and_rebuilds_after_the_files_changed(ws, folder):
    mix = ws.mix(recipe(folder))
    assert mix.frame()["id"].to_list() == ["pin", "rate"]
    told = str(mix.explain("shop:pin"))
    assert '"PIN code" in the text: pin -[part_of]-> card, which target:t0 mentions' in told
    assert "held against target:t0 “my card 0”" in told
    roles = {entry["role"]: entry["corpus"] for entry in mix.lock["corpora"]}
    assert (roles["concepts"], roles["relations"]) == ("small_concepts", "small_relations")
    (folder / "relations.csv").write_text("head,relation,tail\nrate,of,loan\n")
    again = ws.mix(recipe(folder))
    assert again.frame()["id"].to_list() == ["rate"]
    assert again.diff(mix)["id"].to_list() == ["pin"]
    ws.gc()
    assert mix.verify().documents == 2
    assert again.verify().documents == 1


def test_a_persons_own_stage_sees_concepts_and_relations(ws, folder):
    (folder / "mine.sql").write_text(
        "-- Mine.\nSELECT corpus, id, (SELECT count(*) FROM concepts) = 4\n"
        "AND (SELECT sum(weight) FROM relations) = 1.5 AS keep FROM candidates"
    )
    assert len(ws.mix(recipe(folder, stage=[{"use": "mine.sql"}]))) == 3


def test_relations_may_be_left_out(ws, folder):
    with pytest.raises(DataError, match="no pool document is left after 'knowledge'"):
        ws.mix(recipe(folder, knowledge={"concepts": "concepts.csv"}))


def test_without_knowledge_the_stage_says_what_to_add_and_a_lock_is_what_it_was(ws, folder):
    with pytest.raises(
        RecipeError, match=r"knowledge: the stage reads concepts and relations, and small has no \[know"
    ):
        ws.mix(recipe(folder, knowledge=None))
    plain = recipe(folder, knowledge=None, stage=[])
    assert "knowledge" not in plain.model_dump()
    lock = ws.mix(plain).lock
    assert "knowledge" not in lock["recipe"]
    assert {entry["role"] for entry in lock["corpora"]} == {"target", "test", "pool"}


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("concepts", "concept,word\na,b\n", "name"),
        ("concepts", "thing,name\na,b\n", "the concepts have no column 'concept'; there are: "),
        ("concepts", "concept,name\ncard,card\n,loan\n", r"^concepts.csv:3: there is no concept$"),
        ("concepts", "concept,name\ncard,?!\n", r"^concepts.csv:2: the name '\?!' has no letter or digit$"),
        (
            "concepts",
            "concept,name\ncard,card\nx,y\ncard, card\n",
            r"^concepts.csv:4: 'card' is a name of 'card' already$",
        ),
        ("relations", "head,relation\npin,of\n", "the relations have no column 'tail'"),
        (
            "relations",
            "head,relation,tail\npin,of,card\npin,of,lone\n",
            r"^relations.csv:3: tail: .*did you mean 'loan'\?",
        ),
        ("relations", "head,relation,tail\npin,of,pin\n", r"^relations.csv:2: 'pin' is related to itself$"),
        (
            "relations",
            "head,relation,tail\npin,of,card\npin, of,card\n",
            r"^relations.csv:3: 'pin' 'of' 'card' is there",
        ),
        (
            "relations",
            "head,relation,tail,weight\npin,of,card,1.5\n",
            r"^relations.csv:2: the weight is '1.5'; it must be",
        ),
        (
            "relations",
            "head,relation,tail,weight\npin,of,card,much\n",
            r"^relations.csv:2: the weight is 'much'; it must",
        ),
        (
            "relations",
            "head,relation,tail,weight\npin,of,card,0\nrate,of,loan,\n",
            r"weight is '0'; .*\(2 such rows\)$",
        ),
    ],
)
def test_bad_rows_are_named_with_their_file_and_line(ws, folder, name, text, told):
    (folder / f"{name}.csv").write_text(text)
    with pytest.raises((DataError, UnknownNameError), match=told):
        ws.mix(recipe(folder))


def test_rows_that_cannot_be_read_are_told(ws, folder):
    (folder / "concepts.csv").write_text('concept,name\ncard,card\nloan,loan\npin,PIN code\nrate,interest\nfee," "\n')
    warnings = ws.mix(recipe(folder)).summary()["warnings"]
    assert [line for line in warnings if "could not be read, the first at concepts.csv:6: " in line], warnings


def test_settings_of_documents_mean_nothing_here(folder):
    with pytest.raises(RecipeError, match=r"labels = \{'a': 'b'\} is for documents; the columns have fixed names"):
        recipe(folder, knowledge={"concepts": {"path": "concepts.csv", "labels": {"a": "b"}}})
