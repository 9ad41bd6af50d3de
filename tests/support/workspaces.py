"""A workspace for panels and their controllers: real jobs board, no napari, no worker process."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from qtpy.QtCore import QObject, Signal

from napari_pytc.errors import ModelError, PytcError
from napari_pytc.geometry import Box, VoxelSpace
from napari_pytc.jobs.context import JobMessage
from napari_pytc.jobs.events import JobEvent, Started
from napari_pytc.jobs.job import Sink
from napari_pytc.jobs.runners.inline import InlineRunner
from napari_pytc.plans.model_folder import read_model_info
from napari_pytc.plans.plan import TrainPlan
from napari_pytc.plans.specs import ModelOutput, TrainJob, VolumeInputs
from napari_pytc.plans.tracking import Tracking
from napari_pytc.session.records import (
    ClassInfo,
    MetricPoint,
    ModelRecord,
    PredictionRecord,
    RunRecord,
    SegmentationInfo,
)
from napari_pytc.ui.canvas.drawn_box import DrawnBox
from napari_pytc.ui.tasks.background import Background
from napari_pytc.ui.tasks.job_board import JobBoard, JobModel
from napari_pytc.ui.volume_switch import VolumeSwitch
from napari_pytc.volumes.spec import NpySpec
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


class FakeClasses:
    """The classes of a session."""

    def __init__(self) -> None:
        self.listed = list(CLASSES)

    def records(self) -> list[ClassInfo]:
        return self.listed

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(c.name for c in self.listed)


class FakeSession:
    """What the panels read of a session."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.classes = FakeClasses()
        self.models = SimpleNamespace(records=lambda: self.model_records)
        self.predictions = SimpleNamespace(
            records=lambda: self.prediction_records, delete=lambda name: self.deleted.append(name)
        )
        self.segmentations = SimpleNamespace(
            records=lambda: self.segmentation_records,
            activate=lambda name: self.activated.append(name),
            delete=lambda name: self.deleted.append(name),
            discard=lambda job: self.discarded.append(job),
            unfinished=lambda: self.unfinished,
        )
        self.jobs = FakeJobs(self)
        self.tunings = SimpleNamespace(why_not="no box is held out: hold one out in the Data panel.")
        self.project = SimpleNamespace(empty_trash=lambda: None, read_only=False)
        self.image = SimpleNamespace(volume=SimpleNamespace(id="v1", name="raw"), several_channels={})
        self.volumes = SimpleNamespace(records=lambda: [self.image.volume], names=("raw",))
        self.strokes = SimpleNamespace(store=SimpleNamespace(shape=SHAPE))
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


class FakeJobs:
    """The jobs of a `FakeSession`."""

    def __init__(self, session: FakeSession) -> None:
        self._session = session

    def runs(self) -> list[RunRecord]:
        return self._session.run_records

    def segment_job(self, box: Box | None = None, **choices: Any) -> Any:
        return ("segment", box, choices)

    def import_segmentation_job(self, **choices: Any) -> Any:
        return ("import_segmentation", choices)

    def preview_job(self, box: Box, prediction: str, **choices: Any) -> Any:
        from napari_pytc.decoding.jobs import SegmentJob

        self._session.n_previews += 1
        folder = next(record.folder for record in self._session.prediction_records if record.id == prediction)
        output = self._session.folder / "segments" / ".preview" / f"{self._session.n_previews}"
        return SegmentJob(prediction=folder, box=box, output=output, **choices)

    def run(self, job: Any, runner: Any, sink: Sink) -> Any:
        return runner.start(job, sink)

    def preview_export(self, what: str, path: Path, prediction: str | None, **options: Any) -> Any:
        self._session.previews.append((what, path, prediction, options))
        if self._session.preview_problem is not None:
            raise self._session.preview_problem
        box = options["box"]
        if what == "table":
            return SimpleNamespace(
                shape=(61, 14), dtype="text", n_bytes=5490, voxel_size_nm=None, format="CSV", n_levels=1, notes=()
            )
        shape = SHAPE if box is None else box.shape
        shape = (2, *shape) if what == "probabilities" else shape
        n_bytes = 1
        for n in shape:
            n_bytes *= n
        return SimpleNamespace(
            shape=shape,
            dtype="uint8",
            n_bytes=n_bytes,
            voxel_size_nm=(40.0, 8.0, 8.0),
            format=path.suffix,
            n_levels=1,
            notes=("Voxels are uint8.",) if "dtype" in options else (),
        )


