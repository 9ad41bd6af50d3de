"""Data of one volume of a training: its image and its annotations outside the held-out boxes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from napari_pytc.annotations.source import AnnotationSource
from napari_pytc.errors import ModelError
from napari_pytc.geometry import Box, Shape, TileGrid, VoxelSpace
from napari_pytc.learning.data.objects import ObjectLabels, UnannotatedObjects
from napari_pytc.learning.data.regions import AnnotatedChunk, disjoint
from napari_pytc.learning.prediction.image_statistics import volume_normalisation
from napari_pytc.plans.normalisation import ImageNormalisation, NormalisationSettings
from napari_pytc.volumes.source import ImageSource


@dataclass(frozen=True)
class VolumeData:
    """An image, its annotations and its held-out boxes.

    Parameters
    ----------
    source : ImageSource
        Raw intensities (c, z, y, x).
    annotations : AnnotationSource
        0 = not annotated, k = k-th class.
    classes : tuple of str
        Names of the classes.
    held_out : tuple of Box
        Boxes whose voxels no training patch shows; annotations inside serve the scores.
    space : VoxelSpace
        Voxel size.
    objects : ObjectLabels, optional
        Single objects, for a plan that learns instances.
    corrections : tuple of ObjectLabels
        Object labels from edits of segmentations.
    boundary_class : str, optional
        The class that keeps objects apart, which is learnt from corrections, too.
    name : str
        Name of the volume, for scores and messages.
    digest : str, optional
        Digest of the image's fingerprint.
    unresampled_held_out : tuple of Box, optional
        The held-out boxes in the image's own voxels, where it is resampled.
    scored : tuple of Box, optional
        The part of the held-out boxes whose annotations serve the scores, by default all. Those of a resampled image
        hold a margin beside, which shows what is held out.
    notes : tuple of str
        What was assumed or converted when it was opened, a sentence each.
    """

    source: ImageSource
    annotations: AnnotationSource
    classes: tuple[str, ...]
    held_out: tuple[Box, ...]
    space: VoxelSpace
    objects: ObjectLabels | None = None
    corrections: tuple[ObjectLabels, ...] = ()
    boundary_class: str | None = None
    name: str = ""
    digest: str | None = None
    unresampled_held_out: tuple[Box, ...] | None = None
    scored: tuple[Box, ...] | None = None
    notes: tuple[str, ...] = ()

    @cached_property
    def chunks(self) -> list[AnnotatedChunk]:
        """The chunks with annotations to learn from."""
        found = []
        for entry in self.annotations.chunks():
            count_classes(
                self.annotations.read(entry.box), len(self.classes)
            )  # classes of held-out voxels must be known, too
            counts = count_classes(self.labels(entry.box), len(self.classes))
            if any(counts):
                found.append(AnnotatedChunk(entry.box, counts, entry.changed))
        return found

    def labels(self, box: Box) -> np.ndarray:
        """Annotations to learn from; 0 in held-out boxes and for classes added since the training began."""
        labels = self.annotations.read(box)
        labels[labels > len(self.classes)] = 0
        for held in self.held_out:
            common = held.intersect(box)
            if not common.is_empty:
                labels[common.relative_to(box.start).slices] = 0
        return labels

    def scored_tiles(self, tile_shape: Shape) -> list[Box]:
        """Boxes of at most `tile_shape` inside the scored part of the held-out boxes that hold annotations."""
        found = []
        whole = Box.of_shape(self.source.shape)
        written = [entry.box for entry in self.annotations.chunks()]
        for held in disjoint(self.held_out if self.scored is None else self.scored):
            for tile in TileGrid(held.intersect(whole), tile_shape):
                touched = any(tile.write.overlaps(box) for box in written)
                if touched and self.annotations.read(tile.write).any():
                    found.append(tile.write)
        return found

    def kinds(self, box: Box) -> np.ndarray:
        """The class of each voxel of a box; 0 = not to be drawn."""
        return self.labels(box)

    @property
    def has_annotations(self) -> bool:
        """Whether anything is annotated, be it in held-out boxes."""
        return any(self.annotations.read(entry.box).any() for entry in self.annotations.chunks())

    @property
    def true_objects(self) -> ObjectLabels:
        """The objects for scores; none labelled where there are none, or where they are of another shape."""
        objects, shape = self.objects, self.source.shape
        is_own = objects is not None and objects.shape == tuple(shape)
        return objects if objects is not None and is_own else ObjectLabels(UnannotatedObjects(shape))

    @property
    def own_held_out(self) -> tuple[Box, ...]:
        """The held-out boxes in the image's own voxels."""
        return self.held_out if self.unresampled_held_out is None else self.unresampled_held_out

    @property
    def title(self) -> str:
        """The volume in a sentence: "the volume 'b'"."""
        return f"the volume {self.name!r}" if self.name else "the volume"

    @property
    def image_title(self) -> str:
        """Its image in a sentence: "the image of the volume 'b'"."""
        return f"the image of {self.title}" if self.name else "the image"

    def normalisation(
        self, painted: Sequence[Box], settings: NormalisationSettings, is_learnt: bool | None = None
    ) -> tuple[ImageNormalisation, list[str]]:
        """The normalisation by the intensities outside the held-out boxes, and notes for the user.

        Parameters
        ----------
        painted : sequence of Box
            Where labels to learn from are: a volume that is mostly padding is sampled there.
        settings : NormalisationSettings
            How intensities are scaled.
        is_learnt : bool, optional
            Whether the volume is learnt from, now or later, so that held-out voxels must not be seen; by default where
            there are labels.

        Raises
        ------
        VolumeError
            If the held-out boxes leave no voxel, though there are labels to learn from.
        ModelError
            If the image is constant.
        """
        is_learnt = bool(painted) if is_learnt is None else is_learnt
        return volume_normalisation(self.source, self.held_out if is_learnt else (), painted, settings, self.title)


def count_classes(labels: np.ndarray, n_classes: int) -> tuple[int, ...]:
    """Voxels of each class, without the unlabelled.

    Raises
    ------
    ModelError
        For a value beyond the list of classes.
    """
    counts = np.bincount(labels.ravel(), minlength=n_classes + 1)
    if len(counts) > n_classes + 1:
        raise ModelError(
            f"The annotations hold the value {len(counts) - 1}, but there are {n_classes} classes.",
            "Add the class to the project, or repaint these voxels.",
        )
    return tuple(int(n) for n in counts[1:])
