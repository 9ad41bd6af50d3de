"""A job's outside for tests: it records every call."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator

from napari_pytc.geometry import Box
from napari_pytc.jobs.context import JobCancelled, JobMessage


class RecordingContext:
    """A `JobContext` that remembers what it was told; safe to call from several threads.

    Parameters
    ----------
    cancel_after : int, optional
        So many checks pass, every later one raises `JobCancelled`. Never, by default.
    inbox : iterable of JobMessage
        What the first call of `messages` gives; `send` adds more.
    """

    def __init__(self, cancel_after: int | None = None, inbox: Iterable[JobMessage] = ()) -> None:
        self.cancel_after = cancel_after
        self.inbox = deque(inbox)
        self.progress: list[tuple[int, int, str]] = []
        self.metrics: list[tuple[str, int, float]] = []
        self.artifacts: list[tuple[str, Box]] = []
        self.warnings: list[str] = []
        self.n_checks = 0
        self._lock = threading.Lock()

    def report(self, done: int, total: int, note: str = "") -> None:
        self.progress.append((done, total, note))

    def metric(self, name: str, step: int, value: float) -> None:
        self.metrics.append((name, step, value))

    def artifact(self, kind: str, box: Box) -> None:
        self.artifacts.append((kind, box))

    def warn(self, message: str) -> None:
        self.warnings.append(message)

    def messages(self) -> Iterator[JobMessage]:
        while self.inbox:
            yield self.inbox.popleft()

    def check(self) -> None:
        with self._lock:
            self.n_checks += 1
            if self.cancel_after is not None and self.n_checks > self.cancel_after:
                raise JobCancelled

    def send(self, message: JobMessage) -> None:
        """Put a message into the inbox, as a window does while the job runs."""
        self.inbox.append(message)

    def cancel(self) -> None:
        """Make every check from now on raise."""
        with self._lock:
            self.cancel_after = self.n_checks

    def curve(self, name: str) -> list[float]:
        """Values of one metric in the order they came."""
        return [value for metric, _, value in self.metrics if metric == name]
