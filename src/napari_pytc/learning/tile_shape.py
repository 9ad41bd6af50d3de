"""How large a tile may be."""

from __future__ import annotations

import math
from itertools import product
from typing import NamedTuple

import torch
from torch import nn

from napari_pytc.geometry import Shape
from napari_pytc.learning.networks import NetworkLimits

_SHARE = 0.25
"""Share of the free memory that one tile's activations may take: others run on the machine too."""
_MOST_BYTES = 4 * 2**30
"""More than this makes tiles slower, not faster, and the first one late."""
_MOST_UNITS = 24
"""Tiles of more chunks along an axis are not considered, but for one that spans the volume."""
CHUNK: Shape = (32, 128, 128)
"""Chunks of a prediction on disk; tiles are multiples of them, so that no chunk is written twice."""


def bytes_per_voxel(network: nn.Module, limits: NetworkLimits, n_classes: int) -> float:
    """Estimate of the activations that live at the same time, in bytes a voxel of the tile.

    A network may say so itself (`bytes_per_voxel`). Otherwise a small forward pass is watched: the four largest outputs
    of its modules, for the layer at work and those that wait at skip connections, plus input and probabilities.
    """
    own = getattr(network, "bytes_per_voxel", None)
    if own is not None:
        return float(own)
    shape = [max(a, 16 // a * a) for a in limits.alignment]
    sizes: list[int] = []

    def watch(_module: nn.Module, _inputs: object, output: object) -> None:
        if isinstance(output, torch.Tensor):
            sizes.append(output.numel() * output.element_size())

    hooks = [m.register_forward_hook(watch) for m in network.modules() if not list(m.children())]
    device = next(network.parameters()).device
    try:
        with torch.no_grad():
            network(torch.zeros(1, 1, *shape, device=device))
    finally:
        for hook in hooks:
            hook.remove()
    return sum(sorted(sizes)[-4:]) / math.prod(shape) + 4 + 8 * n_classes


def fit_tile(volume: Shape, limits: NetworkLimits, voxel_bytes: float, free_bytes: int) -> Shape:
    """The tile to write at a time: the one of those that fit into memory for which the least is read twice.

    Along an axis that a tile spans no halo is read at all; each cut of a volume costs two halos.

    Parameters
    ----------
    volume : Shape
        Lengths of what is to be predicted, in voxels.
    voxel_bytes : float
        Memory that a voxel of a tile takes while the network works.
    free_bytes : int
        Memory that is free on the device.
    """
    budget = min(_MOST_BYTES, _SHARE * free_bytes) / voxel_bytes
    axes = [
        _lengths(n, math.lcm(c, a), h) for n, c, a, h in zip(volume, CHUNK, limits.alignment, limits.halo, strict=True)
    ]
    tiles = [tile for tile in product(*axes) if math.prod(length.read for length in tile) <= budget]
    if not tiles:
        tiles = [(axes[0][0], axes[1][0], axes[2][0])]
    z, y, x = min(tiles, key=lambda tile: (math.prod(length.total for length in tile), [-t.tile for t in tile[::-1]]))
    return (z.tile, y.tile, x.tile)


class _Length(NamedTuple):
    """Of a tile along one axis: what it writes, what it reads at most, and what all tiles read together."""

    tile: int
    read: int
    total: int


def _lengths(n: int, unit: int, halo: int) -> list[_Length]:
    found: dict[int, _Length] = {}
    n_units = -(-n // unit)
    for units in (*range(1, min(n_units, _MOST_UNITS) + 1), n_units):
        n_tiles = -(-n_units // units)
        tile = unit * units
        # Of the tiles that need as many cuts the smallest, which comes first.
        found.setdefault(n_tiles, _Length(tile, min(n, tile + 2 * halo), n + 2 * halo * (n_tiles - 1)))
    return list(found.values())
