"""What the workspace asks of napari, and napari's answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from napari_pytc.geometry import Box, Shape, VoxelSpace

if TYPE_CHECKING:
    import napari.layers
    import napari.viewer

OURS = "napari_pytc"
"""Key in a layer's metadata that says which of our roles it has."""

LayerArray = Any
"""Anything with shape, dtype, ndim and basic slicing, as napari takes it."""


@dataclass(frozen=True)
class LayerChoice:
    """A layer of the user's that a project could be made of."""

    name: str
    shape: Shape
    dtype: str
    path: str | None
    voxel_size_nm: tuple[float, float, float] | None
    layer: Any


@dataclass(frozen=True)
class Look:
    """How a layer of ours is shown at first; what the user changes afterwards stays."""

    name: str
    role: str
    colormap: Any = None
    opacity: float = 1.0
    visible: bool = True
    contrast_limits: tuple[float, float] | None = None
    blending: str | None = None


class ViewerPort(Protocol):
    """The window as the workspace sees it. `NapariViewer` is one; tests use `FakeViewer` of tests/support.

    Layers are opaque values. A layer that the user deleted is known by `has`; all other calls on it do nothing.
    """

    def add_image(self, data: LayerArray, space: VoxelSpace, look: Look) -> Any:
        """Add an image layer (z, y, x) in nm and return it."""

    def add_labels(self, data: LayerArray, space: VoxelSpace, look: Look) -> Any:
        """Add a labels layer (z, y, x) in nm and return it."""

    def add_boxes(self, look: Look) -> Any:
        """Add an empty shapes layer in nm and return it."""

    def remove(self, layer: Any) -> None:
        """Remove a layer; nothing happens to one that is gone."""

    def has(self, layer: Any) -> bool:
        """Whether the layer is still in the viewer."""

    def refresh(self, layer: Any) -> None:
        """Read what is shown of a layer again."""

    def select(self, layer: Any, mode: str | None = None) -> None:
        """Make a layer the only selected one, and set its mode (``paint``, ``add_rectangle``, ...)."""

    def voxels_in_view(self, layer: Any) -> Box:
        """The voxels of an image layer that are on the canvas: one section thick, or the whole in 3D display."""

    def focus(self, layer: Any) -> tuple[float, float, float]:
        """The voxel in the middle of the canvas."""

    def image_choices(self) -> list[LayerChoice]:
        """The user's image layers of two or three dimensions, the topmost first."""

    def drawn_boxes(self) -> list[Any]:
        """Rectangles that the user drew: corners (2, 3) in nm, the newest last."""

    def on_layers_changed(self, callback: Callable[[], object]) -> Callable[[], None]:
        """Call back when layers come, go or are renamed; returns how to stop it."""

    def show_status(self, text: str) -> None:
        """A line in the window's status bar."""


def box_of_corners(corners: np.ndarray, space: VoxelSpace, shape: Shape) -> Box:
    """The voxels between two corners in nm, cut at the volume; at least one section thick.

    Parameters
    ----------
    corners : ndarray
        (n, 3): z, y, x of points in nm, whose bounding box counts.
    space : VoxelSpace
        Voxel size and origin; a voxel lies around its coordinate.
    shape : tuple of int
        Of the volume.
    """
    scaled = (np.asarray(corners, float) - space.origin_nm) / space.voxel_size_nm + 0.5
    low, high = scaled.min(axis=0), scaled.max(axis=0)
    start = np.floor(low + 1e-6).astype(int)
    stop = np.maximum(np.ceil(high - 1e-6).astype(int), start + 1)
    start, stop = np.clip(start, 0, shape), np.clip(stop, 0, shape)
    return Box(tuple(int(n) for n in start), tuple(int(n) for n in stop))  # type: ignore[arg-type]


