"""A viewer's project, jobs and layers, shared by all panels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal

from napari_pytc.errors import ProjectError, PytcError
from napari_pytc.jobs.job import JobState
from napari_pytc.ui.canvas.drawn_box import DrawnBox
from napari_pytc.ui.job_launcher import JobLauncher
from napari_pytc.ui.tasks.background import Background
from napari_pytc.ui.tasks.current_segments import CurrentSegments
from napari_pytc.ui.tasks.job_board import JobBoard, JobModel
from napari_pytc.ui.tasks.worker_handle import WorkerHandle
from napari_pytc.ui.volume_switch import VolumeSwitch
from napari_pytc.ui.widgets.flags import error_in_window

if TYPE_CHECKING:
    # What reads volumes takes a while to import: the functions that need it do so, most of them in the helper thread.
    from napari_pytc.geometry import Box
    from napari_pytc.jobs.runners.base import JobRunner
    from napari_pytc.proofreading.changes import Change
    from napari_pytc.session.opening import NewProject, OpenedProject
    from napari_pytc.session.project.recent import RecentProjects
    from napari_pytc.session.session import Session
    from napari_pytc.ui.canvas.project_layers import ProjectLayers
    from napari_pytc.ui.canvas.viewer.port import ViewerPort
    from napari_pytc.volumes.source import ImageSource


_IMAGE_HINT = "Strokes and models are safe. “Find the image” in the Data panel tells the project where it is now."


class Workspace(QObject):
    """The state that all panels of a viewer share. All methods belong to the Qt thread; long work runs elsewhere.

    Panels and their controllers call its methods, listen to its signals, and read `session`; they never touch one
    another.

    Parameters
    ----------
    viewer : ViewerPort
        The window.
    make_runner : callable
        Starts the worker; called in a helper thread, because that takes a while.
    recent : RecentProjects
        The list of projects opened lately.

    Attributes
    ----------
    jobs : JobBoard
        Jobs that run, wait or are over.
    launcher : JobLauncher
        Starts jobs.
    worker : WorkerHandle
        The process that runs them.
    background : Background
        The helper thread for files.
    segments : CurrentSegments
        The segmentation under edit.
    drawn_box : DrawnBox
        The rectangle that was drawn last.
    volumes : VolumeSwitch
        The volumes of the project, of which one is shown.
    """

    failed = Signal(object)
    """A `PytcError` of a user's action, to be shown."""
    project_changed = Signal()
    """A project was opened or closed; `session_changed` follows."""
    session_changed = Signal()
    """A project was opened or closed, or another of its volumes is current: `session` is at that one, or None."""
    volumes_changed = Signal()
    """A volume was added to the project, removed or renamed."""
    busy_changed = Signal(str)
    """Text on the step that a project is waited for, as "Opening fly.pytc …"; empty when it is over."""
    classes_changed = Signal()
    strokes_changed = Signal()
    """Strokes were saved; `Strokes.counts` is up to date."""
    held_out_changed = Signal()
    models_changed = Signal()
    predictions_changed = Signal()
    segmentations_changed = Signal()
    """A segmentation came, went or became current."""

    def __init__(
        self,
        viewer: ViewerPort,
        make_runner: Callable[[], JobRunner],
        recent: RecentProjects | None = None,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self.viewer = viewer
        self.session: Session | None = None
        self.layers: ProjectLayers | None = None
        self._closed = False
        if recent is None:
            from napari_pytc.session.project.recent import RecentProjects

            recent = RecentProjects()
        self.recent = recent
        self.busy = ""
        self.jobs = JobBoard(self)
        self.background = Background(self)
        self.worker = WorkerHandle(make_runner, self.background, self)
        self.worker.failed.connect(self.failed)
        self.drawn_box = DrawnBox(lambda: self.layers, self)
        self.segments = CurrentSegments(self)
        self.volumes = VolumeSwitch(self, self)
        self.launcher = JobLauncher(self, self.jobs, self.worker, self)
        self.segments.document_changed.connect(self._show_segments)
        self.segments.edited.connect(self._on_edited)
        self.segments.failed.connect(self.failed)
        self._links: list[tuple[Any, Callable[..., object]]] = []
        self.jobs.produced.connect(self._on_produced)
        self.jobs.ended.connect(self._on_ended)

    @property
    def locked_reason(self) -> str:
        """Reason why nothing can be changed, as the rest of a sentence; empty if it can."""
        if self.session is None:
            return "no project is open."
        return "this project is open for reading only." if self.session.project.read_only else ""

    def require_layers(self) -> ProjectLayers:
        """The layers of the project that is open; without them a `ProjectError` names the missing part."""
        if self.layers is not None:
            return self.layers
        if self.session is None:
            raise ProjectError("No project is open.", "Open or make one in the Data panel.")
        raise ProjectError(f"The image of {self.session.folder.name} was not found.", "Choose it in the Data panel.")

    def attempt(self, change: Callable[[], Any]) -> Any:
        """Call something of the session; an error of the user's is shown by `failed` and None returned."""
        try:
            return change()
        except PytcError as error:
            self.failed.emit(error)
            return None

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

    def create_project(self, request: NewProject, layers: Sequence[Any] = (), replaced: Sequence[Any] = ()) -> None:
        """Make a project and open it.

        Parameters
        ----------
        layers : sequence
            The user's layers that show the project's image, one a channel; they go on as its layers.
        replaced : sequence
            Layers of the user's that show it in another way, as all channels in one; they are switched off.
        """

        def make() -> OpenedProject:
            from napari_pytc.session.opening import make_project, read_project

            make_project(request)
            return read_project(request.folder)

        def take(opened: OpenedProject) -> None:
            self._adopt(opened, layers)
            for layer in replaced:
                self.viewer.set_visible(layer, False)

        self._wait_for(f"Making {Path(request.folder).name} …", make, take)

    def close_project(self) -> None:
        """Put the project away: its jobs are cancelled, its strokes are on the disk, its layers go."""
        session = self.session
        if session is None:
            return
        for job in self.jobs.running:
            job.cancel()
        self._leave()
        session.close()
        self.project_changed.emit()
        self.session_changed.emit()

    def show_volume(self, session: Session, layers: Sequence[Any] = ()) -> None:
        """Show another volume of the project that is open; jobs go on.

        Parameters
        ----------
        session : Session
            The session at that volume.
        layers : sequence
            The user's layers that show its image, one a channel.
        """
        problem: PytcError | None = None
        image: ImageSource | None = None
        with self.viewer.layers_reused():
            self._leave()
            try:
                image = session.image.source
                self._make_layers(session, image, layers)
            except PytcError as error:
                problem = error
        self._enter(session)
        self.session_changed.emit()
        if problem is not None:
            self.failed.emit(ProjectError(problem.message, _IMAGE_HINT) if image is None else problem)

    # ---- the end

    def shutdown(self) -> None:
        """Save, end the worker, release everything; may be called twice."""
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

    # ---- private

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
                self.failed.emit(error_in_window(error))

        def fail(error: PytcError) -> None:
            self._set_busy("")
            self.failed.emit(error_in_window(error))

        self.background.run(work, succeed, fail, discard=lambda found: found.release())

    def _set_busy(self, what: str) -> None:
        self.busy = what
        self.busy_changed.emit(what)

    def _adopt(self, opened: OpenedProject, layers: Sequence[Any] = ()) -> None:
        """Take a project over that was read in the helper thread."""
        from napari_pytc.session.session import Session

        now = self.session
        if now is not None and now.folder == opened.folder and not (now.project.read_only and opened.lock is not None):
            opened.release()
            if now.project.read_only:
                self.failed.emit(ProjectError(now.project.read_only_reason, "It is as before; try again later."))
            else:
                self.viewer.show_status(f"{opened.folder.name} is open already.")
            return
        self.close_project()
        session = Session(opened)
        try:
            if opened.image is not None:
                self._make_layers(session, opened.image, layers)
        except PytcError:
            session.close()
            raise
        self.recent.add(session.folder)
        self._enter(session)
        self.project_changed.emit()
        self.session_changed.emit()
        if opened.problem is not None:
            self.failed.emit(ProjectError(opened.problem.message, _IMAGE_HINT))
        if session.project.read_only:
            hint = "You can look and export. “Open for editing” in the Data panel tries again."
            self.failed.emit(ProjectError(session.project.read_only_reason, hint))

    def _make_layers(self, session: Session, image: ImageSource, layers: Sequence[Any]) -> None:
        """Show the layers of a session's volume."""
        from napari_pytc.ui.canvas.project_layers import ProjectLayers

        own = layers if len(layers) == image.n_channels else self._layers_of(image)
        self.layers = ProjectLayers(self.viewer, session, image, self.background, self, own)
        self.layers.saved.connect(self.strokes_changed)
        self.layers.failed.connect(self.failed)

    def _enter(self, session: Session) -> None:
        """Follow a session, and open its segments."""
        self.session = session
        # Signals of its jobs come through the board instead.
        self._links = [
            (session.classes.changed, self.classes_changed.emit),
            (session.models.changed, self.models_changed.emit),
            (session.volumes.changed, self.volumes_changed.emit),
            (session.held_out.changed, self.held_out_changed.emit),
            (session.predictions.changed, self.predictions_changed.emit),
            (session.segmentations.changed, self.segmentations_changed.emit),
        ]
        for signal, relay in self._links:
            signal.connect(relay)
        self.segments.open(session)

    def _leave(self) -> None:
        """Follow the session no longer; its strokes are on the disk, and its layers go."""
        layers = self.layers
        self.session = self.layers = None
        for signal, relay in self._links:
            signal.disconnect(relay)
        self._links = []
        self.segments.close()
        if layers is not None:
            layers.close()

    def _layers_of(self, image: ImageSource) -> Sequence[Any]:
        """The user's layers that show the channels of an image already; empty unless all are there."""
        from napari_pytc.ui.canvas.viewer.layer_choice import shows_volume

        choices, found = self.viewer.image_choices(), []
        for channel in image.channels:
            for choice in choices:
                if shows_volume(choice, channel.spec, channel.shape, str(channel.dtype)):
                    found.append(choice.layer)
                    break
            else:
                return ()
        return found
        return None

    def _on_produced(self, view: JobModel, boxes: list[Box]) -> None:
        if self.layers is None or view.kind not in ("predict", "live") or not self._is_current(view):
            return
        # A prediction comes to the canvas with its first voxels; after that the user may look at another one.
        if not view.is_shown or view.output == self.layers.predictions.folder:
            if not view.is_shown:
                self.layers.predictions.set_visible(True)
            view.is_shown = True
            self.layers.show_new_voxels(view.output, boxes)

    def _on_ended(self, view: JobModel) -> None:
        if self.session is None:
            return
        if view.kind in ("train", "live", "import_model"):
            self.models_changed.emit()
        elif view.kind == "predict":
            is_hidden = view.state == JobState.FINISHED and not view.is_shown and self._is_current(view)
            if is_hidden and self.layers is not None:
                self.layers.show_new_voxels(view.output, [])  # it was all there already
            self.predictions_changed.emit()

    def _is_current(self, view: JobModel) -> bool:
        """Whether a job works on the volume that is shown."""
        return self.session is not None and view.volume in ("", self.session.image.volume.id)

    def _show_segments(self) -> None:
        if self.layers is not None:
            self.layers.show_segments(self.segments.document)

    def _on_edited(self, change: Change) -> None:
        if self.layers is not None and change.target == "segments":
            self.layers.segments.refresh(change.box)