class FakeUncertainty(QObject):
    """Is switched on and off."""

    switched = Signal(bool)
    is_on = False

    def switch(self, on: bool) -> None:
        self.is_on = on
        self.switched.emit(on)


class FakePredictions:
    """The prediction that is shown, and the channel whose probability is."""

    def __init__(self, uncertainty: FakeUncertainty) -> None:
        self.folder: Path | None = None
        self.legend: list[ClassInfo] = CLASSES
        self.channel: int | None = None
        self.uncertainty = uncertainty

    def show_channel(self, channel: int | None) -> None:
        self.channel = channel


class FakeLayers:
    """Where the user looks, and which prediction is shown."""

    def __init__(self, viewer: FakeViewer) -> None:
        self.shape = SHAPE
        self.in_view = Box.at((3, 0, 0), (1, 48, 40))
        self.drawn: Box | None = None
        self.drawings = 0
        self.uncertainty = FakeUncertainty()
        self.predictions = FakePredictions(self.uncertainty)
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
        try:
            result = work(self.proofreader)
        except PytcError as error:
            (on_error or self.failed.emit)(error)
        else:
            on_result(result)


class FakeProjectState:
    """Whether a project may be changed."""

    def __init__(self, empty_trash: Callable[[], None]) -> None:
        self.empty_trash, self.read_only = empty_trash, False

    @property
    def read_only_reason(self) -> str:
        return "a.pytc is open for reading only: it is open in another window." if self.read_only else ""


class FakeVolumes:
    """The volumes of a `TrainingSession`; of the first it has the painted voxels of the session.

    Parameters
    ----------
    painted : dict
        Annotated voxels by class name.
    """

    def __init__(self, painted: dict[str, int]) -> None:
        self.painted = {"v1": painted}
        self.objects: dict[str, int] = {}
        self.listed = [SimpleNamespace(id="v1", name="raw")]

    def add(self, id: str, name: str, painted: dict[str, int]) -> None:
        self.listed.append(SimpleNamespace(id=id, name=name))
        self.painted[id] = painted

    def records(self) -> list[Any]:
        return list(self.listed)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(one.name for one in self.listed)

    def counts(self, id: str) -> dict[str, int]:
        return self.painted[id]

    def n_objects(self, id: str) -> int:
        return self.objects.get(id, 0)


