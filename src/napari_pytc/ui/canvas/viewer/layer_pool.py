"""Layers that stay in the viewer while another volume takes the place of one: they get its data and its place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QTimer

from napari_pytc.geometry import VoxelSpace
from napari_pytc.ui.canvas.viewer.layer_choice import OURS
from napari_pytc.ui.canvas.viewer.port import LayerArray, LayerStyle

_KEPT_MS = 3000
"""How long a layer waits to be used again: those of predictions and segments come when their files are open."""
_BETWEEN_MS = 50


class LayerPool:
    """Layers of ours that were taken away while they may be used again, by their kind and role.

    A layer in the pool is still in the viewer, but without anything that we bound to it. Adding a
    layer costs napari a third of a second, removing one as much, other data a tenth of that.

    Parameters
    ----------
    remove : callable
        Removes a layer from the viewer.
    """

    def __init__(self, remove: Callable[[Any], object]) -> None:
        self._remove = remove
        self._layers: list[Any] = []
        self._bound: dict[Any, list[Callable[[], object]]] = {}
        self._timer = QTimer()
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._remove_one)

    def __contains__(self, layer: Any) -> bool:
        return any(one is layer for one in self._layers)

    def bind(self, layer: Any, unbind: Callable[[], object]) -> None:
        """Note how to undo something that was connected to a layer."""
        self._bound.setdefault(layer, []).append(unbind)

    def forget(self, layer: Any) -> None:
        """Note no more of a layer that was removed."""
        self._bound.pop(layer, None)

    def put(self, layer: Any) -> None:
        """Take a layer that may be used again."""
        for unbind in self._bound.pop(layer, []):
            unbind()
        layer.keymap.clear()
        self._layers.append(layer)
        self._timer.start(_KEPT_MS)

    def hide(self) -> None:
        """Switch off the layers that nobody took so far."""
        for layer in self._layers:
            layer.visible = False

    def take(self, kind: str, data: LayerArray, space: VoxelSpace, style: LayerStyle) -> Any:
        """A layer of a kind and role with other data in another place; None if there is none.

        The user's opacity and blending stay.
        """
        for layer in self._layers:
            if type(layer).__name__ == kind and layer.metadata.get(OURS) == style.role:
                break
        else:
            return None
        self._layers = [one for one in self._layers if one is not layer]
        if kind != "Shapes":
            layer.data = data
        for name, value in (("scale", space.voxel_size_nm), ("translate", space.origin_nm)):
            if tuple(float(v) for v in getattr(layer, name)) != tuple(value):
                setattr(layer, name, value)
        if layer.name != style.name:
            layer.name = style.name
        if layer.visible != style.visible:  # napari redraws all the same
            layer.visible = style.visible
        return layer

    def _remove_one(self) -> None:
        """Remove a layer that nobody took; the next one in a later turn, for each takes napari a while."""
        if self._layers:
            self._remove(self._layers.pop(0))
        if self._layers:
            self._timer.start(_BETWEEN_MS)
