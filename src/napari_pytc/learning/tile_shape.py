"""How large a tile may be."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn

from napari_pytc.geometry import Shape
from napari_pytc.learning.networks import NetworkLimits

_SHARE = 0.25
"""Share of the free memory that one tile's activations may take: others run on the machine too."""
_MOST_BYTES = 4 * 2**30
"""More than this makes tiles slower, not faster, and the first one late."""
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
    """The tile to write at a time: as large as the memory allows, cut along the longest axis first.

    Cutting the longest axis first lets a tile span thin volumes, where no halo is read at all.

    Parameters
    ----------
    volume : Shape
        Lengths of what is to be predicted, in voxels.
    voxel_bytes : float
        Memory that a voxel of a tile takes while the network works.
    free_bytes : int
        Memory that is free on the device.
    """
    unit = [math.lcm(c, a) for c, a in zip(CHUNK, limits.alignment, strict=True)]
    budget = min(_MOST_BYTES, _SHARE * free_bytes) / voxel_bytes
    tile = [-(-n // u) * u for n, u in zip(volume, unit, strict=True)]

    def read_voxels(lengths: Sequence[int]) -> int:
        # Along an axis that the tile spans there is nothing beyond it to read.
        return math.prod(
            min(t, n) if t >= n else t + 2 * h for t, n, h in zip(lengths, volume, limits.halo, strict=True)
        )

    while read_voxels(tile) > budget and any(t > u for t, u in zip(tile, unit, strict=True)):
        axis = max((a for a in range(3) if tile[a] > unit[a]), key=lambda a: tile[a])
        tile[axis] = -(-tile[axis] // (2 * unit[axis])) * unit[axis]
    return (tile[0], tile[1], tile[2])
