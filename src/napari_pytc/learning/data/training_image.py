"""Normalised patches of an image."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from napari_pytc.caching import ChunkCache
from napari_pytc.errors import PytcError
from napari_pytc.geometry import Box, Shape, Tile, TileGrid
from napari_pytc.plans.normalisation import ImageNormalisation
from napari_pytc.volumes.source import ImageSource

_BLOCK: Shape = (32, 128, 128)
"""Voxels that are read and kept together."""
CACHE_BYTES = 512 * 2**20
"""Raw blocks that all images of a training keep together."""


class TrainingImage:
    """Normalised patches of an image, anywhere: mirrored beyond the volume, blank in hidden boxes.

    Blocks of the raw volume are kept up to `cache_bytes`, because training reads the same regions over and over.

    Parameters
    ----------
    on_error : callable, optional
        Gets the error before it is raised, where the source cannot be read.
    """

    def __init__(
        self,
        source: ImageSource,
        normalisation: ImageNormalisation,
        hidden: Sequence[Box] = (),
        cache_bytes: int = CACHE_BYTES,
        on_error: Callable[[PytcError], None] = lambda error: None,
    ) -> None:
        self.normalisation = normalisation
        self.hidden = tuple(hidden)
        self.whole = Box.of_shape(source.shape)
        self.n_channels = source.n_channels
        grid = TileGrid(self.whole, _BLOCK)

        def read(tile: Tile) -> np.ndarray:
            try:
                return source.read(tile.write)
            except PytcError as error:
                on_error(error)
                raise

        self._raw = ChunkCache(grid, read, source.dtype, cache_bytes, (source.n_channels,))

    def read(self, box: Box) -> np.ndarray:
        """Normalised float32 of a box that may reach beyond the volume, (c, *box.shape)."""
        inside = box.intersect(self.whole)
        if inside.is_empty:
            return np.zeros((self.n_channels, *box.shape), np.float32)
        image = self.normalisation.apply(self._raw.read(inside))
        for hidden in self.hidden:
            common = hidden.intersect(inside)
            if not common.is_empty:
                for values, channel in zip(image, self.normalisation.channels, strict=True):
                    values[common.relative_to(inside.start).slices] = channel.fill
        return pad_to(image, inside, box, "symmetric")

    def augment(
        self, box: Box, change: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
    ) -> tuple[np.ndarray, np.ndarray]:
        """The intensities of a box after random changes, and their labels.

        Parameters
        ----------
        change : callable
            Given intensities (c, z, y, x) of mean 0 and standard deviation 1, whatever the normalisation, returns
            others, and their labels.
        """
        image, labels = change(self.normalisation.to_zscores(self.read(box)))
        return self.normalisation.from_zscores(image), labels


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
