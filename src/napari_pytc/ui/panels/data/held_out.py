"""The boxes that training never sees: drawn on the canvas, listed, given back."""

from __future__ import annotations

from qtpy.QtWidgets import QPushButton, QToolButton, QVBoxLayout, QWidget

from napari_pytc.geometry import Box, VoxelSpace
from napari_pytc.ui.panels.data.controller import DataController
from napari_pytc.ui.widgets.buttons import allow
from napari_pytc.ui.widgets.drawn_box import DepthBox
from napari_pytc.ui.widgets.labels import shape_text, wrapped
from napari_pytc.ui.widgets.layout import clear, row

_MOST_SHOWN = 50
_ABOUT_PAINTING = (
    "Strokes in them are left out, as they are not for training. To paint the truth in one, press its ✎ first."
)
_PAINT_TIP = (
    "Paint what is true in this box, of every class: models are scored on it and learn nothing from it. Switch it off "
    "when done, so that no stroke meant for training gets here."
)


class HeldOutList(QWidget):
    """Draw a box, hold it out, and the list of those that are."""

    def __init__(self, controller: DataController, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._controller = controller
        self.draw, self.hold = QPushButton("Draw box"), QPushButton("Hold out")
        self.draw.setObjectName("drawBox")
        self.hold.setObjectName("holdOut")
        self.draw.clicked.connect(controller.workspace.drawn_box.start)
        self.hold.clicked.connect(controller.hold_out)
        self.depth_box = DepthBox(controller.workspace.drawn_box, "holdOutDepth")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        about = "Models do not learn from these boxes: they are scored in them, by what is painted there."
        layout.addWidget(wrapped(about, dim=True))
        layout.addLayout(row(self.draw, self.depth_box, self.hold))
        self._lines = QVBoxLayout()
        self._lines.setSpacing(1)
        layout.addLayout(self._lines)
        self._about_painting = wrapped(_ABOUT_PAINTING, dim=True)
        layout.addWidget(self._about_painting)

    def refresh(self) -> None:
        """Show the boxes of the project, and the actions on them."""
        reason, session = self._controller.reason, self._controller.workspace.session
        allow(self.draw, reason, "Draw a rectangle on the canvas, in the section that is shown.")
        allow(self.hold, reason, "Keep the rectangle that was drawn last out of training.")
        self.depth_box.setEnabled(not reason)
        clear(self._lines)
        boxes = () if session is None else session.held_out.boxes
        self._about_painting.setVisible(bool(boxes) and not reason)
        if session is None:
            return
        protected = session.held_out.protected
        for number, box in enumerate(boxes[:_MOST_SHOWN]):
            self._lines.addWidget(self._line(number, box, session.image.space, box not in protected, reason))
        if len(boxes) > _MOST_SHOWN:
            self._lines.addWidget(wrapped(f"and {len(boxes) - _MOST_SHOWN} more", dim=True))

    def _line(self, number: int, box: Box, space: VoxelSpace, can_paint: bool, reason: str) -> QWidget:
        """A box with a switch that lets its truth be painted, and a button that gives it back."""
        text = wrapped(box_text(box, space))
        text.setToolTip(f"Voxels z, y, x: {box}")
        paint = _tool_button("✎", f"sayTruth{number}")
        paint.setCheckable(True)
        paint.setChecked(can_paint)
        allow(paint, reason, _PAINT_TIP)
        paint.toggled.connect(lambda on: self._controller.allow_painting(box, on))
        remove = _tool_button("✕", f"release{number}")
        allow(remove, reason, "Give this box back to training.")
        remove.clicked.connect(lambda: self._controller.release(box))
        line = QWidget()
        inside = row(text, paint, remove)
        inside.setStretch(0, 1)
        line.setLayout(inside)
        return line


def box_text(box: Box, space: VoxelSpace) -> str:
    """Size of a box in voxels and µm, and its first voxel."""
    microns = " × ".join(f"{length / 1e3:.3g}" for length in space.nm(box.shape))
    at = ", ".join(map(str, box.start))
    return f"{shape_text(box.shape)} voxels, {microns} µm, at {at}"


def _tool_button(text: str, name: str) -> QToolButton:
    button = QToolButton()
    button.setText(text)
    button.setObjectName(name)
    button.setAutoRaise(True)
    return button
