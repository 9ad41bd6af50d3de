"""Messages between the runner and its worker process: one JSON object a line, over two pipes."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from napari_pytc.jobs.context import JobMessage
from napari_pytc.jobs.events import (
    Cancelled,
    Failed,
    Finished,
    Measured,
    Produced,
    Progressed,
    Started,
    Warned,
)


class _Line(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class WorkerSetup(_Line):
    """Argument of the worker process."""

    imports: tuple[str, ...] = Field((), description="Modules that define kinds of jobs.")
    preload: tuple[str, ...] = Field((), description="Modules loaded ahead of time; one that is missing is skipped.")
    grace_s: float = Field(5.0, description="Seconds a job may take to end when the runner's process is gone.")


class Run(_Line):
    """Run a job; sent when none runs."""

    do: Literal["run"] = "run"
    job: str
    spec: dict[str, Any]


class Cancel(_Line):
    """Cancel the job, if it still runs."""

    do: Literal["cancel"] = "cancel"
    job: str


class Send(_Line):
    """A message to the job, if it still runs."""

    do: Literal["send"] = "send"
    job: str
    message: JobMessage


Command = Annotated[Run | Cancel | Send, Field(discriminator="do")]
"""What the window sends to the worker."""
COMMANDS: TypeAdapter[Command] = TypeAdapter(Command)
"""Reads a command from its JSON."""


class Ready(_Line):
    """The worker has imported its modules and takes jobs."""

    event: Literal["ready"] = "ready"


Answer = Annotated[
    Ready | Started | Progressed | Measured | Produced | Warned | Finished | Failed | Cancelled,
    Field(discriminator="event"),
]
"""What the worker sends back."""
ANSWERS: TypeAdapter[Answer] = TypeAdapter(Answer)
"""Reads an answer from its JSON."""
