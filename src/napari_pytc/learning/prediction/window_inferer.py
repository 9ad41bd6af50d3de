"""Inference of overlapping windows: batches, flips, and fallbacks when memory runs out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import product
from typing import Any

import numpy as np
import torch
from torch import Tensor

from napari_pytc.errors import OutOfMemory
from napari_pytc.geometry import Box, Shape, hull_of
from napari_pytc.geometry.windows import WindowGrid
from napari_pytc.learning.machine.memory import is_out_of_memory, release_memory
from napari_pytc.learning.machine.precision import Precision, autocast_for
from napari_pytc.learning.networks.network import Network
from napari_pytc.learning.prediction.activations import FlipMean
from napari_pytc.learning.prediction.network_inferer import NetworkInferer, mirrored
from napari_pytc.learning.prediction.predictor import ReadImage
from napari_pytc.learning.prediction.window_blending import RollingArray, blending_weights
from napari_pytc.plans.windows import Windows


class WindowInferer(NetworkInferer):
    """Blended probabilities of boxes of a volume, from overlapping windows at fixed places of it.

    Windows are computed in batches of one size, and those of a voxel are added in one order, so that the result does
    not depend on which boxes are predicted together.

    When memory runs out fewer windows are computed at a time, then on the CPU.

    Parameters
    ----------
    windows : Windows
        Shape, overlap, blending, and what is averaged.
    options
        ``flips`` (of each window), ``warn``, ``roles`` and ``kept`` of a `NetworkInferer`.
    """

    def __init__(
        self, network: Network, windows: Windows, device: torch.device, precision: Precision, **options: Any
    ) -> None:
        super().__init__(network, device, precision, **options)
        self.windows = windows
        self._of_logits = windows.average == "logits"
        self._batch_size = windows.batch_size
        self._weights = blending_weights(windows.shape, windows.blending)

    def grid(self, volume: Shape) -> WindowGrid:
        """The windows of a volume."""
        return WindowGrid.of(volume, self.windows.shape, self.windows.overlap)

    def predict_box(self, read: ReadImage, box: Box, whole: Box, check: Callable[[], None] = lambda: None) -> Tensor:
        """Probabilities (k, *box.shape), float32 on the CPU, of a box of a volume.

        Parameters
        ----------
        read : callable
            Reads the normalised image within the volume.
        whole : Box
            The whole volume, which decides where windows lie.
        check : callable
            Called before each batch of windows; raises to give up.
        """
        (found,) = self.sweep(iter_slabs(self.slabs([box], whole), read, whole), [box], whole, check)
        return found

    def slabs(self, boxes: Sequence[Box], whole: Box) -> list[Box]:
        """What a sweep over boxes reads, in order: each slab only has the rows that the one before has not.

        Slabs reach beyond a volume that is shorter than a window.
        """
        grid, axis = self.grid(whole.shape), sweep_axis(whole.shape, self.windows)
        layers, across = _windows_over(grid, hull_of(boxes), axis)
        hull = hull_of([grid.box(_numbers(axis, layers[0], at)) for at in (across[0], across[-1])])
        found, read_up_to = [], None
        for layer in layers:
            start, stop = list(hull.start), list(hull.stop)
            first = grid.start(axis, layer)
            start[axis] = first if read_up_to is None else max(first, read_up_to)
            stop[axis] = read_up_to = first + grid.window[axis]
            found.append(Box((start[0], start[1], start[2]), (stop[0], stop[1], stop[2])))
        return found

    def sweep(
        self,
        slabs: Iterator[tuple[Box, np.ndarray]],
        boxes: Sequence[Box],
        whole: Box,
        check: Callable[[], None] = lambda: None,
        advance: Callable[[float], None] = lambda _: None,
    ) -> Iterator[Tensor]:
        """Probabilities (k, *box.shape), float32 on the CPU, of boxes in turn.

        ::

            axis -->   [window]           a box is complete once the next window begins behind it;
                           [window]       its sums are divided by the weights and handed over, and
                   | box 0 | box 1 |      only the rows of boxes to come are kept

        Parameters
        ----------
        slabs : iterator of (Box, ndarray)
            The boxes of `slabs` with their normalised images (c, *box.shape).
        boxes : sequence of Box
            In the order of their last rows along the axis of the sweep.
        advance : callable
            Called with the share of windows that are done.
        """
        grid, axis = self.grid(whole.shape), sweep_axis(whole.shape, self.windows)
        region, todo = hull_of(boxes), list(boxes)
        layers, across = _windows_over(grid, region, axis)
        numbers = [_numbers(axis, layer, at) for layer in layers for at in across]
        # Of the whole volume: the size of a batch changes results in the last digits. On a CPU one window takes as long
        # as a batch of four (5.6 million weights, bf16), so that filling up the last batch costs nothing.
        n_together = min(self.windows.batch_size, len(grid))
        image: RollingArray | None = None
        sums: _BlendedSums | None = None
        for first in range(0, len(numbers), n_together):
            check()
            batch = [grid.box(at) for at in numbers[first : first + n_together]]
            image = self._take(slabs, image, batch, axis)
            found = self._batch(image, batch, n_together, whole)
            if sums is None:
                sums = _BlendedSums(found.shape[1], region, axis, self._weights, found.device, self._warn)
            sums.add(batch, found, keep_from=min(box.start[axis] for box in todo))
            later = numbers[first + n_together : first + n_together + 1]
            end = grid.start(axis, later[0][axis]) if later else None
            advance(min(1.0, (first + n_together) / len(numbers)))
            while todo and (end is None or todo[0].stop[axis] <= end):
                yield self._blended(sums.mean(todo.pop(0)))

    def _take(
        self, slabs: Iterator[tuple[Box, np.ndarray]], image: RollingArray | None, batch: Sequence[Box], axis: int
    ) -> RollingArray:
        """Read on, until the windows of a batch are there."""
        low, high = batch[0].start[axis], batch[-1].stop[axis]
        while image is None or image.high < high:
            box, data = next(slabs)
            if image is None:
                image = RollingArray(len(data), box, axis, torch.device("cpu"))
            image.cover(low, box.stop[axis])
            image.view(box).copy_(torch.from_numpy(data))
        return image

    def _batch(self, image: RollingArray, boxes: Sequence[Box], n_together: int, whole: Box) -> Tensor:
        """What is averaged of windows, (b, k, z, y, x); the last batch repeats one, since its size changes results."""
        blocks = [image.view(box) for box in boxes]
        batch = torch.stack(blocks + blocks[-1:] * (n_together - len(blocks)))
        shown = [box.intersect(whole).relative_to(box.start) for box in boxes]

        def forward() -> Tensor:
            n = self._batch_size
            parts = [self._forward(batch[at : at + n], shown[at : at + n]) for at in range(0, len(batch), n)]
            return (parts[0] if len(parts) == 1 else torch.cat(parts))[: len(shown)]

        return self._compute(forward, self._step_down)

    def _step_down(self) -> None:
        if self._batch_size > 1:
            n = self._batch_size
            self._batch_size = n // 2
            self._warn(f"Out of memory with {n} windows at a time on {self.device}; trying {n // 2}.")
        elif self.device.type != "cpu":
            self._warn(f"Out of memory on {self.device} even with one window; going on with the CPU.")
            self._batch_size = self.windows.batch_size
            self._go_on_with_the_cpu()
        else:
            raise OutOfMemory(
                f"There is not enough memory to predict one window of {' x '.join(map(str, self.windows.shape))} "
                "voxels.",
                "Close other programs, or set a smaller window with windows.shape.",
            )

    def _forward(self, batch: Tensor, shown: Sequence[Box]) -> Tensor:
        placed = self.precision.place(batch.to(self.device))
        with torch.inference_mode(), autocast_for(self.device, self.precision):
            if self._flips and self._activation.is_directed:
                return self._directed_mean(placed, shown)
            total: Tensor | None = None
            n = 0
            for axes in self._mirrorings(placed):
                found = self._averaged(mirrored(self.network(mirrored(placed, axes)), axes))
                total, n = (found if total is None else total.add_(found)), n + 1
        assert total is not None
        return self._kept(total / n if n > 1 else total)

    def _directed_mean(self, batch: Tensor, shown: Sequence[Box]) -> Tensor:
        """The mean over flips where a mirrored channel is about another voxel."""
        whole = Box.of_shape(batch.shape[2:])
        # Windows that only fill up the batch show nothing.
        boxes = [*shown, *[whole] * (len(batch) - len(shown))]
        means = [FlipMean(self._activation, whole, box, self._of_logits) for box in boxes]
        for axes in self._mirrorings(batch):
            found = self._averaged(mirrored(self.network(mirrored(batch, axes)), axes))
            for mean, one in zip(means, found, strict=True):
                mean.add(one, [axis - 2 for axis in axes])
        return self._kept(torch.stack([mean.mean for mean in means]))

    def _averaged(self, logits: Tensor) -> Tensor:
        """What flips and windows are averaged of, from logits (b, c, z, y, x)."""
        return logits.float() if self._of_logits else self._activation.probabilities(logits)

    def _kept(self, batch: Tensor) -> Tensor:
        return batch if self._of_logits else self._activation.kept(batch)  # the activation of logits needs all

    def _blended(self, mean: Tensor) -> Tensor:
        """Probabilities (k, z, y, x) on the CPU, from the weighted mean of windows."""
        if self._of_logits:
            mean = self._activation.kept(self._activation.probabilities(mean))
        return mean.cpu()


class _BlendedSums:
    """Sums of weighted probabilities or logits and of their weights, in a slab of a region that moves with the windows.

    They are kept where the network computes, on the CPU where memory does not suffice there.
    """

    def __init__(
        self,
        n_channels: int,
        region: Box,
        axis: int,
        weights: Tensor,
        device: torch.device,
        warn: Callable[[str], None],
    ) -> None:
        self._sums = RollingArray(n_channels, region, axis, device)
        self._totals = RollingArray(1, region, axis, device)
        self._region, self._axis, self._weights, self._warn = region, axis, weights.to(device), warn

    def add(self, boxes: Sequence[Box], values: Tensor, keep_from: int) -> None:
        """Add windows (b, k, z, y, x); rows before `keep_from` are not needed any more."""
        start = list(self._region.start)
        start[self._axis] = keep_from
        needed = Box((start[0], start[1], start[2]), self._region.stop)
        parts = [box.intersect(needed) for box in boxes]
        self._cover(keep_from, max(part.stop[self._axis] for part in parts))
        for box, part, found in zip(boxes, parts, values.to(self._weights.device), strict=True):
            here = part.relative_to(box.start).slices
            weights = self._weights[here]
            self._sums.view(part).addcmul_(found[(slice(None), *here)], weights)
            self._totals.view(part).add_(weights)

    def mean(self, box: Box) -> Tensor:
        """The weighted mean (k, *box.shape), where the sums are."""
        return self._sums.view(box) / self._totals.view(box)

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


def sweep_axis(volume: Shape, windows: Windows) -> int:
    """The axis along which windows sweep through a volume: the one whose slab of a window's depth is the smallest.

    It depends on nothing else, since it decides the order in which windows are added.
    """
    areas = [np.prod([n for other, n in enumerate(volume) if other != axis], dtype=float) for axis in range(3)]
    return min(range(3), key=lambda axis: (areas[axis] * min(windows.shape[axis], volume[axis]), axis))


def iter_slabs(boxes: Sequence[Box], read: ReadImage, whole: Box) -> Iterator[tuple[Box, np.ndarray]]:
    """Boxes with their images, one after the other."""
    return ((box, read_mirrored(box, read, whole)) for box in boxes)


def read_mirrored(box: Box, read: ReadImage, whole: Box) -> np.ndarray:
    """The image (c, *box.shape) of a box that may reach beyond the volume, which is mirrored there as in training."""
    inside = box.intersect(whole)
    image = read(inside)
    if inside == box:
        return image
    width = [(0, 0)] * (image.ndim - 3)
    width += [(a - b, d - c) for a, b, c, d in zip(inside.start, box.start, inside.stop, box.stop, strict=True)]
    return np.pad(image, width, "symmetric")


def _windows_over(grid: WindowGrid, region: Box, axis: int) -> tuple[range, list[tuple[int, int]]]:
    """Numbers of the windows that hold voxels of a region: along an axis, and pairs along the two others."""
    ranges = [grid.over(other, region.start[other], region.stop[other]) for other in range(3)]
    first, second = (ranges[other] for other in range(3) if other != axis)
    return ranges[axis], list(product(first, second))


def _numbers(axis: int, layer: int, across: tuple[int, int]) -> Shape:
    numbers = list(across)
    numbers.insert(axis, layer)
    return (numbers[0], numbers[1], numbers[2])
