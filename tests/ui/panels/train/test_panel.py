"""The Train panel: one button, why it cannot be pressed, and what becomes of a training."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import h5py
import numpy as np
import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QTimer
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QFileDialog, QLabel

from napari_pytc.geometry import Box
from napari_pytc.jobs.events import Cancelled, Failed, Finished, JobEvent, Measured, Progressed, Started, Warned
from napari_pytc.plans.losses import LossTerm
from napari_pytc.plans.networks import UNetNetwork
from napari_pytc.plans.plan import TrainPlan
from napari_pytc.plans.recipes import load_recipe
from napari_pytc.plans.targets import chosen_offsets
from napari_pytc.session.project.recent import RecentProjects
from napari_pytc.session.records import ClassInfo, MetricPoint, RunRecord
from napari_pytc.session.session import Session
from napari_pytc.ui.panels.train.controller import TrainController
from napari_pytc.ui.panels.train.live_controller import LiveController
from napari_pytc.ui.panels.train.panel import TrainPanel
from napari_pytc.ui.panels.train.suggestion_controller import SuggestionController
from napari_pytc.ui.tasks import job_board
from napari_pytc.ui.widgets.forms.editors import Editor
from napari_pytc.ui.widgets.layout import Scrolled
from napari_pytc.ui.workspace import Workspace
from tests.session.models import make_model
from tests.session.retraining_bench import WORSE
from tests.session.runners import ScriptedRunner
from tests.support.display import needs_display
from tests.support.viewers import FakeViewer
from tests.support.workspace_bench import ManualRunner
from tests.support.workspaces import CLASSES, FakeWorkspace, LiveLayers, TrainingSession, train_job

pytestmark = needs_display

OLD = "20261121-0301-old"
RESULT: dict[str, Any] = {
    "model": "20261121-0831-fast",
    "steps": 60,
    "seconds": 1.4,
    "stopped": "no better score",
    "scores": {"dice": {"membrane": 0.8, "inside": 0.9}, "iou": {"membrane": 0.7, "inside": None}, "mean": 0.85},
}


def panel_of(workspace: Any) -> TrainPanel:
    """The panel with live learning of its own."""
    live = LiveController(workspace)
    return TrainPanel(TrainController(workspace), live, SuggestionController(workspace, live))


@pytest.fixture
def session(tmp_path: Path) -> TrainingSession:
    return TrainingSession(tmp_path)


@pytest.fixture
def workspace() -> Iterator[FakeWorkspace]:
    workspace = FakeWorkspace()
    workspace.layers = LiveLayers(workspace)
    workspace.worker.is_warm = False  # so that nobody asks it for the memory of a step
    yield workspace
    workspace.shutdown()


@pytest.fixture
def panel(workspace: FakeWorkspace, qtbot: QtBot) -> TrainPanel:
    panel = panel_of(workspace)
    scrolled = Scrolled(panel)
    qtbot.addWidget(scrolled)
    scrolled.resize(320, 700)
    scrolled.show()
    panel.scrolled = scrolled  # type: ignore[attr-defined]
    qtbot.waitUntil(lambda: panel.recipe.form is not None)
    return panel


@pytest.fixture
def training(panel: TrainPanel, workspace: FakeWorkspace, session: TrainingSession) -> TrainPanel:
    """A panel whose training is at step 120 of 400."""
    workspace.open_session(session)
    panel.train_button.click()
    workspace.tell(Started(job="j1"), progress(0, "loading the libraries"))
    workspace.tell(progress(100), progress(120))
    return panel


def progress(done: int, note: str = "training") -> JobEvent:
    """Progress of a training that is as fast as can be, whatever the test's machine is at."""
    return Progressed(job="j1", time=1000.0, done=done, total=400, note=note)


def measured(name: str, *values: float) -> list[JobEvent]:
    return [Measured(job="j1", name=name, step=50 * n, value=value) for n, value in enumerate(values, start=1)]


def seen(panel: TrainPanel) -> set[str]:
    """Which of the buttons below the bar can be seen."""
    return {name for name, button in panel.progress.buttons.items() if button.isVisible()}


def editor(panel: TrainPanel, name: str) -> Any:
    found = panel.findChild(Editor, name)
    assert found is not None
    return found


def table(panel: TrainPanel) -> list[list[str]]:
    shown = panel.classes.table
    columns = [column for column in range(4) if not shown.isColumnHidden(column)]
    return [[shown.item(row, column).text() for column in columns] for row in range(shown.rowCount())]  # type: ignore[union-attr]


