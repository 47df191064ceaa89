"""A stage file, read: its header, and what its parameters may be."""

import hashlib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from curator.errors import QueryError, RecipeError, UnknownNameError
from curator.nearest import Expression, Tools, check_columns, one, rewrite, several
from curator.relation import Relation
from curator.session import Session, sql_folder
from curator.stages.parameters import EXPRESSIONS, PARAMETER, TYPES, Parameter, parameter

_FPR = re.compile(r"--\s*fpr:\s*(\w+) of (\w+) and (\w+)\s*$")
_CALIBRATED = ("target", "dev", "test", "pool")  # what a stage's cosine may be calibrated on
_READABLE = ("test", "knowledge")
_READS = re.compile(r"--\s*reads:\s*(\w+)\s*$")
_JUDGES = re.compile(r"--\s*judges:\s*(.*?)\s*$")
_ALONE = "each alone"
# What may say something else of a document when others are beside it, or another time.
_OTHERWISE = re.compile(
    r"\b(approx|tablesample|using\s+sample|current_(?:date|time|timestamp))\b"
    r"|\b(random|setseed|uuid\w*|gen_random_uuid|nextval|now|today|get_current_\w+|transaction_timestamp)\s*\(",
    re.IGNORECASE,
)
_EXPRESSION = {"EXPRESSION": one, "EXPRESSIONS": several}
_TELLING = "SELECT corpus, id, $value AS value FROM candidates"


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
    alone: bool = False  # whether it judges each document by itself, as its header says
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
        description, parameters, rate, alone = [], [], None, False
        reads = set[str]()
        for number, line in enumerate(sql.splitlines(), 1):
            if not line.startswith("--"):
                break
            if match := PARAMETER.match(line):
                parameters.append(parameter(match, f"{origin}:{number}", ranges=ranges))
            elif match := _READS.match(line):
                if match[1] not in _READABLE:
                    told = " or ".join(map(repr, _READABLE))
                    raise RecipeError(f"{origin}:{number}: a stage can only ask to read {told}, not {match[1]!r}")
                reads.add(match[1])
            elif match := _JUDGES.match(line):
                if match[1] != _ALONE:
                    raise RecipeError(f"{origin}:{number}: a stage can only judge '{_ALONE}', not {match[1]!r}")
                alone = True
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
        reads_test, reads_knowledge = (word in reads for word in _READABLE)
        stage = cls(name, sql, told, tuple(parameters), reads_test, origin, rate, alone, reads_knowledge)
        stage._check_names()
        stage._check_alone()
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
            if not isinstance(value, TYPES[kind]) or (isinstance(value, bool) and kind != "BOOLEAN"):
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

    def _check_alone(self) -> None:
        """Raises RecipeError for what a stage that says it judges each document alone cannot vouch for."""
        if not self.alone:
            return
        for each in self.parameters:
            if each.type in EXPRESSIONS:
                raise RecipeError(
                    f"{self.origin}: it judges each document alone, but {each.name!r} is an {each.type}, which may "
                    "look at others"
                )
        for number, line in enumerate(self.sql.splitlines(), 1):
            if found := _OTHERWISE.search(re.sub(r"--.*|'[^']*'", "", line)):
                raise RecipeError(
                    f"{self.origin}:{number}: it judges each document alone, but with {found[0]!r} it may say another "
                    "thing of the same document; leave out one or the other"
                )

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


def _check_expression(expression: Expression, candidates: Relation, session: Session) -> None:
    """Raises QueryError for an expression over other columns, or that gives no value for each candidate."""
    check_columns(expression, [*candidates.columns, *sorted(candidates.derived)])
    rewrite(session, _TELLING, {"value": expression}, Tools({"candidates": candidates.take([])})).fetch()
