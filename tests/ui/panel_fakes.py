"""A workspace for the panels that predict, segment and export: real jobs board, no napari, no worker process."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from qtpy.QtCore import QObject, Signal

from napari_pytc.errors import PytcError
from napari_pytc.geometry import Box
from napari_pytc.jobs.events import JobEvent, Started
from napari_pytc.jobs.job import Sink
from napari_pytc.jobs.runners.inline import InlineRunner
from napari_pytc.session.records import ClassInfo, ModelRecord, PredictionRecord, RunRecord, SegmentationInfo
from napari_pytc.ui.background import Background
from napari_pytc.ui.bridge import JobBoard, JobView
from tests.support.viewers import FakeViewer

SHAPE = (12, 48, 40)
CLASSES = [ClassInfo(id=1, name="membrane", colour="#e6194b"), ClassInfo(id=2, name="inside", colour="#3cb44b")]


def model(name: str, active: bool = False, problem: str = "") -> ModelRecord:
    return ModelRecord(
        id=name, name=name, created="2026-11-21T08:00:00+00:00", recipe="fast", parent=None,
        scores={"mean": 0.875}, folder=Path("/models") / name, active=active, problem=problem,
    )  # fmt: skip


def prediction(name: str, state: Any = "finished", box: Box | None = None) -> PredictionRecord:
    return PredictionRecord(
        id=name, model="m1", folder=Path("/predictions") / f"{name}.zarr", box=box, flips=False,
        created="2026-11-21T08:30:00+00:00", state=state,
    )  # fmt: skip


def run(name: str, state: Any = "finished", message: str = "") -> RunRecord:
    return RunRecord(
        id=name, kind="train", subject=f"model-{name}", state=state, started=1000.0, ended=1060.0, result={},
        message=message, hint="",
    )  # fmt: skip


def segmentation(name: str, active: bool = False, problem: str = "", box: Box | None = None) -> SegmentationInfo:
    return SegmentationInfo(
        id=name, folder=Path("/segments") / name, created="2026-11-21T09:00:00+00:00", box=box,
        decoder={"kind": "agglomeration", "threshold": 0.5}, prediction="p1", n_supervoxels=5400, n_segments=1234,
        seconds=12.0, active=active, problem=problem,
    )  # fmt: skip


class FakeSession:
    """What the panels read of a session."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.classes = CLASSES
        self.annotations = SimpleNamespace(shape=SHAPE)
        self.read_only = False
        self.model_records: list[ModelRecord] = []
        self.prediction_records: list[PredictionRecord] = []
        self.run_records: list[RunRecord] = []
        self.previews: list[tuple[Any, ...]] = []
        self.preview_problem: PytcError | None = None
        self.segmentation_records: list[SegmentationInfo] = []
        self.unfinished: list[Any] = []
        self.discarded: list[Any] = []
        self.activated: list[str] = []
        self.deleted: list[str] = []
        self.n_previews = 0

    def models(self) -> list[ModelRecord]:
        return self.model_records

    def predictions(self) -> list[PredictionRecord]:
        return self.prediction_records

    def runs(self) -> list[RunRecord]:
        return self.run_records

    def segmentations(self) -> list[SegmentationInfo]:
        return self.segmentation_records

    def unfinished_segmentations(self) -> list[Any]:
        return self.unfinished

    def segment_job(self, box: Box | None = None, **choices: Any) -> Any:
        return ("segment", box, choices)

    def preview_job(self, box: Box, prediction: str, **choices: Any) -> Any:
        from napari_pytc.decoding.jobs import SegmentJob

        self.n_previews += 1
        folder = next(record.folder for record in self.prediction_records if record.id == prediction)
        output = self.folder / "segments" / ".preview" / f"{self.n_previews}"
        return SegmentJob(prediction=folder, box=box, output=output, **choices)

    def run(self, job: Any, runner: Any, sink: Sink) -> Any:
        return runner.start(job, sink)

    def discard_segmentation(self, job: Any) -> None:
        self.discarded.append(job)

    def empty_trash(self) -> None:
        pass

    def activate_segmentation(self, name: str) -> None:
        self.activated.append(name)

    def delete_segmentation(self, name: str) -> None:
        self.deleted.append(name)

    def preview_export(self, what: str, path: Path, prediction: str | None, **options: Any) -> Any:
        self.previews.append((what, path, prediction, options))
        if self.preview_problem is not None:
            raise self.preview_problem
        box = options["box"]
        if what == "table":
            return SimpleNamespace(shape=(61, 14), dtype="text", n_bytes=5490, voxel_size_nm=None, format="CSV")
        shape = SHAPE if box is None else box.shape
        shape = (2, *shape) if what == "probabilities" else shape
        n_bytes = 1
        for n in shape:
            n_bytes *= n
        return SimpleNamespace(
            shape=shape, dtype="uint8", n_bytes=n_bytes, voxel_size_nm=(40.0, 8.0, 8.0), format=path.suffix
        )


