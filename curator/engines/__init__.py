"""Where work that falls into parts is done: here, in this process, or by the workers of a Ray cluster.

Work is an object with a method ``run``, which takes parts and gives a result for each. The same object is run here and
there: here it gets all parts one after the other, on a cluster a copy of it in each worker gets one at a time. So there
is one path of code, and a result that is a function of its part alone is the same wherever it is made.
"""

from collections.abc import Iterable, Iterator
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from curator.engines.local import HERE, Local

if TYPE_CHECKING:
    from curator.recipe import Engine as Settings

__all__ = ["HERE", "Engine", "Local", "Work", "engine_of", "stop"]

Part = TypeVar("Part", contravariant=True)
Result = TypeVar("Result", covariant=True)


class Work(Protocol[Part, Result]):
    """What is done to parts. It travels to workers, and so do parts and results: what is large stays in files."""

    def run(self, parts: Iterable[Part], /) -> Iterator[Result]:
        """The result of each part, in order."""

    def name(self, part: Part, /) -> str:
        """What a person is told of a part, such as the name of a shard."""


class Engine(Protocol):
    """Does work. One that is not ``HERE`` has workers, which are started when it is first asked for them."""

    @property
    def workers(self) -> int:
        """How many parts are done at a time elsewhere; 0 where all is done in this process.

        Raises UsageError where there is no cluster at its address, or no room for a worker.
        """

    def map(self, work: Work[Any, Any], parts: Iterable[Any], /) -> Iterator[Any]:
        """The result of each part, in order; parts are taken when their turn comes.

        Raises WorkError after all others are done where some could not be.
        """

    def close(self) -> None:
        """Let its workers go; it starts others when it has work again."""


def engine_of(settings: "Settings") -> Engine:
    """The engine that settings ask for, the same for all who ask for the same; nothing is started yet.

    Raises MissingExtraError where Ray is not installed.
    """
    return HERE if settings.kind == "local" else _cluster(settings)


@cache
def _cluster(settings: "Settings") -> Engine:
    from curator.engines.cluster import Cluster  # Ray is an extra, and takes a second to import

    return Cluster(settings)


def stop() -> None:
    """Let the workers of whatever engine has some go."""
    if _cluster.cache_info().currsize:
        from curator.engines.cluster import let_go

        let_go()
