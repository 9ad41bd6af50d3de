"""Marks and brush strokes while they are drawn: their voxels, and the layer that shows them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from qtpy.QtCore import QObject

from napari_pytc.geometry import Box, Shape, Voxel, VoxelSpace, hull_of
from napari_pytc.ui.canvas.arrays import LazyArray, Selection, check_size
from napari_pytc.ui.canvas.viewer.port import LayerStyle, Point, ViewerPort
from napari_pytc.ui.tasks.timers import single_shot

_REFRESH_MS = 25
_REMOVE_MS = 150
"""A stroke that was painted stays until the segments are drawn anew."""


class MarkedStroke:
    """A stroke that the mouse draws between press and release, in one plane.

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
        self.voxels: list[Voxel] = []
        """The voxels that the pointer passed, one after the other, those outside of the volume left out."""
        self.dabs: list[tuple[Box, np.ndarray]] = []
        self._diameter, self._shape = diameter, shape
        plane = [size for k, size in enumerate(voxel_size_nm) if k != axis]
        self._ratio = tuple(size / min(plane) for size in voxel_size_nm)
        self._last: np.ndarray | None = None

    def move_to(self, point: Point) -> None:
        """Draw a line to a point."""
        stop = np.asarray(point, float)
        start = stop if self._last is None else self._last
        self._last = stop
        n_steps = max(1, int(np.ceil(np.abs(stop - start).max())))
        for step in range(n_steps + 1):
            voxel = tuple(int(v) for v in np.floor(start + (stop - start) * step / n_steps + 0.5))
            if Box.of_shape(self._shape).contains_point(voxel) and voxel not in self.voxels[-1:]:
                self.voxels.append(voxel)  # type: ignore[arg-type]
        dab = self._capsule(start, stop)
        if dab is not None:
            self.dabs.append(dab)

    def mask(self) -> tuple[Box, np.ndarray] | None:
        """The voxels that were drawn, as a box and a mask in it; None if all lie outside of the volume."""
        if not self.dabs:
            return None
        box = hull_of(dab for dab, _ in self.dabs)
        found = np.zeros(box.shape, bool)
        for dab, inside in self.dabs:
            found[dab.relative_to(box.start).slices] |= inside
        return box, found

    def _capsule(self, start: np.ndarray, stop: np.ndarray) -> tuple[Box, np.ndarray] | None:
        """The voxels nearer to a line than half the diameter, and in any case those that the line passes."""
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
        self._strokes: list[MarkedStroke] = []
        self._lock = threading.Lock()

    @property
    def is_empty(self) -> bool:
        """Whether there are no strokes."""
        return not self._strokes

    def add(self, stroke: MarkedStroke) -> None:
        """Show a stroke, also while it grows."""
        with self._lock:
            self._strokes.append(stroke)

    def remove(self, strokes: Sequence[MarkedStroke]) -> None:
        """Remove strokes."""
        with self._lock:
            self._strokes = [stroke for stroke in self._strokes if stroke not in strokes]

    def clear(self) -> None:
        """Remove all strokes."""
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


class MarksLayer(QObject):
    """Strokes above the segments. The layer is made with the first and stays, because adding one takes napari a while.

    Parameters
    ----------
    viewer : ViewerPort
        The window.
    below : callable
        The layer that it is put below of: there are the previews of edits, too.
    """

    def __init__(
        self, viewer: ViewerPort, shape: Shape, space: VoxelSpace, below: Callable[[], Any], parent: QObject
    ) -> None:
        super().__init__(parent)
        self.shape = shape
        self._viewer, self._space, self._below = viewer, space, below
        self._array = MarksArray(shape)
        self._layer: Any = None
        self._colours: dict[int, str] = {}
        self._painted: list[MarkedStroke] = []
        self._refreshing = single_shot(self, _REFRESH_MS, self._refresh)
        self._removing = single_shot(self, _REMOVE_MS, self._remove_painted)

    @property
    def is_there(self) -> bool:
        """Whether the layer is in the viewer."""
        return self._viewer.has(self._layer)

    def ensure_layer(self, colours: Mapping[int, str]) -> None:
        """Add the layer if it is not there; `colours` are "#rrggbb" by number of a stroke."""
        if not self.is_there:
            self._colours = dict(colours)
            style = LayerStyle("Marks", "marks", self._colours, opacity=0.9, visible=not self._viewer.is_3d())
            self._layer = self._viewer.add_labels(self._array, self._space, style)
            self._viewer.put_below(self._layer, self._below())

    def show_colours(self, colours: Mapping[int, str]) -> None:
        """Show strokes in other colours."""
        if self._layer is not None and colours != self._colours:
            self._colours = dict(colours)
            self._viewer.set_colours(self._layer, self._colours)

    def set_visible(self, visible: bool) -> None:
        """Show or hide the layer."""
        self._viewer.set_visible(self._layer, visible)

    def add(self, stroke: MarkedStroke) -> None:
        """Show a stroke; call `refresh_soon` while it grows."""
        self._array.add(stroke)
        self.refresh_soon()

    def refresh_soon(self) -> None:
        """Refresh the layer soon."""
        if not self._refreshing.isActive():
            self._refreshing.start()

    def remove(self, stroke: MarkedStroke) -> None:
        """Remove a stroke."""
        self._array.remove([stroke])
        self._refresh()

    def remove_later(self, stroke: MarkedStroke) -> None:
        """Show a stroke until the segments that it became are drawn."""
        self._painted.append(stroke)
        self._removing.start()

    def clear(self) -> None:
        """Remove all strokes."""
        if not self._array.is_empty:
            self._array.clear()
            self._refresh()

    def close(self) -> None:
        """Take the layer away."""
        self._refreshing.stop()
        self._removing.stop()
        self._viewer.remove(self._layer)
        self._layer = None
        self.deleteLater()

    def _remove_painted(self) -> None:
        painted, self._painted = self._painted, []
        self._array.remove(painted)
        self._refresh()

    def _refresh(self) -> None:
        if self._layer is not None:
            self._viewer.refresh(self._layer)
