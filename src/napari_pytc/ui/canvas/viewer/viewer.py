"""The viewer interface of the workspace, implemented for napari."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_pytc.geometry import Box, VoxelSpace
from napari_pytc.ui.canvas.viewer.adopted_layer import adopt, release
from napari_pytc.ui.canvas.viewer.helper_rows import HelperRows
from napari_pytc.ui.canvas.viewer.layer_choice import OURS, LayerChoice, layer_choice
from napari_pytc.ui.canvas.viewer.layer_pool import LayerPool
from napari_pytc.ui.canvas.viewer.mouse_and_camera import fly, hold, listen
from napari_pytc.ui.canvas.viewer.planes import Plane, cut_box
from napari_pytc.ui.canvas.viewer.port import LayerArray, LayerStyle, Pointer, ViewerPort, ViewState
from napari_pytc.ui.canvas.viewer.section_lines import lines_near

if TYPE_CHECKING:
    import napari.viewer

__all__ = ["OURS", "LayerChoice", "LayerStyle", "NapariViewer", "ViewerPort"]

_HELP = f"{OURS} help"
"""Key in a layer's metadata for its text in the status bar."""


def load_units() -> None:
    """Read napari's table of units, which takes a second and else happens with the first layer; any thread."""
    import pint

    pint.get_application_registry().Unit("nm")


