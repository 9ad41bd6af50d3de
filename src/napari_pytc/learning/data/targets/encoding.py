"""Targets as uint8, and the labels of a patch as targets are made of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import bioimage_cpp as bic
import numpy as np
from scipy import ndimage

from napari_pytc.geometry import VoxelSpace
from napari_pytc.learning.data.objects import NO_OBJECT, SOMETHING_ELSE, UNLABELLED

IGNORED, ZERO, ONE = 0, 1, 255
"""Targets as uint8: unknown, then 0 to 1 in 254 steps."""
Axes = tuple[int, ...]
VOLUME: Axes = (0, 1, 2)
SECTION: Axes = (1, 2)


def encoded(shares: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Shares of 0 to 1 as targets; `IGNORED` where they are not known."""
    values = ZERO + np.rint(np.clip(shares, 0, 1) * (ONE - ZERO))
    return np.where(known, values, IGNORED).astype(np.uint8)


def decoded(targets: np.ndarray) -> np.ndarray:
    """Targets as shares of 0 to 1, float32; meaningless where they are `IGNORED`."""
    return (targets.astype(np.float32) - ZERO) / (ONE - ZERO)


def pair_slices(shape: Sequence[int], offset: Sequence[int]) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Index of the voxels whose partner at an offset lies inside, and of their partners."""
    voxel = tuple(slice(max(0, -step), max(0, n - max(0, step))) for n, step in zip(shape, offset, strict=True))
    partner = tuple(slice(max(0, step), max(0, n + min(0, step))) for n, step in zip(shape, offset, strict=True))
    return voxel, partner


def distance_to(places: np.ndarray, space: VoxelSpace) -> np.ndarray:
    """Distance (nm) of each voxel to the nearest of some, float32; infinite where there are none."""
    if not places.any():
        return np.full(places.shape, np.inf, np.float32)
    found: np.ndarray = bic.distance.distance_transform(~places, sampling=list(space.voxel_size_nm))
    return found


@dataclass(frozen=True, eq=False)
class PatchObject:
    """An object of a patch in its bounding box, grown by a margin that may reach beyond the patch.

    Parameters
    ----------
    number : int
        Its label.
    inside : ndarray of bool
        Its voxels.
    unsure : ndarray of bool
        Voxels that may be its as well as another's, or of which nothing is known, as all beyond the patch.
    other : ndarray of bool
        Voxels of other objects.
    place : tuple of slice
        Index in the patch of the part of the box that lies in it.
    crop : tuple of slice
        Index of that part in the box.
    """

    number: int
    inside: np.ndarray
    unsure: np.ndarray
    other: np.ndarray
    place: tuple[slice, ...]
    crop: tuple[slice, ...]


@dataclass(frozen=True, eq=False)
class LabelledPatch:
    """The labels of a patch, and what is known of them.

    Parameters
    ----------
    labels : ndarray of int32, shape (z, y, x)
        -1 = something else than the objects, 0 = unlabelled, 1 = background, others are objects.
    space : VoxelSpace
        Voxel size.
    apart : ndarray of bool, optional
        Whether two labels are known to be different objects, at ``[a, b]``, -1 counted from the end; by default all
        are, and differ from what is something else.
    ids : ndarray of int, optional
        Id of each label in the store.
    counts_cut : bool
        Whether what the patch holds of an object counts as the whole of it.
    """

    labels: np.ndarray
    space: VoxelSpace
    apart: np.ndarray | None = None
    ids: np.ndarray | None = None
    counts_cut: bool = False

    @property
    def background(self) -> np.ndarray:
        """Mask of the voxels that are known to be of no object."""
        return np.asarray(self.labels == NO_OBJECT)

    @property
    def objects(self) -> np.ndarray:
        """Mask of the voxels of objects."""
        return np.asarray(self.labels > NO_OBJECT)

    @cached_property
    def relations(self) -> np.ndarray | None:
        """Which labels are apart, also where it was left open; None where all are and nothing is something else."""
        if self.apart is None and self.labels.size and self.labels.min() < 0:
            return np.ones((int(self.labels.max()) + 2,) * 2, bool)
        return self.apart

    def each(self, margin: Sequence[int] = (1, 1, 1), axes: Axes = VOLUME) -> Iterator[PatchObject]:
        """All objects, one after the other; of single sections where the axes are those of one.

        Parameters
        ----------
        margin : sequence of int
            Voxels (z, y, x) by which the box of an object is grown; 0 across sections that are taken by themselves.
        """
        if axes == SECTION:
            margin = (0, *margin[1:])
            for z in range(len(self.labels)):
                yield from self._each(self.labels[z : z + 1], margin, z)
        else:
            yield from self._each(self.labels, margin, 0)

    def _each(self, labels: np.ndarray, margin: Sequence[int], first: int) -> Iterator[PatchObject]:
        found = ndimage.find_objects(np.maximum(labels, 0))
        for number, box in enumerate(found, 1):
            if box is None or number == NO_OBJECT:
                continue
            wide = [(part.start - m, part.stop + m) for part, m in zip(box, margin, strict=True)]
            within = [(max(0, a), min(n, b)) for (a, b), n in zip(wide, labels.shape, strict=True)]
            crop = tuple(slice(a - low, b - low) for (a, b), (low, _) in zip(within, wide, strict=True))
            part = labels[tuple(slice(a, b) for a, b in within)]
            shape = [high - low for low, high in wide]
            inside, other = np.zeros(shape, bool), np.zeros(shape, bool)
            unsure = np.full(shape, True)
            inside[crop] = part == number
            unsure[crop], other[crop] = self._of_others(part, number)
            (z0, z1), *rest = within
            place = (slice(z0 + first, z1 + first), *(slice(a, b) for a, b in rest))
            yield PatchObject(number, inside, unsure, other, place, crop)

    def _of_others(self, labels: np.ndarray, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Masks of the labels that may be a certain object's, and of those that are another object's."""
        unsure = labels == UNLABELLED
        other = (labels > NO_OBJECT) & (labels != number)
        if self.relations is not None:
            apart = self.relations[number][labels]
            unsure |= other & ~apart
            other &= apart
            unsure |= (labels == SOMETHING_ELSE) & ~apart
        return unsure, other

    def is_cut(self, one: PatchObject) -> bool:
        """Whether an object may go on where nothing is known, so that its size and middle are not known.

        The box of the object has a margin of one voxel at least.
        """
        beside = ndimage.binary_dilation(one.inside, ndimage.generate_binary_structure(3, 1))
        return bool((beside & self.open_around(one)).any())

    def open_around(self, one: PatchObject) -> np.ndarray:
        """Voxels of an object's box that may be its own; those beyond the patch only where cut objects are masked."""
        if not self.counts_cut:
            return one.unsure
        found = np.zeros_like(one.unsure)
        found[one.crop] = one.unsure[one.crop]
        return found

    def nm_to(self, places: np.ndarray, axes: Axes = VOLUME) -> np.ndarray:
        """Distance (nm) of each voxel to the nearest of some, float32; infinite where there are none."""
        if axes == SECTION:
            return np.stack([self.nm_to(one[None])[0] for one in places])
        return distance_to(places, self.space)

    def nm_to_unknown(self, known: np.ndarray, axes: Axes = VOLUME) -> np.ndarray:
        """Least distance (nm) to a voxel that is not known; all voxels beyond the patch count as such."""
        found = self.nm_to(~known, axes)
        for axis in axes:
            n = known.shape[axis]
            to_edge = np.minimum(np.arange(1, n + 1), np.arange(n, 0, -1)) * self.space.voxel_size_nm[axis]
            found = np.minimum(found, to_edge.reshape([-1 if a == axis else 1 for a in range(3)]).astype(np.float32))
        return found
