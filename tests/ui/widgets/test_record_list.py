"""Tests of the list of records."""

from __future__ import annotations

from pytestqt.qtbot import QtBot

from napari_pytc.ui.widgets.record_list import Column, Line, RecordList

COLUMNS = (Column("Name", stretches=True), Column("Score", "1 is perfect.", is_number=True))


def lines(*keys: str, **options: str) -> list[Line]:
    return [Line(key, f"record {key}", [key, "0.5"], parent=options.get(key, "")) for key in keys]


def listed(found: RecordList) -> list[str]:
    items = [found.tree.topLevelItem(k) for k in range(found.tree.topLevelItemCount())]
    return [item.text(0) for item in items if item is not None]


def test_without_lines_a_sentence_stands_in_their_place(qtbot: QtBot) -> None:
    found = RecordList("list", COLUMNS, empty="No model yet.")
    qtbot.addWidget(found)
    button = found.add_button("Delete", "deleteButton", lambda: None)
    found.show()
    assert found.empty.isVisible()
    assert not found.tree.isVisible()
    assert not button.isVisible()
    assert found.first_selected is None
    found.show_lines(lines("a"))
    assert not found.empty.isVisible()
    assert found.tree.isVisible()
    assert button.isVisible()


def test_the_first_line_is_selected_until_another_is(qtbot: QtBot) -> None:
    found = RecordList("list", COLUMNS)
    qtbot.addWidget(found)
    found.show_lines(lines("a", "b", "c"))
    assert found.selected == ["record a"]
    item = found.tree.topLevelItem(1)
    assert item is not None
    with qtbot.waitSignal(found.selection_changed):
        found.tree.setCurrentItem(item)
    found.show_lines(lines("new", "b", "a"))
    assert found.selected == ["record b"]
    found.show_lines(lines("new", "a"))  # b is gone
    assert found.selected == ["record new"]


def test_lines_can_be_selected_by_key(qtbot: QtBot) -> None:
    found = RecordList("list", COLUMNS, selects_several=True)
    qtbot.addWidget(found)
    found.show_lines(lines("a", "b", "c"), select=("b", "c"))
    assert found.selected == ["record b", "record c"]
    found.show_lines(lines("a", "b", "c"), select=("not there",))
    assert found.selected == ["record a"]


def test_lines_stand_below_their_parents(qtbot: QtBot) -> None:
    found = RecordList("list", COLUMNS)
    qtbot.addWidget(found)
    found.show_lines(lines("child", "root", "other", "selfish", child="root", other="unknown", selfish="selfish"))
    assert listed(found) == ["root", "other", "selfish"]
    root = found.tree.topLevelItem(0)
    assert root is not None
    assert root.isExpanded()
    child = root.child(0)
    assert child is not None
    assert child.text(0) == "child"


def test_what_is_in_use_is_bold_and_all_has_a_tooltip(qtbot: QtBot) -> None:
    found = RecordList("list", COLUMNS)
    qtbot.addWidget(found)
    found.show_lines([Line("a", None, ["a", "1"], tip="About a", bold=(0,)), Line("b", None, ["b", "2"])])
    first, second = found.tree.topLevelItem(0), found.tree.topLevelItem(1)
    assert first is not None
    assert second is not None
    assert first.font(0).bold()
    assert not first.font(1).bold()
    assert not second.font(0).bold()
    assert first.toolTip(0) == first.toolTip(1) == "About a"


def test_the_list_is_as_high_as_its_lines_up_to_a_limit(qtbot: QtBot) -> None:
    found = RecordList("list", COLUMNS, most_lines=4)
    qtbot.addWidget(found)
    heights = []
    for n in (1, 3, 4, 9):
        found.show_lines(lines(*(f"line {k}" for k in range(n))))
        heights.append(found.tree.height())
    assert heights[0] < heights[1] < heights[2] == heights[3]


def test_buttons_are_called_without_arguments(qtbot: QtBot) -> None:
    found = RecordList("list", COLUMNS)
    qtbot.addWidget(found)
    calls: list[str] = []
    found.add_button("Use", "useButton", lambda: calls.append("used")).click()
    assert calls == ["used"]


def test_a_list_to_look_at_selects_nothing(qtbot: QtBot) -> None:
    found = RecordList("list", COLUMNS, selects_none=True)
    qtbot.addWidget(found)
    found.show_lines(lines("a", "b"), select=("b",))
    assert found.selected == []
