"""Jobs in napari's activity dock, and its question before the window closes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from napari.utils.progress import progress
from pytestqt.qtbot import QtBot

from napari_pytc.jobs.events import Cancelled, Finished, Progressed, Started
from napari_pytc.ui.tasks.activity import Activity
from tests.support.display import needs_display
from tests.support.workspaces import FakeWorkspace

pytestmark = needs_display
J = "j1"


@pytest.fixture
def workspace(qtbot: QtBot) -> Iterator[FakeWorkspace]:
    workspace = FakeWorkspace()
    yield workspace
    workspace.shutdown()


@pytest.fixture
def open_window(make_napari_viewer: Callable[..., Any], workspace: FakeWorkspace) -> Callable[[], Any]:
    """Napari's main window with our jobs; a function, because a fixture's value would outlive napari's leak check."""

    def open_window() -> Any:
        window = make_napari_viewer().window._qt_window
        Activity(workspace.jobs, window)
        return window

    return open_window


def bars() -> list[Any]:
    return list(progress._all_instances)


@pytest.mark.slow
def test_a_job_has_a_bar_while_it_runs(workspace: FakeWorkspace, open_window: Callable[[], Any], qtbot: QtBot) -> None:
    window = open_window()
    dialog = window._activity_dialog
    _, waiting = workspace.jobs.open("train", "Waits")
    _, sink = workspace.start("train", "Train fast")
    qtbot.waitUntil(lambda: len(bars()) == 1)
    (bar,) = bars()
    assert bar.desc == "Train fast"
    widget = dialog.get_pbar_from_prog(bar)
    sink(Progressed(job=J, done=3, total=10))
    qtbot.waitUntil(lambda: widget._get_value() == 3)
    assert widget.qt_progress_bar.maximum() == 10
    sink(Finished(job=J))
    qtbot.waitUntil(lambda: not bars())
    waiting(Started(job="j2"))
    qtbot.waitUntil(lambda: len(bars()) == 1)
    waiting(Cancelled(job="j2"))
    qtbot.waitUntil(lambda: not bars())


@pytest.mark.slow
def test_the_docks_button_cancels_the_job(
    workspace: FakeWorkspace, open_window: Callable[[], Any], qtbot: QtBot
) -> None:
    window = open_window()
    view, _ = workspace.start("train", "Train fast")
    cancelled: list[int] = []
    view.handle = SimpleNamespace(cancel=lambda: cancelled.append(1))  # type: ignore[assignment]
    qtbot.waitUntil(lambda: len(bars()) == 1)
    window._activity_dialog.get_pbar_from_prog(bars()[0]).cancel_button.click()
    assert cancelled == [1]


@pytest.mark.slow
def test_napari_is_busy_while_a_job_runs_or_waits(workspace: FakeWorkspace, open_window: Callable[[], Any]) -> None:
    window = open_window()
    manager = window._window._task_status_manager
    assert not manager.is_busy()
    first, _ = workspace.jobs.open("train", "Train fast")
    _, sink = workspace.start("predict", "Predict the view")
    (text,) = manager.get_status()
    assert text.startswith("PyTC: Train fast, Predict the view.")
    sink(Finished(job=J))
    workspace.jobs.drain()
    assert "Predict" not in manager.get_status()[0]
    manager.cancel_all()
    workspace.jobs.drain()
    assert first.is_over
    assert not manager.is_busy()
    workspace.jobs.open("train", "Once more")
    assert manager.is_busy()
    assert len(manager._tasks) == 1


@pytest.mark.slow
def test_the_end_takes_everything_away(workspace: FakeWorkspace, open_window: Callable[[], Any], qtbot: QtBot) -> None:
    window = open_window()
    workspace.start("train", "Train fast")
    qtbot.waitUntil(lambda: len(bars()) == 1)
    workspace.jobs.close()
    assert not bars()
    assert not window._window._task_status_manager.is_busy()
    (activity,) = window.findChildren(Activity)
    assert not activity._timer.isActive()


@pytest.mark.slow
def test_events_that_come_while_a_bar_runs_the_event_loop(
    workspace: FakeWorkspace, open_window: Callable[[], Any], qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    window = open_window()
    dialog = window._activity_dialog
    add = dialog.add_progress_bar

    def add_and_close(*arguments: Any, **options: Any) -> None:
        add(*arguments, **options)
        workspace.jobs.close()

    monkeypatch.setattr(dialog, "add_progress_bar", add_and_close)
    workspace.start("train", "Train fast")
    qtbot.wait(400)
    assert not bars()


def test_without_a_window_that_keeps_tasks_jobs_still_have_bars(
    workspace: FakeWorkspace, qtbot: QtBot, capfd: pytest.CaptureFixture[str]
) -> None:
    activity = Activity(workspace.jobs, None)
    _, sink = workspace.start("train", "Train fast")
    qtbot.waitUntil(lambda: len(bars()) == 1)
    sink(Progressed(job=J, done=3, total=10))
    qtbot.waitUntil(lambda: bars()[0].n == 3)
    activity.close()
    assert not bars()
    assert capfd.readouterr().err == ""
