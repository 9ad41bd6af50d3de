"""The folder of a new volume, made beside its final place."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from napari_pytc.annotations.paint_store import PaintStore
from napari_pytc.errors import InvalidInput
from napari_pytc.files import sync_folder, write_text_durably
from napari_pytc.session.project.description import OWN_IMAGE, VolumeRecord, free_name, volume_name
from napari_pytc.session.project.image import copy_arrays, open_measured_image
from napari_pytc.session.project.volume_folder import VolumeFolder
from napari_pytc.volumes.fingerprint import fingerprint
from napari_pytc.volumes.source import ImageSource
from napari_pytc.volumes.spec import ReadOptions

RECORD = "volume.json"
"""File in the folder of a removed volume with its record."""


@dataclass(frozen=True)
class NewVolume:
    """Description of a new volume of a project.

    Parameters
    ----------
    image : str or Path, optional
        The image, ``PATH[:DATASET]``; it stays where it is. None where `array` is given.
    name : str, optional
        A name that no other volume has; by default that of the image's file, with a number where it is taken.
    options : ReadOptions
        How to read the image. The voxel size is needed where the file has none, and with an array.
    array : array-like or tuple of array-like, optional
        A volume that is in no file, or one a channel; it is copied into the project.
    channel_names : tuple of str
        Names of the channels of several arrays.
    anyway : bool
        Add an image that the project has already.
    """

    image: str | Path | None
    name: str | None = None
    options: ReadOptions = field(default_factory=ReadOptions)
    array: Any = None
    channel_names: tuple[str, ...] = ()
    anyway: bool = False


def open_new_image(request: NewVolume) -> ImageSource | None:
    """Open the image of a new volume; None for an array.

    Raises
    ------
    PytcError
        If it cannot be opened, or its voxel size is unknown.
    """
    if (request.image is None) == (request.array is None):
        raise InvalidInput("A volume is made of an image file or of an array, of one of them.", "Choose an image.")
    if request.image is None:
        return None
    return open_measured_image(request.image, request.options)


def build_volume(
    request: NewVolume, source: ImageSource | None, id: str, folder: Path, project: Path, taken: Collection[str]
) -> VolumeRecord:
    """Make the folder of a new volume, and return its record as it is saved: an image in the folder has no path.

    Parameters
    ----------
    source : ImageSource, optional
        The opened image; None for the array, which is copied.
    folder : Path
        The folder to make, under a temporary name, so that what a kill leaves is no volume.
    project : Path
        Folder of the project.
    taken : collection of str
        Names of the other volumes.
    """
    place = VolumeFolder(folder)
    folder.mkdir(parents=True)
    if source is None:
        source = copy_arrays(
            _channels_of(request), place.own_image, request.options.voxel_size_nm, request.channel_names
        )
    space = source.space
    PaintStore.create(place.annotations(), source.shape, space)
    own = request.image is None
    record = VolumeRecord(
        id=id,
        name=free_name(source.spec, project, taken, own) if request.name is None else volume_name(request.name, taken),
        spec=source.spec.model_copy(update={"url": OWN_IMAGE}) if own else source.spec,
        fingerprint=fingerprint(source),
        voxel_size_nm=space.voxel_size_nm,
        origin_nm=space.origin_nm,
        voxel_size_source="user" if request.options.voxel_size_nm is not None else "file",
        notes=source.notes,
    )
    write_text_durably(folder / RECORD, record.model_dump_json(indent=2))
    sync_folder(folder)
    return record


def _channels_of(request: NewVolume) -> Sequence[Any]:
    """The arrays of a new volume, one a channel; of one of four axes the channel of the options, or those."""
    array = request.array
    if isinstance(array, tuple):
        return array
    channel = request.options.channel
    if len(array.shape) != 4 or channel is None:
        return (array,)
    numbers = range(array.shape[0]) if channel == "all" else (channel,) if isinstance(channel, int) else channel
    if max(numbers) >= array.shape[0]:
        raise InvalidInput(
            f"The array has {array.shape[0]} channels, so there is no channel {max(numbers)}.", "Choose another."
        )
    return [array[number] for number in numbers]
