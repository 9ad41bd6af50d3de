"""The shape of tiles by the memory that is free."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

from napari_pytc.geometry import Shape
from napari_pytc.learning.networks.network import TileMemory
from napari_pytc.plans.networks import NetworkLimits

_SHARE = 0.25
"""Share of the free memory that one tile's activations may take: others run on the machine too."""
_MOST_BYTES = 4 * 2**30
"""More than this makes tiles slower, not faster, and the first one late."""
_MOST_VOXELS = 1 << 23
"""A laptop takes seconds for these; between tiles a job can be cancelled, and shows what it has."""
_MOST_UNITS = 24
"""Tiles of more chunks along an axis are not considered, but for one that spans the volume."""
CHUNK: Shape = (32, 128, 128)
"""Chunks of a prediction on disk; tiles are multiples of them, so that no chunk is written twice."""


def fit_tile(volume: Shape, limits: NetworkLimits, memory: TileMemory, free_bytes: int) -> Shape:
    """The tile to write at a time: the one of those that fit into memory for which the least is read twice.

    Along an axis that a tile spans no halo is read at all; each cut of a volume costs two halos.

    Parameters
    ----------
    volume : Shape
        Lengths of the box to predict, in voxels.
    memory : TileMemory
        Memory of a tile while the network works.
    free_bytes : int
        Memory that is free on the device.
    """
    budget = min(_MOST_BYTES, _SHARE * free_bytes)
    axes = [
        _lengths(n, math.lcm(c, a), h, inner)
        for n, c, a, h, inner in zip(volume, CHUNK, limits.alignment, limits.halo, memory.halo, strict=True)
    ]
    tiles = [tile for tile in product(*axes) if _fits(tile, memory, budget)]
    if not tiles:
        tiles = [(axes[0][0], axes[1][0], axes[2][0])]
    z, y, x = min(tiles, key=lambda tile: (math.prod(length.total for length in tile), [-t.tile for t in tile[::-1]]))
    return (z.tile, y.tile, x.tile)


class _Length(NamedTuple):
    """Lengths of a tile along one axis: written, computed and read at most, and the total that all tiles read."""

    tile: int
    written: int
    computed: int
    read: int
    total: int


def _fits(tile: Sequence[_Length], memory: TileMemory, budget: float) -> bool:
    if math.prod(length.written for length in tile) > _MOST_VOXELS:
        return False
    computed, read = (math.prod(lengths) for lengths in zip(*((t.computed, t.read) for t in tile), strict=True))
    return computed * memory.computed + read * memory.read <= budget


def _lengths(n: int, unit: int, halo: int, inner_halo: int) -> list[_Length]:
    found: dict[int, _Length] = {}
    n_units = -(-n // unit)
    for units in (*range(1, min(n_units, _MOST_UNITS) + 1), n_units):
        n_tiles = -(-n_units // units)
        tile = unit * units
        # Of the tiles that need as many cuts the smallest, which comes first.
        found.setdefault(
            n_tiles,
            _Length(
                tile, min(n, tile), min(n, tile + 2 * inner_halo), min(n, tile + 2 * halo), n + 2 * halo * (n_tiles - 1)
            ),
        )
    return list(found.values())
