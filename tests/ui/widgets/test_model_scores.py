"""The scores of a model beside the place where one is chosen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtWidgets import QApplication, QLabel

from napari_pytc.session.records import ModelRecord
from napari_pytc.ui.widgets.model_scores import HeldOutScores, scores_tip, titled_score
from napari_pytc.ui.widgets.record_text import short_date
from tests.support.display import needs_display

pytestmark = needs_display

CREATED = "2025-11-21T03:01:00+00:00"
SCORES: dict[str, Any] = {
    "dice": {"mito": 0.9}, "mean": 0.9, "mean_iou": 0.8, "n_voxels": 1234, "boxes": ["0:1,0:2,0:3"], "truth": "a",
    "objects": {"average_precision_50": 0.75, "voi_split": 0.5, "voi_merge": 0.25, "truth_objects": 7},
}  # fmt: skip


def model(id: str = "m1", scores: dict[str, Any] = SCORES, problem: str = "") -> ModelRecord:
    return ModelRecord(
        id=id, name=id, created=CREATED, recipe="fast", parent=None, scores=scores,
        folder=Path(id), problem=problem,
    )  # fmt: skip


@pytest.fixture
def shown(qtbot: QtBot) -> HeldOutScores:
    widget = HeldOutScores("scores")
    qtbot.addWidget(widget)
    widget.resize(320, 100)
    return widget


def texts(widget: HeldOutScores) -> list[str]:
    QApplication.processEvents()  # Qt shows what a layout got only then
    return [label.text() for label in widget.findChildren(QLabel) if label.text() and not label.isHidden()]


def test_each_score_stands_with_what_it_is_and_of_which_data(shown: HeldOutScores) -> None:
    shown.show_model(model())
    assert not shown.isHidden()
    assert texts(shown) == [
        "Dice <b>0.900</b>", "mean IoU <b>0.800</b>", "AP 0.5 <b>0.750</b>", "VOI <b>0.750</b>",
        f"Of 1,234 annotated voxels and 7 objects held out in 0:1,0:2,0:3, measured {short_date(CREATED)}.",
    ]  # fmt: skip
    figure = shown.findChild(QLabel, "score-average_precision_50")
    assert figure is not None
    assert "7 true objects" in figure.toolTip()


def test_without_a_score_the_reason_stands_in_its_place(shown: HeldOutScores) -> None:
    shown.show_model(model(scores={}))
    assert texts(shown) == ["No score: nothing annotated was held out when it was made."]
    for nothing in (None, model(problem="damaged")):
        shown.show_model(nothing)
        assert shown.isHidden()


def test_scores_of_another_truth_are_not_to_be_compared(shown: HeldOutScores) -> None:
    shown.show_model(model(), model("other", {**SCORES, "truth": "b"}))
    assert texts(shown)[-1].startswith("Not to be compared with the scores of “other”")
    shown.show_model(model(), model("other"))
    assert texts(shown)[-1].startswith("Of 1,234")
    shown.show_model(model(), model(scores={**SCORES, "truth": "b"}))  # itself
    assert texts(shown)[-1].startswith("Of 1,234")


def test_a_combo_box_has_the_score_that_decides() -> None:
    assert titled_score(model()) == "m1 · Dice 0.90"
    assert titled_score(model(scores={})) == "m1"
    assert scores_tip(model()).startswith("Dice 0.900, mean IoU 0.800, AP 0.5 0.750, VOI 0.750\nOf 1,234")
