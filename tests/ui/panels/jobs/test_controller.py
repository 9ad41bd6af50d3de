"""Tests of what the Jobs panel shows, without a window."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pytestqt.qtbot import QtBot

from napari_pytc.jobs.events import Finished, Progressed
from napari_pytc.ui.panels.jobs import controller as module
from napari_pytc.ui.panels.jobs.controller import JobsController
from tests.support.workspaces import FakeWorkspace, run


@pytest.fixture
def workspace(qtbot: QtBot) -> Iterator[FakeWorkspace]:
    found = FakeWorkspace()
    yield found
    found.shutdown()


@pytest.fixture
def controller(workspace: FakeWorkspace) -> JobsController:
    return JobsController(workspace)  # type: ignore[arg-type]


def test_the_worker_is_described_by_what_it_does(controller: JobsController, workspace: FakeWorkspace) -> None:
    assert "ready" in controller.worker_text
    workspace.worker.is_warm = False
    assert "loading" in controller.worker_text
    workspace.start("train", "Train")
    assert "1 job to do" in controller.worker_text
    workspace.start("predict", "Predict")
    assert "2 jobs to do" in controller.worker_text


def test_listeners_hear_once_that_the_worker_has_loaded(controller: JobsController, workspace: FakeWorkspace) -> None:
    changes: list[int] = []
    workspace.worker.is_warm = False
    _, sink = workspace.start("train", "Train")
    controller.worker_changed.connect(lambda: changes.append(1))
    workspace.worker.is_warm = True
    for done in (1, 2, 3):
        sink(Progressed(job="j1", done=done, total=9, note="training"))
        workspace.jobs.drain()
    assert len(changes) == 1


def test_jobs_can_be_cleared_once_one_is_over(controller: JobsController, workspace: FakeWorkspace) -> None:
    assert controller.clear_reason == "there are no jobs."
    _, sink = workspace.start("train", "Train")
    assert controller.clear_reason == "no job is over."
    sink(Finished(job="j1"))
    workspace.jobs.drain()
    assert controller.clear_reason == ""


def test_earlier_runs_come_newest_first_without_those_of_this_window(
    controller: JobsController,
    workspace: FakeWorkspace,
    qtbot: QtBot,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MOST_EARLIER", 2)
    controller.find_runs()  # without a project nothing is read
    session = workspace.open(tmp_path)
    session.run_records = [run("r1"), run("r2"), run("r3"), run("r4")]
    view, _ = workspace.start("train", "Now")
    view.handle = SimpleNamespace(id="r4")  # type: ignore[assignment]
    found: list[Any] = []
    controller.runs_found.connect(found.append)
    controller.find_runs()
    qtbot.waitUntil(lambda: bool(found))
    assert [[one.id for one in runs] for runs in found] == [["r3", "r2"]]
