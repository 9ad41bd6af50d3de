"""The list of classes signals what the user wants, and shows what it is given."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest
from qtpy.QtCore import QEvent, Qt
from qtpy.QtWidgets import QApplication, QLabel, QLineEdit, QRadioButton, QToolButton

from napari_pytc.session.records import ClassInfo, number_classes
from napari_pytc.ui.panels.data.classes import ClassList, count_text
from napari_pytc.ui.widgets.buttons import ColourButton


@pytest.fixture
def classes() -> tuple[ClassInfo, ...]:
    return number_classes(["membrane", "inside"])


@pytest.fixture
def shown(qtbot, classes: tuple[ClassInfo, ...]) -> Iterator[ClassList]:
    widget = ClassList()
    qtbot.addWidget(widget)
    widget.show_classes(classes)
    widget.show()
    yield widget
    widget.close()


def _show(widget: ClassList, classes: Sequence[ClassInfo], reason: str = "") -> None:
    widget.show_classes(classes, reason)
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)  # the rows before


def _brush(widget: ClassList, name: str) -> QRadioButton:
    return widget.findChild(QRadioButton, name)


def test_choosing_is_reported_and_being_reported_is_shown(qtbot, shown: ClassList) -> None:
    with qtbot.waitSignal(shown.chosen) as received:
        qtbot.mouseClick(
            _brush(shown, "class2"), Qt.MouseButton.LeftButton, pos=_brush(shown, "class2").rect().center()
        )
    assert received.args == [2]
    with qtbot.waitSignal(shown.chosen) as received:
        _brush(shown, "eraser").click()
    assert received.args == [0]
    with qtbot.assertNotEmitted(shown.chosen):
        shown.show_chosen(1)
    assert _brush(shown, "class1").isChecked()
    assert not _brush(shown, "eraser").isChecked()


def test_keys_are_reported(qtbot) -> None:
    widget = ClassList()
    qtbot.addWidget(widget)
    widget.show_classes(number_classes([f"c{k}" for k in range(1, 11)]))
    assert "Key: 9" in _brush(widget, "class9").toolTip()
    assert "Key" not in _brush(widget, "class10").toolTip()


def test_counts_survive_other_changes(shown: ClassList, classes: tuple[ClassInfo, ...]) -> None:
    shown.show_counts({"membrane": 1234, "inside": 56_000})
    _show(shown, (classes[0].model_copy(update={"colour": "#123456"}), classes[1]))
    texts = {label.text() for label in shown.findChildren(QLabel)}
    assert {"1,234", "56.0 k"} <= texts
    assert (shown.count(1), shown.count(2), shown.count(3)) == (1234, 56_000, 0)


def test_renaming_in_place(qtbot, shown: ClassList, classes: tuple[ClassInfo, ...]) -> None:
    field = shown.findChild(QLineEdit, "name2")
    field.setFocus()
    field.selectAll()
    qtbot.keyClicks(field, "cytoplasm")
    with qtbot.waitSignal(shown.renamed) as received:
        qtbot.keyClick(field, Qt.Key.Key_Return)
    assert received.args == [2, "cytoplasm"]
    assert field.text() == "inside"  # nobody took it up
    with qtbot.assertNotEmitted(shown.renamed):
        field.setText("  ")
        qtbot.keyClick(field, Qt.Key.Key_Return)
    assert field.text() == "inside"


def test_a_name_is_added_once(qtbot, shown: ClassList) -> None:
    assert not shown.add.isEnabled()
    assert "needs a name" in shown.add.toolTip()
    qtbot.keyClicks(shown.name, "inside")
    assert "of that name" in shown.add.toolTip()
    with qtbot.assertNotEmitted(shown.added):
        qtbot.keyClick(shown.name, Qt.Key.Key_Return)
    shown.name.clear()
    qtbot.keyClicks(shown.name, " synapse ")
    with qtbot.waitSignal(shown.added) as received:
        shown.add.click()
    assert received.args == ["synapse"]
    assert not shown.name.text()


def test_colours_and_removal(qtbot, shown: ClassList) -> None:
    with qtbot.waitSignal(shown.recoloured) as received:
        shown.findChild(ColourButton, "colour1").picked.emit("#00ff00")
    assert received.args == [1, "#00ff00"]
    with qtbot.waitSignal(shown.removed) as received:
        shown.findChild(QToolButton, "remove2").click()
    assert received.args == [2]


def test_the_last_class_stays(shown: ClassList, classes: tuple[ClassInfo, ...]) -> None:
    _show(shown, classes[:1])
    (button,) = shown.findChildren(QToolButton, "remove1")
    assert not button.isEnabled()
    assert "at least one" in button.toolTip()


def test_what_cannot_be_changed_says_why(shown: ClassList, classes: tuple[ClassInfo, ...]) -> None:
    _show(shown, classes, "somebody else has it open.")
    (brush,) = shown.findChildren(QRadioButton, "class1")
    assert not brush.isEnabled()
    assert "somebody else has it open." in brush.toolTip()
    (field,) = shown.findChildren(QLineEdit, "name1")
    assert field.isReadOnly()
    assert shown.add.isHidden()


@pytest.mark.parametrize(
    ("n", "text"), [(0, "0"), (9999, "9,999"), (12_345, "12.3 k"), (4_100_000, "4.1 M"), (7_200_000_000, "7.2 G")]
)
def test_counts_are_short(n: int, text: str) -> None:
    assert count_text(n) == text
