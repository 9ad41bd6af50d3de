"""The list of models: what it shows, and what can be done with them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication, QFileDialog, QLabel, QLineEdit, QMessageBox, QTreeWidgetItem

from napari_pytc.errors import ModelError
from napari_pytc.plans.model_folder import read_model_info
from napari_pytc.plans.networks import FilterBankNetwork
from napari_pytc.plans.plan import Augmentation, TrainPlan
from napari_pytc.session.records import MetricPoint, RunRecord
from napari_pytc.ui.panels.train.comparison import ComparisonDialog, differences, scores
from napari_pytc.ui.panels.train.models import ModelList
from napari_pytc.ui.panels.train.models_controller import ModelsController, read_curves
from napari_pytc.ui.widgets.record_text import short_date
from tests.session.models import make_model
from tests.support.display import needs_display
from tests.support.workspaces import FakeWorkspace, LiveLayers, TrainingSession

pytestmark = needs_display

OLD, TUNED, NEW = "20261121-0301-instant", "20261121-0312-fast", "20261121-0322-accurate"


@pytest.fixture
def session(tmp_path: Path) -> TrainingSession:
    make_model(tmp_path / "models" / OLD, created="2026-11-21T03:01:00+00:00", recipe="instant")
    make_model(tmp_path / "models" / TUNED, parent=OLD, scores={"dice": {"inside": 0.8}, "mean": 0.8125})
    make_model(tmp_path / "models" / NEW, created="2026-11-21T03:22:00+00:00", recipe="accurate", scores={})
    (tmp_path / "models" / "broken").mkdir()
    return TrainingSession(tmp_path)


@pytest.fixture
def workspace(session: TrainingSession) -> Iterator[FakeWorkspace]:
    workspace = FakeWorkspace()
    workspace.layers = LiveLayers(workspace)
    workspace.open_session(session)
    yield workspace
    workspace.shutdown()


@pytest.fixture
def models(workspace: FakeWorkspace, qtbot: QtBot) -> ModelList:
    widget = ModelList(ModelsController(workspace))  # type: ignore[arg-type]
    qtbot.addWidget(widget)
    widget.resize(320, 400)
    widget.show()
    return widget


def item(models: ModelList, name: str) -> QTreeWidgetItem:
    """The row of a model, by its id."""
    rows = models.tree.findItems("", Qt.MatchFlag.MatchContains | Qt.MatchFlag.MatchRecursive)
    return next(row for row in rows if row.data(0, Qt.ItemDataRole.UserRole).id == name)


def select(models: ModelList, *names: str) -> None:
    models.tree.clearSelection()
    for name in names:
        item(models, name).setSelected(True)


def test_models_are_a_tree_with_scores_and_the_active_one_marked(models: ModelList) -> None:
    assert item(models, NEW).text(0) == "● accurate"
    assert item(models, NEW).font(0).bold()
    assert [item(models, OLD).text(column) for column in range(5)] == ["instant", "0.850", "", "", "instant"]
    tuned = item(models, TUNED)
    assert tuned.parent() is item(models, OLD)
    assert tuned.text(1) == "0.812"
    assert "Fine-tuned from" in tuned.toolTip(0)
    assert item(models, NEW).text(1) == "—"
    bar = models.tree.horizontalScrollBar()
    assert bar is not None
    assert not bar.isVisible()


def test_scores_of_objects_have_a_column_where_there_are_some(
    models: ModelList, session: TrainingSession, workspace: FakeWorkspace
) -> None:
    assert models.tree.isColumnHidden(2)
    found = {"average_precision_50": 0.625, "truth_objects": 3}
    make_model(session.folder / "models" / "of-objects", scores={"mean": 0.7, "dice": {"a": 0.7}, "objects": found})
    workspace.models_changed.emit()
    assert not models.tree.isColumnHidden(2)
    assert item(models, "of-objects").text(2) == "0.625"
    assert item(models, OLD).text(2) == ""


def test_the_scores_of_the_selected_model_stand_below_the_list(models: ModelList) -> None:
    select(models, TUNED)
    figure = models.scores.findChild(QLabel, "score-dice")
    assert figure is not None
    assert figure.text() == "Dice <b>0.812</b>"
    select(models, NEW)
    assert any(label.text().startswith("No score") for label in models.scores.findChildren(QLabel))
    select(models, OLD, TUNED)
    notes = [label.text() for label in models.scores.findChildren(QLabel)]
    assert "Whether “instant” was scored on the same truth is not known: compare the numbers with care." in notes
    select(models, OLD, TUNED, NEW)
    assert models.scores.isHidden()


def test_damaged_models_say_what_is_wrong_and_cannot_be_used(models: ModelList) -> None:
    broken = item(models, "broken")
    assert broken.text(4) == "damaged"
    assert "provenance.json" in broken.toolTip(0)
    assert broken.foreground(0) != item(models, OLD).foreground(0)
    select(models, "broken")
    assert not models.buttons["activate"].isEnabled()
    assert "damaged" in models.buttons["activate"].toolTip()
    assert models.buttons["delete"].isEnabled()


def test_activate_by_button_or_double_click(
    models: ModelList, session: TrainingSession, workspace: FakeWorkspace, qtbot: QtBot
) -> None:
    assert [record.active for record in models.selected] == [True]
    assert "active already" in models.buttons["activate"].toolTip()
    models.tree.clearSelection()
    assert "select one model" in models.buttons["activate"].toolTip()
    select(models, OLD)
    with qtbot.waitSignal(workspace.models_changed):
        models.buttons["activate"].click()
    assert item(models, OLD).text(0) == "● instant"
    assert models.selected[0].id == OLD
    assert "active already" in models.buttons["activate"].toolTip()
    models.tree.itemDoubleClicked.emit(item(models, OLD), 0)
    assert session.calls == [("activate", OLD)]
    select(models, TUNED)
    place = models.tree.visualItemRect(item(models, TUNED)).center()
    for click in (qtbot.mouseClick, qtbot.mouseDClick):
        click(models.tree.viewport(), Qt.MouseButton.LeftButton, pos=place)
    assert session.active == TUNED
    assert models.tree.topLevelItem(1).isExpanded()  # type: ignore[union-attr]


@pytest.mark.parametrize(("typed", "calls"), [("Nice one", [("rename", NEW, "Nice one")]), ("  ", [])])
def test_rename_in_place(
    models: ModelList, session: TrainingSession, qtbot: QtBot, typed: str, calls: list[tuple[str, ...]]
) -> None:
    select(models, NEW)
    models.tree.setFocus()
    models.rename()
    line = models.tree.findChild(QLineEdit)
    assert line is not None
    assert line.text() == NEW
    line.selectAll()
    qtbot.keyClicks(line, typed)
    qtbot.keyClick(line, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: item(models, NEW).text(0) == f"● {'Nice one' if calls else 'accurate'}")
    assert session.calls == calls


def test_f2_begins_a_rename_and_escape_leaves_all_as_it_was(
    models: ModelList, session: TrainingSession, qtbot: QtBot
) -> None:
    select(models, OLD)
    models.activateWindow()
    models.tree.setFocus()
    qtbot.waitUntil(models.tree.hasFocus)
    qtbot.keyClick(models.tree, Qt.Key.Key_F2)
    line = models.tree.findChild(QLineEdit)
    assert line is not None
    qtbot.keyClicks(line, "x")
    qtbot.keyClick(line, Qt.Key.Key_Escape)
    qtbot.waitUntil(lambda: item(models, OLD).text(0) == "instant")
    assert session.calls == []


@pytest.mark.parametrize("answer", [QMessageBox.StandardButton.Yes, QMessageBox.StandardButton.No])
def test_delete_asks_first(
    models: ModelList,
    session: TrainingSession,
    monkeypatch: pytest.MonkeyPatch,
    answer: QMessageBox.StandardButton,
) -> None:
    asked: list[str] = []

    def ask(*words: Any) -> QMessageBox.StandardButton:
        asked.append(words[-1])
        return answer

    monkeypatch.setattr(QMessageBox, "question", ask)
    select(models, OLD, "broken")
    models.buttons["delete"].click()
    assert asked == ["Delete 2 models for good? Predictions made with it stay."]
    yes = answer == QMessageBox.StandardButton.Yes
    assert (session.folder / "models" / OLD).exists() != yes
    left = {TUNED, NEW} if yes else {OLD, TUNED, NEW, "broken"}
    rows = models.tree.findItems("", Qt.MatchFlag.MatchContains | Qt.MatchFlag.MatchRecursive)
    assert {row.data(0, Qt.ItemDataRole.UserRole).id for row in rows} == left


def test_what_the_session_refuses_is_shown(
    models: ModelList, session: TrainingSession, workspace: FakeWorkspace
) -> None:
    session.refuses = ModelError("A training begins with it.", "Wait.")
    select(models, OLD)
    models.buttons["activate"].click()
    assert workspace.errors == [session.refuses]
    assert item(models, NEW).text(0).startswith("●")


def test_export_copies_the_folder_aside(
    models: ModelList, workspace: FakeWorkspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, qtbot: QtBot
) -> None:
    (tmp_path / "out").mkdir()
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *words: str(tmp_path / "out"))
    select(models, OLD)
    models.buttons["export"].click()
    qtbot.waitUntil(lambda: str(tmp_path / "out" / OLD) in workspace.viewer.status)
    assert read_model_info(tmp_path / "out" / OLD).id == OLD


def test_a_read_only_project_lets_compare_and_export_only(
    models: ModelList, session: TrainingSession, workspace: FakeWorkspace
) -> None:
    session.project.read_only = True
    workspace.project_changed.emit()
    select(models, OLD)
    assert {name for name, button in models.buttons.items() if button.isEnabled()} == {"export"}
    assert "for reading only" in models.buttons["delete"].toolTip()
    workspace.open_session(None)
    assert not models.tree.isVisible()


def test_differences_of_plans_by_dotted_name(tmp_path: Path) -> None:
    fast = read_model_info(make_model(tmp_path / "a", steps=400, seconds=61, n_annotated={"membrane": 1200}))
    plan = TrainPlan(network=FilterBankNetwork(), augmentation=Augmentation(flips=False), minutes=2, recipe="fast")
    other = read_model_info(make_model(tmp_path / "b", plan=plan, scores={}))
    rows = {name: values for name, *values in differences(fast, other)}
    assert rows["network.kind"] == ["unet", "filter_bank"]
    assert rows["network.sigmas"] == ["—", "0.7, 1.2, 2.0, 3.5, 6.0, 12.0"]
    assert rows["augmentation.flips"] == ["yes", "no"]
    assert rows["minutes"] == ["automatic", "2.0"]
    assert "steps" not in rows
    told = {name: values for name, *values in scores(fast, other)}
    assert told["held-out Dice"] == ["0.850", "—"]
    assert told["Dice of membrane"] == ["0.800", "—"]
    assert told["time"] == ["1 min 01 s", "0 s"]
    assert told["annotated voxels"] == ["1,200", "0"]


def test_compare_shows_tables_and_both_curves(models: ModelList, session: TrainingSession, qtbot: QtBot) -> None:
    for number, model in enumerate((OLD, TUNED)):
        run = f"r{number}"
        session.run_records.append(
            RunRecord(
                id=run,
                kind="train",
                subject=model,
                state="finished",
                started=1,
                ended=2,
                result={},
                message="",
                hint="",
            )
        )
        session.points[run] = [MetricPoint(name="loss", step=2, value=0.5), MetricPoint(name="loss", step=1, value=0.9)]
    assert read_curves(session, OLD) == {"loss": [(1, 0.9), (2, 0.5)]}  # type: ignore[arg-type]
    select(models, OLD)
    assert "select two" in models.buttons["compare"].toolTip()
    select(models, OLD, TUNED)
    models.buttons["compare"].click()
    dialog = models.findChild(ComparisonDialog)
    assert dialog is not None
    qtbot.waitUntil(lambda: dialog.table.rowCount() > 4 and dialog.plot.is_ready)
    assert dialog.table.item(0, 1).text() == "0.850"  # type: ignore[union-attr]
    assert dialog.table.item(0, 2).text() == "0.812"  # type: ignore[union-attr]
    styles = [curve.opts["pen"].style() for curve in dialog.plot.canvas.loss.curves]
    assert styles == [Qt.PenStyle.SolidLine, Qt.PenStyle.DashLine]
    dialog.close()
    QApplication.sendPostedEvents(dialog)


def test_dates_are_short_and_bad_ones_empty() -> None:
    assert short_date("2020-03-04T12:00:00+00:00").startswith("04 Mar ")
    assert short_date("") == short_date("yesterday") == ""
