"""The context of a job: progress, messages and cancelling."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict

from napari_pytc.geometry import Box

ProgressCallback = Callable[[int, int], None]
"""Called with the number of steps done and their total."""


class JobCancelled(BaseException):
    """Raised by `JobContext.check` once somebody cancelled the job.

    Not an `Exception`, so that a library's broad handler does not swallow it.
    """


class JobMessage(BaseModel):
    """A message to a running job, for example that the view moved or annotations changed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    topic: str
    content: dict[str, Any] = {}


class JobContext(Protocol):
    """Interface of a running computation to the outside; the same inline, in the worker and in tests."""

    def report(self, done: int, total: int, note: str = "") -> None:
        """Report progress; may be coalesced."""

    def metric(self, name: str, step: int, value: float) -> None:
        """Report a point of a curve."""

    def artifact(self, kind: str, box: Box) -> None:
        """Report new voxels on disk."""

    def warn(self, message: str) -> None:
        """Report a problem that did not stop the job."""

    def messages(self) -> Iterator[JobMessage]:
        """Messages since the last call; never waits."""

    def check(self) -> None:
        """Raise `JobCancelled` if the job was cancelled."""


class SilentContext:
    """A context that checks for a cancel and reports nothing, for a step of a job with its own reports."""

    def __init__(self, ctx: JobContext) -> None:
        self.check = ctx.check

    def report(self, done: int, total: int, note: str = "") -> None:
        """Do nothing."""

    def metric(self, name: str, step: int, value: float) -> None:
        """Do nothing."""

    def artifact(self, kind: str, box: Box) -> None:
        """Do nothing."""

    def warn(self, message: str) -> None:
        """Do nothing."""

    def messages(self) -> Iterator[JobMessage]:
        """No messages: they are for the job."""
        return iter(())


class PassingContext:
    """A context that passes everything on to a job's own; a subclass says what it does otherwise."""

    def __init__(self, ctx: JobContext) -> None:
        self._ctx = ctx

    def report(self, done: int, total: int, note: str = "") -> None:
        """See `JobContext`."""
        self._ctx.report(done, total, note)

    def metric(self, name: str, step: int, value: float) -> None:
        """See `JobContext`."""
        self._ctx.metric(name, step, value)

    def artifact(self, kind: str, box: Box) -> None:
        """See `JobContext`."""
        self._ctx.artifact(kind, box)

    def warn(self, message: str) -> None:
        """See `JobContext`."""
        self._ctx.warn(message)

    def messages(self) -> Iterator[JobMessage]:
        """See `JobContext`."""
        return self._ctx.messages()

    def check(self) -> None:
        """See `JobContext`."""
        self._ctx.check()
