"""One widget for each kind of value in a settings model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from qtpy.QtCore import QEvent, QObject, Qt, Signal
from qtpy.QtWidgets import QCheckBox, QComboBox, QHBoxLayout, QLineEdit, QSizePolicy, QWidget

from napari_pytc.ui.controls import Combo
from napari_pytc.ui.forms.numbers import NumberBox


class Editor(QWidget):
    """A value that can be edited.

    Attributes
    ----------
    problem : str
        Why what is typed is no value, as the rest of a sentence; empty if it is one.
    """

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._row = QHBoxLayout(self)
        self._row.setContentsMargins(0, 0, 0, 0)
        self._row.setSpacing(4)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)

    @property
    def problem(self) -> str:
        """See the class."""
        return ""

    def value(self) -> Any:
        """What is shown, not validated; meaningless while there is a `problem`."""
        raise NotImplementedError

    def set_value(self, value: Any) -> None:
        """Show a value."""
        raise NotImplementedError


class NumberEditor(Editor):
    """A whole number or any number."""

    def __init__(self, whole: bool, low: float | None, high: float | None, unit: str) -> None:
        super().__init__()
        self.box = NumberBox(whole, low, high, unit)
        self._row.addWidget(self.box)
        self.box.valueChanged.connect(self.changed)
        self.setFocusProxy(self.box)

    def value(self) -> int | float:
        """What is shown."""
        return self.box.number

    def set_value(self, value: Any) -> None:
        """Show a value."""
        self.box.setValue(value)


class SwitchEditor(Editor):
    """Yes or no."""

    def __init__(self) -> None:
        super().__init__()
        self.box = QCheckBox()
        self._row.addWidget(self.box)
        self.box.toggled.connect(self.changed)
        self.setFocusProxy(self.box)

    def value(self) -> bool:
        """What is shown."""
        return self.box.isChecked()

    def set_value(self, value: Any) -> None:
        """Show a value."""
        self.box.setChecked(value)


class TextEditor(Editor):
    """A line of text."""

    def __init__(self) -> None:
        super().__init__()
        self.line = QLineEdit()
        self._row.addWidget(self.line)
        self.line.textChanged.connect(self.changed)
        self.setFocusProxy(self.line)

    def value(self) -> str:
        """What is shown."""
        return self.line.text()

    def set_value(self, value: Any) -> None:
        """Show a value."""
        self.line.setText(value)


class ChoiceEditor(Editor):
    """One of a few values."""

    def __init__(self, choices: Sequence[Any]) -> None:
        super().__init__()
        self.combo = narrow_combo()
        for choice in choices:
            self.combo.addItem(str(choice), choice)
        self._row.addWidget(self.combo)
        self.combo.currentIndexChanged.connect(self.changed)
        self.setFocusProxy(self.combo)

    def value(self) -> Any:
        """What is shown."""
        return self.combo.currentData()

    def set_value(self, value: Any) -> None:
        """Show a value."""
        self.combo.setCurrentIndex(self.combo.findData(value))


class NumbersEditor(Editor):
    """Numbers separated by commas.

    Parameters
    ----------
    whole : bool
        Whether all are whole.
    count : int, optional
        How many there must be.
    """

    def __init__(self, whole: bool, count: int | None = None) -> None:
        super().__init__()
        self._convert: Callable[[str], int | float] = int if whole else float
        self._kind = "whole numbers" if whole else "numbers"
        self._count = count
        self.line = QLineEdit()
        self.line.setPlaceholderText(f"{self._kind}, with commas")
        self._row.addWidget(self.line)
        self.line.textChanged.connect(self.changed)
        self.setFocusProxy(self.line)

    @property
    def problem(self) -> str:
        """See `Editor`."""
        try:
            found = self._parse()
        except ValueError:
            return f"must be {self._kind} separated by commas, got {self.line.text()!r}"
        if self._count is not None and len(found) != self._count:
            return f"must be {self._count} {self._kind}, got {len(found)}"
        return ""

    def value(self) -> tuple[int | float, ...]:
        """What is shown."""
        try:
            return self._parse()
        except ValueError:
            return ()

    def set_value(self, value: Any) -> None:
        """Show a value."""
        self.line.setText(", ".join(repr(number) for number in value))

    def _parse(self) -> tuple[int | float, ...]:
        return tuple(self._convert(part) for part in self.line.text().replace(";", ",").split(",") if part.strip())


class ShapeEditor(Editor):
    """Lengths in voxels along z, y and x."""

    def __init__(self) -> None:
        super().__init__()
        self.boxes = []
        for axis in "zyx":
            box = NumberBox(True, 1, None, "")
            box.setPrefix(f"{axis} ")
            # Three have to fit beside each other: no arrows, and not the width that napari's style sheet asks for.
            box.setButtonSymbols(NumberBox.ButtonSymbols.NoButtons)
            box.setStyleSheet("QDoubleSpinBox { min-width: 36px; padding: 1px 3px; }")
            box.setAccessibleName(axis)
            box.valueChanged.connect(self.changed)
            self._row.addWidget(box)
            self.boxes.append(box)
        self.setFocusProxy(self.boxes[0])

    def value(self) -> tuple[int | float, ...]:
        """What is shown."""
        return tuple(box.number for box in self.boxes)

    def set_value(self, value: Any) -> None:
        """Show a value."""
        for box, length in zip(self.boxes, value, strict=True):
            box.setValue(length)


class OptionalEditor(Editor):
    """A value or None: a check box before the value's own editor.

    Parameters
    ----------
    inner : Editor
        Of the value.
    start : object
        What is offered when the box is checked for the first time.
    """

    def __init__(self, inner: Editor, start: Any) -> None:
        super().__init__()
        self.box, self.inner = QCheckBox(), inner
        self.box.setToolTip("Check to set it; unchecked, it is left open.")
        self._row.addWidget(self.box)
        self._row.addWidget(inner, 1)
        inner.set_value(start)
        inner.setEnabled(False)
        self.box.toggled.connect(inner.setEnabled)
        self.box.toggled.connect(self.changed)
        inner.changed.connect(self.changed)
        self.setFocusProxy(self.box)

    @property
    def problem(self) -> str:
        """See `Editor`."""
        return self.inner.problem if self.box.isChecked() else ""

    def value(self) -> Any:
        """What is shown."""
        return self.inner.value() if self.box.isChecked() else None

    def set_value(self, value: Any) -> None:
        """Show a value."""
        if value is not None:
            self.inner.set_value(value)
        self.box.setChecked(value is not None)


class _WheelGuard(QObject):
    """Lets the wheel scroll the panel where it would change a value by accident."""

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Take no wheel unless the widget has the focus."""
        is_wheel = event is not None and event.type() == QEvent.Type.Wheel
        if event is None or not is_wheel or not isinstance(watched, QWidget) or watched.hasFocus():
            return False
        event.ignore()
        return True


def guard_wheel(widget: QWidget) -> None:
    """Change a widget's value by the wheel only where it has the focus."""
    widget.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
    widget.installEventFilter(_WheelGuard(widget))


def narrow_combo() -> QComboBox:
    """A combo box that shrinks with the panel and is not changed by scrolling over it."""
    combo = Combo()
    combo.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    combo.setMinimumContentsLength(8)
    combo.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
    guard_wheel(combo)
    return combo
