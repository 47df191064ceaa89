"""Stages: one ``.sql`` file each, which gives a verdict on every candidate. This runs them and keeps the ledger.

A stage's header says what it does, whether it reads the test set, whether it cannot do without a recipe's concepts and
relations, and its parameters::

    -- Keep candidates that are close enough to some target document.
    -- reads: test
    -- reads: knowledge
    -- fpr: min_score of pool and test
    -- :min_score  FLOAT    0.35     [-1, 1]  cosine similarity a candidate must reach
    -- :order      VARCHAR  'score'  score|random  the best first, or at random

A parameter of type EXPRESSION is SQL over the candidates' columns and stands in the statement as it is; one of type
EXPRESSIONS is one or more of them with commas between, and stands for the list of their values as text. NUMBERS is a
table of names and numbers, a MAP(VARCHAR, DOUBLE).

What a parameter may be is optional: an interval of numbers, with a round bracket for an end that is not of it, or
words. The line ``fpr`` lets a recipe say ``fpr = 1e-4`` in the place of that cosine: which one it is then comes of the
random pairs of those two relations (``pool and pool``: of the pairs within it).

Its SELECT returns ``corpus, id, keep`` and, where they mean something, the other columns of ``VERDICT``.
"""

import hashlib
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import polars as pl

from curator.errors import QueryError, RecipeError, UnknownNameError
from curator.functions import FUNCTIONS
from curator.nearest import (
    AS_ASKED,
    Expression,
    JoinReport,
    Searching,
    Tools,
    check_columns,
    one,
    rewrite,
    several,
)  # fmt: skip
from curator.relation import Relation
from curator.session import Session, sql_folder

VERDICT: dict[str, type[pl.DataType]] = {
    "corpus": pl.String,
    "id": pl.String,
    "keep": pl.Boolean,
    "rule": pl.String,
    "score": pl.Float64,
    "threshold": pl.Float64,
    "partner_corpus": pl.String,
    "partner_id": pl.String,
    "rank": pl.Int64,
    "label": pl.String,
    "weight": pl.Float64,
    "reason": pl.String,
    "text": pl.String,  # the document's from here on; the ledger does without
}
LEDGER: dict[str, type[pl.DataType]] = {
    "corpus": pl.String,
    "id": pl.String,
    "stage": pl.String,
    "position": pl.Int64,
    **{name: kind for name, kind in VERDICT.items() if name not in ("corpus", "id", "text")},
}

_PARAMETER = re.compile(
    r"--\s*:(\w+)\s+(FLOAT|INTEGER|VARCHAR|BOOLEAN|EXPRESSIONS?|NUMBERS)\s+('[^']*'|\S+)\s\s+(\S.*)"
)
_INTERVAL = re.compile(r"([\[(])\s*([^\s,]+)\s*,\s*([^\s,]+?)\s*([\])])(?:\s\s+|\t|(?=\s|$))")
_WORDS = re.compile(r"([\w-]+(?:\|[\w-]+)+)\s\s+")
_FPR = re.compile(r"--\s*fpr:\s*(\w+) of (\w+) and (\w+)\s*$")
_CALIBRATED = ("target", "dev", "test", "pool")  # what a stage's cosine may be calibrated on
_READABLE = ("test", "knowledge")
_READS = re.compile(r"--\s*reads:\s*(\w+)\s*$")
_TYPES: dict[str, type | tuple[type, ...]] = {
    "FLOAT": (int, float), "INTEGER": int, "VARCHAR": str, "BOOLEAN": bool, "EXPRESSION": str, "EXPRESSIONS": str,
    "NUMBERS": dict,
}  # fmt: skip
_EXPRESSION = {"EXPRESSION": one, "EXPRESSIONS": several}
_TELLING = "SELECT corpus, id, $value AS value FROM candidates"


@dataclass(frozen=True)
class Interval:
    """Numbers that a setting may be."""

    low: float
    high: float
    from_low: bool  # whether the ends are of it
    to_high: bool

    def __contains__(self, value: float) -> bool:
        return (self.low < value or (self.from_low and value == self.low)) and (
            value < self.high or (self.to_high and value == self.high)
        )

    def __str__(self) -> str:
        low = f"{'at least' if self.from_low else 'above'} {_short_number(self.low)}"
        high = f"{'at most' if self.to_high else 'below'} {_short_number(self.high)}"
        ends = [told for told, end in ((low, self.low), (high, self.high)) if math.isfinite(end)]
        return " and ".join(ends) or "any number"


