"""A line that opens the content below it."""

from __future__ import annotations

from qtpy.QtCore import QEvent, Qt
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QSizePolicy, QWidget
from superqt import QCollapsible

_OPEN, _CLOSED = "▾", "▸"
_STYLE = "QPushButton { text-align: left; border: none; background: transparent; padding: 2px; }"
_ANY_HEIGHT = 2**24 - 1


class Fold(QCollapsible):
    """A `QCollapsible` without animation, whose content may grow and shrink while it is open.

    Parameters
    ----------
    title : str
        On the line.
    inside : QWidget
        The content that is folded.
    """

    def __init__(self, title: str, inside: QWidget, is_open: bool = False, parent: QWidget | None = None) -> None:
        super().__init__(title, parent, _OPEN, _CLOSED)
        self.toggleButton().setStyleSheet(_STYLE)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Preferred)
        self.setDuration(0)
        empty, layout = self.content(), self.layout()
        assert layout is not None
        layout.removeWidget(empty)
        empty.deleteLater()
        layout.setAlignment(Qt.AlignmentFlag(0))  # aligned, it would take no notice of the content's height for width
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        self.setContent(inside)
        self.toggled.connect(self._show_content)
        self._show_content(False)
        if is_open:
            self.expand()

    def changeEvent(self, event: QEvent | None) -> None:
        """Follow the theme."""
        super().changeEvent(event)
        if event is not None and event.type() == QEvent.Type.PaletteChange:
            self._draw_arrows()

    def showEvent(self, event: QShowEvent | None) -> None:
        """Follow the theme, which is known only now."""
        super().showEvent(event)
        self._draw_arrows()

    def _draw_arrows(self) -> None:
        """Draw the arrows in the colour of the text; superqt draws them once, before the theme is known."""
        self.toggleButton().ensurePolished()
        self.setExpandedIcon(_OPEN)
        self.setCollapsedIcon(_CLOSED)

    def _show_content(self, is_open: bool) -> None:
        """Let the content have the height of its size hint: superqt fixes it at the present one."""
        self.content().setVisible(is_open)
        self.content().setMaximumHeight(_ANY_HEIGHT)