def test_without_a_project_it_says_what_to_do(panel: TrainPanel) -> None:
    assert panel.empty.isVisible()
    assert "Data panel" in panel.empty.label.text()
    assert not panel.train_button.isVisible()
    assert "No project is open" in panel.train_button.toolTip()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"read_only": True}, "open for reading only"),
        ({"painted": {"membrane": 0, "inside": 0}}, "two classes first; there are none yet"),
        ({"painted": {"membrane": 9, "inside": 0}}, "so far only membrane has some"),
    ],
)
def test_the_button_says_why_it_cannot_be_pressed(
    panel: TrainPanel, workspace: FakeWorkspace, session: TrainingSession, change: dict[str, Any], reason: str
) -> None:
    for name, value in change.items():
        setattr(session.project if name == "read_only" else session, name, value)
    workspace.open_session(session)
    assert not panel.train_button.isEnabled()
    assert reason in panel.reason.text()
    assert reason in panel.train_button.toolTip()
    panel.controller.train()
    assert workspace.launcher.trained == []
    session.painted, session.project.read_only = {"membrane": 1, "inside": 1}, False
    workspace.strokes_changed.emit()
    assert panel.train_button.isEnabled()
    assert not panel.reason.isVisible()


def test_a_recipe_of_objects_needs_objects_and_no_strokes(
    panel: TrainPanel, workspace: FakeWorkspace, session: TrainingSession, qtbot: QtBot
) -> None:
    session.painted = {"membrane": 0, "inside": 0}
    workspace.open_session(session)
    panel.controller.recipe.load("neurites")
    qtbot.waitUntil(lambda: "none are marked yet" in panel.reason.text())
    assert not panel.train_button.isEnabled()
    assert not panel.classes.isVisible()
    session.objects.revision = 1
    workspace.strokes_changed.emit()
    assert panel.train_button.isEnabled()


def test_nor_without_the_image_or_with_wrong_settings(
    panel: TrainPanel, workspace: FakeWorkspace, session: TrainingSession
) -> None:
    workspace.open_session(session)
    rate = panel.findChild(Editor, "learning_rate")
    assert rate is not None
    rate.set_value(0)
    assert not panel.train_button.isEnabled()
    assert "Learning rate" in panel.reason.text()
    assert workspace.launcher.plan is None
    rate.set_value(0.5)
    assert panel.train_button.isEnabled()
    workspace.layers = None
    workspace.session_changed.emit()
    assert "image was not found" in panel.reason.text()


def test_one_click_trains_the_instant_recipe(
    panel: TrainPanel, workspace: FakeWorkspace, session: TrainingSession
) -> None:
    workspace.open_session(session)
    panel.train_button.click()
    assert workspace.launcher.trained == [(load_recipe("instant"), None)]
    assert not panel.train_button.isEnabled()
    assert "runs already" in panel.train_button.toolTip()
    assert panel.progress.text.text() == "Waiting for the worker to start …"


def test_another_recipe_and_a_changed_setting(
    panel: TrainPanel, workspace: FakeWorkspace, session: TrainingSession, qtbot: QtBot
) -> None:
    workspace.open_session(session)
    for recipe in ("accurate", "fast"):  # the first is overtaken by the second
        panel.recipe.combo.setCurrentText(recipe)
        panel.recipe.combo.activated.emit(panel.recipe.combo.currentIndex())
    qtbot.waitUntil(lambda: panel.controller.recipe.plan == load_recipe("fast"))
    assert not panel.recipe.reset_button.isEnabled()
    panel.findChild(Editor, "steps").set_value(77)
    assert workspace.launcher.plan == load_recipe("fast", ["steps=77"])
    panel.train_button.click()
    assert workspace.launcher.trained == [(load_recipe("fast", ["steps=77"]), None)]
    panel.recipe.reset_button.click()
    assert panel.controller.recipe.plan == load_recipe("fast")


def test_a_saved_recipe_is_the_same_and_is_chosen(
    panel: TrainPanel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, qtbot: QtBot
) -> None:
    path = tmp_path / "mine.yaml"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *words: (str(tmp_path / "mine"), ""))
    panel.findChild(Editor, "steps").set_value(77)
    plan = panel.controller.recipe.plan
    panel.recipe.save_button.click()
    qtbot.waitUntil(lambda: panel.recipe.combo.currentText() == "mine.yaml")
    assert load_recipe(path) == panel.controller.recipe.plan == plan.model_copy(update={"recipe": "mine"})
    assert path.read_text().startswith("# Made from instant in napari-pytc.\n")


