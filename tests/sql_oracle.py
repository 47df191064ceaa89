"""The same query in plain DuckDB and in a workspace over the same tables, and what must agree between the two."""

import math
import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl

from curator import Workspace
from curator.errors import CuratorWarning

TOLERANCE = 1e-5


@dataclass(frozen=True)
class Ties:
    """Equal scores make several answers right: the columns that say which pairs came back, and with which score."""

    measure: str
    left: str = "docs"  # corpora of the columns t_id and p_id
    right: str = "docs"


@dataclass(frozen=True)
class Query:
    """A query, how many of its NEAREST joins FAISS must execute, and how many are left to DuckDB.

    ``faiss = None``: the rows matter, not who finds them.
    """

    sql: str
    faiss: int | None = 1
    duckdb: int = 0
    parameters: dict[str, Any] = field(default_factory=dict)
    ordered: bool = False
    ties: Ties | None = None
    setup: tuple[str, ...] = ()  # CREATE … before it


def documents(n: int) -> pl.DataFrame:
    """Documents with a column of every kind that a query may want: NULL labels, lists, structs, accents."""
    return pl.DataFrame(
        {
            "id": [f"d{i}" for i in range(n)],
            "text": [f"déjà vu {i} 🎈" if i % 4 == 0 else f"text {i}" for i in range(n)],
            "label": [None if i % 7 == 6 else "abc"[i % 3] for i in range(n)],
            "source": ["x" if i % 2 else "y" for i in range(n)],
            "size": list(range(n)),
            "tags": [["red", "blau"][: i % 3] for i in range(n)],
            "info": [{"lang": "en" if i % 2 else "dé", "n": i} for i in range(n)],
            "größe": [i / 4 for i in range(n)],
        },
        schema_overrides={"label": pl.String, "tags": pl.List(pl.String)},
    )


def corpora() -> dict[str, np.ndarray]:
    """The vectors of each corpus, (n, d) float32."""
    rng = np.random.default_rng(11)
    normal = {name: rng.normal(size=(n, 6)) for name, n in {"task": 11, "docs": 60, "zeros": 21, "one": 1}.items()}
    normal["zeros"][[4, 9]] = 0
    grid = rng.integers(-1, 2, size=(40, 6))
    grid[grid.any(axis=1) == 0] = 1
    grid[30:] = grid[:10]
    unit = rng.normal(size=(24, 6))
    unit[12:] = unit[:12]
    cluster = rng.normal(size=384) + 1e-3 * rng.normal(size=(500, 384))
    vectors = {
        **normal,
        "grid": grid,  # small integers: scores without rounding, and with many ties
        "unit": unit / np.linalg.norm(unit, axis=1, keepdims=True),  # each twice
        "cluster": cluster / np.linalg.norm(cluster, axis=1, keepdims=True),  # near duplicates
        "four": rng.normal(size=(5, 4)),
    }
    return {name: matrix.astype(np.float32) for name, matrix in vectors.items()}


