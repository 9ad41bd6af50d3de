"""All that a computation sees of the outside."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict

from napari_pytc.geometry import Box


class JobCancelled(BaseException):
    """Raised by `JobContext.check` once somebody cancelled the job.

    Not an `Exception`, so that a library's broad handler does not swallow it.
    """


class JobMessage(BaseModel):
    """Something told to a running job: the view moved, annotations changed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    topic: str
    content: dict[str, Any] = {}


class JobContext(Protocol):
    """What a computation may call while it runs; the same object inline, in the worker and in tests."""

    def report(self, done: int, total: int, note: str = "") -> None:
        """Tell how far the job is; may be coalesced."""

    def metric(self, name: str, step: int, value: float) -> None:
        """Tell a number that belongs on a curve."""

    def artifact(self, kind: str, box: Box) -> None:
        """Tell that these voxels on disk are new."""

    def warn(self, message: str) -> None:
        """Tell the user something that did not stop the job."""

    def messages(self) -> Iterator[JobMessage]:
        """What came in since the last call; never waits."""

    def check(self) -> None:
        """Raise `JobCancelled` if the job was cancelled."""


class Unheard:
    """A context that only asks whether to go on: for work inside of a job that has its own reports."""

    def __init__(self, ctx: JobContext) -> None:
        self.check = ctx.check

    def report(self, done: int, total: int, note: str = "") -> None:
        """Say nothing."""

    def metric(self, name: str, step: int, value: float) -> None:
        """Say nothing."""

    def artifact(self, kind: str, box: Box) -> None:
        """Say nothing."""

    def warn(self, message: str) -> None:
        """Say nothing."""

    def messages(self) -> Iterator[JobMessage]:
        """No messages: they are for the job."""
        return iter(())
