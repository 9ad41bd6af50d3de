"""Prefetching in a thread while the network computes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import islice
from typing import TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")


def helper_thread(name: str) -> ThreadPoolExecutor:
    """A pool of one thread, whose torch operations keep to it.

    By default every thread gets its own team of OpenMP threads, one a core: those of two threads at work then wait for
    one another at every operation (making a batch took ten times as long, and the network's steps suffered). The
    calling thread keeps its number of threads.
    """
    pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)
    if _threads_have_own_teams():
        n_threads = torch.get_num_threads()
        pool.submit(_keep_to_one_thread).result()
        torch.set_num_threads(n_threads)  # also what threads to come start with
    return pool


def prefetch(
    make: Callable[[Item], Result], items: Iterable[Item], depth: int = 2, name: str = "ahead"
) -> Generator[Result, None, None]:
    """Yield ``make(item)`` in order, at most `depth` results made ahead of the consumer, in one thread.

    An error in the thread is raised where its result would have been consumed. Closing the iterator (or leaving a
    ``with contextlib.closing(...)``) ends the thread.
    """
    remaining = iter(items)
    with helper_thread(name) as pool:
        ahead = deque(pool.submit(make, item) for item in islice(remaining, depth))
        try:
            while ahead:
                result = ahead.popleft().result()
                ahead.extend(pool.submit(make, item) for item in islice(remaining, 1))
                yield result
        finally:
            for future in ahead:
                future.cancel()


def _keep_to_one_thread() -> None:
    torch.get_num_threads()  # the first call in a thread takes the general number over
    torch.set_num_threads(1)


@cache
def _threads_have_own_teams() -> bool:
    return "backend: OpenMP" in torch.__config__.parallel_info()
