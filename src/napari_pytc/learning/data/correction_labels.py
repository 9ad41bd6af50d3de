"""Corrections of segments as labels to learn from: of objects, or of the class that keeps objects apart."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path

import bioimage_cpp as bic
import numpy as np

from napari_pytc.annotations.object_relations import ObjectRelations
from napari_pytc.geometry import Box, Shape, VoxelSpace
from napari_pytc.labels.store import LabelStore, StoredChunk
from napari_pytc.learning.data.instance_targets import ONE, ZERO, instance_targets
from napari_pytc.learning.data.objects import NO_OBJECT, UNLABELLED, ObjectLabels, ObjectSource
from napari_pytc.learning.data.regions import AnnotatedChunk
from napari_pytc.volumes.channels import BoundaryRole


class OverruledAnnotations:
    """Labels of a segmentation's corrections where no later ones exist: an `ObjectSource`.

    Parameters
    ----------
    later : sequence of ObjectSource
        The later corrections.
    """

    def __init__(self, source: ObjectSource, later: Sequence[ObjectSource]) -> None:
        self._source, self._later = source, tuple(later)

    @property
    def shape(self) -> Shape:
        """Lengths along z, y, x in voxels."""
        return self._source.shape

    def chunks(self) -> list[StoredChunk]:
        """The chunks that were written."""
        return self._source.chunks()

    def read(self, box: Box) -> np.ndarray:
        """Ids of a box; 0 where something later is labelled."""
        labels = self._source.read(box)
        for later in self._later:
            labels[later.read(box) != 0] = 0
        return labels


def open_corrections(
    folder: Path, hidden: Sequence[Box] = (), resample: Callable[[ObjectSource], ObjectSource] = lambda source: source
) -> tuple[ObjectLabels, ...]:
    """The corrections of each segmentation, the oldest first; stores without labels to learn from are left out.

    Parameters
    ----------
    folder : Path
        Of the stores, one a segmentation.
    hidden : sequence of Box
        Boxes that are not read.
    resample : callable
        Gives a store's labels on the voxels of the training.

    Raises
    ------
    VolumeError
        If one is damaged.
    """
    stores = [LabelStore.open(path, writable=False) for path in sorted(folder.glob("*.zarr"))]
    dated = [(max(chunk.changed for chunk in store.chunks()), store) for store in stores if store.chunks()]
    ordered = [store for _, store in sorted(dated, key=lambda one: one[0])]
    found = []
    sources = [resample(store) for store in ordered]
    for number, store in enumerate(ordered):
        overruled = OverruledAnnotations(sources[number], sources[number + 1 :])
        labels = ObjectLabels(overruled, hidden, ObjectRelations.load(store.path))
        if labels.chunks:
            found.append(labels)
    return tuple(found)


BETWEEN, WITHIN = 1, 2
"""Kinds of voxels: beside an object that this one was cut from, and well inside of one that was joined or locked."""
_CLEAR_NM = 30.0
"""A membrane is about so wide on either side of where two segments meet."""


class BoundaryCorrections:
    """Labels from corrections for the class that keeps objects apart.

    ::

        a  a  a  a | b  b  b  b         a and b were cut from one another: the voxels beside the cut are of the class,
        .  .  .  k | k  .  .  .         those farther from any border than 30 nm are of any other class
        !  !  .  . | .  .  !  !

    A voxel of another class is learnt as one that is not of this class (complementary labels, Ishida et al. 2017). The
    surroundings of locked segments and deleted ones are not used: there no edit separates two objects.

    Parameters
    ----------
    sources : sequence of ObjectLabels
        Corrections; where two label a voxel the latter counts.
    label : int
        Label of the class, from 1.
    n_classes : int
        Number of classes.
    """

    def __init__(self, sources: Sequence[ObjectLabels], label: int, n_classes: int, space: VoxelSpace) -> None:
        self._sources, self._space = tuple(sources), space
        self._labels = np.array([0, label, 2 * n_classes + label], np.int32)
        z, y, x = (math.ceil(_CLEAR_NM / size) + 2 for size in space.voxel_size_nm)
        self._margin = (z, y, x)

    @cached_property
    def chunks(self) -> list[AnnotatedChunk]:
        """The chunks with labels; counts are of `BETWEEN` and `WITHIN`."""
        found = {}
        for source in self._sources:
            for chunk in source.chunks:
                counts = np.bincount(self.kinds(chunk.box).ravel(), minlength=3)[1:]
                if counts.any():
                    found[chunk.box] = AnnotatedChunk(chunk.box, (int(counts[0]), int(counts[1])), chunk.changed)
        return list(found.values())

    def kinds(self, box: Box) -> np.ndarray:
        """The kind of each voxel of a box within the volume; 0 = not labelled."""
        found = np.zeros(box.shape, np.uint8)
        for source in self._sources:
            kinds = self._kinds(source, box)
            found = np.where(kinds > 0, kinds, found)
        return found

    def labels(self, box: Box) -> np.ndarray:
        """Labels of a box, int32: k = the class, 2 n_classes + k = any other, 0 = not labelled."""
        found: np.ndarray = self._labels[self.kinds(box)]
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
