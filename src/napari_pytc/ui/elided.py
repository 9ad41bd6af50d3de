"""Lines of text that lose their middle where there is no room."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtGui import QFontMetrics, QResizeEvent
from qtpy.QtWidgets import QLabel, QPushButton, QSizePolicy, QWidget

_LEAST, _PADDING = 40, 12


def _shortened(text: str, metrics: QFontMetrics, room: int) -> str:
    return metrics.elidedText(text, Qt.TextElideMode.ElideMiddle, max(_LEAST, room))


class ElidedLabel(QLabel):
    """A line of text; the tooltip has all of it."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.full_text = ""
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)

    def show_text(self, text: str) -> None:
        """Show a text."""
        self.full_text = text
        self.setToolTip(text)
        self.setText(_shortened(text, self.fontMetrics(), self.width() - _PADDING))

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Shorten the text to the room there is."""
        super().resizeEvent(event)
        self.setText(_shortened(self.full_text, self.fontMetrics(), self.width() - _PADDING))


class ElidedButton(QPushButton):
    """A button with a text of any length, which begins at its left; its icon, if any, comes before."""

    def __init__(self, text: str = "", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setStyleSheet("QPushButton { text-align: left; padding: 3px 6px; }")
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.show_text(text)

    def show_text(self, text: str) -> None:
        """Show a text."""
        self.full_text = text
        self._shorten()

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Shorten the text to the room there is."""
        super().resizeEvent(event)
        self._shorten()

    def _shorten(self) -> None:
        beside = 0 if self.icon().isNull() else self.iconSize().width() + 4
        self.setText(_shortened(self.full_text, self.fontMetrics(), self.width() - 2 * _PADDING - beside))
