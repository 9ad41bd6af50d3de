"""How large a tile may be."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple, cast

import torch
from torch import nn

from napari_pytc.geometry import Shape
from napari_pytc.learning.networks import NetworkLimits

_SHARE = 0.25
"""Share of the free memory that one tile's activations may take: others run on the machine too."""
_MOST_BYTES = 4 * 2**30
"""More than this makes tiles slower, not faster, and the first one late."""
_MOST_VOXELS = 1 << 23
"""A laptop takes seconds for these; between tiles a job can be cancelled, and shows what it has."""
_BYTES_READ = 20
"""Of an image: bytes of the file, floats, and up to three tiles that wait for the network."""
_MOST_UNITS = 24
"""Tiles of more chunks along an axis are not considered, but for one that spans the volume."""
CHUNK: Shape = (32, 128, 128)
"""Chunks of a prediction on disk; tiles are multiples of them, so that no chunk is written twice."""


@dataclass(frozen=True)
class TileMemory:
    """Memory that a tile takes while the network works.

    Parameters
    ----------
    computed : float
        Bytes a voxel of what is computed in full: the tile and `halo` around it.
    halo : Shape
        How far beyond a tile that is, in voxels along z, y, x.
    read : float
        Bytes a voxel of everything that is read for a tile.
    """

    computed: float
    halo: Shape
    read: float = 0.0


def tile_memory(network: nn.Module, limits: NetworkLimits, n_classes: int) -> TileMemory:
    """Estimate of the memory of a tile.

    A network may say so itself (`bytes_per_voxel`; with `takes_inner` it computes in full only a tile and the
    `inner_halo` around it). Otherwise a small forward pass is watched: the four largest outputs of its modules, for the
    layer at work and those that wait at skip connections, plus input and probabilities.
    """
    own = getattr(network, "bytes_per_voxel", None)
    if own is None:
        return TileMemory(_watched(network, limits) + 4 + 8 * n_classes, limits.halo)
    if not getattr(network, "takes_inner", False):
        return TileMemory(float(own), limits.halo)
    inner_halo = cast(Shape, getattr(network, "inner_halo", limits.halo))
    return TileMemory(float(own) + 8 * n_classes, inner_halo, _BYTES_READ)


def _watched(network: nn.Module, limits: NetworkLimits) -> float:
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
    return sum(sorted(sizes)[-4:]) / math.prod(shape)


def fit_tile(volume: Shape, limits: NetworkLimits, memory: TileMemory, free_bytes: int) -> Shape:
    """The tile to write at a time: the one of those that fit into memory for which the least is read twice.

    Along an axis that a tile spans no halo is read at all; each cut of a volume costs two halos.

    Parameters
    ----------
    volume : Shape
        Lengths of what is to be predicted, in voxels.
    memory : TileMemory
        What a tile takes while the network works.
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
    """Of a tile along one axis: what it writes, computes and reads at most, and what all tiles read together."""

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
