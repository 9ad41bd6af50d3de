"""Corrections of segments for a network that learns classes, one of which keeps objects apart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property

import bioimage_cpp as bic
import numpy as np

from napari_pytc.geometry import Box, VoxelSpace
from napari_pytc.learning.instance_targets import ONE, ZERO, instance_targets
from napari_pytc.learning.objects import NO_OBJECT, UNLABELLED, ObjectLabels
from napari_pytc.learning.places import AnnotatedChunk
from napari_pytc.volumes.channels import BoundaryRole

BETWEEN, WITHIN = 1, 2
"""Kinds of voxels: beside an object that this one was cut from, and well inside of one that was joined or locked."""
_CLEAR_NM = 30.0
"""A membrane is about so wide on either side of where two segments meet."""


class BoundaryCorrections:
    """What corrections say of the class that keeps objects apart.

    ::

        a  a  a  a | b  b  b  b         a and b were cut from one another: the voxels beside the cut are of the class,
        .  .  .  k | k  .  .  .         those farther from any border than 30 nm are of any other class
        !  !  .  . | .  .  !  !

    A voxel of another class teaches as one that is not of this class (complementary labels, Ishida et al. 2017). What
    is around locked segments and deleted ones is not used: there nobody says that two objects meet.

    Parameters
    ----------
    sources : sequence of ObjectLabels
        Corrections; where two speak of a voxel the latter counts.
    label : int
        Of the class, from 1.
    n_classes : int
        How many there are.
    """

    def __init__(self, sources: Sequence[ObjectLabels], label: int, n_classes: int, space: VoxelSpace) -> None:
        self._sources, self._space = tuple(sources), space
        self._labels = np.array([0, label, 2 * n_classes + label], np.int32)
        z, y, x = (math.ceil(_CLEAR_NM / size) + 2 for size in space.voxel_size_nm)
        self._margin = (z, y, x)

    @cached_property
    def chunks(self) -> list[AnnotatedChunk]:
        """Where they are; counts are of `BETWEEN` and `WITHIN`."""
        found = {}
        for source in self._sources:
            for chunk in source.chunks:
                counts = np.bincount(self.places(chunk.box).ravel(), minlength=3)[1:]
                if counts.any():
                    found[chunk.box] = AnnotatedChunk(chunk.box, (int(counts[0]), int(counts[1])), chunk.changed)
        return list(found.values())

    def places(self, box: Box) -> np.ndarray:
        """The kind of each voxel of a box within the volume; 0 where nothing is said."""
        found = np.zeros(box.shape, np.uint8)
        for source in self._sources:
            kinds = self._kinds(source, box)
            found = np.where(kinds > 0, kinds, found)
        return found

    def labels(self, box: Box) -> np.ndarray:
        """Labels of a box, int32: k = the class, 2 n_classes + k = any other, 0 where nothing is said."""
        found: np.ndarray = self._labels[self.places(box)]
        return found

    def _kinds(self, source: ObjectLabels, box: Box) -> np.ndarray:
        region = box.grow(self._margin).intersect(Box.of_shape(source.shape))
        objects, apart = source.numbered(region)
        objects[objects <= NO_OBJECT] = UNLABELLED
        if not objects.any():
            return np.zeros(box.shape, np.uint8)
        (target,) = instance_targets(objects, [BoundaryRole()], self._space, apart)
        same = target == ZERO
        if same.all():
            depth = np.full(same.shape, np.inf)
        else:
            depth = bic.distance.distance_transform(same, sampling=list(self._space.voxel_size_nm))
        kinds = np.where(target == ONE, np.uint8(BETWEEN), np.uint8(WITHIN) * (same & (depth > _CLEAR_NM)))
        return kinds[box.relative_to(region.start).slices]
