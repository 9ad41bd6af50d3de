"""The session: a project that is open, and the only one that changes it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from napari_pytc.session.classes import Classes
from napari_pytc.session.jobs import Jobs, JobSignals
from napari_pytc.session.live import Live
from napari_pytc.session.models import Models
from napari_pytc.session.opening import NewProject, OpenedProject, make_project, read_project
from napari_pytc.session.project.folder import ProjectFolder
from napari_pytc.session.project.state import ProjectState, utc_now
from napari_pytc.session.records import ClassSpec, PredictionRecord, number_classes
from napari_pytc.session.retraining import Retrainings
from napari_pytc.session.runs.active_jobs import ActiveJobs
from napari_pytc.session.tunings import Tunings
from napari_pytc.session.volumes.open_volumes import OpenVolumes
from napari_pytc.session.volumes.training_inputs import TrainingInputs
from napari_pytc.session.volumes.volumes import Volumes
from napari_pytc.volumes.spec import ReadOptions


class _Shared:
    """What the sessions at all volumes of a project have in common."""

    def __init__(self, opened: OpenedProject, clock: Callable[[], datetime]) -> None:
        self.state = state = ProjectState(
            ProjectFolder(opened.folder), opened.project, opened.lock, opened.reason, opened.database, clock
        )
        self.active = active = ActiveJobs()
        self.models = models = Models(state, active)
        self.opened = OpenVolumes(state, active, models)
        self.opened.take(opened.volume)
        self.classes = Classes(state, self.opened, active)
        self.volumes = Volumes(state, self.opened, active)
        self.inputs = TrainingInputs(state, self.opened)
        self.signals = JobSignals()
        self.sessions: dict[str, Session] = {}

    def predictions(self) -> list[PredictionRecord]:
        """The predictions of all volumes."""
        state = self.state
        found: list[PredictionRecord] = []
        for record in state.description.volumes:
            folder = state.folder.volume(record.id, state.description.is_moving).predictions
            known = state.database.predictions(record.id, folder)
            found += [prediction for prediction, _ in known if prediction.folder.is_dir()]
        return found


class Session:
    """An open project at one of its volumes, made of one component a subject.

    Make one with `create` or `open`, and close it. `at` gives the session at another volume: `project`, `classes`,
    `models` and `volumes` are the same objects there, all others are those of the other volume.

    All methods belong to the thread that opened it, unless documented otherwise. Components emit signals about jobs
    in the thread that delivers a job's events: connect to them with ``thread="main"``. A second session on the same
    project is read-only: ``project.read_only``, and the reason in ``project.read_only_reason``.

    Parameters
    ----------
    opened : OpenedProject
        A project that was read, perhaps in another thread; this one is the session's. Taking it over costs nothing.
    clock : callable
        The present, for ids and records.
    """

    def __init__(self, opened: OpenedProject, clock: Callable[[], datetime] = utc_now) -> None:
        try:
            self._take_over(_Shared(opened, clock), opened.volume.id)
        except BaseException:
            opened.release()
            raise

    def _take_over(self, shared: _Shared, volume: str) -> None:
        self._shared, self.project = shared, shared.state
        self.folder = shared.state.folder.path
        self.classes, self.models, self.volumes = shared.classes, shared.models, shared.volumes
        parts = shared.opened.get(volume)
        self.image, self.proofreader, self.held_out = parts.image, parts.proofreader, parts.held_out
        self.strokes, self.objects = parts.strokes, parts.objects
        self.predictions, self.segmentations, self.corrections = (
            parts.predictions,
            parts.segmentations,
            parts.corrections,
        )
        self.live = Live(parts.state, shared.inputs, shared.models, shared.predictions)
        self.jobs = Jobs(parts, shared.active, shared.models, shared.inputs, self.live, shared.signals)
        self.tunings = Tunings(parts, self.jobs)
        self.retraining = Retrainings(
            parts.state,
            parts.proofreader,
            shared.models,
            parts.predictions,
            parts.segmentations,
            parts.corrections,
            self.jobs,
            partial(shared.inputs.corrections_beside, parts.state.id),
        )
        shared.sessions[volume] = self

    def at(self, volume: str) -> Session:
        """The session at another volume of the same project, by its name or id; the same one each time.

        It shares the lock and the database. `Volumes.prepare` reads the volume in another thread before, so that
        this costs nothing. Closing one session closes all.

        Raises
        ------
        InvalidInput
            If there is no such volume.
        PytcError
            If its strokes are damaged.
        """
        shared, id = self._shared, self.volumes.resolve(volume).id
        if id not in shared.sessions or shared.sessions[id].strokes is not shared.opened.get(id).strokes:
            found = object.__new__(Session)
            found._take_over(shared, id)
        return shared.sessions[id]

    @classmethod
    def create(
        cls,
        folder: str | Path,
        image: str | Path,
        classes: Sequence[str | ClassSpec],
        voxel_size_nm: tuple[float, float, float] | None = None,
        options: ReadOptions | None = None,
        overwrite: bool = False,
        name: str | None = None,
    ) -> Session:
        """Make a project and open it; parameters and errors as in `NewProject` and `make_project`.

        A voxel size given by itself replaces that of the options.
        """
        read = options or ReadOptions()
        if voxel_size_nm is not None:
            read = read.model_copy(update={"voxel_size_nm": voxel_size_nm})
        specs = tuple(ClassSpec(name=c.name, colour=c.colour) for c in number_classes(classes))
        make_project(NewProject(Path(folder), image, specs, read, overwrite, name=name))
        return cls.open(folder)

    @classmethod
    def open(
        cls,
        folder: str | Path,
        read_only: bool = False,
        clock: Callable[[], datetime] = utc_now,
        volume: str | None = None,
    ) -> Session:
        """Open a project at a volume, by default its first; read-only where another process may change it.

        Raises
        ------
        ProjectError
            If the folder is no project, is damaged, or was written by a newer version.
        InvalidInput
            If there is no such volume.
        """
        return cls(read_project(folder, read_only, False, volume), clock)

    def close(self) -> None:
        """Close the project, at all its volumes; may be called twice. Jobs that still run are no longer recorded."""
        self.project.begin_close()
        try:
            self._shared.opened.close()
        finally:
            self.project.release()
            self._shared.opened.close_images()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()
