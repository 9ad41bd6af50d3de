"""The table of channels: what it shows, what an edit makes, and what is wrong in a sentence."""

from __future__ import annotations

import pytest
from pytestqt.qtbot import QtBot

from napari_pytc.plans.recipes import load_recipe
from napari_pytc.plans.targets import ChannelsTarget
from napari_pytc.ui.panels.train.channel_table import ChannelTable
from tests.support.display import needs_display

pytestmark = needs_display

CHANNELS = [
    {"role": "foreground", "loss": "dice_ce"},
    {"role": "affinity", "offset": [0, -1, 0], "activation": "scaled_sigmoid", "weight": 2.5},
    {"role": "boundary", "thickness": 2, "kept": False, "loss": {"kind": "bce", "pos_weight": 3.0}},
]


@pytest.fixture
def table(qtbot: QtBot) -> ChannelTable:
    found = ChannelTable()
    qtbot.addWidget(found)
    found.set_target(ChannelsTarget.model_validate({"channels": CHANNELS, "cut_objects": "counted"}))
    return found


def texts(table: ChannelTable) -> list[list[str]]:
    rows = range(table.table.rowCount())
    return [[table.table.item(r, c).text() for c in range(table.table.columnCount())] for r in rows]


def pick(combo, value) -> None:
    combo.setCurrentIndex(combo.findData(value))
    combo.activated.emit(combo.currentIndex())


def test_every_channel_is_a_row(table: ChannelTable) -> None:
    assert texts(table) == [
        ["foreground", "", "own", "dice_ce", "1", "yes"],
        ["affinity", "0,-1,0", "scaled_sigmoid", "own", "2.5", "yes"],
        ["boundary", "", "own", "bce", "1", "no"],
    ]
    assert table.target is not None
    assert (
        table.target.model_dump()
        == ChannelsTarget.model_validate({"channels": CHANNELS, "cut_objects": "counted"}).model_dump()
    )


def test_columns_that_tell_nothing_are_not_shown(table: ChannelTable) -> None:
    titles = ["Role", "Offset", "Activation", "Loss", "Weight", "Kept"]
    assert [name for n, name in enumerate(titles) if not table.table.isColumnHidden(n)] == titles
    table.set_target(ChannelsTarget.model_validate({"channels": ["foreground", {"role": "boundary", "weight": 2}]}))
    assert [name for n, name in enumerate(titles) if not table.table.isColumnHidden(n)] == ["Role", "Weight"]


def test_looking_at_channels_changes_nothing(table: ChannelTable, qtbot: QtBot) -> None:
    before = table.target
    with qtbot.assertNotEmitted(table.changed):
        for number in (1, 2, 0):
            table.table.selectRow(number)
    assert table.target == before
    table.table.selectRow(2)
    assert table.more.text() == "loss: {kind: bce, pos_weight: 3.0}, thickness: 2"
    assert not table.offset.isVisibleTo(table)
    table.table.selectRow(1)
    assert table.offset.isVisibleTo(table)


def test_the_fields_edit_the_chosen_channel(table: ChannelTable, qtbot: QtBot) -> None:
    table.table.selectRow(1)
    with qtbot.waitSignal(table.changed):
        table.offset.line.setText("-3, 0, 0")
    pick(table.loss, "focal")
    table.weight.setValue(0.5)
    table.kept.setChecked(False)
    assert texts(table)[1] == ["affinity", "-3,0,0", "scaled_sigmoid", "focal", "0.5", "no"]
    table.table.selectRow(2)
    table.more.setText("mode: inner")
    table.more.editingFinished.emit()
    assert table.target is not None
    edited = table.target.channels
    assert (edited[1].offset, edited[1].loss.kind, edited[1].weight, edited[1].kept) == (
        (-3, 0, 0),
        "focal",
        0.5,
        False,
    )
    assert (edited[2].mode, edited[2].thickness, edited[2].loss) == ("inner", 1, None)
    assert table.target.cut_objects == "counted"


