"""The channels of a target as a table, and the fields of the one that is chosen."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError
from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import QCheckBox, QFormLayout, QLineEdit, QPushButton, QVBoxLayout, QWidget

from napari_pytc.errors import PytcError
from napari_pytc.plans.losses import LossSettings
from napari_pytc.plans.targets import ChannelsTarget
from napari_pytc.plans.targets.channel_kinds import CHANNEL_KINDS, Channel
from napari_pytc.plans.targets.tables import own_activation
from napari_pytc.ui.panels.train.row_table import RowTable, flow, read_flow
from napari_pytc.ui.widgets.buttons import allow
from napari_pytc.ui.widgets.choices import Combo
from napari_pytc.ui.widgets.forms.editors import NumbersEditor
from napari_pytc.ui.widgets.forms.numbers import NumberBox
from napari_pytc.ui.widgets.forms.rows import Rows
from napari_pytc.ui.widgets.labels import wrapped
from napari_pytc.ui.widgets.layout import row

_COLUMNS = ("Role", "Offset", "Activation", "Loss", "Weight", "Kept")
_OWN = "the role's own"
_KINDS: dict[str, type[Channel]] = {str(kind.model_fields["role"].default): kind for kind in CHANNEL_KINDS}
_FIRST: dict[str, dict[str, Any]] = {"affinity": {"offset": [-1, 0, 0]}, "polarity": {"side": "pre"}}
"""What a role needs, as a new channel of it has it."""
_COMMON = tuple(name for name in ChannelsTarget.model_fields if name not in ("kind", "channels"))
"""Settings of the target besides its channels."""
_SHOWN = {"role", "offset", "activation", "loss", "weight", "kept"}


class ChannelTable(QWidget):
    """Table of the channels of a target, in order; the chosen one is edited below, then what is common to all."""

    changed = Signal()
    """A channel was edited, added, moved or removed: `target`, or `problem`, is another one."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._rows: list[dict[str, Any]] = []
        self._target: ChannelsTarget | None = None
        self._text_problem = ""
        self.problem = ""
        """Reason why there is no target, in one sentence; empty if there is one."""
        self._wrong: int | None = None
        """Number of the row that has the problem."""
        self.table = RowTable("channelTable", _COLUMNS)
        self._buttons = [QPushButton(text) for text in ("Add", "Remove", "Up", "Down")]
        self._make_fields()
        self.common = Rows(ChannelsTarget, _COMMON, "target")
        self.common.changed.connect(self._edit_common)
        self._problem_label = wrapped()
        self._problem_label.setObjectName("channelProblem")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.table)
        layout.addLayout(row(*self._buttons, 1))
        layout.addLayout(self._form)
        layout.addWidget(self._problem_label)
        layout.addWidget(self.common)
        self.table.itemSelectionChanged.connect(self._choose)
        actions = (self._add, self._remove, lambda: self._move(-1), lambda: self._move(1))
        for button, action in zip(self._buttons, actions, strict=True):
            button.clicked.connect(action)

    @property
    def target(self) -> ChannelsTarget | None:
        """The target as it is shown; None while there is a `problem`."""
        return None if self.problem else self._target

    def set_target(self, target: ChannelsTarget) -> None:
        """Show the channels of a target."""
        if target == self._target and not self.problem:
            return
        self._target = target
        self._rows = [_content(channel) for channel in target.channels]
        self.problem = self._text_problem = ""
        self._wrong = None
        with QSignalBlocker(self.common):
            self.common.set_value(target)
        self._fill(min(self.table.chosen, len(self._rows) - 1))
        self._show_problem()

    # ---- private

    def _make_fields(self) -> None:
        self.role = Combo("channelRole", "What the channel is.")
        for name, kind in _KINDS.items():
            self.role.addItem(name, name)
            self.role.setItemData(
                self.role.count() - 1, " ".join((kind.__doc__ or "").split()), Qt.ItemDataRole.ToolTipRole
            )
        self.offset = NumbersEditor(True, 3)
        self.offset.setToolTip("From the voxel to its partner: z, y, x in voxels, with signs.")
        self.activation = Combo("channelActivation", str(Channel.model_fields["activation"].description))
        self.loss = Combo("channelLoss", str(Channel.model_fields["loss"].description))
        self.weight = NumberBox(False, 0.0, None, "")
        self.weight.setToolTip(str(Channel.model_fields["weight"].description))
        self.kept = QCheckBox("In predictions")
        self.kept.setToolTip(str(Channel.model_fields["kept"].description))
        self.more = QLineEdit()
        self.more.setObjectName("channelMore")
        self._form = QFormLayout()
        self._form.setContentsMargins(0, 0, 0, 0)
        self._form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        fields = (self.role, self.offset, self.activation, self.loss, self.weight, self.kept)
        for title, field in zip(_COLUMNS, fields, strict=True):
            self._form.addRow(title, field)
        self._form.addRow("More settings", self.more)
        self.role.activated.connect(self._choose_role)
        for signal in (
            self.offset.changed,
            self.activation.activated,
            self.loss.activated,
            self.weight.valueChanged,
            self.kept.toggled,
            self.more.editingFinished,
        ):
            signal.connect(self._edit)

    def _fill(self, chosen: int) -> None:
        wrong = () if self._wrong is None else (self._wrong,)
        tips = [self.problem if number in wrong else flow(content) for number, content in enumerate(self._rows)]
        rows = [_texts(content) for content in self._rows]
        self.table.show_rows(rows, tips, chosen, wrong)
        self.table.show_columns([True, *(len({*column, usual}) > 1 for column, usual in _usual_columns(rows))])
        self._show_fields()

    def _choose(self) -> None:
        if self._text_problem:  # its text is not shown at another channel, and is not missed
            self._apply()
        else:
            self._show_fields()

    def _show_fields(self) -> None:
        number, n = self.table.chosen, len(self._rows)
        add, remove, up, down = self._buttons
        allow(add, "", "Add a channel after the chosen one.")
        allow(remove, "" if n > 1 else "a target has one channel at least.", "Remove the chosen channel.")
        allow(up, "" if number else "it is the first.", "Move the chosen channel up.")
        allow(down, "" if number < n - 1 else "it is the last.", "Move the chosen channel down.")
        if not n:
            return
        content = self._rows[number]
        kind = _KINDS[content["role"]]
        widgets = (self.role, self.offset, self.activation, self.loss, self.weight, self.kept, self.more)
        blockers = [QSignalBlocker(widget) for widget in widgets]
        self.role.setCurrentIndex(self.role.findData(content["role"]))
        self._form.setRowVisible(self.offset, content["role"] == "affinity")
        self.offset.set_value(content.get("offset", (-1, 0, 0)))
        _choose(self.activation, kind.suits, content.get("activation"))
        loss = content.get("loss")
        name = loss if isinstance(loss, str) else None
        _choose(self.loss, _losses(kind, content.get("activation")), name)
        self.weight.setValue(content.get("weight", 1.0))
        self.kept.setChecked(content.get("kept", True))
        rest = {key: value for key, value in content.items() if key not in _SHOWN or (key == "loss" and name is None)}
        self.more.setText(flow(rest))
        self.more.setCursorPosition(0)
        names = [one for one in kind.model_fields if one not in _SHOWN]
        self.more.setPlaceholderText(f"{', '.join(names)}" if names else "none")
        self.more.setToolTip(
            "Settings of the role as in a recipe, for example "
            + (f"{names[0]}: …" if names else "loss: {kind: bce, pos_weight: 3}")
            + ". A loss with settings of its own stands here, too."
        )
        del blockers

    def _choose_role(self) -> None:
        content, role = self._rows[self.table.chosen], self.role.currentData()
        if content["role"] == role:
            return
        kept: dict[str, Any] = {key: content[key] for key in ("weight", "kept") if key in content}
        self._rows[self.table.chosen] = {"role": role, **_FIRST.get(role, {}), **kept}
        self._apply()

    def _edit(self) -> None:
        content: dict[str, Any] = {"role": self._rows[self.table.chosen]["role"]}
        self._text_problem = ""
        if content["role"] == "affinity":
            content["offset"] = list(self.offset.value())
            self._text_problem = f"Offset {self.offset.problem}." if self.offset.problem else ""
        for name, combo in (("activation", self.activation), ("loss", self.loss)):
            if combo.currentData() is not None:
                content[name] = combo.currentData()
        if self.weight.number != 1:
            content["weight"] = self.weight.number
        if not self.kept.isChecked():
            content["kept"] = False
        try:
            more = read_flow(self.more.text())
        except PytcError as error:
            self._text_problem = str(error)
        if self._text_problem:
            self.problem = f"Channel {self.table.chosen + 1} ({content['role']}): {self._text_problem}"
            self._show_problem()
            self.changed.emit()
            return
        self._rows[self.table.chosen] = {**more, **content}
        self._apply()

    def _add(self) -> None:
        self._rows.insert(self.table.chosen + 1, {"role": "foreground"})
        self._apply(self.table.chosen + 1)

    def _remove(self) -> None:
        del self._rows[self.table.chosen]
        self._apply(min(self.table.chosen, len(self._rows) - 1))

    def _move(self, by: int) -> None:
        at = self.table.chosen
        self._rows.insert(at + by, self._rows.pop(at))
        self._apply(at + by)

    def _edit_common(self) -> None:
        if not self._text_problem:
            self._apply()

    def _apply(self, chosen: int | None = None) -> None:
        """Validate the rows, show them, and tell that it is another target."""
        self._text_problem = ""  # the fields are filled from the rows
        content = {**self.common.value(), "channels": self._rows}
        self.problem, self._wrong = "", None
        try:
            self._target = ChannelsTarget.model_validate(content)
        except ValidationError as error:
            self.problem = _explained(error)
            number = error.errors(include_url=False)[0]["loc"][1:2]
            self._wrong = number[0] if number and isinstance(number[0], int) else None
        except PytcError as error:
            self.problem, self._wrong = str(error), self._wrong_alone()
        self._fill(self.table.chosen if chosen is None else chosen)
        self._show_problem()
        self.changed.emit()

    def _wrong_alone(self) -> int | None:
        """Number of the first row that is wrong by itself; None where rows do not go together."""
        for number, content in enumerate(self._rows):
            try:
                ChannelsTarget.model_validate({"channels": [{**content, "kept": True}]})
            except (ValidationError, PytcError):
                return number
        return None

    def _show_problem(self) -> None:
        self._problem_label.setText(self.problem)
        self._problem_label.setVisible(bool(self.problem))
        target = self._target
        if target is not None:  # others would have no effect
            both = target.learns_classes and target.learns_objects
            for name in _COMMON:
                self.common.show_field(name, both if name == "class_share" else target.learns_objects)


