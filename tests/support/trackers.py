"""Records of trackers read back, and an environment in which nobody is logged in."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import pytest

from napari_pytc.learning.tracking.tracker import TrackedTraining, TrainingOutcome
from napari_pytc.plans.tracking import TrackerSettings

_BLOCK, _HEADER = 32768, 7


def scalars_of(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """The curves that TensorBoard shows of a folder."""
    events = events_of(folder)
    return {name: [(e.step, e.value) for e in events.Scalars(name)] for name in events.Tags()["scalars"]}


def events_of(folder: Path) -> Any:
    """What TensorBoard knows of a folder."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 0, "tensors": 0})
    events.Reload()
    return events


def texts_of(folder: Path) -> dict[str, str]:
    """The texts that TensorBoard shows of a folder."""
    events = events_of(folder)
    return {
        name.removesuffix("/text_summary"): events.Tensors(name)[-1].tensor_proto.string_val[0].decode()
        for name in events.Tags()["tensors"]
        if name.endswith("/text_summary")
    }


def wandb_records(path: Path) -> Iterator[Any]:
    """The records of an offline run: protocol buffers in the log format of LevelDB, behind a header of 7 bytes."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, at, parts = path.read_bytes(), _HEADER, b""
    while at + _HEADER <= len(data):
        left = _BLOCK - at % _BLOCK
        if left < _HEADER:
            at += left
            continue
        _, length, kind = struct.unpack("<IHB", data[at : at + _HEADER])
        parts += data[at + _HEADER : at + _HEADER + length]
        at += _HEADER + length
        if kind in (1, 4):
            yield Record.FromString(parts)
            parts = b""


def wandb_files(folder: Path) -> list[Path]:
    """Files of the offline runs in a folder, the oldest first."""
    return sorted(folder.glob("offline-run-*/*.wandb"), key=lambda path: path.stat().st_mtime)


def wandb_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a run's history."""
    rows = []
    for record in wandb_records(path):
        if record.WhichOneof("record_type") == "history":
            items = record.history.item
            rows.append({(i.key or "/".join(i.nested_key)): json.loads(i.value_json) for i in items})
    return rows


def log_out(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    """Let nobody be logged in to Weights & Biases, and keep its files in a folder of the test."""
    import os

    for name in list(os.environ):
        if name.startswith("WANDB_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
    home.mkdir(exist_ok=True)
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(home))
    monkeypatch.setenv("NETRC", str(home / "netrc"))
    for name in ("WANDB_CONFIG_DIR", "WANDB_CACHE_DIR", "WANDB_DATA_DIR"):
        monkeypatch.setenv(name, str(home / "wandb"))


class FaultyTracking(TrackerSettings):
    """A tracker that remembers what it is told, and fails where it is told to."""

    builds: ClassVar[str] = "tests.support.trackers:open_faulty"
    title: ClassVar[str] = "Faulty"
    package: ClassVar[str] = "json"
    opened: ClassVar[list[FaultyTracker]] = []
    kind: Literal["test-faulty"] = "test-faulty"
    fails_in: str = ""
    error: str = "RuntimeError"
    wait_s: float = 30.0

    @property
    def longest_wait_s(self) -> float:
        return self.wait_s


class FaultyTracker:
    """See `FaultyTracking`."""

    def __init__(self, settings: FaultyTracking, training: TrackedTraining) -> None:
        import threading

        self.settings, self.training = settings, training
        self.rows: list[tuple[int, dict[str, float]]] = []
        self.shown: list[tuple[int, dict[str, np.ndarray]]] = []
        self.outcome: TrainingOutcome | None = None
        self.gate = threading.Event()

    def scalars(self, step: int, values: Any) -> None:
        fail(self.settings, "scalars")
        self.rows.append((step, dict(values)))

    def pictures(self, step: int, pictures: Any) -> None:
        fail(self.settings, "pictures")
        self.shown.append((step, dict(pictures)))

    def finish(self, outcome: TrainingOutcome) -> None:
        fail(self.settings, "finish")
        if self.settings.fails_in == "stuck":
            self.gate.wait()
        self.outcome = outcome


def open_faulty(settings: FaultyTracking, training: TrackedTraining) -> FaultyTracker:
    fail(settings, "open")
    FaultyTracking.opened.append(FaultyTracker(settings, training))
    return FaultyTracking.opened[-1]


def fail(settings: FaultyTracking, where: str) -> None:
    """Fail as a library or a disk does."""
    if settings.fails_in == where:
        if settings.error == "OSError":
            raise OSError(28, "No space left on device", "/data/events")
        raise RuntimeError("the server says\n no")
