"""Weights of a window's voxels, and the sums of weighted windows along a sweep."""

from __future__ import annotations

import torch
from monai.data.utils import compute_importance_map
from torch import Tensor

from napari_pytc.geometry import Box, Shape
from napari_pytc.plans.windows import Blending

_LEAST_WEIGHT = 1e-3
"""As MONAI's: every voxel needs some weight, also in the corner of a window."""


def blending_weights(shape: Shape, blending: Blending) -> Tensor:
    """Weights (z, y, x) float32 of a window's voxels, at least 0.001.

    ``"gaussian"`` and ``"constant"`` are those of MONAI, the Gaussian with a standard deviation of an eighth of each
    length; ``"bump"`` is the smooth bump function, the product over the axes of exp(1 - 1 / (1 - t^2)), where t runs
    from -1 to 1 across the window.
    """
    if blending != "bump":
        weights: Tensor = compute_importance_map(shape, mode=blending, sigma_scale=0.125)
        return weights
    weights = torch.ones(shape)
    for axis, length in enumerate(shape):
        t = (2 * torch.arange(length, dtype=torch.float32) + 1) / length - 1
        along = torch.exp(1 - 1 / (1 - t**2))
        weights *= along.reshape([-1 if a == axis else 1 for a in range(3)])
    return weights.clamp_(min=_LEAST_WEIGHT)


class RollingArray:
    """Channels (c, z, y, x) of a slab that moves forward through a volume along one axis.

    ::

        dropped | low ....... high |          rows along the axis; a step forward drops the first rows,
                   dropped | low ....... high |          moves the others and adds zeros

    Memory depends on the cross-section and the depth of the slab, never on the length of the volume.

    Parameters
    ----------
    n_channels : int
        Number of channels.
    cross_section : Box
        Where it lies in the volume; only the axes across matter.
    axis : int
        The axis along which it moves.
    device : torch.device
        Where it is kept.
    """

    def __init__(self, n_channels: int, cross_section: Box, axis: int, device: torch.device) -> None:
        self._n_channels, self._cross_section, self._axis = n_channels, cross_section, axis
        self._low, self._high = 0, 0
        self._data = torch.empty(self._shape(0), device=device)

    @property
    def high(self) -> int:
        """The first row that is not held."""
        return self._high

    def cover(self, low: int, high: int) -> None:
        """Hold rows `low` to `high` and drop those before; rows that are new hold zeros."""
        if high <= self._high:
            return
        dim = self._axis + 1
        capacity = self._data.shape[dim]
        n_kept = max(0, self._high - max(low, self._low))
        first = self._high - n_kept if n_kept else low
        if high - first > capacity:
            # A quarter more than now, so that rows are not moved at every step.
            larger = torch.zeros(self._shape((high - first) * 5 // 4), device=self._data.device)
            if n_kept:
                larger.narrow(dim, 0, n_kept).copy_(self._data.narrow(dim, first - self._low, n_kept))
            self._data = larger
        elif high - self._low > capacity or not n_kept:
            self._move(first - self._low, n_kept)
        else:
            first = self._low  # there is still room behind
        self._low, self._high = first, high

    def view(self, box: Box) -> Tensor:
        """The voxels of a box, (c, *box.shape), not copied; it lies within the rows and the cross-section."""
        start = list(self._cross_section.start)
        start[self._axis] = self._low
        return self._data[(slice(None), *box.relative_to(start).slices)]

    def to_cpu(self) -> None:
        """Go on in the memory of the CPU."""
        self._data = self._data.cpu()

    def _shape(self, n_rows: int) -> list[int]:
        shape = list(self._cross_section.shape)
        shape[self._axis] = n_rows
        return [self._n_channels, *shape]

    def _move(self, by: int, n_kept: int) -> None:
        """Move rows to the front, in pieces that do not overlap their places before."""
        dim, at = self._axis + 1, 0
        while by and at < n_kept:
            n = min(by, n_kept - at)
            self._data.narrow(dim, at, n).copy_(self._data.narrow(dim, by + at, n))
            at += n
        self._data.narrow(dim, n_kept, self._data.shape[dim] - n_kept).zero_()
