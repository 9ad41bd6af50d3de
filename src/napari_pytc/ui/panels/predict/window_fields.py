"""Settings of overlapping windows, for models that predict in these."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QSizePolicy, QVBoxLayout, QWidget

from napari_pytc.ui.widgets.forms import SettingsForm
from napari_pytc.ui.widgets.labels import wrapped

if TYPE_CHECKING:
    from napari_pytc.plans.windows import WindowSettings

_SIMPLE = ("overlap", "average")


class WindowFields(QWidget):
    """Tells that a model predicts in windows, with their settings; nothing of a model of exact tiles."""

    changed = Signal()
    built = Signal()
    """The settings are there, and want their place in the order of the Tab key."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("windowFields")
        self.about = wrapped(dim=True)
        self.about.setObjectName("tilingLabel")
        self.form: SettingsForm | None = None
        """None until a model that predicts in windows was chosen."""
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.about)
        # A dialog that is as small as may be would squeeze the fields that unfold.
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Minimum)
        self._is_used = False
        self._brought: Any = None
        self.hide()

    def show_tiling(self, tiling: str, prediction: Mapping[str, Any] = {}) -> None:
        """Show the settings for a model that predicts so, and what it brings along, as a `ModelRecord` tells it."""
        self._is_used = tiling.startswith("overlapping windows")
        self.about.setText(f"Predicts in {tiling}: slower than exact tiles." if self._is_used else "")
        if self._is_used and self.form is None:
            # It takes a while to import.
            from napari_pytc.plans.windows import WindowSettings

            self.form = SettingsForm(WindowSettings, simple=_SIMPLE)
            self.form.setObjectName("windowsForm")
            self.form.changed.connect(self.changed)
            layout = self.layout()
            assert layout is not None
            layout.addWidget(self.form)
            self.built.emit()
        brought = prediction.get("windows")
        if self._is_used and self.form is not None and brought != self._brought:
            from napari_pytc.plans.windows import WindowSettings

            self._brought = brought
            self.form.set_value(WindowSettings.model_validate(brought or {}))
        self.setVisible(self._is_used)

    @property
    def value(self) -> WindowSettings | None:
        """The settings as they are shown; None for a model of exact tiles."""
        if self.form is None or not self._is_used:
            return None
        value = self.form.value()
        from napari_pytc.plans.windows import WindowSettings

        assert isinstance(value, WindowSettings)
        return value

    @property
    def problem(self) -> str:
        """What is wrong with the settings; empty where nothing is."""
        return self.form.problem if self.form is not None and self._is_used else ""
