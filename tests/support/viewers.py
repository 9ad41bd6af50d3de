"""A viewer without a window, for panels and the workspace."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from napari_pytc.geometry import Box, VoxelSpace
from napari_pytc.ui.viewer import LayerChoice, Look


@dataclass(eq=False)
class FakeLayer:
    """A layer that remembers how it was made and how often it was refreshed."""

    kind: str
    data: Any
    space: VoxelSpace | None
    look: Look
    refreshed: int = 0
    mode: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.look.name


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
        self._callbacks: list[Callable[[], object]] = []

    def add_image(self, data: Any, space: VoxelSpace, look: Look) -> FakeLayer:
        return self._add(FakeLayer("image", data, space, look))

    def add_labels(self, data: Any, space: VoxelSpace, look: Look) -> FakeLayer:
        return self._add(FakeLayer("labels", data, space, look))

    def add_boxes(self, look: Look) -> FakeLayer:
        return self._add(FakeLayer("boxes", [], None, look))

    def remove(self, layer: Any) -> None:
        if self.has(layer):
            self.layers.remove(layer)
            self._changed()

    def has(self, layer: Any) -> bool:
        return layer in self.layers

    def refresh(self, layer: Any) -> None:
        if self.has(layer):
            layer.refreshed += 1

    def select(self, layer: Any, mode: str | None = None) -> None:
        if self.has(layer):
            self.selected, layer.mode = layer, mode or layer.mode

    def voxels_in_view(self, layer: Any) -> Box:
        return self.in_view or Box.of_shape(tuple(layer.data.shape))

    def focus(self, layer: Any) -> tuple[float, float, float]:
        return self.middle

    def image_choices(self) -> list[LayerChoice]:
        return self.choices

    def drawn_boxes(self) -> list[np.ndarray]:
        return self.boxes

    def on_layers_changed(self, callback: Callable[[], object]) -> Callable[[], None]:
        self._callbacks.append(callback)
        return lambda: self._callbacks.remove(callback)

    def show_status(self, text: str) -> None:
        self.status = text

    def find(self, name: str) -> FakeLayer:
        """The layer of a name."""
        return next(layer for layer in self.layers if layer.name == name)

    def _add(self, layer: FakeLayer) -> FakeLayer:
        self.layers.append(layer)
        self._changed()
        return layer

    def _changed(self) -> None:
        for callback in list(self._callbacks):
            callback()
