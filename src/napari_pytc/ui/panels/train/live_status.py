"""The status of live learning as text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from napari_pytc.jobs.job import JobState
from napari_pytc.ui.panels.train.live_controller import LiveController, LiveState

if TYPE_CHECKING:
    from napari_pytc.ui.tasks.job_board import JobModel
    from napari_pytc.ui.workspace import Workspace

Tone = Literal["plain", "busy", "good", "wait", "bad"]

_SHOWN = ("Instant model", "Network")


@dataclass(frozen=True)
class LiveStatus:
    """Text and tone of the chip, and the sentence below it."""

    chip: str
    tone: Tone
    sentence: str


def live_status(live: LiveController, workspace: Workspace) -> LiveStatus:
    """The present status."""
    state, job = live.state, live.job
    if state is LiveState.STARTING:
        more = "" if workspace.worker.is_warm else " The worker loads its libraries."
        return LiveStatus("Starting", "busy", f"Starting …{more}")
    if state is LiveState.STOPPING:
        return LiveStatus("Stopping", "busy", "Keeping the best model …")
    if state is LiveState.WAITING:
        other = live.waits_for
        what = f"Live waits for “{other}”" if other else "Live waits until the worker is free"
        return LiveStatus("Waiting", "wait", f"{what} and goes on by itself.")
    if state is LiveState.LEARNING and job is not None:
        missing = missing_strokes(live.painted_classes)
        if missing:
            return LiveStatus("Waiting for strokes", "wait", missing)
        if "shown" not in job.curves:
            return LiveStatus("Starting", "busy", _capital(job.note) or "Starting …")
        return LiveStatus(_shown(job), "good", _capital(job.note) or "Learning …")
    if live.problem is not None:
        return LiveStatus("Error", "bad", _outcome(job))
    return LiveStatus("Off", "plain", _outcome(job))


def missing_strokes(painted_classes: Sequence[str]) -> str:
    """Hint on the strokes missing for the first fit, given the classes that have some; empty if none are missing."""
    if len(painted_classes) >= 2:
        return ""
    so_far = f"so far only {painted_classes[0]} has some" if painted_classes else "there are none yet"
    return f"Paint strokes of at least two classes: {so_far}."


def _shown(job: JobModel) -> str:
    points = job.curves.get("shown")
    return _SHOWN[bool(points and points[-1][1])]


def _outcome(job: JobModel | None) -> str:
    if job is None:
        return "Paint, and the prediction of what you look at follows, while a network learns on behind it."
    if job.state is JobState.FAILED:
        return "Ended by an error. Strokes and models are safe; switch Live on to go on."
    if job.state is not JobState.FINISHED:
        return "Cancelled; what was learnt is gone on with when Live is switched on again."
    model = job.result.get("model")
    if not model:
        return "Off. Nothing was learnt, so there is no model to keep."
    scores = job.result.get("scores") or {}
    mean = scores.get("mean", scores.get("live", {}).get("mean"))  # else of validation strokes
    score = "" if mean is None else f", score {mean:.3f}"
    kind = "network" if job.result.get("shown") == "network" else "instant model"
    return f"Off. The best model was kept: {model} ({kind}{score})."


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