class Words(tuple[str, ...]):
    """Words of which a setting may be one."""

    __slots__ = ()

    def __str__(self) -> str:
        return " or ".join([", ".join(self[:-1]), self[-1]])


@dataclass(frozen=True)
class Parameter:
    """A setting of a stage, as its header declares it."""

    name: str
    type: str
    default: Any
    allowed: Interval | Words | None
    meaning: str


@dataclass(frozen=True)
class Rate:
    """Which cosine of a stage may be given as a share of random pairs, and of which relations these are."""

    parameter: str
    left: str
    right: str


@dataclass(frozen=True)
class Stage:
    """A stage file, read."""

    name: str
    sql: str
    description: str
    parameters: tuple[Parameter, ...]
    reads_test: bool
    origin: str
    rate: Rate | None = None
    reads_knowledge: bool = False

    @classmethod
    def load(cls, use: str, folder: Path) -> Self:
        """A shipped stage by its name, or a person's own by the path of its ``.sql`` file."""
        if use.endswith(".sql"):
            path = folder / use
            if not path.exists():
                raise RecipeError(f"stage {use!r}: there is no file {path}")
        else:
            path = sql_folder() / "stages" / f"{use}.sql"
            if not path.exists():
                raise UnknownNameError("stage", use, shipped())
        return cls.parse(path.stem, path.read_text("utf8"), str(path))

    @classmethod
    def parse(cls, name: str, sql: str, origin: str, *, ranges: bool = True) -> Self:
        """Read the header of a stage. Raises RecipeError, with file and line, when it and the SQL disagree.

        Without ``ranges`` its parameters may be anything: a lockfile's have their values, and may be from before there
        were any.
        """
        description, parameters, rate = [], [], None
        reads = set[str]()
        for number, line in enumerate(sql.splitlines(), 1):
            if not line.startswith("--"):
                break
            if match := _PARAMETER.match(line):
                parameters.append(_parameter(match, f"{origin}:{number}", ranges=ranges))
            elif match := _READS.match(line):
                if match[1] not in _READABLE:
                    told = " or ".join(map(repr, _READABLE))
                    raise RecipeError(f"{origin}:{number}: a stage can only ask to read {told}, not {match[1]!r}")
                reads.add(match[1])
            elif match := _FPR.match(line):
                rate = Rate(*match.groups())
            elif re.match(r"--\s*fpr:", line):
                raise RecipeError(
                    f"{origin}:{number}: the rate is written '-- fpr: parameter of relation and relation'"
                )
            elif re.match(r"--\s*:", line):
                raise RecipeError(f"{origin}:{number}: a parameter is written '-- :name  TYPE  default   meaning'")
            else:
                description.append(line.removeprefix("--").strip())
        told = " ".join(description).strip()
        stage = cls(name, sql, told, tuple(parameters), "test" in reads, origin, rate, "knowledge" in reads)
        stage._check_names()
        stage._check_rate()
        return stage

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()

    @property
    def summary(self) -> str:
        """The first sentence of its description."""
        return re.split(r"(?<!et al)[.:](?: |$)", self.description, maxsplit=1)[0]

    def told(self) -> dict[str, Any]:
        """What there is to know before it is used, for a table or JSON."""
        return {
            "stage": self.name,
            "description": self.description,
            "parameters": [
                {
                    "parameter": parameter.name,
                    "type": parameter.type,
                    "default": "NULL" if parameter.default is None else str(parameter.default),
                    "allowed": None if parameter.allowed is None else str(parameter.allowed),
                    "meaning": parameter.meaning,
                }
                for parameter in self.parameters
            ],
        }

    def bind(self, given: Mapping[str, Any], seed: int) -> dict[str, Any]:
        """Values for every parameter: those given, else the defaults; ``seed`` is the mix's."""
        declared = {parameter.name: parameter for parameter in self.parameters}
        for name in given:
            if name not in declared:
                raise RecipeError(f"{self.origin}: {UnknownNameError('parameter', name, declared)}")
        values = {name: parameter.default for name, parameter in declared.items()}
        if "seed" in declared:
            values["seed"] = seed
        for name, value in given.items():
            kind = declared[name].type
            if not isinstance(value, _TYPES[kind]) or (isinstance(value, bool) and kind != "BOOLEAN"):
                hint = '; a text in a file is given as { file = "list.txt" }' if isinstance(value, dict) else ""
                raise RecipeError(f"{self.origin}: {name} takes a {kind}, not {value!r}{hint}")
            parts = [(f".{key}", number) for key, number in given[name].items()] if kind == "NUMBERS" else [("", value)]
            for part, each in parts:
                self._check_allowed(name + part, each, declared[name])
            values[name] = float(given[name]) if kind == "FLOAT" else value
        return values

    def _check_allowed(self, name: str, value: Any, parameter: Parameter) -> None:
        if parameter.type == "NUMBERS" and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise RecipeError(f"{self.origin}: {name} takes a number, not {value!r}")
        if parameter.allowed is not None and value not in parameter.allowed:
            finite = " and finite" if value == math.inf else ""
            raise RecipeError(f"{self.origin}: {name} is {value!r}: it must be {parameter.allowed}{finite}")

    def arguments(self, values: Mapping[str, Any], candidates: Relation, session: Session) -> dict[str, Any]:
        """The values of its parameters as its statement takes them: expressions as trees, tables of numbers as maps.

        Raises RecipeError for an expression that does not parse, is more than one, or does not go with the candidates.
        """
        kinds = {parameter.name: parameter.type for parameter in self.parameters}
        found = dict(values)
        for name, value in values.items():
            if kinds[name] in _EXPRESSION and value is not None:
                try:
                    found[name] = _EXPRESSION[kinds[name]](value, session)
                    _check_expression(found[name], candidates, session)
                except QueryError as error:
                    raise RecipeError(f"{self.origin}: {name} is {value!r}: {error}") from None
            elif kinds[name] == "NUMBERS" and value is not None:
                found[name] = {"key": list(value), "value": [float(number) for number in value.values()]}
        return found

    def _check_names(self) -> None:
        code = re.sub(r"--.*|'[^']*'", "", self.sql)
        used = set(re.findall(r"\$([A-Za-z_]\w*)", code))
        declared = {parameter.name for parameter in self.parameters}
        if used - declared:
            name = min(used - declared)
            line = next(n for n, text in enumerate(self.sql.splitlines(), 1) if f"${name}" in text)
            raise RecipeError(f"{self.origin}:{line}: ${name} is used but not declared in the header")
        if declared - used:
            raise RecipeError(f"{self.origin}: parameter {min(declared - used)!r} is declared but not used")

    def _check_rate(self) -> None:
        if self.rate is None:
            return
        if not any(p.name == self.rate.parameter and p.type == "FLOAT" for p in self.parameters):
            raise RecipeError(
                f"{self.origin}: fpr is said to give {self.rate.parameter!r}, which is no FLOAT parameter"
            )
        for name in (self.rate.left, self.rate.right):
            if name not in _CALIBRATED or (name == "test" and not self.reads_test):
                raise RecipeError(
                    f"{self.origin}: fpr cannot be of {name!r}: it must be one of {', '.join(_CALIBRATED)}, and test "
                    "only in a stage that reads it"
                )


