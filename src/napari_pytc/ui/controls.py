"""Buttons, bars and choices as all panels have them, and the order in which the Tab key walks through them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from qtpy.QtCore import Qt
from qtpy.QtGui import QPaintEvent, QShowEvent
from qtpy.QtWidgets import (
    QAbstractButton,
    QComboBox,
    QFrame,
    QHBoxLayout,
    QLayout,
    QProgressBar,
    QPushButton,
    QSizePolicy,
    QStyle,
    QStyleOptionComboBox,
    QStylePainter,
    QTabWidget,
    QWidget,
)

_BESIDE_TEXT = 6


class Bar(QProgressBar):
    """A progress bar that is painted with the rest of the window.

    Qt's own is painted within `setValue`, and the whole canvas with it: that takes 50 ms and more.
    """

    def setValue(self, value: int) -> None:
        """Show a value with the next painting."""
        self.setUpdatesEnabled(False)
        super().setValue(value)
        self.setUpdatesEnabled(True)

    def setRange(self, minimum: int, maximum: int) -> None:
        """Show a range with the next painting."""
        if (minimum, maximum) != (self.minimum(), self.maximum()):
            self.setUpdatesEnabled(False)
            super().setRange(minimum, maximum)
            self.setUpdatesEnabled(True)


class Combo(QComboBox):
    """Shortens the middle of an entry that is wider than the box, where Qt would cut off its end."""

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw box and text."""
        option = QStyleOptionComboBox()
        self.initStyleOption(option)
        if self.currentIndex() < 0 and self.placeholderText():
            option.currentText = self.placeholderText()
        style = self.style()
        assert style is not None
        part = QStyle.SubControl.SC_ComboBoxEditField
        room = style.subControlRect(QStyle.ComplexControl.CC_ComboBox, option, part, self).width()
        middle = Qt.TextElideMode.ElideMiddle
        option.currentText = self.fontMetrics().elidedText(option.currentText, middle, room - _BESIDE_TEXT)
        painter = QStylePainter(self)
        painter.drawComplexControl(QStyle.ComplexControl.CC_ComboBox, option)
        painter.drawControl(QStyle.ControlElement.CE_ComboBoxLabel, option)


def elastic(combo: QComboBox) -> QComboBox:
    """Let a combo box be narrower than its longest entry, which is then elided."""
    combo.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    combo.setMinimumContentsLength(8)
    combo.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
    return combo


def main_button(text: str) -> QPushButton:
    """The button that a panel is there for."""
    button = QPushButton(text)
    button.setStyleSheet("QPushButton { font-weight: bold; padding: 7px; }")
    return button


def segments(buttons: Sequence[QAbstractButton]) -> QWidget:
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


def order_tabs(root: QWidget) -> None:
    """Let the Tab key walk through the controls in the order of the layout, also those that were added later."""
    layout = root.layout()
    if layout is not None:
        for before, after in pairwise(_controls(layout)):
            QWidget.setTabOrder(before, after)


def _controls(layout: QLayout) -> Iterator[QWidget]:
    for index in range(layout.count()):
        item = layout.itemAt(index)
        assert item is not None
        widget, inner = item.widget(), item.layout()
        if widget is not None:
            inner = widget.layout()
            if inner is None and widget.focusPolicy() & Qt.FocusPolicy.TabFocus:
                yield widget
        if inner is not None:
            yield from _controls(inner)


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
        """Lead to another panel."""
        self._panel = panel
        self.setText(text or f"Go to {panel}")
        self.setToolTip(f"Open the {panel} panel.")

    def showEvent(self, event: QShowEvent | None) -> None:
        """Not without tabs."""
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