def test_a_file_of_the_users_and_one_that_is_wrong(
    panel: TrainPanel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, qtbot: QtBot
) -> None:
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text("steps: 5\n")
    bad.write_text("stepz: 5\n")
    combo = panel.recipe.combo

    def choose(path: str) -> None:
        monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *words: (path, ""))
        combo.setCurrentText("Other file…")
        combo.activated.emit(combo.currentIndex())

    choose(str(good))
    qtbot.waitUntil(lambda: combo.currentText() == "good.yaml")
    assert panel.controller.recipe.plan == TrainPlan(recipe="good", steps=5)
    choose(str(bad))
    qtbot.waitUntil(lambda: not panel.recipe.notice.isHidden())
    assert "stepz" in panel.recipe.notice.text
    assert combo.currentText() == "good.yaml"
    choose("")
    assert combo.currentText() == "good.yaml"
    assert panel.controller.recipe.plan.steps == 5


def test_fine_tuning_takes_over_the_models_settings(
    panel: TrainPanel, workspace: FakeWorkspace, session: TrainingSession, tmp_path: Path, qtbot: QtBot
) -> None:
    plan = TrainPlan(recipe="fast", network=UNetNetwork(channels=(5, 7)), steps=9)
    make_model(tmp_path / "models" / OLD, plan=plan)
    (tmp_path / "models" / "broken").mkdir()
    workspace.open_session(session)
    parents = panel.recipe.parents
    assert [parents.itemText(n) for n in range(parents.count())] == ["a new model", f"{OLD} · Dice 0.85"]
    parents.setCurrentIndex(1)
    parents.activated.emit(1)
    qtbot.waitUntil(lambda: panel.controller.recipe.plan == plan)
    assert (workspace.launcher.plan, workspace.launcher.parent_model) == (plan, OLD)
    assert panel.recipe.combo.currentText() == "fast"
    workspace.models_changed.emit()
    panel.train_button.click()
    assert workspace.launcher.trained == [(plan, OLD)]
    panel.controller.recipe.load("instant")
    qtbot.waitUntil(lambda: panel.recipe.parent_note.isVisible())
    assert "stays near" in panel.recipe.parent_note.text()
    panel.controller.recipe.load("accurate")
    qtbot.waitUntil(lambda: "begins anew" in panel.recipe.parent_note.text())
    workspace.open_session(None)
    assert workspace.launcher.parent_model is None


def test_the_second_training_begins_with_the_recipes_last_model(
    panel: TrainPanel, workspace: FakeWorkspace, session: TrainingSession, tmp_path: Path, qtbot: QtBot
) -> None:
    models, chooser = tmp_path / "models", panel.recipe
    workspace.open_session(session)
    assert chooser.parents.currentText() == "a new model"
    qtbot.waitUntil(lambda: not panel.controller.recipe.problem)
    assert chooser.parent_note.isHidden()
    panel.controller.recipe.load("fast")
    qtbot.waitUntil(lambda: workspace.launcher.plan is not None and workspace.launcher.plan.recipe == "fast")
    for name, changes in (
        ("1-instant", {"recipe": "instant"}),
        ("2-fast", {}),
        ("3-other-classes", {"classes": ("membrane", "inside", "synapse")}),
        ("4-worse", {"scores": WORSE}),
    ):
        make_model(models / name, **changes)  # type: ignore[arg-type]
    session.active = "1-instant"
    workspace.models_changed.emit()
    assert workspace.launcher.parent_model == "2-fast"
    assert "Goes on from this recipe's last model" in chooser.parent_note.text()

    chooser.parents.setCurrentIndex(0)
    chooser.parents.activated.emit(0)
    make_model(models / "5-fast")
    workspace.models_changed.emit()
    assert workspace.launcher.parent_model is None, "who chose a new model gets one"
    index = chooser.combo.findData("fast")
    chooser.combo.activated.emit(index)
    qtbot.waitUntil(lambda: workspace.launcher.parent_model == "5-fast")
    session.active = "2-fast"
    workspace.models_changed.emit()
    assert workspace.launcher.parent_model == "2-fast", "the one in use, before a newer one"
    session.classes.listed = session.classes.listed[:1]
    workspace.classes_changed.emit()
    assert workspace.launcher.parent_model is None


