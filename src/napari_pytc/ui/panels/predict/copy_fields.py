"""Settings of test-time augmentation, folded, with the number of copies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QSizePolicy, QVBoxLayout, QWidget

from napari_pytc.ui.widgets.fold import Fold
from napari_pytc.ui.widgets.forms import SettingsForm
from napari_pytc.ui.widgets.forms.editors import ChoiceEditor, YamlEditor
from napari_pytc.ui.widgets.labels import wrapped

if TYPE_CHECKING:
    from napari_pytc.plans.test_time import TtaSettings

_TITLE = "Test-time augmentation"
_TIP = "Predict mirrored, turned and scaled copies of the image, too, and combine them: slower, a little better."


class CopyFields(QWidget):
    """A fold with the settings of test-time augmentation; its title tells how many copies there are."""

    changed = Signal()
    built = Signal()
    """The settings are there, and want their place in the order of the Tab key."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("copyFields")
        self.form: SettingsForm | None = None
        """None until the fold was opened, or a model that brings settings along was chosen."""
        self.about = wrapped(dim=True)
        self.about.setObjectName("copiesLabel")
        inside = QWidget()
        self._inside = QVBoxLayout(inside)
        self._inside.setContentsMargins(8, 0, 0, 0)
        self._inside.addWidget(self.about)
        self.fold = Fold(_TITLE, inside)
        self.fold.setObjectName("copiesFold")
        self.fold.toggleButton().setToolTip(_TIP)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.fold)
        # A dialog that is as small as may be would squeeze the fields that unfold.
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Minimum)
        self._brought: Mapping[str, Any] = {}
        self.fold.toggled.connect(self._build)

    def show_defaults(self, prediction: Mapping[str, Any]) -> None:
        """Show the settings that the chosen model brings along; those that a user chose stay with models like it.

        Parameters
        ----------
        prediction : mapping
            As a `ModelRecord` holds them.
        """
        brought = {name: prediction[name] for name in ("flips", "tta") if name in prediction}
        if brought == self._brought:
            return
        self._brought = brought
        from napari_pytc.plans.prediction_defaults import PredictionDefaults

        self._build()
        assert self.form is not None
        self.form.set_value(PredictionDefaults.model_validate(brought).plan.copies)

    @property
    def value(self) -> TtaSettings | None:
        """The settings as they are shown; None where nobody looked at them, and the model brings none along."""
        if self.form is None:
            return None
        value = self.form.value()
        from napari_pytc.plans.test_time import TtaSettings

        assert isinstance(value, TtaSettings)
        return value

    @property
    def problem(self) -> str:
        """What is wrong with the settings; empty where nothing is."""
        return self.form.problem if self.form is not None else ""

    # ---- private

    def _build(self) -> None:
        if self.form is not None:
            return
        # It takes a while to import.
        from napari_pytc.plans.test_time import TtaSettings

        self.form = SettingsForm(TtaSettings, editors={"flips": _MirrorEditor, "exceptions": _ExceptionEditor})
        self.form.setObjectName("ttaForm")
        self.form.changed.connect(self._tell)
        self._inside.insertWidget(0, self.form)
        self._tell()
        self.built.emit()

    def _tell(self) -> None:
        """Tell number and cost of copies."""
        value = None if self.problem else self.value
        if value is None or not value.is_used:
            self.fold.setText(_TITLE)
            self.about.setText("" if value is None else "No copies: the image is predicted once.")
        else:
            number = value.n_copies_text
            self.fold.setText(f"{_TITLE}: {number}")
            at_most = "up to" if number.startswith("up to") else "about"
            self.about.setText(f"{number[0].upper()}{number[1:]}: {at_most} {value.cost:.3g} times as long.")
        self.about.setVisible(bool(self.about.text()))
        self.changed.emit()


class _MirrorEditor(ChoiceEditor):
    """Which mirrored copies there are; a list of them is a choice once it is shown."""

    _TITLES = ("none", "plane", "all")

    def __init__(self) -> None:
        super().__init__(self._TITLES)

    def set_value(self, value: Any) -> None:
        """Show a value."""
        texts = [self.combo.itemText(number) for number in range(self.combo.count())]
        text = value if isinstance(value, str) else ", ".join(value)
        if text not in texts:
            self.combo.addItem(text, list(value))
        self.combo.setCurrentText(text)


class _ExceptionEditor(YamlEditor):
    """Channels whose copies are combined in another way, as text."""

    def __init__(self) -> None:
        super().__init__()
        self.line.setPlaceholderText("none")

    @property
    def problem(self) -> str:
        """See `Editor`."""
        example = "[{channels: 0:3, combine: min}]"
        return f"must be a list as {example}, got {self.line.text()!r}" if super().problem else ""
