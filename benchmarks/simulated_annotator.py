"""A seeded annotator that paints short strokes on the largest errors, and the volumes it works on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import tifffile
from scipy import ndimage

from napari_pytc.geometry import Box, VoxelSpace

DATA = Path(os.environ.get("NAPARI_PYTC_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data")
_RING = [(0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1), (-1, 0), (-1, 1)]


@dataclass(frozen=True)
class Dataset:
    """A volume, its truth (uint8, classes from 1), and where to paint and where to score."""

    name: str
    raw: np.ndarray
    truth: np.ndarray
    classes: tuple[str, ...]
    space: VoxelSpace
    train: Box
    test: Box


class Annotator:
    """Paints in-plane strokes one voxel thin that follow a structure of the truth.

    Parameters
    ----------
    truth : ndarray
        Classes of the whole volume from 1, uint8; 0 is never painted.
    train_box : Box
        Where it may paint.
    seed : int
        The same seed and predictions give the same strokes.
    strokes_per_round : int
        Strokes of a call of `paint`.
    length : tuple of int
        Shortest and longest stroke in voxels; those in small structures end sooner.
    """

    def __init__(
        self,
        truth: np.ndarray,
        train_box: Box,
        seed: int,
        strokes_per_round: int = 12,
        length: tuple[int, int] = (20, 40),
    ) -> None:
        self.truth = truth
        self.train_box = train_box
        self.strokes_per_round = strokes_per_round
        self.length = length
        self.n_strokes = 0
        self._rng = np.random.default_rng(seed)
        self._classes = [int(k) for k in np.unique(truth[train_box.slices]) if k]

    def paint(self, strokes: np.ndarray, prediction: np.ndarray | None) -> None:
        """Add a round of strokes.

        Parameters
        ----------
        strokes : ndarray
            Labels of the whole volume, changed in place.
        prediction : ndarray, optional
            Predicted classes of the whole volume, 0 where the annotator does not look. Without it, as in the first
            round, every class gets the same number of strokes at random places.
        """
        starts = self._random_starts() if prediction is None else self._errors(prediction)
        for start in starts:
            self.stroke(strokes, start)

    def _random_starts(self) -> Iterator[tuple[int, int, int]]:
        n_each = max(1, self.strokes_per_round // len(self._classes))
        inside = self.truth[self.train_box.slices]
        for k in self._classes:
            places = np.flatnonzero(inside == k)
            for place in places[self._rng.integers(len(places), size=n_each)]:
                yield self._whole(np.unravel_index(place, inside.shape))

    def _errors(self, prediction: np.ndarray) -> Iterator[tuple[int, int, int]]:
        """The innermost voxels of the largest connected errors within a section, one class of the truth each."""
        truth, predicted = self.truth[self.train_box.slices], prediction[self.train_box.slices]
        wrong = (predicted != truth) & (predicted > 0)
        flat = np.zeros((3, 3, 3), bool)
        flat[1] = ndimage.generate_binary_structure(2, 1)
        found: list[tuple[int, int, tuple[slice, ...]]] = []
        for k in self._classes:
            regions, _ = ndimage.label(wrong & (truth == k), structure=flat)
            sizes = np.bincount(regions.ravel())
            sizes[0] = 0
            boxes = ndimage.find_objects(regions)
            largest = np.argsort(sizes)[::-1][: self.strokes_per_round]
            found += [(int(sizes[i]), k, boxes[i - 1]) for i in largest if sizes[i]]
        found.sort(key=lambda one: -one[0])
        for _, k, box in found[: self.strokes_per_round]:
            z, y, x = box
            mask = np.pad((wrong[box] & (truth[box] == k))[0], 1)
            deep = ndimage.distance_transform_edt(mask)
            places = np.argwhere(deep >= 0.9 * deep.max())
            py, px = places[self._rng.integers(len(places))] - 1
            yield self._whole((z.start, y.start + py, x.start + px))

    def _whole(self, place: tuple[int, ...]) -> tuple[int, int, int]:
        z, y, x = (int(p) + s for p, s in zip(place, self.train_box.start, strict=True))
        return (z, y, x)

    def stroke(self, strokes: np.ndarray, start: tuple[int, int, int]) -> None:
        """Paint one stroke from a voxel on."""
        for place in self.path(start):
            strokes[place] = self.truth[start]

    def path(self, start: tuple[int, int, int]) -> list[tuple[int, int, int]]:
        """The voxels of a stroke from one on: as straight as its class allows, turning by 45 degrees at most."""
        self.n_strokes += 1
        z, y, x = start
        label = self.truth[start]
        direction = int(self._rng.integers(8))
        found = []
        for _ in range(int(self._rng.integers(self.length[0], self.length[1] + 1))):
            found.append((z, y, x))
            turns = [0, *self._rng.permutation([-1, 1])]
            for turn in turns:
                dy, dx = _RING[(direction + turn) % 8]
                if self.train_box.contains_point((z, y + dy, x + dx)) and self.truth[z, y + dy, x + dx] == label:
                    direction, y, x = (direction + turn) % 8, y + dy, x + dx
                    break
            else:
                direction = int(self._rng.integers(8))
        return found


def datasets(folder: Path = DATA) -> list[Dataset]:
    """The anisotropic and the isotropic volume."""
    if not folder.is_dir():
        raise SystemExit(f"No folder {folder}: put vnc_raw.tif, vnc_classes.tif and medulla.h5 there.")
    return [_vnc(folder), _medulla(folder)]


def _vnc(folder: Path) -> Dataset:
    raw = tifffile.imread(folder / "vnc_raw.tif")
    tissue = tifffile.imread(folder / "vnc_classes.tif")
    truth = np.select([tissue == 1, tissue == 2, tissue > 2], [1, 2, 3], 0).astype(np.uint8)
    return Dataset(
        "vnc",
        raw,
        truth,
        ("membrane", "mitochondrion", "rest"),
        VoxelSpace((45, 4.6, 4.6)),
        Box((0, 0, 0), (9, *raw.shape[1:])),
        Box((9, 0, 0), (14, *raw.shape[1:])),
    )


def _medulla(folder: Path) -> Dataset:
    with h5py.File(folder / "medulla.h5") as file:
        raw, neurons = file["raw"][:], file["neurons"][:]
    membrane = np.zeros(neurons.shape, bool)
    for axis in range(3):
        n = neurons.shape[axis]
        meets = neurons.take(range(1, n), axis) != neurons.take(range(n - 1), axis)
        for side in (slice(1, n), slice(0, n - 1)):
            where = [slice(None)] * 3
            where[axis] = side
            membrane[tuple(where)] |= meets
    return Dataset(
        "medulla",
        raw,
        np.where(membrane, 1, 2).astype(np.uint8),
        ("membrane", "inside"),
        VoxelSpace((10, 10, 10)),
        Box((0, 0, 0), (110, *raw.shape[1:])),
        Box((110, 0, 0), (170, *raw.shape[1:])),
    )
