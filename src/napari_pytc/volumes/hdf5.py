"""HDF5 datasets (h5py)."""

from __future__ import annotations

import json
import weakref
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from napari_pytc.errors import VolumeError
from napari_pytc.volumes.base import FileVolume, existing_file
from napari_pytc.volumes.layout import DTYPES, guess_axes, layout_of
from napari_pytc.volumes.space import FoundSpace, space_of_attributes
from napari_pytc.volumes.spec import Hdf5Spec

GUESSES = ("main", "raw", "volumes/raw")
_CACHE_BYTES = 64 * 2**20
_MOST_LISTED = 12


class Hdf5Volume(FileVolume):
    """A dataset of an HDF5 file; h5py's own lock serialises reads from several threads."""

    def __init__(self, spec: Hdf5Spec) -> None:
        # HDF5 decodes a chunk larger than its cache anew for every read; the default cache is 1 MiB.
        self._file = open_hdf5(spec.path, rdcc_nbytes=_CACHE_BYTES, rdcc_nslots=10007)
        self._closing = weakref.finalize(self, self._file.close)
        try:
            self._dataset = _named(self._file, spec.dataset, spec.path)
            name = f"{spec.path}:{spec.dataset}"
            layout = layout_of(
                hdf5_axes(self._dataset) or guess_axes(self._dataset.shape, name),
                self._dataset.shape,
                spec.channel,
                name,
            )
            self._describe(name, layout, self._dataset.dtype, hdf5_space(self._dataset), spec)
        except VolumeError:
            self.close()
            raise

    def _fetch(self, index: tuple[slice, ...]) -> np.ndarray:
        return self._dataset[index]


def open_hdf5(path: Path, **options: Any) -> h5py.File:
    """The file for reading, or an error that says what is wrong with it."""
    existing_file(path)
    try:
        # Locks cannot be had on some network file systems, and a reader does not need them there.
        return h5py.File(path, "r", locking="best-effort", **options)
    except OSError as error:
        text = str(error)
        if "truncated" in text:
            raise VolumeError(
                f"{path} is truncated: the file ends before its data does.", "Copy or download it again."
            ) from error
        if "lock" in text:
            raise VolumeError(f"{path} is being written by another program.", "Close it there first.") from error
        raise VolumeError(
            f"{path} is not an HDF5 file that can be read: {text}.", "Check that it was written to its end."
        ) from error


def datasets_of(file: h5py.File) -> dict[str, h5py.Dataset]:
    """All datasets by path, in the file's order."""
    found: dict[str, h5py.Dataset] = {}

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            found[name] = item

    file.visititems(visit)
    return found


def fits(dataset: h5py.Dataset) -> bool:
    """Whether a dataset could be a volume: 2 to 5 axes of voxels that can be read."""
    return dataset.shape is not None and 2 <= dataset.ndim <= 5 and dataset.size > 0 and dataset.dtype.name in DTYPES


def choose_dataset(path: Path) -> str:
    """The dataset to open where none was named: the only one that fits, or the first of `GUESSES`."""
    with open_hdf5(path) as file:
        found = datasets_of(file)
        fitting = [name for name, dataset in found.items() if fits(dataset)]
        if len(fitting) == 1:
            return fitting[0]
        for guess in GUESSES:
            if guess in fitting:
                return guess
        if not fitting:
            raise VolumeError(
                f"{path} has no dataset that is an image of 2 to 4 axes; it has {_listing(found)}.",
                "Choose another file.",
            )
        raise VolumeError(
            f"{path} has several datasets: {_listing({n: found[n] for n in fitting})}.",
            f"Name one, for example {path}:{fitting[0]}.",
        )


def _listing(found: dict[str, h5py.Dataset]) -> str:
    names = [f"{name} {tuple(d.shape or ())} {d.dtype}" for name, d in found.items()]
    more = [f"and {len(names) - _MOST_LISTED} more"] if len(names) > _MOST_LISTED else []
    return ", ".join(names[:_MOST_LISTED] + more) or "none"


def _named(file: h5py.File, dataset: str, path: Path) -> h5py.Dataset:
    item = file.get(dataset)
    if isinstance(item, h5py.Dataset):
        if not fits(item):
            raise VolumeError(
                f"{path}:{dataset} is no image: shape {item.shape}, type {item.dtype}; expected 2 to 4 axes of "
                f"{', '.join(DTYPES)}.",
                f"The file has {_listing(datasets_of(file))}.",
            )
        return item
    raise VolumeError(f"{path} has no dataset {dataset!r}.", f"It has {_listing(datasets_of(file))}.")


def hdf5_axes(dataset: h5py.Dataset) -> str:
    """Axes from ilastik's ``axistags`` or from dimension labels; empty where the file does not name them."""
    tags = dataset.attrs.get("axistags")
    if tags is not None:
        try:
            return "".join(axis["key"] for axis in json.loads(tags)["axes"])
        except (ValueError, KeyError, TypeError):
            pass
    labels = [dimension.label for dimension in dataset.dims]
    if all(len(label) == 1 for label in labels) and {"y", "x"} <= {label.lower() for label in labels}:
        return "".join(labels)
    return ""


def hdf5_space(dataset: h5py.Dataset) -> FoundSpace:
    """Voxel size from the attributes of the dataset or of the nearest group above that has one."""
    item: Any = dataset
    while True:
        found = space_of_attributes(item.attrs, "HDF5")
        if found.space.known or item.name in ("/", None):
            return found
        item = item.parent
