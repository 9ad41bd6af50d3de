"""Sources of labels: volumes, arrays, and floats that are whole numbers."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from napari_pytc.errors import InvalidInput
from napari_pytc.geometry import Box, Shape, VoxelSpace


class LabelSource(Protocol):
    """Labels to import: any `VolumeSource`, or `ArrayLabels`."""

    @property
    def shape(self) -> Shape:
        """Lengths along z, y, x in voxels."""

    @property
    def dtype(self) -> np.dtype:
        """Type of a label."""

    @property
    def space(self) -> VoxelSpace:
        """Voxel size and origin in nm."""

    def read(self, box: Box) -> np.ndarray:
        """Labels of a box."""


class ArrayLabels:
    """An array as labels to import; a 2D one is one section.

    Parameters
    ----------
    space : VoxelSpace, optional
        Its voxel size and origin; by default unknown, so that it is taken voxel for voxel.
    """

    def __init__(self, array: np.ndarray, space: VoxelSpace | None = None) -> None:
        if array.ndim not in (2, 3):
            raise InvalidInput(f"Labels have axes z, y, x (or y, x), got an array of shape {array.shape}.")
        self._array = array if array.ndim == 3 else array[None]
        z, y, x = self._array.shape
        self.shape: Shape = (z, y, x)
        self.dtype = self._array.dtype
        self.space = VoxelSpace.unknown() if space is None else space

    def read(self, box: Box) -> np.ndarray:
        """Labels of a box."""
        return self._array[box.slices]


class WholeFloats:
    """Labels that are stored as floats, read as whole numbers."""

    def __init__(self, labels: LabelSource) -> None:
        self._labels = labels
        self.shape, self.space = labels.shape, labels.space
        self.dtype = np.dtype(np.int64)
        # Beyond it, not every whole number can be stored.
        self._largest = 2 ** (np.finfo(labels.dtype).nmant + 1)

    def read(self, box: Box) -> np.ndarray:
        """Labels of a box, int64.

        Raises
        ------
        InvalidInput
            If one is no whole number.
        """
        block = self._labels.read(box)
        wrong = ~(np.isfinite(block) & (np.rint(block) == block) & (np.abs(block) <= self._largest))
        if wrong.any():
            raise InvalidInput(
                f"Labels must be whole numbers (0 = not annotated), but the {self._labels.dtype} labels hold "
                f"{block[wrong][0]:g} in {box}.",
                "Save them as an integer type, for example uint8 for classes, uint32 for objects; of probabilities, "
                "choose the most probable class first.",
            )
        return block.astype(np.int64)


def whole_numbered(labels: LabelSource) -> LabelSource:
    """Labels as whole numbers: floats are read as such, where all of them are.

    Raises
    ------
    InvalidInput
        If their type holds no numbers in an order.
    """
    if labels.dtype.kind == "f":
        return WholeFloats(labels)
    if labels.dtype.kind not in "iub":
        raise InvalidInput(
            f"Labels must be whole numbers (0 = not annotated), got {labels.dtype}.",
            "Convert them to an integer type, for example uint8 for classes, uint32 for objects.",
        )
    return labels


def as_label_source(labels: np.ndarray | LabelSource) -> LabelSource:
    """Labels of an array or a source as a source."""
    return ArrayLabels(labels) if isinstance(labels, np.ndarray) else labels
