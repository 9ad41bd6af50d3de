"""The project's image: opened as it was, or found again elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from napari_pytc.errors import InvalidInput, ProjectError, PytcError, VolumeError
from napari_pytc.session.project import Project
from napari_pytc.volumes.fingerprint import fingerprint
from napari_pytc.volumes.opening import open_spec, open_volume
from napari_pytc.volumes.source import VolumeSource


def open_image(project: Project, folder: Path) -> VolumeSource:
    """Open the image of the project in a folder.

    Raises
    ------
    VolumeError
        If it moved or changed since the project was made; the hint says how to mend it.
    """
    try:
        source = open_spec(project.image)
        project.image_fingerprint.check(source)
    except (PytcError, OSError) as error:
        message = error.message if isinstance(error, PytcError) else f"The project's image cannot be read: {error}."
        raise VolumeError(
            message, f"Strokes and models are safe. If it moved: napari-pytc relink {folder} --image PATH."
        ) from error
    return source


def open_measured_image(
    where: str | Path, voxel_size_nm: tuple[float, float, float] | None, channel: int | None
) -> VolumeSource:
    """Open the image of a new project, whose voxel size somebody must know.

    Raises
    ------
    InvalidInput
        If neither the caller nor the file says it: networks, patches and exports follow the voxels' shape, so that a
        guess would spoil all that comes after.
    """
    source = open_volume(where, voxel_size_nm=voxel_size_nm, channel=channel)
    if not source.space.known:
        raise InvalidInput(
            f"{where} does not say how large its voxels are.",
            "Give it in nanometres: --voxel-size Z,Y,X, for example 40,4,4.",
        )
    return source


def find_image(project: Project, where: str | Path) -> tuple[VolumeSource, dict[str, Any]]:
    """Open the image at another place, and tell what changes in project.json.

    A changed image of the same shape is accepted: a filtered one, for example.

    Raises
    ------
    ProjectError
        If it has another shape: the strokes would not fit.
    """
    kept, expected = project.image, project.image_fingerprint.shape
    source = open_volume(where, voxel_size_nm=kept.voxel_size_nm, channel=kept.channel)
    if tuple(source.shape) != tuple(expected):
        raise ProjectError(
            f"The project's image has {' x '.join(map(str, expected))} voxels, but {where} has "
            f"{' x '.join(map(str, source.shape))}.",
            "Give the same image, or make a new project for this one.",
        )
    return source, {"image": source.spec, "image_fingerprint": fingerprint(source)}