def shipped() -> list[str]:
    """Names of the stages that come with curator."""
    return sorted(path.stem for path in (sql_folder() / "stages").glob("*.sql"))


@dataclass(frozen=True)
class Verdicts:
    """What one stage said: one row of ``VERDICT`` per candidate, in the order of the candidates."""

    frame: pl.DataFrame
    joins: tuple[JoinReport, ...]


def run(
    stage: Stage, parameters: Mapping[str, Any], relations: Mapping[str, Relation], session: Session,
    searching: Searching = AS_ASKED,
) -> Verdicts:  # fmt: skip
    """Run a stage over ``candidates`` and the other relations. Only a stage that says so sees ``test``.

    Raises QueryError, naming the file, for SQL that fails and for verdicts on what is not a candidate.
    """
    visible = {name: relation for name, relation in relations.items() if name != "test" or stage.reads_test}
    arguments = stage.arguments(parameters, relations["candidates"], session)
    try:
        query = rewrite(session, stage.sql, arguments, Tools(visible, FUNCTIONS), searching=searching)
        table = query.fetch()
    except QueryError as error:
        settings = ", ".join(f"${name} = {_short(value)}" for name, value in parameters.items())
        raise QueryError(f"{stage.origin}: {error}\nwith {settings or 'no parameters'}") from error
    frame = pl.DataFrame(table)
    return Verdicts(_checked(frame, relations["candidates"].frame, stage.origin), query.joins)


