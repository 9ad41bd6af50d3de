"""Live learning in the Train panel: the switch, its words, and the places to paint next."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from napari._qt.qt_resources import get_stylesheet
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QTreeWidgetItem, QWidget

from napari_pytc.geometry import Box
from napari_pytc.jobs.events import Failed, Finished, Measured, Produced, Started
from napari_pytc.session.live import Suggestion, Suggestions
from napari_pytc.ui.forms.numbers import NumberBox
from napari_pytc.ui.live import places
from napari_pytc.ui.live.box import LiveBox, series_of_live
from napari_pytc.ui.live.controller import LiveState
from napari_pytc.ui.live.places import describe
from napari_pytc.ui.parts import Scrolled
from tests.support.display import needs_display
from tests.ui.test_live import DONE, LiveDesk, desk, opened

__all__ = ["desk", "opened"]
pytestmark = needs_display

BOX = Box((5, 8, 8), (6, 24, 24))
FOUND = Suggestions(
    boxes=(
        Suggestion(
            box=BOX, gain=0.4, reason="undecided, 31 % in doubt", uncertainty=0.31, disagreement=None, distance_um=2.5
        ),
        Suggestion(
            box=Box((9, 30, 20), (11, 46, 36)),
            gain=0.2,
            reason="the two models disagree on 22 %",
            uncertainty=0.2,
            disagreement=0.22,
            distance_um=1.0,
        ),
    ),
    text="The score still rises.",
)


@pytest.fixture
def box(opened: LiveDesk) -> Iterator[LiveBox]:
    around = QWidget()
    found = LiveBox(opened.workspace)
    scrolled = Scrolled(found, around)
    around.resize(360, 640)
    scrolled.resize(360, 640)
    around.show()
    yield found
    around.close()
    around.deleteLater()


def suggest(desk: LiveDesk, monkeypatch: pytest.MonkeyPatch, found: Suggestions = FOUND) -> None:
    """The worker has found places."""
    monkeypatch.setattr(type(desk.session), "suggestions", lambda session: found)
    desk.runner.tell(Produced, kind="suggestions", box=BOX)


def click(desk: LiveDesk, widget: QWidget) -> None:
    desk.bot.mouseClick(widget, Qt.MouseButton.LeftButton)


def test_the_switch_begins_and_ends_it(opened: LiveDesk, box: LiveBox) -> None:
    assert (box.chip.text(), box.switch.isChecked()) == ("Off", False)
    box.switch.click()
    opened.until(lambda: opened.runner.jobs)
    assert box.switch.isChecked()
    assert box.chip.text() == "Starting"
    opened.runner.tell(Started)
    opened.runner.tell(Measured, name="shown", step=0, value=0)
    opened.until(lambda: box.chip.text() == "Instant model")
    box.switch.click()
    assert box.chip.text() == "Stopping"
    opened.runner.tell(Finished, result=DONE)
    opened.until(lambda: box.chip.text() == "Off")
    assert box.status.text() == "Off. Nothing was learnt, so there is no model to keep."


def test_where_it_cannot_be_switched_on_the_switch_says_why(desk: LiveDesk) -> None:
    found = LiveBox(desk.workspace)
    assert not found.switch.isEnabled()
    assert "no project is open" in found.switch.toolTip()
    desk.open(desk.make())
    assert found.switch.isEnabled()
    found.deleteLater()


def test_an_error_is_shown_with_what_the_worker_printed(opened: LiveDesk, box: LiveBox) -> None:
    opened.begin()
    opened.runner.tell(Failed, message="The worker was killed.", hint="Close other programs.", log="Killed")
    opened.until(lambda: box.chip.text() == "Error")
    assert box.notice.text == "The worker was killed."
    assert box.notice.isVisible()
    assert not box.switch.isChecked()
    box.notice.clear()
    assert (box.chip.text(), box.status.text()) == (
        "Off",
        "Ended by an error. Strokes and models are safe; switch Live on to go on.",
    )
    opened.begin()
    assert not box.notice.isVisible()


def test_scores_are_told_while_it_learns(opened: LiveDesk, box: LiveBox) -> None:
    opened.begin()
    assert not box.curves.isVisibleTo(box)
    opened.runner.tell(Measured, name="instant/score", step=0, value=0.5)
    opened.runner.tell(Measured, name="network/loss", step=3, value=1.5)
    opened.until(lambda: box.curves.isVisibleTo(box))
    series = series_of_live(opened.live.job.curves if opened.live.job else {})
    assert [(one.name, one.plot) for one in series] == [("network's loss", "loss"), ("instant model", "score")]


def test_places_are_asked_for_when_somebody_looks_at_them(
    opened: LiveDesk, box: LiveBox, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened.begin()
    assert "suggest" not in opened.topics
    box.where.button.setChecked(True)
    assert opened.runner.messages[-1].content == {"n": places.N_PLACES, "box": None}
    assert box.list.remark.text() == "Looking …"
    suggest(opened, monkeypatch)
    opened.until(lambda: box.list.tree.topLevelItemCount() == 2)
    assert _texts(box) == [["5, 16, 16", "31 %", "–", "2.50 µm"], ["9–10, 38, 28", "20 %", "22 %", "1.00 µm"]]
    assert "undecided, 31 % in doubt" in _item(box, 0).toolTip(0)
    assert box.list.remark.text() == "Does painting still help? The score still rises."


def test_no_places_are_looked_for_before_there_is_something_to_learn(desk: LiveDesk) -> None:
    desk.open(desk.make())
    desk.warm()
    desk.paint(1, 10)
    desk.until(lambda: any(desk.session.annotated_voxels().values()))
    found = LiveBox(desk.workspace)
    desk.bot.addWidget(found)
    found.show()
    found.where.button.setChecked(True)
    desk.begin()
    desk.until(lambda: desk.live.painted == ["membrane"])
    assert "suggest" not in desk.topics
    assert "Switch Live on and paint a little" in found.list.remark.text()
    assert "at least two classes" in found.list.look_button.toolTip()
    desk.paint(2, 20)
    desk.until(lambda: "suggest" in desk.topics)
    assert found.list.remark.text() == "Looking …"


def test_a_click_flies_there_and_outlines_the_place(
    opened: LiveDesk, box: LiveBox, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened.begin()
    box.where.button.setChecked(True)
    suggest(opened, monkeypatch)
    opened.until(lambda: box.list.tree.topLevelItemCount() == 2)
    item = _item(box, 0)
    opened.bot.mouseClick(
        box.list.tree.viewport(), Qt.MouseButton.LeftButton, pos=box.list.tree.visualItemRect(item).center()
    )
    assert opened.viewer.flights == [((5.0, 16.0, 16.0), BOX)]
    assert opened.viewer.find("Paint here").boxes == [BOX]
    assert _item(box, 0).font(0).bold()
    click(opened, box.list.next_button)
    assert opened.viewer.find("Paint here").boxes == [FOUND.boxes[1].box]
    click(opened, box.list.next_button)  # the first again
    assert opened.viewer.flights[-1][1] == BOX
    opened.live.switch_off()
    opened.runner.tell(Finished, result=DONE)
    opened.until(lambda: opened.live.state is LiveState.OFF)
    assert "Paint here" not in [layer.name for layer in opened.viewer.layers]
    assert not box.list.tree.isVisibleTo(box)


def test_it_says_when_painting_more_is_not_expected_to_help(
    opened: LiveDesk, box: LiveBox, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened.begin()
    box.where.button.setChecked(True)
    text = "The score has been flat for 6 rounds: painting more is not expected to help."
    suggest(opened, monkeypatch, Suggestions(saturated=True, text=text))
    opened.until(lambda: box.list.remark.text() == f"✓ {text}")
    assert not box.list.next_button.isEnabled()


def test_places_are_looked_for_anew_when_the_painting_rests(
    opened: LiveDesk, box: LiveBox, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened.begin()
    box.where.button.setChecked(True)
    suggest(opened, monkeypatch)
    opened.until(lambda: box.list.tree.topLevelItemCount() == 2)
    found = opened.live.findChild(places.Places)
    assert found is not None
    found._ask_timer.setInterval(0)
    opened.paint(1, 30)
    opened.until(lambda: opened.topics.count("suggest") == 2)
    box.where.button.setChecked(False)
    opened.paint(1, 36)
    opened.until(lambda: opened.topics.count("annotations") == 2)
    opened.bot.wait(20)
    assert opened.topics.count("suggest") == 2


def test_doubt_is_switched_in_all_places(opened: LiveDesk, box: LiveBox, qtbot: Any) -> None:
    uncertainty = opened.layers.predictions.uncertainty
    box.doubt.click()
    assert uncertainty.is_on
    uncertainty.switch(False)
    assert not box.doubt.isChecked()


def test_the_chosen_network_learns_behind(opened: LiveDesk, box: LiveBox) -> None:
    box.more.button.setChecked(True)
    opened.until(lambda: box.settings.form is not None)
    names = [box.settings.network.itemText(k) for k in range(box.settings.network.count())]
    assert {"fast", "accurate"} <= set(names)
    assert "neurites" not in names
    box.settings.network.setCurrentIndex(names.index("accurate"))
    box.settings.network.activated.emit(names.index("accurate"))
    opened.until(lambda: opened.live.plan is not None and opened.live.plan.network.recipe == "accurate")
    assert box.settings.form is not None
    value = box.settings.form.value().model_copy(update={"instant_only": True})
    box.settings.form.set_value(value)
    opened.begin()
    plan = opened.runner.specs[-1].plan
    assert (plan.network.recipe, plan.instant_only) == ("accurate", True)


def test_nothing_is_clipped_in_a_narrow_panel(opened: LiveDesk, box: LiveBox, tmp_path: Path) -> None:
    for fold in (box.where, box.more):
        fold.button.setChecked(True)
    opened.until(lambda: box.settings.form is not None)
    assert box.minimumSizeHint().width() <= 340


def test_numbers_and_their_units_are_seen_whole_in_a_narrow_panel(opened: LiveDesk, box: LiveBox) -> None:
    box.window().setStyleSheet(get_stylesheet("dark"))  # napari's, which leaves less room than Qt's own
    for scrolled in box.window().findChildren(Scrolled):
        scrolled.resize(325, 640)
    box.more.button.setChecked(True)
    opened.until(lambda: box.settings.form is not None)
    numbers = box.settings.findChildren(NumberBox)
    assert {number.text() for number in numbers} >= {"1024 MB", "40 steps"}
    for number in numbers:
        field = number.lineEdit()
        assert field is not None
        assert field.width() >= field.fontMetrics().horizontalAdvance(number.text()) + 2, number.text()


def test_boxes_are_described_by_their_middle() -> None:
    assert describe(Box((3, 0, 0), (4, 9, 5))) == "3, 4, 2"


def _item(box: LiveBox, number: int) -> QTreeWidgetItem:
    found = box.list.tree.topLevelItem(number)
    assert found is not None
    return found


def _texts(box: LiveBox) -> list[list[str]]:
    return [[_item(box, k).text(column) for column in range(4)] for k in range(box.list.tree.topLevelItemCount())]
