"""Stages by the workers of an engine: what judges each document alone, by its text, is judged in parts."""

import logging
import os
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import polars as pl

from curator.engines import HERE
from curator.errors import CuratorWarning, UsageError
from curator.nearest import AS_ASKED, Searching
from curator.relation import Relation
from curator.session import Session
from curator.stages import running
from curator.stages.running import Verdicts
from curator.stages.stage import Stage
from curator.trials import Trials

log = logging.getLogger(__name__)

PART_ROWS = 8_192  # documents whose texts travel together
BY_BATCHES = {"classified"}  # functions whose last digits depend on which texts they are given together


@dataclass(frozen=True)
class Part:
    """Candidates from a row on, with all their columns."""

    start: int
    candidates: pl.DataFrame


@dataclass(frozen=True)
class Judging:
    """A stage with the values of its parameters, for parts of the candidates."""

    stage: Stage
    parameters: Mapping[str, Any]

    def run(self, parts: Iterable[Part]) -> Iterator[tuple[pl.DataFrame, list[str]]]:
        """The verdicts on each part, and what the stage warned of."""
        session = _session()
        for part in parts:
            with warnings.catch_warnings(record=True) as raised:
                warnings.simplefilter("always", CuratorWarning)
                verdicts = running.run(self.stage, self.parameters, {"candidates": Relation(part.candidates)}, session)
            yield verdicts.frame, [str(one.message) for one in raised if issubclass(one.category, CuratorWarning)]

    def name(self, part: Part) -> str:
        """The stage, and which candidates."""
        return f"{self.stage.name} of candidates {part.start + 1:,} to {part.start + len(part.candidates):,}"


@cache
def _session() -> Session:
    """That of a worker: with as many threads as this variable says, which Ray sets to its cores where nobody has."""
    threads = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    return Session(sandbox=True, threads=int(threads) or None if threads.isdecimal() else None)


def run(
    stage: Stage, parameters: Mapping[str, Any], relations: Mapping[str, Relation], session: Session,
    searching: Searching = AS_ASKED, trials: Trials | None = None,
) -> Verdicts:  # fmt: skip
    """``running.run``, by the workers of the candidates' engine where there are many and the stage needs no others.

    What it warns of is raised once, however many parts it is true of.
    """
    candidates = relations["candidates"]
    frame = candidates.frame
    many = candidates.engine is not HERE and len(frame) > PART_ROWS
    if not many or not _by_text_alone(stage, parameters, frame, session):
        return running.run(stage, parameters, relations, session, searching, trials)
    starts = range(0, len(frame), PART_ROWS)
    parts = (Part(start, frame[start : start + PART_ROWS]) for start in starts)
    frames, messages = [], dict[str, None]()
    for verdicts, warned in candidates.engine.map(Judging(stage, parameters), parts):
        frames.append(verdicts)
        messages |= dict.fromkeys(warned)
    for message in messages:
        warnings.warn(message, CuratorWarning, stacklevel=2)
    return Verdicts(pl.concat(frames), ())


def _by_text_alone(stage: Stage, parameters: Mapping[str, Any], candidates: pl.DataFrame, session: Session) -> bool:
    """Whether a stage needs nothing but the columns of each candidate: no other relation, no vector, no file, and
    nothing that a person has made, defined or set.
    """
    if not stage.alone or session.names(stage.sql) & BY_BATCHES:
        return False
    if session.is_changed:
        log.info("%s is judged here: workers do not know what statements of yours have made", stage.name)
        return False
    try:
        with warnings.catch_warnings(action="ignore", category=CuratorWarning):
            running.run(stage, parameters, {"candidates": Relation(candidates.clear())}, Session(sandbox=True))
    except (UsageError, ValueError):
        return False
    return True
