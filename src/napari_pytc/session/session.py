"""The session: a project that is open, and the only one who changes it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from filelock import FileLock
from psygnal import Signal

from napari_pytc.annotations.importing import ArrayLabels, LabelReader, Report, import_labels
from napari_pytc.annotations.store import AnnotationStore
from napari_pytc.errors import InvalidInput, ProjectError, VolumeError
from napari_pytc.geometry import Box, VoxelSpace
from napari_pytc.jobs.events import JobEvent
from napari_pytc.jobs.spec import JobSpec
from napari_pytc.learning.config import PredictPlan, TrainPlan
from napari_pytc.session import library
from napari_pytc.session.database import Database
from napari_pytc.session.image import find_image, open_image, open_measured_image
from napari_pytc.session.jobs import SessionJobs
from napari_pytc.session.project import Project, ProjectFolder, project_built_aside
from napari_pytc.session.records import (
    ClassInfo,
    ClassSpec,
    MetricPoint,
    ModelRecord,
    PredictionRecord,
    RunRecord,
    number_classes,
)
from napari_pytc.volumes.fingerprint import fingerprint
from napari_pytc.volumes.source import VolumeSource

if TYPE_CHECKING:
    from napari_pytc.exporting.jobs import ExportJob
    from napari_pytc.jobs.runners.base import JobHandle, JobRunner
    from napari_pytc.learning.jobs import PredictJob, TrainJob

__all__ = ["ClassInfo", "ClassSpec", "ModelRecord", "PredictionRecord", "RunRecord", "Session"]


class Session:
    """An open project. Make one with `create` or `open`, and close it.

    All methods belong to the thread that opened it. Signals about jobs (`run_started`, `run_ended`, `model_added`,
    `prediction_changed`) are emitted by the thread that delivers a job's events: connect to them with
    ``thread="main"``. A second session on the same project is `read_only`; it says why in `read_only_reason`.
    """

    class_added = Signal(ClassInfo)
    held_out_changed = Signal(tuple)
    annotated = Signal(Box)
    image_relinked = Signal()
    run_started = Signal(str)
    run_ended = Signal(str)
    model_added = Signal(ModelRecord)
    prediction_changed = Signal(PredictionRecord)

    def __init__(
        self, folder: ProjectFolder, project: Project, lock: FileLock | None, reason: str, clock: Callable[[], datetime]
    ) -> None:
        self._folder, self._project, self._lock = folder, project, lock
        self._reason = reason
        self._thread = threading.get_ident()
        self._image: VolumeSource | None = None
        self._database = Database(folder.database, writable=lock is not None)
        try:
            self._annotations = AnnotationStore.open(folder.annotations, writable=lock is not None)
            if lock is not None:
                self._database.interrupt_runs()
        except BaseException:
            self._database.close()
            raise
        self._jobs = SessionJobs(self, folder, self._database, clock)

    @classmethod
    def create(
        cls,
        folder: str | Path,
        image: str | Path,
        classes: Sequence[str | ClassSpec],
        voxel_size_nm: tuple[float, float, float] | None = None,
        channel: int | None = None,
        overwrite: bool = False,
    ) -> Session:
        """Make a project and open it.

        Parameters
        ----------
        folder : Path
            Where the project appears, complete or not at all.
        image : str or Path
            The volume to segment, ``PATH[:DATASET]``; it stays where it is.
        classes : sequence of str or ClassSpec
            What to tell apart; the first is label 1.
        voxel_size_nm : tuple of float, optional
            Replaces what the file says (z, y, x); needed where it says nothing.
        channel : int, optional
            Which channel, where the image has several.
        overwrite : bool
            Replace a project that is there already; nothing but a project is ever replaced.

        Raises
        ------
        PytcError
            If the image cannot be opened, nobody says how large its voxels are, the classes are wrong, or the folder
            is in use.
        """
        target, numbered = Path(folder).absolute(), number_classes(classes)
        source = open_measured_image(image, voxel_size_nm, channel)
        space = source.space
        project = Project(
            image=source.spec,
            image_fingerprint=fingerprint(source),
            voxel_size_nm=space.voxel_size_nm,
            origin_nm=space.origin_nm,
            voxel_size_source="user" if voxel_size_nm is not None else "file",
            classes=numbered,
        )
        with project_built_aside(target, overwrite) as aside:
            AnnotationStore.create(aside.annotations, source.shape, space)
            Database(aside.database, writable=True).close()
            aside.save(project)
        return cls.open(target)

    @classmethod
    def open(
        cls, folder: str | Path, read_only: bool = False, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> Session:
        """Open a project; read-only where another process may change it.

        Raises
        ------
        ProjectError
            If the folder is no project, is damaged, or was written by a newer version.
        """
        place = ProjectFolder(Path(folder).absolute())
        project = place.load()
        lock, reason = (None, "it was opened for reading only") if read_only else place.acquire_lock()
        try:
            # Once more, now that nobody else writes.
            return cls(place, place.load() if lock else project, lock, reason, clock)
        except BaseException:
            if lock is not None:
                lock.release()
            raise

    def close(self) -> None:
        """Give the project back; may be called twice. Jobs that still run are no longer recorded."""
        self._database.close()
        if self._lock is not None:
            self._lock.release()
        self._image = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    @property
    def folder(self) -> Path:
        """The project folder."""
        return self._folder.path

    @property
    def read_only(self) -> bool:
        """Whether this session may not change the project."""
        return self._lock is None

    @property
    def read_only_reason(self) -> str:
        """Why it is read-only; empty if it is not."""
        return f"{self.folder} is open for reading only: {self._reason}." if self.read_only else ""

    @property
    def project(self) -> Project:
        """What project.json says."""
        return self._project

    @property
    def space(self) -> VoxelSpace:
        """Voxel size and origin of the image."""
        return self._project.space

    @property
    def classes(self) -> list[ClassInfo]:
        """The classes in the order of their labels, from 1."""
        return list(self._project.classes)

    @property
    def held_out(self) -> tuple[Box, ...]:
        """Boxes that training must not see."""
        return self._project.held_out

    @property
    def annotations(self) -> AnnotationStore:
        """The strokes, to read; change them with `paint` and `annotate`."""
        return self._annotations

    @property
    def image(self) -> VolumeSource:
        """The volume to segment.

        Raises
        ------
        VolumeError
            If it moved or changed since the project was made.
        """
        if self._image is None:
            self._image = self._open_image()
        return self._image

    def check_image(self) -> VolumeSource:
        """The image, after another look at the disk for whether it is still the same; errors as in `image`."""
        fresh = self._open_image()
        self._image = self._image or fresh
        return self._image

    def add_class(self, spec: str | ClassSpec) -> ClassInfo:
        """Add a class behind the others."""
        self.check_writable()
        (new,) = number_classes([spec], first=len(self.classes) + 1)
        if new.name in [c.name for c in self.classes]:
            raise InvalidInput(f"There is a class {new.name!r} already.", "Choose another name.")
        self._save(classes=(*self._project.classes, new))
        self.class_added.emit(new)
        return new

    def hold_out(self, box: Box) -> None:
        """Keep a box out of training; what is annotated in it serves the scores."""
        self.check_writable()
        self._check_box(box)
        if box not in self.held_out:
            self._save(held_out=(*self.held_out, box))
            self.held_out_changed.emit(self.held_out)

    def release(self, box: Box) -> None:
        """Give a held-out box back to training."""
        self.check_writable()
        if box not in self.held_out:
            held = "  ".join(map(str, self.held_out)) or "none"
            raise InvalidInput(f"The box {box} is not held out; held out: {held}.")
        self._save(held_out=tuple(held for held in self.held_out if held != box))
        self.held_out_changed.emit(self.held_out)

    def paint(self, box: Box, labels: np.ndarray | int, mask: np.ndarray | None = None) -> None:
        """Annotate some voxels of a box, as `AnnotationStore.paint`; on the disk when it returns."""
        self.check_writable()
        highest = int(np.max(labels, initial=0))
        if highest > len(self.classes):
            raise InvalidInput(
                f"A stroke has label {highest}, but there are {len(self.classes)} classes.", "Add the class first."
            )
        self._annotations.paint(box, labels, mask)
        self.annotated.emit(box)

    def annotate(
        self, labels: np.ndarray | LabelReader, offset: Sequence[int] = (0, 0, 0), report: Report | None = None
    ) -> dict[str, int]:
        """Add labels of any size to what is annotated, block by block; 0 leaves a voxel as it is.

        Parameters
        ----------
        labels : ndarray or VolumeSource
            Integers: 0 = not annotated, k = k-th class. All are checked before anything is written.
        offset : sequence of int
            Voxel (z, y, x) of the image at which they begin.
        report : callable, optional
            Called with the number of steps done and their total.

        Returns
        -------
        dict
            How many voxels were labelled, by name of the class.

        Raises
        ------
        InvalidInput
            If the labels are no classes of the project or reach beyond the image.
        """
        self.check_writable()
        reader = ArrayLabels(labels) if isinstance(labels, np.ndarray) else labels
        counts = import_labels(self._annotations, reader, len(self.classes), offset, report)
        self.annotated.emit(Box.at(offset, reader.shape))
        return {c.name: counts.get(c.id, 0) for c in self.classes}

    def annotated_voxels(self) -> dict[str, int]:
        """How many voxels are annotated in all, by name of the class."""
        counts = self._annotations.counts()
        return {c.name: counts.get(c.id, 0) for c in self.classes}

    def relink_image(self, where: str | Path) -> None:
        """Tell the project where its image is now; a changed image of the same shape is accepted.

        A volume of another shape is refused with a `ProjectError`: the strokes would not fit.
        """
        self.check_writable()
        source, changes = find_image(self._project, where)
        self._save(**changes)
        self._image = source
        self.image_relinked.emit()

    def models(self) -> list[ModelRecord]:
        """The project's models, the oldest first."""
        return library.read_models(self._folder.models)

    def resolve_model(self, model: str | Path | None = None) -> Path:
        """The folder of a model named by its id, the beginning of one, or a path; by default the newest."""
        return library.resolve_model(self._folder.models, model)

    def predictions(self) -> list[PredictionRecord]:
        """The project's predictions, the oldest first."""
        return self._jobs.predictions()

    def runs(self) -> list[RunRecord]:
        """The jobs that ran on the project, the oldest first."""
        return self._database.runs()

    def metrics(self, run: str) -> list[MetricPoint]:
        """The curves of a run."""
        return self._database.metrics(run)

    def train_job(self, plan: TrainPlan, parent: str | Path | None = None, resume: bool = True) -> TrainJob:
        """Describe a training on what is annotated now.

        With `resume`, a training of the same plan, parent and data that was cut short is gone on with.
        """
        self.check_writable()
        return self._jobs.train_job(plan, parent, resume)

    def predict_job(
        self,
        plan: PredictPlan | None = None,
        model: str | Path | None = None,
        box: Box | None = None,
        focus: Sequence[float] | None = None,
    ) -> PredictJob:
        """Describe a prediction; the finished tiles of one of the same model and box are kept."""
        self.check_writable()
        if box is not None:
            self._check_box(box)
        return self._jobs.predict_job(plan or PredictPlan(), model, box, focus)

    def export_job(
        self,
        what: Literal["classes", "probabilities"],
        path: str | Path,
        prediction: str | Path | PredictionRecord | None = None,
        **options: Any,
    ) -> ExportJob:
        """Describe an export of a prediction, by default the newest one that is finished.

        `options` are other fields of `ExportJob`: box, dataset, compression, overwrite.
        """
        return self._jobs.export_job(what, path, prediction, options)

    def run(self, job: JobSpec, runner: JobRunner, sink: Callable[[JobEvent], None] | None = None) -> JobHandle:
        """Start a job and keep what comes of it: its run, metrics, model or prediction.

        `sink` gets every event after it was recorded, in the thread that delivers it.
        """
        if job.kind != "export":
            self.check_writable()
        return self._jobs.run(job, runner, sink)

    def check_writable(self) -> None:
        """Raise unless the project may be changed, here and by this thread."""
        if threading.get_ident() != self._thread:
            raise RuntimeError("A session is changed only by the thread that opened it.")
        if self.read_only:
            raise ProjectError(self.read_only_reason, "Close it in the other program, then open it again.")

    def _check_box(self, box: Box) -> None:
        volume = Box.of_shape(self._annotations.shape)
        if box.is_empty or not volume.contains(box):
            raise InvalidInput(
                f"A box must lie within the volume {volume} and hold a voxel, got {box}.",
                "Boxes are half-open and counted in voxels: Z0:Z1,Y0:Y1,X0:X1.",
            )

    def _save(self, **changes: Any) -> None:
        project = self._project.model_copy(update=changes)
        self._folder.save(project)
        self._project = project

    def _open_image(self) -> VolumeSource:
        try:
            return open_image(self._project, self.folder)
        except VolumeError:
            self._image = None
            raise
