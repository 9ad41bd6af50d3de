"""Inference of overlapping windows: batches, flips, and fallbacks when memory runs out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import product

import numpy as np
import torch
from torch import Tensor

from napari_pytc.errors import ModelError, OutOfMemory
from napari_pytc.geometry import Box, Shape, hull_of
from napari_pytc.geometry.windows import WindowGrid
from napari_pytc.learning.machine.memory import is_out_of_memory, release_memory
from napari_pytc.learning.machine.precision import Precision, autocast_for
from napari_pytc.learning.networks.network import Network
from napari_pytc.learning.prediction.activations import FlipMean, OutputActivation
from napari_pytc.learning.prediction.predictor import ReadImage
from napari_pytc.learning.prediction.window_blending import RollingArray, blending_weights
from napari_pytc.plans.windows import Windows
from napari_pytc.volumes.roles import ChannelRole


class WindowInferer:
    """Blended probabilities of boxes of a volume, from overlapping windows at fixed places of it.

    Windows are computed in batches of one size, and those of a voxel are added in one order, so that the result does
    not depend on which boxes are predicted together.

    When memory runs out fewer windows are computed at a time, then on the CPU.

    Parameters
    ----------
    network : Network
        In eval mode.
    windows : Windows
        Shape, overlap and blending.
    flips : bool
        Average over mirrored copies of each window.
    warn : callable
        Called with a sentence for each step down.
    roles : sequence of ChannelRole
        Roles of the channels, where they are no classes.
    kept : sequence of int, optional
        Numbers of the channels that a prediction has, by default all.
    """

    def __init__(
        self,
        network: Network,
        windows: Windows,
        device: torch.device,
        precision: Precision,
        *,
        flips: bool = False,
        warn: Callable[[str], None] = lambda _: None,
        roles: Sequence[ChannelRole] = (),
        kept: Sequence[int] | None = None,
    ) -> None:
        self.network, self.windows, self.device, self.precision = network, windows, device, precision
        self._activation = OutputActivation(roles, kept)
        self._flips, self._warn = flips, warn
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
            probabilities = self._batch(image, batch, n_together, whole)
            if sums is None:
                sums = _BlendedSums(
                    probabilities.shape[1], region, axis, self._weights, probabilities.device, self._warn
                )
            sums.add(batch, probabilities, keep_from=min(box.start[axis] for box in todo))
            later = numbers[first + n_together : first + n_together + 1]
            end = grid.start(axis, later[0][axis]) if later else None
            advance(min(1.0, (first + n_together) / len(numbers)))
            while todo and (end is None or todo[0].stop[axis] <= end):
                yield sums.mean(todo.pop(0))

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
        """Probabilities (b, k, z, y, x) of windows; the last batch repeats a window, since its size changes results."""
        blocks = [image.view(box) for box in boxes]
        batch = torch.stack(blocks + blocks[-1:] * (n_together - len(blocks)))
        shown = [box.intersect(whole).relative_to(box.start) for box in boxes]
        while True:
            try:
                return self._finite(batch, shown)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
            # Outside of the handler: the error's traceback would hold the tensors that are to be released.
            release_memory(self.device)
            self._step_down()

    def _step_down(self) -> None:
        if self._batch_size > 1:
            n = self._batch_size
            self._batch_size = n // 2
            self._warn(f"Out of memory with {n} windows at a time on {self.device}; trying {n // 2}.")
        elif self.device.type != "cpu":
            self._warn(f"Out of memory on {self.device} even with one window; going on with the CPU.")
            self.device, self._batch_size = torch.device("cpu"), self.windows.batch_size
            self.precision = Precision()
            self.network = self.network.to(self.device)
        else:
            raise OutOfMemory(
                f"There is not enough memory to predict one window of {' x '.join(map(str, self.windows.shape))} "
                "voxels.",
                "Close other programs, or set a smaller window with windows.shape.",
            )

    def _finite(self, batch: Tensor, shown: Sequence[Box]) -> Tensor:
        found = torch.cat(
            [self._forward(part, shown[at : at + self._batch_size]) for at, part in _parts(batch, self._batch_size)]
        )[: len(shown)]
        if torch.isfinite(found.sum()):
            return found
        if self.precision.number_format == "float32":
            raise ModelError(
                "The network returned values that are not finite numbers.", "Train it again with a lower learning_rate."
            )
        self._warn(f"Not all probabilities were finite in {self.precision.number_format}; going on in float32.")
        self.precision = Precision("float32", self.precision.channels_last)
        return self._finite(batch, shown)

    def _forward(self, batch: Tensor, shown: Sequence[Box]) -> Tensor:
        placed = self.precision.place(batch.to(self.device))
        with torch.inference_mode(), autocast_for(self.device, self.precision):
            if self._flips and self._activation.is_directed:
                return self._directed_mean(placed, shown)
            total: Tensor | None = None
            n = 0
            for axes in self._mirrored(placed):
                logits = self.network(placed.flip(axes)).flip(axes)
                found = self._probabilities(logits)
                total, n = (found if total is None else total.add_(found)), n + 1
        assert total is not None
        return self._kept(total / n if n > 1 else total)

    def _directed_mean(self, batch: Tensor, shown: Sequence[Box]) -> Tensor:
        """The mean over flips where a mirrored channel is about another voxel."""
        whole = Box.of_shape(batch.shape[2:])
        # Windows that only fill up the batch show nothing.
        boxes = [*shown, *[whole] * (len(batch) - len(shown))]
        means = [FlipMean(self._activation, whole, box) for box in boxes]
        for axes in self._mirrored(batch):
            found = self._probabilities(self.network(batch.flip(axes)).flip(axes))
            for mean, one in zip(means, found, strict=True):
                mean.add(one, [axis - 2 for axis in axes])
        return self._kept(torch.stack([mean.mean for mean in means]))

    def _probabilities(self, logits: Tensor) -> Tensor:
        return torch.stack([self._activation.probabilities(one) for one in logits])

    def _kept(self, batch: Tensor) -> Tensor:
        return torch.stack([self._activation.kept(one) for one in batch])

    def _mirrored(self, batch: Tensor) -> Iterator[list[int]]:
        axes = [axis for axis in (2, 3, 4) if batch.shape[axis] > 1] if self._flips else []
        for chosen in product((False, True), repeat=len(axes)):
            yield [axis for axis, flip in zip(axes, chosen, strict=True) if flip]


class _BlendedSums:
    """Sums of weighted probabilities and of their weights, in a slab of a region that moves with the windows.

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

    def add(self, boxes: Sequence[Box], probabilities: Tensor, keep_from: int) -> None:
        """Add windows (b, k, z, y, x); rows before `keep_from` are not needed any more."""
        start = list(self._region.start)
        start[self._axis] = keep_from
        needed = Box((start[0], start[1], start[2]), self._region.stop)
        parts = [box.intersect(needed) for box in boxes]
        self._cover(keep_from, max(part.stop[self._axis] for part in parts))
        for box, part, found in zip(boxes, parts, probabilities.to(self._weights.device), strict=True):
            here = part.relative_to(box.start).slices
            weights = self._weights[here]
            self._sums.view(part).addcmul_(found[(slice(None), *here)], weights)
            self._totals.view(part).add_(weights)

    def mean(self, box: Box) -> Tensor:
        """Blended probabilities (k, *box.shape) on the CPU."""
        return (self._sums.view(box) / self._totals.view(box)).cpu()

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


def _parts(batch: Tensor, n: int) -> Iterator[tuple[int, Tensor]]:
    for at in range(0, len(batch), n):
        yield at, batch[at : at + n]
