"""Annotations as training reads them."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from napari_pytc.geometry import Box, Shape
from napari_pytc.labels.store import StoredChunk


class AnnotationSource(Protocol):
    """Sparse class labels on the voxels of a volume: 0 = not annotated, k = k-th class."""

    @property
    def shape(self) -> Shape:
        """Lengths along z, y, x in voxels, those of the volume."""

    @property
    def revision(self) -> int:
        """Grows with every change."""

    def chunks(self) -> list[StoredChunk]:
        """The disjoint chunks, cut at the volume's edge, that were ever written; all else is 0."""

    def read(self, box: Box) -> np.ndarray:
        """Labels of a box within the volume, uint8, shape ``box.shape``."""
