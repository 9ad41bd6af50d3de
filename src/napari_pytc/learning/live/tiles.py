"""Tiles of the view, and a cache of their features."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch

from napari_pytc.caching import ByteBoundedCache
from napari_pytc.geometry import Box, Shape, TileGrid, hull_of
from napari_pytc.learning.data.training_image import TrainingImage
from napari_pytc.learning.networks.filter_bank import FilterBank
from napari_pytc.plans.networks import NetworkLimits

_THIN = 4
_EDGES = {1: 512, 2: 128, 3: 48}
"""Length of a tile by the number of axes along which the view is wide."""
_MOST_TILES = 256


def tile_shape_of(view: Box, wide: dict[int, int] = _EDGES) -> Shape:
    """The shape of tiles for a view: one section thick along axes where it is thin."""
    is_wide = [n > _THIN for n in view.shape]
    edge = wide[max(1, sum(is_wide))]
    z, y, x = (edge if w else 1 for w in is_wide)
    return (z, y, x)


def tiles_in_view(view: Box, volume: Box, shape: Shape, scale: tuple[float, float, float]) -> list[Box]:
    """The tiles of a fixed grid that a view shows, nearest to its centre first; at most 256.

    Parameters
    ----------
    scale : tuple of float
        Length of a voxel along each axis.
    """
    centre = np.array(view.centre)
    while math.prod(-(-n // t) for n, t in zip(view.shape, shape, strict=True)) > 4 * _MOST_TILES:
        view = _halved(view, shape)  # far more than a user will wait for
    grid = TileGrid(volume, shape)

    def distance(box: Box) -> float:
        return float((((np.array(box.centre) - centre) * scale) ** 2).sum())

    return sorted((grid[index].write for index in grid.overlapping(view)), key=distance)[:_MOST_TILES]


def _halved(view: Box, shape: Shape) -> Box:
    """The middle half of a box along the axis that most tiles lie along."""
    axis = int(np.argmax(np.array(view.shape) / shape))
    quarter = [n // 4 if a == axis else 0 for a, n in enumerate(view.shape)]
    return view.grow([-n for n in quarter])


class FeatureTiles:
    """Cache of the features of tiles; the least recently used go first.

    Features are stored in half precision: they are of the order of 1, and a rounding of one in two thousand is far
    below the noise between neighbouring voxels.

    Parameters
    ----------
    image : TrainingImage
        Normalised intensities.
    most_bytes : int
        Size of the cache.
    """

    def __init__(self, bank: FilterBank, limits: NetworkLimits, image: TrainingImage, most_bytes: int) -> None:
        self._bank, self._limits, self._image = bank, limits, image
        self._tiles: ByteBoundedCache[Box, torch.Tensor] = ByteBoundedCache(most_bytes)
        self.n_computed = 0

    @property
    def n_bytes(self) -> int:
        """Size of the cached features."""
        return self._tiles.n_bytes

    def get(self, box: Box) -> torch.Tensor:
        """Features (n, f) float16 of a tile's voxels in their order."""
        found = self._tiles.find(box)
        if found is not None:
            return found
        group = self._group(box)
        for one, features in self._compute(group):
            self.n_computed += 1
            if one not in self._tiles and features.nbytes <= self._tiles.most_bytes:
                self._tiles.put(one, features, evict=False)
        # The wanted box is the last of its group, so that `features` are its own.
        self._tiles.evict()
        return features

    def at(self, where: np.ndarray) -> tuple[np.ndarray, torch.Tensor]:
        """Indices of the voxels (n, 3) that lie in cached tiles, and their features (m, f) float32."""
        low, high = where.min(axis=0), where.max(axis=0) + 1
        hull = Box(tuple(low), tuple(high))
        missing = np.ones(len(where), bool)
        indices, features = [np.zeros(0, np.int64)], [torch.zeros(0, self._bank.n_features)]
        for box, tile in self._tiles.items():
            if not box.overlaps(hull):
                continue
            inside = np.flatnonzero(missing & ((where >= box.start) & (where < box.stop)).all(axis=1))
            if len(inside):
                flat = np.ravel_multi_index(tuple((where[inside] - box.start).T), box.shape)
                indices.append(inside)
                features.append(tile[torch.from_numpy(flat)].float())
                missing[inside] = False
        return np.concatenate(indices), torch.cat(features)

    def _group(self, box: Box) -> list[Box]:
        """Up to four tiles of a section that share their context, the wanted one last; other boxes stay alone."""
        shape = tile_shape_of(box)
        if sum(n > 1 for n in shape) != 2:
            return [box]
        grid = TileGrid(self._image.whole, shape)
        pairs = box.aligned([n * (1 if n == 1 else 2) for n in shape]).intersect(self._image.whole)
        tiles = [grid[index].write for index in grid.overlapping(pairs)]
        fits = box in tiles and 2 * self._bank.n_features * pairs.size <= self._tiles.most_bytes
        return [*(tile for tile in tiles if tile != box), box] if fits else [box]

    @torch.inference_mode()
    def _compute(self, boxes: list[Box]) -> Iterator[tuple[Box, torch.Tensor]]:
        hull = hull_of(boxes)
        read = hull.grow(self._limits.halo).aligned(self._limits.alignment).intersect(self._image.whole)
        image = torch.from_numpy(self._image.read(read))[None]
        found = self._bank.features(image, hull.relative_to(read.start))[0].movedim(0, -1)
        for box in boxes:
            yield box, found[box.relative_to(hull.start).slices].reshape(-1, self._bank.n_features).half()
