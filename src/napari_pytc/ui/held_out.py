"""The boxes that training never sees: drawn on the canvas, listed, given back."""

from __future__ import annotations

from qtpy.QtWidgets import QPushButton, QToolButton, QVBoxLayout, QWidget

from napari_pytc.errors import InvalidInput
from napari_pytc.geometry import Box, VoxelSpace
from napari_pytc.ui.datasets import shape_text
from napari_pytc.ui.drawn_box import DepthBox, deepened
from napari_pytc.ui.parts import allow, row, wrapped
from napari_pytc.ui.workspace import Workspace

_MOST_SHOWN = 50


class HeldOutList(QWidget):
    """Draw a box, hold it out, and the list of those that are."""

    def __init__(self, workspace: Workspace, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._workspace = workspace
        self.draw, self.hold = QPushButton("Draw box"), QPushButton("Hold out")
        self.draw.setObjectName("drawBox")
        self.hold.setObjectName("holdOut")
        self.draw.clicked.connect(self._draw)
        self.hold.clicked.connect(self._hold_out)
        self.n_sections = DepthBox(workspace)
        self.n_sections.setObjectName("holdOutDepth")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(
            wrapped(
                "Models do not learn from these boxes: they are scored in them, by what is painted there.", dim=True
            )
        )
        layout.addLayout(row(self.draw, self.n_sections, self.hold))
        self._list = QVBoxLayout()
        self._list.setSpacing(1)
        layout.addLayout(self._list)
        self._pencils = wrapped(
            "Strokes in them are left out, as they would not teach. To paint the truth in one, press its ✎ first.",
            dim=True,
        )
        layout.addWidget(self._pencils)

    def refresh(self, reason: str) -> None:
        """Show the boxes of the session; `reason` says why they cannot be changed."""
        allow(self.draw, reason, "Draw a rectangle on the canvas, in the section that is shown.")
        allow(self.hold, reason, "Keep the rectangle that was drawn last out of training.")
        self.n_sections.setEnabled(not reason)
        while (item := self._list.takeAt(0)) is not None:
            if (widget := item.widget()) is not None:
                widget.hide()
                widget.deleteLater()
        session = self._workspace.session
        boxes = session.held_out if session is not None else ()
        self._pencils.setVisible(bool(boxes) and not reason)
        for number, box in enumerate(boxes[:_MOST_SHOWN]):
            assert session is not None
            line = QWidget()
            remove = QToolButton()
            remove.setObjectName(f"release{number}")
            remove.setText("✕")
            remove.setAutoRaise(True)
            allow(remove, reason, "Give this box back to training.")
            remove.clicked.connect(lambda checked=False, box=box: self._release(box))
            text = wrapped(box_text(box, session.space))
            text.setToolTip(f"Voxels z, y, x: {box}")
            inside = row(text, self._pencil(number, box, reason), remove)
            inside.setStretch(0, 1)
            line.setLayout(inside)
            self._list.addWidget(line)
        if len(boxes) > _MOST_SHOWN:
            self._list.addWidget(wrapped(f"and {len(boxes) - _MOST_SHOWN} more", dim=True))

    def _pencil(self, number: int, box: Box, reason: str) -> QToolButton:
        """A switch that lets truth be painted in a box."""
        session = self._workspace.session
        assert session is not None
        pencil = QToolButton()
        pencil.setObjectName(f"sayTruth{number}")
        pencil.setText("✎")
        pencil.setCheckable(True)
        pencil.setAutoRaise(True)
        pencil.setChecked(box not in session.protected)
        allow(
            pencil,
            reason,
            "Paint what is true in this box, of every class: models are scored on it and learn nothing from it. Switch "
            "it off when done, so that no stroke meant to teach gets here.",
        )
        pencil.toggled.connect(lambda on: self._workspace.attempt(lambda: session.say_truth(box, on)))
        return pencil

    def _draw(self) -> None:
        if self._workspace.layers is not None:
            self._workspace.layers.start_drawing_box()

    def _hold_out(self) -> None:
        session, layers = self._workspace.session, self._workspace.layers
        if session is None or layers is None:
            return
        box = layers.drawn_box()
        if box is None:
            self._workspace.failed.emit(
                InvalidInput("No box is drawn.", "Press Draw box, then drag a rectangle on the canvas in 2D.")
            )
            return
        deep = deepened(box, self.n_sections.value(), session.annotations.shape)
        self._workspace.attempt(lambda: session.hold_out(deep))

    def _release(self, box: Box) -> None:
        session = self._workspace.session
        if session is not None:
            self._workspace.attempt(lambda: session.release(box))


def box_text(box: Box, space: VoxelSpace) -> str:
    """Where a box begins, and its size in voxels and µm."""
    microns = " × ".join(f"{length / 1e3:.3g}" for length in space.nm(box.shape))
    at = ", ".join(map(str, box.start))
    return f"{shape_text(box.shape)} voxels, {microns} µm, at {at}"
