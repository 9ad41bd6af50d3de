"""A viewer's project, jobs and layers: what the panels show, and what their buttons do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal

from napari_pytc.errors import ProjectError, PytcError
from napari_pytc.jobs.job import JobState
from napari_pytc.ui.bridge import JobView
from napari_pytc.ui.current_segments import CurrentSegments
from napari_pytc.ui.starting import JobStarter, Scope

__all__ = ["Scope", "Workspace"]

if TYPE_CHECKING:
    # What reads volumes takes a while to import: the functions that need it do so, most of them in the helper thread.
    from napari_pytc.geometry import Box
    from napari_pytc.jobs.runners.base import JobRunner
    from napari_pytc.proofreading.changes import Change
    from napari_pytc.session.opening import NewProject, OpenedProject
    from napari_pytc.session.recent import RecentProjects
    from napari_pytc.ui.port import ViewerPort


class Workspace(JobStarter):
    """What all panels of a viewer share. Everything here happens in the Qt thread; what takes long, elsewhere.

    Panels call its methods, listen to its signals, and read `session`; they never touch one another.

    Parameters
    ----------
    viewer : ViewerPort
        The window.
    hire : callable
        Makes the runner; called in a helper thread, because starting a process takes a while.
    recent : RecentProjects
        Where the projects opened lately are remembered.
    """

    session_changed = Signal()
    """A project was opened or closed; `session` is the new one, or None."""
    busy_changed = Signal(str)
    """What a project is waited for, as "Opening fly.pytc …"; empty when it is over."""
    classes_changed = Signal()
    strokes_changed = Signal()
    """Strokes were saved; `annotated_voxels` is up to date."""
    held_out_changed = Signal()
    models_changed = Signal()
    predictions_changed = Signal()
    segmentations_changed = Signal()
    """A segmentation came, went or became current."""

    def __init__(
        self,
        viewer: ViewerPort,
        hire: Callable[[], JobRunner],
        recent: RecentProjects | None = None,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(hire, parent)
        self.viewer = viewer
        if recent is None:
            from napari_pytc.session.recent import RecentProjects

            recent = RecentProjects()
        self.recent = recent
        self.busy = ""
        self.segments = CurrentSegments(self)
        self.segments.document_changed.connect(self._show_segments)
        self.segments.edited.connect(self._on_edited)
        self.segments.failed.connect(self.failed)
        self._links: list[tuple[Any, Callable[..., object]]] = []
        self.jobs.produced.connect(self._on_produced)
        self.jobs.ended.connect(self._on_ended)

    # ---- projects

    def open_project(self, folder: str | Path) -> None:
        """Open a project in place of the one that is open."""
        path = Path(folder)

        def read() -> OpenedProject:
            from napari_pytc.session.opening import read_project

            if not (path / "project.json").is_file():
                what = "is no project" if path.is_dir() else "does not exist, or not any more"
                raise ProjectError(f"{path} {what}.", "Choose the folder of a project; its name ends in .pytc.")
            return read_project(path)

        self._wait_for(f"Opening {path.name} …", read, self._adopt)

    def create_project(self, request: NewProject) -> None:
        """Make a project and open it."""

        def make() -> OpenedProject:
            from napari_pytc.session.opening import make_project, read_project

            make_project(request)
            return read_project(request.folder)

        self._wait_for(f"Making {Path(request.folder).name} …", make, self._adopt)

    def close_project(self) -> None:
        """Put the project away: its jobs are cancelled, its strokes are on the disk, its layers go."""
        session, layers = self.session, self.layers
        if session is None:
            return
        for job in self.jobs.running:
            job.cancel()
        self.session = self.layers = None
        for signal, told in self._links:
            signal.disconnect(told)
        self.segments.close()
        if layers is not None:
            layers.close()
        session.close()
        self.session_changed.emit()

    # ---- the end

    def shutdown(self) -> None:
        """Save, end the worker, let go of everything; may be called twice."""
        if self._closed:
            return
        self._closed = True
        self.jobs.close()
        self.segments.close()
        self.segments.shutdown()
        self.background.close()
        self.worker.close()
        if self.layers is not None:
            self.layers.close()
        if self.session is not None:
            self.session.close()
        self.session = self.layers = None

    # ---- what follows is ours

    def _wait_for(self, what: str, work: Callable[[], OpenedProject], then: Callable[[OpenedProject], None]) -> None:
        if self.busy:
            self.failed.emit(ProjectError(f"{self.busy.rstrip(' …')} is not over yet.", "Wait for it."))
            return
        self._set_busy(what)

        def succeed(found: OpenedProject) -> None:
            self._set_busy("")
            try:
                then(found)
            except PytcError as error:
                self.failed.emit(error)

        def fail(error: PytcError) -> None:
            self._set_busy("")
            self.failed.emit(error)

        self.background.run(work, succeed, fail, discard=lambda found: found.release())

    def _set_busy(self, what: str) -> None:
        self.busy = what
        self.busy_changed.emit(what)

    def _adopt(self, opened: OpenedProject) -> None:
        """Take a project over that was read in the helper thread."""
        from napari_pytc.session.session import Session
        from napari_pytc.ui.layers import ProjectLayers

        now = self.session
        if now is not None and now.folder == opened.folder and not (now.read_only and opened.lock is not None):
            opened.release()
            if now.read_only:
                self.failed.emit(ProjectError(now.read_only_reason, "It is as before; try again later."))
            else:
                self.viewer.show_status(f"{opened.folder.name} is open already.")
            return
        self.close_project()
        session = Session.adopt(opened)
        try:
            if opened.image is not None:
                self.layers = ProjectLayers(self.viewer, session, opened.image, self.background, self)
                self.layers.saved.connect(self.strokes_changed)
                self.layers.failed.connect(self.failed)
        except PytcError:
            session.close()
            raise
        self.session = session
        # Signals of its jobs come through the board instead.
        self._links = [
            (session.classes_changed, self.classes_changed.emit),
            (session.held_out_changed, self.held_out_changed.emit),
            (session.models_changed, self.models_changed.emit),
            (session.predictions_changed, self.predictions_changed.emit),
            (session.segmentations_changed, self.segmentations_changed.emit),
        ]
        for signal, told in self._links:
            signal.connect(told)
        self.recent.add(session.folder)
        self.segments.open(session)
        self.session_changed.emit()
        if opened.problem is not None:
            hint = "Strokes and models are safe. “Find the image” in the Data panel tells the project where it is now."
            self.failed.emit(ProjectError(opened.problem.message, hint))
        if session.read_only:
            hint = "You can look and export. “Open for editing” in the Data panel tries again."
            self.failed.emit(ProjectError(session.read_only_reason, hint))

    def _on_produced(self, view: JobView, boxes: list[Box]) -> None:
        if self.layers is None or view.kind not in ("predict", "live"):
            return
        # A prediction comes to the canvas with its first voxels; after that the user may look at another one.
        if not view.is_shown or view.output == self.layers.predictions.folder:
            if not view.is_shown:
                self.layers.predictions.set_visible(True)
            view.is_shown = True
            self.layers.show_new_voxels(view.output, boxes)

    def _on_ended(self, view: JobView) -> None:
        if self.session is None:
            return
        if view.kind in ("train", "live"):
            self.models_changed.emit()
        elif view.kind == "predict":
            if view.state == JobState.FINISHED and not view.is_shown and self.layers is not None:
                self.layers.show_new_voxels(view.output, [])  # it was all there already
            self.predictions_changed.emit()

    def _show_segments(self) -> None:
        if self.layers is not None:
            self.layers.show_segments(self.segments.document)

    def _on_edited(self, change: Change) -> None:
        if self.layers is not None and change.target == "segments":
            self.layers.segments.refresh(change.box)
