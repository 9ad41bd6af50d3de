"""The volumes that trainings learn from: how much is painted in each, and which the user left out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal

if TYPE_CHECKING:
    from napari_pytc.session.session import Session
    from napari_pytc.ui.workspace import Workspace


@dataclass(frozen=True)
class VolumeAnnotations:
    """What a volume of the project has to learn from.

    Parameters
    ----------
    painted : dict, optional
        Annotated voxels by class name; None while they are being counted.
    is_chosen : bool
        Whether trainings learn from it, where it has something to learn from.
    n_objects : int
        Objects that are marked in it.
    learns_objects : bool
        Whether single objects are learned, not classes.
    """

    id: str
    name: str
    painted: dict[str, int] | None
    is_chosen: bool
    n_objects: int = 0
    learns_objects: bool = False

    @property
    def n_learnt(self) -> int:
        """Number of what is learned from: objects, or annotated voxels."""
        return self.n_objects if self.learns_objects else self.n_painted

    @property
    def n_painted(self) -> int:
        """Annotated voxels of all classes."""
        return sum((self.painted or {}).values())


class TrainingVolumes(QObject):
    """Counts what is painted in each volume, in the helper thread, and keeps the user's choice among them.

    Parameters
    ----------
    workspace : Workspace
        Its project has the volumes.
    """

    changed = Signal()

    def __init__(self, workspace: Workspace, parent: QObject) -> None:
        super().__init__(parent)
        self._workspace = workspace
        self._left_out: set[str] = set()
        self._painted: dict[str, dict[str, int]] = {}
        self._n_objects: dict[str, int] = {}
        self._learns_objects = False
        self._n_counts = 0
        workspace.project_changed.connect(self._on_project)
        for signal in (workspace.session_changed, workspace.strokes_changed, workspace.classes_changed):
            signal.connect(self.count)
        workspace.volumes_changed.connect(self.count)
        self.count()

    @property
    def listed(self) -> list[VolumeAnnotations]:
        """The volumes of the project."""
        session = self._workspace.session
        records = [] if session is None else session.volumes.records()
        return [
            VolumeAnnotations(
                one.id,
                one.name,
                self._painted.get(one.id),
                one.id not in self._left_out,
                self._n_objects.get(one.id, 0),
                self._learns_objects,
            )
            for one in records
        ]

    @property
    def painted(self) -> dict[str, int]:
        """Annotated voxels by class name, in all volumes that are learned from; of the one in view as of now."""
        session, found = self._workspace.session, dict[str, int]()
        if session is None:
            return found
        for volume in self.listed:
            here = session.strokes.counts() if volume.id == session.image.volume.id else volume.painted
            for name, n_voxels in (here or {}).items() if volume.is_chosen else ():
                found[name] = found.get(name, 0) + n_voxels
        return found

    @property
    def has_objects(self) -> bool:
        """Whether objects are marked in a volume that is learned from; of the one in view as of now."""
        session = self._workspace.session
        if session is None:
            return False
        here = session.image.volume.id
        return any(
            bool(session.objects.revision if volume.id == here else volume.n_objects)
            for volume in self.listed
            if volume.is_chosen
        )

    def learn_objects(self, learns_objects: bool) -> None:
        """List what a recipe of single objects learns from, or one of classes."""
        if learns_objects != self._learns_objects:
            self._learns_objects = learns_objects
            self._publish()

    def choose(self, volume: str, is_chosen: bool) -> None:
        """Learn from a volume or not."""
        (self._left_out.discard if is_chosen else self._left_out.add)(volume)
        self._publish()

    def count(self, *news: object) -> None:
        """Count what is painted in the volumes."""
        session = self._workspace.session
        self._n_counts += 1
        if session is None or len(session.volumes.names) < 2:  # of a single one the strokes are counted already
            self._left_out.clear()
            self._painted, self._n_objects = {}, {}
            self._publish()
            return
        number, ids = self._n_counts, [record.id for record in session.volumes.records()]

        def show(found: tuple[dict[str, dict[str, int]], dict[str, int]]) -> None:
            if number == self._n_counts:
                self._painted, self._n_objects = found
                self._publish()

        self._workspace.background.run(lambda: _counts(session, ids), show, self._workspace.failed.emit, receiver=self)

    # ---- private

    def _on_project(self) -> None:
        self._left_out.clear()
        self._painted, self._n_objects = {}, {}

    def _publish(self) -> None:
        """Tell the launcher, too, which is asked by keys and menus."""
        chosen = [volume.name for volume in self.listed if volume.is_chosen and volume.n_learnt]
        self._workspace.launcher.volumes = chosen if self._left_out else None
        self.changed.emit()


def _counts(session: Session, ids: list[str]) -> tuple[dict[str, dict[str, int]], dict[str, int]]:
    """Annotated voxels by class name, and the number of objects, of each volume."""
    volumes = session.volumes
    return {id: volumes.counts(id) for id in ids}, {id: volumes.n_objects(id) for id in ids}
