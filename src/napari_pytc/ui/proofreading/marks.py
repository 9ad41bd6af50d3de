"""Strokes on the canvas as they are drawn: cheap to grow, in voxels, never in the segmentation."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from napari_pytc.geometry import Box, Shape
from napari_pytc.geometry.box import hull_of
from napari_pytc.ui.arrays import LazyArray, Selection, check_size
from napari_pytc.ui.port import Voxel


class Stroke:
    """What the mouse draws between press and release, in one plane.

    Parameters
    ----------
    number : int
        The label it is shown with.
    axis : int
        Across the plane.
    diameter : float
        In voxels of the plane's finer axis.
    voxel_size_nm : tuple of float
        A round brush covers fewer voxels along a coarse axis.
    """

    def __init__(
        self, number: int, axis: int, diameter: float, voxel_size_nm: tuple[float, float, float], shape: Shape
    ) -> None:
        self.number, self.axis = number, axis
        self.voxels: list[tuple[int, int, int]] = []
        """The voxels that the pointer passed, one after the other, those outside of the volume left out."""
        self.dabs: list[tuple[Box, np.ndarray]] = []
        self._diameter, self._shape = diameter, shape
        plane = [size for k, size in enumerate(voxel_size_nm) if k != axis]
        self._ratio = tuple(size / min(plane) for size in voxel_size_nm)
        self._last: np.ndarray | None = None

    def move_to(self, voxel: Voxel) -> None:
        """Draw on to a voxel."""
        point = np.asarray(voxel, float)
        start = point if self._last is None else self._last
        self._last = point
        n_steps = max(1, int(np.ceil(np.abs(point - start).max())))
        for step in range(n_steps + 1):
            place = tuple(int(v) for v in np.floor(start + (point - start) * step / n_steps + 0.5))
            if Box.of_shape(self._shape).contains_point(place) and place not in self.voxels[-1:]:
                self.voxels.append(place)  # type: ignore[arg-type]
        dab = self._capsule(start, point)
        if dab is not None:
            self.dabs.append(dab)

    def mask(self) -> tuple[Box, np.ndarray] | None:
        """All that was drawn: a box, and which of its voxels; None if it lies outside of the volume."""
        if not self.dabs:
            return None
        box = hull_of(dab for dab, _ in self.dabs)
        found = np.zeros(box.shape, bool)
        for dab, inside in self.dabs:
            found[dab.relative_to(box.start).slices] |= inside
        return box, found

    def _capsule(self, start: np.ndarray, stop: np.ndarray) -> tuple[Box, np.ndarray] | None:
        """The voxels nearer to a line than half the diameter; those that it passes in any case."""
        radius = self._diameter / 2
        if radius < 1:  # else a point between voxels would be near enough to none
            start, stop = np.floor(start + 0.5), np.floor(stop + 0.5)
        low, high = np.minimum(start, stop), np.maximum(start, stop)
        reach = radius / np.asarray(self._ratio)
        reach[self.axis] = 0
        first = np.ceil(low - reach).astype(int)
        last = np.floor(high + reach).astype(int) + 1
        first[self.axis] = np.floor(low[self.axis] + 0.5)
        last[self.axis] = first[self.axis] + 1
        box = Box(tuple(first.tolist()), tuple(last.tolist())).intersect(Box.of_shape(self._shape))
        if box.is_empty:
            return None
        axes = [k for k in range(3) if k != self.axis]
        grid = np.meshgrid(*(np.arange(box.start[k], box.stop[k]) * self._ratio[k] for k in axes), indexing="ij")
        a, b = ([float(point[k]) * self._ratio[k] for k in axes] for point in (start, stop))
        along = [q - p for p, q in zip(a, b, strict=True)]
        length = sum(step * step for step in along)
        t = sum((g - p) * step for g, p, step in zip(grid, a, along, strict=True)) / length if length else 0.0
        t = np.clip(t, 0.0, 1.0)
        distance = sum((g - p - t * step) ** 2 for g, p, step in zip(grid, a, along, strict=True))
        # As napari's brush of diameter 1: a voxel is itself.
        return box, np.expand_dims(distance <= max(radius, 0.51) ** 2, self.axis)


class MarksArray(LazyArray):
    """Strokes as a volume of labels that is 0 elsewhere; safe from several threads."""

    dtype = np.dtype(np.uint8)

    def __init__(self, shape: Shape) -> None:
        self.shape: Shape = shape
        self._strokes: list[Stroke] = []
        self._lock = threading.Lock()

    @property
    def is_empty(self) -> bool:
        """Whether there are none."""
        return not self._strokes

    def add(self, stroke: Stroke) -> None:
        """Show a stroke, also while it grows."""
        with self._lock:
            self._strokes.append(stroke)

    def remove(self, strokes: Sequence[Stroke]) -> None:
        """Show these no longer."""
        with self._lock:
            self._strokes = [stroke for stroke in self._strokes if stroke not in strokes]

    def clear(self) -> None:
        """Show none."""
        with self._lock:
            self._strokes.clear()

    def read(self, selection: Selection) -> Any:
        """The labels of a selection."""
        check_size(selection.box, 1)
        found = np.zeros(selection.box.shape, np.uint8)
        with self._lock:
            strokes = list(self._strokes)
        for stroke in strokes:
            for dab, inside in list(stroke.dabs):
                both = dab.intersect(selection.box)
                if not both.is_empty:
                    part = inside[both.relative_to(dab.start).slices]
                    found[both.relative_to(selection.box.start).slices][part] = stroke.number
        return found[selection.inside]
