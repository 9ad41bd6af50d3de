"""The channels of a target as a table, and the fields of the one that is chosen."""

from __future__ import annotations

from typing import Any

import yaml
from pydantic import ValidationError
from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import (
    QAbstractItemView,
    QCheckBox,
    QFormLayout,
    QHeaderView,
    QLineEdit,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_pytc.errors import PytcError
from napari_pytc.plans.losses import LossSettings
from napari_pytc.plans.targets import ChannelsTarget
from napari_pytc.plans.targets.channel_kinds import CHANNEL_KINDS, Channel
from napari_pytc.plans.targets.tables import own_activation
from napari_pytc.ui.widgets.buttons import allow
from napari_pytc.ui.widgets.choices import Combo
from napari_pytc.ui.widgets.forms.editors import NumbersEditor
from napari_pytc.ui.widgets.forms.numbers import NumberBox
from napari_pytc.ui.widgets.labels import wrapped
from napari_pytc.ui.widgets.layout import row

_COLUMNS = ("Role", "Offset", "Activation", "Loss", "Weight", "Kept")
_OWN = "the role's own"
_KINDS: dict[str, type[Channel]] = {str(kind.model_fields["role"].default): kind for kind in CHANNEL_KINDS}
_FIRST: dict[str, dict[str, Any]] = {"affinity": {"offset": [-1, 0, 0]}, "polarity": {"side": "pre"}}
"""What a role needs, as a new channel of it has it."""
_SHOWN = {"role", "offset", "activation", "loss", "weight", "kept"}
_MOST_ROWS = 8


class ChannelTable(QWidget):
    """Table of the channels of a target, in order; the chosen one is edited below.

    Settings of the target besides its channels stay as they are.
    """

    changed = Signal()
    """A channel was edited, added, moved or removed: `target`, or `problem`, is another one."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._rows: list[dict[str, Any]] = []
        self._target: ChannelsTarget | None = None
        self._text_problem = ""
        self.problem = ""
        """Reason why there is no target, in one sentence; empty if there is one."""
        self.table = QTableWidget(0, len(_COLUMNS))
        self.table.setObjectName("channelTable")
        self.table.setHorizontalHeaderLabels(_COLUMNS)
        self.table.setEditTriggers(QTableWidget.EditTrigger.NoEditTriggers)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        header = self.table.horizontalHeader()
        assert header is not None
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(_COLUMNS.index("Activation"), QHeaderView.ResizeMode.Stretch)
        numbers = self.table.verticalHeader()
        assert numbers is not None
        numbers.hide()
        self._buttons = [QPushButton(text) for text in ("Add", "Remove", "Up", "Down")]
        self._make_fields()
        self._problem_label = wrapped()
        self._problem_label.setObjectName("channelProblem")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.table)
        layout.addLayout(row(*self._buttons, 1))
        layout.addLayout(self._form)
        layout.addWidget(self._problem_label)
        self.table.itemSelectionChanged.connect(self._show_fields)
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
        self._fill(min(self._chosen, len(self._rows) - 1))
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

    @property
    def _chosen(self) -> int:
        """Number of the chosen channel; 0 without one."""
        return max(0, self.table.currentRow())

    def _fill(self, chosen: int) -> None:
        with QSignalBlocker(self.table):
            self.table.setRowCount(len(self._rows))
            for number, content in enumerate(self._rows):
                for column, text in enumerate(_texts(content)):
                    item = QTableWidgetItem(text)
                    item.setToolTip(_flow(content))
                    self.table.setItem(number, column, item)
            self.table.selectRow(max(0, chosen))
        shown = min(max(2, len(self._rows)), _MOST_ROWS)
        header = self.table.horizontalHeader()
        assert header is not None
        self.table.setFixedHeight(
            header.sizeHint().height() + shown * self.table.rowHeight(0) + 6 if self._rows else 60
        )
        self._show_fields()

    def _show_fields(self) -> None:
        number, n = self._chosen, len(self._rows)
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
        self.more.setText(_flow(rest) if rest else "")
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
        content, role = self._rows[self._chosen], self.role.currentData()
        if content["role"] == role:
            return
        kept: dict[str, Any] = {key: content[key] for key in ("weight", "kept") if key in content}
        self._rows[self._chosen] = {"role": role, **_FIRST.get(role, {}), **kept}
        self._text_problem = ""
        self._apply()

    def _edit(self) -> None:
        content: dict[str, Any] = {"role": self._rows[self._chosen]["role"]}
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
            text = self.more.text().strip()
            more = yaml.safe_load(text if text.startswith("{") else f"{{{text}}}") or {}
        except yaml.YAMLError:
            self._text_problem = f"More settings must be as in a recipe, name: value, got {self.more.text()!r}."
            more = {}
        if self._text_problem:
            self.problem = self._text_problem
            self._show_problem()
            self.changed.emit()
            return
        self._rows[self._chosen] = {**more, **content}
        self._apply()

    def _add(self) -> None:
        self._rows.insert(self._chosen + 1, {"role": "foreground"})
        self._apply(self._chosen + 1)

    def _remove(self) -> None:
        del self._rows[self._chosen]
        self._apply(min(self._chosen, len(self._rows) - 1))

    def _move(self, by: int) -> None:
        at = self._chosen
        self._rows.insert(at + by, self._rows.pop(at))
        self._apply(at + by)

    def _apply(self, chosen: int | None = None) -> None:
        """Validate what is shown, and tell that it is another target."""
        self._fill(self._chosen if chosen is None else chosen)
        assert self._target is not None
        others = self._target.model_dump(mode="json", exclude={"channels"})
        try:
            self._target = ChannelsTarget.model_validate({**others, "channels": self._rows})
            self.problem = ""
        except ValidationError as error:
            self.problem = _explained(error)
        except PytcError as error:
            self.problem = str(error)
        self._show_problem()
        self.changed.emit()

    def _show_problem(self) -> None:
        self._problem_label.setText(self.problem)
        self._problem_label.setVisible(bool(self.problem))


def _content(channel: Channel) -> dict[str, Any]:
    """A channel as in a recipe: its role, and what is not as it is by default."""
    found: dict[str, Any] = channel.model_dump(mode="json", exclude_defaults=True)
    if channel.loss is not None:
        loss = channel.loss.model_dump(mode="json", exclude_defaults=True)
        found["loss"] = {"kind": channel.loss.kind, **loss} if loss else channel.loss.kind
    return {"role": type(channel).model_fields["role"].default, **found}


def _explained(error: ValidationError) -> str:
    """What is wrong with a channel, in one sentence."""
    first: Any = error.errors(include_url=False)[0]
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


def _flow(content: dict[str, Any]) -> str:
    """A mapping as the text that recipes take."""
    return str(yaml.safe_dump(content, default_flow_style=True, sort_keys=False, width=10**6)).strip()


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