class TrainingSession:
    """A session with model folders on the disk; what is asked of it is kept in `calls`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.classes = FakeClasses()
        self.models = FolderModels(self)
        self.jobs = TrainingJobs(self)
        self.project = FakeProjectState(lambda: self.call("empty"))
        self.painted = {"membrane": 1200, "inside": 34_000}
        self.strokes = SimpleNamespace(counts=lambda: self.painted)
        self.objects = SimpleNamespace(revision=0)
        self.image = SimpleNamespace(
            volume=SimpleNamespace(id="v1", name="raw", space=VoxelSpace((40.0, 10.0, 10.0)), n_channels=1)
        )
        self.volumes = FakeVolumes(self.painted)
        self.active: str | None = None
        self.names: dict[str, str] = {}
        self.unfinished: list[TrainJob] = []
        self.calls: list[tuple[Any, ...]] = []
        self.run_records: list[RunRecord] = []
        self.points: dict[str, list[MetricPoint]] = {}
        self.refuses: PytcError | None = None

    def call(self, *call: Any) -> None:
        self.calls.append(call)
        if self.refuses is not None:
            raise self.refuses


class TrainingJobs:
    """The jobs of a `TrainingSession`."""

    def __init__(self, session: TrainingSession) -> None:
        self._session = session

    def unfinished_trainings(self) -> list[TrainJob]:
        return self._session.unfinished

    def discard_training(self, job: TrainJob) -> None:
        self._session.call("discard", job)
        self._session.unfinished = [
            one for one in self._session.unfinished if one.output.run_folder != job.output.run_folder
        ]

    def runs(self) -> list[RunRecord]:
        return self._session.run_records

    def metrics(self, run: str) -> list[MetricPoint]:
        return self._session.points[run]


class FolderModels:
    """The models of a `TrainingSession`."""

    def __init__(self, session: TrainingSession) -> None:
        self._session = session

    def records(self) -> list[ModelRecord]:
        paths = (
            sorted((self._session.folder / "models").iterdir()) if (self._session.folder / "models").is_dir() else []
        )
        records = [self._record(path) for path in paths]
        sound = [record.id for record in records if not record.problem]
        standing = [record.id for record in records if record.id in sound and record.refusal is None] or sound
        active = self._session.active or (standing[-1] if standing else None)
        return [record.model_copy(update={"active": record.id == active}) for record in records]

    def activate(self, name: str) -> None:
        self._session.call("activate", name)
        self._session.active = name

    def rename(self, name: str, new: str) -> None:
        self._session.call("rename", name, new)
        self._session.names[name] = new

    def delete(self, name: str) -> None:
        self._session.call("delete", name)
        shutil.rmtree(self._session.folder / "models" / name)

    def export(self, name: str, destination: Path) -> Path:
        self._session.call("export", name, destination)
        shutil.copytree(self._session.folder / "models" / name, destination)
        return destination

    def _record(self, folder: Path) -> ModelRecord:
        try:
            info = read_model_info(folder)
        except ModelError as error:
            return ModelRecord(
                id=folder.name,
                name=folder.name,
                created="",
                recipe="",
                parent=None,
                scores={},
                folder=folder,
                problem=str(error),
            )
        return ModelRecord(
            id=folder.name,
            name=self._session.names.get(folder.name, info.name),
            created=info.created,
            recipe=info.recipe,
            parent=info.parent,
            scores=info.scores,
            folder=folder,
            classes=info.classes,
        )


class LiveLayers(QObject):
    """What live learning needs of the canvas."""

    stroke_begun = Signal()
    stroke_written = Signal(object)

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self.image = object()
        self.in_view = Box.at((3, 0, 0), (1, 48, 40))
        self.predictions = SimpleNamespace(folder=None, uncertainty=FakeUncertainty())
        self.outlined: list[Box | None] = []
        self.outline = SimpleNamespace(show=self.outlined.append)

    def view_box(self) -> Box:
        return self.in_view


class FakeHandle:
    """Remembers what was asked of it."""

    id = "j1"

    def __init__(self) -> None:
        self.cancel_requested = False
        self.messages: list[JobMessage] = []

    def send(self, message: JobMessage) -> None:
        self.messages.append(message)

    def cancel(self) -> None:
        self.cancel_requested = True


class FakeWorker(QObject):
    """A worker that is there, and runs what it gets at once."""

    changed = Signal()

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self.runner = InlineRunner()
        self.is_warm = True

    def when_ready(self, start: Callable[[], object], refuse: Callable[[PytcError], object]) -> None:
        start()


class FakeLauncher:
    """Remembers what it was asked to start; of a training it puts a job on the board, whose events the test tells."""

    def __init__(self, workspace: FakeWorkspace) -> None:
        self._workspace = workspace
        self.plan: TrainPlan | None = None
        self.plan_problem = self.plan_refusal = ""
        self.parent_model: str | None = None
        self.volumes: list[str] | None = None
        self.tracking: Tracking | None = None
        self.trained: list[tuple[TrainPlan, str | None]] = []
        self.resumed: list[TrainJob] = []
        self.calls: list[tuple[Any, ...]] = []

    def give_way(self, then: Callable[[], object]) -> None:
        then()

    def train(self, plan: TrainPlan, parent: str | None = None) -> None:
        self.trained.append((plan, parent))
        self._put_up(train_job(self._workspace.session.folder, plan))

    def resume_training(self, job: TrainJob) -> None:
        self.resumed.append(job)
        self._put_up(job)

    def start(self, kind: str, title: str, describe: Any) -> None:
        self.calls.append((kind, title, describe(self._workspace.session)))

    def predict(self, *arguments: Any) -> None:
        self.calls.append(("predict", *arguments))

    def resume_prediction(self, record: PredictionRecord) -> None:
        self.calls.append(("resume", record.id))

    def export(self, *arguments: Any, **options: Any) -> None:
        self.calls.append(("export", *arguments, options))

    def _put_up(self, job: TrainJob) -> None:
        view, self._workspace.sink = self._workspace.jobs.open("train", f"Train {job.plan.recipe}")
        view.spec, view.handle = job, FakeHandle()  # type: ignore[assignment]


class FakeWorkspace(QObject):
    """The signals and components that panels and their controllers use."""

    project_changed = Signal()
    session_changed = Signal()
    volumes_changed = Signal()
    busy_changed = Signal(str)
    failed = Signal(object)
    classes_changed = Signal()
    strokes_changed = Signal()
    held_out_changed = Signal()
    models_changed = Signal()
    predictions_changed = Signal()
    segmentations_changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.segments = FakeSegments(self)
        self.worker = FakeWorker(self)
        self.viewer = FakeViewer()
        self.jobs = JobBoard(self)
        self.background = Background(self)
        self.launcher = FakeLauncher(self)
        self.session: Any = None
        self.layers: Any = None
        self.drawn_box = DrawnBox(lambda: self.layers, self)
        self.volumes = VolumeSwitch(self, self)
        self.errors: list[PytcError] = []
        self.sink: Callable[[JobEvent], None] = lambda event: None
        self.failed.connect(self.errors.append)

    @property
    def calls(self) -> list[tuple[Any, ...]]:
        """What the launcher was asked for."""
        return self.launcher.calls

    @property
    def locked_reason(self) -> str:
        if self.session is None:
            return "no project is open."
        return "this project is open for reading only." if self.session.project.read_only else ""

    def open(self, folder: Path) -> FakeSession:
        """Open a project."""
        session = FakeSession(folder)
        self.layers = FakeLayers(self.viewer)
        self.open_session(session)
        return session

    def open_session(self, session: Any) -> None:
        """Open a project that the test has made, or none."""
        self.session = session
        self.project_changed.emit()
        self.session_changed.emit()

    def start(self, kind: str, title: str, spec: Any = None, *events: JobEvent) -> tuple[JobModel, Sink]:
        """Start a job that tells some events."""
        view, sink = self.jobs.open(kind, title)
        view.spec = spec
        for event in (Started(job="j1"), *events):
            sink(event)
        self.jobs.drain()
        return view, sink

    @property
    def job(self) -> JobModel:
        """The newest job."""
        return self.jobs.jobs[-1]

    def tell(self, *events: JobEvent) -> None:
        """Let the training on the board tell these."""
        for event in events:
            self.sink(event)
        self.jobs.drain()

    def attempt(self, change: Callable[[], Any]) -> Any:
        try:
            return change()
        except PytcError as error:
            self.failed.emit(error)
            return None

    def shutdown(self) -> None:
        self.jobs.close()
        self.background.close()


def train_job(folder: Path, plan: TrainPlan, name: str = "20261121-0831-fast") -> TrainJob:
    """A training as a session describes it."""
    return TrainJob(
        inputs=(
            VolumeInputs(
                volume=NpySpec(path=folder / "image.npy"),
                space=VoxelSpace((40.0, 10.0, 10.0)),
                annotations=folder / "annotations.zarr",
                held_out=(Box((0, 0, 0), (1, 8, 8)),),
            ),
        ),
        classes=("membrane", "inside"),
        plan=plan,
        output=ModelOutput(model_folder=folder / "models" / name, run_folder=folder / "runs" / name),
    )
