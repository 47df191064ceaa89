"""Work done by the workers of a Ray cluster: the only module that imports Ray.

Workers are actors, each with the CPUs and GPUs that the settings say, that stay for all work of a session: a model is
loaded once in each. A part is given out when a worker is free and no part is more than a few ahead of its turn, so that
memory does not grow with the number of parts. Files of a workspace are under the same paths everywhere: in a directory
that all machines see, or, of one on an object store, in a copy that each has (see ``curator.storage``).
"""

import copy
import itertools
import logging
import os
import resource
import traceback
import warnings
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from curator import storage
from curator.errors import CuratorWarning, MissingExtraError, QueryError, RecipeError, UsageError, WorkError
from curator.recipe import Engine as Settings

try:
    import ray
except ImportError:
    raise MissingExtraError("ray", "ray", "an engine of several machines") from None

log = logging.getLogger(__name__)

ATTEMPTS = 3  # times that a part is tried before it is set aside
PATIENCE = 30  # seconds without any worker until that is said
ANSWERS = (QueryError, RecipeError, UsageError, ValueError)  # are raised at once; each can be made of its message
AHEAD = 4  # parts for each worker that may be done before it is their turn


@dataclass
class _Told:
    """What a worker said while it did a part, and how it ended."""

    result: Any = None
    answer: tuple[type[Exception], str] | None = None  # to be raised at once: not every exception can travel
    error: str = ""
    trace: str = ""
    logged: list[tuple[str, int, str]] = field(default_factory=list)  # logger, level, message
    warned: list[str] = field(default_factory=list)
    sent: storage.Sent = field(default_factory=dict)  # files, where it has no directory together with the driver
    peak: float = 0.0  # GiB that the worker has held at most


@dataclass
class _Run:
    """A part on its way."""

    number: int
    part: Any
    attempts: int = 0


