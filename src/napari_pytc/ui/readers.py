"""Files and folders as napari layers: HDF5, Zarr, N5, precomputed; projects open in the workspace."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from napari import current_viewer
from napari.utils.colormaps import Colormap

from napari_pytc.errors import PytcError
from napari_pytc.geometry import Box, VoxelSpace
from napari_pytc.ui.canvas.arrays import FileArray
from napari_pytc.ui.canvas.viewer.layer_choice import VOLUME
from napari_pytc.ui.plugin import open_project_in
from napari_pytc.ui.widgets.array_dialog import ask_for_arrays, choices_of
from napari_pytc.volumes.channel_colours import channel_colour
from napari_pytc.volumes.inspection import describe_volume
from napari_pytc.volumes.opening import kind_of, open_volume, split_dataset
from napari_pytc.volumes.source import VolumeSource
from napari_pytc.volumes.spec import Hdf5Spec, ReadOptions
from napari_pytc.volumes.statistics import sample_statistics

LayerData = tuple[Any, ...]
"""Layer data tuple of napari: data, keyword arguments, kind of layer; ``(None,)`` for no layer."""

PROJECT_SUFFIX = ".pytc"
"""End of the names of project folders."""
SMALL_BYTES = 64 * 2**20
"""Volumes up to this are read at once, so that other plugins can work on them; larger ones as they are looked at."""
MOST_ADDED = 4
"""Of so many channels all are shown, each in a colour; of more the first, in grey."""
_CONTRAST_BLOCKS = 8
_KINDS = ("hdf5", "chunked", "bigdataviewer", "mrc", "nifti")
_LABEL_WORDS = re.compile(
    r"label|seg|mask|annot|stroke|scribble|instance|neuron|synap|mito|class|truth|(?:^|[^a-z])(?:gt|ids?)(?:[^a-z]|$)"
)


def get_reader(path: str | list[str]) -> Callable[[str], list[LayerData]] | None:
    """The reader of a path; None for paths better left to others: plain images, stacks of files."""
    if isinstance(path, list):
        return None
    if Path(path).suffix.lower() == PROJECT_SUFFIX:
        return read_project
    try:
        kind = kind_of(split_dataset(path)[0])
    except PytcError:
        # Named like a volume but none: reading it raises an error that names the problem.
        return read_volumes
    return read_volumes if kind in _KINDS else None


def read_project(path: str) -> list[LayerData]:
    """Open a project in the workspace of the viewer in front; its layers come by themselves."""
    from napari_pytc.ui.samples import SAMPLE_PROJECT, open_sample_project

    if path == SAMPLE_PROJECT:
        return open_sample_project()
    viewer = current_viewer()
    if viewer is None:
        raise PytcError(f"{Path(path).name} is a project, which opens in a napari window.", "Open a window first.")
    open_project_in(viewer, path)
    return [(None,)]


def read_volumes(path: str) -> list[LayerData]:
    """A file or container as layers, one for each channel; of several datasets those that the user picks.

    Parameters
    ----------
    path : str
        ``PATH[:DATASET]``.

    Raises
    ------
    VolumeError
        If it cannot be read, or has several datasets and there is no window to ask in.
    """
    info = describe_volume(path)
    place, dataset = split_dataset(path)
    found = choices_of(info)
    if dataset is None and len(found) > 1 and (info.kind == "hdf5" or info.spec is None) and _has_window():
        picked = ask_for_arrays(Path(place).name, found)
        layers = [layer for array in picked for layer in _layers(f"{place}:{array.name}", array.name)]
        return layers or [(None,)]
    if dataset is None and len(found) > 1 and isinstance(info.spec, Hdf5Spec):
        dataset = info.spec.dataset  # it was guessed: the layers' names show it
    return _layers(path, dataset or "")


def _layers(where: str, dataset: str) -> list[LayerData]:
    info = describe_volume(where)
    n_channels = info.n_channels or 1
    # Colours open without a channel, as grey.
    channels = [None] if n_channels == 1 or not info.problem else list(range(n_channels))
    is_mask = {array.dtype for array in info.arrays if len(info.arrays) == 1 or array.name == dataset} == {"bool"}
    layers = [_layer(where, channel, dataset, is_mask) for channel in channels]
    n = len(layers)
    if 1 < n <= MOST_ADDED:
        for place, (_, options, _) in enumerate(layers):
            colour = channel_colour(place, n, info.channel_names[place])
            options |= {"colormap": Colormap(["black", colour], name=colour), "blending": "additive", "visible": True}
    return layers


def _layer(where: str, channel: int | None, dataset: str, is_mask: bool) -> LayerData:
    source = open_volume(where, ReadOptions(channel=channel))
    is_small = Box.of_shape(source.shape).size * source.dtype.itemsize <= SMALL_BYTES
    data = source.read(Box.of_shape(source.shape)) if is_small else FileArray(source)
    path = Path(split_dataset(where)[0])
    name = " ".join(part for part in (path.stem, dataset, "" if channel is None else f"channel {channel}") if part)
    options: dict[str, Any] = {"name": name, "metadata": {VOLUME: (where, channel)}, **placed(source.space)}
    if (is_mask or looks_like_labels(dataset or path.stem, source.dtype)) and channel is None:
        return data, options, "labels"
    return data, options | {"contrast_limits": _contrast(source), "visible": not channel}, "image"


def placed(space: VoxelSpace) -> dict[str, Any]:
    """Layer arguments that place a volume in world units; pixels where the voxel size is not known."""
    if not space.known:
        return {}
    return {
        "scale": space.voxel_size_nm,
        "translate": space.origin_nm,
        "units": ("nm", "nm", "nm"),
        "axis_labels": ("z", "y", "x"),
    }


def looks_like_labels(name: str, dtype: np.dtype) -> bool:
    """Whether an array is rather labels than intensities: by its type, else by its name.

    Examples
    --------
    >>> looks_like_labels("volumes/neuron_ids", np.dtype("uint64")), looks_like_labels("raw", np.dtype("uint8"))
    (True, False)
    """
    if dtype.kind not in "iu":
        return False
    return dtype.itemsize >= 4 or _LABEL_WORDS.search(name.lower()) is not None


def _contrast(source: VolumeSource) -> tuple[float, float]:
    if source.dtype == np.uint8:
        return (0.0, 255.0)
    found = sample_statistics(source, n_blocks=_CONTRAST_BLOCKS)
    return (found.low, found.high if found.high > found.low else found.low + 1)


def _has_window() -> bool:
    return current_viewer() is not None
