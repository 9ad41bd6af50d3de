"""Batches for the network, made ahead in a thread that pauses while a prediction is wanted."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future

from napari_pytc.learning.data.sampling import Batch
from napari_pytc.learning.machine.prefetch import helper_thread

_AHEAD = 2


class BatchesEnded(Exception):
    """The thread that makes batches is to end."""


class PauseGate:
    """Pauses, resumes or ends a thread between two pieces of its work."""

    def __init__(self) -> None:
        self._is_open = threading.Event()
        self._is_ended = False
        self.reopen()

    def reopen(self) -> None:
        """Let a new thread work."""
        self._is_ended = False
        self._is_open.set()

    def stop(self) -> None:
        """End the thread before its next piece, also if it is paused."""
        self._is_ended = True
        self._is_open.set()

    def pause(self) -> None:
        """Pause the thread before its next piece."""
        self._is_open.clear()

    def resume(self) -> None:
        """Resume the thread."""
        self._is_open.set()

    def wait(self) -> None:
        """Wait while paused; called by the thread between pieces.

        Raises
        ------
        BatchesEnded
            If the thread is to end.
        """
        self._is_open.wait()
        if self._is_ended:
            raise BatchesEnded


class PrefetchedBatches:
    """Batches in order, two of them made ahead.

    Parameters
    ----------
    make : callable
        The batch of a step; called in the thread.
    first : int
        The first step.
    gate : PauseGate
        Waited for by `make` between pieces of a batch.
    """

    def __init__(self, make: Callable[[int], Batch], first: int, gate: PauseGate) -> None:
        self._make, self._gate, self._next = make, gate, first
        gate.reopen()
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
        self._gate.stop()
        self._pool.shutdown()

    def _fill(self) -> None:
        while len(self._ahead) < _AHEAD:
            self._ahead.append(self._pool.submit(self._make, self._next))
            self._next += 1
