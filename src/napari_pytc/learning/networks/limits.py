"""How far a network looks, found by asking it."""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import nn

from napari_pytc.errors import ModelError
from napari_pytc.geometry import Shape
from napari_pytc.learning.networks.base import NetworkLimits

_CANDIDATES = (1, 2, 4, 8, 16, 32)


def measure_limits(network: nn.Module) -> NetworkLimits:
    """The exact halo and alignment of a network in eval mode.

    A network that knows its own (`halo`, `alignment`) is believed. Any other is asked: the alignment is the smallest
    multiple at which it returns the shape it was given; the halo is how far the gradient of an aligned block of outputs
    reaches into the input.
    """
    if hasattr(network, "halo") and hasattr(network, "alignment"):
        return NetworkLimits(halo=cast(Shape, network.halo), alignment=cast(Shape, network.alignment))
    was_training = network.training
    network.eval()
    try:
        alignment = _alignment(network)
        z, y, x = (_reach(network, axis, alignment) for axis in range(3))
    finally:
        network.train(was_training)
    return NetworkLimits(halo=(z, y, x), alignment=alignment)


def _alignment(network: nn.Module) -> Shape:
    device = next(network.parameters()).device
    found = [1, 1, 1]
    for axis in range(3):
        for candidate in _CANDIDATES:
            shape = [_CANDIDATES[-1]] * 3
            # An odd multiple tells a stride of 4 from one of 2; zeros suffice, since only shapes matter.
            shape[axis] = 3 * candidate
            if _keeps_shape(network, torch.zeros(1, 1, *shape, device=device)):
                found[axis] = candidate
                break
        else:
            raise ModelError(f"The network takes no multiple of up to {_CANDIDATES[-1]} voxels along axis {axis}.")
    return (found[0], found[1], found[2])


def _keeps_shape(network: nn.Module, image: torch.Tensor) -> bool:
    try:
        with torch.no_grad():
            return bool(network(image).shape[2:] == image.shape[2:])
    except (RuntimeError, ValueError):
        return False


def _reach(network: nn.Module, axis: int, alignment: Shape, radius: int = 64) -> int:
    block = alignment[axis]
    length = math.ceil(radius / block) * block
    shape = [max(a, 2 * a) for a in alignment]
    shape[axis] = 2 * length + block
    parameter = next(network.parameters())
    generator = torch.Generator().manual_seed(0)
    image = torch.randn(1, 1, *shape, generator=generator).to(parameter.device, parameter.dtype).requires_grad_()
    inside = [slice(None)] * 5
    inside[axis + 2] = slice(length, length + block)
    output = network(image)[tuple(inside)]
    weights = torch.randn(output.shape, generator=generator).to(output.device, output.dtype)
    (gradient,) = torch.autograd.grad((output * weights).sum(), image)
    others = [a + 2 for a in range(3) if a != axis]
    reached = gradient.abs().sum(dim=[0, 1, *others]).nonzero().flatten()
    reach = max(length - int(reached.min()), int(reached.max()) - (length + block - 1), 0)
    if reach >= length and radius < 1024:
        return _reach(network, axis, alignment, radius * 2)
    return reach
