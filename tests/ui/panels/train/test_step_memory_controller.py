"""The memory of a step: asked of an idle worker alone, anew when settings change, and never in the window's thread."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QObject, Signal

from napari_pytc.jobs.events import Cancelled, Failed, Finished, Started
from napari_pytc.plans.networks import MedNeXtNetwork
from napari_pytc.plans.plan import TrainPlan
from napari_pytc.ui.panels.train import step_memory_controller
from napari_pytc.ui.panels.train.step_memory_controller import StepMemoryController, StepMemoryState
from tests.support.workspace_bench import ManualRunner
from tests.support.workspaces import FakeWorkspace, TrainingSession

FITS = {
    "needed_bytes": 2_100_000_000, "free_bytes": 22_000_000_000, "device": "cuda", "device_name": "NVIDIA H200",
    "step": "a batch of 2 x 16x64x64 voxels on cuda", "begins_with": "", "problem": "", "hint": "",
}  # fmt: skip
SMALLER = {**FITS, "free_bytes": 1_500_000_000, "begins_with": "16x64x64 voxels on cuda"}
REFUSED = {**FITS, "free_bytes": 1_000_000, "problem": "It takes 9 MB.", "hint": "Choose less."}


class Recipe(QObject):
    """A recipe that the test edits."""

    changed = Signal()
    parent_record: Any = None
    plan: TrainPlan | None = None

    def edit(self, **settings: Any) -> None:
        self.plan = TrainPlan(**settings)
        self.changed.emit()


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_SETTLE_MS", "_AFTER_JOB_MS", "_RETRY_MS"):
        monkeypatch.setattr(step_memory_controller, name, 1)


@pytest.fixture
def runner(workspace: FakeWorkspace, tmp_path: Path) -> ManualRunner:
    found = ManualRunner()
    workspace.worker.runner = found
    workspace.open_session(TrainingSession(tmp_path))
    return found


@pytest.fixture
def recipe(workspace: FakeWorkspace) -> Recipe:
    found = Recipe(workspace)
    found.edit(steps=10)
    return found


@pytest.fixture
def memory(workspace: FakeWorkspace, recipe: Recipe, runner: ManualRunner) -> StepMemoryController:
    return StepMemoryController(workspace, recipe)  # type: ignore[arg-type]


def asked(memory: StepMemoryController, runner: ManualRunner, qtbot: QtBot, n: int = 1) -> None:
    memory.watch(True)
    qtbot.waitUntil(lambda: len(runner.jobs) == n)


def answer(runner: ManualRunner, result: dict[str, Any]) -> None:
    runner.tell(Started)
    runner.tell(Finished, result=result)


def test_the_worker_is_asked_about_the_plan_and_the_project(
    memory: StepMemoryController, runner: ManualRunner, recipe: Recipe, qtbot: QtBot, tmp_path: Path
) -> None:
    recipe.parent_record = SimpleNamespace(folder=tmp_path / "models" / "m")
    recipe.edit(steps=20)
    asked(memory, runner, qtbot)
    (spec,) = runner.specs
    assert (spec.plan, spec.classes, spec.n_inputs) == (recipe.plan, ("membrane", "inside"), 1)
    assert (spec.space.voxel_size_nm, spec.parent) == ((40.0, 10.0, 10.0), tmp_path / "models" / "m")
    assert memory.state is StepMemoryState.COUNTING
    answer(runner, FITS)
    assert memory.state is StepMemoryState.FITS
    assert memory.text == "A step needs about 2.1 GB of the 22.0 GB that are free on cuda (NVIDIA H200)."
    assert "a batch of 2 x 16x64x64 voxels" in memory.about
    assert memory.refusal == ""


def test_a_step_that_does_not_fit_is_told_with_what_to_do(
    memory: StepMemoryController, runner: ManualRunner, recipe: Recipe, qtbot: QtBot
) -> None:
    recipe.edit(network=MedNeXtNetwork())
    asked(memory, runner, qtbot)
    answer(runner, SMALLER)
    assert memory.state is StepMemoryState.BEGINS_SMALLER
    assert "needs about 2.1 GB, and 1.5 GB are free" in memory.text
    assert "would begin with 16x64x64 voxels on cuda" in memory.text
    assert "“Recompute activations” of the network" in memory.text
    assert memory.refusal == ""
    recipe.edit(batch_size=4)
    assert memory.state is StepMemoryState.COUNTING
    qtbot.waitUntil(lambda: len(runner.jobs) == 2)
    answer(runner, REFUSED)
    assert memory.refusal == "It takes 9 MB. Choose less."


def test_what_does_not_fit_is_counted_again_after_a_while(
    memory: StepMemoryController, runner: ManualRunner, qtbot: QtBot
) -> None:
    memory._again.setInterval(1)
    asked(memory, runner, qtbot)
    answer(runner, REFUSED)
    qtbot.waitUntil(lambda: len(runner.jobs) == 2)
    assert memory.refusal, "what is known stays until there is an answer"
    answer(runner, FITS)
    assert memory.state is StepMemoryState.FITS
    assert not memory._again.isActive()


def test_edits_while_the_worker_counts_are_one_question_and_a_stale_answer_is_dropped(
    memory: StepMemoryController, runner: ManualRunner, recipe: Recipe, qtbot: QtBot
) -> None:
    asked(memory, runner, qtbot)
    recipe.edit(steps=11)
    recipe.edit(steps=12)
    answer(runner, REFUSED)
    assert memory.state is StepMemoryState.COUNTING
    assert memory.refusal == ""
    qtbot.waitUntil(lambda: len(runner.jobs) == 2)
    assert runner.specs[-1].plan.steps == 12
    answer(runner, FITS)
    with qtbot.assertNotEmitted(memory.changed, wait=50):
        pass
    assert len(runner.jobs) == 2


def test_without_a_worker_none_is_started(
    workspace: FakeWorkspace, memory: StepMemoryController, runner: ManualRunner, qtbot: QtBot
) -> None:
    workspace.worker.runner, workspace.worker.is_warm = None, False
    memory.watch(True)
    with qtbot.waitSignal(memory.changed):  # it has looked, and looks again
        pass
    assert memory.state is StepMemoryState.NO_WORKER
    workspace.worker.runner = runner
    assert memory.state is StepMemoryState.LOADING
    assert "libraries" in memory.text
    workspace.worker.is_warm = True
    qtbot.waitUntil(lambda: len(runner.jobs) == 1)


def test_a_busy_worker_is_left_alone(
    workspace: FakeWorkspace, memory: StepMemoryController, runner: ManualRunner, qtbot: QtBot
) -> None:
    _, sink = workspace.start("train", "Train fast")
    memory.watch(True)
    with qtbot.waitSignal(memory.changed):
        pass
    assert memory.state is StepMemoryState.BUSY
    assert memory.text == "The memory of a step is counted after “Train fast”."
    assert runner.jobs == []
    sink(Finished(job="j1"))
    workspace.jobs.drain()
    qtbot.waitUntil(lambda: len(runner.jobs) == 1)


def test_the_worker_is_not_asked_for_a_panel_that_is_not_seen(
    memory: StepMemoryController, runner: ManualRunner, recipe: Recipe, qtbot: QtBot
) -> None:
    memory.watch(True)
    memory.watch(False)
    recipe.edit(steps=30)
    qtbot.wait(50)
    assert runner.jobs == []
    assert not memory._timer.isActive()


def test_an_error_and_a_cancel(
    memory: StepMemoryController, runner: ManualRunner, recipe: Recipe, qtbot: QtBot
) -> None:
    asked(memory, runner, qtbot)
    runner.tell(Cancelled)
    qtbot.waitUntil(lambda: len(runner.jobs) == 2)
    runner.tell(Failed, message="The worker was killed.", hint="Try again.")
    assert memory.state is StepMemoryState.FAILED
    assert memory.text == "The memory of a step could not be counted: The worker was killed. Try again."
    assert memory.refusal == "", "a training may be tried"
    recipe.edit(steps=13)
    qtbot.waitUntil(lambda: len(runner.jobs) == 3)


def test_wrong_settings_or_no_project_have_no_memory(
    workspace: FakeWorkspace, memory: StepMemoryController, recipe: Recipe
) -> None:
    recipe.plan = None
    recipe.changed.emit()
    assert (memory.state, memory.text) == (StepMemoryState.NOTHING, "")
    recipe.edit(steps=1)
    assert memory.state is not StepMemoryState.NOTHING
    workspace.open_session(None)
    assert memory.state is StepMemoryState.NOTHING
