"""A workspace on a viewer without a window and a runner that the test speaks for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import h5py

from napari_pytc.errors import PytcError
from napari_pytc.jobs.context import JobMessage
from napari_pytc.jobs.events import Cancelled, JobEvent
from napari_pytc.jobs.job import Job, JobState, Sink
from napari_pytc.jobs.runners.base import JobRunner
from napari_pytc.jobs.spec import JobSpec
from napari_pytc.session.project.recent import RecentProjects
from napari_pytc.session.session import Session
from napari_pytc.ui.canvas.project_layers import ProjectLayers
from napari_pytc.ui.controllers import Controllers
from napari_pytc.ui.workspace import Workspace
from tests.support.tissue import make_tissue
from tests.support.viewers import FakeViewer
from tests.support.waiting import PATIENCE_S

SHAPE = (12, 48, 40)


class ManualRunner:
    """A `JobRunner` whose jobs do what the test says."""

    def __init__(self) -> None:
        self.jobs: list[Job] = []
        self.specs: list[JobSpec] = []
        self.messages: list[JobMessage] = []
        """What was sent to the jobs."""
        self.is_closed = False
        self.obeys = True
        """Whether a job that is cancelled ends at once."""

    def start(self, spec: JobSpec, sink: Sink) -> Job:
        self.jobs.append(Job(sink, self._stop, self._hear))
        self.specs.append(spec)
        return self.jobs[-1]

    def tell(self, event: type[JobEvent], number: int = -1, **content: Any) -> None:
        job = self.jobs[number]
        job.emit(event(job=job.id, **content))

    def unfinished(self) -> list[Any]:
        return [job for job in self.jobs if job.outcome is None]

    def cancel(self, job: str) -> None:
        for handle in self.unfinished():
            if handle.id == job:
                handle.cancel()

    def close(self) -> None:
        self.is_closed = True
        for job in self.unfinished():
            job.emit(Cancelled(job=job.id))

    def _hear(self, job: Job, message: JobMessage) -> None:
        self.messages.append(message)

    def _stop(self, job: Job) -> None:
        if self.obeys:
            job.emit(Cancelled(job=job.id))


class WorkerFactory:
    """Hires the runner, as late and as badly as the test wants."""

    def __init__(self) -> None:
        self.runner: Any = ManualRunner()
        self.may_begin = threading.Event()
        self.may_begin.set()
        self.problem: PytcError | None = None
        self.n_started = 0

    def __call__(self) -> JobRunner:
        self.n_started += 1
        assert self.may_begin.wait(PATIENCE_S)
        if self.problem is not None:
            raise self.problem
        found: JobRunner = self.runner
        return found


class WorkspaceBench:
    """A workspace, and all its signals."""

    def __init__(self, bot: Any, folder: Path) -> None:
        self.bot, self.folder = bot, folder
        self.viewer, self.factory = FakeViewer(), WorkerFactory()
        self.recent = RecentProjects(folder / "recent.json")
        self.workspace = Workspace(self.viewer, self.factory, self.recent)
        self.errors: list[PytcError] = []
        self.sessions: list[str | None] = []
        self.busy: list[str] = []
        self.workspace.failed.connect(self.errors.append)
        self.workspace.session_changed.connect(lambda: self.sessions.append(self.name))
        self.workspace.busy_changed.connect(self.busy.append)

    @cached_property
    def controllers(self) -> Controllers:
        """What panels, menus and keys share."""
        return Controllers(self.workspace)

    @property
    def name(self) -> str | None:
        return None if self.workspace.session is None else self.workspace.session.folder.name

    @property
    def runner(self) -> Any:
        return self.factory.runner

    @property
    def session(self) -> Session:
        assert self.workspace.session is not None
        return self.workspace.session

    @property
    def layers(self) -> ProjectLayers:
        assert self.workspace.layers is not None
        return self.workspace.layers

    def until(self, happened: Callable[[], object]) -> None:
        self.bot.waitUntil(lambda: bool(happened()))

    def make(self, name: str = "a") -> Path:
        """A project on the disk, with an image of its own."""
        image = self.folder / f"{name}.h5"
        with h5py.File(image, "w") as file:
            file.create_dataset("main", data=make_tissue(SHAPE, anisotropy=4.0).raw)
        target = self.folder / f"{name}.pytc"
        Session.create(target, image, ["membrane", "inside"], voxel_size_nm=(40, 10, 10)).close()
        return target

    def open(self, folder: Path) -> None:
        self.workspace.open_project(folder)
        self.until(lambda: not self.workspace.busy)

    def warm(self) -> None:
        self.workspace.worker.begin()
        self.until(lambda: self.workspace.worker.is_warm)

    def paint(self, label: int, row: int) -> None:
        """A stroke on the canvas: it is in memory when this returns, and on the disk a while later."""
        array: Any = self.viewer.find("Strokes").data
        array[3, row : row + 3, 2:38] = label

    def jobs(self) -> list[JobState]:
        self.workspace.jobs.drain()
        return [job.state for job in self.workspace.jobs.jobs]
