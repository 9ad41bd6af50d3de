"""What a new project could be made of: looked at in a helper thread, never in the window's."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_pytc.errors import PytcError, VolumeError
from napari_pytc.geometry import Shape
from napari_pytc.ui.choices import LayerChoice
from napari_pytc.ui.datasets import choices_of
from napari_pytc.volumes.inspection import ArrayInfo, VolumeInfo, describe_volume
from napari_pytc.volumes.opening import local_path, split_dataset

SUFFIX = ".pytc"


@dataclass(frozen=True)
class Candidate:
    """What the user points at.

    Parameters
    ----------
    layer : LayerChoice, optional
        A layer, else `where` counts: ``PATH[:DATASET]`` or a URL.
    dataset : str, optional
        Which of the arrays, where the user has picked one.
    """

    layer: LayerChoice | None = None
    where: str = ""
    dataset: str | None = None

    @property
    def name(self) -> str:
        """What a person calls it."""
        return self.layer.name if self.layer is not None else Path(split_dataset(self.where)[0]).name

    @property
    def data(self) -> Any:
        """The layer's voxels; of a pyramid the finest."""
        assert self.layer is not None
        layer = self.layer.layer
        return layer.data[0] if layer.multiscale else layer.data

    def is_same(self, other: Candidate) -> bool:
        """Whether both are the same layer or file."""
        if self.layer is None or other.layer is None:
            return self.layer is other.layer and self.where == other.where
        return self.layer.layer is other.layer.layer


@dataclass(frozen=True)
class Found:
    """What there is.

    Parameters
    ----------
    image : str, optional
        The file to make the project of; none where the layer's data goes into the project.
    arrays : tuple of ArrayInfo
        What there is to choose from, where the file holds several.
    shape : tuple of int, optional
        Of the volume; none before one of the arrays is picked.
    source : str
        Where the voxel size is from, in words; empty where nobody knows it.
    is_layers_size : bool
        Whether it is the layer's, which the file need not agree with.
    folder : Path
        Where the project could be.
    """

    image: str | None
    arrays: tuple[ArrayInfo, ...]
    dataset: str | None
    shape: Shape | None
    dtype: str
    n_bytes: int
    n_channels: int
    channel: int | None
    voxel_size_nm: tuple[float, float, float] | None
    source: str
    is_layers_size: bool
    folder: Path


def look_at(candidate: Candidate) -> Found:
    """Look at a layer or a file; reads no voxels.

    Raises
    ------
    VolumeError
        If there is nothing that can be read.
    """
    layer = candidate.layer
    if layer is None:
        return _of_file(candidate)
    if layer.path is not None:
        try:
            info = describe_volume(layer.path)
        except PytcError:
            pass  # read by another plugin, from what we cannot: its data is all we need
        else:
            if (
                info.shape == layer.shape
                and info.dtype == layer.dtype
                and (layer.channel is not None or info.n_channels == 1)
            ):
                return _of_layers_file(layer, info)
    itemsize = np.dtype(layer.dtype).itemsize
    return Found(
        image=None,
        arrays=(),
        dataset=None,
        shape=layer.shape,
        dtype=layer.dtype,
        n_bytes=layer.shape[0] * layer.shape[1] * layer.shape[2] * itemsize,
        n_channels=1,
        channel=None,
        voxel_size_nm=layer.voxel_size_nm,
        source="From the layer." if layer.voxel_size_nm else "",
        is_layers_size=layer.voxel_size_nm is not None,
        folder=_folder_beside(layer.path, layer.name),
    )


def _of_layers_file(layer: LayerChoice, info: VolumeInfo) -> Found:
    size = layer.voxel_size_nm or info.voxel_size_nm
    assert layer.path is not None
    return Found(
        image=layer.path,
        arrays=(),
        dataset=None,
        shape=info.shape,
        dtype=layer.dtype,
        n_bytes=info.n_bytes or 0,
        n_channels=1 if layer.channel is None else info.n_channels or 1,
        channel=layer.channel,
        voxel_size_nm=size,
        source="From the layer." if layer.voxel_size_nm else _source_of(info),
        is_layers_size=layer.voxel_size_nm is not None and layer.voxel_size_nm != info.voxel_size_nm,
        folder=_folder_beside(layer.path, Path(split_dataset(layer.path)[0]).stem),
    )


def _of_file(candidate: Candidate) -> Found:
    place, dataset = split_dataset(candidate.where)
    dataset = candidate.dataset or dataset
    where = f"{place}:{dataset}" if dataset else candidate.where
    info = describe_volume(where)
    arrays = tuple(choices_of(info)) if info.kind in ("hdf5", "chunked") else ()
    if info.spec is None and len(arrays) < 2:
        raise VolumeError(info.problem or f"{where} holds no volume.")
    if info.kind == "chunked" and dataset is None and info.spec is not None:
        arrays = ()  # one image and its pyramid
    return Found(
        image=where,
        arrays=arrays if len(arrays) > 1 else (),
        dataset=dataset or getattr(info.spec, "dataset", None),
        shape=info.shape,
        dtype=info.dtype or "",
        n_bytes=info.n_bytes or 0,
        n_channels=info.n_channels or 1,
        channel=0 if (info.n_channels or 1) > 1 else None,
        voxel_size_nm=info.voxel_size_nm,
        source=_source_of(info),
        is_layers_size=False,
        folder=_folder_beside(place, Path(place).stem),
    )


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
