"""Interface of the viewer that the workspace needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np

from napari_pytc.geometry import Box, Shape, VoxelSpace
from napari_pytc.ui.canvas.viewer.layer_choice import LayerChoice

LayerArray = Any
"""Anything with shape, dtype, ndim and basic slicing, as napari takes it."""


@dataclass(frozen=True)
class LayerStyle:
    """First appearance of a layer of ours; the user's changes stay.

    Parameters
    ----------
    role : str
        Kept in the layer's metadata, so that ours are known from the user's.
    colours : mapping or str, optional
        Of a labels layer "#rrggbb" by label; of an image or boxes one colour; None for grey.
    contrast_limits : tuple of float, optional
        Of an image; napari would read the whole volume to find some.
    by_id : bool
        A labels layer of many segments: each id has a colour of its own; with `colours`, the highest one has that.
    """

    name: str
    role: str
    colours: Mapping[int, str] | str | None = None
    opacity: float = 1.0
    visible: bool = True
    contrast_limits: tuple[float, float] | None = None
    blending: str | None = None
    by_id: bool = False


Point = tuple[float, float, float]
"""A position in the volume, in voxels; the middles of voxels are whole numbers."""


@dataclass(frozen=True)
class Pointer:
    """The mouse on the canvas while a layer of ours is the active one.

    Parameters
    ----------
    button : int
        1 left, 2 right; of a move the one that is held.
    pixel : tuple of float
        On the canvas.
    voxel : tuple of float
        On the plane that is shown; in 3D where the line of sight enters the volume. None where it misses the volume.
    far : tuple of float, optional
        In 3D where the line of sight leaves the volume; None in 2D.
    axis : int
        Across the plane that is shown; -1 in 3D.
    modifiers : frozenset of str
        "Shift", "Control", "Alt".
    """

    phase: Literal["press", "move", "release"]
    button: int
    pixel: tuple[float, float]
    voxel: Point | None
    far: Point | None = None
    axis: int = 0
    modifiers: frozenset[str] = frozenset()


@dataclass(frozen=True)
class ViewState:
    """What a viewer shows of an image: the sliders' positions in nm, the camera, and contrast limits in their range."""

    point: tuple[float, ...]
    centre: tuple[float, ...]
    zoom: float
    contrast: tuple[float, float] | None = None
    contrast_range: tuple[float, float] | None = None