def _content(channel: Channel) -> dict[str, Any]:
    """A channel as in a recipe: its role, and what is not as it is by default."""
    found: dict[str, Any] = channel.model_dump(mode="json", exclude_defaults=True)
    if channel.loss is not None:
        loss = channel.loss.model_dump(mode="json", exclude_defaults=True)
        found["loss"] = {"kind": channel.loss.kind, **loss} if loss else channel.loss.kind
    return {"role": type(channel).model_fields["role"].default, **found}


def _explained(error: ValidationError) -> str:
    """What is wrong with a channel or with what is common to all, in one sentence."""
    first: Any = error.errors(include_url=False)[0]
    if first["loc"][0] in _COMMON:
        title = ChannelsTarget.model_fields[first["loc"][0]].title
        return f"{title}: {first['msg'][0].lower()}{first['msg'][1:]}, got {first.get('input')!r}."
    _, number, role, *names = (*first["loc"], "", "", "")[: max(4, len(first["loc"]))]
    where, name = f"Channel {number + 1} ({role})" if role else "A channel", ".".join(str(one) for one in names if one)
    if first["type"] == "extra_forbidden":
        known = [one for one in _KINDS[role].model_fields if one not in _SHOWN] if role in _KINDS else []
        return f"{where} has no setting {name!r}; it has {', '.join(known) or 'none of its own'}."
    got = "" if first["type"] == "missing" else f", got {first.get('input')!r}"
    return f"{where}, {name}: {first['msg'][0].lower()}{first['msg'][1:]}{got}."


