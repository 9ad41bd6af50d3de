"""Inference of overlapping windows: batches, copies, and fallbacks when memory runs out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import product
from typing import Any

import numpy as np
import torch
from torch import Tensor

from napari_pytc.errors import InvalidInput, OutOfMemory
from napari_pytc.geometry import Box, Shape, distinct, hull_of
from napari_pytc.geometry.windows import WindowGrid
from napari_pytc.learning.machine.precision import Precision, autocast_for
from napari_pytc.learning.networks.network import Network
from napari_pytc.learning.prediction.copies import Accumulator, DirectedCopies, brought_back, combine
from napari_pytc.learning.prediction.network_inferer import NetworkInferer
from napari_pytc.learning.prediction.predictor import ReadImage
from napari_pytc.learning.prediction.window_blending import BlendedSums, RollingArray, blending_weights
from napari_pytc.plans.windows import Windows


class WindowInferer(NetworkInferer):
    """Blended probabilities of boxes of a volume, from overlapping windows at fixed places of it.

    Windows are computed in batches of one size, and those of a voxel are added in one order, so that the result does
    not depend on which boxes are predicted together.

    Copies of a window are averaged before it is blended, where that is the same as to average the blended copies. For
    their minimum or maximum, and where their probabilities are averaged while windows are blended as logits, each copy
    is blended on its own, and they are combined then: as if the whole volume had been mirrored and turned.

    When memory runs out fewer windows are computed at a time, then on the CPU.

    Parameters
    ----------
    windows : Windows
        Shape, overlap, blending, and what is averaged.
    options
        ``tta``, ``warn``, ``roles`` and ``kept`` of a `NetworkInferer`.
    """

    def __init__(
        self, network: Network, windows: Windows, device: torch.device, precision: Precision, **options: Any
    ) -> None:
        super().__init__(network, device, precision, average=windows.average, **options)
        self.windows = windows
        self._of_logits = windows.average == "logits"
        if self._combines_logits and not self._of_logits:
            raise InvalidInput(
                "tta.average=logits combines the outputs of the network before their activation, but windows are "
                "blended after it.",
                "Set windows.average=logits, too, or leave tta.average out.",
            )
        if any(one.swapped for one in self._orientations) and windows.shape[1] != windows.shape[2]:
            raise InvalidInput(
                f"tta.turns turns windows in the plane, which are as long along y as along x for it, got "
                f"{' x '.join(map(str, windows.shape))}.",
                "Set windows.shape with two equal lengths, or tta.turns=false.",
            )
        self._copies = distinct(self._orientations, windows.shape)
        one_by_one = {*self._modes} != {"mean"} or self._combines_logits != self._of_logits
        self._is_apart = len(self._copies) > 1 and one_by_one
        self._batch_size = windows.batch_size
        self._weights = blending_weights(windows.shape, windows.blending)
        self._last_told: tuple[Box, Tensor] | None = None

    @property
    def n_sums(self) -> int:
        """How many times the channels are summed: once, or for each copy, with its weights where they differ."""
        return len(self._copies) * (2 if self._is_directed else 1) if self._is_apart else 1

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

    def slabs(self, boxes: Sequence[Box], whole: Box, axis: int | None = None) -> list[Box]:
        """What a sweep over boxes reads, in order: each slab only has the rows that the one before has not.

        Slabs reach beyond a volume that is shorter than a window. Parameters are those of `sweep`.
        """
        grid, axis = self.grid(whole.shape), self._axis(whole, axis)
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
        axis: int | None = None,
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
        axis : int, optional
            Along which windows sweep; by default as `sweep_axis` says.
        """
        grid, axis = self.grid(whole.shape), self._axis(whole, axis)
        region, todo = hull_of(boxes), list(boxes)
        layers, across = _windows_over(grid, region, axis)
        numbers = [_numbers(axis, layer, at) for layer in layers for at in across]
        # Of the whole volume: the size of a batch changes results in the last digits. On a CPU one window takes as long
        # as a batch of four (5.6 million weights, bf16), so that filling up the last batch costs nothing.
        n_together = min(self.windows.batch_size, len(grid))
        image: RollingArray | None = None
        sums: BlendedSums | None = None
        for first in range(0, len(numbers), n_together):
            check()
            batch = [grid.box(at) for at in numbers[first : first + n_together]]
            image = self._take(slabs, image, batch, axis)
            found = self._batch(image, batch, n_together, whole)
            if sums is None:
                n_weights = found.shape[1] if self._is_apart and self._is_directed else 1
                sums = BlendedSums(found.shape[1], n_weights, region, axis, self._weights, found.device, self._warn)
            told = [self._told(box, whole, found) for box in batch] if sums.n_weights > 1 else None
            sums.add(batch, found, keep_from=min(box.start[axis] for box in todo), told=told)
            later = numbers[first + n_together : first + n_together + 1]
            end = grid.start(axis, later[0][axis]) if later else None
            advance(min(1.0, (first + n_together) / len(numbers)))
            while todo and (end is None or todo[0].stop[axis] <= end):
                box = todo.pop(0)
                yield self._blended(sums.mean(box), sums.is_told(box))

    def _axis(self, whole: Box, axis: int | None) -> int:
        return sweep_axis(whole.shape, self.windows) if axis is None else axis

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
            if self._is_apart:
                return self._apart(placed, shown)
            if self._is_directed:
                return self._directed(placed, shown)
            copies = Accumulator(("mean",))
            for one in self._copies:
                copies.add(self._averaged(brought_back(self.network(self._copy(placed, one)), one)))
        return self._kept(copies.result)

    def _directed(self, batch: Tensor, shown: Sequence[Box]) -> Tensor:
        """The mean over copies where a channel is about another voxel, or is another one."""
        found = [self._sources(box) for box in self._all_shown(batch, shown)]
        for one in self._copies:
            values = self._averaged(brought_back(self.network(self._copy(batch, one)), one))
            for copies, of_window in zip(found, values, strict=True):
                copies.add(of_window, one)
        return self._kept(torch.stack([copies.result for copies in found]))

    def _apart(self, batch: Tensor, shown: Sequence[Box]) -> Tensor:
        """The predictions of all copies, (b, n * k, z, y, x), those of a copy side by side."""
        found, sources = [], [self._sources(box) for box in self._all_shown(batch, shown)]
        for one in self._copies:
            values = self._averaged(brought_back(self.network(self._copy(batch, one)), one))
            if self._is_directed:
                told = torch.zeros_like(values)
                for into, of_window, from_sources in zip(told, values, sources, strict=True):
                    for channel, here, part in from_sources.told(of_window, one):
                        into[(channel, *here)] = part
                values = told
            found.append(self._kept(values))
        return torch.cat(found, dim=1)

    def _told(self, box: Box, whole: Box, values: Tensor) -> Tensor:
        """Where in a window the copies tell of their channels, (n * k, z, y, x) of 0 and 1."""
        shown = box.intersect(whole).relative_to(box.start)
        if self._last_told is not None and self._last_told[0] == shown:
            return self._last_told[1].to(values.device)
        sources, parts = self._sources(shown), []
        for one in self._copies:
            part = torch.zeros(len(self._activation.roles), *box.shape)
            for channel, here, _ in sources.told(part, one):
                part[(channel, *here)] = 1
            parts.append(self._kept(part))
        found = torch.cat(parts).to(values.device)
        self._last_told = (shown, found)
        return found

    def _sources(self, shown: Box) -> DirectedCopies:
        whole = Box.of_shape(self.windows.shape)
        return DirectedCopies(self._activation, whole, shown, ("mean",), self._of_logits)

    def _all_shown(self, batch: Tensor, shown: Sequence[Box]) -> list[Box]:
        """The part of each window that shows the volume; windows that only fill up the batch show nothing."""
        return [*shown, *[Box.of_shape(self.windows.shape)] * (len(batch) - len(shown))]

    def _averaged(self, logits: Tensor) -> Tensor:
        """What windows are averaged of, from logits (b, c, z, y, x)."""
        return logits.to(torch.float32, copy=True) if self._of_logits else self._activation.probabilities(logits)

    def _kept(self, values: Tensor) -> Tensor:
        return values if self._of_logits else self._activation.kept(values)  # the activation of logits needs all

    def _blended(self, mean: Tensor, is_told: Tensor | None) -> Tensor:
        """Probabilities (k, z, y, x) on the CPU, from the weighted mean of windows."""
        if not self._is_apart:
            return (self._activation.kept(self._activation.probabilities(mean)) if self._of_logits else mean).cpu()
        values = mean.unflatten(0, (len(self._copies), -1))
        told = None if is_told is None else is_told.unflatten(0, (len(self._copies), -1))
        if self._combines_logits:
            together = self._activation.probabilities(combine(values, told, self._modes))
            return self._activation.kept(together).cpu()
        if self._of_logits:
            values = self._activation.kept(self._activation.probabilities(values))
            told = None if told is None else self._activation.kept(told)
        return combine(values, told, self._kept_modes).cpu()


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
