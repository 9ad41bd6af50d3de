"""Weights of a window's voxels, and the sums of weighted windows along a sweep."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from monai.data.utils import compute_importance_map
from torch import Tensor

from napari_pytc.geometry import Box, Shape
from napari_pytc.learning.machine.memory import is_out_of_memory, release_memory
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


class BlendedSums:
    """Sums of weighted probabilities or logits and of their weights, in a slab of a region that moves with the windows.

    They are kept where the network computes, on the CPU where memory does not suffice there.

    Parameters
    ----------
    n_channels : int
        Channels that are summed.
    n_weights : int
        1 where the weights of all channels are the same, else as many as channels.
    region : Box
        What is predicted.
    axis : int
        The axis along which the slab moves.
    weights : Tensor
        (z, y, x), of a window's voxels.
    device : torch.device
        Where the network computes.
    warn : callable
        Called with a sentence where memory does not suffice there.
    """

    def __init__(
        self,
        n_channels: int,
        n_weights: int,
        region: Box,
        axis: int,
        weights: Tensor,
        device: torch.device,
        warn: Callable[[str], None],
    ) -> None:
        self.n_weights = n_weights
        self._sums = RollingArray(n_channels, region, axis, device)
        self._totals = RollingArray(n_weights, region, axis, device)
        self._region, self._axis, self._weights, self._warn = region, axis, weights.to(device), warn

    def add(self, boxes: Sequence[Box], values: Tensor, keep_from: int, told: Sequence[Tensor] | None = None) -> None:
        """Add windows (b, k, z, y, x); rows before `keep_from` are not needed any more.

        Parameters
        ----------
        told : sequence of Tensor, optional
            For each window, (k, z, y, x): 1 where a channel is told, 0 elsewhere, where its value is 0, too.
        """
        start = list(self._region.start)
        start[self._axis] = keep_from
        needed = Box((start[0], start[1], start[2]), self._region.stop)
        parts = [box.intersect(needed) for box in boxes]
        self._cover(keep_from, max(part.stop[self._axis] for part in parts))
        for n, (box, part, found) in enumerate(zip(boxes, parts, values.to(self._weights.device), strict=True)):
            here = part.relative_to(box.start).slices
            weights = self._weights[here]
            self._sums.view(part).addcmul_(found[(slice(None), *here)], weights)
            if told is None:
                self._totals.view(part).add_(weights)
            else:
                self._totals.view(part).addcmul_(told[n].to(weights.device)[(slice(None), *here)], weights)

    def mean(self, box: Box) -> Tensor:
        """The weighted mean (k, *box.shape), where the sums are; 0 where nothing is told."""
        totals = self._totals.view(box)
        return self._sums.view(box) / (totals if self.n_weights == 1 else totals.clamp(min=torch.finfo().tiny))

    def is_told(self, box: Box) -> Tensor | None:
        """Where any window tells of a channel, (k, *box.shape); None where all do everywhere."""
        return None if self.n_weights == 1 else self._totals.view(box) > 0

    def _cover(self, low: int, high: int) -> None:
        device = self._weights.device
        try:
            self._sums.cover(low, high)
            self._totals.cover(low, high)
            return
        except (RuntimeError, MemoryError) as error:
            if device.type == "cpu" or not is_out_of_memory(error):
                raise
        release_memory(device)
        self._warn(f"Out of memory on {device} for the sums of overlapping windows; they are kept by the CPU.")
        self._weights = self._weights.cpu()
        self._sums.to_cpu()
        self._totals.to_cpu()
        self._cover(low, high)
