"""Label volumes that are read box by box."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from napari_pytc.geometry.box import Box, Shape


class LabelReader(Protocol):
    """A label volume (z, y, x), as every `VolumeSource` of one is."""

    @property
    def shape(self) -> Shape:
        """Lengths along z, y, x in voxels."""

    def read(self, box: Box) -> np.ndarray:
        """The labels of a box within the volume."""
