"""The switch of live learning and the chip beside it."""

from __future__ import annotations

from qtpy.QtGui import QFont
from qtpy.QtWidgets import QLabel, QWidget
from superqt import QToggleSwitch

from napari_pytc.ui.live.words import Tone

_TINTS: dict[Tone, str] = {
    "plain": "128, 128, 128",
    "busy": "66, 133, 244",
    "good": "46, 160, 67",
    "wait": "214, 147, 20",
    "bad": "218, 54, 51",
}


class Switch(QToggleSwitch):
    """A switch that the Tab key reaches, with a bold name."""

    def __init__(self, text: str, parent: QWidget | None = None) -> None:
        super().__init__(text, parent)
        font = QFont(self.font())
        font.setBold(True)
        self.setFont(font)


class Chip(QLabel):
    """A word on a tinted ground; the tint lets the theme's own text colour stand."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._tone: Tone | None = None

    def say(self, text: str, tone: Tone) -> None:
        """Show a word."""
        self.setText(text)
        if tone != self._tone:
            self._tone = tone
            self.setStyleSheet(
                f"QLabel {{ background: rgba({_TINTS[tone]}, 90); border: 1px solid rgb({_TINTS[tone]});"
                " border-radius: 8px; padding: 1px 8px; }"
            )
