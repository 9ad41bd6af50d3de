"""A spin box that keeps numbers exactly as they are."""

from __future__ import annotations

import math
from typing import ClassVar

from qtpy.QtCore import QSize, Qt
from qtpy.QtGui import QValidator, QWheelEvent
from qtpy.QtWidgets import QDoubleSpinBox, QSizePolicy

_LARGEST_WHOLE = 2**53
_LARGEST = 1e300


class NumberBox(QDoubleSpinBox):
    """A number in its shortest form ("0.002", "1e-05"); Qt's own box would round it to some decimals.

    Its steps follow the number's size: 400 -> 410, 0.002 -> 0.0021. The wheel changes it only where it has the focus,
    so that a panel can be scrolled over it.

    Parameters
    ----------
    whole : bool
        Whether it counts something.
    low, high : float, optional
        Bounds, both allowed.
    unit : str
        Shown behind the number.
    """

    _CHARACTERS: ClassVar[int] = 6

    def __init__(self, whole: bool, low: float | None, high: float | None, unit: str) -> None:
        super().__init__()
        self._whole = whole
        largest = _LARGEST_WHOLE if whole else _LARGEST
        # As many decimals as a double can need, or Qt would round.
        self.setDecimals(0 if whole else 323)
        self.setRange(-largest if low is None else low, largest if high is None else high)
        self._is_share = (low, high) == (0, 1) and not whole
        self.setKeyboardTracking(True)
        self.setCorrectionMode(QDoubleSpinBox.CorrectionMode.CorrectToPreviousValue)
        self._unit = unit
        self.valueChanged.connect(self._show_unit)
        self._show_unit(self.value())
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setStyleSheet("QDoubleSpinBox { padding: 1px 3px; }")  # napari's theme cuts "1024 MB" in a narrow panel

    @property
    def number(self) -> int | float:
        """The value, as int where it is whole by kind."""
        return round(self.value()) if self._whole else self.value()

    def textFromValue(self, value: float) -> str:
        """The shortest text that gives the same number again."""
        if self._whole or (value == int(value) and abs(value) < 1e6):
            return str(int(value))
        return repr(value)

    def valueFromText(self, text: str | None) -> float:
        """The number in a text; with a point or a comma, also "1e-5"."""
        number = _read(self._bare(text or ""))
        return self.value() if number is None else number

    def validate(self, text: str | None, position: int) -> tuple[QValidator.State, str, int]:
        """Whether the text is a number within the bounds, or could become one."""
        text = text or ""
        bare = self._bare(text)
        number = _read(bare)
        state = QValidator.State.Acceptable
        if number is None:
            may_become = all(c in "0123456789+-.,eE" for c in bare)
            state = QValidator.State.Intermediate if may_become else QValidator.State.Invalid
        elif self._whole and not bare.lstrip("+-").isdecimal():
            state = QValidator.State.Invalid
        elif not self.minimum() <= number <= self.maximum():
            state = QValidator.State.Intermediate
        return state, text, position

    def stepBy(self, steps: int) -> None:
        """A tenth of the number's size, or a twentieth of the way from 0 to 1."""
        value = self.value()
        if self._is_share:
            exponent, step = -2, 0.05
        else:
            size = abs(value) if value else (1.0 if self._whole else 0.1)
            exponent = math.floor(math.log10(size)) - 1
            if self._whole:
                exponent = max(0, exponent)
            step = 10.0**exponent
        self.setValue(round(value + steps * step, -exponent))
        self.selectAll()

    def wheelEvent(self, event: QWheelEvent | None) -> None:
        """Scroll the panel instead, unless the box has the focus."""
        if self.hasFocus():
            super().wheelEvent(event)
        elif event is not None:
            event.ignore()

    def sizeHint(self) -> QSize:
        """Room for a usual number and its unit, not for the largest number."""
        return self._room("0" * self._CHARACTERS + self.suffix())

    def minimumSizeHint(self) -> QSize:
        """Room for a short number and its unit; where there is less, a form puts the number below its title."""
        return self._room("0" * (3 if self.suffix() else 4) + self.suffix())

    def _show_unit(self, value: float) -> None:
        """Words are in the singular after 1: "1 minute", "2 minutes", but "1 s"."""
        is_one = value == 1 and self._unit.endswith("s") and len(self._unit) > 2
        self.setSuffix(f" {self._unit[:-1] if is_one else self._unit}" if self._unit else "")

    def _room(self, text: str) -> QSize:
        arrows = 0 if self.buttonSymbols() == QDoubleSpinBox.ButtonSymbols.NoButtons else 40
        width = self.fontMetrics().horizontalAdvance(self.prefix() + text) + arrows + 16
        return QSize(width, super().sizeHint().height())

    def _bare(self, text: str) -> str:
        return text.removeprefix(self.prefix()).removesuffix(self.suffix()).strip()


def _read(text: str) -> float | None:
    try:
        number = float(text.replace(",", "."))
    except ValueError:
        return None
    return number if math.isfinite(number) and "_" not in text else None
