"""How far a network looks, found by asking it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

import torch
from torch import nn

from napari_pytc.errors import ModelError
from napari_pytc.geometry import Shape
from napari_pytc.learning.networks.base import NetworkLimits

_CANDIDATES = (1, 2, 3, 4, 6, 8, 9, 12, 16, 18, 24, 27, 32)
_ACROSS = (16, 24, 32, 36, 96)
"""Lengths along the axes that are not looked at: the first that the network takes."""
_SAME = 1e-4
_FARTHEST = 512


def measure_limits(network: nn.Module) -> NetworkLimits:
    """The halo and alignment of a network in eval mode.

    A network that knows its own (`halo`, `alignment`) is believed. Any other is asked: the alignment is the smallest
    multiple at which it returns the shape it was given and treats a shifted image alike; the halo is how far the
    gradient of an aligned block of outputs reaches into the input, rounded up to whole blocks, so that it also holds
    for tiles that begin within one.

    Raises
    ------
    ModelError
        If there is no such multiple up to 32, or the network looks at the whole image (instance norm, attention).
    """
    if hasattr(network, "halo") and hasattr(network, "alignment"):
        return NetworkLimits(halo=cast(Shape, network.halo), alignment=cast(Shape, network.alignment))
    was_training = network.training
    network.eval()
    try:
        alignment = _alignment(network)
        found = [_limits_along(network, axis, alignment) for axis in range(3)]
    finally:
        network.train(was_training)
    halo, alignment = zip(*found, strict=True)
    return NetworkLimits(halo=halo, alignment=alignment)


def _alignment(network: nn.Module) -> Shape:
    """The smallest multiples at which the network keeps the shape."""
    across = next((n for n in _ACROSS if _keeps_shape(network, [n, n, n])), _ACROSS[0])
    found = [1, 1, 1]
    for axis in range(3):
        for candidate in _CANDIDATES:
            shape = [across] * 3
            # Seven of them: a length that a multiple of the candidate's divisors alone would not pass.
            shape[axis] = 7 * candidate
            if _keeps_shape(network, shape):
                found[axis] = candidate
                break
        else:
            raise ModelError(
                f"The network takes no multiple of up to {_CANDIDATES[-1]} voxels along axis {axis}.",
                "Choose a network with fewer levels.",
            )
    return (found[0], found[1], found[2])


def _keeps_shape(network: nn.Module, shape: Sequence[int]) -> bool:
    # Zeros suffice, since only shapes matter.
    image = torch.zeros(1, 1, *shape, device=next(network.parameters()).device)
    try:
        with torch.no_grad():
            return bool(network(image).shape[2:] == image.shape[2:])
    except (RuntimeError, ValueError):
        return False


def _limits_along(network: nn.Module, axis: int, alignment: Shape) -> tuple[int, int]:
    """Halo and alignment along an axis: a network may keep every shape by padding and still have strides."""
    for block in (c for c in _CANDIDATES if c % alignment[axis] == 0):
        reach = _reach(network, axis, alignment, block)
        halo = -(-reach // block) * block
        if _is_alike_when_shifted(network, axis, alignment, block, halo):
            return halo, block
    raise ModelError(
        f"The network treats places along axis {axis} differently, at any multiple of up to {_CANDIDATES[-1]} voxels.",
        "Let it tell a `halo` and an `alignment` of its own, and expect tiles to differ a little.",
    )


def _image(network: nn.Module, axis: int, alignment: Shape, length: int) -> torch.Tensor:
    shape = [2 * a for a in alignment]
    shape[axis] = length
    parameter = next(network.parameters())
    generator = torch.Generator().manual_seed(0)
    return torch.randn(1, 1, *shape, generator=generator).to(parameter.device, parameter.dtype)


def _is_alike_when_shifted(network: nn.Module, axis: int, alignment: Shape, block: int, halo: int) -> bool:
    """Whether leaving out the first block of an image only shifts what comes out, beyond the halo."""
    dim = axis + 2
    n_kept = max(8, 4 * block)
    image = _image(network, axis, alignment, 2 * halo + n_kept + block)
    with torch.no_grad():
        whole = network(image).narrow(dim, block + halo, n_kept)
        later = network(image.narrow(dim, block, 2 * halo + n_kept)).narrow(dim, halo, n_kept)
    return bool((whole - later).abs().max() <= _SAME * (1 + whole.abs().max()))


def _reach(network: nn.Module, axis: int, alignment: Shape, block: int, radius: int = 64) -> int:
    length = math.ceil(radius / block) * block
    image = _image(network, axis, alignment, 2 * length + block).requires_grad_()
    output = network(image).narrow(axis + 2, length, block)
    weights = torch.randn(output.shape, generator=torch.Generator().manual_seed(1)).to(output.device, output.dtype)
    (gradient,) = torch.autograd.grad((output * weights).sum(), image)
    others = [a + 2 for a in range(3) if a != axis]
    reached = gradient.abs().sum(dim=[0, 1, *others]).nonzero().flatten()
    if not len(reached):
        return 0
    reach = max(length - int(reached.min()), int(reached.max()) - (length + block - 1), 0)
    if reach < length:
        return reach
    if radius >= _FARTHEST:
        raise ModelError(
            f"The network looks further than {_FARTHEST} voxels along axis {axis}, perhaps at the whole image.",
            "Let it tell a `halo` and an `alignment` of its own, and expect tiles to differ a little.",
        )
    return _reach(network, axis, alignment, block, radius * 2)
