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
    """A flat button with a text of any length."""

    def __init__(self, text: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.full_text = text
        self.setFlat(True)
        self.setStyleSheet("QPushButton { text-align: left; padding: 3px; }")
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.setText(text)

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Shorten the text to the room there is."""
        super().resizeEvent(event)
        self.setText(_shortened(self.full_text, self.fontMetrics(), self.width() - _PADDING))
