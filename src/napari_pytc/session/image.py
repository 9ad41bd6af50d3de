"""The project's image: opened as it was, or found again elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from napari_pytc.errors import InvalidInput, ProjectError, PytcError, VolumeError
from napari_pytc.geometry import Box, Shape, TileGrid, VoxelSpace
from napari_pytc.session.project import Project
from napari_pytc.volumes.fingerprint import fingerprint
from napari_pytc.volumes.opening import open_spec, open_volume
from napari_pytc.volumes.source import VolumeSource
from napari_pytc.volumes.spec import ChunkedSpec, VolumeSpec
from napari_pytc.volumes.zarr_output import create_ome_zarr


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


def copy_array(
    array: Any, path: Path, voxel_size_nm: tuple[float, float, float] | None, channel: int | None
) -> VolumeSource:
    """Write an array that is in no file into the project, chunk by chunk, so that dask's need not fit into memory.

    Raises
    ------
    InvalidInput
        If it is no volume, or nobody says how large its voxels are.
    """
    if voxel_size_nm is None:
        raise InvalidInput("The layer does not say how large its voxels are.", "Give the voxel size in nanometres.")
    shape = tuple(int(n) for n in array.shape)
    if len(shape) == 4 and channel is not None and 0 <= channel < shape[0]:
        array, shape = array[channel], shape[1:]
    if len(shape) not in (2, 3) or min(shape, default=0) < 1:
        raise InvalidInput(f"A volume has axes z, y, x or y, x, got an array of shape {shape}.", "Choose one channel.")
    z, y, x = (1, *shape)[-3:]
    kind = np.dtype(np.uint8) if np.dtype(array.dtype) == bool else np.dtype(array.dtype)
    sink = create_ome_zarr(path, (z, y, x), kind, VoxelSpace(voxel_size_nm))
    block: Shape = (sink.chunk_shape[0], min(y, 8 * sink.chunk_shape[1]), min(x, 8 * sink.chunk_shape[2]))
    for tile in TileGrid(Box.of_shape((z, y, x)), block):
        part = array[tile.write.slices if len(shape) == 3 else tile.write.slices[1:]]
        sink.write(tile.write, np.asarray(part, kind).reshape(tile.write.shape))
    return open_spec(sink.spec)


def image_stamp(spec: VolumeSpec) -> tuple[int, ...] | None:
    """Dates, sizes and numbers of the files by which a change of the image is seen; None where it lies elsewhere.

    Of a container it is the metadata: that its chunks are those of the project is the fingerprint's business.
    """
    place = Path(spec.url) if isinstance(spec, ChunkedSpec) else spec.path
    inner = place / spec.array if isinstance(spec, ChunkedSpec) else place
    stamp: list[int] = []
    try:
        for path in (place, inner):
            status = path.stat()
            stamp += [status.st_mtime_ns, status.st_size, status.st_ino]
    except (OSError, ValueError):
        return None
    return tuple(stamp)


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
