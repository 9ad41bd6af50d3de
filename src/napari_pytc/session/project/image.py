"""The image of a project: opened as it was, or found again elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from psygnal import Signal

from napari_pytc.errors import InvalidInput, ProjectError, PytcError, VolumeError
from napari_pytc.geometry import Box, Shape, TileGrid, VoxelSpace
from napari_pytc.session.project.description import Project, VolumeRecord
from napari_pytc.session.project.volume_state import VolumeState
from napari_pytc.volumes.base import FileVolume
from napari_pytc.volumes.fingerprint import fingerprint
from napari_pytc.volumes.image import channel_numbers, channel_titles, open_image, open_image_spec
from napari_pytc.volumes.source import ImageSource
from napari_pytc.volumes.spec import ChunkedSpec, ReadOptions, VolumeSpec
from napari_pytc.volumes.zarr_output import create_ome_zarr


def open_project_image(record: VolumeRecord, project: Project, folder: Path) -> ImageSource:
    """Open the image of a volume of the project in a folder.

    Raises
    ------
    VolumeError
        If it moved or changed since it was added; the hint explains how to mend it.
    """
    try:
        source = open_image_spec(record.spec)
        record.fingerprint.check(source)
    except (PytcError, OSError) as error:
        message = error.message if isinstance(error, PytcError) else f"The project's image cannot be read: {error}."
        command = f"napari-pytc relink {folder} --image PATH{project.option(record)}"
        raise VolumeError(message, f"Strokes and models are safe. If it moved: {command}.") from error
    return source


def open_measured_image(where: str | Path, options: ReadOptions) -> ImageSource:
    """Open the image of a new project, whose voxel size must be known.

    Raises
    ------
    InvalidInput
        If neither the caller nor the file gives it: networks, patches and exports depend on the voxels' shape, so that
        a guess would spoil all that follows.
    """
    source = open_image(where, options)
    if not source.space.known:
        raise InvalidInput(
            " ".join([f"{where} does not say how large its voxels are.", *_space_notes(source)]),
            "Give it in nanometres: --voxel-size Z,Y,X, for example 40,4,4.",
        )
    return source


def _space_notes(source: ImageSource) -> tuple[str, ...]:
    """Why the voxel size that the file gives was not taken."""
    first = source.channels[0]
    return first.space_found.notes if isinstance(first, FileVolume) else ()


def copy_arrays(
    arrays: Sequence[Any], path: Path, voxel_size_nm: tuple[float, float, float] | None, names: Sequence[str] = ()
) -> ImageSource:
    """Write arrays that are in no file into the project, chunk by chunk, so that dask's need not fit into memory.

    Parameters
    ----------
    arrays : sequence of array-like
        One (z, y, x) or (y, x) a channel, all of one shape.
    names : sequence of str
        Names of the channels, where there are several.

    Raises
    ------
    InvalidInput
        If they are no volumes of one shape, or the voxel size is unknown.
    """
    if voxel_size_nm is None:
        raise InvalidInput("The layer does not say how large its voxels are.", "Give the voxel size in nanometres.")
    shapes = [tuple(int(n) for n in array.shape) for array in arrays]
    shape = shapes[0]
    if len(shape) not in (2, 3) or min(shape, default=0) < 1:
        raise InvalidInput(f"A volume has axes z, y, x or y, x, got an array of shape {shape}.", "Choose one channel.")
    if set(shapes) != {shape}:
        raise InvalidInput(
            f"Channels of one image have one shape, got {' and '.join(map(str, dict.fromkeys(shapes)))}.",
            "Choose layers of one shape.",
        )
    z, y, x = (1, *shape)[-3:]
    kind = np.result_type(*(np.uint8 if np.dtype(a.dtype) == bool else np.dtype(a.dtype) for a in arrays))
    space, n = VoxelSpace(voxel_size_nm), len(arrays)
    titles = [name or f"channel {k}" for k, name in enumerate(names or ("",) * n)] if n > 1 else None
    sink = create_ome_zarr(path, (z, y, x), kind, space, channels=titles)
    block: Shape = (sink.chunk_shape[0], min(y, 8 * sink.chunk_shape[1]), min(x, 8 * sink.chunk_shape[2]))
    for tile in TileGrid(Box.of_shape((z, y, x)), block):
        index = tile.write.slices if len(shape) == 3 else tile.write.slices[1:]
        parts = [np.asarray(array[index], kind).reshape(tile.write.shape) for array in arrays]
        sink.write(tile.write, parts[0] if n == 1 else np.stack(parts))
    return open_image_spec(sink.spec.model_copy(update={"channel": tuple(range(n))} if n > 1 else {}))


def image_stamp(spec: VolumeSpec) -> tuple[int, ...] | None:
    """Dates, sizes and inode numbers of the image's files, which show a change; None where it is not on a disk.

    Of a container only the metadata is examined; the fingerprint covers its chunks.
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


