"""What a training reads: the normalised image and the annotations outside the held-out boxes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from napari_pytc.annotations.source import AnnotationSource
from napari_pytc.errors import ModelError
from napari_pytc.geometry import Box, Shape, TileGrid, VoxelSpace
from napari_pytc.learning.corrections import open_corrections
from napari_pytc.learning.normalisation import Normalisation
from napari_pytc.learning.objects import ObjectLabels
from napari_pytc.learning.places import AnnotatedChunk, disjoint
from napari_pytc.volumes.source import VolumeSource

if TYPE_CHECKING:
    from napari_pytc.learning.jobs import TrainJob


@dataclass(frozen=True)
class TrainingData:
    """An image, its annotations and what is held out.

    Parameters
    ----------
    source : VolumeSource
        Raw intensities.
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
        What edits of segmentations say of objects.
    boundary_class : str, optional
        The class that keeps objects apart, of which corrections say something.
    """

    source: VolumeSource
    annotations: AnnotationSource
    classes: tuple[str, ...]
    held_out: tuple[Box, ...]
    space: VoxelSpace
    objects: ObjectLabels | None = None
    corrections: tuple[ObjectLabels, ...] = ()
    boundary_class: str | None = None

    @classmethod
    def open(cls, job: TrainJob) -> TrainingData:
        """Open what a job names."""
        from napari_pytc.annotations.store import AnnotationStore
        from napari_pytc.labels.store import LabelStore
        from napari_pytc.volumes.opening import open_spec

        source = open_spec(job.image)
        annotations = AnnotationStore.open(job.annotations, writable=False)
        objects = None
        if job.plan.target.kind == "instances" and job.objects is not None and job.objects.exists():
            objects = ObjectLabels(LabelStore.open(job.objects, writable=False), job.held_out)
        corrections = () if job.corrections is None else open_corrections(job.corrections, job.held_out)
        space = VoxelSpace(job.voxel_size_nm)
        return cls(source, annotations, job.classes, job.held_out, space, objects, corrections, job.boundary_class)

    @cached_property
    def chunks(self) -> list[AnnotatedChunk]:
        """The chunks with annotations to learn from."""
        found = []
        for entry in self.annotations.boxes():
            count_classes(self.annotations.read(entry.box), len(self.classes))  # also what is held out must be known
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
        """Boxes of at most `tile_shape` inside the held-out boxes that hold annotations."""
        found = []
        whole = Box.of_shape(self.source.shape)
        written = [entry.box for entry in self.annotations.boxes()]
        for held in disjoint(self.held_out):
            for tile in TileGrid(held.intersect(whole), tile_shape):
                touched = any(tile.write.overlaps(box) for box in written)
                if touched and self.annotations.read(tile.write).any():
                    found.append(tile.write)
        return found

    def places(self, box: Box) -> np.ndarray:
        """What a voxel is drawn for: its class, 0 where it is not."""
        return self.labels(box)

    def check(self) -> list[str]:
        """Refuse what cannot be learnt from; return what the user should know all the same.

        Raises
        ------
        ModelError
            Without annotations of two classes outside the held-out boxes.
        """
        counts = np.sum([chunk.counts for chunk in self.chunks], axis=0) if self.chunks else np.zeros(len(self.classes))
        painted = [name for name, n in zip(self.classes, counts, strict=True) if n]
        if not painted and any(self.annotations.read(entry.box).any() for entry in self.annotations.boxes()):
            raise ModelError(
                "All annotated voxels lie in held-out boxes, which training must not see.",
                "Paint strokes outside them, or hold out less.",
            )
        if len(painted) < 2:
            raise ModelError(
                f"Training needs strokes of at least two classes, got {', '.join(painted) or 'none'}.",
                f"The classes are {', '.join(self.classes)}: paint a stroke of each.",
            )
        missing = [name for name in self.classes if name not in painted]
        return [f"Class {name!r} has no strokes to learn from: it will not be predicted." for name in missing]


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


class TrainingImage:
    """Normalised patches of a source, anywhere: mirrored beyond the volume, blank in hidden boxes.

    Blocks of the raw volume are kept up to `cache_bytes`, because training reads the same places over and over.
    """

    _block: Shape = (32, 128, 128)

    def __init__(
        self,
        source: VolumeSource,
        normalisation: Normalisation,
        hidden: Sequence[Box] = (),
        cache_bytes: int = 512 * 2**20,
    ) -> None:
        self._source = source
        self.normalisation = normalisation
        self.hidden = tuple(hidden)
        self._grid = TileGrid(Box.of_shape(source.shape), self._block)
        size = int(np.prod(self._block)) * source.dtype.itemsize
        self._n_blocks = max(8, cache_bytes // size)
        self._blocks: OrderedDict[int, np.ndarray] = OrderedDict()

    @property
    def whole(self) -> Box:
        """The box of the volume."""
        return self._grid.box

    def read(self, box: Box) -> np.ndarray:
        """Normalised float32 of a box that may reach beyond the volume, shape ``box.shape``."""
        inside = box.intersect(self._grid.box)
        if inside.is_empty:
            return np.zeros(box.shape, np.float32)
        raw = np.empty(inside.shape, self._source.dtype)
        for index in self._grid.overlapping(inside):
            block = self._grid[index].write
            common = block.intersect(inside)
            raw[common.relative_to(inside.start).slices] = self._load(index)[common.relative_to(block.start).slices]
        image = self.normalisation.apply(raw)
        for hidden in self.hidden:
            common = hidden.intersect(inside)
            if not common.is_empty:
                image[common.relative_to(inside.start).slices] = 0
        return pad_to(image, inside, box, "symmetric")

    def _load(self, index: int) -> np.ndarray:
        if index in self._blocks:
            self._blocks.move_to_end(index)
            return self._blocks[index]
        block = self._source.read(self._grid[index].write)
        self._blocks[index] = block
        if len(self._blocks) > self._n_blocks:
            self._blocks.popitem(last=False)
        return block


def pad_to(data: np.ndarray, inside: Box, box: Box, mode: str) -> np.ndarray:
    """Grow the voxels of `inside` to those of the box around it, in the last three axes.

    Parameters
    ----------
    mode : str
        ``"symmetric"`` mirrors, ``"zero"`` fills with 0.
    """
    if inside == box:
        return data
    width = [(0, 0)] * (data.ndim - 3)
    width += [(a - b, d - c) for a, b, c, d in zip(inside.start, box.start, inside.stop, box.stop, strict=True)]
    return np.pad(data, width, "symmetric") if mode == "symmetric" else np.pad(data, width)