def _texts(content: dict[str, Any]) -> tuple[str, ...]:
    loss = content.get("loss")
    return (
        content["role"],
        ",".join(map(str, content["offset"])) if "offset" in content else "",
        content.get("activation") or "own",
        (loss if isinstance(loss, str) else str(loss.get("kind"))) if loss else "own",
        f"{content.get('weight', 1.0):g}",
        "yes" if content.get("kept", True) else "no",
    )


def _usual_columns(rows: list[tuple[str, ...]]) -> list[tuple[tuple[str, ...], str]]:
    """Columns after the first, each with the text of a channel that has only its role."""
    return list(zip(zip(*rows, strict=True), _texts({"role": ""}), strict=True))[1:]


def _choose(combo: Combo, names: tuple[str, ...], chosen: str | None) -> None:
    combo.clear()
    combo.addItem(_OWN, None)
    for name in names:
        combo.addItem(name, name)
    combo.setCurrentIndex(max(0, combo.findData(chosen)))


def _losses(kind: type[Channel], activation: str | None) -> tuple[str, ...]:
    """Losses that can judge a channel of a kind."""
    name = activation or own_activation(kind)
    as_loss = "sigmoid" if name == "scaled_sigmoid" else name
    return tuple(sorted(loss for loss, one in LossSettings.variants().items() if as_loss in one.suits))
