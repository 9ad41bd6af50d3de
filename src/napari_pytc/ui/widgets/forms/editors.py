"""One widget for each kind of value in a settings model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import yaml
from magicgui.widgets import create_widget
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QHBoxLayout, QLineEdit, QSizePolicy, QWidget

from napari_pytc.settings import short_form
from napari_pytc.ui.widgets.choices import Combo
from napari_pytc.ui.widgets.forms.numbers import NumberBox

_TEXT_WIDTH, _NUMBERS_WIDTH = 180, 90


class Editor(QWidget):
    """A value that can be edited.

    Attributes
    ----------
    problem : str
        Reason why the text is no value, as the rest of a sentence; empty if it is one.
    """

    changed = Signal()
    is_wide: ClassVar[bool] = False
    """Whether it stands below its title instead of beside it."""

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
        """The value that is shown, not validated; meaningless while there is a `problem`."""
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
        """The value that is shown."""
        return self.box.number

    def set_value(self, value: Any) -> None:
        """Show a value."""
        self.box.setValue(value)


class ValueEditor(Editor):
    """A switch or a line of text: the widget that magicgui has for a type.

    Numbers and choices have widgets of our own: magicgui's spin boxes round to their decimals, and its combo boxes
    widen the panel.

    Parameters
    ----------
    kind : type
        Of the value: bool or str.
    """

    def __init__(self, kind: type[bool] | type[str]) -> None:
        super().__init__()
        widget: Any = create_widget(annotation=kind)
        self.widget = widget
        self._row.addWidget(widget.native)
        widget.changed.connect(self._on_changed)
        self.setFocusProxy(widget.native)

    def value(self) -> Any:
        """The value that is shown."""
        return self.widget.value

    def set_value(self, value: Any) -> None:
        """Show a value."""
        self.widget.value = value

    def _on_changed(self, value: object) -> None:
        self.changed.emit()


class ChoiceEditor(Editor):
    """One of a few values."""

    def __init__(self, choices: Sequence[Any]) -> None:
        super().__init__()
        self.combo = Combo()
        for choice in choices:
            self.combo.addItem(str(choice), choice)
        self._row.addWidget(self.combo)
        self.combo.currentIndexChanged.connect(self.changed)
        self.setFocusProxy(self.combo)

    def value(self) -> Any:
        """The value that is shown."""
        return self.combo.currentData()

    def set_value(self, value: Any) -> None:
        """Show a value."""
        self.combo.setCurrentIndex(self.combo.findData(value))


class SequenceEditor(Editor):
    """Values in one line of text; a subclass reads and writes it.

    Parameters
    ----------
    placeholder : str
        What is shown while the line is empty.
    width : int
        Least width of the line, in pixels.
    """

    def __init__(self, placeholder: str, width: int) -> None:
        super().__init__()
        self.line = QLineEdit()
        self.line.setPlaceholderText(placeholder)
        self.line.setMinimumWidth(width)
        self._row.addWidget(self.line)
        self.line.textChanged.connect(self.changed)
        self.setFocusProxy(self.line)

    def value(self) -> tuple[Any, ...]:
        """The values that are shown; none where the text has a problem."""
        try:
            return self._parse()
        except ValueError:
            return ()

    def set_value(self, value: Any) -> None:
        """Show values."""
        self.line.setText(self._text(value))
        self.line.setCursorPosition(0)

    def _parse(self) -> tuple[Any, ...]:
        raise NotImplementedError

    def _text(self, value: Any) -> str:
        raise NotImplementedError


class NumbersEditor(SequenceEditor):
    """Numbers separated by commas.

    Parameters
    ----------
    whole : bool
        Whether all are whole.
    count : int, optional
        Required number of values.
    """

    def __init__(self, whole: bool, count: int | None = None) -> None:
        self._convert: Callable[[str], int | float] = int if whole else float
        self._kind = "whole numbers" if whole else "numbers"
        self._count = count
        super().__init__(f"{self._kind}, with commas", _NUMBERS_WIDTH)

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

    def _text(self, value: Any) -> str:
        return ", ".join(repr(number) for number in value)

    def _parse(self) -> tuple[int | float, ...]:
        return tuple(self._convert(part) for part in self.line.text().replace(";", ",").split(",") if part.strip())


class YamlEditor(Editor):
    """A list of settings as the text that recipes and the command line take."""

    def __init__(self) -> None:
        super().__init__()
        self.line = QLineEdit()
        self.line.setPlaceholderText("none; as on the command line, for example [dice, ce]")
        self.line.setMinimumWidth(_TEXT_WIDTH)  # on a narrow panel the form then gives it a line of its own
        self._row.addWidget(self.line)
        self.line.textChanged.connect(self.changed)
        self.setFocusProxy(self.line)

    @property
    def problem(self) -> str:
        """See `Editor`."""
        try:
            self._parse()
        except yaml.YAMLError:
            return f"must be a list as in a recipe, for example [dice, ce], got {self.line.text()!r}"
        return ""

    def value(self) -> Any:
        """The list that is shown."""
        try:
            return self._parse()
        except yaml.YAMLError:
            return []

    def set_value(self, value: Any) -> None:
        """Show a list, in its shortest form."""
        text = yaml.safe_dump(short_form(value), default_flow_style=True, sort_keys=False, width=10**6)
        self.line.setText(text.strip() if value else "")
        self.line.setCursorPosition(0)

    def _parse(self) -> Any:
        return yaml.safe_load(self.line.text()) or []


class ShapeEditor(Editor):
    """Lengths in voxels along z, y and x."""

    def __init__(self) -> None:
        super().__init__()
        self.boxes = []
        for axis in "zyx":
            box = NumberBox(True, 1, None, "")
            box.setPrefix(f"{axis} ")
            # Three have to fit beside each other: no arrows, and not the width that napari's style sheet sets.
            box.setButtonSymbols(NumberBox.ButtonSymbols.NoButtons)
            box.setStyleSheet("QDoubleSpinBox { min-width: 36px; padding: 1px 3px; }")
            box.setAccessibleName(axis)
            box.valueChanged.connect(self.changed)
            self._row.addWidget(box)
            self.boxes.append(box)
        self.setFocusProxy(self.boxes[0])

    def value(self) -> tuple[int | float, ...]:
        """The value that is shown."""
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
        The value that is shown when the box is checked for the first time.
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
        """The value that is shown."""
        return self.inner.value() if self.box.isChecked() else None

    def set_value(self, value: Any) -> None:
        """Show a value."""
        if value is not None:
            self.inner.set_value(value)
        self.box.setChecked(value is not None)
