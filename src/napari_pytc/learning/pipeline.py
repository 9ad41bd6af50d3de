"""Work ahead in a thread while the network computes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def work_ahead(
    make: Callable[[Item], Result], items: Iterable[Item], depth: int = 2, name: str = "ahead"
) -> Generator[Result, None, None]:
    """Yield ``make(item)`` in order, at most `depth` results made ahead of the consumer, in one thread.

    An error in the thread is raised where its result would have been consumed. Closing the iterator (or leaving a
    ``with contextlib.closing(...)``) ends the thread.
    """
    remaining = iter(items)
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix=name) as pool:
        ahead = deque(pool.submit(make, item) for item in islice(remaining, depth))
        try:
            while ahead:
                result = ahead.popleft().result()
                ahead.extend(pool.submit(make, item) for item in islice(remaining, 1))
                yield result
        finally:
            for future in ahead:
                future.cancel()
