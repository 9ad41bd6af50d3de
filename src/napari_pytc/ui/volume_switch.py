"""The volumes of the open project in the window: switched, added, renamed and removed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from qtpy.QtCore import QObject, Signal, SignalInstance

from napari_pytc.errors import ProjectError, PytcError
from napari_pytc.ui.canvas.viewer.port import ViewerPort, ViewState
from napari_pytc.ui.tasks.background import Background
from napari_pytc.ui.widgets.flags import error_in_window

if TYPE_CHECKING:
    from napari_pytc.session.project.description import VolumeRecord
    from napari_pytc.session.session import Session
    from napari_pytc.session.volumes.building import NewVolume
    from napari_pytc.session.volumes.volumes import BuiltVolume
    from napari_pytc.ui.canvas.project_layers import ProjectLayers


NEXT_KEY, PREVIOUS_KEY = "Shift-X", "Shift-Z"
"""Keys of the viewer; napari has others for neither."""


_Shown = tuple[ViewState, bool]
"""What a layer showed, and whether it was switched on."""


class ShownProject(Protocol):
    """The project that is open in a window, if any; a `Workspace` is one."""

    viewer: ViewerPort
    background: Background
    failed: SignalInstance
    project_changed: SignalInstance
    session_changed: SignalInstance

    @property
    def session(self) -> Session | None:
        """The session at the volume that is shown."""

    @property
    def layers(self) -> ProjectLayers | None:
        """Its layers; None where there is no project, or its image was not found."""

    def show_volume(self, session: Session, layers: Sequence[Any] = ()) -> None:
        """Show another volume."""


class VolumeSwitch(QObject):
    """Shows one volume of a project after the other, each at the place where the user left it.

    All methods belong to the Qt thread and none waits for the disk: a volume is read in the helper thread first. Of
    several that are asked for meanwhile the last one is shown.

    Parameters
    ----------
    project : ShownProject
        The project of the volumes.
    """

    changed = Signal()
    """`wanted` or `doing` is another one."""

    def __init__(self, project: ShownProject, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._project = project
        self._views: dict[str, list[_Shown]] = {}
        self._own_layers: dict[str, tuple[Any, ...]] = {}
        """The user's layers that show images, one a channel, by the volume's id."""
        self.missing: set[str] = set()
        """Ids of the volumes whose images were not found when they were to be shown."""
        self.wanted = ""
        """Id of the volume that is being read to be shown; empty while there is none."""
        self.doing = ""
        """Text on the volume that is being added; empty while there is none."""
        project.project_changed.connect(self._forget)

    @property
    def records(self) -> list[VolumeRecord]:
        """The volumes of the project, in the order in which they were added."""
        session = self._project.session
        return [] if session is None else session.volumes.records()

    @property
    def current(self) -> str:
        """Id of the volume that is shown; empty while no project is open."""
        session = self._project.session
        return "" if session is None else session.image.volume.id

    def why_not_change(self) -> str:
        """Reason why no volume can be added, renamed or removed, as the rest of a sentence; empty if one can."""
        session = self._project.session
        if session is None:
            return "no project is open."
        if session.project.read_only:
            return "the project is open for reading only."
        return f"{self.doing[:1].lower()}{self.doing[1:]}" if self.doing else ""

    def why_not_remove(self) -> str:
        """Reason why the volume that is shown cannot be removed; empty if it can."""
        only = "it is the only volume of the project." if len(self.records) < 2 else ""
        return self.why_not_change() or only

    # ---- which one is shown

    def show(self, volume: str) -> None:
        """Show a volume, by its id."""
        session = self._project.session
        if session is None:
            return
        self.wanted = "" if volume == self.current else volume
        self.changed.emit()
        if not self.wanted:
            return

        def take(nothing: object) -> None:
            if self._is_open(session) and self.wanted == volume:
                self._set_wanted("")
                self._show(session, volume)

        def fail(error: PytcError) -> None:
            if self._is_open(session) and self.wanted == volume:
                self._set_wanted("")
                self._project.failed.emit(error)

        self._project.background.run(lambda: session.volumes.prepare(volume), take, fail, receiver=self)

    def show_next(self, step: int = 1) -> None:
        """Show the next volume of the list, or with -1 the one before; after the last comes the first.

        Raises
        ------
        ProjectError
            If there is no other.
        """
        ids = [record.id for record in self.records]
        if not ids:
            raise ProjectError("No project is open.", "Open or make one in the Data panel.")
        if len(ids) < 2:
            raise ProjectError("The project has one volume.", "Add another one in the Data panel.")
        self.show(ids[(ids.index(self.wanted or self.current) + step) % len(ids)])

    # ---- which there are

    def add(self, request: NewVolume, layers: Sequence[Any] = (), then: Callable[[], object] = lambda: None) -> None:
        """Add a volume and show it.

        Parameters
        ----------
        layers : sequence
            The user's layers that show its image, one a channel.
        then : callable
            Called when it was added; not where that failed.
        """
        session = self._project.session
        if session is None or self._refuse(self.why_not_change()):
            return
        volumes = session.volumes
        self._set_doing("A volume is being added …")

        def take(built: BuiltVolume) -> None:
            self._set_doing("")
            if not self._is_open(session):
                built.discard()
                return
            try:
                record = volumes.take_in(built)
            except PytcError as error:
                self._project.failed.emit(error_in_window(error))
                return
            if layers:
                self._own_layers[record.id] = tuple(layers)
            then()
            self.show(record.id)

        def fail(error: PytcError) -> None:
            self._set_doing("")
            self._project.failed.emit(error_in_window(error))

        self._project.background.run(
            lambda: volumes.build(request), take, fail, receiver=self, discard=lambda built: built.discard()
        )

    def rename(self, volume: str, name: str) -> None:
        """Give a volume another name."""
        session = self._project.session
        if session is not None:
            self._attempt(lambda: session.volumes.rename(volume, name))

    def remove(self, volume: str) -> None:
        """Remove a volume; another one is shown where it was the one in view. Its folder goes to the trash."""
        session = self._project.session
        if session is None or self._refuse(self.why_not_remove()):
            return

        def check() -> bool:
            return self._attempt(lambda: session.volumes.check_removable(volume))

        def remove() -> bool:
            is_removed = self._attempt(lambda: session.volumes.remove(volume))
            if is_removed or all(record.id != volume for record in self.records):
                self._views.pop(volume, None)
                self._own_layers.pop(volume, None)
                return True
            return False

        if volume != self.current:
            remove()
            return
        if not check():
            return
        other = next(record.id for record in self.records if record.id != volume)

        def take(nothing: object) -> None:
            if self._is_open(session) and check():  # a job may have begun meanwhile
                self._show(session, other)
                if not remove():
                    self.show(volume)

        self._project.background.run(
            lambda: session.volumes.prepare(other), take, self._project.failed.emit, receiver=self
        )

    # ---- private

    def _show(self, session: Session, volume: str) -> None:
        viewer, layers, before = self._project.viewer, self._project.layers, self.current
        own: tuple[Any, ...] = ()
        if layers is not None:
            self._views[before] = [(viewer.view_state(layer), viewer.is_visible(layer)) for layer in layers.images]
            own = layers.own_layers
        try:
            found = session.at(volume)
        except PytcError as error:
            self._project.failed.emit(error)
            return
        self._project.show_volume(found, self._own_layers.get(volume, ()))
        (self.missing.add if self._project.layers is None else self.missing.discard)(volume)
        if own:
            self._own_layers[before] = own
        for layer in own:
            viewer.set_visible(layer, False)
        if self._project.layers is not None:
            self._show_images(self._project.layers.images, self._views.get(volume))
        self.changed.emit()

    def _show_images(self, images: Sequence[Any], states: list[_Shown] | None) -> None:
        """Show the layers of an image as they were left, at the place that was in view."""
        viewer = self._project.viewer
        for place, image in enumerate(images):
            state, is_visible = (None, True) if states is None or place >= len(states) else states[place]
            viewer.set_visible(image, is_visible or len(images) == 1)
            if place == 0:
                viewer.restore_view(image, state)
            elif state is not None and state.contrast is not None and state.contrast_range is not None:
                viewer.set_contrast(image, state.contrast, state.contrast_range)

    def _is_open(self, session: Session) -> bool:
        """Whether the project of a session is still the one that is open."""
        now = self._project.session
        return now is not None and now.project is session.project

    def _attempt(self, change: Any) -> bool:
        try:
            change()
        except PytcError as error:
            self._project.failed.emit(error)
            return False
        return True

    def _refuse(self, reason: str) -> bool:
        if reason:
            self._project.failed.emit(ProjectError(f"The volumes cannot be changed: {reason}"))
        return bool(reason)

    def _set_wanted(self, volume: str) -> None:
        self.wanted = volume
        self.changed.emit()

    def _set_doing(self, what: str) -> None:
        self.doing = what
        self.changed.emit()

    def _forget(self) -> None:
        """Another project: places and layers of the former one are forgotten."""
        self._views.clear()
        self._own_layers.clear()
        self.missing.clear()
        session = self._project.session
        if session is not None and self._project.layers is None:
            self.missing.add(session.image.volume.id)
        self.wanted = self.doing = ""
        self.changed.emit()
