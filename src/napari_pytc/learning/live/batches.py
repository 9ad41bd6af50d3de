"""Batches of the network behind, made in a thread that gives way to whoever waits for a prediction."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future

from napari_pytc.learning.pipeline import helper_thread
from napari_pytc.learning.sampling import Batch

_AHEAD = 2


class Ended(Exception):
    """Nobody waits any more for what a thread is at."""


class Doorkeeper:
    """Lets a thread go on, has it wait between two pieces of its work, or ends it there."""

    def __init__(self) -> None:
        self._is_open = threading.Event()
        self._is_over = False
        self.begin()

    def begin(self) -> None:
        """Let a new thread work."""
        self._is_over = False
        self._is_open.set()

    def end(self) -> None:
        """Have the thread end before its next piece, also if it is held."""
        self._is_over = True
        self._is_open.set()

    def hold(self) -> None:
        """Have the thread wait before its next piece."""
        self._is_open.clear()

    def release(self) -> None:
        """Let it go on."""
        self._is_open.set()

    def wait(self) -> None:
        """Called by the thread between pieces.

        Raises
        ------
        Ended
            If the thread is to end.
        """
        self._is_open.wait()
        if self._is_over:
            raise Ended


class BatchesAhead:
    """Batches in order, two of them made ahead.

    Parameters
    ----------
    make : callable
        The batch of a step; called in the thread.
    first : int
        The first step.
    door : Doorkeeper
        Asked by `make` between pieces of a batch.
    """

    def __init__(self, make: Callable[[int], Batch], first: int, door: Doorkeeper) -> None:
        self._make, self._door, self._next = make, door, first
        door.begin()
        self._pool = helper_thread("live: batches")
        self._ahead: deque[Future[Batch]] = deque()
        self._fill()

    @property
    def is_ready(self) -> bool:
        """Whether `take` returns at once."""
        return self._ahead[0].done()

    def take(self) -> Batch:
        """The next batch; an error in the thread is raised here."""
        batch = self._ahead.popleft().result()
        self._fill()
        return batch

    def close(self) -> None:
        """End the thread, after the piece of a batch that it is at."""
        for future in self._ahead:
            future.cancel()
        self._door.end()
        self._pool.shutdown()

    def _fill(self) -> None:
        while len(self._ahead) < _AHEAD:
            self._ahead.append(self._pool.submit(self._make, self._next))
            self._next += 1