class ViewerPort(Protocol):
    """The window as the workspace sees it. `NapariViewer` is one; tests use `FakeViewer` of tests/support.

    Layers are opaque values. A layer that the user deleted is known by `has`; all other calls on it do nothing. Adding
    a layer leaves the one that is selected selected.
    """

    def add_image(self, data: LayerArray, space: VoxelSpace, style: LayerStyle) -> Any:
        """Add an image layer (z, y, x) in nm and return it."""

    def add_labels(self, data: LayerArray, space: VoxelSpace, style: LayerStyle) -> Any:
        """Add a labels layer (z, y, x) in nm, which cannot be painted into, and return it."""

    def add_boxes(self, space: VoxelSpace, style: LayerStyle, line_width: float) -> Any:
        """Add an empty shapes layer, whose coordinates and width of lines are voxels, and return it."""

    def add_lines(self, space: VoxelSpace, style: LayerStyle, line_width: float) -> Any:
        """Add an empty layer of straight lines, whose coordinates and width are voxels, and return it."""

    def adopt_image(self, layer: Any, space: VoxelSpace) -> None:
        """Take an image layer of the user's for a project's image: placed in nm, with section and zoom as they were."""

    def release_image(self, layer: Any) -> None:
        """Give an adopted layer back to the user; it stays in the viewer."""

    def remove(self, layer: Any) -> None:
        """Remove a layer; nothing happens to one that is gone."""

    def has(self, layer: Any) -> bool:
        """Whether the layer is still in the viewer."""

    def refresh(self, layer: Any) -> None:
        """Read the displayed part of a layer again."""

    def put_below(self, layer: Any, other: Any) -> None:
        """Move a layer to just below another."""

    def put_lowest(self, layer: Any) -> None:
        """Move a layer to just below all other layers of ours."""

    def select(self, layer: Any, mode: str | None = None) -> None:
        """Make a layer the only selected one, and set its mode (``paint``, ``add_rectangle``, ...)."""

    def set_data(self, layer: Any, data: LayerArray, name: str | None = None) -> None:
        """Show other data of the same shape."""

    def set_colours(self, layer: Any, colours: Mapping[int, str] | str) -> None:
        """Show a labels layer or an image in other colours."""

    def set_contrast(self, layer: Any, limits: tuple[float, float], extent: tuple[float, float]) -> None:
        """Set an image's contrast limits, and how far the slider goes."""

    def contrast(self, layer: Any) -> tuple[float, float] | None:
        """An image's contrast limits."""

    def is_visible(self, layer: Any) -> bool:
        """Whether a layer is switched on."""

    def set_visible(self, layer: Any, visible: bool) -> None:
        """Switch a layer on or off."""

    def make_paintable(self, layer: Any, paintable: bool, brush_size: int | None = None) -> None:
        """Whether a labels layer may be painted into, with a brush of a diameter in voxels."""

    def choose_label(self, layer: Any, label: int) -> None:
        """Take a label into the brush, 0 to erase; the brush is taken up unless another painting tool is."""

    def chosen_label(self, layer: Any) -> int:
        """The label that would be painted; 0 if the eraser is chosen."""

    def on_label_chosen(self, layer: Any, callback: Callable[[], object]) -> None:
        """Call back when the label or the tool changes."""

    def bind_keys(self, layer: Any, keys: Mapping[str, Callable[[], object]]) -> None:
        """Call back when a key is pressed while the layer is the active one."""

    def set_help(self, layer: Any, text: str) -> None:
        """Set the text on keys in the status bar while the layer is the active one, whatever its tool."""

    def on_mouse(self, layer: Any, callback: Callable[[Pointer], object]) -> None:
        """Call back when a button is pressed, moved and released on a layer while it is the active one."""

    def hold_mouse(self, layer: Any, held: bool, brush: float | None = None) -> None:
        """Set whether dragging draws instead of moving the camera, which it still does while Space is pressed.

        `brush` is the diameter in voxels of the circle that is shown at the pointer.
        """

    def fly_to(self, layer: Any, voxel: Sequence[float], box: Box | None = None, close: bool = False) -> None:
        """Bring a voxel of a layer into the middle, and zoom where the box around it would not be seen well.

        With `close` also where the box would take less than a third of the canvas.
        """

    def view_state(self, layer: Any) -> ViewState:
        """The sections that are shown, where the camera is, and the contrast of an image layer."""

    def restore_view(self, layer: Any, state: ViewState | None) -> None:
        """Show an image layer as a state says; without one all of it, and its middle section."""

    def layers_reused(self) -> AbstractContextManager[None]:
        """While it is entered, a layer that is added takes the place of a removed one of its kind and role.

        Adding a layer costs napari a third of a second, other data a tenth of that.
        """

    def voxels_in_view(self, layer: Any) -> Box:
        """The voxels of an image layer that are on the canvas: one section thick, or the whole in 3D display."""

    def focus(self, layer: Any) -> tuple[float, float, float]:
        """The voxel in the middle of the canvas."""

    def is_3d(self) -> bool:
        """Whether volumes are shown, not sections."""

    def on_view_changed(self, callback: Callable[[], object]) -> Callable[[], None]:
        """Call back when another section, axis or 3D is shown; returns how to stop it."""

    def on_camera_moved(self, callback: Callable[[], object]) -> Callable[[], None]:
        """Call back when the view is panned, zoomed or turned; returns how to stop it."""

    def image_choices(self) -> list[LayerChoice]:
        """The user's image layers of two or three dimensions beside their channels, the topmost first."""

    def drawn_boxes(self, layer: Any) -> list[np.ndarray]:
        """Rectangles that the user drew: corners (4, 3) in voxels of an image layer, the newest last."""

    def show_boxes(self, layer: Any, boxes: Sequence[Box]) -> None:
        """Show boxes in a shapes layer: where they cut the section that is shown, or their edges in 3D."""

    def show_lines(self, layer: Any, lines: np.ndarray, colours: Sequence[str], reach_nm: float) -> None:
        """Show straight lines in a layer of them: all in 3D, in the section that is shown the parts in it and near it.

        Show them again when another section is shown. What lies before or behind the section is fainter.

        Parameters
        ----------
        lines : ndarray of float, shape (n, 2, 3)
            Both ends of each line, z, y, x in voxels.
        colours : sequence of str
            The colour of each as "#rrggbb".
        reach_nm : float
            Distance from the middle of the section at which nothing is seen any more.
        """

    def on_layers_changed(self, callback: Callable[[], object]) -> Callable[[], None]:
        """Call back when layers come, go or are renamed; returns how to stop it."""

    def on_selection_changed(self, callback: Callable[[], object]) -> Callable[[], None]:
        """Call back when other layers are selected; returns how to stop it."""

    def show_status(self, text: str) -> None:
        """A line in the window's status bar."""


def box_of_points(points: np.ndarray, shape: Shape) -> Box:
    """The voxels around points, cut at the volume; at least one section thick.

    Parameters
    ----------
    points : ndarray
        (n, 3): z, y, x in voxels, whose bounding box counts; a voxel lies around its coordinate.
    shape : tuple of int
        Of the volume.
    """
    scaled = np.asarray(points, float) + 0.5
    start = np.floor(scaled.min(axis=0) + 1e-6).astype(int)
    stop = np.maximum(np.ceil(scaled.max(axis=0) - 1e-6).astype(int), start + 1)
    start, stop = np.clip(start, 0, shape), np.clip(stop, 0, shape)
    return Box(tuple(int(n) for n in start), tuple(int(n) for n in stop))  # type: ignore[arg-type]