class Cluster:
    """The workers of a cluster: one that there is, by its address, or one on this machine.

    Of several in one process, one has workers at a time: the last that was given work.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.needs: dict[str, float] = {"num_cpus": settings.cpus, "num_gpus": settings.gpus}
        self.peak = 0.0  # GiB that a worker has held at most
        self._idle: deque[Any] = deque()
        self._starting: dict[Any, Any] = {}  # a reference that is ready once its worker is
        self._lost = 0  # workers in a row that were gone when they should have been ready
        self._working = False

    def __repr__(self) -> str:
        needs = ", ".join(f"{number:g} {name.removeprefix('num_').upper()}" for name, number in self.needs.items())
        return f"Cluster({self._settings.workers or 'as many workers as fit'} of {needs})"

    @cached_property
    def workers(self) -> int:
        """How many parts are done at a time; to know that, the cluster is joined, or started here."""
        settings = self._settings
        if not ray.is_initialized():
            try:
                ray.init(address=settings.address or "local", logging_level=logging.ERROR, log_to_driver=False)
            except ConnectionError as error:
                raise UsageError(f"no Ray cluster at {settings.address!r}: {error}") from None
        elif settings.address not in (None, "auto", ray.get_runtime_context().gcs_address):
            raise UsageError(
                f"this process is with the Ray cluster at {ray.get_runtime_context().gcs_address} already, and cannot "
                f"go to {settings.address!r}; start another process"
            )
        return settings.workers or self._fitting()

    def _fitting(self) -> int:
        """How many workers there is room for, node by node."""
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        needs = [(name, self.needs[f"num_{name.lower()}s"]) for name in ("CPU", "GPU")]
        room = sum(min(int(node.get(name, 0) // number) for name, number in needs if number) for node in nodes)
        if not room:
            there = "; ".join(f"{node.get('CPU', 0):g} CPUs and {node.get('GPU', 0):g} GPUs" for node in nodes)
            raise UsageError(f"no node of the cluster has what a worker needs, {self.needs}; they have: {there}")
        return room

    def map(self, work: Any, parts: Iterable[Any]) -> Iterator[Any]:
        """The result of each part, in order. A part is tried ``ATTEMPTS`` times, by whatever worker is free.

        Raises WorkError after all others are done where some parts could not be; at once what would be raised for
        every part, or is an answer: UsageError and ValueError. Parts must not ask for other work to be done here.
        """
        assert not self._working, "work is asked for while parts of other work are taken"
        parts = iter(parts)
        first = next(parts, _NONE)
        if first is _NONE:
            return
        workers = self.workers  # to know how many, the cluster is joined
        self._take_over()
        shared = [ray.put(work)]  # in a list it is fetched once by each worker rather than with every part
        coming, again = enumerate(itertools.chain([first], parts)), deque[_Run]()
        running: dict[Any, tuple[Any, _Run]] = {}
        done: dict[int, Any] = {}
        aside: list[tuple[str, str]] = []
        turn, over = 0, False
        self._working = True
        self._greet()
        try:
            while True:
                while self._idle and (again or not over):
                    run = again.popleft() if again else None
                    if run is None and len(done) + len(running) < AHEAD * workers:
                        found = next(coming, None)
                        over = found is None
                        run = _Run(*found) if found is not None else None
                    if run is None:
                        break
                    worker = self._idle.popleft()
                    running[worker.do.remote(shared, run.part)] = worker, run
                if over and not running and not again:
                    break
                self._start(len(running))
                for ready in self._ready([*running, *self._starting]):
                    if ready in self._starting:
                        self._begin(ready)
                        continue
                    worker, run = running.pop(ready)
                    told = self._told(ready, worker, work.name(run.part))
                    if not told.error:
                        done[run.number] = told.result
                    elif run.attempts + 1 < ATTEMPTS:
                        again.append(_Run(run.number, run.part, run.attempts + 1))
                    else:
                        aside.append((work.name(run.part), told.error))
                        done[run.number] = _ASIDE
                while turn in done:
                    result = done.pop(turn)
                    turn += 1
                    if result is not _ASIDE:
                        yield result
        finally:
            self._working = False
            for worker, _ in running.values():  # nobody wants their results any more
                ray.kill(worker)
        if aside:
            raise WorkError(aside, ATTEMPTS)

    def close(self) -> None:
        """Let its workers go; it starts others when it has work again."""
        for worker in (*self._idle, *self._starting.values()):
            ray.kill(worker)
        self._idle.clear()
        self._starting.clear()
        self.__dict__.pop("workers", None)  # who has work again joins the cluster again

    def _take_over(self) -> None:
        """Be the one that has workers."""
        if _having != [self]:
            assert not any(other._working for other in _having), "work is asked of another engine meanwhile"
            let_go()
            _having[:] = [self]

    def _greet(self) -> None:
        """Let the workers that are free say that they are still there: a node may have been lost meanwhile."""
        while self._idle:
            self._call(self._idle.popleft())

    def _ready(self, awaited: list[Any]) -> list[Any]:
        """What is ready of what is awaited, once something is."""
        while not (ready := ray.wait(awaited, timeout=PATIENCE)[0]):
            if set(awaited) <= set(self._starting):
                free = ray.available_resources()
                log.warning(
                    "waiting for a worker of %s; free in the cluster: %g CPUs, %g GPUs",
                    self, free.get("CPU", 0), free.get("GPU", 0),
                )  # fmt: skip
        return list(ready)

    def _start(self, busy: int) -> None:
        """Have as many workers as there should be; one that is gone is replaced where there is room."""
        for _ in range(self.workers - busy - len(self._idle) - len(self._starting)):
            self._call(_Worker.options(**self.needs).remote())  # type: ignore[attr-defined]

    def _call(self, worker: Any) -> None:
        """Wait for a worker to say that it is there."""
        begun = worker.begin.remote(log.getEffectiveLevel(), str(Path.cwd()), storage.every())
        self._starting[begun] = worker

    def _begin(self, ready: Any) -> None:
        worker = self._starting.pop(ready)
        try:
            log.debug("a worker is ready on %s", ray.get(ready))
        except ray.exceptions.RayError as error:
            self._lost += 1
            if self._lost > ATTEMPTS * self.workers:
                raise UsageError(f"workers of {self} do not start, or die at once: {error}") from None
        else:
            self._lost = 0
            self._idle.append(worker)

    def _told(self, ready: Any, worker: Any, name: str) -> _Told:
        """How a part ended; a worker that lives is free again, and what it said is said here."""
        try:
            told: _Told = ray.get(ready)
        except ray.exceptions.RayTaskError as error:  # it could not even read the part
            told = _Told(error=f"{type(error.cause).__name__}: {error.cause}")
            self._idle.append(worker)
        except ray.exceptions.RayError as error:  # the worker is gone, or its node
            ray.kill(worker)
            told = _Told(error=f"its worker died: {str(error).splitlines()[0]}")
        else:
            self._idle.append(worker)
        storage.arrived(told.sent)
        told.result = copy.deepcopy(told.result)  # its arrays are Ray's memory, which a list of results would fill
        self.peak = max(self.peak, told.peak)
        for logger, level, message in told.logged:
            logging.getLogger(logger).log(level, "%s: %s", name, message)
        for message in told.warned:
            warnings.warn(f"{name}: {message}", CuratorWarning, stacklevel=2)
        if told.answer is not None:
            kind, message = told.answer
            raise kind(message)
        if told.error:
            log.warning("%s: %s", name, told.error)
            log.debug("%s", told.trace)
        return told


_ASIDE, _NONE = object(), object()
_having: list[Cluster] = []  # the one that has workers


def let_go() -> None:
    """Let the workers that there are go."""
    for cluster in _having:
        cluster.close()
    _having.clear()


@ray.remote(max_restarts=0)
class _Worker:
    """Does parts of the work that it was last given."""

    def __init__(self) -> None:
        self._shared: Any = None
        self._work: Any = None

    def begin(self, level: int, folder: str, copies: list[tuple[str, Path, str]]) -> str:
        """Where it is, once it is there: in the driver's folder, if its machine has that, as paths may start there.

        ``copies``: of workspaces on object stores, which it is to have too.
        """
        storage.joined(copies)
        storage.refreshed()  # it is asked again before each work
        with suppress(OSError):
            os.chdir(folder)
        logging.getLogger("curator").setLevel(level)
        return str(ray.util.get_node_ip_address())

    def do(self, shared: list[Any], part: Any) -> _Told:
        told = _Told()
        with _heard(told):
            try:
                if self._shared != shared[0]:
                    self._shared, self._work = shared[0], ray.get(shared[0])
                (told.result,) = self._work.run([part])
                told.sent = storage.sent()
            except (UsageError, ValueError) as error:
                told.answer = next(kind for kind in type(error).__mro__ if kind in ANSWERS), str(error)
            except Exception as error:  # noqa: BLE001  whatever it is, the person who started the command is told
                told.error, told.trace = f"{type(error).__name__}: {error}", traceback.format_exc()
        told.peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        return told


@contextmanager
def _heard(told: _Told) -> Iterator[None]:
    """Note what curator's code logs and warns of."""

    class Listening(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            told.logged.append((record.name, record.levelno, record.getMessage()))

    logger, listening = logging.getLogger("curator"), Listening()
    logger.addHandler(listening)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("ignore")
            warnings.simplefilter("always", CuratorWarning)
            yield
        told.warned = [str(one.message) for one in caught]
    finally:
        logger.removeHandler(listening)
