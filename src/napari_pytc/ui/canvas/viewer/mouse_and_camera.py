"""Napari's mouse and its camera, as a `ViewerPort` has them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from napari_pytc.geometry import Box
from napari_pytc.ui.canvas.viewer.port import Point, Pointer

_LEAST_SHARE, _LEAST_CLOSE_SHARE, _MOST_SHARE = 0.06, 0.33, 1.05
"""Bounds of a box's share of the canvas within which the camera does not zoom; the second where it looks closely."""
_GOOD_SHARE, _FITTING_SHARE = 0.45, 0.85
"""A box's share after zooming in, with its surroundings, and after zooming out, as large as it can be seen."""


def listen(layer: Any, callback: Callable[[Pointer], object]) -> Callable[[], None]:
    """Call back when a button is pressed, moved and released on a layer, and for nothing else; returns how to stop."""

    def drag(layer: Any, event: Any) -> Iterator[None]:
        button = int(event.button or 0)
        callback(_pointer(layer, event, "press", button))
        yield
        while event.type == "mouse_move":
            callback(_pointer(layer, event, "move", button))
            yield
        callback(_pointer(layer, event, "release", button))

    layer.mouse_drag_callbacks.append(drag)
    return lambda: layer.mouse_drag_callbacks.remove(drag)


def hold(layer: Any, held: bool, brush: float | None) -> None:
    """Keep the camera still while something is drawn on a layer, and show a brush's circle or a cross."""
    layer.bind_key("Space", _move_camera, overwrite=True)
    layer.mouse_pan = not held
    layer.cursor = "circle" if brush is not None else "cross" if held else "standard"
    if brush is not None:
        # As napari's own brush: in the units of the canvas, which are the layer's times its scale.
        layer.cursor_size = max(1.0, brush * abs(layer.scale[-1]))


def fly(
    viewer: Any, layer: Any, displayed: Sequence[int], voxel: Sequence[float], box: Box | None, close: bool = False
) -> None:
    """Set sliders and camera of a viewer.

    Parameters
    ----------
    displayed : sequence of int
        The axes of the layer that are shown.
    """
    world = np.asarray(layer.data_to_world(voxel), float)
    extra = viewer.dims.ndim - layer.ndim
    for axis in range(layer.ndim):
        if axis not in displayed:
            viewer.dims.set_point(axis + extra, float(world[axis]))
    camera = viewer.scene.camera
    camera.center = tuple(np.r_[np.zeros(3 - len(displayed)), world[list(displayed)]])
    if box is None:
        return
    height, width = viewer.canvas.size
    room = (height, width) if len(displayed) == 2 else (min(height, width),) * 3
    lengths = [box.shape[axis] * abs(layer.scale[axis]) * camera.zoom for axis in displayed]
    share = max(length / max(1, pixels) for length, pixels in zip(lengths, room, strict=True))
    if share < (_LEAST_CLOSE_SHARE if close else _LEAST_SHARE):
        camera.zoom = float(camera.zoom * _GOOD_SHARE / share)
    elif share > _MOST_SHARE:
        camera.zoom = float(camera.zoom * _FITTING_SHARE / share)


def _pointer(layer: Any, event: Any, phase: Any, button: int) -> Pointer:
    displayed = list(event.dims_displayed)
    far: Point | None = None
    if len(displayed) == 3:
        near, end = layer.get_ray_intersections(event.position, event.view_direction, displayed, world=True)
        voxel = None if near is None else _voxel(near, layer)
        far, axis = None if end is None else _voxel(end, layer), -1
    else:
        voxel = _voxel(layer.world_to_data(event.position), layer)
        extra = len(event.position) - layer.ndim
        axis = next(k for k in range(layer.ndim) if k + extra not in displayed)
    x, y = event.pos
    return Pointer(phase, button, (float(x), float(y)), voxel, far, axis, frozenset(event.modifiers))


def _voxel(point: Any, layer: Any) -> Point:
    z, y, x = np.asarray(point, float)[-3:]
    return (float(z), float(y), float(x))


def _move_camera(layer: Any) -> Iterator[None]:
    """While Space is pressed."""
    pan, cursor = layer.mouse_pan, layer.cursor
    layer.mouse_pan = True
    yield
    layer.mouse_pan, layer.cursor = pan, cursor
