"""Events of a job: progress, metrics, new voxels, and exactly one terminal event."""

from __future__ import annotations

import time
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from napari_pytc.geometry import Box


class _Event(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")

    job: str = Field(description="Id of the job.")
    time: float = Field(default_factory=time.time, description="Seconds since the epoch.")


class Started(_Event):
    """The job runs."""

    event: Literal["started"] = "started"


class Progressed(_Event):
    """`done` of `total` pieces are ready; a newer one replaces an older one not yet delivered."""

    event: Literal["progressed"] = "progressed"
    done: int
    total: int
    note: str = ""


class Measured(_Event):
    """A point of a curve."""

    event: Literal["measured"] = "measured"
    name: str
    step: int
    value: float


class Produced(_Event):
    """These voxels on disk are new."""

    event: Literal["produced"] = "produced"
    kind: str
    box: Box


class Warned(_Event):
    """A problem that did not stop the job."""

    event: Literal["warned"] = "warned"
    message: str


class Finished(_Event):
    """The job is done."""

    event: Literal["finished"] = "finished"
    result: dict[str, Any] = {}


class Failed(_Event):
    """The job ended in an error."""

    event: Literal["failed"] = "failed"
    message: str
    hint: str = ""
    log: str = Field("", description="Tail of the worker's log or the traceback, for a fold in the window.")


class Cancelled(_Event):
    """The job was cancelled; what it finished before stays."""

    event: Literal["cancelled"] = "cancelled"


JobEvent = Annotated[
    Started | Progressed | Measured | Produced | Warned | Finished | Failed | Cancelled, Field(discriminator="event")
]
"""Any event of a job."""
EVENTS: TypeAdapter[JobEvent] = TypeAdapter(JobEvent)
"""Reads an event from its JSON."""
TERMINAL = (Finished, Failed, Cancelled)
"""Events of which a job has exactly one, the last."""
