"""The view of the canvas and the boxes drawn in it."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QObject

from napari_pytc.geometry import Box, Shape, VoxelSpace
from napari_pytc.ui.canvas.viewer.box_layer import line_width
from napari_pytc.ui.canvas.viewer.port import LayerStyle, ViewerPort, box_of_points

VIEW_IN_3D = (64, 512, 512)
"""Box around the middle that counts as the view in 3D display, where everything is in view."""


class View(QObject):
    """The box in view, and the rectangles that the user draws.

    Parameters
    ----------
    viewer : ViewerPort
        The window.
    shape : tuple of int
        Of the volume.
    """

    def __init__(self, viewer: ViewerPort, space: VoxelSpace, shape: Shape, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer, self._space, self._shape = viewer, space, shape
        self._boxes: Any = None

    @property
    def shape(self) -> Shape:
        """Shape of the volume."""
        return self._shape

    @property
    def image(self) -> Any:
        """The image layer; the user may have deleted it."""
        raise NotImplementedError

    def view_box(self) -> Box:
        """The voxels in view: of one section, or some around the middle in 3D."""
        box = self._viewer.voxels_in_view(self.image)
        if not self._viewer.is_3d():
            return box
        lengths = [min(n, most) for n, most in zip(box.shape, VIEW_IN_3D, strict=True)]
        start = [
            min(max(round(middle - n / 2), low), high - n)
            for middle, n, low, high in zip(self.focus(), lengths, box.start, box.stop, strict=True)
        ]
        return Box.at(start, lengths)

    def focus(self) -> tuple[float, float, float]:
        """The voxel in the middle of the canvas, or the volume's nearest to it."""
        if not self._viewer.has(self.image):
            z, y, x = (n / 2 for n in self._shape)
            return (z, y, x)
        z, y, x = (min(max(f, 0.0), n - 1.0) for f, n in zip(self._viewer.focus(self.image), self._shape, strict=True))
        return (z, y, x)

    def drawn_box(self) -> Box | None:
        """The newest rectangle that was drawn, one section thick; None if there is none in the volume."""
        if not self._viewer.has(self.image):
            return None
        for points in reversed(self._viewer.drawn_boxes(self.image)):
            box = box_of_points(points, self._shape)
            if not box.is_empty:
                return box
        return None

    def start_drawing_box(self) -> None:
        """Let the user draw a rectangle."""
        if self._viewer.is_3d():
            self._viewer.show_status("Boxes are drawn in 2D: switch the 3D display off.")
            return
        if not self._viewer.has(self._boxes):
            self._boxes = self._viewer.add_boxes(
                self._space, LayerStyle("Box", "box", "#42d4f4"), line_width(self._shape)
            )
        self._viewer.select(self._boxes, "add_rectangle")
