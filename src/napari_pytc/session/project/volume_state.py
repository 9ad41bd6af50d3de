"""The state of one volume of an open project: its record, its folder, and checks before a change."""

from __future__ import annotations

from typing import Any

from napari_pytc.errors import InvalidInput
from napari_pytc.geometry import Box, Shape
from napari_pytc.session.project.description import VolumeRecord
from napari_pytc.session.project.state import ProjectState
from napari_pytc.session.project.volume_folder import VolumeFolder


class VolumeState:
    """One volume of an open project.

    Parameters
    ----------
    project : ProjectState
        The state that it shares with the other volumes.
    id : str
        Its id.
    """

    def __init__(self, project: ProjectState, id: str) -> None:
        self.project, self.id = project, id
        self.folder: VolumeFolder = project.folder.volume(id, project.description.is_moving)

    @property
    def record(self) -> VolumeRecord:
        """Its record in project.json; a new value after each change.

        Raises
        ------
        ProjectError
            If the volume was removed.
        """
        return self.project.description.volume(self.id)

    @property
    def shape(self) -> Shape:
        """(z, y, x) of the image, in voxels."""
        return self.record.shape

    @property
    def image_digest(self) -> str:
        """Digest of the image, which differs for a changed one."""
        return self.record.fingerprint.digest

    @property
    def owner(self) -> str:
        """The subject of a sentence on what the volume has: "The project" where it is the only one."""
        return f"The volume {self.record.name}" if self.option else "The project"

    @property
    def option(self) -> str:
        """The option of a command that names it, with a space before; empty where it is the only one."""
        return self.project.description.option(self.record)

    def check_writable(self) -> None:
        """Raise unless the volume may be changed, here and by this thread."""
        self.project.check_writable()
        _ = self.record

    def check_changeable(self) -> None:
        """Raise unless the volume may be changed here; any thread."""
        self.project.check_changeable()
        _ = self.record

    def check_box(self, box: Box) -> None:
        """Raise unless a box lies in the image and holds a voxel."""
        volume = Box.of_shape(self.shape)
        if box.is_empty or not volume.contains(box):
            raise InvalidInput(
                f"A box must lie within the volume {volume} and hold a voxel, got {box}.",
                "Boxes are half-open and counted in voxels: Z0:Z1,Y0:Y1,X0:X1.",
            )

    def save(self, **changes: Any) -> None:
        """Change fields of the record in project.json."""
        self.project.save_volume(self.id, **changes)
