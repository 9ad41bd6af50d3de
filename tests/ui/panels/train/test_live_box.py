"""Live learning in the Train panel: the switch, its status, and the suggestions where to paint next."""

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
from napari_pytc.ui.panels.train import suggestion_controller
from napari_pytc.ui.panels.train.live_box import LiveBox, live_series
from napari_pytc.ui.panels.train.live_controller import LiveState
from napari_pytc.ui.panels.train.suggestion_controller import describe
from napari_pytc.ui.widgets.forms.numbers import NumberBox
from napari_pytc.ui.widgets.layout import Scrolled
from tests.support.display import needs_display
from tests.ui.panels.train.test_live_controller import DONE, LiveBench, bench, opened

__all__ = ["bench", "opened"]
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
def box(opened: LiveBench) -> Iterator[LiveBox]:
    around = QWidget()
    found = LiveBox(opened.workspace, opened.live, opened.controllers.suggestions)
    scrolled = Scrolled(found, around)
    around.resize(360, 640)
    scrolled.resize(360, 640)
    around.show()
    yield found
    around.close()
    around.deleteLater()


def suggest(bench: LiveBench, monkeypatch: pytest.MonkeyPatch, found: Suggestions = FOUND) -> None:
    """The worker has found suggestions."""
    monkeypatch.setattr(bench.session.live, "suggestions", lambda: found)
    bench.runner.tell(Produced, kind="suggestions", box=BOX)


def click(bench: LiveBench, widget: QWidget) -> None:
    bench.bot.mouseClick(widget, Qt.MouseButton.LeftButton)


def test_the_switch_starts_and_stops_live_learning(opened: LiveBench, box: LiveBox) -> None:
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


def test_the_switch_tells_why_it_is_disabled(bench: LiveBench) -> None:
    found = LiveBox(bench.workspace, bench.live, bench.controllers.suggestions)
    assert not found.switch.isEnabled()
    assert "no project is open" in found.switch.toolTip()
    bench.open(bench.make())
    assert found.switch.isEnabled()
    found.deleteLater()


def test_an_error_is_shown_with_what_the_worker_printed(opened: LiveBench, box: LiveBox) -> None:
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


def test_scores_are_plotted_while_it_learns(opened: LiveBench, box: LiveBox) -> None:
    opened.begin()
    assert not box.curves_fold.isVisibleTo(box)
    opened.runner.tell(Measured, name="instant/score", step=0, value=0.5)
    opened.runner.tell(Measured, name="network/loss", step=3, value=1.5)
    opened.until(lambda: box.curves_fold.isVisibleTo(box))
    series = live_series(opened.live.job.curves if opened.live.job else {})
    assert [(one.name, one.plot) for one in series] == [("network's loss", "loss"), ("instant model", "score")]


def test_suggestions_are_requested_when_the_list_is_shown(
    opened: LiveBench, box: LiveBox, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened.begin()
    assert "suggest" not in opened.topics
    box.suggestions_fold.toggleButton().setChecked(True)
    assert opened.runner.messages[-1].content == {"n": suggestion_controller.N_SUGGESTIONS, "box": None}
    assert box.list.remark.text() == "Looking …"
    suggest(opened, monkeypatch)
    opened.until(lambda: box.list.tree.topLevelItemCount() == 2)
    assert _texts(box) == [["5, 16, 16", "31 %", "–", "2.50 µm"], ["9–10, 38, 28", "20 %", "22 %", "1.00 µm"]]
    assert "undecided, 31 % in doubt" in _item(box, 0).toolTip(0)
    assert box.list.remark.text() == "Does painting still help? The score still rises."


@pytest.mark.slow
def test_no_suggestions_are_requested_before_there_are_strokes(bench: LiveBench) -> None:
    bench.open(bench.make())
    bench.warm()
    bench.paint(1, 10)
    bench.until(lambda: any(bench.session.strokes.counts().values()))
    found = LiveBox(bench.workspace, bench.live, bench.controllers.suggestions)
    bench.bot.addWidget(found)
    found.show()
    found.suggestions_fold.toggleButton().setChecked(True)
    bench.begin()
    bench.until(lambda: bench.live.painted_classes == ["membrane"])
    assert "suggest" not in bench.topics
    assert "Switch Live on and paint a little" in found.list.remark.text()
    assert "at least two classes" in found.list.search_button.toolTip()
    bench.paint(2, 20)
    bench.until(lambda: "suggest" in bench.topics)
    assert found.list.remark.text() == "Looking …"


def test_a_click_shows_and_outlines_the_suggestion(
    opened: LiveBench, box: LiveBox, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened.begin()
    box.suggestions_fold.toggleButton().setChecked(True)
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


def test_the_list_tells_when_painting_more_is_not_expected_to_help(
    opened: LiveBench, box: LiveBox, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened.begin()
    box.suggestions_fold.toggleButton().setChecked(True)
    text = "The score has been flat for 6 rounds: painting more is not expected to help."
    suggest(opened, monkeypatch, Suggestions(saturated=True, text=text))
    opened.until(lambda: box.list.remark.text() == f"✓ {text}")
    assert not box.list.next_button.isEnabled()


@pytest.mark.slow
def test_suggestions_are_requested_again_after_a_stroke(
    opened: LiveBench, box: LiveBox, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened.begin()
    box.suggestions_fold.toggleButton().setChecked(True)
    suggest(opened, monkeypatch)
    opened.until(lambda: box.list.tree.topLevelItemCount() == 2)
    found = opened.live.findChild(suggestion_controller.SuggestionController)
    assert found is not None
    found._ask_timer.setInterval(0)
    opened.paint(1, 30)
    opened.until(lambda: opened.topics.count("suggest") == 2)
    box.suggestions_fold.toggleButton().setChecked(False)
    opened.paint(1, 36)
    opened.until(lambda: opened.topics.count("annotations") == 2)
    opened.bot.wait(20)
    assert opened.topics.count("suggest") == 2


def test_uncertainty_is_switched_everywhere(opened: LiveBench, box: LiveBox, qtbot: Any) -> None:
    uncertainty = opened.layers.predictions.uncertainty
    box.uncertainty.click()
    assert uncertainty.is_on
    uncertainty.switch(False)
    assert not box.uncertainty.isChecked()


def test_the_chosen_network_is_trained(opened: LiveBench, box: LiveBox) -> None:
    box.settings_fold.toggleButton().setChecked(True)
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


def test_nothing_is_clipped_in_a_narrow_panel(opened: LiveBench, box: LiveBox, tmp_path: Path) -> None:
    for fold in (box.suggestions_fold, box.settings_fold):
        fold.toggleButton().setChecked(True)
    opened.until(lambda: box.settings.form is not None)
    assert box.minimumSizeHint().width() <= 340


@pytest.mark.slow
def test_numbers_and_their_units_are_seen_whole_in_a_narrow_panel(opened: LiveBench, box: LiveBox) -> None:
    box.window().setStyleSheet(get_stylesheet("dark"))  # napari's, which leaves less room than Qt's own
    for scrolled in box.window().findChildren(Scrolled):
        scrolled.resize(325, 640)
    box.settings_fold.toggleButton().setChecked(True)
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
