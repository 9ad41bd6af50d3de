"""Labels of any size into the annotations, block by block."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from napari_pytc.annotations.class_values import ClassValues
from napari_pytc.annotations.label_source import LabelSource
from napari_pytc.annotations.label_transform import LabelTransform
from napari_pytc.annotations.object_ids import ObjectIds
from napari_pytc.annotations.object_relations import BACKGROUND, OTHER
from napari_pytc.geometry import Box, Shape, TileGrid, VoxelSpace
from napari_pytc.jobs.context import ProgressCallback
from napari_pytc.volumes.class_names import read_class_names
from napari_pytc.volumes.source import VolumeSource

_BLOCK_BYTES = 64 * 2**20
OBJECT_BLOCK: Shape = (32, 512, 512)
"""Blocks in which objects are read."""


class ClassStore(Protocol):
    """A store of strokes as an import changes it, such as `PaintStore`."""

    @property
    def shape(self) -> Shape:
        """Lengths along z, y, x of the image."""

    @property
    def chunk_shape(self) -> Shape:
        """Lengths of a chunk."""

    @property
    def space(self) -> VoxelSpace:
        """Voxel size and origin of the image."""

    def paint(self, box: Box, labels: np.ndarray) -> None:
        """Add labels; 0 leaves a voxel as it is."""


class ObjectStore(Protocol):
    """A store of object labels as an import sees it, such as `PaintStore`."""

    @property
    def shape(self) -> Shape:
        """Lengths along z, y, x of the image."""

    @property
    def space(self) -> VoxelSpace:
        """Voxel size and origin of the image."""

    def read(self, box: Box) -> np.ndarray:
        """Ids of a box."""

    def counts(self) -> dict[int, int]:
        """Voxels of each id, without the unlabelled."""


@dataclass(frozen=True)
class ImportedClasses:
    """Result of an import of class labels.

    Parameters
    ----------
    counts : dict
        Number of voxels that were labelled, by name of the class.
    box : Box
        Where in the image the labels lie.
    notes : tuple of str
        What was assumed, changed or left out, a sentence each.
    """

    counts: dict[str, int]
    box: Box
    notes: tuple[str, ...] = ()

    @property
    def total(self) -> int:
        """Number of voxels that were labelled."""
        return sum(self.counts.values())


@dataclass(frozen=True)
class ImportedObjects:
    """Result of an import of object labels.

    Parameters
    ----------
    n_objects, n_voxels, n_background : int
        Objects that were added, their voxels, and voxels that belong to no object.
    box : Box
        Where in the image the labels lie.
    notes : tuple of str
        What was assumed, changed or left out, a sentence each.
    original_ids : dict
        The file's id of each object that was renumbered.
    """

    n_objects: int
    n_voxels: int
    n_background: int
    box: Box
    notes: tuple[str, ...] = ()
    original_ids: dict[int, int] = field(default_factory=dict)


def import_classes(
    store: ClassStore,
    labels: LabelSource,
    classes: Sequence[str],
    transform: LabelTransform | None = None,
    report: ProgressCallback | None = None,
) -> ImportedClasses:
    """Add class labels to what is annotated; voxels that are not labelled keep what they have.

    All values are checked before the first is written. Memory is that of a block, and blocks without labels leave no
    trace in the store. An import that was interrupted is completed by running it again.

    Parameters
    ----------
    classes : sequence of str
        Names of the classes; the first is 1. Where the labels' file names its classes, names count, not numbers.
    transform : LabelTransform, optional
        Where the labels lie, and what their values mean.
    report : callable, optional
        Called with the number of steps done and their total.

    Raises
    ------
    InvalidInput
        If the labels are not whole numbers, lie in no known place of the image, or hold a value that is no class.
    """
    transform = transform or LabelTransform()
    placed = transform.place(labels, store.shape, store.space)
    values = ClassValues(transform, classes, named_classes(labels))
    blocks = list(_blocks(store.chunk_shape, placed.box, labels.dtype.itemsize))
    report = report or _silent
    occupied = []
    for number, box in enumerate(blocks):
        if values.scan(placed.read(box), box):
            occupied.append(box)
        report(number + 1, 2 * len(blocks))
    values.check()
    for number, box in enumerate(occupied):
        store.paint(box, values.apply(placed.read(box)))
        report(len(blocks) + number + 1, len(blocks) + len(occupied))
    report(2 * len(blocks), 2 * len(blocks))
    notes = (*source_notes(labels), *placed.placement.notes, *values.notes())
    return ImportedClasses(values.counts(), placed.box, notes)


def import_objects(
    store: ObjectStore,
    labels: LabelSource,
    transform: LabelTransform,
    record: Callable[[list[tuple[Box, np.ndarray]]], None],
    most_voxels: int,
    report: ProgressCallback | None = None,
) -> ImportedObjects:
    """Add object labels, block by block.

    All values are checked before the first is recorded. Memory is that of a group of blocks and, to find connected
    parts, of two sections of the labels as uint32.

    Parameters
    ----------
    store : ObjectStore
        The object labels that there are.
    record : callable
        Takes a group of boxes and their ids, uint32: 0 not annotated, `BACKGROUND` no object.
    most_voxels : int
        Voxels of a group, unless a single block has more.

    Raises
    ------
    InvalidInput
        If the labels are no ids, hold no object, or lie in no known place of the image.
    """
    placed = transform.place(labels, store.shape, store.space)
    grid, tell = TileGrid(placed.box, OBJECT_BLOCK), report or _silent
    ids = ObjectIds(transform, grid)
    occupied = []
    for tile in grid:
        if ids.scan(tile, placed.read(tile.write), store.read(tile.write)):
            occupied.append(tile)
        tell(tile.index + 1, 2 * len(grid))
    ids.number({id: n for id, n in store.counts().items() if id not in (BACKGROUND, OTHER)})
    group: list[tuple[Box, np.ndarray]] = []
    for done, tile in enumerate(occupied, start=1):
        group.append((tile.write, ids.apply(tile, placed.read(tile.write))))
        next_size = occupied[done].write.size if done < len(occupied) else most_voxels
        if sum(box.size for box, _ in group) + next_size > most_voxels:
            record(group)
            group = []
        tell(len(grid) + done, len(grid) + len(occupied))
    notes = (*source_notes(labels), *placed.placement.notes, *ids.notes())
    return ImportedObjects(ids.n_objects, ids.n_voxels, ids.n_background, placed.box, notes, ids.original_ids)


def named_classes(labels: LabelSource) -> Mapping[int, str]:
    """Names that the labels' file has for its values; empty where it has none."""
    return read_class_names(labels.spec) if isinstance(labels, VolumeSource) else {}


def source_notes(labels: LabelSource) -> tuple[str, ...]:
    """What the reader of the labels' file assumed or left out."""
    return tuple(labels.notes) if isinstance(labels, VolumeSource) else ()


def _blocks(chunk_shape: Shape, target: Box, itemsize: int) -> Iterator[Box]:
    """Parts of the target that cut no chunk, wide rather than deep since files hold sections."""
    z, y, x = chunk_shape
    while x < target.shape[2] and z * y * x * itemsize < _BLOCK_BYTES:
        x *= 2
    while y < target.shape[1] and z * y * x * itemsize < _BLOCK_BYTES:
        y *= 2
    grid = TileGrid(target.aligned((z, y, x)), (z, y, x))
    for index in range(len(grid)):
        yield grid[index].write.intersect(target)


def _silent(done: int, total: int) -> None:
    """Progress that nobody sees."""