def test_channels_are_added_moved_and_removed(table: ChannelTable) -> None:
    add, remove, up, down = table._buttons
    table.table.selectRow(2)
    add.click()
    assert "the same: foreground" in table.problem
    assert table.target is None
    pick(table.role, "flow")
    assert not table.problem
    up.click()
    assert [line[0] for line in texts(table)] == ["foreground", "affinity", "flow", "boundary"]
    down.click()
    table.table.selectRow(0)
    remove.click()
    assert table.target is not None
    assert [type(one).model_fields["role"].default for one in table.target.channels] == ["affinity", "boundary", "flow"]
    assert not up.isEnabled()


def test_only_losses_and_activations_that_fit_are_offered(table: ChannelTable) -> None:
    pick(table.role, "instance_distance")
    offered = [table.loss.itemData(n) for n in range(table.loss.count())]
    assert "smooth_l1" in offered
    assert "dice" not in offered
    assert [table.activation.itemData(n) for n in range(table.activation.count())] == [None, "tanh", "sigmoid", "none"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("thickness: 9", "Channel 3 (boundary), thickness: input should be less than or equal to 5, got 9"),
        ("depth: 3", "Channel 3 (boundary) has no setting 'depth'; it has mode, edge_mode, thickness, per_section"),
        ("thickness: [", "as in a recipe"),
        ("loss: {kind: nothing}", "nothing"),
    ],
)
def test_what_is_wrong_is_told_in_a_sentence(table: ChannelTable, text: str, words: str) -> None:
    table.table.selectRow(2)
    table.more.setText(text)
    table.more.editingFinished.emit()
    assert words in table.problem
    assert "\n" not in table.problem
    assert table.target is None
    assert not table._problem_label.isHidden()
    if "recipe" not in words:
        assert texts(table)[2][0] == "⚠ boundary"
        assert words in table.table.item(2, 0).toolTip()
    table.more.setText("")
    table.more.editingFinished.emit()
    assert table.target is not None


def test_a_text_that_is_left_for_another_channel_is_no_problem_any_more(table: ChannelTable) -> None:
    table.table.selectRow(2)
    before = table.target
    table.more.setText("thickness: [")
    table.more.editingFinished.emit()
    assert table.target is None
    table.table.selectRow(0)
    assert table.target == before
    assert table._problem_label.isHidden()


@pytest.mark.parametrize("button", [1, 3])
def test_a_text_that_goes_with_a_button_does_not_hold_up_what_is_common(table: ChannelTable, button: int) -> None:
    table.table.selectRow(1)
    table.more.setText("thickness: [")
    table.more.editingFinished.emit()
    table._buttons[button].click()
    assert table.problem == ""
    table.common.editors["small_object_weight"].set_value(4.0)
    assert table.target is not None
    assert table.target.small_object_weight == 4.0


def test_what_is_common_to_all_channels_is_edited_below(table: ChannelTable, qtbot: QtBot) -> None:
    editors = table.common.editors
    assert editors["cut_objects"].value() == "counted"
    with qtbot.waitSignal(table.changed):
        editors["small_object_weight"].set_value(4.0)
    editors["small_object_um3"].set_value(0.01)
    editors["cut_objects"].set_value("masked")
    target = table.target
    assert target is not None
    assert (target.small_object_weight, target.small_object_um3, target.cut_objects) == (4.0, 0.01, "masked")
    assert len(target.channels) == 3
    editors["small_object_um3"].set_value(0)
    assert table.problem.startswith("Small objects: input should be greater than 0")
    editors["small_object_um3"].set_value(0.01)
    assert table.target == target


def test_the_share_of_classes_is_there_where_classes_and_objects_are_learnt(table: ChannelTable) -> None:
    share = table.common.editors["class_share"]
    assert not share.isVisibleTo(table)
    table.table.selectRow(2)
    pick(table.role, "classes")
    assert share.isVisibleTo(table)
    share.set_value(0.2)
    assert table.target is not None
    assert table.target.class_share == 0.2


def test_the_recipe_of_channels_is_shown_as_it_is(qtbot: QtBot) -> None:
    target = load_recipe("bcd").target
    assert isinstance(target, ChannelsTarget)
    shown = ChannelTable()
    qtbot.addWidget(shown)
    shown.set_target(target)
    assert shown.target == target
