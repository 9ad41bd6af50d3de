"""One slider from fewer, larger segments to more, smaller ones."""

from __future__ import annotations

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QWheelEvent
from qtpy.QtWidgets import QLabel, QSlider, QVBoxLayout, QWidget

from napari_pytc.settings import Settings
from napari_pytc.ui.forms.fields import bounds_of
from napari_pytc.ui.parts import row, wrapped

_STEPS = 100


class _Slider(QSlider):
    """Scrolls the panel, unless it has the focus."""

    def wheelEvent(self, event: QWheelEvent | None) -> None:
        """As number boxes do."""
        if self.hasFocus():
            super().wheelEvent(event)
        elif event is not None:
            event.ignore()


class MergeSlider(QWidget):
    """A number of a decoder's settings that groups supervoxels: low is fewer and larger, high more and smaller.

    It steps in hundredths of its range and never reaches bounds that are excluded.
    """

    moved = Signal(float)
    """The new value."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._low, self._high = 0.0, 1.0
        self.title = QLabel()
        self.number = QLabel()
        self.number.setObjectName("mergeNumber")
        self.slider = _Slider(Qt.Orientation.Horizontal)
        self.slider.setObjectName("mergeSlider")
        self.slider.setRange(0, _STEPS)
        self.slider.setPageStep(5)
        self.slider.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.title.setBuddy(self.slider)
        few, many = wrapped("fewer, larger", dim=True), wrapped("more, smaller", dim=True)
        many.setAlignment(Qt.AlignmentFlag.AlignRight)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(1)
        layout.addLayout(row(self.title, 1, self.number))
        layout.addWidget(self.slider)
        layout.addLayout(row(few, many))
        self.slider.valueChanged.connect(self._on_moved)

    @property
    def value(self) -> float:
        """The number it stands at."""
        return round(self._low + (self._high - self._low) * self.slider.value() / _STEPS, 6)

    def aim(self, model: type[Settings], name: str, value: float) -> None:
        """Stand for a field of a settings model, at a value; tells nobody."""
        field = model.model_fields[name]
        low, high = bounds_of(field, whole=False)
        self._low, self._high = 0.0 if low is None else low, 1.0 if high is None else high
        self.slider.blockSignals(True)
        margin = 1 if any(type(rule).__name__ in ("Gt", "Lt") for rule in field.metadata) else 0
        self.slider.setRange(margin, _STEPS - margin)
        self.slider.setValue(round((value - self._low) / (self._high - self._low) * _STEPS))
        self.slider.blockSignals(False)
        self.title.setText(field.title or name)
        tip = f"{field.description}\n\n{name}"
        for widget in (self.title, self.slider, self.number):
            widget.setToolTip(tip)
        self._show()

    def _on_moved(self) -> None:
        self._show()
        self.moved.emit(self.value)

    def _show(self) -> None:
        self.number.setText(f"{self.value:.2f}")
