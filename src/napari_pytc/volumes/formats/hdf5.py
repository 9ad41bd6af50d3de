"""HDF5 datasets (h5py)."""

from __future__ import annotations

import json
import math
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from napari_pytc.errors import VolumeError
from napari_pytc.volumes.attribute_space import axes_of_attributes, space_of_attributes, with_offset
from napari_pytc.volumes.base import FileVolume
from napari_pytc.volumes.formats.hdf5_file import (
    attributes_of,
    check_filters,
    dataset_at,
    datasets_of,
    dtype_name,
    listing,
    open_hdf5,
    other_files,
)
from napari_pytc.volumes.formats.spim_data import space_beside, view_of_dataset
from napari_pytc.volumes.layout import STORED_DTYPES, layout_of
from napari_pytc.volumes.space import FoundSpace, numbers_of
from napari_pytc.volumes.spec import Hdf5Spec

GUESSES = ("main", "raw", "volumes/raw")
_CACHE_BYTES = 64 * 2**20
_MOST_NAMED = 12


class Hdf5Volume(FileVolume):
    """A dataset of an HDF5 file; h5py's own lock serialises reads from several threads.

    Parameters
    ----------
    spec : Hdf5Spec
        File and dataset.
    notes : sequence of str
        What was assumed when the dataset was chosen.
    """

    def __init__(self, spec: Hdf5Spec, notes: Sequence[str] = ()) -> None:
        # HDF5 decodes a chunk larger than its cache anew for every read; the default cache is 1 MiB.
        self._file = open_hdf5(spec.path, rdcc_nbytes=_CACHE_BYTES, rdcc_nslots=10007)
        self._closing = weakref.finalize(self, self._file.close)
        try:
            name = f"{spec.path}:{spec.dataset}"
            self._dataset = _image_at(self._file, spec.dataset, spec.path)
            check_filters(self._dataset, name)
            layout = layout_of(hdf5_axes(self._dataset), self._dataset.shape, spec, name)
            found = hdf5_space(self._file, spec.dataset, spec.axes or "")
            # BigDataViewer writes unsigned voxels as signed ones, because Java has no others.
            self._is_unsigned = view_of_dataset(spec.dataset) is not None and self._dataset.dtype == np.int16
            dtype = np.dtype(np.uint16) if self._is_unsigned else self._dataset.dtype
            self._describe(name, layout, dtype, found, spec, [*notes, *self._notes(spec)], _names(self._dataset))
        except VolumeError:
            self.close()
            raise

    def _notes(self, spec: Hdf5Spec) -> list[str]:
        notes = []
        if others := other_files(self._dataset, spec.path):
            notes.append(f"The voxels are in {', '.join(others[:3])}, to which {spec.path.name} links.")
        if self._is_unsigned:
            notes.append("BigDataViewer stores uint16 voxels as int16; they are read as uint16.")
        if view := view_of_dataset(spec.dataset):
            table = self._file.get(f"s{view[1]:02d}/resolutions")
            n_levels = len(table) if isinstance(table, h5py.Dataset) and table.ndim == 2 else 1
            if n_levels > 1:
                notes.append(f"This is level {view[2]} of 0 to {n_levels - 1} of setup {view[1]}.")
        return notes

    def _fetch(self, index: tuple[slice, ...]) -> np.ndarray:
        data = self._dataset[index]
        return data.view(np.uint16) if self._is_unsigned else data


def fits(dataset: h5py.Dataset) -> bool:
    """Whether a dataset could be a volume: 2 to 5 axes of voxels that can be read."""
    has_axes = dataset.shape is not None and 2 <= dataset.ndim <= 5
    if not has_axes or dataset.size == 0:
        return False
    try:
        return dataset.dtype.name in STORED_DTYPES
    except TypeError:  # NumPy lacks the type
        return False


