"""Every shipped ``.sql`` file against rows written by hand: what is given, and exactly what comes back.

A case file lists cases of one stage or of one file of macros. A stage's case gives rows of its relations, where the
corpus is the relation's name, the text the id and the source the corpus unless it says otherwise; relations it does
not name are empty. It expects one row per candidate: a column that a row leaves out is NULL.
"""

import functools
import json
import math
import re
import tempfile
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tiny_bert import write_classifier

from curator.documents import normalise
from curator.errors import QueryError, RecipeError
from curator.functions import FUNCTIONS
from curator.nearest import Tools, rewrite
from curator.relation import Relation
from curator.session import Session, sql_folder
from curator.stages import Stage
from curator.vectors import Vectors

SESSION = Session()
STAGES = {path.stem: path.read_text("utf8") for path in sorted((sql_folder() / "stages").glob("*.sql"))}
CASES = {path.stem: json.loads(path.read_text("utf8")) for path in (Path(__file__).parent / "sql_cases").glob("*.json")}
STAGE_CASES = [pytest.param(name, case, id=f"{name}: {case['case']}") for name in STAGES for case in CASES[name]]
MACRO_CASES = [(macro, case) for macro in CASES["macros"] for case in CASES["macros"][macro]]

SCHEMA = {
    "corpus": pl.String, "id": pl.String, "text": pl.String, "label": pl.String, "source_label": pl.String,
    "source": pl.String, "serves": pl.String, "weight": pl.Float64, "previous_score": pl.Float64,
}  # fmt: skip
ONLY_CANDIDATES = ("source_label", "serves", "weight", "previous_score")
PARAMETER = re.compile(r"-- :(\w+) +(FLOAT|INTEGER|VARCHAR|BOOLEAN|EXPRESSIONS?|NUMBERS) +('[^']*'|\S+) {2,}\S.*")
READERS = {"FLOAT": float, "INTEGER": int, "VARCHAR": lambda text: text[1:-1], "BOOLEAN": lambda text: text == "true"}
READERS |= dict.fromkeys(("EXPRESSION", "EXPRESSIONS"), READERS["VARCHAR"])


def defaults(sql: str) -> dict:
    header = [line for line in sql.splitlines() if line.startswith("-- :")]
    matches = [PARAMETER.fullmatch(line) for line in header]
    assert all(matches), header
    return {m[1]: None if m[3] == "NULL" else READERS[m[2]](m[3]) for m in matches}


def relation(name: str, rows: list[dict], dimension: int = 2) -> Relation:
    common = {"corpus": name, "serves": "labels", "weight": 1.0}
    filled = [common | row for row in rows]
    filled = [{"text": row["id"], "source": row["corpus"]} | row for row in filled]
    frame = pl.DataFrame([{key: row.get(key) for key in SCHEMA} for row in filled], schema=SCHEMA)
    if name != "candidates":
        frame = frame.drop(*ONLY_CANDIDATES, *(["label"] if name == "test" else []))
    vectors = np.array([row.get("embedding", [1, 0]) for row in rows], np.float32).reshape(
        len(rows), -1 if rows else dimension
    )
    assert not rows or np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-3)
    return Relation(frame, Vectors.of(vectors, unit=True))


def relations(given: dict[str, list[dict]]) -> dict[str, Relation]:
    dimension = max((len(row["embedding"]) for rows in given.values() for row in rows if "embedding" in row), default=2)
    documents = {
        name: relation(name, given.get(name, []), dimension) for name in ("target", "dev", "test", "candidates")
    }
    return documents | knowledge(given.get("concepts", []), given.get("relations", []), dimension)


def knowledge(concepts: list[dict], relations: list[dict], dimension: int = 2) -> dict[str, Relation]:
    """Concepts, a name each unless another is given, and relations of weight 1 unless another is given."""
    unit = [1.0] + [0.0] * (dimension - 1)
    names = [(row["concept"], row.get("name", row["concept"])) for row in concepts]
    vectors = np.array([row.get("embedding", unit) for row in concepts], np.float32).reshape(-1, dimension)
    ways = [(row["head"], row["relation"], row["tail"], row.get("weight", 1.0)) for row in relations]
    schema = {"head": pl.String, "relation": pl.String, "tail": pl.String, "weight": pl.Float64}
    named = pl.DataFrame(names, {"concept": pl.String, "name": pl.String}, orient="row")
    return {
        "concepts": Relation(named, Vectors.of(vectors, unit=True)),
        "relations": Relation(pl.DataFrame(ways, schema, orient="row")),
    }


