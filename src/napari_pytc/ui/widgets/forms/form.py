"""A form made from a settings model: its text, units and bounds are the form's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic import ValidationError
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QLineEdit, QVBoxLayout, QWidget

from napari_pytc.errors import InvalidInput, PytcError
from napari_pytc.settings import Settings
from napari_pytc.ui.widgets.fold import Fold
from napari_pytc.ui.widgets.forms.editors import Editor
from napari_pytc.ui.widgets.forms.fields import editable_fields, kept_fields
from napari_pytc.ui.widgets.forms.rows import Rows
from napari_pytc.ui.widgets.labels import wrapped

_FEW = 8
"""Number of fields up to which there is no search."""


class SettingsForm(QWidget):
    """All settings of a model, the simple ones first, the rest in a fold that can be searched.

    Parameters
    ----------
    model : type of Settings
        The model of the settings to edit.
    value : Settings, optional
        The settings that are shown at first; by default the model's defaults.
    simple : sequence of str
        Fields that are always shown; without any, all are.
    hidden : sequence of str
        Fields that are kept as they are.
    editors : mapping of str to callable
        Makes the editor of a field, where another one is wanted than suits its type.
    path : str
        Dotted name of the model in the settings it is part of, as "target".
    """

    changed = Signal()

    def __init__(
        self,
        model: type[Settings],
        value: Settings | None = None,
        simple: Sequence[str] = (),
        hidden: Sequence[str] = (),
        parent: QWidget | None = None,
        editors: Mapping[str, Callable[[], Editor]] = {},
        path: str = "",
    ) -> None:
        super().__init__(parent)
        self._model, self._hidden = model, (*hidden, *kept_fields(model))
        names = [name for name in editable_fields(model) if name not in hidden]
        rest = [name for name in names if name not in simple]
        self._parts = [Rows(model, simple or rest, path, editors)]
        self._problem_label = wrapped()
        self._problem_label.setObjectName("settingsProblem")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._parts[0])
        self.search = QLineEdit()
        self.search.setObjectName("settingsSearch")
        self.search.setPlaceholderText("Find a setting, as blur or network.channels")
        self.search.setToolTip("Show only the settings whose name or explanation has these letters.")
        self.search.setClearButtonEnabled(True)
        self.search.textChanged.connect(self._find)
        self._nothing = wrapped("No setting is called so.", dim=True)
        self._nothing.hide()
        if simple and rest:
            self._parts.append(Rows(model, rest, path, editors))
            inside = QWidget()
            below = QVBoxLayout(inside)
            below.setContentsMargins(8, 0, 0, 0)
            for widget in (self.search, self._nothing, self._parts[1]):
                below.addWidget(widget)
            self.more: Fold | None = Fold("More settings", inside)
            self.more.toggleButton().setToolTip("All other settings.")
            self.search.setVisible(len(rest) > _FEW)
            layout.addWidget(self.more)
        else:
            self.more = None
            self.search.setParent(self)
            self._nothing.setParent(self)
            self.search.hide()
        layout.addWidget(self._problem_label)
        self._value = value if value is not None else model()
        self._problem: tuple[str, str] = ("", "")
        self._is_filling = False
        self.set_value(self._value)
        for part in self._parts:
            part.changed.connect(self._edited)

    def value(self) -> Settings:
        """The settings as they are shown.

        Raises
        ------
        InvalidInput
            If they are no valid settings; `problem` is the reason.
        """
        if self.problem:
            raise InvalidInput(self.problem, "Change it, or go back to the recipe's settings.")
        return self._value

    def set_value(self, value: Settings) -> None:
        """Show other settings."""
        self._is_filling = True
        try:
            for part in self._parts:
                part.set_value(value)
        finally:
            self._is_filling = False
        self._value = value
        self._validate()
        self.changed.emit()

    def shown(self, name: str) -> Any:
        """What the editor of a field shows, be it valid or not; settings of a kind are values by name."""
        return next(part.editors[name] for part in self._parts if name in part.editors).value()

    def suggest(self, name: str, value: Any) -> None:
        """Show a value for an optional field, to begin with when it is checked; the settings stay as they are."""
        self._is_filling = True
        try:
            for part in self._parts:
                part.suggest(name, value)
        finally:
            self._is_filling = False

    @property
    def problem(self) -> str:
        """Reason why the settings are not valid, in one sentence; empty if they are."""
        return self._problem[1]

    def _edited(self) -> None:
        if not self._is_filling:
            self._validate()
            self.changed.emit()

    def _validate(self) -> None:
        """Validate the settings that are shown, and show the problem, if any."""
        self._problem = self._read()
        dotted, text = self._problem
        for part in self._parts:
            part.mark(dotted)
        self._problem_label.setText(text)
        self._problem_label.setVisible(bool(text))

    def _read(self) -> tuple[str, str]:
        for part in self._parts:
            for dotted, why in part.unreadable():
                return dotted, f"{part.title(dotted)} {why}."
        shown: dict[str, Any] = {name: getattr(self._value, name) for name in self._hidden}
        for part in self._parts:
            shown.update(part.value())
        try:
            self._value = self._model.model_validate(shown)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            dotted = ".".join(str(part) for part in first["loc"])
            message = first["msg"].removeprefix("Value error, ")
            got = "" if ", got " in message else f", got {first.get('input')!r}"
            return dotted, f"{self._title(dotted)}: {message[:1].lower()}{message[1:]}{got}."
        except PytcError as error:
            return "", str(error)
        return "", ""

    def _title(self, dotted: str) -> str:
        part = next((part for part in self._parts if dotted.partition(".")[0] in part.editors), self._parts[0])
        return part.title(dotted)

    def _find(self, text: str) -> None:
        found = self._parts[-1].show_matching(text.strip())
        self._nothing.setVisible(not found)
