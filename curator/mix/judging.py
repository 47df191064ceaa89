"""The verdicts of one stage: those that a stored mix has are taken, the rest is judged; what it warns of is kept."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from curator.errors import CuratorWarning
from curator.mix.reuse import Taken
from curator.relation import Relation
from curator.session import Session
from curator.stages import Stage, Verdicts, run
from curator.trials import Trials

Relations = dict[str, Relation]


def judge(
    stage: Stage, parameters: Mapping[str, Any], relations: Relations, session: Session, trials: Trials,
    taken: Taken | None = None, warned: Sequence[str] = (),
) -> tuple[Verdicts, list[str]]:  # fmt: skip
    """The verdicts on all candidates, and what the stage warns of.

    It is run on those of which ``taken`` says nothing. What it ``warned`` of when the others were judged is raised
    again, so that a person hears of it whether or not a stage runs.
    """
    with warnings.catch_warnings(record=True) as raised:
        warnings.simplefilter("always", CuratorWarning)  # kept, too, where a person does not want to see it
        verdicts = _verdicts(partial(run, stage, parameters, session=session, trials=trials), relations, taken)
    messages = [str(one.message) for one in raised if issubclass(one.category, CuratorWarning)]
    again = [message for message in warned if message not in messages]
    for message in again:
        warnings.warn(message, CuratorWarning, stacklevel=2)
    for one in raised:
        warnings.warn_explicit(one.message, one.category, one.filename, one.lineno, source=one.source)
    return verdicts, [*again, *messages]


def _verdicts(judged: Callable[[Relations], Verdicts], relations: Relations, taken: Taken | None) -> Verdicts:
    if taken is None:
        return judged(relations)
    if not len(taken.rest):
        return taken.verdicts
    return taken.with_rest(judged({**relations, "candidates": relations["candidates"].take(taken.rest)}))
