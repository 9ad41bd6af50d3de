"""Tuning in the Segment panel: when it can be, its live table, and its settings in the form."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pytestqt.qtbot import QtBot

from napari_pytc.decoding import AgglomerationDecoder, WatershedDecoder
from napari_pytc.jobs.events import Cancelled, Failed, Finished, Measured, Started
from napari_pytc.session.records import PredictionRecord
from napari_pytc.tuning.records import TunedTrial, TuningRecord, write_record
from napari_pytc.ui.panels.segment.controller import SegmentController
from napari_pytc.ui.panels.segment.panel import SegmentPanel
from napari_pytc.ui.tasks.job_board import JobModel
from tests.support.workspaces import FakeSession, FakeWorkspace
from tests.ui.panels.segment.test_panel import record, write_affinities

J = "j1"


@pytest.fixture
def panel(workspace: FakeWorkspace, qtbot: QtBot) -> SegmentPanel:
    panel = SegmentPanel(SegmentController(workspace))  # type: ignore[arg-type]
    qtbot.addWidget(panel)
    panel.resize(340, 900)
    panel.show()
    return panel


@pytest.fixture
def session(workspace: FakeWorkspace, panel: SegmentPanel, tmp_path: Path, qtbot: QtBot) -> FakeSession:
    """A project with affinities."""
    session = workspace.open(tmp_path / "a.pytc")
    folder = tmp_path / "p.zarr"
    write_affinities(folder)
    found: PredictionRecord = record(folder)
    session.prediction_records = [found]
    workspace.predictions_changed.emit()
    qtbot.waitUntil(lambda: panel.choices is not None)
    return session


@pytest.fixture
def with_truth(session: FakeSession, workspace: FakeWorkspace, panel: SegmentPanel, qtbot: QtBot) -> FakeSession:
    session.tunings.why_not = ""
    workspace.held_out_changed.emit()
    qtbot.waitUntil(panel.tuning.button.isEnabled)
    return session


class Tuning:
    """A tuning on the board whose trials the test writes."""

    def __init__(self, workspace: FakeWorkspace, panel: SegmentPanel, path: Path) -> None:
        self._workspace, self._path = workspace, path
        self._trials: list[TunedTrial] = []
        self.view: JobModel
        panel.controller.workspace.launcher.start = self._start  # type: ignore[method-assign, assignment]
        panel.tuning.button.click()

    def _start(self, kind: str, title: str, describe: Any) -> JobModel:
        self.kind, self.title, self.describe = kind, title, describe
        self.view, self._sink = self._workspace.jobs.open(kind, title)
        self.view.spec = SimpleNamespace(output=self._path)  # type: ignore[assignment]
        self._sink(Started(job=J))
        self._workspace.jobs.drain()
        return self.view

    def add(self, score: float, **settings: Any) -> None:
        number = len(self._trials)
        decoder = AgglomerationDecoder(**settings).model_dump(mode="json")
        scores = {"voi": score, "voi_split": score / 2, "voi_merge": score / 2}
        self._trials.append(TunedTrial(number=number, score=score, scores=scores, decoder=decoder))
        self._path.parent.mkdir(exist_ok=True)
        write_record(self._path, self.record)
        self._sink(Measured(job=J, name="score", step=number, value=score))
        self._workspace.jobs.drain()

    @property
    def record(self) -> TuningRecord:
        return TuningRecord(
            id="t",
            created="2026-12-01",
            prediction="p.zarr",
            truth="the objects in the held-out box",
            boxes=("0:1,0:2,0:3",),
            score="voi",
            seed=0,
            tuned={"agglomeration": ("threshold", "seed_distance_um")},
            trials=tuple(self._trials),
            notes=("The truth is a single object.",),
        )

    def end(self, event: type[Any], **content: Any) -> None:
        self._sink(event(job=J, **content))
        self._workspace.jobs.drain()


def texts(panel: SegmentPanel) -> list[list[str]]:
    table = panel.tuning.table
    return [
        [item.text() if (item := table.item(r, c)) is not None else "" for c in range(table.columnCount())]
        for r in range(table.rowCount())
    ]


def test_without_truth_it_says_what_is_missing(panel: SegmentPanel, session: FakeSession, qtbot: QtBot) -> None:
    qtbot.waitUntil(lambda: "no box is held out" in panel.tuning.reason.text())
    assert not panel.tuning.button.isEnabled()
    assert "no box is held out" in panel.tuning.button.toolTip()
    assert panel.tuning.reason.isVisible()
    assert not panel.tuning.table.isVisible()


def test_truth_that_comes_enables_it_when_the_mouse_is_back(
    panel: SegmentPanel, session: FakeSession, qtbot: QtBot
) -> None:
    session.tunings.why_not = ""
    panel.enterEvent(None)
    qtbot.waitUntil(panel.tuning.button.isEnabled)
    assert not panel.tuning.reason.isVisible()
    session.project.read_only = True
    panel.tuning.refresh()
    assert "read" in panel.tuning.reason.text()


def test_what_is_tuned_is_the_decoder_of_the_form(
    panel: SegmentPanel, with_truth: FakeSession, workspace: FakeWorkspace, tmp_path: Path
) -> None:
    asked: list[tuple[Any, dict[str, Any]]] = []
    with_truth.tunings.tune_job = lambda request, **options: asked.append((request, options))
    panel.decoder.show_settings(WatershedDecoder())
    panel.tuning.trials.setValue(17)
    tuning = Tuning(workspace, panel, tmp_path / "tuning" / "t.json")
    tuning.describe(with_truth)
    ((request, options),) = asked
    assert (tuning.kind, tuning.title) == ("tune", "Tune watershed")
    assert (request.decoders, request.trials, dict(request.fixed)) == (("watershed",), 17, {})
    assert options == {"prediction": "p", "boundary_class": None}


def test_trials_are_listed_as_they_end_the_best_on_top(
    panel: SegmentPanel, with_truth: FakeSession, workspace: FakeWorkspace, tmp_path: Path, qtbot: QtBot
) -> None:
    tuning = Tuning(workspace, panel, tmp_path / "tuning" / "t.json")
    assert not panel.tuning.button.isEnabled()
    assert "runs already" in panel.tuning.button.toolTip()
    assert not panel.tuning.reason.isVisible(), "its row says it"
    assert len(panel.tuning.rows.rows) == 1
    tuning.add(2.0)
    qtbot.waitUntil(lambda: len(texts(panel)) == 1)
    assert "other settings are being tried" in panel.tuning.result.text()
    tuning.add(1.25, threshold=0.7, seed_distance_um=0.05)
    qtbot.waitUntil(lambda: len(texts(panel)) == 2)
    tuning.add(1.5, threshold=0.6)
    qtbot.waitUntil(lambda: len(texts(panel)) == 3)
    assert [row[:2] for row in texts(panel)] == [["1", "1.250"], ["2", "1.500"], ["0, default", "2.000"]]
    assert texts(panel)[0] == ["1", "1.250", "0.700", "0.05"]
    header = panel.tuning.table.horizontalHeaderItem(2)
    assert header is not None
    assert header.text() == "Merge from"
    assert panel.tuning.result.text() == "VOI 1.250 with trial 1, 2.000 by default."
    assert "single object" in panel.tuning.notes.first.text()


def test_the_settings_of_a_trial_go_into_the_form(
    panel: SegmentPanel, with_truth: FakeSession, workspace: FakeWorkspace, tmp_path: Path, qtbot: QtBot
) -> None:
    panel.decoder.show_settings(WatershedDecoder())
    tuning = Tuning(workspace, panel, tmp_path / "tuning" / "t.json")
    tuning.add(2.0)
    tuning.add(1.25, threshold=0.7, seed_distance_um=0.05, smoothing_um=0.011)
    tuning.add(1.5, threshold=0.61)
    qtbot.waitUntil(lambda: len(texts(panel)) == 3)
    tuning.end(Cancelled)
    qtbot.waitUntil(panel.tuning.button.isEnabled)
    assert len(texts(panel)) == 3, "cancelling keeps the trials"
    panel.tuning.use_button.click()
    choices = panel.choices
    assert choices is not None
    assert choices.decoder == AgglomerationDecoder(threshold=0.7, seed_distance_um=0.05, smoothing_um=0.011)
    panel.tuning.table.selectRow(1)
    panel.tuning.use_button.click()
    assert panel.choices is not None
    assert panel.choices.decoder == AgglomerationDecoder(threshold=0.61)


def test_the_row_that_the_user_chose_stays_chosen(
    panel: SegmentPanel, with_truth: FakeSession, workspace: FakeWorkspace, tmp_path: Path, qtbot: QtBot
) -> None:
    tuning = Tuning(workspace, panel, tmp_path / "tuning" / "t.json")
    for score in (2.0, 1.5):
        tuning.add(score)
    qtbot.waitUntil(lambda: len(texts(panel)) == 2)
    panel.tuning.table.selectRow(1)
    tuning.add(1.0)
    qtbot.waitUntil(lambda: len(texts(panel)) == 3)
    assert panel.tuning.table.chosen == 0
    assert panel.tuning.table.currentRow() == 2


def test_how_it_ends_is_told(
    panel: SegmentPanel, with_truth: FakeSession, workspace: FakeWorkspace, tmp_path: Path, qtbot: QtBot
) -> None:
    tuning = Tuning(workspace, panel, tmp_path / "tuning" / "t.json")
    tuning.add(2.0)
    tuning.end(Finished, result={"n_trials": 1})
    (row,) = panel.tuning.rows.rows
    assert row.status.text().endswith("1 trial")
    qtbot.waitUntil(lambda: len(texts(panel)) == 1)

    failed = Tuning(workspace, panel, tmp_path / "tuning" / "other.json")
    failed.end(Failed, message="The truth holds no object.", hint="Label some.")
    (row,) = panel.tuning.rows.rows
    assert row.notice.text == "The truth holds no object."
    assert not panel.tuning.table.isVisible()


def test_a_damaged_record_is_told(
    panel: SegmentPanel, with_truth: FakeSession, workspace: FakeWorkspace, tmp_path: Path, qtbot: QtBot
) -> None:
    path = tmp_path / "t.json"
    tuning = Tuning(workspace, panel, path)
    path.write_text("{")
    tuning.end(Finished, result={})
    qtbot.waitUntil(lambda: "cannot be read" in panel.tuning.notice.text)


def test_another_project_begins_without_trials(
    panel: SegmentPanel, with_truth: FakeSession, workspace: FakeWorkspace, tmp_path: Path, qtbot: QtBot
) -> None:
    tuning = Tuning(workspace, panel, tmp_path / "tuning" / "t.json")
    tuning.add(2.0)
    qtbot.waitUntil(lambda: len(texts(panel)) == 1)
    tuning.end(Cancelled)
    workspace.open(tmp_path / "b.pytc")
    assert panel.controller.tuning.record is None
    assert panel.tuning.rows.rows == []
    assert not panel.tuning.table.isVisible()