def test_progress_in_words_and_numbers(training: TrainPanel, workspace: FakeWorkspace) -> None:
    assert training.progress.bar.isVisible()
    assert training.progress.bar.value() == round(0.3 * training.progress.bar.maximum())
    assert training.progress.text.text().startswith("Training · step 120 of 400 · about 0 s")
    assert seen(training) == {"pause", "cancel"}
    workspace.tell(progress(0, "loading the libraries"))
    assert training.progress.text.text() == "Loading the libraries …"
    workspace.tell(*[Warned(job="j1", message="Memory was low.")] * 2)
    assert training.progress.warnings.text() == "⚠ Memory was low."


def test_minutes_count_as_much_as_steps(
    training: TrainPanel, workspace: FakeWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = workspace.job
    job.spec = train_job(Path("a"), TrainPlan(minutes=2))
    job.started, job._updated, job._rate_from = 910.0, 1000.0, (910.0, 1)
    with monkeypatch.context() as patch:
        patch.setattr(job_board.time, "time", lambda: 1000.0)
        assert job.share == pytest.approx(0.75)
        assert job.seconds_left == pytest.approx(30)


def test_pause_keeps_the_training_for_resume(
    training: TrainPanel, workspace: FakeWorkspace, session: TrainingSession
) -> None:
    training.progress.buttons["pause"].click()
    job = workspace.job
    assert job.is_paused
    assert job.handle.cancel_requested  # type: ignore[union-attr]
    assert training.progress.text.text() == "Pausing at step 120 of 400 …"
    assert not training.progress.buttons["cancel"].isEnabled()
    session.unfinished = [job.spec]  # type: ignore[list-item]
    workspace.tell(Cancelled(job="j1"))
    assert training.progress.text.text() == "Paused at step 120 of 400."
    assert seen(training) == {"resume", "dismiss"}
    assert training.train_button.isEnabled()
    training.progress.buttons["resume"].click()
    assert workspace.launcher.resumed == [job.spec]
    workspace.tell(Started(job="j1"), progress(121))
    assert seen(training) == {"pause", "cancel"}


def test_cancel_can_be_taken_back_until_it_is_dismissed(
    training: TrainPanel, workspace: FakeWorkspace, session: TrainingSession
) -> None:
    training.progress.buttons["cancel"].click()
    assert training.progress.text.text() == "Cancelling at step 120 of 400 …"
    session.unfinished = [workspace.job.spec]  # type: ignore[list-item]
    workspace.tell(Cancelled(job="j1"))
    assert training.progress.text.text() == "Cancelled at step 120 of 400."
    assert "resume" in seen(training)
    training.progress.buttons["dismiss"].click()
    assert not training.progress.isVisible()
    training.controller.resume()
    assert workspace.launcher.resumed == []
    assert ("discard", workspace.job.spec) in session.calls


def test_a_failure_is_one_sentence_with_the_log_and_a_way_on(
    training: TrainPanel, workspace: FakeWorkspace, session: TrainingSession
) -> None:
    spec = workspace.job.spec
    session.unfinished = [spec]  # type: ignore[list-item]
    workspace.tell(Failed(job="j1", message="The worker died.", hint="Resume.", log="Killed"))
    notice = training.progress.notice
    assert notice.isVisible()
    assert notice.text == "The worker died."
    assert not training.progress.bar.isVisible()
    assert training.progress.buttons["resume"].text() == "Resume from the last checkpoint"
    notice.clear()
    workspace.models_changed.emit()
    assert not notice.isVisible()
    training.progress.buttons["resume"].click()
    assert workspace.launcher.resumed == [spec]


def test_a_failure_without_a_checkpoint_offers_no_resume(training: TrainPanel, workspace: FakeWorkspace) -> None:
    workspace.tell(Failed(job="j1", message="The loss is no finite number any more.", hint="Lower learning_rate."))
    assert seen(training) == {"dismiss"}
    assert training.train_button.isEnabled()


def test_trainings_of_before_are_offered_until_dismissed(
    panel: TrainPanel, workspace: FakeWorkspace, session: TrainingSession, tmp_path: Path
) -> None:
    newest = train_job(tmp_path, load_recipe("fast"), "20261120-0831-fast")
    other = train_job(tmp_path, load_recipe("accurate"), "mine")
    session.unfinished = [newest, other]
    workspace.open_session(session)
    text = panel.progress.text.text()
    assert text.startswith("A training with fast, begun 20 Nov ")
    assert seen(panel) == {"resume", "dismiss"}
    panel.progress.buttons["dismiss"].click()
    assert panel.progress.text.text() == "A training with accurate, begun mine, was not finished."
    panel.progress.buttons["resume"].click()
    assert workspace.launcher.resumed == [other]


def test_the_end_is_reported_with_scores(training: TrainPanel, workspace: FakeWorkspace) -> None:
    assert table(training) == [["membrane", "1,200"], ["inside", "34,000"]]
    workspace.tell(*measured("dice/membrane", 0.1, 0.25), *measured("dice", 0.2))
    assert table(training) == [["membrane", "1,200", "0.250"], ["inside", "34,000", "—"]]
    workspace.tell(Finished(job="j1", result=RESULT))
    assert training.progress.text.text() == (
        "20261121-0831-fast is trained: 60 steps in 1\N{NO-BREAK SPACE}s; held-out Dice 0.850. "
        "Ended early, as its score did not get better."
    )
    assert table(training) == [["membrane", "1,200", "0.800", "0.700"], ["inside", "34,000", "0.900", "—"]]
    assert seen(training) == {"dismiss"}


def test_curves_come_live_in_the_classes_colours(training: TrainPanel, workspace: FakeWorkspace, qtbot: QtBot) -> None:
    assert not training.plot.isVisible()
    workspace.tell(*measured("loss", 1.0, 0.5), *measured("dice", 0.6), *measured("dice/inside", 0.7))
    assert training.plot.isVisible()
    qtbot.waitUntil(lambda: training.plot.is_ready)
    qtbot.waitUntil(lambda: len(training.plot.canvas.score.curves) == 2)
    assert training.plot.canvas.score.curves[1].opts["pen"].color() == QColor("#3cb44b")
    workspace.tell(*measured("loss", 1.0, 0.5, 0.2))
    qtbot.waitUntil(lambda: len(training.plot.canvas.loss.curves[0].getData()[0]) == 5)


def test_a_project_opened_again_shows_its_active_model(
    panel: TrainPanel, workspace: FakeWorkspace, session: TrainingSession, tmp_path: Path
) -> None:
    make_model(tmp_path / "models" / OLD)
    session.run_records = [
        RunRecord(
            id="r", kind="train", subject=OLD, state="finished", started=1, ended=2, result={}, message="", hint=""
        )
    ]
    points = session.points["r"] = [MetricPoint(name="loss", step=step, value=0.5) for step in (1, 2)]
    workspace.open_session(session)
    assert table(panel) == [["membrane", "1,200", "0.800"], ["inside", "34,000", "0.900"]]
    assert panel.plot.isVisible()
    workspace.open_session(None)
    assert panel.empty.isVisible()
    session.points["r"] = points[:1]
    workspace.open_session(session)
    assert not panel.plot.isVisible()  # a point is no curve


def test_it_fits_into_320_pixels(training: TrainPanel, workspace: FakeWorkspace, qtbot: QtBot) -> None:
    workspace.tell(Failed(job="j1", message="A long sentence about what went wrong. " * 4, log="x" * 500))
    form = training.recipe.form
    assert form is not None
    assert form.more is not None
    form.more.toggleButton().click()
    qtbot.wait(50)
    scrolled = training.scrolled  # type: ignore[attr-defined]
    assert training.width() <= scrolled.viewport().width()


def test_no_timer_is_left_when_it_is_hidden(training: TrainPanel, workspace: FakeWorkspace, qtbot: QtBot) -> None:
    workspace.tell(*measured("loss", 1.0))
    qtbot.waitUntil(lambda: training.plot.is_ready)
    training.scrolled.hide()  # type: ignore[attr-defined]
    workspace.tell(*measured("loss", 1.0, 0.5))
    assert not [timer for timer in training.findChildren(QTimer) if timer.isActive()]


class StoppedRunner(ScriptedRunner):
    """A training that leaves a checkpoint at step 3 and is then cancelled."""

    is_warm = False

    def __init__(self) -> None:
        super().__init__([Progressed(job="j1", done=3, total=60, note="training"), Cancelled(job="j1")], self.leave)

    def leave(self, spec: Any) -> None:
        (spec.output.run_folder / "step-3.safetensors").write_bytes(b"checkpoint")

    def close(self) -> None:
        """Nothing runs."""


def test_channels_of_a_recipe_are_edited_in_the_panel(
    panel: TrainPanel, workspace: FakeWorkspace, session: TrainingSession, qtbot: QtBot
) -> None:
    workspace.open_session(session)
    assert panel.recipe.target is not None
    channels = panel.recipe.target.channels
    assert not channels.isVisible()
    panel.controller.recipe.choose_recipe("bcd")
    qtbot.waitUntil(channels.isVisible)
    channels.table.selectRow(1)
    channels.kept.setChecked(False)
    plan = panel.controller.recipe.plan
    assert plan is not None
    assert [channel.kept for channel in plan.target.channels] == [True, False, True]
    channels.more.setText("thickness: 9")
    channels.more.editingFinished.emit()
    assert panel.controller.recipe.plan is None
    assert "less than or equal to 5" in panel.controller.recipe.problem
    channels.more.setText("")
    channels.more.editingFinished.emit()
    assert panel.controller.recipe.plan == plan
    panel.controller.recipe.choose_recipe("fast")
    qtbot.waitUntil(lambda: not channels.isVisible())


def test_channels_that_separate_objects_are_set_in_the_panel(
    panel: TrainPanel, workspace: FakeWorkspace, session: TrainingSession, qtbot: QtBot
) -> None:
    workspace.open_session(session)
    session.objects.revision = 1
    assert panel.recipe.target is not None
    objects = panel.recipe.target.objects
    assert not objects.isVisible()
    panel.controller.recipe.choose_recipe("neurites")
    qtbot.waitUntil(objects.isVisible)
    assert panel.controller.recipe.plan == load_recipe("neurites")

    editor(panel, "target.boundary").set_value(True)
    assert panel.controller.recipe.plan == load_recipe("neurites", ["target.boundary=true"])
    editor(panel, "target.affinities").set_value(False)
    editor(panel, "target.boundary").set_value(False)
    assert "at least one of affinities, boundary, foreground and distance" in panel.reason.text()
    assert not panel.train_button.isEnabled()
    editor(panel, "target.distance").set_value(True)
    plan = panel.controller.recipe.plan
    assert plan == load_recipe("neurites", ["target.affinities=false", "target.distance=true"])
    panel.recipe.reset_button.click()
    assert panel.controller.recipe.plan == load_recipe("neurites")

    offsets = editor(panel, "target.offsets")
    offsets.box.setChecked(True)
    chosen = chosen_offsets(session.image.volume.space, (3, 9))
    assert offsets.value() == chosen, "they begin with those that the voxel size gives"
    offsets.inner.line.setText("-1,0,0; 0,-1")
    assert panel.controller.recipe.plan is None
    assert "Offsets must be whole numbers z,y,x with semicolons" in panel.reason.text()
    offsets.inner.line.setText("-1,0,0; 0,-1,0")
    plan = panel.controller.recipe.plan
    assert plan is not None
    assert plan.target.offsets == ((-1, 0, 0), (0, -1, 0))
    panel.controller.recipe.choose_recipe("fast")
    qtbot.waitUntil(lambda: not objects.isVisible())
    assert panel.controller.recipe.plan == load_recipe("fast")


@pytest.fixture
def wrong_channel(panel: TrainPanel, workspace: FakeWorkspace, session: TrainingSession, qtbot: QtBot) -> TrainPanel:
    """A panel with a recipe of channels, in which one has a problem."""
    workspace.open_session(session)
    session.objects.revision = 1
    assert panel.recipe.target is not None
    channels = panel.recipe.target.channels
    panel.controller.recipe.choose_recipe("bcd")
    qtbot.waitUntil(channels.isVisible)
    assert panel.train_button.isEnabled()
    channels.table.selectRow(1)
    channels.more.setText("thickness: 9")
    channels.more.editingFinished.emit()
    assert "thickness" in panel.reason.text()
    return panel


@pytest.mark.parametrize("recipe", ["bcd", "fast"])
def test_a_recipe_replaces_channels_with_a_problem(wrong_channel: TrainPanel, recipe: str, qtbot: QtBot) -> None:
    controller = wrong_channel.controller.recipe
    with qtbot.waitSignal(controller.loaded):
        controller.choose_recipe(recipe)
    assert (controller.plan, controller.problem) == (load_recipe(recipe), "")
    assert wrong_channel.train_button.isEnabled()


def test_a_reset_replaces_channels_with_a_problem(wrong_channel: TrainPanel) -> None:
    wrong_channel.recipe.reset_button.click()
    assert wrong_channel.controller.recipe.plan == load_recipe("bcd")
    assert wrong_channel.train_button.isEnabled()
    assert not wrong_channel.recipe.reset_button.isEnabled()


def test_a_channel_that_is_edited_beside_a_wrong_setting_counts(wrong_channel: TrainPanel) -> None:
    panel = wrong_channel
    assert panel.recipe.target is not None
    channels = panel.recipe.target.channels
    panel.recipe.reset_button.click()
    rate = editor(panel, "learning_rate")
    before = rate.value()
    rate.set_value(0)
    assert panel.controller.recipe.plan is None
    channels.kept.setChecked(False)
    rate.set_value(before)
    plan = panel.controller.recipe.plan
    assert plan is not None
    assert [channel.kept for channel in plan.target.channels] == [True, False, True]
    assert channels.target == plan.target


def test_settings_that_contradict_one_another_are_refused_before_a_training(
    panel: TrainPanel, workspace: FakeWorkspace, session: TrainingSession
) -> None:
    workspace.open_session(session)
    editor(panel, "loss_balancing").set_value("uncertainty")
    assert not panel.train_button.isEnabled()
    assert "Name at least two" in panel.reason.text()
    editor(panel, "loss_balancing").set_value("fixed")
    assert panel.train_button.isEnabled()


def test_settings_without_an_effect_are_named(
    panel: TrainPanel, workspace: FakeWorkspace, session: TrainingSession
) -> None:
    workspace.open_session(session)
    notes, losses = panel.recipe.notes, panel.recipe.losses
    assert losses is not None
    assert not notes.isVisible()
    losses.add_button.click()
    editor(panel, "dice_weight").set_value(0.25)
    assert "dice_weight=0.25 has no effect" in notes.first.text()
    assert notes.isVisible()
    losses.remove_button.click()
    assert not notes.isVisible()


def test_tab_walks_through_the_table_of_losses_and_its_fields(panel: TrainPanel) -> None:
    losses = panel.recipe.losses
    assert losses is not None
    fields = [losses.loss, losses.weight, losses.where, losses.settings]
    wanted: list[Any] = [losses.table, losses.add_button, losses.remove_button, *fields]
    walked, at = list[Any](), cast(Any, losses.table)
    for _ in range(40):
        walked += [at] if at in wanted else []
        at = at.nextInFocusChain()
    assert walked == wanted
    assert not losses.table.tabKeyNavigation(), "Tab would stay in the table"


def test_losses_are_judged_by_the_classes_of_the_project(
    panel: TrainPanel, workspace: FakeWorkspace, session: TrainingSession
) -> None:
    losses = panel.recipe.losses
    assert losses is not None
    workspace.open_session(session)
    losses.add_button.click()
    losses.where.setText("0:3")
    losses.where.textEdited.emit("0:3")
    assert "Losses have a problem in row 1" in panel.reason.text()
    assert "the target has 2" in panel.reason.text()
    assert not panel.train_button.isEnabled()
    session.classes.listed = [*CLASSES, ClassInfo(id=3, name="outside", colour="#0000ff")]
    workspace.classes_changed.emit()
    assert panel.train_button.isEnabled()
    plan = panel.controller.recipe.plan
    assert plan is not None
    assert [(term.loss.kind, term.channels) for term in plan.losses] == [("dice_ce", "0:3")]
    losses.remove_button.click()
    assert panel.controller.recipe.plan == load_recipe("instant")


def test_another_network_mends_losses_that_did_not_suit_the_last_one(
    panel: TrainPanel, workspace: FakeWorkspace, session: TrainingSession
) -> None:
    workspace.open_session(session)
    losses, controller = panel.recipe.losses, panel.controller.recipe
    assert losses is not None
    losses.add_button.click()
    assert losses.loss.findData("soft_cldice") == -1, "the network sees single voxels"
    spatial = LossTerm.model_validate("soft_cldice")
    losses.set_value((spatial,))
    assert "compares neighbouring voxels" in panel.reason.text()
    editor(panel, "network").combo.setCurrentText("unet")
    assert losses.problem == ""
    assert losses.loss.findData("soft_cldice") >= 0
    assert controller.plan is not None
    assert (controller.plan.network.kind, controller.plan.losses) == ("unet", (spatial,))
    editor(panel, "network").combo.setCurrentText("filter_bank")
    assert "compares neighbouring voxels" in losses.problem
    assert controller.plan is None


def test_a_recipe_replaces_losses_with_a_problem(
    panel: TrainPanel, workspace: FakeWorkspace, session: TrainingSession, qtbot: QtBot
) -> None:
    workspace.open_session(session)
    session.objects.revision = 1
    losses, controller = panel.recipe.losses, panel.controller.recipe
    assert losses is not None
    losses.add_button.click()
    losses.settings.setText("squared: [")
    losses.settings.textEdited.emit("squared: [")
    assert controller.plan is None
    with qtbot.waitSignal(controller.loaded):
        controller.choose_recipe("bcd")
    assert controller.plan == load_recipe("bcd")
    assert panel.train_button.isEnabled()
    losses.add_button.click()
    assert "does not fit channel 2 (instance distance)" in panel.reason.text()


def test_a_training_that_cannot_fit_is_refused_before_it_starts(
    panel: TrainPanel, workspace: FakeWorkspace, session: TrainingSession, qtbot: QtBot
) -> None:
    runner = ManualRunner()
    workspace.open_session(session)
    line = panel.step_memory
    assert [one.text() for one in line.findChildren(QLabel) if one.isVisible()] == [panel.controller.step_memory.text]
    workspace.worker.runner, workspace.worker.is_warm = runner, True
    workspace.worker.changed.emit()
    qtbot.waitUntil(lambda: len(runner.jobs) == 1)
    refused = {
        "needed_bytes": 5_000_000_000, "free_bytes": 1_000_000_000, "device": "cpu", "device_name": "", "step": "",
        "begins_with": "", "problem": "Even the least takes 2.0 GB.", "hint": "Choose a smaller network.",
    }  # fmt: skip
    assert panel.train_button.isEnabled(), "while nothing is known, a training may be tried"
    runner.tell(Started)
    runner.tell(Finished, result=refused)
    assert not panel.train_button.isEnabled()
    assert panel.reason.text() == "Even the least takes 2.0 GB. Choose a smaller network."
    (shown,) = (one.text() for one in line.findChildren(QLabel) if one.isVisible())
    assert shown == "⚠ A step needs about 5.0 GB, and 1.0 GB are free on the CPU."
    panel.controller.train()
    assert workspace.launcher.trained == []
    assert workspace.launcher.plan_refusal == panel.reason.text(), "the shortcut is refused, too"
    editor(panel, "batch_size").set_value(7)
    assert panel.train_button.isEnabled()
    assert workspace.launcher.plan_refusal == ""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    with h5py.File(tmp_path / "raw.h5", "w") as file:
        file.create_dataset("main", data=np.zeros((4, 32, 32), np.uint8))
    with Session.create(tmp_path / "a.pytc", str(tmp_path / "raw.h5"), ["membrane", "inside"], (40, 10, 10)) as session:
        session.strokes.paint(Box((0, 0, 0), (1, 4, 4)), 1)
        session.strokes.paint(Box((0, 8, 8), (1, 12, 12)), 2)
    make_model(tmp_path / "a.pytc" / "models" / OLD)
    return tmp_path / "a.pytc"


def test_with_a_real_project(project: Path, qtbot: QtBot) -> None:
    runner = StoppedRunner()
    workspace = Workspace(FakeViewer(), cast(Any, lambda: runner), RecentProjects(project.parent / "recent.json"))
    panel = panel_of(workspace)
    qtbot.addWidget(panel)
    panel.show()
    try:
        workspace.open_project(project)
        qtbot.waitUntil(panel.train_button.isEnabled)
        assert table(panel) == [["membrane", "16", "0.800"], ["inside", "16", "0.900"]]
        panel.train_button.click()
        qtbot.waitUntil(lambda: panel.progress.text.text() == "Cancelled at step 3 of 60.")
        assert seen(panel) == {"resume", "dismiss"}
        panel.progress.buttons["resume"].click()
        qtbot.waitUntil(lambda: len(runner.jobs) == 2 and not workspace.jobs.running)
        first, again = runner.jobs
        assert again.output.run_folder == first.output.run_folder  # type: ignore[attr-defined]
        workspace.close_project()
        assert panel.empty.isVisible()
        workspace.open_project(project)
        qtbot.waitUntil(lambda: panel.progress.text.isVisible())
        assert "with instant" in panel.progress.text.text()
        panel.progress.buttons["dismiss"].click()
        qtbot.waitUntil(lambda: not list((project / "runs").iterdir()))
        qtbot.waitUntil(lambda: not panel.progress.isVisible())
        panel.models.tree.topLevelItem(0).setSelected(True)  # type: ignore[union-attr]
        assert "active already" in panel.models.buttons["activate"].toolTip()
    finally:
        workspace.shutdown()
