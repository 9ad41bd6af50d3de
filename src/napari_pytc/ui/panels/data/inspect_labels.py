"""Facts of a label file that is to be imported, read before anything is asked or changed; without Qt."""

from __future__ import annotations

from dataclasses import dataclass, field

from napari_pytc.annotations.importing import named_classes, source_notes
from napari_pytc.annotations.label_transform import LabelTransform
from napari_pytc.errors import VolumeError
from napari_pytc.geometry import Shape, VoxelSpace
from napari_pytc.volumes.inspection import describe_volume
from napari_pytc.volumes.opening import open_labels, split_dataset
from napari_pytc.volumes.spec import ReadOptions


@dataclass(frozen=True)
class LabelFile:
    """Facts of a label file.

    Parameters
    ----------
    where : str
        ``PATH[:DATASET]``.
    n_channels : int
        Number of channels, of which one is read.
    class_names : dict of int to str
        Names that the file has for its values.
    notes : tuple of str
        What its reader assumed.
    axes : str
        A letter for each axis of the file; empty where it does not name them.
    problem : str
        Why it cannot be read as the options say, as for the command line; empty where it can.
    """

    where: str
    shape: Shape = (0, 0, 0)
    dtype: str = ""
    space: VoxelSpace = field(default_factory=VoxelSpace.unknown)
    n_channels: int = 1
    class_names: dict[int, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    axes: str = ""
    problem: str = ""


@dataclass(frozen=True)
class LabelImport:
    """How a label file is read and taken over.

    Parameters
    ----------
    transform : LabelTransform
        Where its labels lie, and what their values mean.
    options : ReadOptions
        How it is read.
    """

    transform: LabelTransform = field(default_factory=LabelTransform)
    options: ReadOptions = field(default_factory=ReadOptions)


def inspect_labels(where: str, options: ReadOptions | None = None) -> LabelFile:
    """Look into a label file; reads no voxel. Of several channels the first is read where none is chosen.

    Raises
    ------
    VolumeError
        If there is no such file, or one that nothing reads. One that can be read in another way has a `problem`.
    """
    read = (options or ReadOptions()).model_copy(update={"labels": True})
    info = describe_volume(where, read)
    n_channels = info.n_channels or 1
    dataset = split_dataset(where)[1]
    axes = next((array.axes for array in info.arrays if len(info.arrays) == 1 or array.name == dataset), "")
    if n_channels > 1 and read.channel is None:
        read = read.model_copy(update={"channel": 0})
    try:
        source = open_labels(where, read)
    except VolumeError as error:
        return LabelFile(where, n_channels=n_channels, axes=axes, problem=str(error))
    return LabelFile(
        where,
        source.shape,
        source.dtype.name,
        source.space,
        n_channels,
        dict(named_classes(source)),
        source_notes(source),
        axes,
    )