def find_image(record: VolumeRecord, where: str | Path) -> tuple[ImageSource, dict[str, Any]]:
    """Open the image of a volume at another place, and return the changes of its record.

    A changed image of the same shape is accepted: a filtered one, for example.

    Raises
    ------
    ProjectError
        If it has another shape: the strokes would not fit.
    """
    expected = record.shape
    source = open_image(where, record.spec.read_options)
    if tuple(source.shape) != tuple(expected):
        raise ProjectError(
            f"The image of {record.name} has {' x '.join(map(str, expected))} voxels, but {where} has "
            f"{' x '.join(map(str, source.shape))}.",
            "Give the same image, or add this one: napari-pytc add.",
        )
    return source, {"spec": source.spec, "fingerprint": fingerprint(source), "notes": source.notes}


class ProjectImage:
    """The image of a volume of an open project.

    Parameters
    ----------
    source : ImageSource, optional
        The image, where it is open already.
    """

    relinked = Signal()
    """The image was found at another place."""

    def __init__(self, state: VolumeState, source: ImageSource | None) -> None:
        self._state, self._source = state, source
        self._stamp = None if source is None else image_stamp(self.spec)

    @property
    def volume(self) -> VolumeRecord:
        """The record of the volume in project.json: id, name, voxel size, held-out boxes, notes."""
        return self._state.record

    @property
    def spec(self) -> VolumeSpec:
        """The spec of the image in project.json."""
        return self.volume.spec

    @property
    def space(self) -> VoxelSpace:
        """Its voxel size and origin."""
        return self.volume.space

    @property
    def digest(self) -> str:
        """The digest of its content, by which a changed image is recognised."""
        return self._state.image_digest

    @property
    def source(self) -> ImageSource:
        """The image to segment with all its channels, opened when it is first needed.

        Raises
        ------
        VolumeError
            If it moved or changed since the project was made.
        """
        if self._source is None:
            self._source = self._open()
        return self._source

    @property
    def several_channels(self) -> dict[int, str]:
        """What the channels are called, by their numbers in the file; empty where there is one."""
        if self.source.n_channels == 1:
            return {}
        titles = zip(channel_numbers(self.source), channel_titles(self.source), strict=True)
        return {number: title for number, title in titles if number is not None}

    def check(self) -> ImageSource:
        """Check on the disk that the image is still the same, and return it; errors as in `source`.

        Voxels are read again only where the file's date or size changed.
        """
        stamp = image_stamp(self.spec)
        if self._source is not None and stamp is not None and stamp == self._stamp:
            return self._source
        fresh = self._open()
        self._source = self._source or fresh
        return self._source

    def relink(self, where: str | Path) -> None:
        """Set the present place of the image; a changed image of the same shape is accepted.

        A volume of another shape is refused with a `ProjectError`: the strokes would not fit.
        """
        self._state.check_writable()
        source, changes = find_image(self.volume, where)
        self._state.save(**changes)
        self._source, self._stamp = source, image_stamp(self.spec)
        self.relinked.emit()

    def close(self) -> None:
        """Close the image."""
        self._source = None

    def _open(self) -> ImageSource:
        stamp = image_stamp(self.spec)  # taken first, so that a change during reading is found next time
        try:
            source = open_project_image(self.volume, self._state.project.description, self._state.project.folder.path)
        except VolumeError:
            self._source, self._stamp = None, None
            raise
        self._stamp = stamp
        return source
