"""Labels of any size into the annotations, block by block."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import numpy as np

from napari_pytc.annotations.store import AnnotationStore
from napari_pytc.errors import InvalidInput
from napari_pytc.geometry import Box, Shape, TileGrid

_BLOCK_BYTES = 64 * 2**20

Report = Callable[[int, int], None]
"""Called with the number of blocks done and their total."""


class LabelReader(Protocol):
    """Labels to import: any `VolumeSource`, or `ArrayLabels`."""

    @property
    def shape(self) -> Shape:
        """Lengths along z, y, x in voxels."""

    @property
    def dtype(self) -> np.dtype:
        """Type of a label."""

    def read(self, box: Box) -> np.ndarray:
        """Labels of a box."""


class ArrayLabels:
    """An array as labels to import; a 2D one is one section."""

    def __init__(self, array: np.ndarray) -> None:
        if array.ndim not in (2, 3):
            raise InvalidInput(f"Labels have axes z, y, x (or y, x), got an array of shape {array.shape}.")
        self._array = array if array.ndim == 3 else array[None]
        z, y, x = self._array.shape
        self.shape: Shape = (z, y, x)
        self.dtype = self._array.dtype

    def read(self, box: Box) -> np.ndarray:
        """Labels of a box."""
        return self._array[box.slices]


def import_labels(
    store: AnnotationStore,
    labels: LabelReader,
    n_classes: int,
    offset: Sequence[int] = (0, 0, 0),
    report: Report | None = None,
) -> dict[int, int]:
    """Add labels to what is annotated; voxels labelled 0 keep what they have.

    All values are checked before the first is written. Memory is that of a block, and blocks without labels leave no
    trace in the store. An import that was interrupted is completed by running it again.

    Parameters
    ----------
    n_classes : int
        Labels must be 0 (not annotated) or 1 to this.
    offset : sequence of int
        Voxel (z, y, x) of the volume at which the labels' first voxel lies.

    Returns
    -------
    dict
        Number of voxels labelled, by class.

    Raises
    ------
    InvalidInput
        If the labels are not whole numbers, reach beyond the volume or beyond the classes.
    """
    target = _target(store, labels, offset)
    blocks = list(_blocks(store, target, labels.dtype.itemsize))
    report = report or (lambda done, total: None)
    occupied = []
    for number, box in enumerate(blocks):
        if _check_values(labels.read(box.relative_to(target.start)), n_classes, box):
            occupied.append(box)
        report(number + 1, 2 * len(blocks))
    counts = np.zeros(n_classes + 1, np.int64)
    for number, box in enumerate(occupied):
        block = labels.read(box.relative_to(target.start)).astype(np.uint8)
        store.paint(box, block)
        counts += np.bincount(block.ravel(), minlength=n_classes + 1)
        report(len(blocks) + number + 1, len(blocks) + len(occupied))
    report(2 * len(blocks), 2 * len(blocks))
    return {k: int(n) for k, n in enumerate(counts) if k and n}


def _target(store: AnnotationStore, labels: LabelReader, offset: Sequence[int]) -> Box:
    if labels.dtype.kind not in "iub":
        raise InvalidInput(
            f"Labels must be whole numbers (0 = not annotated, k = k-th class), got {labels.dtype}.",
            "Convert them to an integer type, for example uint8.",
        )
    if len(offset) != 3:
        raise InvalidInput(f"An offset is three voxels along z, y, x, got {tuple(offset)}.")
    target, volume = Box.at(offset, labels.shape), Box.of_shape(store.shape)
    if target.is_empty or not volume.contains(target):
        size = " x ".join(map(str, labels.shape))
        place = ",".join(map(str, offset))
        raise InvalidInput(
            f"Labels of {size} voxels at offset {place} do not lie within the volume of "
            f"{' x '.join(map(str, store.shape))}.",
            "Say with --offset Z,Y,X at which voxel of the image they begin.",
        )
    return target


def _blocks(store: AnnotationStore, target: Box, itemsize: int) -> Iterator[Box]:
    """Parts of the target that cut no chunk, wide rather than deep since files hold sections."""
    z, y, x = store.chunk_shape
    while x < target.shape[2] and z * y * x * itemsize < _BLOCK_BYTES:
        x *= 2
    while y < target.shape[1] and z * y * x * itemsize < _BLOCK_BYTES:
        y *= 2
    grid = TileGrid(target.aligned((z, y, x)), (z, y, x))
    for index in range(len(grid)):
        yield grid[index].write.intersect(target)


def _check_values(block: np.ndarray, n_classes: int, box: Box) -> bool:
    """Whether a block holds labels; raises where one is no class."""
    low, high = int(block.min()), int(block.max())
    wrong = high if high > n_classes else low if low < 0 else None
    if wrong is not None:
        raise InvalidInput(
            f"The labels hold the value {wrong} in {box}, but there are {n_classes} classes: a label is 0 (not "
            f"annotated) or 1 to {n_classes}.",
            "Nothing was changed; correct the labels, or make a project with more classes.",
        )
    return high > 0