class NapariViewer:
    """A `ViewerPort` on a napari viewer.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        The viewer; only its public interface is used.
    """

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        self.viewer = viewer
        self._pool = LayerPool(self._remove)
        self._helper_rows = HelperRows(viewer)
        self._is_reusing = False

    # ---- layers

    def add_image(self, data: LayerArray, space: VoxelSpace, style: LayerStyle) -> Any:
        """Add an image layer; contrast limits must be given, or napari would read the data to find some."""
        limits = style.contrast_limits or (0.0, 255.0)
        layer = self._pool.take("Image", data, space, style)
        if layer is not None:
            layer.contrast_limits_range = layer.contrast_limits = limits
            self.set_colours(layer, style.colours or "")
            return layer
        with _selection_kept(self.viewer):
            return self.viewer.add_image(
                data,
                contrast_limits=limits,
                colormap=_image_colours(style.colours),
                projection_mode="none",  # others copy every section
                **_placed(space),
                **_shown(style),
            )

    def add_labels(self, data: LayerArray, space: VoxelSpace, style: LayerStyle) -> Any:
        """Add a labels layer."""
        layer = self._pool.take("Labels", data, space, style)
        is_new = layer is None
        if is_new:
            with _selection_kept(self.viewer):
                layer = self.viewer.add_labels(data, **_placed(space), **_shown(style))
        layer.editable = False
        if not is_new and style.by_id:
            return layer
        if style.by_id:
            layer.colormap = _segment_colours(style.colours if isinstance(style.colours, str) else None)
        elif style.colours is not None:
            self.set_colours(layer, style.colours)
        return layer

    def add_boxes(self, space: VoxelSpace, style: LayerStyle, line_width: float) -> Any:
        """Add a shapes layer; one in nm would make the sliders step by nanometres."""
        layer = self._pool.take("Shapes", None, space, style)
        if layer is not None:
            layer.data, layer.current_edge_width = [], line_width
            return layer
        with _selection_kept(self.viewer):
            layer = self.viewer.add_shapes(
                ndim=3,
                face_color="transparent",
                edge_color=style.colours or "#ffe119",
                edge_width=line_width,
                **_placed(space),
                **_shown(style),
            )
        layer.current_edge_width = line_width
        return layer

    def add_lines(self, space: VoxelSpace, style: LayerStyle, line_width: float) -> Any:
        """Add a vectors layer."""
        layer = self._pool.take("Vectors", np.zeros((0, 2, 3)), space, style)
        if layer is not None:
            return layer
        with _selection_kept(self.viewer):
            return self.viewer.add_vectors(
                ndim=3,
                edge_color=style.colours or "white",
                edge_width=line_width,
                vector_style="line",
                **_placed(space),
                **_shown(style),
            )

    def adopt_image(self, layer: Any, space: VoxelSpace) -> None:
        """Place the layer and those that lie on it."""
        if self.has(layer):
            adopt(self.viewer, layer, space)

    def release_image(self, layer: Any) -> None:
        """Take our keys and our text off the layer."""
        _forget_help(layer)
        release(layer)

    def remove(self, layer: Any) -> None:
        """Remove a layer, or put it by while layers are used again."""
        if self.has(layer):
            if self._is_reusing and layer.metadata.get(OURS):
                self._pool.put(layer)
            else:
                self._remove(layer)

    def has(self, layer: Any) -> bool:
        """Whether the layer is there."""
        return layer is not None and layer in self.viewer.layers and layer not in self._pool

    def refresh(self, layer: Any) -> None:
        """Slice a layer again, without its thumbnail and extent, which cost more than the slice."""
        if self.has(layer) and layer.visible:
            layer.refresh(extent=False, thumbnail=False, highlight=False)

    def put_below(self, layer: Any, other: Any) -> None:
        """Move a layer in the list."""
        if self.has(layer) and self.has(other):
            layers = self.viewer.layers
            place, above = layers.index(layer), layers.index(other)
            if place != above - 1:
                layers.move(place, above)

    def put_lowest(self, layer: Any) -> None:
        """Move a layer in the list; those that wait to be used again count, too."""
        if self.has(layer):
            layers = self.viewer.layers
            others = [k for k, one in enumerate(layers) if one is not layer and OURS in one.metadata]
            if others and others[0] < layers.index(layer):
                layers.move(layers.index(layer), others[0])

    def select(self, layer: Any, mode: str | None = None) -> None:
        """Select a layer alone."""
        if self.has(layer):
            self.viewer.layers.selection.active = layer
            if mode is not None:
                layer.mode = mode

    def set_data(self, layer: Any, data: LayerArray, name: str | None = None) -> None:
        """Replace a layer's data; napari then takes labels for paintable."""
        if self.has(layer):
            editable = layer.editable
            layer.data = data
            layer.editable = editable
            if name is not None:
                layer.name = name

    def set_colours(self, layer: Any, colours: Mapping[int, str] | str) -> None:
        """Colours of classes, or an image's colour."""
        if self.has(layer):
            layer.colormap = _image_colours(colours) if isinstance(colours, str) else _label_colours(colours)

    def set_contrast(self, layer: Any, limits: tuple[float, float], extent: tuple[float, float]) -> None:
        """Contrast limits within their range."""
        if self.has(layer):
            layer.contrast_limits_range = extent
            layer.contrast_limits = limits

    def contrast(self, layer: Any) -> tuple[float, float] | None:
        """The contrast limits."""
        if not self.has(layer):
            return None
        low, high = layer.contrast_limits
        return (float(low), float(high))

    def is_visible(self, layer: Any) -> bool:
        """Whether its eye is open."""
        return self.has(layer) and bool(layer.visible)

    def set_visible(self, layer: Any, visible: bool) -> None:
        """Open or close its eye."""
        if self.has(layer):
            layer.visible = visible

    # ---- painting

    def make_paintable(self, layer: Any, paintable: bool, brush_size: int | None = None) -> None:
        """Let napari's tools at a labels layer."""
        if self.has(layer):
            layer.editable = paintable
            if brush_size is not None:
                layer.brush_size = brush_size

    def choose_label(self, layer: Any, label: int) -> None:
        """Painting with label 0 erases with any tool; napari's eraser ignores the label, so it is put down."""
        if self.has(layer):
            layer.selected_label = label
            if layer.editable and str(layer.mode) not in ("paint", "fill", "polygon"):
                layer.mode = "paint"

    def chosen_label(self, layer: Any) -> int:
        """The label in the brush."""
        return 0 if not self.has(layer) or str(layer.mode) == "erase" else int(layer.selected_label)

    def on_label_chosen(self, layer: Any, callback: Callable[[], object]) -> None:
        """Connect to the layer; the connection goes with it."""
        self._pool.bind(layer, _connected((layer.events.selected_label, layer.events.mode), callback))

    def bind_keys(self, layer: Any, keys: Mapping[str, Callable[[], object]]) -> None:
        """Bind keys on this one layer, where they go before napari's own."""
        for key, call in keys.items():
            layer.bind_key(key, _ignoring_layer(call), overwrite=True)

    def set_help(self, layer: Any, text: str) -> None:
        """Keep the text: napari shows its own keys with every change of tool, also those that differ on this layer."""
        if not self.has(layer):
            return
        is_kept = _HELP in layer.metadata
        layer.metadata[_HELP] = text
        if not is_kept:
            layer.events.help.connect(_keep_help)
            self._pool.bind(layer, lambda: _forget_help(layer))
        layer.help = text

    def on_mouse(self, layer: Any, callback: Callable[[Pointer], object]) -> None:
        """Listen on the layer; the connection goes with it."""
        self._pool.bind(layer, listen(layer, callback))

    def hold_mouse(self, layer: Any, held: bool, brush: float | None = None) -> None:
        """Set it on the layer: napari looks at the active one."""
        if self.has(layer):
            hold(layer, held, brush)

    # ---- the view

    def fly_to(self, layer: Any, voxel: Sequence[float], box: Box | None = None, close: bool = False) -> None:
        """Sliders and camera."""
        if self.has(layer):
            fly(self.viewer, layer, self._displayed_of(layer), voxel, box, close)

    def view_state(self, layer: Any) -> ViewState:
        """Sliders, camera and contrast."""
        camera, ranges = self.viewer.scene.camera, None
        if self.has(layer):
            ranges = (float(layer.contrast_limits_range[0]), float(layer.contrast_limits_range[1]))
        place = (tuple(self.viewer.dims.point), tuple(camera.center), float(camera.zoom))
        return ViewState(*place, self.contrast(layer), ranges)

    def restore_view(self, layer: Any, state: ViewState | None) -> None:
        """Sliders, camera and contrast, or all of a layer."""
        viewer = self.viewer
        if state is not None and state.contrast is not None and state.contrast_range is not None:
            self.set_contrast(layer, state.contrast, state.contrast_range)
        if state is not None and len(state.point) == viewer.dims.ndim:
            viewer.dims.point = state.point
            viewer.scene.camera.center, viewer.scene.camera.zoom = state.centre, state.zoom
        elif self.has(layer):
            shape = (layer.data[0] if layer.multiscale else layer.data).shape
            middle = np.asarray(layer.data_to_world([n // 2 for n in shape]), float)
            viewer.dims.point = (*viewer.dims.point[: viewer.dims.ndim - layer.ndim], *middle)
            viewer.reset_view()

    @contextmanager
    def layers_reused(self) -> Iterator[None]:
        """Put layers by instead of removing them."""
        self._is_reusing = True
        try:
            yield
        finally:
            self._is_reusing = False
            self._pool.hide()

    def voxels_in_view(self, layer: Any) -> Box:
        """The box in view, from the corner pixels that napari keeps for a layer."""
        shape = tuple(int(n) for n in (layer.data[0] if layer.multiscale else layer.data).shape)
        whole = Box.of_shape(shape)
        if self.viewer.dims.ndisplay == 3:
            return whole
        point = np.round(np.asarray(layer.world_to_data(self.viewer.dims.point))).astype(int)
        start, stop = np.array(point), np.array(point) + 1
        displayed = self._displayed_of(layer)
        corners = np.asarray(layer.corner_pixels)
        if layer.multiscale:  # the corners are voxels of the level that is shown
            factors = np.asarray(layer.downsample_factors)[layer.data_level]
            corners = np.stack([np.floor(corners[0] * factors), np.ceil((corners[1] + 1) * factors) - 1]).astype(int)
        start[displayed] = corners[0][displayed]
        stop[displayed] = corners[1][displayed] + 1
        start, stop = np.clip(start, 0, shape), np.clip(stop, 0, shape)
        found = Box(tuple(int(n) for n in start), tuple(int(n) for n in np.maximum(start, stop)))  # type: ignore[arg-type]
        return whole if found.is_empty else found

    def focus(self, layer: Any) -> tuple[float, float, float]:
        """The camera's centre in the plane, the sliders across it."""
        world = np.array(self.viewer.dims.point, float)
        displayed = list(self.viewer.dims.displayed)
        world[displayed] = np.asarray(self.viewer.scene.camera.center)[-len(displayed) :]
        z, y, x = np.asarray(layer.world_to_data(world), float)
        return (float(z), float(y), float(x))

    def is_3d(self) -> bool:
        """Whether napari shows three dimensions."""
        return bool(self.viewer.dims.ndisplay == 3)

    def on_view_changed(self, callback: Callable[[], object]) -> Callable[[], None]:
        """Connect to the sliders, behind napari's own slicing."""
        events = self.viewer.dims.events
        return _connected((events.ndisplay, events.order, events.current_step), callback)

    def on_camera_moved(self, callback: Callable[[], object]) -> Callable[[], None]:
        """Connect to the camera; the corner pixels of layers follow with the next drawing."""
        events = self.viewer.scene.camera.events
        return _connected((events.center, events.zoom, events.angles), callback)

    # ---- choices and boxes

    def image_choices(self) -> list[LayerChoice]:
        """Image layers that are not ours."""
        layers = self.viewer.layers
        found = (layer_choice(layer, layer in layers.selection) for layer in reversed(layers))
        return [choice for choice in found if choice is not None]

    def drawn_boxes(self, layer: Any) -> list[np.ndarray]:
        """Rectangles of all shapes layers but the held-out ones, the selected layer's last."""
        layers = [one for one in self.viewer.layers if type(one).__name__ == "Shapes"]
        layers.sort(key=lambda one: one is self.viewer.layers.selection.active)
        found = []
        for shapes in layers:
            if shapes.metadata.get(OURS) == "held-out" or shapes.ndim not in (2, 3):
                continue
            for corners, kind in zip(shapes.data, shapes.shape_type, strict=True):
                if str(kind) == "rectangle":
                    world = self._in_all_axes(np.array([shapes.data_to_world(point) for point in corners]))
                    found.append(np.array([layer.world_to_data(point) for point in world]))
        return found

    def show_boxes(self, layer: Any, boxes: Sequence[Box]) -> None:
        """Draw the outlines of boxes in the plane that is shown."""
        if not self.has(layer):
            return
        plane = self._plane_of(layer)
        outlines = []
        for box in boxes:
            outlines += cut_box(np.array([box.start, box.stop], float) - 0.5, plane)
        if outlines or layer.nshapes:
            layer.data = [(outline, "path") for outline in outlines]
            scale = np.asarray(layer.scale)[list(plane.displayed)]  # the coarser axis sets the thickness of lines
            layer.edge_width = [layer.current_edge_width * scale.min() / scale.max()] * len(outlines)

    def show_lines(self, layer: Any, lines: np.ndarray, colours: Sequence[str], reach_nm: float) -> None:
        """Show lines as vectors: a place and a direction."""
        if not self.has(layer):
            return
        plane = self._plane_of(layer)
        sizes = np.asarray(layer.scale)[[axis for axis in range(3) if axis not in plane.displayed]]
        reach = reach_nm / float(sizes[0]) if len(sizes) == 1 else 0.0
        seen = lines_near(np.asarray(lines, float).reshape(-1, 2, 3), plane, reach, float(layer.edge_width))
        layer.data = np.stack([seen.lines[:, 0], seen.lines[:, 1] - seen.lines[:, 0]], axis=1)
        if len(seen.lines):
            shades = np.array([[int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)] for colour in colours])
            layer.edge_color = np.column_stack([shades[seen.numbers], seen.opacity])

    def _plane_of(self, layer: Any) -> Plane:
        """The plane that is shown, in voxels of a layer."""
        point = np.round(np.asarray(layer.world_to_data(self.viewer.dims.point), float))
        return Plane(tuple(self._displayed_of(layer)), tuple(point.tolist()))

    def on_layers_changed(self, callback: Callable[[], object]) -> Callable[[], None]:
        """Connect to the layer list."""
        events = self.viewer.layers.events
        return _connected((events.inserted, events.removed, events.renamed), callback)

    def on_selection_changed(self, callback: Callable[[], object]) -> Callable[[], None]:
        """Connect to the selection of the layer list."""
        return _connected((self.viewer.layers.selection.events.changed,), callback)

    def show_status(self, text: str) -> None:
        """Napari's status bar."""
        self.viewer.status = text

    def _remove(self, layer: Any) -> None:
        self._pool.forget(layer)
        if layer in self.viewer.layers:
            self.viewer.layers.remove(layer)

    def _displayed_of(self, layer: Any) -> list[int]:
        """The axes of a layer that are shown; the viewer may have more axes, in front."""
        extra = self.viewer.dims.ndim - layer.ndim
        return [d - extra for d in self.viewer.dims.displayed if d >= extra]

    def _in_all_axes(self, world: np.ndarray) -> np.ndarray:
        """Points of a layer with fewer axes than the viewer, at the place of the sliders in the others."""
        found = np.tile(np.array(self.viewer.dims.point, float), (len(world), 1))
        found[:, -world.shape[1] :] = world
        return found


@contextmanager
def _selection_kept(viewer: Any) -> Iterator[None]:
    """Napari selects every new layer, which would take the brush out of the user's hand."""
    active = viewer.layers.selection.active
    yield
    if active is not None:
        viewer.layers.selection.active = active


def _connected(emitters: Sequence[Any], callback: Callable[[], object]) -> Callable[[], None]:
    def changed(event: Any = None) -> None:
        callback()

    for emitter in emitters:
        emitter.connect(changed)

    def stop() -> None:
        for emitter in emitters:
            emitter.disconnect(changed)

    return stop


def _forget_help(layer: Any) -> None:
    if layer.metadata.pop(_HELP, None) is not None:
        layer.events.help.disconnect(_keep_help)


def _keep_help(event: Any) -> None:
    event.source.help = event.source.metadata[_HELP]


def _ignoring_layer(call: Callable[[], object]) -> Callable[[Any], None]:
    def press(layer: Any) -> None:
        call()

    return press


def _placed(space: VoxelSpace) -> dict[str, Any]:
    return {
        "scale": space.voxel_size_nm,
        "translate": space.origin_nm,
        "units": ("nm", "nm", "nm"),
        "axis_labels": ("z", "y", "x"),
    }


def _shown(style: LayerStyle) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "name": style.name,
        "opacity": style.opacity,
        "visible": style.visible,
        "metadata": {OURS: style.role},
    }
    if style.blending is not None:
        shown["blending"] = style.blending
    return shown


def _label_colours(colours: Mapping[int, str]) -> Any:
    from napari.utils.colormaps import DirectLabelColormap

    shown: dict[int | None, str] = {None: "transparent", 0: "transparent"}
    return DirectLabelColormap(color_dict=shown | dict(colours))


def _segment_colours(last: str | None) -> Any:
    from napari.utils.colormaps import CyclicLabelColormap

    from napari_pytc.labels.segment_colours import segment_colours

    return CyclicLabelColormap(name="segments", colors=segment_colours(last))


def _image_colours(colours: Any) -> Any:
    if not colours:
        return "gray"
    from napari.utils.colormaps import Colormap

    return Colormap(["black", colours], name=str(colours))