# What stages cannot do without.
NEEDED = {
    "blocklist": {"terms": "org"},
    "classifier": {"model": "random", "label": "toxic", "max_score": 0.6},
    "dpp": {"budget": 5},
    "facility_location": {"budget": 5},
    "hierarchy": {"levels": "source, label"},
    "k_center": {"budget": 5},
    "mmr": {"budget": 5},
}

FOLDER = tempfile.TemporaryDirectory()


@functools.cache
def model(kind: str) -> str:
    """The directory of a classifier: one that says toxic with e / (1 + e) = 0.7311 of every text, or a random one."""
    directory = Path(FOLDER.name) / kind
    biases = [0.0, 1.0] if kind == "constant" else None
    return str(write_classifier(directory, ["word", "org"], ["clean", "toxic"], biases=biases))


def run(stage: str, tables: dict[str, Relation], **parameters):
    values = defaults(STAGES[stage]) | parameters
    if values.get("model"):
        values["model"] = model(values["model"])
    visible = {name: table for name, table in tables.items() if name != "test" or "-- reads: test\n" in STAGES[stage]}
    values = Stage.load(stage, Path()).arguments(values, tables["candidates"], SESSION)
    query = rewrite(SESSION, STAGES[stage], values, Tools(visible, FUNCTIONS))
    return pl.DataFrame(query.fetch()), query.joins


def rounded(value):
    return round(value, 4) + 0.0 if isinstance(value, float) else value


@pytest.mark.parametrize(("stage", "case"), STAGE_CASES)
def test_stage(stage, case):
    got, joins = run(stage, relations(case["given"]), **case.get("parameters", {}))
    rows = {(row["corpus"], row["id"]): row for row in got.to_dicts()}
    assert len(rows) == len(got)
    expected = [{"corpus": "candidates"} | row for row in case["expect"]]
    assert rows.keys() == {(row["corpus"], row["id"]) for row in expected}
    for row in expected:
        found = rows[row["corpus"], row["id"]]
        assert {name: rounded(value) for name, value in found.items() if value is not None} == row
    assert {join.engine for join in joins} <= {"faiss"}, [join.reason for join in joins]


@pytest.mark.parametrize(("macro", "case"), MACRO_CASES, ids=str)
def test_macro(macro, case):
    expression, expected = case
    value = SESSION.fetch(f"SELECT {expression} AS value", {}).column(0)[0].as_py()
    assert macro in expression
    assert value == (pytest.approx(expected) if isinstance(expected, float) else expected)


def test_every_file_has_a_case():
    assert set(CASES) == set(STAGES) | {"macros", "pairs"}
    assert all(CASES[name] for name in STAGES)
    text = "\n".join(path.read_text("utf8") for path in (sql_folder() / "macros").glob("*.sql"))
    macros = re.findall(r"^CREATE MACRO (\w+)\(", text, re.MULTILINE)
    assert set(CASES["macros"]) == set(macros)


@pytest.mark.parametrize("stage", STAGES)
def test_every_parameter_is_declared_and_used(stage):
    code = re.sub(r"--.*", "", STAGES[stage])
    assert set(re.findall(r"\$(\w+)", code)) == set(defaults(STAGES[stage]))
    assert ("reads: test" in STAGES[stage]) == (stage == "decontaminate")


def test_macros_take_no_name_of_duckdbs():
    import duckdb

    names = {
        row[0] for row in duckdb.connect().execute("SELECT DISTINCT function_name FROM duckdb_functions()").fetchall()
    }
    assert not set(CASES["macros"]) & names


