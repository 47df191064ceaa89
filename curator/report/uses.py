"""What documents served as in each arm, and what that was worth against the target alone."""

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import mean
from typing import Any

from curator.race.statistics import ArmScore, Interval, Results, interval, points
from curator.report.figures import between, count

ALONE = "target-only"
HEAD = ("Arm", "Documents as", "Documents", "Done", "Labels wrong on dev", "Arm − target-only", "95 % interval")


@dataclass(frozen=True)
class Used:
    """One use in one arm, of the first of its runs that has it. The differences are of all of the arm's seeds."""

    arm: str
    use: str
    documents: int
    done: str
    wrong: str
    difference: float | None
    interval: Interval | None

    def row(self) -> list[str]:
        """As texts, in the order of HEAD."""
        worth = points(self.difference, sign=True) if self.difference is not None else ""
        return [self.arm, self.use, count(self.documents), self.done, self.wrong, worth, between(self.interval)]


def uses(record: dict[str, Any], results: Results) -> list[Used]:
    """Every use of documents but under their own label, arm by arm; none where all train so alone."""
    alone = next((arm for arm in results.arms if arm.name == ALONE), None)
    found = []
    for arm in results.arms:
        told: dict[str, Any] = next(
            (run["uses"] for run in record["runs"] if run["arm"] == arm.name and run.get("uses")), {}
        )
        difference, interval = _worth(arm, alone)
        found += [Used(arm.name, *what, difference, interval) for what in _told(told)]
    return found


def _told(uses: dict[str, Any]) -> Iterator[tuple[str, int, str, str]]:
    if text := uses.get("text"):
        yield "text", text["documents"], f"{text['objective']}, {count(text['steps'])} steps before", ""
    if other := uses.get("auxiliary"):
        place = f"{count(other['steps'])} steps before" if other["place"] == "before" else "beside the target's"
        tasks = len(other["sources"])
        yield "auxiliary", other["documents"], f"{tasks} {'task' if tasks == 1 else 'tasks'}, {place}", ""
    if pairs := uses.get("contrastive"):
        done = f"{count(pairs['pairs'])} pairs of labelled documents, {count(pairs['steps'])} steps before"
        yield "pairs", pairs["documents"], done, ""
    for once in uses.get("teacher", ()):
        dev = once["dev"]
        wrong = f"{dev['wrong']} of {dev['sure']}" if dev else "no dev"
        yield "teacher", once["documents"], f"round {once['round']}: {count(once['taught'])} labelled", wrong


def _worth(arm: ArmScore, alone: ArmScore | None) -> tuple[float | None, Interval | None]:
    """The mean difference over the seeds that both have, in points, and its 95 % interval (t)."""
    if alone is None or arm is alone:
        return None, None
    known = dict(zip(alone.seeds, alone.scores, strict=True))
    gaps = [score - known[seed] for seed, score in zip(arm.seeds, arm.scores, strict=True) if seed in known]
    return (mean(gaps), interval(gaps)) if gaps else (None, None)
