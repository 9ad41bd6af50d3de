"""A workspace and a session for the Train panel: real jobs board and model folders, no napari, no worker."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from qtpy.QtCore import QObject, Signal

from napari_pytc.errors import ModelError, PytcError
from napari_pytc.geometry import Box
from napari_pytc.jobs.context import JobMessage
from napari_pytc.jobs.events import JobEvent
from napari_pytc.learning.config import TrainPlan
from napari_pytc.learning.jobs import TrainJob
from napari_pytc.learning.model_folder import read_model_info
from napari_pytc.session.records import ClassInfo, MetricPoint, ModelRecord, RunRecord
from napari_pytc.ui.background import Background
from napari_pytc.ui.bridge import JobBoard, JobView
from napari_pytc.volumes.spec import NpySpec
from tests.support.viewers import FakeViewer
from tests.ui.panel_fakes import FakeUncertainty

MEMBRANE = ClassInfo(id=1, name="membrane", colour="#e6194b")
INSIDE = ClassInfo(id=2, name="inside", colour="#3cb44b")


class FakeSession:
    """What the Train panel reads and asks of a session; calls are kept in `calls`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.classes = [MEMBRANE, INSIDE]
        self.painted = {"membrane": 1200, "inside": 34_000}
        self.objects_revision = 0
        self.read_only = False
        self.active: str | None = None
        self.names: dict[str, str] = {}
        self.unfinished: list[TrainJob] = []
        self.calls: list[tuple[Any, ...]] = []
        self.run_records: list[RunRecord] = []
        self.points: dict[str, list[MetricPoint]] = {}
        self.refuses: PytcError | None = None

    @property
    def read_only_reason(self) -> str:
        return "a.pytc is open for reading only: it is open in another window." if self.read_only else ""

    def annotated_voxels(self) -> dict[str, int]:
        return self.painted

    def unfinished_trainings(self) -> list[TrainJob]:
        return self.unfinished

    def discard_training(self, job: TrainJob) -> None:
        self._call("discard", job)
        self.unfinished = [one for one in self.unfinished if one.run_folder != job.run_folder]

    def empty_trash(self) -> None:
        self._call("empty")

    def models(self) -> list[ModelRecord]:
        paths = sorted((self.folder / "models").iterdir()) if (self.folder / "models").is_dir() else []
        records = [self._record(path) for path in paths]
        sound = [record.id for record in records if not record.problem]
        standing = [record.id for record in records if record.id in sound and record.refusal is None] or sound
        active = self.active or (standing[-1] if standing else None)
        return [record.model_copy(update={"active": record.id == active}) for record in records]

    def activate_model(self, name: str) -> None:
        self._call("activate", name)
        self.active = name

    def rename_model(self, name: str, new: str) -> None:
        self._call("rename", name, new)
        self.names[name] = new

    def delete_model(self, name: str) -> None:
        self._call("delete", name)
        shutil.rmtree(self.folder / "models" / name)

    def export_model(self, name: str, destination: Path) -> Path:
        self._call("export", name, destination)
        shutil.copytree(self.folder / "models" / name, destination)
        return destination

    def runs(self) -> list[RunRecord]:
        return self.run_records

    def metrics(self, run: str) -> list[MetricPoint]:
        return self.points[run]

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
            name=self.names.get(folder.name, info.name),
            created=info.created,
            recipe=info.recipe,
            parent=info.parent,
            scores=info.scores,
            folder=folder,
            classes=info.classes,
        )

    def _call(self, *call: Any) -> None:
        self.calls.append(call)
        if self.refuses is not None:
            raise self.refuses


class FakeLayers(QObject):
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
    """Remembers what it was told."""

    id = "j1"

    def __init__(self) -> None:
        self.cancel_requested = False
        self.messages: list[JobMessage] = []

    def send(self, message: JobMessage) -> None:
        self.messages.append(message)

    def cancel(self) -> None:
        self.cancel_requested = True


class FakeWorkspace(QObject):
    """As `Workspace`, but that `train` and `go_on_training` only put a job on the board; the test tells its events."""

    session_changed = Signal()
    busy_changed = Signal(str)
    failed = Signal(object)
    classes_changed = Signal()
    strokes_changed = Signal()
    held_out_changed = Signal()
    models_changed = Signal()
    predictions_changed = Signal()
    runner_changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.viewer = FakeViewer()
        self.jobs = JobBoard(self)
        self.background = Background(self)
        self.session: Any = None
        self.layers: Any = FakeLayers(self)
        self.worker = SimpleNamespace(runner=None)
        self.is_warm = True
        self.give_way = lambda then: then()
        self.plan: TrainPlan | None = None
        self.parent_model: str | None = None
        self.trained: list[tuple[TrainPlan, str | None]] = []
        self.resumed: list[TrainJob] = []
        self.errors: list[PytcError] = []
        self.sink: Callable[[JobEvent], None] = lambda event: None
        self.failed.connect(self.errors.append)

    def open(self, session: FakeSession | None) -> None:
        self.session = session
        self.session_changed.emit()

    def train(self, plan: TrainPlan, parent: str | None = None) -> None:
        self.trained.append((plan, parent))
        self._put_up(train_job(self.session.folder, plan))

    def go_on_training(self, job: TrainJob) -> None:
        self.resumed.append(job)
        self._put_up(job)

    def attempt(self, change: Callable[[], Any]) -> Any:
        try:
            return change()
        except PytcError as error:
            self.failed.emit(error)
            return None

    def tell(self, *events: JobEvent) -> None:
        """Let the job on the board tell these."""
        for event in events:
            self.sink(event)
        self.jobs.drain()

    @property
    def job(self) -> JobView:
        return self.jobs.jobs[-1]

    def shutdown(self) -> None:
        self.jobs.close()
        self.background.close()

    def _put_up(self, job: TrainJob) -> None:
        view, self.sink = self.jobs.open("train", f"Train {job.plan.recipe}")
        view.spec, view.handle = job, FakeHandle()  # type: ignore[assignment]


def train_job(folder: Path, plan: TrainPlan, name: str = "20261121-0831-fast") -> TrainJob:
    """A training as a session describes it."""
    return TrainJob(
        image=NpySpec(path=folder / "image.npy"),
        voxel_size_nm=(40.0, 10.0, 10.0),
        annotations=folder / "annotations.zarr",
        classes=("membrane", "inside"),
        held_out=(Box((0, 0, 0), (1, 8, 8)),),
        plan=plan,
        model_folder=folder / "models" / name,
        run_folder=folder / "runs" / name,
        parent=None,
        resume=True,
    )
