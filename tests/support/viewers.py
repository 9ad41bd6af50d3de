"""A viewer without a window, for panels and the workspace."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from napari_pytc.geometry import Box, VoxelSpace
from napari_pytc.ui.canvas.viewer.layer_choice import OURS, LayerChoice
from napari_pytc.ui.canvas.viewer.port import LayerStyle, Pointer, ViewState


@dataclass(eq=False)
class FakeLayer:
    """A layer that remembers how it was made and how often it was refreshed."""

    kind: str
    data: Any
    space: VoxelSpace | None
    style: LayerStyle
    refreshed: int = 0
    mode: str | None = None
    label: int = 1
    paintable: bool = False
    visible: bool = True
    contrast: tuple[float, float] | None = None
    boxes: list[Box] = field(default_factory=list)
    keys: dict[str, Callable[[], object]] = field(default_factory=dict)
    on_label: list[Callable[[], object]] = field(default_factory=list)
    metadata: dict[str, Any] = field(default_factory=dict)
    on_mouse: list[Callable[[Pointer], object]] = field(default_factory=list)
    holds_mouse: bool = False
    brush: float | None = None
    help: str = ""
    multiscale: bool = False

    @property
    def name(self) -> str:
        return self.style.name

    def press(self, key: str) -> None:
        """Press a key while the layer is active."""
        self.keys[key]()

    def point(self, pointer: Pointer) -> None:
        """Do something with the mouse while the layer is active."""
        for callback in self.on_mouse:
            callback(pointer)


class FakeViewer:
    """A `ViewerPort`; the test says what is in view, drawn and chosen."""

    def __init__(self) -> None:
        self.layers: list[FakeLayer] = []
        self.selected: FakeLayer | None = None
        self.in_view: Box | None = None
        self.middle: tuple[float, float, float] = (0.0, 0.0, 0.0)
        self.boxes: list[np.ndarray] = []
        self.choices: list[LayerChoice] = []
        self.status = ""
        self.in_3d = False
        self.flights: list[tuple[tuple[float, ...], Box | None]] = []
        self.is_close = False
        self.restored: list[ViewState | None] = []
        self._callbacks: list[Callable[[], object]] = []
        self._selection_callbacks: list[Callable[[], object]] = []
        self._view_callbacks: list[Callable[[], object]] = []
        self._camera_callbacks: list[Callable[[], object]] = []

    def add_image(self, data: Any, space: VoxelSpace, style: LayerStyle) -> FakeLayer:
        return self._add(FakeLayer("image", data, space, style, contrast=style.contrast_limits))

    def add_labels(self, data: Any, space: VoxelSpace, style: LayerStyle) -> FakeLayer:
        return self._add(FakeLayer("labels", data, space, style))

    def add_boxes(self, space: VoxelSpace, style: LayerStyle, line_width: float) -> FakeLayer:
        return self._add(FakeLayer("boxes", [], space, style))

    def add_lines(self, space: VoxelSpace, style: LayerStyle, line_width: float) -> FakeLayer:
        return self._add(FakeLayer("lines", np.zeros((0, 2, 3)), space, style))

    def adopt_image(self, layer: Any, space: VoxelSpace) -> None:
        layer.space = space
        layer.metadata[OURS] = "image"
        self.choices = [choice for choice in self.choices if choice.layer is not layer]

    def release_image(self, layer: Any) -> None:
        layer.metadata.pop(OURS, None)
        layer.keys.clear()

    def set_help(self, layer: Any, text: str) -> None:
        layer.help = text

    def on_mouse(self, layer: Any, callback: Callable[[Pointer], object]) -> None:
        layer.on_mouse.append(callback)

    def hold_mouse(self, layer: Any, held: bool, brush: float | None = None) -> None:
        if self.has(layer):
            layer.holds_mouse, layer.brush = held, brush

    def fly_to(self, layer: Any, voxel: Sequence[float], box: Box | None = None, close: bool = False) -> None:
        if self.has(layer):
            self.flights.append((tuple(float(v) for v in voxel), box))
            self.is_close = close

    def remove(self, layer: Any) -> None:
        if self.has(layer):
            self.layers.remove(layer)
            self._changed()

    def has(self, layer: Any) -> bool:
        return layer in self.layers

    def refresh(self, layer: Any) -> None:
        if self.has(layer) and layer.visible:
            layer.refreshed += 1

    def put_below(self, layer: Any, other: Any) -> None:
        if self.has(layer) and self.has(other):
            self.layers.remove(layer)
            self.layers.insert(self.layers.index(other), layer)

    def put_lowest(self, layer: Any) -> None:
        if self.has(layer):
            self.layers.remove(layer)
            ours = [k for k, one in enumerate(self.layers) if one.style.role or OURS in one.metadata]
            self.layers.insert(ours[0] if ours else len(self.layers), layer)

    def select(self, layer: Any, mode: str | None = None) -> None:
        if self.has(layer):
            self.selected, layer.mode = layer, mode or layer.mode

    def set_data(self, layer: Any, data: Any, name: str | None = None) -> None:
        if self.has(layer):
            layer.data, layer.style = data, replace(layer.style, name=name or layer.name)

    def set_colours(self, layer: Any, colours: Mapping[int, str] | str) -> None:
        if self.has(layer):
            layer.style = replace(layer.style, colours=colours)

    def set_contrast(self, layer: Any, limits: tuple[float, float], extent: tuple[float, float]) -> None:
        if self.has(layer):
            layer.contrast = limits

    def contrast(self, layer: Any) -> tuple[float, float] | None:
        return layer.contrast if self.has(layer) else None

    def is_visible(self, layer: Any) -> bool:
        return self.has(layer) and layer.visible

    def set_visible(self, layer: Any, visible: bool) -> None:
        if self.has(layer):
            layer.visible = visible

    def make_paintable(self, layer: Any, paintable: bool, brush_size: int | None = None) -> None:
        if self.has(layer):
            layer.paintable = paintable

    def choose_label(self, layer: Any, label: int) -> None:
        if self.has(layer):
            layer.label = label
            layer.mode = "paint" if layer.paintable else layer.mode
            for callback in layer.on_label:
                callback()

    def chosen_label(self, layer: Any) -> int:
        return 0 if not self.has(layer) or layer.mode == "erase" else layer.label

    def on_label_chosen(self, layer: Any, callback: Callable[[], object]) -> None:
        layer.on_label.append(callback)

    def bind_keys(self, layer: Any, keys: Mapping[str, Callable[[], object]]) -> None:
        layer.keys.update(keys)

    def view_state(self, layer: Any) -> ViewState:
        return ViewState(self.middle, self.middle, 1.0, self.contrast(layer))

    def restore_view(self, layer: Any, state: ViewState | None) -> None:
        self.restored.append(state)

    @contextmanager
    def layers_reused(self) -> Iterator[None]:
        yield

    def voxels_in_view(self, layer: Any) -> Box:
        return self.in_view or Box.of_shape(tuple(layer.data.shape))

    def focus(self, layer: Any) -> tuple[float, float, float]:
        return self.middle

    def is_3d(self) -> bool:
        return self.in_3d

    def show_3d(self, in_3d: bool) -> None:
        """Switch the 3D display on or off."""
        self.in_3d = in_3d
        for callback in list(self._view_callbacks):
            callback()

    def look_at(self, box: Box) -> None:
        """Pan and zoom until this is in view."""
        self.in_view = box
        for callback in list(self._camera_callbacks):
            callback()

    def on_camera_moved(self, callback: Callable[[], object]) -> Callable[[], None]:
        self._camera_callbacks.append(callback)
        return lambda: self._camera_callbacks.remove(callback)

    def on_view_changed(self, callback: Callable[[], object]) -> Callable[[], None]:
        self._view_callbacks.append(callback)
        return lambda: self._view_callbacks.remove(callback)

    def image_choices(self) -> list[LayerChoice]:
        return self.choices

    def drawn_boxes(self, layer: Any) -> list[np.ndarray]:
        return self.boxes

    def show_boxes(self, layer: Any, boxes: Sequence[Box]) -> None:
        if self.has(layer):
            layer.boxes = list(boxes)

    def show_lines(self, layer: Any, lines: np.ndarray, colours: Sequence[str], reach_nm: float) -> None:
        if self.has(layer):
            assert lines.shape == (len(colours), 2, 3)
            layer.data, layer.style = lines, replace(layer.style, colours=dict(enumerate(colours)))

    def on_layers_changed(self, callback: Callable[[], object]) -> Callable[[], None]:
        self._callbacks.append(callback)
        return lambda: self._callbacks.remove(callback)

    def on_selection_changed(self, callback: Callable[[], object]) -> Callable[[], None]:
        self._selection_callbacks.append(callback)
        return lambda: self._selection_callbacks.remove(callback)

    def select_choices(self, *choices: LayerChoice) -> None:
        """Select these layers, as the user does in the list."""
        self.choices = [replace(one, is_selected=one in choices) for one in self.choices]
        for callback in list(self._selection_callbacks):
            callback()

    def show_status(self, text: str) -> None:
        self.status = text

    def find(self, name: str) -> FakeLayer:
        """The layer of a name."""
        return next(layer for layer in self.layers if layer.name == name)

    def _add(self, layer: FakeLayer) -> FakeLayer:
        layer.visible = layer.style.visible
        self.layers.append(layer)
        self.selected = self.selected or layer
        self._changed()
        return layer

    def _changed(self) -> None:
        for callback in list(self._callbacks):
            callback()
