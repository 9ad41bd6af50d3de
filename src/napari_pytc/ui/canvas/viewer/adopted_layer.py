"""An image layer of the user's as the image of a project: placed in nanometres, with what was in view still in view."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_pytc.geometry import VoxelSpace
from napari_pytc.ui.canvas.viewer.layer_choice import OURS

_BEFORE = f"{OURS} before"
"""Key in an adopted layer's metadata: the keys that were bound on it."""


def adopt(viewer: Any, layer: Any, space: VoxelSpace) -> None:
    """Give a layer the voxel size, origin and units of a project; section and zoom stay.

    The layers of the user's that are in the same units keep their places relative to it, so that all that lies on the
    image still does. A layer of a single section becomes a volume of one section. Data, name and colours stay.
    """
    around = _View(viewer, layer)
    if layer.ndim == 2:
        layer.data = [level[np.newaxis] for level in layer.data] if layer.multiscale else layer.data[np.newaxis]
    old_scale, old_origin = np.array(layer.scale, float), np.array(layer.translate, float)
    old_units = [str(unit) for unit in layer.units]
    new_scale, new_origin = np.array(space.voxel_size_nm), np.array(space.origin_nm)
    _place(layer, new_scale, new_origin)
    layer.axis_labels = ("z", "y", "x")
    for other in viewer.layers:
        n = min(other.ndim, 3)
        if other is not layer and OURS not in other.metadata and [str(u) for u in other.units][-n:] == old_units[-n:]:
            ratio = new_scale[-n:] / old_scale[-n:]
            offset = (np.array(other.translate, float)[-n:] - old_origin[-n:]) * ratio
            _place(other, np.array(other.scale, float)[-n:] * ratio, new_origin[-n:] + offset)
    layer.metadata[OURS] = "image"
    layer.metadata[_BEFORE] = set(layer.keymap)
    around.restore()


def release(layer: Any) -> None:
    """Let a layer be the user's alone again; its place stays."""
    layer.metadata.pop(OURS, None)
    before = layer.metadata.pop(_BEFORE, None)
    for key in set(layer.keymap) - before if before is not None else ():
        del layer.keymap[key]


class _View:
    """The voxel in the middle of the canvas and the size of a voxel on it, to be restored when the layer has moved."""

    def __init__(self, viewer: Any, layer: Any) -> None:
        self._viewer, self._layer = viewer, layer
        self._voxel = np.asarray(layer.world_to_data(self._middle()), float)[-3:]
        self._zoom = viewer.scene.camera.zoom * self._voxel_length()

    def restore(self) -> None:
        viewer, layer = self._viewer, self._layer
        voxel = np.r_[np.zeros(3 - len(self._voxel)), self._voxel]
        world = np.asarray(layer.data_to_world(voxel), float)
        shown = viewer.dims.displayed
        for axis in range(3):
            if axis + viewer.dims.ndim - 3 not in shown:
                viewer.dims.set_point(axis + viewer.dims.ndim - 3, float(world[axis]))
        middle = [world[axis - viewer.dims.ndim + 3] for axis in shown]
        viewer.scene.camera.center = tuple(np.r_[np.zeros(3 - len(middle)), middle])
        viewer.scene.camera.zoom = float(self._zoom / self._voxel_length())

    def _middle(self) -> np.ndarray:
        """The middle of the canvas in the world's axes."""
        world = np.array(self._viewer.dims.point, float)
        shown = list(self._viewer.dims.displayed)
        world[shown] = np.asarray(self._viewer.scene.camera.center)[-len(shown) :]
        return world

    def _voxel_length(self) -> float:
        """Geometric mean of a voxel's lengths along the axes that are shown."""
        extra = self._viewer.dims.ndim - self._layer.ndim
        lengths = [abs(self._layer.scale[axis - extra]) for axis in self._viewer.dims.displayed if axis >= extra]
        return float(np.exp(np.mean(np.log(lengths))))


def _place(layer: Any, scale: np.ndarray, origin: np.ndarray) -> None:
    """Set the last axes of a layer; those before, as time, stay."""
    n = len(scale)
    layer.scale = (*layer.scale[: layer.ndim - n], *scale)
    layer.translate = (*layer.translate[: layer.ndim - n], *origin)
    layer.units = (*layer.units[: layer.ndim - n], *("nm",) * n)
