"""The Predict panel says what it would predict, asks for it, and follows it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel, QMessageBox, QPushButton

from napari_pytc.geometry import Box
from napari_pytc.jobs.events import Finished, Produced, Progressed
from napari_pytc.plans.prediction_defaults import PredictionDefaults
from napari_pytc.plans.test_time import TtaSettings
from napari_pytc.plans.windows import WindowSettings
from napari_pytc.session.records import ClassInfo
from napari_pytc.ui.panels.predict.channel_choice import ChannelChoice
from napari_pytc.ui.panels.predict.controller import Legend, PredictController
from napari_pytc.ui.panels.predict.panel import PredictPanel
from napari_pytc.ui.widgets.job_row import speed
from napari_pytc.ui.widgets.record_text import prediction_text, preferred_prediction, short_date
from tests.support.workspaces import FakeSession, FakeWorkspace, model, prediction

J = "j1"


@pytest.fixture
def panel(workspace: FakeWorkspace, qtbot: QtBot) -> PredictPanel:
    panel = PredictPanel(PredictController(workspace))  # type: ignore[arg-type]
    qtbot.addWidget(panel)
    panel.resize(320, 600)
    panel.show()
    return panel


@pytest.fixture
def session(workspace: FakeWorkspace, panel: PredictPanel, tmp_path: Path) -> FakeSession:
    session = workspace.open(tmp_path / "a.pytc")
    session.model_records = [model("m1"), model("broken", problem="damaged"), model("m2", active=True)]
    workspace.models_changed.emit()
    return session


def click(qtbot: QtBot, panel: PredictPanel, name: str) -> None:
    button = panel.findChild(QPushButton, name)
    assert button is not None
    assert button.isEnabled(), button.toolTip()
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def test_without_a_project_it_says_what_to_do(panel: PredictPanel) -> None:
    assert panel.empty.isVisible()
    assert "Open one in the Data panel" in panel.empty.label.text()
    assert not panel.form.isVisible()


def test_without_a_model_it_says_what_to_do(panel: PredictPanel, workspace: FakeWorkspace, tmp_path: Path) -> None:
    workspace.open(tmp_path)
    assert "train one" in panel.empty.label.text()
    assert not panel.predict_button.isEnabled()
    assert "no model yet" in panel.predict_button.toolTip()


def test_the_active_model_comes_first_and_damaged_ones_never(panel: PredictPanel, session: FakeSession) -> None:
    assert not panel.empty.isVisible()
    texts = [panel.model.itemText(k) for k in range(panel.model.count())]
    assert texts == ["Active: m2 · Dice 0.88", "m1 · Dice 0.88"]
    assert panel.model.currentData() is None


def test_the_scores_of_the_chosen_model_stand_below_it(
    panel: PredictPanel, session: FakeSession, workspace: FakeWorkspace
) -> None:
    first, second = (record for record in session.model_records if not record.problem)
    of_truth = {"mean": 0.9, "dice": {"a": 0.9}, "n_voxels": 12, "truth": "t"}
    scored = first.model_copy(update={"scores": of_truth})
    session.model_records = [scored, second.model_copy(update={"scores": {**of_truth, "truth": "u", "mean": 0.8}})]
    workspace.models_changed.emit()
    assert [panel.model.itemText(k) for k in range(2)] == ["Active: m2 · Dice 0.80", "m1 · Dice 0.90"]
    assert "Dice <b>0.800</b>" in [label.text() for label in panel.scores.findChildren(QLabel)]
    panel.model.setCurrentIndex(1)
    shown = [label.text() for label in panel.scores.findChildren(QLabel)]
    assert "Dice <b>0.900</b>" in shown
    assert any(text.startswith("Not to be compared with the scores of “m2”") for text in shown)


def test_a_list_that_is_filled_again_keeps_the_chosen_model_and_tells_of_no_choice(
    panel: PredictPanel, session: FakeSession, workspace: FakeWorkspace, qtbot: QtBot
) -> None:
    panel.model.setCurrentIndex(1)
    with qtbot.assertNotEmitted(panel.model.currentIndexChanged):
        workspace.models_changed.emit()
    assert panel.model.currentData() == "m1"
    session.model_records = []
    workspace.models_changed.emit()
    assert not panel.predict_button.isEnabled()


def test_predict_asks_for_what_is_chosen(
    panel: PredictPanel, session: FakeSession, workspace: FakeWorkspace, qtbot: QtBot
) -> None:
    panel.model.setCurrentIndex(1)
    panel.copies.fold.expand(animate=False)
    assert panel.copies.form is not None
    panel.copies.form.set_value(TtaSettings(flips="plane", turns=True))
    assert panel.copies.fold.text() == "Test-time augmentation: 8 copies"
    assert panel.copies.about.text() == "8 copies: about 8 times as long."
    click(qtbot, panel, "scope-all")
    click(qtbot, panel, "predictButton")
    assert panel.predict_button.text() == "Predict everything"
    click(qtbot, panel, "scope-view")
    assert panel.predict_button.text() == "Predict the view"
    click(qtbot, panel, "predictButton")
    (_, scope, name, plan), second = workspace.calls
    assert (scope, name, plan.copies) == ("all", "m1", TtaSettings(flips="plane", turns=True))
    assert second[1:3] == ("view", "m1")


def test_a_model_of_windows_says_so_and_shows_their_settings(
    panel: PredictPanel, session: FakeSession, workspace: FakeWorkspace, qtbot: QtBot
) -> None:
    assert not panel.windows.isVisible()
    assert panel.windows.form is None
    records = session.model_records
    records[0] = records[0].model_copy(update={"tiling": "overlapping windows of 16 x 32 x 32"})
    panel.refresh()
    panel.model.setCurrentIndex(1)
    assert panel.windows.about.text().startswith("Predicts in overlapping windows of 16 x 32 x 32")
    assert panel.windows.form is not None
    assert panel.windows.form.isVisible()
    panel.windows.form.set_value(WindowSettings(overlap=0.25))
    click(qtbot, panel, "predictButton")
    panel.model.setCurrentIndex(0)
    assert not panel.windows.isVisible()
    click(qtbot, panel, "predictButton")
    assert [call[3].windows.overlap for call in workspace.calls] == [0.25, 0.5]


def test_copies_are_folded_and_none_at_first(
    panel: PredictPanel, session: FakeSession, workspace: FakeWorkspace, qtbot: QtBot
) -> None:
    assert panel.copies.form is None
    assert panel.copies.fold.text() == "Test-time augmentation"
    click(qtbot, panel, "predictButton")
    panel.copies.fold.expand(animate=False)
    assert panel.copies.form is not None
    qtbot.waitUntil(panel.copies.form.isVisible)
    assert panel.copies.about.text() == "No copies: the image is predicted once."
    click(qtbot, panel, "predictButton")
    assert [call[3].copies for call in workspace.calls] == [TtaSettings()] * 2


def test_copies_that_cannot_be_are_said_and_not_predicted(
    panel: PredictPanel, session: FakeSession, workspace: FakeWorkspace, qtbot: QtBot
) -> None:
    panel.copies.fold.expand(animate=False)
    assert panel.copies.form is not None
    (scales,) = (part.editors["scales"] for part in panel.copies.form._parts)
    scales.set_value((0.5, 0.75))
    assert not panel.predict_button.isEnabled()
    assert "1 among them" in panel.reason.text()
    scales.set_value((0.5, 1.0))
    assert panel.predict_button.isEnabled()
    assert panel.copies.about.text() == "2 copies: about 1.25 times as long."


def test_a_model_shows_the_settings_that_it_brings_along(
    panel: PredictPanel, session: FakeSession, workspace: FakeWorkspace, qtbot: QtBot
) -> None:
    windows = WindowSettings(overlap=0.25, average="logits", blending="bump")
    brought = PredictionDefaults(tta=TtaSettings(flips=("y", "zx"), combine="min"), windows=windows)
    records = session.model_records
    records[0] = records[0].model_copy(
        update={"tiling": "overlapping windows of 16 x 32 x 32", "prediction": brought.model_dump(mode="json")}
    )
    panel.refresh()
    panel.model.setCurrentIndex(1)
    assert panel.windows.value == windows
    assert panel.copies.value == brought.tta
    assert panel.copies.fold.text() == "Test-time augmentation: 3 copies"
    click(qtbot, panel, "predictButton")
    assert panel.copies.form is not None
    panel.copies.form.set_value(TtaSettings(turns=True))
    panel.refresh()
    assert panel.copies.value == TtaSettings(turns=True), "what was chosen is kept"
    panel.model.setCurrentIndex(0)
    assert panel.copies.value == TtaSettings()
    click(qtbot, panel, "predictButton")
    assert [call[3].copies for call in workspace.calls] == [brought.tta, TtaSettings()]


def test_sizes_are_reported_and_a_missing_box_is_shown(
    panel: PredictPanel, session: FakeSession, workspace: FakeWorkspace, qtbot: QtBot
) -> None:
    assert panel.extent.text() == "1 × 48 × 40 voxels in view"
    click(qtbot, panel, "scope-box")
    assert not panel.predict_button.isEnabled()
    assert "no box is drawn" in panel.predict_button.toolTip()
    assert panel.reason.isVisible()
    assert workspace.layers is not None
    workspace.layers.drawn = Box.at((1, 2, 3), (1, 10, 20))
    panel.enterEvent(None)
    assert panel.predict_button.isEnabled()
    assert panel.extent.text() == "1 × 10 × 20 voxels in the drawn box"
    assert not panel.reason.isVisible()
    assert panel.box.isVisible()
    panel.box.depth_box.setValue(4)
    assert panel.extent.text() == "4 × 10 × 20 voxels in the drawn box"
    everything = panel.scopes.button(2)
    assert everything is not None
    assert "12 × 48 × 40 voxels" in everything.toolTip()


def test_a_project_that_is_read_only_is_not_predicted_on(
    panel: PredictPanel, session: FakeSession, workspace: FakeWorkspace
) -> None:
    session.project.read_only = True
    session.prediction_records = [prediction("p1", "cancelled")]
    workspace.session_changed.emit()
    assert "reading only" in panel.predict_button.toolTip()
    assert not panel.list.resume_button.isEnabled()
    assert not panel.list.delete_button.isEnabled()
    assert panel.list.show_button.isEnabled()


def test_a_running_prediction_is_followed_to_its_end(
    panel: PredictPanel, session: FakeSession, workspace: FakeWorkspace
) -> None:
    spec = SimpleNamespace(box=Box.at((0, 0, 0), (10, 1000, 1000)), output=Path("/predictions/p1.zarr"))
    view, sink = workspace.start(
        "predict", "Predict everything", spec, Progressed(job=J, done=0, total=10, time=1.0, note="predicting")
    )
    session.prediction_records = [prediction("p1", "running")]
    sink(Produced(job=J, kind="prediction", box=Box.at((0, 0, 0), (1, 1, 1))))
    workspace.jobs.drain()
    assert panel.list.tree.topLevelItemCount() == 1
    assert "being predicted" in panel.list.delete_button.toolTip()
    (found,) = panel.rows.rows
    view.started = 1.0
    sink(Progressed(job=J, done=5, total=10, time=view.requested, note="predicting"))
    sink(Progressed(job=J, done=6, total=10, time=view.requested + 1000, note="predicting"))
    workspace.jobs.drain()
    assert found.bar.value() == 6
    assert "Mvoxel" in found.status.text()
    assert "left" in found.status.text()
    session.prediction_records = [prediction("p1", "finished")]
    sink(Finished(job=J, result={"mvoxel_per_s": 3.14}))
    workspace.jobs.drain()
    assert speed(3.14e6) in found.status.text()
    assert speed(3.14e6).replace("\N{WORD JOINER}", "").replace("\N{NO-BREAK SPACE}", " ") == "3.1 Mvoxel/s"
    assert found.cancel_button.isHidden()
    assert "complete" in panel.list.resume_button.toolTip()
    workspace.start("predict", "Predict again", spec)
    assert [row.job.title for row in panel.rows.rows] == ["Predict again"]
    workspace.session_changed.emit()
    assert panel.rows.rows, "jobs of other volumes go on"
    workspace.project_changed.emit()  # of another project nothing was predicted
    assert panel.rows.rows == []


def test_a_prediction_is_named_in_short_by_its_recipe_its_time_and_its_part() -> None:
    named, dated = prediction("p1"), prediction("p2", box=Box.at((0, 0, 0), (2, 3, 4)))
    at = short_date(named.created)
    assert prediction_text(named) == f"m1, {at}, everything"
    assert prediction_text(dated.model_copy(update={"model": "20261121-1842-fast"})) == f"fast, {at}, box 2×3×4"


def test_the_newest_finished_prediction_is_worked_with_unless_another_was_picked() -> None:
    records = [prediction("p3", "running"), prediction("p2"), prediction("p1")]
    assert preferred_prediction(records, "") == 1
    assert preferred_prediction(records, "p1") == 2
    assert preferred_prediction(records, "deleted since") == 1
    assert preferred_prediction(records[:1], "") == 0
    assert preferred_prediction([], "p1") == -1


def test_cancel_asks_the_job_once(panel: PredictPanel, session: FakeSession, workspace: FakeWorkspace) -> None:
    view, _ = workspace.start("predict", "Predict everything")
    cancelled: list[int] = []
    view.handle = SimpleNamespace(cancel=lambda: cancelled.append(1))  # type: ignore[assignment]
    (found,) = panel.rows.rows
    found.cancel_button.click()
    found.cancel_button.click()
    assert cancelled == [1]
    assert not found.cancel_button.isEnabled()


def test_predictions_are_shown_hidden_resumed_and_deleted(
    panel: PredictPanel,
    session: FakeSession,
    workspace: FakeWorkspace,
    qtbot: QtBot,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    session.prediction_records = [prediction("p1"), prediction("p2", "cancelled", Box.at((0, 0, 0), (2, 3, 4)))]
    workspace.predictions_changed.emit()
    tree = panel.list.tree
    rows = [tree.topLevelItem(k) for k in range(2)]
    assert [[row.text(c) for c in range(3)] for row in rows if row is not None] == [
        ["m1", "box 2×3×4", "in part"],
        ["m1", "everything", "finished"],
    ]
    assert workspace.layers is not None
    click(qtbot, panel, "showPredictionButton")
    assert workspace.layers.predictions.folder == Path("/predictions/p2.zarr")
    assert panel.list.show_button.text() == "Hide"
    click(qtbot, panel, "showPredictionButton")
    assert workspace.layers.predictions.folder is None
    click(qtbot, panel, "resumePredictionButton")
    answers = iter([QMessageBox.StandardButton.No, QMessageBox.StandardButton.Yes])
    monkeypatch.setattr(QMessageBox, "question", lambda *arguments: next(answers))
    click(qtbot, panel, "deletePredictionButton")
    assert workspace.calls == [("resume", "p2")]
    click(qtbot, panel, "deletePredictionButton")
    assert session.deleted == ["p2"]


def test_a_probability_is_chosen_in_a_list(
    panel: PredictPanel, session: FakeSession, workspace: FakeWorkspace, qtbot: QtBot
) -> None:
    assert workspace.layers is not None
    predictions, combo = workspace.layers.predictions, panel.channels.combo
    workspace.predictions_changed.emit()
    qtbot.waitUntil(lambda: combo.count() == 3)
    assert [combo.itemText(k) for k in range(3)] == ["none", "membrane", "inside"]
    for index, channel in ((2, 1), (1, 0), (0, None)):
        combo.setCurrentIndex(index)
        combo.activated.emit(index)
        assert predictions.channel == channel
    predictions.channel = 1  # switched on in the layer list
    panel.enterEvent(None)
    assert combo.currentText() == "inside"
    predictions.legend = []
    panel.enterEvent(None)
    assert panel.channels.isHidden()


def test_closing_the_project_empties_the_panel(
    panel: PredictPanel, session: FakeSession, workspace: FakeWorkspace
) -> None:
    workspace.session = workspace.layers = None
    workspace.session_changed.emit()
    assert panel.model.count() == 0
    assert panel.empty.isVisible()


def test_it_fits_a_narrow_dock(panel: PredictPanel, session: FakeSession, workspace: FakeWorkspace) -> None:
    session.model_records = [model("20261121-0803-a-very-long-name-of-a-model-that-nobody-would-type", active=True)]
    workspace.models_changed.emit()
    workspace.start("predict", "Predict everything with a title that goes on for longer than the panel is wide")
    assert panel.minimumSizeHint().width() <= 320


def test_a_long_name_of_a_channel_needs_no_wide_panel(qtbot: QtBot) -> None:
    long = ClassInfo(id=1, name="plasma membrane of the presynaptic terminal in the lamina", colour="#e6194b")
    found = ChannelChoice()
    qtbot.addWidget(found)
    found.show_legend(Legend([long], 0))
    assert found.minimumSizeHint().width() <= 240
    assert found.combo.currentText() == long.name