def _check_expression(expression: Expression, candidates: Relation, session: Session) -> None:
    """Raises QueryError for an expression over other columns, or that gives no value for each candidate."""
    check_columns(expression, [*candidates.columns, *sorted(candidates.derived)])
    rewrite(session, _TELLING, {"value": expression}, Tools({"candidates": candidates.take([])})).fetch()


def _checked(verdicts: pl.DataFrame, candidates: pl.DataFrame, origin: str) -> pl.DataFrame:
    """One verdict per candidate, or an error that names the first offender."""
    missing = [name for name in ("corpus", "id", "keep") if name not in verdicts.columns]
    unknown = [name for name in verdicts.columns if name not in VERDICT]
    if missing or unknown:
        what = f"returns no column {missing[0]!r}" if missing else f"returns a column {unknown[0]!r} that means nothing"
        raise QueryError(f"{origin}: the stage {what}; it may return {', '.join(VERDICT)}")
    absent = [pl.lit(None, kind).alias(name) for name, kind in VERDICT.items() if name not in verdicts.columns]
    verdicts = verdicts.with_columns(absent).select(pl.col(name).cast(kind) for name, kind in VERDICT.items())
    key = ["corpus", "id"]
    repeated = verdicts.filter(pl.struct(key).is_duplicated())
    stray = verdicts.join(candidates, on=key, how="anti", nulls_equal=True)
    for bad, what in ((repeated, "comes more than once"), (stray, "is not a candidate")):
        if len(bad):
            raise QueryError(f"{origin}: {bad['corpus'][0]}:{bad['id'][0]} {what} ({len(bad):,} such rows)")
    returned = verdicts.with_columns(pl.lit(True).alias("_returned"))
    joined = candidates.select(key).join(returned, on=key, how="left", maintain_order="left")
    unsaid = (
        pl.when(pl.col("_returned").is_null()).then(pl.lit("not returned")).otherwise(pl.lit("the verdict is NULL"))
    )
    return joined.with_columns(
        pl.when(pl.col("keep").is_null()).then(unsaid).otherwise("reason").alias("reason"),
        pl.col("keep").fill_null(False),
    ).select(list(VERDICT))


def _parameter(match: "re.Match[str]", place: str, *, ranges: bool) -> Parameter:
    name, kind, text, meaning = match.groups()
    allowed, meaning = _allowed(meaning, kind, place) if ranges else (None, meaning)
    if text.upper() == "NULL":
        return Parameter(name, kind, None, allowed, meaning)
    readers: dict[str, Callable[[str], Any]] = {
        "FLOAT": float,
        "INTEGER": int,
        "VARCHAR": lambda value: value[1:-1] if value.startswith("'") else _bad(value),
        "BOOLEAN": lambda value: {"true": True, "false": False}[value.lower()],
        "NUMBERS": _bad,
    }
    readers |= dict.fromkeys(_EXPRESSION, readers["VARCHAR"])
    try:
        default = readers[kind](text)
    except (ValueError, KeyError):
        raise RecipeError(f"{place}: the default {text} of {name!r} is not a {kind}") from None
    if allowed is not None and default not in allowed:
        raise RecipeError(f"{place}: the default {text} of {name!r} is not {allowed}")
    return Parameter(name, kind, default, allowed, meaning)


def _allowed(meaning: str, kind: str, place: str) -> tuple[Interval | Words | None, str]:
    """What a parameter may be, where its meaning begins with that, and the rest. Raises RecipeError for half of it."""
    if kind == "VARCHAR" and (words := _WORDS.match(meaning)):
        return Words(words[1].split("|")), meaning[words.end() :]
    if kind not in ("FLOAT", "INTEGER", "NUMBERS") or not (match := _INTERVAL.match(meaning)):
        return None, meaning
    try:
        low, high = float(match[2]), float(match[3])
    except ValueError:
        low = high = math.nan
    if not low <= high or match[0] == match[0].rstrip() or match.end() == len(meaning):
        raise RecipeError(
            f"{place}: {match[0].strip()} is no interval of numbers with two spaces behind it, like [0, 1] or (0, inf)"
        )
    return Interval(low, high, match[1] == "[", match[4] == "]"), meaning[match.end() :]


def _short_number(value: float) -> str:
    return str(int(value)) if value.is_integer() else repr(value)


def _short(value: object) -> str:
    told = repr(value)
    return told if len(told) <= 80 else f"{told[:79]}…"


def _bad(value: str) -> str:
    raise ValueError(value)
