"""Files and folders as napari layers: HDF5, Zarr, N5, precomputed; projects open in the workspace."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from napari_pytc.errors import PytcError
from napari_pytc.geometry import Box, VoxelSpace
from napari_pytc.ui.arrays import LazyArray, Selection, check_size
from napari_pytc.ui.choices import VOLUME
from napari_pytc.ui.datasets import ask_for_arrays, choices_of
from napari_pytc.volumes.inspection import describe_volume
from napari_pytc.volumes.opening import kind_of, open_volume, split_dataset
from napari_pytc.volumes.source import VolumeSource
from napari_pytc.volumes.spec import Hdf5Spec
from napari_pytc.volumes.statistics import sample_statistics

LayerData = tuple[Any, ...]
"""What napari makes a layer of: data, keyword arguments, kind of layer; ``(None,)`` for no layer."""

PROJECT_SUFFIX = ".pytc"
SMALL_BYTES = 64 * 2**20
"""Volumes up to this are read at once, so that other plugins can work on them; larger ones as they are looked at."""
_CONTRAST_BLOCKS = 8
_LABEL_WORDS = re.compile(
    r"label|seg|mask|annot|stroke|scribble|instance|neuron|synap|mito|class|truth|(?:^|[^a-z])(?:gt|ids?)(?:[^a-z]|$)"
)


class FileArray(LazyArray):
    """A volume that is read where napari looks at it."""

    def __init__(self, source: VolumeSource) -> None:
        self._source = source
        self.shape, self.dtype = source.shape, np.dtype(source.dtype)

    def read(self, selection: Selection) -> Any:
        """The voxels of a selection, from the file."""
        check_size(selection.box, self.dtype.itemsize)
        return self.voxels(selection.box)[selection.inside]

    def voxels(self, box: Box) -> np.ndarray:
        """The voxels of a box, however many."""
        return np.zeros(box.shape, self.dtype) if box.is_empty else self._source.read(box)

    def __setitem__(self, key: Any, value: Any) -> None:
        """Nothing is ever written into the user's file."""
        raise PytcError(
            "This layer shows a file, which is not painted into.",
            "Make a project of the image in the PyTC workspace and paint there, or save the layer and open the copy.",
        )


def get_reader(path: str | list[str]) -> Callable[[str], list[LayerData]] | None:
    """The reader of a path; None for what is better left to others: plain images, stacks of files."""
    if isinstance(path, list):
        return None
    if Path(path).suffix.lower() == PROJECT_SUFFIX:
        return read_project
    try:
        kind = kind_of(split_dataset(path)[0])
    except PytcError:
        # Named like a volume but none: reading it says in a sentence what is wrong.
        return read_volumes
    return read_volumes if kind in ("hdf5", "chunked") else None


def read_project(path: str) -> list[LayerData]:
    """Open a project in the workspace of the viewer in front; its layers come by themselves."""
    from napari import current_viewer

    from napari_pytc.ui import demo
    from napari_pytc.ui.plugin import open_project_in

    if path == demo.URI:
        return demo.ready_to_paint()
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
        dataset = info.spec.dataset  # it was guessed: the layers' names say so
    return _layers(path, dataset or "")


def _layers(where: str, dataset: str) -> list[LayerData]:
    n_channels = describe_volume(where).n_channels or 1
    channels = [None] if n_channels == 1 else list(range(n_channels))
    return [_layer(where, channel, dataset) for channel in channels]


def _layer(where: str, channel: int | None, dataset: str) -> LayerData:
    source = open_volume(where, channel=channel)
    is_small = Box.of_shape(source.shape).size * source.dtype.itemsize <= SMALL_BYTES
    data = source.read(Box.of_shape(source.shape)) if is_small else FileArray(source)
    path = Path(split_dataset(where)[0])
    name = " ".join(part for part in (path.stem, dataset, "" if channel is None else f"channel {channel}") if part)
    options: dict[str, Any] = {"name": name, "metadata": {VOLUME: (where, channel)}, **placed(source.space)}
    if looks_like_labels(dataset or path.stem, source.dtype) and channel is None:
        return data, options, "labels"
    return data, options | {"contrast_limits": _contrast(source), "visible": not channel}, "image"


def placed(space: VoxelSpace) -> dict[str, Any]:
    """Where napari shows a volume; pixels where nobody knows the voxel size."""
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
    from napari import current_viewer

    return current_viewer() is not None