class Oracle:
    """A workspace and a plain DuckDB with the same tables: ``embedding FLOAT[d]`` is the last column of each."""

    def __init__(self, directory: Path) -> None:
        self.vectors = corpora()
        self.workspace = Workspace(directory / "workspace")
        self.connection = duckdb.connect()
        for name, matrix in self.vectors.items():
            frame = documents(len(matrix))
            self.workspace.add(name, frame, vectors=matrix)
            kind = pl.Array(pl.Float32, matrix.shape[1])
            table = frame.select(  # as a corpus orders its columns
                "id", "text", "label", "source", pl.lit(None, pl.String).alias("split"),
                "size", "tags", "info", "größe",
                pl.Series("embedding", matrix, dtype=kind),
            )  # fmt: skip
            self.connection.register("given", table.to_arrow(compat_level=pl.CompatLevel.newest()))
            self.connection.execute(f"CREATE TABLE {name} AS FROM given")

    def here(self, query: Query) -> tuple[pl.DataFrame, list[dict[str, Any]]]:
        """The result of the workspace, and its report on each NEAREST join."""
        of_joins = warnings.catch_warnings(action="ignore", category=CuratorWarning)  # left to DuckDB, saturated
        with of_joins, defined(query.setup, self.workspace.execute):
            frame = self.workspace.sql(query.sql, **query.parameters)
            joins = self.workspace.last_report["joins"]
        return frame, joins

    def plain(self, query: Query) -> pl.DataFrame:
        """The result of DuckDB alone, which does not parse a parameter after NEAREST."""
        sql = query.sql
        for name, value in query.parameters.items():
            sql = re.sub(rf"(NEAREST(?:\s|/\*.*?\*/)+)\${name}\b", rf"\g<1>{value}", sql)
        parameters = {name: value for name, value in query.parameters.items() if f"${name}" in sql}
        with defined(query.setup, self.connection.execute):
            table = self.connection.sql(sql, params=parameters or None).to_arrow_table()
        return pl.DataFrame(table.rename_columns(_numbered(table.column_names)))

    def check(self, query: Query) -> None:
        """Raise AssertionError unless both give the same columns and rows, FAISS did its share, and scores are true."""
        here, joins = self.here(query)
        plain = self.plain(query)
        assert here.schema == plain.schema, "columns or types differ"
        if query.ties:
            self._check_ties(here, plain, query.ties)
        else:
            check_rows(here.rows(), plain.rows(), ordered=query.ordered)
        engines = Counter(join["engine"] for join in joins)
        reasons = [join["reason"] for join in joins]
        assert query.faiss is None or (engines["faiss"], engines["duckdb"]) == (query.faiss, query.duckdb), reasons

    def _check_ties(self, here: pl.DataFrame, plain: pl.DataFrame, ties: Ties) -> None:
        """Each left row has DuckDB's scores, no pair comes twice, and each pair has its own score."""
        pairs = here.select("t_id", "p_id").rows()
        assert len(set(pairs)) == len(pairs), "a pair came twice"
        check_rows(here.select("t_id", "s").rows(), plain.select("t_id", "s").rows(), ordered=False)
        found = here.drop_nulls("p_id")
        left = self.vectors[ties.left][found["t_id"].str.slice(1).cast(pl.Int64)].astype(np.float64)
        right = self.vectors[ties.right][found["p_id"].str.slice(1).cast(pl.Int64)].astype(np.float64)
        np.testing.assert_allclose(found["s"].to_numpy(), true_scores(left, right, ties.measure), atol=TOLERANCE)


def true_scores(left: np.ndarray, right: np.ndarray, measure: str) -> np.ndarray:
    """Row by row, in float64; the cosine with a zero vector is NaN, as in DuckDB."""
    inner = (left * right).sum(axis=1)
    if measure == "inner_product":
        return inner
    if measure == "distance":
        return np.sqrt(((left - right) ** 2).sum(axis=1))
    with np.errstate(invalid="ignore"):
        cosine = inner / (np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1))
    return cosine if measure == "cosine_similarity" else 1 - cosine


def check_rows(here: Iterable[tuple], plain: Iterable[tuple], *, ordered: bool) -> None:
    """Raise AssertionError unless the rows agree, floats within the tolerance."""
    one, other = list(here), list(plain)
    assert len(one) == len(other), f"{len(one)} rows, and DuckDB has {len(other)}"
    if not ordered:
        one, other = sorted(one, key=_key), sorted(other, key=_key)
    for a, b in zip(one, other, strict=True):
        assert _close(a, b), f"{a} where DuckDB has {b}"


def _close(a: Any, b: Any) -> bool:
    if isinstance(a, float) and isinstance(b, float):
        return math.isclose(a, b, rel_tol=1e-6, abs_tol=TOLERANCE) or (math.isnan(a) and math.isnan(b))
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(map(_close, a, b))
    return bool(a == b)


def _key(row: tuple) -> tuple[str, list[float]]:
    """What a row is sorted by: everything but its floats, then these, so that rounding cannot part equal rows."""
    floats = [math.inf if math.isnan(value) else value for value in row if isinstance(value, float)]
    return repr([value for value in row if not isinstance(value, float)]), floats


def _numbered(names: list[str]) -> list[str]:
    """As the workspace numbers columns of one name: ``id, id_1``."""
    return [name if not (n := names[:i].count(name)) else f"{name}_{n}" for i, name in enumerate(names)]


@contextmanager
def defined(setup: tuple[str, ...], execute: Callable[[str], object]) -> Iterator[None]:
    """Run some CREATE statements, and their DROP afterwards."""
    with ExitStack() as undo:
        for statement in setup:
            match = re.match(r"CREATE (?:TEMP )?(TABLE|VIEW|MACRO) (\w+)", statement)
            assert match, statement
            execute(statement)
            kind = "MACRO TABLE" if match[1] == "MACRO" and " AS TABLE" in statement else match[1]
            undo.callback(execute, f"DROP {kind} {match[2]}")
        yield