class NapariViewer:
    """A `ViewerPort` on a napari viewer.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        The viewer; only its public interface is used.
    """

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        self.viewer = viewer

    def add_image(self, data: LayerArray, space: VoxelSpace, look: Look) -> Any:
        """Add an image layer; contrast limits must be given, or napari would read the data to find some."""
        limits = look.contrast_limits or (0.0, 255.0)
        return self.viewer.add_image(
            data, contrast_limits=limits, colormap=look.colormap or "gray", **self._placed(space), **_shown(look)
        )

    def add_labels(self, data: LayerArray, space: VoxelSpace, look: Look) -> Any:
        """Add a labels layer."""
        extra = {} if look.colormap is None else {"colormap": look.colormap}
        return self.viewer.add_labels(data, **extra, **self._placed(space), **_shown(look))

    def add_boxes(self, look: Look) -> Any:
        """Add a shapes layer whose coordinates are nm."""
        colour = look.colormap or "#ffe119"
        return self.viewer.add_shapes(
            ndim=3,
            face_color="transparent",
            edge_color=colour,
            edge_width=2,
            units=("nm", "nm", "nm"),
            axis_labels=("z", "y", "x"),
            **_shown(look),
        )

    def remove(self, layer: Any) -> None:
        """Remove a layer."""
        if self.has(layer):
            self.viewer.layers.remove(layer)

    def has(self, layer: Any) -> bool:
        """Whether the layer is there."""
        return layer is not None and layer in self.viewer.layers

    def refresh(self, layer: Any) -> None:
        """Slice a layer again, without its thumbnail and extent, which cost more than the slice."""
        if self.has(layer) and layer.visible:
            layer.refresh(extent=False, thumbnail=False, highlight=False)

    def select(self, layer: Any, mode: str | None = None) -> None:
        """Select a layer alone."""
        if self.has(layer):
            self.viewer.layers.selection.active = layer
            if mode is not None:
                layer.mode = mode

    def voxels_in_view(self, layer: Any) -> Box:
        """Of the corner pixels that napari keeps for a layer."""
        shape = tuple(int(n) for n in layer.data.shape)
        whole = Box.of_shape(shape)  # type: ignore[arg-type]
        if self.viewer.dims.ndisplay == 3:
            return whole
        point = np.round(layer.world_to_data(self.viewer.dims.point)).astype(int)
        start, stop = np.array(point), np.array(point) + 1
        displayed = list(self.viewer.dims.displayed)
        corners = np.asarray(layer.corner_pixels)
        start[displayed] = np.floor(corners[0][displayed])
        stop[displayed] = np.ceil(corners[1][displayed]) + 1
        start, stop = np.clip(start, 0, shape), np.clip(stop, 0, shape)
        found = Box(tuple(int(n) for n in start), tuple(int(n) for n in stop))  # type: ignore[arg-type]
        return whole if found.is_empty else found

    def focus(self, layer: Any) -> tuple[float, float, float]:
        """The camera's centre in the plane, the sliders across it."""
        world = np.array(self.viewer.dims.point, float)
        displayed = list(self.viewer.dims.displayed)
        world[displayed] = np.asarray(self.viewer.camera.center)[-len(displayed) :]
        z, y, x = np.asarray(layer.world_to_data(world), float)
        return (float(z), float(y), float(x))

    def image_choices(self) -> list[LayerChoice]:
        """Image layers that are not ours."""
        found = []
        for layer in reversed(self.viewer.layers):
            if type(layer).__name__ == "Image" and OURS not in layer.metadata and not layer.rgb:
                choice = _choice(layer)
                if choice is not None:
                    found.append(choice)
        return found

    def drawn_boxes(self) -> list[np.ndarray]:
        """Rectangles of all shapes layers that are not ours, the selected layer's last."""
        layers = [layer for layer in self.viewer.layers if type(layer).__name__ == "Shapes"]
        layers.sort(key=lambda layer: layer is self.viewer.layers.selection.active)
        found = []
        for layer in layers:
            if layer.metadata.get(OURS) == "held-out" or layer.ndim not in (2, 3):
                continue
            for corners, kind in zip(layer.data, layer.shape_type, strict=True):
                if kind == "rectangle":
                    world = np.array([layer.data_to_world(point) for point in corners])
                    found.append(self._in_three_axes(world))
        return found

    def on_layers_changed(self, callback: Callable[[], object]) -> Callable[[], None]:
        """Connect to the layer list."""

        def changed(event: Any = None) -> None:
            callback()

        events = self.viewer.layers.events
        emitters = (events.inserted, events.removed, events.renamed)
        for emitter in emitters:
            emitter.connect(changed)

        def stop() -> None:
            for emitter in emitters:
                emitter.disconnect(changed)

        return stop

    def show_status(self, text: str) -> None:
        """Napari's status bar."""
        self.viewer.status = text

    def _in_three_axes(self, world: np.ndarray) -> np.ndarray:
        if world.shape[1] == 3:
            return world
        found = np.tile(np.array(self.viewer.dims.point, float)[-3:], (len(world), 1))
        found[:, list(self.viewer.dims.displayed)[-2:]] = world
        return found

    def _placed(self, space: VoxelSpace) -> dict[str, Any]:
        return {
            "scale": space.voxel_size_nm,
            "translate": space.origin_nm,
            "units": ("nm", "nm", "nm"),
            "axis_labels": ("z", "y", "x"),
        }


def _shown(look: Look) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "name": look.name,
        "opacity": look.opacity,
        "visible": look.visible,
        "metadata": {OURS: look.role},
    }
    if look.blending is not None:
        shown["blending"] = look.blending
    return shown


def _choice(layer: napari.layers.Image) -> LayerChoice | None:
    data = layer.data[0] if layer.multiscale else layer.data
    shape: Sequence[int] = tuple(int(n) for n in data.shape)
    if len(shape) not in (2, 3):
        return None
    z, y, x = (1,) * (3 - len(shape)) + tuple(shape)
    return LayerChoice(
        name=layer.name,
        shape=(z, y, x),
        dtype=str(np.dtype(data.dtype)),
        path=None if layer.source.path is None else str(layer.source.path),
        voxel_size_nm=_voxel_size_nm(layer),
        layer=layer,
    )


_NM = {"nm": 1.0, "nanometer": 1.0, "µm": 1e3, "um": 1e3, "micrometer": 1e3, "mm": 1e6, "millimeter": 1e6, "pm": 1e-3}


def _voxel_size_nm(layer: napari.layers.Image) -> tuple[float, float, float] | None:
    """The layer's scale, where its units are lengths; a scale in pixels says nothing."""
    units = [str(unit) for unit in layer.units]
    if any(unit not in _NM for unit in units):
        return None
    sizes = [float(s) * _NM[unit] for s, unit in zip(layer.scale, units, strict=True)]
    z, y, x = [sizes[0]] * (3 - len(sizes)) + sizes
    return (z, y, x)
