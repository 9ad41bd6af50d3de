"""The table of losses: what it shows, what an edit makes, and what is wrong, at its row."""

from __future__ import annotations

import pytest
from pytestqt.qtbot import QtBot

from napari_pytc.geometry import VoxelSpace
from napari_pytc.plans.losses import LossTerm
from napari_pytc.plans.targets import ChannelsTarget, ClassesTarget
from napari_pytc.ui.panels.train.loss_table import LossTable
from tests.support.display import needs_display

pytestmark = needs_display

LOSSES = (
    LossTerm.model_validate("dice"),
    LossTerm.model_validate({"kind": "bce", "pos_weight": 3.0, "weight": 0.5, "channels": "1:3"}),
    LossTerm.model_validate({"loss": "smooth_l1", "heads": ["instance_distance"]}),
)
SPACE = VoxelSpace((40.0, 10.0, 10.0))
CLASSES = ClassesTarget().roles(("membrane", "inside"), SPACE)
BCD = ChannelsTarget.model_validate({"channels": ["foreground", "boundary", "instance_distance"]}).roles((), SPACE)


@pytest.fixture
def table(qtbot: QtBot) -> LossTable:
    found = LossTable()
    qtbot.addWidget(found)
    found.show()
    return found


def texts(table: LossTable) -> list[list[str]]:
    rows, columns = range(table.table.rowCount()), range(table.table.columnCount())
    return [[table.table.item(r, c).text() for c in columns] for r in rows]


def pick(table: LossTable, kind: str) -> None:
    table.loss.setCurrentIndex(table.loss.findData(kind))
    table.loss.activated.emit(table.loss.currentIndex())


def type_in(line, text: str) -> None:  # type: ignore[no-untyped-def]
    line.setText(text)
    line.textEdited.emit(text)


def test_every_term_is_a_row_and_comes_back_as_it_was(table: LossTable, qtbot: QtBot) -> None:
    table.set_value(LOSSES)
    assert texts(table) == [
        ["dice", "1", "all", ""],
        ["bce", "0.5", "1:3", "pos_weight: 3.0"],
        ["smooth_l1", "1", "instance_distance", ""],
    ]
    assert tuple(table.value()) == LOSSES
    with qtbot.assertNotEmitted(table.changed):
        for number in (1, 2, 0):
            table.table.selectRow(number)
    assert tuple(table.value()) == LOSSES


def test_without_terms_there_is_nothing_to_edit(table: LossTable) -> None:
    table.set_value(())
    assert table.value() == []
    assert table._none.isVisible()
    assert not table.table.isVisible()
    assert not table.loss.isVisible()
    assert not table.remove_button.isEnabled()


def test_rows_are_added_edited_and_removed(table: LossTable, qtbot: QtBot) -> None:
    table.set_roles(CLASSES)
    with qtbot.waitSignal(table.changed):
        table.add_button.click()
    assert table.value() == [LossTerm.model_validate("dice_ce")]
    table.add_button.click()
    assert table.table.chosen == 1
    pick(table, "tversky")
    table.weight.setValue(0.25)
    type_in(table.where, "inside")
    type_in(table.settings, "alpha: 0.3, beta: 0.7")
    term = table.value()[1]
    assert (term.loss.kind, term.weight, term.heads, term.channels) == ("tversky", 0.25, ("inside",), None)
    assert dict(term.loss)["alpha"] == 0.3
    type_in(table.where, "0,1")
    assert table.value()[1].channels == "0,1"
    pick(table, "dice")
    assert table.value()[1].loss == LossTerm.model_validate("dice").loss, "the settings of another loss went with it"
    table.remove_button.click()
    assert [one.loss.kind for one in table.value()] == ["dice_ce"]


@pytest.mark.parametrize(
    ("settings", "where", "words"),
    [
        ("pos_weight: 0", "", "pos_weight of bce: input should be greater than 0, got 0"),
        ("depth: 3", "", "The loss bce has no setting 'depth'; it has pos_weight"),
        ("pos_weight: [", "", "as in a recipe"),
        ("kind: dice", "", "The loss is chosen above its settings, got kind 'dice' among those of bce."),
        ("", "7", "the target has 3"),
        ("", "2", "does not fit channel 2"),
        ("", "axons", "the head 'axons', which the target does not have"),
    ],
)
def test_what_is_wrong_is_told_at_its_row(table: LossTable, settings: str, where: str, words: str) -> None:
    table.set_roles(BCD)
    table.set_value((LOSSES[2], LossTerm.model_validate({"kind": "bce", "channels": "0:2"})))
    assert table.problem == ""
    table.table.selectRow(1)
    if settings:
        type_in(table.settings, settings)
    if where:
        type_in(table.where, where)
    assert words in table._problem_label.text()
    assert "row 2" in table.problem
    assert [line[0] for line in texts(table)] == ["smooth_l1", "⚠ bce"]
    assert words in table.table.item(1, 0).toolTip()
    table.table.selectRow(0)
    assert "row 2" in table._problem_label.text()
    table.table.selectRow(1)
    assert (table.settings.text(), table.where.text()) == (settings, where or "0:2"), "what was typed stays"
    type_in(table.settings, "")
    type_in(table.where, "0:2")
    assert table.problem == ""
    assert not table._problem_label.isVisible()


def test_losses_are_judged_again_by_other_channels(table: LossTable) -> None:
    table.set_value(LOSSES[:1])
    assert not table.set_roles(BCD[:2])
    assert table.set_roles(BCD)
    assert "does not fit channel 2" in table.problem
    assert not table.set_roles(BCD)
    assert table.set_roles(None)
    assert table.problem == ""


def test_a_channel_without_a_loss_and_patches_that_there_are_not(table: LossTable) -> None:
    table.set_roles(BCD)
    table.set_value(LOSSES[2:])
    assert "foreground" in table.problem
    assert "have none" in table._problem_label.text()
    table.set_value((LossTerm.model_validate("dice"), LossTerm.model_validate("ce")))
    table.set_roles(CLASSES)
    assert table.problem == ""


def test_only_losses_that_suit_a_channel_are_offered(table: LossTable) -> None:
    table.set_roles(CLASSES)
    table.set_value(LOSSES[:1])
    offered = [table.loss.itemData(number) for number in range(table.loss.count())]
    assert "ce" in offered
    assert "bce" not in offered
