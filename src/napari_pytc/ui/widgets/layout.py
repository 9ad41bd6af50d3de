"""Rows, groups and scrolled panels, and the order in which the Tab key walks through them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from qtpy.QtCore import QSize, Qt
from qtpy.QtWidgets import (
    QFormLayout,
    QFrame,
    QGroupBox,
    QHBoxLayout,
    QLayout,
    QListWidget,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

MARGIN = 6


def section(title: str) -> tuple[QGroupBox, QVBoxLayout]:
    """A titled group and its layout."""
    box = QGroupBox(title)
    layout = QVBoxLayout(box)
    layout.setContentsMargins(MARGIN, MARGIN, MARGIN, MARGIN)
    layout.setSpacing(4)
    return box, layout


def row(*widgets: QWidget | int) -> QHBoxLayout:
    """Widgets side by side; an int is a stretch."""
    layout = QHBoxLayout()
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(4)
    for widget in widgets:
        if isinstance(widget, int):
            layout.addStretch(widget)
        else:
            layout.addWidget(widget)
    return layout


def line_up(*forms: QFormLayout) -> None:
    """Let the fields of several forms, one below the other, begin at the same place; to be called when they are shown.

    Before that neither the theme's font nor the width of the labels in it is known.
    """
    labels = [
        label
        for form in forms
        for number in range(form.rowCount())
        if (item := form.itemAt(number, QFormLayout.ItemRole.LabelRole)) is not None
        and (label := item.widget()) is not None
    ]
    for label in labels:
        label.ensurePolished()
    width = max((label.sizeHint().width() for label in labels), default=0)
    for label in labels:
        label.setMinimumWidth(width)


def column(panel: QWidget, *parts: QWidget) -> QVBoxLayout:
    """Lay out the parts of a panel one below the other, at its top."""
    layout = QVBoxLayout(panel)
    layout.setContentsMargins(MARGIN, MARGIN, MARGIN, MARGIN)
    for part in parts:
        layout.addWidget(part)
    layout.addStretch(1)
    return layout


def stack(*parts: QWidget, spacing: int = 4) -> QVBoxLayout:
    """Widgets one below the other, without a margin."""
    layout = QVBoxLayout()
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(spacing)
    for part in parts:
        layout.addWidget(part)
    return layout


def form(*rows: tuple[str, QWidget]) -> QFormLayout:
    """Fields with their titles at the left, without a margin, as wide as there is room."""
    layout = QFormLayout()
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(4)  # set, as it would depend on the layout around it: forms would not line up
    layout.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
    for title, field in rows:
        layout.addRow(title, field)
    return layout


def clear(layout: QLayout) -> None:
    """Delete all widgets of a layout."""
    while (item := layout.takeAt(0)) is not None:
        if (widget := item.widget()) is not None:
            widget.hide()
            widget.deleteLater()


class Scrolled(QScrollArea):
    """A panel that scrolls up and down, never sideways."""

    def __init__(self, inside: QWidget, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setWidget(inside)

    def minimumSizeHint(self) -> QSize:
        """As wide as the content's size hint, and low."""
        inside = self.widget()
        width = inside.minimumSizeHint().width() if inside is not None else 0
        bar = self.verticalScrollBar()
        return QSize(width + (0 if bar is None else bar.sizeHint().width()), 120)


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
            inside = widget.widget() if isinstance(widget, QScrollArea) else widget
            inner = None if inside is None else inside.layout()
            if inner is None and widget.focusPolicy() & Qt.FocusPolicy.TabFocus:
                yield widget
        if inner is not None:
            yield from _controls(inner)


def fit_height(shown: QListWidget, n_lines: int, most: int) -> None:
    """Make a list as high as its lines, of which it scrolls through more than `most`."""
    height = max(shown.sizeHintForRow(0), shown.fontMetrics().height() + 4)
    shown.setFixedHeight(height * max(1, min(n_lines, most)) + 2 * shown.frameWidth() + 2)
