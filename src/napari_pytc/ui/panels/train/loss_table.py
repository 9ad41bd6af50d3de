"""The terms of the loss as a table, and the fields of the one that is chosen."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError
from qtpy.QtCore import QSignalBlocker, Qt
from qtpy.QtWidgets import QFormLayout, QLineEdit, QPushButton, QVBoxLayout, QWidget

from napari_pytc.errors import InvalidInput, PytcError
from napari_pytc.plans.losses import LossSettings, LossTerm, activations_of, assign_loss, assign_losses
from napari_pytc.settings import short_form
from napari_pytc.ui.panels.train.row_table import RowTable, flow, read_flow
from napari_pytc.ui.widgets.buttons import allow
from napari_pytc.ui.widgets.choices import Combo
from napari_pytc.ui.widgets.forms.editors import Editor
from napari_pytc.ui.widgets.forms.numbers import NumberBox
from napari_pytc.ui.widgets.labels import wrapped
from napari_pytc.ui.widgets.layout import row
from napari_pytc.volumes.roles import ChannelRole

_COLUMNS = ("Loss", "Weight", "Channels", "Settings")
_NUMBERS = re.compile(r"^[\d:,\s]+$")
_FIRST_CHOICES = ("dice_ce", "bce", "smooth_l1")
"""Losses of a new row, the first of them that suits the target."""
_NONE = "None: what suits the target is taken, Dice and cross entropy of classes, for example."


@dataclass(frozen=True)
class _Row:
    """A term as it is typed.

    Parameters
    ----------
    where : str
        Numbers or names of its channels; empty for all.
    settings : str
        Of the loss, as in a recipe.
    """

    kind: str
    weight: float = 1.0
    where: str = ""
    settings: str = ""

    @classmethod
    def of(cls, term: LossTerm) -> _Row:
        content = short_form(term.loss)
        settings = {} if isinstance(content, str) else {name: one for name, one in content.items() if name != "kind"}
        return cls(term.loss.kind, term.weight, term.channels or ", ".join(term.heads), flow(settings))

    def term(self) -> LossTerm:
        """The validated term.

        Raises
        ------
        InvalidInput
            In one sentence.
        """
        where = self.where.strip()
        settings = read_flow(self.settings)
        if "kind" in settings:
            raise InvalidInput(
                f"The loss is chosen above its settings, got kind {settings['kind']!r} among those of {self.kind}.",
                "Leave kind out, and choose the loss in the list.",
            )
        content: dict[str, Any] = {"loss": {"kind": self.kind, **settings}, "weight": self.weight}
        if _NUMBERS.match(where):
            content["channels"] = where
        elif where:
            content["heads"] = [name.strip() for name in where.split(",") if name.strip()]
        try:
            return LossTerm.model_validate(content)
        except ValidationError as error:
            raise InvalidInput(_explained(self.kind, error)) from error

    @property
    def texts(self) -> tuple[str, ...]:
        return self.kind, f"{self.weight:g}", self.where or "all", self.settings


class LossTable(Editor):
    """Table of the terms of the loss; the chosen one is edited below.

    What is wrong with a term is shown at its row. Whether the losses suit the target is judged once its channels are
    known, see `set_roles`.
    """

    is_wide = True

    def __init__(self) -> None:
        super().__init__()
        self._rows: list[_Row] = []
        self._problems: dict[int, str] = {}
        self._problem = ""
        self._roles: tuple[ChannelRole, ...] | None = None
        self._single_voxels = False
        self.table = RowTable("lossTable", _COLUMNS)
        self.add_button, self.remove_button = QPushButton("Add"), QPushButton("Remove")
        self.add_button.setObjectName("addLoss")
        self.remove_button.setObjectName("removeLoss")
        self.setFocusProxy(self.add_button)
        self._none = wrapped(_NONE, dim=True)
        self._problem_label = wrapped()
        self._problem_label.setObjectName("lossProblem")
        self._fields = QWidget()
        self._make_fields()
        layout = QVBoxLayout()
        layout.setSpacing(4)
        for part in (self._none, self.table):
            layout.addWidget(part)
        layout.addLayout(row(self.add_button, self.remove_button, 1))
        layout.addWidget(self._fields)
        layout.addWidget(self._problem_label)
        self._row.addLayout(layout)
        self.table.itemSelectionChanged.connect(self._show_fields)
        self.add_button.clicked.connect(self._add)
        self.remove_button.clicked.connect(self._remove)
        self._show(0)

    @property
    def problem(self) -> str:
        """See `Editor`."""
        return self._problem

    def value(self) -> list[LossTerm]:
        """The terms; meaningless while there is a `problem`."""
        return [] if self._problem else [one.term() for one in self._rows]

    def set_value(self, value: Any) -> None:
        """Show the terms of a plan."""
        self._rows = [_Row.of(term) for term in value]
        self._validate()
        self._show(self.table.chosen)
        self.changed.emit()

    def set_roles(self, roles: Sequence[ChannelRole] | None, single_voxels: bool = False) -> bool:
        """Judge the losses by the channels of a target, without a signal.

        Parameters
        ----------
        roles : sequence of ChannelRole or None
            Of all channels; None where they are not known.
        single_voxels : bool
            Whether the network learns from single voxels rather than patches.

        Returns
        -------
        bool
            Whether `problem` is another one now.
        """
        known = None if roles is None else tuple(roles)
        if (known, single_voxels) == (self._roles, self._single_voxels):
            return False
        before, self._roles, self._single_voxels = self._problem, known, single_voxels
        self._validate()
        self._show(self.table.chosen)
        return self._problem != before

    # ---- private

    def _make_fields(self) -> None:
        fields = LossTerm.model_fields
        self.loss = Combo("lossKind", "The loss, of those that suit a channel of the target.")
        self.weight = NumberBox(False, 0.0, None, "")
        self.weight.setObjectName("lossWeight")
        self.weight.setToolTip(str(fields["weight"].description))
        self.where = QLineEdit()
        self.where.setObjectName("lossChannels")
        self.where.setPlaceholderText("all")
        self.settings = QLineEdit()
        self.settings.setObjectName("lossSettings")
        form = QFormLayout(self._fields)
        form.setContentsMargins(0, 0, 0, 0)
        form.setVerticalSpacing(4)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        for title, field in zip(_COLUMNS, (self.loss, self.weight, self.where, self.settings), strict=True):
            form.addRow(title, field)
        for signal in (
            self.loss.activated,
            self.weight.valueChanged,
            self.where.textEdited,
            self.settings.textEdited,
        ):
            signal.connect(self._edit)

    def _show(self, chosen: int) -> None:
        """Show the rows, and the fields of the chosen one."""
        tips = [self._problems.get(number) or _about(one.kind) for number, one in enumerate(self._rows)]
        self.table.show_rows([one.texts for one in self._rows], tips, min(chosen, len(self._rows) - 1), self._problems)
        has_rows = bool(self._rows)
        self.table.setVisible(has_rows)
        self._fields.setVisible(has_rows)
        self._none.setVisible(not has_rows)
        allow(self.add_button, "", "Add a loss to the sum, after the chosen one.")
        allow(self.remove_button, "" if has_rows else "there is none.", "Remove the chosen loss.")
        self._show_fields()

    def _show_fields(self) -> None:
        number = self.table.chosen
        self._show_problem()
        if not self._rows:
            return
        shown = self._rows[number]
        widgets = (self.loss, self.weight, self.where, self.settings)
        blockers = [QSignalBlocker(widget) for widget in widgets]
        self.loss.clear()
        for kind in self._offered(shown.kind):
            self.loss.addItem(kind, kind)
            self.loss.setItemData(self.loss.count() - 1, _about(kind), Qt.ItemDataRole.ToolTipRole)
        self.loss.setCurrentIndex(self.loss.findData(shown.kind))
        if self.weight.number != shown.weight:
            self.weight.setValue(shown.weight)
        for line, text in ((self.where, shown.where), (self.settings, shown.settings)):
            if line.text() != text:
                line.setText(text)
                line.setCursorPosition(0)
        self.where.setToolTip(self._about_channels())
        names = _own_settings(shown.kind)
        self.settings.setPlaceholderText(", ".join(names) or "none")
        self.settings.setToolTip(_about_settings(shown.kind))
        del blockers

    def _show_problem(self) -> None:
        chosen = self.table.chosen
        text = self._problems.get(chosen, "")
        if not text and self._problem:
            text = f"Losses {self._problem}."
        self._problem_label.setText(text)
        self._problem_label.setVisible(bool(text))

    def _edit(self) -> None:
        number = self.table.chosen
        before, kind = self._rows[number], self.loss.currentData()
        settings = self.settings.text() if kind == before.kind else ""  # each has its own
        self._rows[number] = replace(
            before, kind=kind, weight=self.weight.number, where=self.where.text(), settings=settings
        )
        self._apply(number)

    def _add(self) -> None:
        number = min(self.table.chosen + 1, len(self._rows))
        offered = self._offered()
        kind = next((one for one in _FIRST_CHOICES if one in offered), offered[0])
        self._rows.insert(number, _Row(kind))
        self._apply(number)

    def _remove(self) -> None:
        number = self.table.chosen
        del self._rows[number]
        self._apply(max(0, number - 1))

    def _apply(self, chosen: int) -> None:
        self._validate()
        self._show(chosen)
        self.changed.emit()

    def _validate(self) -> None:
        """Find what is wrong: with each row by itself, else with all of them together."""
        self._problems, self._problem, terms = {}, "", []
        for number, one in enumerate(self._rows):
            try:
                term = one.term()
                if self._roles is not None:
                    assign_loss(term, self._roles)
                terms.append(term)
            except PytcError as error:
                self._problems[number] = str(error)
        try:
            if self._roles is not None and not self._problems:
                assign_losses(terms, self._roles, self._single_voxels)
        except PytcError as error:
            self._problem = f"do not suit the target: {error}".rstrip(".")
        for number, text in self._problems.items():
            self._problem = f"have a problem in row {number + 1}: {text}".rstrip(".")
            break

    def _offered(self, present: str = "") -> list[str]:
        """Names of the losses that suit a channel of the target, and of the one that is there."""
        known = LossSettings.variants()
        if self._roles is None:
            return sorted(known)
        activations = set(activations_of(self._roles))
        return sorted(
            name
            for name, one in known.items()
            if name == present or (activations & set(one.suits) and not (self._single_voxels and one.is_spatial))
        )

    def _about_channels(self) -> str:
        text = "Channels of the target that the loss judges: numbers from 0, as 0:3 or 0,2, or names; all if empty."
        if self._roles is not None:
            text += "\n\n" + "\n".join(f"{number}  {role.title}" for number, role in enumerate(self._roles))
        return text


def _about(kind: str) -> str:
    loss = LossSettings.variants()[kind]
    return " ".join(f"{loss.__doc__ or ''} {loss.when}".split())


def _own_settings(kind: str) -> list[str]:
    return [name for name in LossSettings.variants()[kind].model_fields if name != "kind"]


def _about_settings(kind: str) -> str:
    fields = LossSettings.variants()[kind].model_fields
    lines = [f"{name}: {fields[name].description}" for name in _own_settings(kind)]
    return "\n".join(["Settings of the loss as in a recipe, name: value.", "", *lines]) if lines else "It has none."


def _explained(kind: str, error: ValidationError) -> str:
    """What is wrong with a term, in one sentence."""
    first: Any = error.errors(include_url=False)[0]
    name = str(first["loc"][-1])
    if first["type"] == "extra_forbidden":
        return f"The loss {kind} has no setting {name!r}; it has {', '.join(_own_settings(kind)) or 'none'}."
    message = first["msg"].removeprefix("Value error, ")
    return f"{name} of {kind}: {message[:1].lower()}{message[1:]}, got {first.get('input')!r}."
