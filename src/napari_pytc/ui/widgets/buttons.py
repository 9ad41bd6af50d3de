"""Buttons as all panels have them, and why they cannot be pressed."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QColor, QResizeEvent, QShowEvent
from qtpy.QtWidgets import (
    QAbstractButton,
    QColorDialog,
    QFrame,
    QHBoxLayout,
    QPushButton,
    QSizePolicy,
    QTabWidget,
    QToolButton,
    QWidget,
)

_LEAST_WIDTH, _PADDING = 40, 12


def allow(button: QAbstractButton, reason: str, tooltip: str) -> None:
    """Enable a button, or disable it with the reason as its tooltip.

    Parameters
    ----------
    reason : str
        The reason; empty if the button can be used now.
    tooltip : str
        Description of the button's action.
    """
    button.setEnabled(not reason)
    button.setToolTip(f"{tooltip}\n\nNot now: {reason}" if reason else tooltip)


def main_button(text: str) -> QPushButton:
    """The button that a panel is there for."""
    button = QPushButton(text)
    button.setStyleSheet("QPushButton { font-weight: bold; padding: 7px; }")
    return button


def button_group(buttons: Sequence[QAbstractButton]) -> QWidget:
    """Checkable buttons of which one is chosen, as one control, the chosen one bold and in the theme's accent."""
    control = QFrame()
    control.setObjectName("pytcSegments")
    layout = QHBoxLayout(control)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(1)
    control.setStyleSheet(
        "#pytcSegments QPushButton { border-radius: 2px; padding: 4px 2px; }"
        "#pytcSegments QPushButton:checked { font-weight: bold; }"
    )
    for button in buttons:
        layout.addWidget(button)
    return control


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
        room = max(_LEAST_WIDTH, self.width() - 2 * _PADDING - beside)
        self.setText(self.fontMetrics().elidedText(self.full_text, Qt.TextElideMode.ElideMiddle, room))


class ColourButton(QToolButton):
    """A square of a colour; a click chooses another."""

    picked = Signal(str)

    def __init__(self, colour: str, name: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._colour, self._name = colour, name
        self.setFixedSize(22, 22)
        self.setToolTip(f"Colour of {name}; click to choose another.")
        self.set_colour(colour)
        self.clicked.connect(self._choose)

    @property
    def colour(self) -> str:
        """Colour as #rrggbb."""
        return self._colour

    def set_colour(self, colour: str) -> None:
        """Show a colour; `picked` is not emitted."""
        self._colour = colour
        self.setStyleSheet(f"QToolButton {{ background: {colour}; border: 1px solid palette(mid); }}")

    def _choose(self) -> None:
        found = QColorDialog.getColor(QColor(self._colour), self.window(), f"Colour of {self._name}")
        if found.isValid():
            self.set_colour(found.name())
            self.picked.emit(found.name())


class GoTo(QPushButton):
    """Brings another panel of the workspace to the front; not seen where the panel is a dock of its own.

    Parameters
    ----------
    panel : str
        The title of its tab.
    text : str
        On the button.
    """

    def __init__(self, panel: str, text: str = "", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.aim(panel, text)
        self.clicked.connect(self._go)

    def aim(self, panel: str, text: str = "") -> None:
        """Set the panel that the button opens."""
        self._panel = panel
        self.setText(text or f"Go to {panel}")
        self.setToolTip(f"Open the {panel} panel.")

    def showEvent(self, event: QShowEvent | None) -> None:
        """Hide the button where there are no tabs."""
        super().showEvent(event)
        if self._tabs() is None:
            self.hide()

    def _tabs(self) -> QTabWidget | None:
        around = self.parentWidget()
        while around is not None and not isinstance(around, QTabWidget):
            around = around.parentWidget()
        return around

    def _go(self) -> None:
        tabs = self._tabs()
        if tabs is not None:
            titles = [tabs.tabText(index) for index in range(tabs.count())]
            tabs.setCurrentIndex(next((k for k, title in enumerate(titles) if title.startswith(self._panel)), -1))
