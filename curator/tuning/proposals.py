"""What is tried next, and what is given up early: pure functions of the trials until then. The only importer of optuna.

Nothing is kept in optuna: each answer comes of a study that is made from the trials as they are written down, with
random numbers that depend on the seed and the number of the trial. A search that goes on is the same search.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from curator.errors import MissingExtraError
from curator.tuning.space import Between, Range, Values

COMPLETE, PRUNED, FAILED = "complete", "pruned", "failed"

MACRO_F1 = "dev_macro_f1"  # what is searched by, where a document has a single label
RANDOM = 5  # trials before the tree-structured Parzen estimator has its say
UNPRUNED = 4  # complete trials before any is given up
WARM = 2  # tenths of its course for which no trial is

Trial = Mapping[str, Any]


def propose(
    ranges: Mapping[str, Range], own: Values, trials: Sequence[Trial], seed: int, score: str = MACRO_F1
) -> Values:  # fmt: skip
    """The values of the next trial: of the first the recipe's ``own`` where it has any, then what optuna's TPE says.

    ``score`` is the name of what is searched by in a trial and in its looks.
    """
    sampler_seed = int(np.random.SeedSequence([seed, len(trials)]).generate_state(1)[0])
    with _study(ranges, trials, sampler_seed, score) as study:
        asked = study.ask(_distributions(ranges)).params
    found = {
        name: range_.rounded(asked[name]) if isinstance(range_, Between) else asked[name]
        for name, range_ in ranges.items()
    }
    return found if trials else found | own


def is_hopeless(
    ranges: Mapping[str, Range], trials: Sequence[Trial], course: Mapping[int, float], score: str = MACRO_F1
) -> bool:  # fmt: skip
    """Whether the best of a trial's scores is below the median of the complete trials' at the same tenth of a course.

    ``course``: scores by tenth, as ``tenths`` gives them.
    """
    with _study(ranges, trials, 0, score) as study:
        trial = study.ask(_distributions(ranges))
        for tenth, reached in course.items():
            trial.report(reached, tenth)
        return bool(trial.should_prune())


def tenths(history: Sequence[Mapping[str, Any]], steps: int, score: str = MACRO_F1) -> dict[int, float]:
    """The score on dev by tenth of a course of ``steps``, each that of the first look at or after the tenth's end.

    So trials with other numbers of steps are compared where each is equally far.
    """
    found: dict[int, float] = {}
    for look in history:
        for tenth in range(len(found) + 1, 10 * look["step"] // steps + 1):
            found[tenth] = look[score]
    return found


@contextmanager
def _study(ranges: Mapping[str, Range], trials: Sequence[Trial], seed: int, score: str) -> Iterator[Any]:
    optuna = _optuna()
    said = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        study = optuna.create_study(
            direction="maximize",
            sampler=optuna.samplers.TPESampler(seed=seed, n_startup_trials=RANDOM),
            pruner=optuna.pruners.MedianPruner(n_startup_trials=UNPRUNED, n_warmup_steps=WARM),
        )
        study.add_trials([_frozen(ranges, trial, score) for trial in trials])
        yield study
    finally:
        optuna.logging.set_verbosity(said)


def _frozen(ranges: Mapping[str, Range], trial: Trial, score: str) -> Any:
    optuna = _optuna()
    states = optuna.trial.TrialState
    state = {COMPLETE: states.COMPLETE, PRUNED: states.PRUNED, FAILED: states.FAIL}[trial["state"]]
    return optuna.trial.create_trial(
        state=state,
        value=trial[score] if trial["state"] == COMPLETE else None,
        params=dict(trial["values"]),
        distributions=_distributions(ranges),
        intermediate_values=tenths(trial["history"], trial["steps"], score),
    )


def _distributions(ranges: Mapping[str, Range]) -> dict[str, Any]:
    optuna = _optuna()
    kinds = optuna.distributions
    found: dict[str, Any] = {}
    for name, range_ in ranges.items():
        if not isinstance(range_, Between):
            found[name] = kinds.CategoricalDistribution(range_.values)
        elif range_.whole:
            found[name] = kinds.IntDistribution(int(range_.low), int(range_.high), log=range_.logarithmic)
        else:
            found[name] = kinds.FloatDistribution(range_.low, range_.high, log=range_.logarithmic)
    return found


def _optuna() -> Any:
    try:
        import optuna  # an extra
    except ImportError:
        raise MissingExtraError("optuna", "tune", "a search") from None
    return optuna