class FakeUncertainty(QObject):
    """Is switched on and off."""

    switched = Signal(bool)
    is_on = False

    def switch(self, on: bool) -> None:
        self.is_on = on
        self.switched.emit(on)


class FakeLayers:
    """Where the user looks, and which prediction is shown."""

    def __init__(self, viewer: FakeViewer) -> None:
        self.in_view = Box.at((3, 0, 0), (1, 48, 40))
        self.drawn: Box | None = None
        self.drawings = 0
        self.uncertainty = FakeUncertainty()
        self.predictions = SimpleNamespace(folder=None, channels=[], legend=CLASSES, uncertainty=self.uncertainty)
        self.trial: Any = None
        self.refreshed: list[Box | None] = []
        self.segments = SimpleNamespace(refresh=lambda box=None: self.refreshed.append(box))
        self._viewer = viewer

    def view_box(self) -> Box:
        return self.in_view

    def drawn_box(self) -> Box | None:
        return self.drawn

    def start_drawing_box(self) -> None:
        self.drawings += 1

    def show_trial(self, source: Any) -> None:
        self.trial = source

    def show_prediction(self, record: PredictionRecord | None) -> None:
        self.predictions.folder = None if record is None else record.folder


class FakeSegments(QObject):
    """The current segmentation; edits are made at once."""

    opened = Signal()
    document_changed = Signal()
    edited = Signal(object)
    history_changed = Signal()
    busy_changed = Signal()
    failed = Signal(object)
    document: Any = None
    proofreader: Any = None
    is_busy = False

    def do(self, work: Any, on_result: Any = lambda result: None, on_error: Any = None, receiver: Any = None) -> None:
        on_result(work(self.proofreader))


class FakeWorkspace(QObject):
    """The signals and methods that the panels use; calls are kept in `calls`."""

    session_changed = Signal()
    failed = Signal(object)
    classes_changed = Signal()
    models_changed = Signal()
    predictions_changed = Signal()
    runner_changed = Signal()
    segmentations_changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.segments = FakeSegments(self)
        self.worker = SimpleNamespace(runner=InlineRunner(), when_hired=lambda start, refuse: start())
        self.viewer = FakeViewer()
        self.jobs = JobBoard(self)
        self.background = Background(self)
        self.session: FakeSession | None = None
        self.layers: FakeLayers | None = None
        self.is_warm = True
        self.give_way = lambda then: then()
        self.calls: list[tuple[Any, ...]] = []
        self.errors: list[PytcError] = []
        self.failed.connect(self.errors.append)

    @property
    def is_changeable(self) -> bool:
        return self.session is not None and not self.session.read_only

    def open(self, folder: Path) -> FakeSession:
        """Open a project."""
        self.session = FakeSession(folder)
        self.layers = FakeLayers(self.viewer)
        self.session_changed.emit()
        return self.session

    def start(self, kind: str, title: str, spec: Any = None, *events: JobEvent) -> tuple[JobView, Sink]:
        """Start a job that tells some events."""
        view, sink = self.jobs.open(kind, title)
        view.spec = spec
        for event in (Started(job="j1"), *events):
            sink(event)
        self.jobs.drain()
        return view, sink

    def start_job(self, kind: str, title: str, describe: Any) -> None:
        assert self.session is not None
        self.calls.append((kind, title, describe(self.session)))

    def attempt(self, change: Any) -> Any:
        return change()

    def predict(self, *arguments: Any) -> None:
        self.calls.append(("predict", *arguments))

    def go_on_predicting(self, record: PredictionRecord) -> None:
        self.calls.append(("go on", record.id))

    def delete_prediction(self, name: str) -> None:
        self.calls.append(("delete", name))

    def export(self, *arguments: Any, **options: Any) -> None:
        self.calls.append(("export", *arguments, options))

    def close(self) -> None:
        self.jobs.close()
        self.background.close()
