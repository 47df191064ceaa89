"""Work that is done in a thread while the result before it is used."""

from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def ahead(function: Callable[[Item], Result], items: Iterable[Item]) -> Generator[Result]:
    """``function`` of each item, in order; that of the next is under way, in a thread, while one is used.

    Items are drawn in the caller's thread, one more than were asked for. What the function raises, the caller gets
    in place of that result. Closing it waits for the one under way and leaves no thread.
    """
    rest = iter(items)
    with ThreadPoolExecutor(1, thread_name_prefix="ahead") as thread:
        coming = [thread.submit(function, item) for item in islice(rest, 1)]
        while coming:
            result = coming.pop().result()
            coming += [thread.submit(function, item) for item in islice(rest, 1)]
            yield result
