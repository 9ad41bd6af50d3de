"""Inspection of the image for a new project; runs in a helper thread, never in the window's."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from napari_pytc.errors import PytcError, VolumeError
from napari_pytc.geometry import Shape
from napari_pytc.ui.canvas.viewer.layer_choice import LayerChoice
from napari_pytc.ui.widgets.array_dialog import choices_of
from napari_pytc.volumes.image import LEFT_OUT
from napari_pytc.volumes.inspection import ArrayInfo, VolumeInfo, describe_volume
from napari_pytc.volumes.opening import local_path, split_dataset
from napari_pytc.volumes.spec import ChannelChoice, ReadOptions

SUFFIX = ".pytc"


@dataclass(frozen=True)
class ImageChoice:
    """The layer or file chosen as the image of a new project.

    Parameters
    ----------
    layer : LayerChoice, optional
        A layer, else `where` counts: ``PATH[:DATASET]`` or a URL.
    others : tuple of LayerChoice
        Further layers, each of which is another channel of the image.
    dataset : str, optional
        Name of the array that the user has picked, if any.
    options : ReadOptions
        How to read the file, as far as the user has said.
    """

    layer: LayerChoice | None = None
    others: tuple[LayerChoice, ...] = ()
    where: str = ""
    dataset: str | None = None
    options: ReadOptions = field(default_factory=ReadOptions)

    @property
    def layers(self) -> tuple[LayerChoice, ...]:
        """All layers; empty for a file."""
        return () if self.layer is None else (self.layer, *self.others)

    @property
    def path(self) -> str | None:
        """The file, or that of the layers; None for layers without one, or of several files."""
        if self.layer is None:
            return self.where
        return self.layer.path if all(one.path == self.layer.path for one in self.others) else None

    @property
    def name(self) -> str:
        """Name of the layers, or of the file without its folder."""
        if self.layer is None:
            return Path(split_dataset(self.where)[0]).name
        return ", ".join(one.name for one in self.layers)

    def is_same(self, other: ImageChoice) -> bool:
        """Whether both are the same layers or file."""
        if self.layer is None or other.layer is None:
            return self.layer is other.layer and self.where == other.where
        ours, theirs = [[one.layer for one in choice.layers] for choice in (self, other)]
        return len(ours) == len(theirs) and all(a is b for a, b in zip(ours, theirs, strict=True))


def layers_as_channels(choices: Sequence[LayerChoice]) -> ImageChoice | None:
    """The selected layers of one shape as the channels of an image, the lowest first; None where they are no such.

    Parameters
    ----------
    choices : sequence of LayerChoice
        The layers of the window, the topmost first.
    """
    chosen = [one for one in reversed(choices) if one.is_selected]
    is_image = len(chosen) > 1 and all(one.channel_axis is None for one in chosen)
    if not is_image or len({one.shape for one in chosen}) > 1:
        return None
    by_channel = sorted(chosen, key=lambda one: one.channel or 0) if len({one.path for one in chosen}) == 1 else chosen
    return ImageChoice(layer=by_channel[0], others=tuple(by_channel[1:]))


@dataclass(frozen=True)
class InspectedImage:
    """Result of inspecting an image.

    Parameters
    ----------
    image : str, optional
        The file to make the project of; none where the layer's data goes into the project.
    arrays : tuple of ArrayInfo
        The arrays to choose from, where the file holds several.
    shape : tuple of int, optional
        Of the volume; none before one of the arrays is picked.
    source : str
        Origin of the voxel size, in words; empty where the voxel size is not known.
    is_layers_size : bool
        Whether it is the layer's, which the file need not agree with.
    folder : Path
        Default folder of the project.
    n_channels : int
        Number of channels to choose from; 1 where there is no choice.
    channel : int or tuple of int, optional
        The first choice of channels; None where there is one channel, or colours that are mixed to grey.
    channel_names : tuple of str
        Names of the channels to choose from, or of those that several layers are.
    notes : tuple of str
        Sentences on what the reader assumed, converted or left out.
    axes : str
        Letters of the axes that the file names; empty where it does not, or has several arrays.
    """

    image: str | None
    arrays: tuple[ArrayInfo, ...]
    dataset: str | None
    shape: Shape | None
    dtype: str
    n_bytes: int
    n_channels: int
    channel: ChannelChoice
    voxel_size_nm: tuple[float, float, float] | None
    source: str
    is_layers_size: bool
    folder: Path
    notes: tuple[str, ...] = ()
    axes: str = ""
    channel_names: tuple[str, ...] = ()


def inspect(choice: ImageChoice) -> InspectedImage:
    """Look at a layer or a file; reads no voxels.

    Raises
    ------
    VolumeError
        If there is nothing that can be read.
    """
    layer = choice.layer
    if layer is None:
        return _of_file(choice)
    if choice.others:
        return _of_layers(choice)
    if layer.path is not None:
        try:
            info = describe_volume(layer.path)
        except PytcError:
            pass  # read by another plugin, from what we cannot: its data is all we need
        else:
            if _shows_file(layer, info):
                return _of_layers_file(layer, info)
    itemsize = np.dtype(layer.dtype).itemsize
    names = (("red", "green", "blue", "alpha") if layer.is_colour else ("",) * layer.n_channels)[: layer.n_channels]
    number = layer.channel_axis
    guessed = number is not None and not layer.is_colour
    note = f"Axis {number} of the layer, of length {layer.n_channels}, is taken as channels." if guessed else ""
    return InspectedImage(
        image=None,
        arrays=(),
        dataset=None,
        shape=layer.shape,
        dtype=layer.dtype,
        n_bytes=layer.shape[0] * layer.shape[1] * layer.shape[2] * itemsize,
        n_channels=layer.n_channels,
        channel=None if layer.is_colour or layer.n_channels == 1 else 0,
        voxel_size_nm=layer.voxel_size_nm,
        source="From the layer." if layer.voxel_size_nm else "",
        is_layers_size=layer.voxel_size_nm is not None,
        folder=_folder_beside(layer.path, layer.name),
        notes=(note,) if note else (),
        channel_names=names,
    )


def _shows_file(layer: LayerChoice, info: VolumeInfo) -> bool:
    """Whether a layer shows what our reader finds in its file: all of its channels, or the one that it says."""
    if (info.shape, info.dtype) != (layer.shape, layer.dtype):
        return False
    if layer.channel_axis is not None:
        return layer.n_channels == info.n_channels
    return layer.channel is not None or not info.problem


def _of_layers(choice: ImageChoice) -> InspectedImage:
    """Several layers, each a channel: of one file that our reader opened, or copied into the project."""
    first, layers = choice.layers[0], choice.layers
    names = tuple(one.name for one in layers)
    numbers = tuple(one.channel for one in layers if one.channel is not None)
    if choice.path is not None and len(set(numbers)) == len(layers):
        info = describe_volume(choice.path, ReadOptions(channel=numbers))
        if info.shape == first.shape and not info.problem:
            found = _of_layers_file(first, info)
            return replace(found, n_channels=1, channel=numbers, channel_names=names, notes=info.notes)
    sizes = {one.voxel_size_nm for one in layers}
    size = first.voxel_size_nm if len(sizes) == 1 else None
    kind = np.result_type(*(np.dtype(one.dtype) for one in layers))
    types = sorted({one.dtype for one in layers})
    notes = [f"Each layer is a channel, in this order: {', '.join(names)}."]
    notes += [f"They are of the types {', '.join(types)} and are kept as {kind.name}."] if len(types) > 1 else []
    return InspectedImage(
        image=None,
        arrays=(),
        dataset=None,
        shape=first.shape,
        dtype=kind.name,
        n_bytes=math.prod(first.shape) * kind.itemsize * len(layers),
        n_channels=1,
        channel=None,
        voxel_size_nm=size,
        source="From the layers." if size else "",
        is_layers_size=size is not None,
        folder=_folder_beside(first.path, first.name),
        notes=tuple(notes),
        channel_names=names,
    )


def _of_layers_file(layer: LayerChoice, info: VolumeInfo) -> InspectedImage:
    size = layer.voxel_size_nm or info.voxel_size_nm
    assert layer.path is not None
    return InspectedImage(
        image=layer.path,
        arrays=(),
        dataset=None,
        shape=info.shape,
        dtype=layer.dtype,
        n_bytes=info.n_bytes or 0,
        n_channels=1 if layer.channel is None and layer.channel_axis is None else info.n_channels or 1,
        channel=layer.channel if layer.channel_axis is None or layer.is_colour else 0,
        voxel_size_nm=size,
        source="From the layer." if layer.voxel_size_nm else _source_of(info),
        is_layers_size=layer.voxel_size_nm is not None and layer.voxel_size_nm != info.voxel_size_nm,
        folder=_folder_beside(layer.path, Path(split_dataset(layer.path)[0]).stem),
        notes=_notes_of(info),
        axes=_axes_of(info, None),
        channel_names=info.channel_names,
    )


def _of_file(choice: ImageChoice) -> InspectedImage:
    place, dataset = split_dataset(choice.where)
    dataset = choice.dataset or dataset
    where = f"{place}:{dataset}" if dataset else choice.where
    info = describe_volume(where, choice.options)
    arrays = tuple(choices_of(info))
    if info.spec is None and len(arrays) < 2:
        raise VolumeError(info.problem or f"{where} holds no volume.")
    if info.kind in ("chunked", "tiff", "sections") and dataset is None and info.spec is not None:
        arrays = ()  # one image, its pyramid, and what the notes leave out
    return InspectedImage(
        image=where,
        arrays=arrays if len(arrays) > 1 else (),
        dataset=dataset or getattr(info.spec, "dataset", None),
        shape=info.shape,
        dtype=info.dtype or "",
        n_bytes=info.n_bytes or 0,
        n_channels=info.n_channels or 1,
        channel=0 if (info.n_channels or 1) > 1 and info.problem else None,
        voxel_size_nm=info.voxel_size_nm,
        source=_source_of(info),
        is_layers_size=False,
        folder=_folder_beside(place, Path(place).stem),
        notes=(*_notes_of(info), *([info.problem] if "--axes" in info.problem else [])),
        axes=_axes_of(info, dataset),
        channel_names=info.channel_names,
    )


def _notes_of(info: VolumeInfo) -> tuple[str, ...]:
    """The notes but that on channels that are left out, which the form has a field for."""
    return tuple(note for note in info.notes if not note.startswith(LEFT_OUT))


def _axes_of(info: VolumeInfo, dataset: str | None) -> str:
    """The axes of the array that is read, as the file names them."""
    named = [a.axes for a in info.arrays if len(info.arrays) == 1 or a.name == dataset]
    return named[0].lower() if len(named) == 1 else ""


def _source_of(info: VolumeInfo) -> str:
    return f"From the file ({info.voxel_size_source})." if info.voxel_size_nm is not None else ""


def _folder_beside(path: str | None, name: str) -> Path:
    """A project folder next to a file, or where documents are if that is no place to write to."""
    import platformdirs

    place = local_path(split_dataset(path)[0]) if path is not None else None
    if place is not None and place.parent.is_dir() and os.access(place.parent, os.W_OK):
        return place.parent / f"{place.stem}{SUFFIX}"
    plain = "".join(letter if letter.isalnum() or letter in " -_." else "_" for letter in name).strip() or "project"
    return Path(platformdirs.user_documents_dir()) / "napari-pytc" / f"{plain}{SUFFIX}"
