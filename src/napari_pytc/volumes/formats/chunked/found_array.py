"""An array of a chunked container as its metadata describes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from napari_pytc.volumes.formats.extent import check_extent
from napari_pytc.volumes.layout import STORED_DTYPES
from napari_pytc.volumes.space import FoundSpace

Driver = Literal["zarr", "zarr3", "n5", "neuroglancer_precomputed"]
"""Driver of tensorstore."""


@dataclass(frozen=True)
class FoundArray:
    """An array of a container.

    Parameters
    ----------
    path : str
        Inside the container; of a precomputed volume it ends in the key of the scale.
    axes : str
        A letter an axis, in the file's order; empty where the file does not name them.
    level : int
        0 for full resolution.
    chunk_lengths : tuple of int
        The smallest piece that can be read, of a sharded array the inner one; empty where it is not known.
    notes : tuple of str
        What was assumed, beside the notes of `found`.
    is_image : bool
        Whether the container says that this is an image and not a segmentation.
    group : str
        Path of the precomputed volume inside the container, of which this is a scale; empty at the top.
    channels : tuple of str
        Names of the channels; empty where the container does not name them.
    """

    driver: Driver
    path: str
    axes: str
    lengths: tuple[int, ...]
    dtype: str
    found: FoundSpace
    level: int = 0
    chunk_lengths: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()
    is_image: bool = False
    group: str = ""
    channels: tuple[str, ...] = ()

    @property
    def fits(self) -> bool:
        """Whether the array could be a volume: 2 to 5 axes of voxels that can be read."""
        return 2 <= len(self.lengths) <= 5 and self.dtype in STORED_DTYPES and 0 not in self.lengths

    def check_extent(self, where: str) -> None:
        """Refuse an array that no program wrote on purpose; see `check_extent`."""
        n_bytes = np.dtype(self.dtype).itemsize if self.dtype in STORED_DTYPES else 1
        check_extent(self.lengths, self.chunk_lengths, n_bytes, where)


def shape_of(values: object) -> tuple[int, ...]:
    """The lengths that metadata list; `ValueError` where one is no whole number."""
    if not isinstance(values, list | tuple) or not all(isinstance(n, int) and not isinstance(n, bool) for n in values):
        raise ValueError(f"the lengths of the axes are {values!r}")
    return tuple(values)
