"""The Jobs panel shows every job with its progress, its log and its end."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from pytestqt.qtbot import QtBot

from napari_pytc.jobs.events import Cancelled, Failed, Finished, Progressed, Warned
from napari_pytc.ui.panels.jobs.controller import JobsController
from napari_pytc.ui.panels.jobs.panel import JobsPanel
from tests.support.workspaces import FakeWorkspace, run

J = "j1"


@pytest.fixture
def panel(workspace: FakeWorkspace, qtbot: QtBot) -> JobsPanel:
    panel = JobsPanel(JobsController(workspace))  # type: ignore[arg-type]
    qtbot.addWidget(panel)
    panel.resize(320, 600)
    panel.show()
    return panel


def test_it_says_that_nothing_runs(panel: JobsPanel) -> None:
    assert panel.empty.isVisible()
    assert "no jobs" in panel.clear_button.toolTip()
    assert "ready" in panel.worker.text()


def test_a_job_from_waiting_to_its_end(panel: JobsPanel, workspace: FakeWorkspace) -> None:
    view, sink = workspace.jobs.open("train", "Train fast")
    (found,) = panel.rows.rows
    assert found.status.text() == "Waiting for the worker"
    assert panel.empty.isHidden()
    sink(Progressed(job=J, done=3, total=10, note="training", time=1.0))
    view.started = 1.0
    workspace.jobs.drain()
    assert not found.bar.isHidden()
    assert "1 job to do" in panel.worker.text()
    sink(Finished(job=J, time=13.0, result={"model": "m7", "scores": {"mean": 0.9}}))
    workspace.jobs.drain()
    assert found.status.text() == "Finished after 12 s · model m7 · held-out score 0.900"
    assert found.bar.isHidden()
    assert "ready" in panel.worker.text()


def test_a_failure_says_what_to_do_and_folds_the_trace(panel: JobsPanel, workspace: FakeWorkspace) -> None:
    _, sink = workspace.start("train", "Train fast", None, Warned(job=J, message="a doubt"))
    sink(Failed(job=J, message="Out of memory.", hint="Take a smaller patch.", log="Traceback"))
    workspace.jobs.drain()
    (found,) = panel.rows.rows
    assert not found.notice.isHidden()
    assert found.notice.text == "Out of memory."
    assert not found.log_fold.isExpanded()
    assert not found.log_fold.content().isVisible()
    found.log_fold.toggleButton().click()
    assert "warning: a doubt" in found._log.toPlainText()
    assert "failed: Out of memory." in found._log.toPlainText()
    found.notice.clear()
    found.refresh()
    assert found.notice.isHidden()


def test_an_open_log_follows(panel: JobsPanel, workspace: FakeWorkspace) -> None:
    _, sink = workspace.start("train", "Train", None, Warned(job=J, message="first"))
    (found,) = panel.rows.rows
    found.log_fold.toggleButton().click()
    sink(Warned(job=J, message="second"))
    workspace.jobs.drain()
    assert "second" in found._log.toPlainText()


def test_cancel_and_pause_are_distinguished(panel: JobsPanel, workspace: FakeWorkspace) -> None:
    first, end_first = workspace.start("train", "First")
    _, end_second = workspace.start("train", "Second")
    first.is_paused = True
    for end in (end_first, end_second):
        end(Cancelled(job=J))
    workspace.jobs.drain()
    assert [row.status.text().split()[0] for row in panel.rows.rows] == ["Paused", "Cancelled"]


def test_clear_takes_off_what_is_over_and_keeps_the_rest(
    panel: JobsPanel, workspace: FakeWorkspace, qtbot: QtBot
) -> None:
    _, sink = workspace.start("train", "Over")
    workspace.start("predict", "Runs")
    assert "no job is over" in panel.clear_button.toolTip()
    sink(Finished(job=J))
    workspace.jobs.drain()
    panel.clear_button.click()
    assert [row.job.title for row in panel.rows.rows] == ["Runs"]
    assert not panel.clear_button.isEnabled()


def test_what_runs_stands_above_what_is_over(panel: JobsPanel, workspace: FakeWorkspace) -> None:
    workspace.start("train", "First")
    ends = [workspace.start("train", title)[1] for title in ("Second", "Third")]
    for end in ends:
        end(Finished(job=J))
        workspace.jobs.drain()
    layout = panel.rows.layout()
    assert layout is not None
    shown = sorted(panel.rows.rows, key=layout.indexOf)
    assert [row.job.title for row in shown] == ["First", "Third", "Second"]


def test_a_panel_that_opens_late_shows_the_jobs_that_are_there(workspace: FakeWorkspace, qtbot: QtBot) -> None:
    workspace.start("train", "Train")
    panel = JobsPanel(JobsController(workspace))  # type: ignore[arg-type]
    qtbot.addWidget(panel)
    assert [row.job.title for row in panel.rows.rows] == ["Train"]


def test_the_worker_is_shown_to_load_until_it_is_warm(panel: JobsPanel, workspace: FakeWorkspace) -> None:
    workspace.worker.is_warm = False
    workspace.worker.changed.emit()
    assert "loading" in panel.worker.text()


def test_earlier_runs_are_read_when_they_are_looked_at(
    panel: JobsPanel, workspace: FakeWorkspace, qtbot: QtBot, tmp_path: Path
) -> None:
    assert panel.earlier_fold.isHidden()
    session = workspace.open(tmp_path)
    compared = run("r0").model_copy(update={"kind": "compare", "subject": "/data/cells.pytc/models/m1"})
    session.run_records = [compared, run("r1"), run("r2", "interrupted", "The power went."), run("r3")]
    view, _ = workspace.start("train", "Now")
    view.handle = SimpleNamespace(id="r3")  # type: ignore[assignment]
    assert panel.earlier.tree.topLevelItemCount() == 0
    panel.earlier_fold.toggleButton().click()
    qtbot.waitUntil(lambda: panel.earlier.tree.topLevelItemCount() > 0)
    items = [panel.earlier.tree.topLevelItem(k) for k in range(panel.earlier.tree.topLevelItemCount())]
    assert [(item.text(0), item.text(2)) for item in items if item is not None] == [
        ("Train model-r2", "cut short"),
        ("Train model-r1", "finished"),
        ("Compare m1", "finished"),
    ]
    assert items[0] is not None
    assert "The power went." in items[0].toolTip(0)
    assert "1 min 00 s" in items[0].toolTip(0)


def test_runs_of_a_project_that_was_closed_meanwhile_are_not_shown(
    panel: JobsPanel, workspace: FakeWorkspace, qtbot: QtBot, tmp_path: Path
) -> None:
    workspace.open(tmp_path).run_records = [run("r1")]
    panel.earlier_fold.toggleButton().click()
    workspace.session = None
    workspace.session_changed.emit()
    done: list[int] = []
    workspace.background.run(lambda: 1, done.append)
    qtbot.waitUntil(lambda: bool(done))
    assert panel.earlier.tree.topLevelItemCount() == 0


def test_no_clock_ticks_for_jobs_that_are_over(panel: JobsPanel, workspace: FakeWorkspace) -> None:
    _, sink = workspace.start("train", "Train")
    (found,) = panel.rows.rows
    assert found._clock.isActive()
    sink(Finished(job=J))
    workspace.jobs.drain()
    assert not found._clock.isActive()


def test_it_fits_a_narrow_dock(panel: JobsPanel, workspace: FakeWorkspace, tmp_path: Path) -> None:
    workspace.open(tmp_path)
    workspace.start("train", "Train " + "a_name_without_any_space_" * 6)
    assert panel.minimumSizeHint().width() <= 320


def test_earlier_runs_name_their_volume_where_there_are_several(
    panel: JobsPanel, workspace: FakeWorkspace, qtbot: QtBot, tmp_path: Path
) -> None:
    session = workspace.open(tmp_path)
    records = [SimpleNamespace(id="v1", name="fly"), SimpleNamespace(id="v2", name="bee")]
    session.volumes.records = lambda: records
    of_bee = {"kind": "predict", "subject": "20261130-1744-instant", "volume": "v2"}
    session.run_records = [run("r1"), run("r2").model_copy(update=of_bee)]
    panel.earlier_fold.toggleButton().click()
    qtbot.waitUntil(lambda: panel.earlier.tree.topLevelItemCount() == 2)
    items = [panel.earlier.tree.topLevelItem(k) for k in range(2)]
    assert [item.text(0) for item in items if item is not None] == ["Predict instant: bee", "Train model-r1"]
    assert items[0] is not None
    assert "20261130-1744-instant\nof bee" in items[0].toolTip(0)


def test_a_failure_names_the_fields_of_the_window(panel: JobsPanel, workspace: FakeWorkspace) -> None:
    _, sink = workspace.start("import_segmentation", "Import cells")
    sink(Failed(job=J, message="An id is negative.", hint="Say --ignore-value -1 or --ignore-value 7.", log=""))
    workspace.jobs.drain()
    (found,) = panel.rows.rows
    assert found.notice._hint.text() == "Say “No ids: -1” or “No ids: 7”."