JOINS = dict.fromkeys(STAGES, 0) | {
    "cluster_importance": 1, "decontaminate": 1, "knowledge": 2, "label_noise": 1, "pairing": 6, "relevance": 1,
    "relevance_centroid": 1, "relevance_label": 1, "round_robin": 1, "tsds": 1,
}  # fmt: skip


def some_knowledge() -> dict[str, Relation]:
    """Concepts that some of those documents mention, or are near to, in a ring with a chord."""
    names = ["word", "1", "2", "b", "org", "word word", "7", "8"]
    vectors = np.random.default_rng(8).normal(size=(len(names), 6))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    concepts = [
        {"concept": f"c{i // 2}", "name": name, "embedding": row}
        for i, (name, row) in enumerate(zip(names, vectors, strict=True))
    ]
    ends = [("c0", "c1"), ("c1", "c2"), ("c2", "c3"), ("c3", "c0"), ("c0", "c2")]
    return knowledge(concepts, [{"head": head, "relation": "r", "tail": tail} for head, tail in ends], 6)


def some_documents(name: str, n: int, seed: int) -> Relation:
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(n, 6)).astype(np.float32)
    if name == "candidates":
        vectors[n // 2 : n // 2 + 5] = vectors[:5] + 1e-3  # near duplicates
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    rows = [
        {
            "corpus": f"{name}{i % 3}",
            "id": f"d{i:03}",
            "text": f"{'word ' * (i % 7)}{i}{' a@b.org' * (i % 9 == 0)}",
            "label": "abc"[i // 2 % 3],
        }
        for i in range(n)
    ]
    if name == "candidates":
        for i in range(5):
            rows[n // 2 + i]["text"] = rows[i]["text"].upper()  # the same text
    for i, row in enumerate(rows):
        row["previous_score"] = float(rng.integers(4)) if i % 5 else None  # ties and holes
        if name == "candidates" and i % 4 == 3:
            row |= {"label": None, "serves": "vote"}
    table = relation(name, rows)
    return Relation(table.frame, Vectors.of(vectors, unit=True))


VARIED = {
    "ratio": {"budget": 30, "cap": 0.4},
    "pairing": {"k": 4, "min_share": 0.4},
    "deduplicate": {"min_similarity": 0.7},
    "dsir": {"budget": 20, "by": "label", "order": "sampled"},
    "relevance": {"k": 3},
    "gopher": {"min_words": 2, "min_lettered": 0.0, "min_stop_words": 0},
    "c4": {"min_sentences": 0, "bad_words": "word word"},
    "fineweb": {"min_sentence_lines": -1.0, "short": 12},
    "language": {"keep": "af"},
    "cluster_importance": {"budget": 20, "order": "sampled"},
    "label_noise": {"k": 9, "min_share": 1.0},
    "label_quality": {"folds": 3},
    "pii": {"action": "drop"},
    "bm25": {"budget": 20},
    "blocklist": {"terms": "word word word word, b"},
    "classifier": {"model": "random", "max_score": 0.6},
    "source_value": {"z": 0.0, "budget": 20, "draws": 2, "c": 1.0},
    "trust": {"min_trust": 1.0},
    "dpp": {"budget": 20, "relevance": "score"},
    "facility_location": {"budget": 20, "k": 9, "sample": 40},
    "k_center": {"budget": 20},
    "mmr": {"budget": 20},
    "round_robin": {"budget": 20},
    "knowledge": {"budget": 20, "same_label": True},
    "tsds": {"budget": 20, "near_duplicate": 0.7},
    "hierarchy": {"levels": "source", "clusters": "6, 2", "budget": 30},
    "found_ratio": {"budget": 30, "sample": 20, "trials": 10, "draws": 2, "c": 1.0, "by": "id[-1:] < '5'"},
}


@pytest.mark.parametrize("stage", STAGES)
def test_the_order_of_rows_changes_no_verdict(stage):
    tables = {
        name: some_documents(name, n, n) for name, n in {"target": 12, "dev": 5, "test": 9, "candidates": 80}.items()
    } | some_knowledge()
    first, joins = run(stage, tables, **VARIED.get(stage, {}))
    assert len(first) == 80
    assert set(first["keep"]) == {True, False}
    assert [join.engine for join in joins] == ["faiss"] * JOINS[stage]
    for seed in (1, 2):
        shuffled = {
            name: table.take(np.random.default_rng(seed).permutation(len(table))) for name, table in tables.items()
        }
        again, _ = run(stage, shuffled, **VARIED.get(stage, {}))
        assert _comparable(again) == _comparable(first)


ALONE = [stage for stage in STAGES if Stage.load(stage, Path()).alone]


@pytest.mark.parametrize("stage", ALONE)
def test_what_judges_each_alone_says_the_same_whatever_is_beside_it(stage):
    """A wrong mark shows: of halves, of single documents, and of halves with documents beside them, bit by bit."""
    tables = {name: some_documents(name, n, n) for name, n in {"target": 40, "dev": 5, "test": 9}.items()}
    candidates, rng = some_documents("candidates", 80, 80), np.random.default_rng(5)
    for parameters in (NEEDED.get(stage, {}), VARIED.get(stage, {})):

        def said(rows, given=parameters):
            found, _ = run(stage, {**tables, "candidates": candidates.take(rows)}, **NEEDED.get(stage, {}) | given)
            return {row["id"]: row for row in found.to_dicts()}

        whole = said(range(80))
        order = rng.permutation(80)
        for part in (order[:40], order[40:], order[:7], *order[:6, None]):
            some = said(part)
            assert some == {name: whole[name] for name in some}
            assert len(some) == len(part)


def test_which_stages_judge_each_alone():
    assert ALONE == [
        "blocklist", "c4", "decontaminate", "fineweb", "gopher", "language", "pii", "quality", "relevance",
        "relevance_centroid", "relevance_label",
    ]  # fmt: skip


def _comparable(frame: pl.DataFrame) -> list:
    return [tuple(rounded(value) for value in row) for row in frame.sort("corpus", "id").iter_rows()]


@pytest.mark.parametrize("stage", STAGES)
def test_empty_relations_break_nothing(stage):
    tables = {name: some_documents(name, 12, 3) for name in ("target", "dev", "test", "candidates")} | some_knowledge()
    empty = {name: table.take([]) for name, table in tables.items()}
    if stage == "decontaminate":  # nothing to look for would be a pass that says nothing
        empty["test"] = tables["test"]
    parameters = NEEDED.get(stage, {})
    got, _ = run(stage, {**empty, "candidates": tables["candidates"]}, **parameters)
    assert set(got["id"]) == set(tables["candidates"].frame["id"])
    assert got["keep"].null_count() == 0
    for others in (empty, tables):
        nothing, _ = run(stage, {**others, "candidates": empty["candidates"]}, **parameters)
        assert len(nothing) == 0


@pytest.mark.parametrize(
    ("rows", "parameters", "layers"),
    [
        ([], {}, "text and run and cosine"),
        ([{"text": "too short for it"}], {}, "run"),
        ([{"text": "?"}], {"min_words": 1}, "run"),
        ([{"text": "  "}], {"ngram": 0}, "text"),
    ],
)
def test_a_layer_that_can_check_no_test_document_is_an_error(rows, parameters, layers):
    tables = relations({"candidates": [{"id": "a"}], "test": [{"id": f"t{i}"} | row for i, row in enumerate(rows)]})
    with pytest.raises(QueryError, match=f"^no test document can be checked by {layers}: a leak would go unseen"):
        run("decontaminate", tables, **parameters)


@pytest.mark.parametrize(("stage", "case"), STAGE_CASES)
def test_parameters_of_the_cases_are_in_their_ranges(stage, case):
    Stage.load(stage, Path()).bind(case.get("parameters", {}), 0)


@pytest.mark.parametrize("stage", STAGES)
def test_numbers_have_ranges(stage):
    free = {"seed"}
    if stage in ("classifier", "cluster_importance", "domain", "dsir"):  # logarithms, and what a regression says
        free |= {"min_score", "max_score"}
    for parameter in Stage.load(stage, Path()).parameters:
        if parameter.type in ("FLOAT", "INTEGER"):
            assert (parameter.allowed is None) == (parameter.name in free), parameter


@pytest.mark.parametrize(
    ("stage", "name", "value", "must"),
    [
        ("ratio", "order", "rank", "score or random"),
        ("ratio", "budget", 0, "at least 1"),
        ("ratio", "cap", 1.5, "above 0 and at most 1"),
        ("ratio", "cap", 0, "above 0 and at most 1"),
        ("ratio", "temperature", 0.0, "above 0"),
        ("ratio", "temperature", math.nan, "above 0"),
        ("relevance", "min_score", -1.5, "at least -1 and at most 1"),
        ("dsir", "smoothing", math.inf, "above 0 and finite"),
    ],
    ids=str,
)
def test_parameters_out_of_range_are_named(stage, name, value, must):
    with pytest.raises(RecipeError, match=rf"/{stage}\.sql: {name} is {re.escape(repr(value))}: it must be {must}$"):
        Stage.load(stage, Path()).bind({name: value}, 0)


@pytest.mark.parametrize(
    ("stage", "name", "value"),
    [
        ("ratio", "cap", 1),
        ("ratio", "cap", 1e-9),
        ("ratio", "temperature", math.inf),
        ("relevance", "min_score", -1),
    ],
)
def test_ends_that_belong_to_a_range_may_be_taken(stage, name, value):
    assert Stage.load(stage, Path()).bind({name: value}, 0)[name] == value


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("x  FLOAT  1  [0, y]  what", r"\[0, y\] is no interval of numbers with two spaces behind it, like \[0, 1\]"),
        ("x  FLOAT  1  [0, 1] what", r"\[0, 1\] is no interval of numbers with two spaces behind it"),
        ("x  FLOAT  NULL  [5, 1]  what", r"\[5, 1\] is no interval"),
        ("x  FLOAT  1  [nan, 1]  what", r"\[nan, 1\] is no interval"),
        ("x  VARCHAR  'a'  b|c  what", "the default 'a' of 'x' is not b or c$"),
        ("x  INTEGER  0  [1, inf)  what", "the default 0 of 'x' is not at least 1$"),
        ("x  INTEGER  a  what", "the default a of 'x' is not a INTEGER$"),
        ("x  INTEGER", "a parameter is written '-- :name  TYPE  default   meaning'$"),
    ],
)
def test_headers_that_say_nothing_are_named_with_their_line(line, message):
    with pytest.raises(RecipeError, match=rf"^mine\.sql:2: {message}"):
        Stage.parse("mine", f"-- Mine.\n-- :{line}\nSELECT corpus, id, $x AS keep FROM candidates", "mine.sql")


@pytest.mark.parametrize(
    "line",
    [
        "x  FLOAT  1   [sic] what it is",
        "x  FLOAT  0.5  (0 to 1)  share",
        "x  FLOAT  0.5  (optional) share, see paper (2024)  for more",
        "x  INTEGER  0  0|1  what",
        "x  VARCHAR  'a'  [0, 1]  what",
        "x  BOOLEAN  true  true|false  what",
    ],
)
def test_headers_without_ranges_are_read(line):
    stage = Stage.parse("mine", f"-- Mine.\n-- :{line}\nSELECT $x AS keep", "mine.sql")
    assert [(p.allowed, line.endswith(p.meaning)) for p in stage.parameters] == [(None, True)]


def test_a_lockfile_of_before_there_were_ranges_is_read():
    sql = "-- Mine.\n-- :x  VARCHAR  'c'  a|b  what\n-- :y  FLOAT  1  [2, 0]  what\nSELECT $x = $y AS keep"
    stage = Stage.parse("mine", sql, "lockfile", ranges=False)
    assert [(p.name, p.allowed, p.meaning) for p in stage.parameters] == [
        ("x", None, "a|b  what"),
        ("y", None, "[2, 0]  what"),
    ]


def test_the_loosest_settings_of_fineweb_keep_anything():
    loose = {"min_sentence_lines": -1.0, "max_line_characters": 2.0, "max_short_lines": 2.0}
    parameters = Stage.load("fineweb", Path()).bind(loose, 0)
    rows = [{"id": "a", "text": "a title with no end"}, {"id": "b", "text": "same\nsame"}]
    got, _ = run("fineweb", relations({"candidates": rows}), **parameters)
    assert got["keep"].to_list() == [True, True]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"proportions": "nobody=1", "budget": 1}, "names 'nobody', which is no target"),
        ({"proportions": "a=much", "budget": 1}, "gives 'a' no number"),
        ({"proportions": "a=-1", "budget": 1}, "gives 'a' no number"),
        ({"proportions": "a=1"}, "needs a budget"),
    ],
    ids=str,
)
def test_proportions_that_make_no_sense_are_named(parameters, message):
    given = {"target": [{"id": "t", "label": "a"}], "candidates": [{"id": "c"}]}
    with pytest.raises(QueryError, match=message):
        run("dsir", relations(given), by="label", **parameters)


