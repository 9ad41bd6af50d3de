"""Labels that wrap, fade or lose their middle, and numbers as text."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import QEvent, Qt
from qtpy.QtGui import QColor, QPalette, QShowEvent
from qtpy.QtWidgets import QLabel, QSizePolicy, QWidget
from superqt import QElidingLabel


def wrapped(text: str = "", dim: bool = False) -> QLabel:
    """A label that breaks its lines instead of widening the panel; `dim` for remarks."""
    label = _Dim(text) if dim else QLabel(text)
    label.setWordWrap(True)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    policy = QSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
    policy.setHeightForWidth(True)  # Qt's own word for it is lost with every new policy, until another text comes
    label.setSizePolicy(policy)
    return label


def faint(palette: QPalette) -> QColor:
    """The colour of remarks: between text and background, in any theme."""
    text, back = palette.color(QPalette.ColorRole.WindowText), palette.color(QPalette.ColorRole.Window)
    red, green, blue = (round(0.62 * a + 0.38 * b) for a, b in zip(text.getRgb()[:3], back.getRgb()[:3], strict=True))
    return QColor(red, green, blue)


class _Dim(QLabel):
    """A label in a faint colour that follows the theme, which napari's style sheet brings into the palette."""

    def changeEvent(self, event: QEvent | None) -> None:
        """Take the colour of the widget around it, fainter."""
        super().changeEvent(event)
        if event is not None and event.type() in (QEvent.Type.PaletteChange, QEvent.Type.ParentChange):
            self._fade()

    def showEvent(self, event: QShowEvent | None) -> None:
        """Fade the text when it is shown: the label is polished only now."""
        super().showEvent(event)
        self._fade()

    def _fade(self) -> None:
        around = self.parentWidget()
        if around is not None:
            sheet = f"QLabel {{ color: {faint(around.palette()).name()}; }}"
            if sheet != self.styleSheet():
                self.setStyleSheet(sheet)


class ElidedLabel(QElidingLabel):
    """A line of text that loses its middle where there is no room; the tooltip has all of it."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setElideMode(Qt.TextElideMode.ElideMiddle)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)

    def setText(self, text: str | None) -> None:
        """Show a text."""
        super().setText(text or "")
        self.setToolTip(text or "")


def duration(seconds: float) -> str:
    """A duration as text: "8 s", "2 min 05 s", "1 h 20 min"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def size(n_bytes: float) -> str:
    """A number of bytes as text: "3.4 MB"."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if n_bytes < 1000:
            return f"{n_bytes:.0f} {unit}" if unit == "bytes" else f"{n_bytes:.1f} {unit}"
        n_bytes /= 1000
    return f"{n_bytes:.1f} TB"


def shape_text(shape: Sequence[int]) -> str:
    """Lengths as text: "64 × 192 × 192"."""
    return " × ".join(map(str, shape))


def voxels(shape: Sequence[int]) -> str:
    """A shape as text: "1 × 512 × 512 voxels"."""
    return f"{shape_text(shape)} voxels"
