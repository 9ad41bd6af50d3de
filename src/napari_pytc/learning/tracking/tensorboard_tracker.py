"""Records in TensorBoard's event files."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from napari_pytc.learning.tracking.tracker import TrackedTraining, TrainingOutcome
from napari_pytc.plans.tracking import TensorBoardSettings

_SCORES = ("dice", "loss")
"""Curves that stand beside the settings in the tab HParams."""
_FLUSH_S = 10.0


class EventFile:
    """A new file of events in a folder.

    TensorBoard's own writer hands errors of the disk over late and from a thread of its own, and names its files by the
    host. This one writes at once, in the thread of the trackers.

    Parameters
    ----------
    folder : Path
        Of the run; files that are there are earlier parts of it.
    """

    def __init__(self, folder: Path) -> None:
        from tensorboard.summary.writer.record_writer import RecordWriter

        self.n_before = len(list(folder.glob("events.out.tfevents.*")))
        name = f"events.out.tfevents.{int(time.time()):010d}.{self.n_before:04d}"
        self._file = (folder / name).open("xb")
        self._records = RecordWriter(self._file)
        self._flushed = time.monotonic()
        self.write(file_version="brain.Event:2")
        self.flush()

    def write(self, step: int = 0, **content: Any) -> None:
        """Write an event: a ``summary``, or another of its kinds."""
        from tensorboard.compat.proto.event_pb2 import Event

        event = Event(wall_time=time.time(), step=step, **content).SerializeToString()
        with self._closed_on_error():
            self._records.write(event)
        if time.monotonic() - self._flushed > _FLUSH_S:
            self.flush()

    def flush(self) -> None:
        """Let readers see what was written."""
        self._flushed = time.monotonic()
        with self._closed_on_error():
            self._file.flush()

    def close(self) -> None:
        """End the file."""
        self._file.close()

    @contextmanager
    def _closed_on_error(self) -> Iterator[None]:
        try:
            yield
        except OSError:
            with suppress(OSError):
                self._file.close()
            raise


class TensorBoardTracker:
    """A training as a run of TensorBoard: curves, pictures, settings as text and in the tab HParams.

    A training that goes on writes another event file into the same folder; its first event says from which step on
    the former files are void, and TensorBoard leaves their later steps out.
    """

    def __init__(self, training: TrackedTraining) -> None:
        self._file = EventFile(training.folder)
        if self._file.n_before:
            self._void(training.first_step + 1 if training.first_step else 0)
        if not self._file.n_before or not training.first_step:
            self._describe(training)
        self._file.flush()

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """See `Tracker`."""
        from torch.utils.tensorboard.summary import scalar

        for name, value in values.items():
            self._file.write(step, summary=scalar(name, value))

    def pictures(self, step: int, pictures: Mapping[str, np.ndarray]) -> None:
        """See `Tracker`."""
        from torch.utils.tensorboard.summary import image

        for title, picture in pictures.items():
            self._file.write(step, summary=image(f"patches/{title}", picture, dataformats="HWC"))
        self._file.flush()

    def finish(self, outcome: TrainingOutcome) -> None:
        """See `Tracker`."""
        from torch.utils.tensorboard.summary import hparams, text

        try:
            if outcome.state == "finished":
                rows = "\n".join(f"| {name} | {value} |" for name, value in outcome.summary.items())
                self._file.write(summary=text("outcome", f"| | |\n|---|---|\n{rows}"))
                _, _, end = hparams({}, {})
                self._file.write(summary=end)
        finally:
            self._file.close()

    def _void(self, step: int) -> None:
        """Say that what the files before have of this step and later ones counts no more."""
        from tensorboard.compat.proto.event_pb2 import SessionLog

        self._file.write(step, session_log=SessionLog(status=SessionLog.START))

    def _describe(self, training: TrackedTraining) -> None:
        from torch.utils.tensorboard.summary import hparams, text

        settings = yaml.safe_dump(training.settings, sort_keys=False, allow_unicode=True)
        experiment, begin, _ = hparams(dict(_flat(training.settings)), dict.fromkeys(_SCORES, 0.0))
        for summary in (
            text("settings", _block(settings)),
            text("provenance", _block(json.dumps(training.provenance, indent=2))),
            experiment,
            begin,
        ):
            self._file.write(summary=summary)


def open_tensorboard(settings: TensorBoardSettings, training: TrackedTraining) -> TensorBoardTracker:
    """Open the record of a training."""
    tracker = TensorBoardTracker(training)
    training.tell(
        f"TensorBoard records this training in {training.folder}. To watch it: "
        f"tensorboard --logdir {training.folder.parent.parent}"
    )
    return tracker


def _block(text: str) -> str:
    """Text as Markdown that keeps its lines."""
    return "\n".join(f"    {line}" for line in text.splitlines())


def _flat(values: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, bool | float | str]]:
    """Settings with dotted names; lists as text, and what is not set left out."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{name}.")
        elif isinstance(value, bool | int | float | str):
            yield f"{before}{name}", value
        elif value is not None:
            yield f"{before}{name}", json.dumps(value)