def water_filling(sizes: dict[str, int], budget: int, temperature: float, cap: float) -> dict[str, int]:
    """Quotas by bisection on the level, then largest remainder: slow, plain, and not how the SQL does it."""
    room = {name: min(n, int(cap * budget + 1e-9)) for name, n in sizes.items()}
    largest = max(sizes.values())
    pull = {name: (n / largest) ** (1 / temperature) for name, n in sizes.items()}
    total = min(budget, sum(room.values()))
    low, high = 0.0, float(max(sizes.values())) * max(1 / p for p in pull.values())
    for _ in range(200):
        level = (low + high) / 2
        reached = sum(min(room[name], level * pull[name]) for name in sizes)
        low, high = (level, high) if reached < total else (low, level)
    share = {name: round(min(room[name], high * pull[name]), 6) for name in sizes}
    quota = {name: int(share[name]) for name in sizes}
    for name in sorted(sizes, key=lambda name: (quota[name] >= room[name], quota[name] - share[name], name)):
        if sum(quota.values()) < total:
            quota[name] += 1
    return quota


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    counts=st.lists(st.integers(1, 40), min_size=1, max_size=6),
    budget=st.integers(1, 150),
    temperature=st.sampled_from([0.5, 1.0, 2.0, 50.0]),
    cap=st.sampled_from([0.1, 0.34, 0.5, 1.0]),
)
@example(counts=[60, 5], budget=100, temperature=1.0, cap=0.29)  # 0.29 · 100 is 28.999999999999996
def test_ratio_fills_quotas_like_water(counts, budget, temperature, cap):
    sizes = {f"s{i}": n for i, n in enumerate(counts)}
    rows = [{"corpus": name, "id": f"{j:02}", "label": "a"} for name, n in sizes.items() for j in range(n)]
    parameters = {"budget": budget, "by": "source", "temperature": temperature, "cap": cap}
    got, _ = run("ratio", relations({"candidates": rows}), **parameters)
    kept = {name: got.filter(pl.col("corpus") == name)["keep"].sum() for name in sizes}
    assert kept == water_filling(sizes, budget, temperature, cap)
    assert sum(kept.values()) == min(budget, sum(min(n, int(cap * budget + 1e-9)) for n in counts))


def test_ratio_draws_another_sample_for_another_seed():
    rows = [{"id": f"{i:03}", "label": "a", "previous_score": float(i)} for i in range(100)]
    tables = relations({"candidates": rows})
    samples = [
        set(run("ratio", tables, budget=50, order="random", seed=seed)[0].filter(pl.col("keep"))["id"])
        for seed in (0, 0, 1)
    ]
    assert samples[0] == samples[1] != samples[2]
    assert 10 < len(samples[0] & {f"{i:03}" for i in range(50)}) < 40  # neither the first nor the best


PLAIN = st.text(alphabet="aBcÉéÑñЖжΩω中文かな 0 9\t\n\u00a0.,!?'\"-—()[]¿«»#%&@*_:;/\\", max_size=30)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(texts=st.lists(PLAIN, min_size=50, max_size=50))
def test_normalised_is_pythons_normalise(texts):
    frame = Relation(pl.DataFrame({"text": texts}))
    got = rewrite(SESSION, "SELECT normalised(text) AS text FROM texts", {}, Tools({"texts": frame})).fetch()
    assert got.column(0).to_pylist() == [normalise(text) for text in texts]