def choose_dataset(path: Path) -> tuple[str, tuple[str, ...]]:
    """The dataset to open where none was named: the only one that fits, or the first of `GUESSES`.

    Of several, small tables do not count beside volumes, nor the coarser levels of BigDataViewer.

    Returns
    -------
    str
        Its path.
    tuple of str
        A note where there are others.
    """
    with open_hdf5(path) as file:
        found = datasets_of(file)
        fitting = {name: dataset for name, dataset in found.items() if fits(dataset)}
        candidates = _without_tables(fitting)
        if len(candidates) == 1:
            return next(iter(candidates)), ()
        for guess in GUESSES:
            if guess in candidates:
                others = ", ".join(name for name in list(candidates)[:_MOST_NAMED] if name != guess)
                return guess, (f"{guess!r} was chosen; there are also {others}.",)
        if not candidates:
            raise VolumeError(
                f"{path} has no dataset that is an image of 2 to 5 axes; it has {listing(found)}.",
                "Choose another file.",
            )
        largest = max(candidates, key=lambda name: math.prod(candidates[name].shape))
        raise VolumeError(
            f"{path} has several datasets: {listing(candidates)}.", f"Name one, for example {path}:{largest}."
        )


def _without_tables(fitting: dict[str, h5py.Dataset]) -> dict[str, h5py.Dataset]:
    """The finest levels of BigDataViewer; else the volumes, where there are any; else the images."""
    finest = {n: d for n, d in fitting.items() if (view := view_of_dataset(n)) and view[2] == 0}
    return finest or {n: d for n, d in fitting.items() if d.ndim > 2} or fitting


def _image_at(file: h5py.File, dataset: str, path: Path) -> h5py.Dataset:
    item = dataset_at(file, dataset, path)
    if not fits(item):
        raise VolumeError(
            f"{path}:{dataset} is no image: shape {item.shape}, type {dtype_name(item)}; expected 2 to 5 axes of "
            f"{', '.join(STORED_DTYPES)}.",
            f"The file has {listing(datasets_of(file))}.",
        )
    return item


def _names(dataset: h5py.Dataset) -> tuple[str, ...]:
    """Names of the channels, as exports of this program have them."""
    names = attributes_of(dataset).get("channels")
    listed = np.atleast_1d(names).ravel() if names is not None else ()
    return tuple(n.decode("utf-8", "replace") if isinstance(n, bytes) else str(n) for n in listed)


def hdf5_axes(dataset: h5py.Dataset) -> str:
    """Axes from ilastik's ``axistags``, dimension labels or attributes; empty where the file does not name them."""
    attributes = attributes_of(dataset)
    tags = attributes.get("axistags")
    if tags is not None:
        try:
            return "".join(axis["key"] for axis in json.loads(tags)["axes"])
        except (ValueError, KeyError, TypeError):
            pass
    labels = [dimension.label for dimension in dataset.dims]
    if all(len(label) == 1 for label in labels) and {"y", "x"} <= {label.lower() for label in labels}:
        return "".join(labels)
    named = axes_of_attributes(attributes)
    return named if len(named) == dataset.ndim else ""


def hdf5_space(file: h5py.File, name: str, axes: str = "") -> FoundSpace:
    """Voxel size from BigDataViewer's XML, or the attributes of the dataset or the nearest group above that has one.

    Parameters
    ----------
    file : h5py.File
        The file as the user named it, beside which an XML may lie.
    name : str
        Path of the dataset; a link in the file may lead to another name in another file.
    axes : str
        A letter an axis, where the user says other than the file.
    """
    if (view := view_of_dataset(name)) is not None:
        return _view_space(file, view)
    dataset = file[name]
    axes, own = axes or hdf5_axes(dataset).lower(), attributes_of(dataset)
    notes: list[str] = []
    item: Any = dataset
    while True:
        found = space_of_attributes(with_offset(attributes_of(item), own), "HDF5", axes)
        notes += found.notes
        if found.space.known:
            return found
        if item.name in ("/", None):
            return FoundSpace.nothing(*dict.fromkeys(notes))
        item = item.parent


def _view_space(file: h5py.File, view: tuple[int, int, int]) -> FoundSpace:
    """The space of a time point, setup and level of BigDataViewer."""
    time, number, level = view
    table = file.get(f"s{number:02d}/resolutions")
    factors = numbers_of(table[level]) if isinstance(table, h5py.Dataset) and level < len(table) else []
    if len(factors) != 3:
        factors = [1.0, 1.0, 1.0] if level == 0 else []
    return space_beside(Path(file.filename), time, number, level, factors)
