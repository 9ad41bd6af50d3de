"""Boundary maps from files of other programs, predictions, or the image, for the contacts of imported segmentations."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from pydantic import Field

from napari_pytc.annotations.placement import place_labels
from napari_pytc.decoding.evidence import EvidenceReader
from napari_pytc.errors import InvalidInput, VolumeError
from napari_pytc.geometry import Box, Shape, Voxel, VoxelSpace
from napari_pytc.settings import Settings
from napari_pytc.volumes.channels import NOTE
from napari_pytc.volumes.opening import open_spec, open_volume, split_dataset
from napari_pytc.volumes.ridges import RidgeReader
from napari_pytc.volumes.source import BoundaryReader, VolumeSource
from napari_pytc.volumes.spec import ReadOptions, VolumeSpec
from napari_pytc.volumes.statistics import sample_statistics
from napari_pytc.volumes.zarr_output import open_ome_zarr

_N_BLOCKS = 16
_BEYOND_ONE = 1e-3
"""Floats may be so far beyond 0 and 1: networks round."""


class BoundaryMap(Settings):
    """A boundary map on disk as it lies in an image: a volume of one channel, or a prediction of this program."""

    volume: VolumeSpec | None = Field(None, description="The volume of one channel.")
    prediction: Path | None = Field(None, description="Instead: a prediction with boundaries, affinities or alike.")
    start: Voxel = Field((0, 0, 0), description="Voxel of the image at which the map begins.")
    full: float = Field(1.0, gt=0, description="The value that stands for the probability 1.")
    notes: tuple[str, ...] = Field((), description="What was assumed of it, as sentences.")

    def open(self) -> BoundaryReader:
        """A reader of the map in voxels of the image; 0 where the map is not.

        Raises
        ------
        VolumeError
            If it is gone or damaged.
        """
        if self.prediction is not None:
            evidence = EvidenceReader.open(self.prediction)
            return _PlacedMap(lambda box: evidence.read(box).boundary_map(), Box.at(self.start, evidence.shape))
        assert self.volume is not None
        source, full = open_spec(self.volume), np.float32(self.full)
        return _PlacedMap(
            lambda box: np.clip(source.read(box).astype(np.float32) / full, 0, 1), Box.at(self.start, source.shape)
        )


def find_boundary_map(
    where: str | Path, image_shape: Shape, image_space: VoxelSpace, needed: Box, options: ReadOptions | None = None
) -> BoundaryMap:
    """The boundary map of a file: where it lies in an image, and which value stands for 1.

    It lies where its file says, as labels do; one as large as the box of the labels, whose file says nothing, lies
    there.

    Parameters
    ----------
    where : str or Path
        ``PATH[:DATASET]``, or the Zarr of a prediction of this program.
    needed : Box
        Voxels of the image that it has to cover.

    Raises
    ------
    InvalidInput
        If it does not cover them, or its values are no probabilities.
    VolumeError
        If it cannot be opened.
    """
    prediction = _as_prediction(where)
    if prediction is not None:
        reader = EvidenceReader.open(prediction)
        if not reader.kind.has_boundary_map:
            raise InvalidInput(
                f"The prediction {prediction.name} shows no boundaries; it has {reader.kind}.",
                "Name a prediction with boundaries, affinities, distances or a class of membranes.",
            )
        start = _start(reader.shape, reader.space, image_shape, image_space, needed)
        return BoundaryMap(prediction=prediction.absolute(), start=start)
    source = open_volume(where, options)
    start = _start(source.shape, source.space, image_shape, image_space, needed)
    full, notes = _full_value(source)
    return BoundaryMap(volume=source.spec, start=start, full=full, notes=(*source.notes, *notes))


def ridges_of(image: VolumeSource, space: VoxelSpace) -> BoundaryReader:
    """Dark ridges of an image as a boundary map, where there is no other."""
    spread = sample_statistics(image, n_blocks=_N_BLOCKS).std
    return RidgeReader(image.read, image.shape, space, spread)


class _PlacedMap:
    """A map that fills a box of the image; 0 elsewhere."""

    def __init__(self, read: Callable[[Box], np.ndarray], box: Box) -> None:
        self._read, self._box = read, box

    def read(self, box: Box) -> np.ndarray:
        found = np.zeros(box.shape, np.float32)
        common = box.intersect(self._box)
        if not common.is_empty:
            inner = common.relative_to(box.start).slices
            found[inner] = self._read(common.relative_to(self._box.start))
        return found


def _as_prediction(where: str | Path) -> Path | None:
    """The folder of a prediction that this program made; None for anything else."""
    path, dataset = split_dataset(str(where))
    folder = Path(path)
    if dataset is not None or not (folder / "zarr.json").is_file():
        return None
    try:
        array = open_ome_zarr(folder)
    except VolumeError:  # an OME-Zarr of another program
        return None
    return folder if array.channels and NOTE in array.attributes else None


def _start(shape: Shape, space: VoxelSpace, image_shape: Shape, image_space: VoxelSpace, needed: Box) -> Voxel:
    says_nothing = not (space.known and any(space.origin_nm))
    if says_nothing and shape == needed.shape:
        return needed.start
    placed = place_labels(shape, space, image_shape, image_space)
    if not placed.box.contains(needed):
        raise InvalidInput(
            f"The boundary map lies at {placed.box} of the image, but the labels lie at {needed}.",
            "Give a boundary map of the whole image, or one that is as large as the labels.",
        )
    return placed.start


def _full_value(source: VolumeSource) -> tuple[float, list[str]]:
    """The value that stands for the probability 1, and what was assumed."""
    found = sample_statistics(source, n_blocks=_N_BLOCKS)
    low, high = found.minimum, found.maximum
    if low < -_BEYOND_ONE or (source.dtype.kind == "f" and high > 1 + _BEYOND_ONE):
        raise InvalidInput(
            f"A boundary map holds probabilities of a boundary, 0 to 1 (or whole numbers from 0), got {low:g} to "
            f"{high:g}.",
            "Save it as probabilities, or as uint8 with 255 for 1.",
        )
    if source.dtype.kind in "fb":
        return 1.0, []
    if high <= 1:
        return 1.0, ["The boundary map holds 0 and 1 only: 1 was taken for a boundary."]
    largest = float(np.iinfo(source.dtype).max)
    if source.dtype == np.uint8:
        return largest, []
    full = 255.0 if high <= 255 else 65535.0 if high <= 65535 else largest
    return full, [f"The boundary map's values reach {high:g}: {full:g} was taken for the probability 1."]
