"""What the Train panel tells of a new model's standing, and its two buttons."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from napari_pytc.jobs.events import Failed, Finished
from napari_pytc.plans.recipes import load_recipe
from napari_pytc.ui.panels.train.comparison import ComparisonNote
from napari_pytc.ui.panels.train.models import ModelList
from napari_pytc.ui.panels.train.models_controller import ModelsController, model_names
from tests.session.models import make_model
from tests.session.test_gate import compared
from tests.support.workspaces import FakeWorkspace, LiveLayers, TrainingSession
from tests.ui.panels.train.test_models import item

OLD, NEW = "20261121-0301-instant", "20261121-0322-fast"


@pytest.fixture
def session(tmp_path: Path) -> TrainingSession:
    make_model(tmp_path / "models" / OLD, "2026-11-21T03:01:00+00:00")
    return TrainingSession(tmp_path)


@pytest.fixture
def workspace(session: TrainingSession) -> Iterator[FakeWorkspace]:
    workspace = FakeWorkspace()
    workspace.layers = LiveLayers(workspace)
    workspace.open_session(session)
    yield workspace
    workspace.shutdown()


@pytest.fixture
def controller(workspace: FakeWorkspace) -> ModelsController:
    return ModelsController(workspace)  # type: ignore[arg-type]


@pytest.fixture
def note(controller: ModelsController, qtbot: QtBot) -> ComparisonNote:
    widget = ComparisonNote(controller)
    qtbot.addWidget(widget)
    widget.resize(320, 200)
    return widget


def finish(workspace: FakeWorkspace, session: TrainingSession, verdict: str, **more: object) -> None:
    """A training that ends in a model with this verdict."""
    make_model(session.folder / "models" / NEW, "2026-11-21T03:22:00+00:00", scores=compared(OLD, verdict), **more)
    workspace.launcher.train(load_recipe("fast"))
    workspace.tell(Finished(job="j1", result={"model": NEW}))
    workspace.models_changed.emit()


def test_a_refused_model_is_reported_and_can_be_used_all_the_same(
    note: ComparisonNote, workspace: FakeWorkspace, session: TrainingSession
) -> None:
    assert note.isHidden()
    finish(workspace, session, "worse")
    assert not note.isHidden()
    assert note.text.text().startswith("Worse than “instant” on the same held-out voxels: 0.800 against 0.900")
    assert note.state.text() == "It is not put to use: “instant” goes on predicting."
    assert note.use.text() == "Use it all the same"
    assert note.back.isHidden()
    note.use.click()
    assert session.calls == [("activate", NEW)]
    assert note.state.text() == "The new model predicts from now on."
    assert note.use.isHidden()
    assert note.back.text() == "Go back to instant"
    note.back.click()
    assert session.active == OLD


@pytest.mark.parametrize(
    ("verdict", "begin"),
    [("better", "Better than"), ("no different", "No different from"), ("unknown", "Not known whether it is better")],
)
def test_a_promoted_model_can_be_replaced_by_the_former(
    note: ComparisonNote, workspace: FakeWorkspace, session: TrainingSession, verdict: str, begin: str
) -> None:
    finish(workspace, session, verdict)
    assert note.text.text().startswith(begin)
    assert note.state.text() == "The new model predicts from now on."
    assert note.use.isHidden()
    note.back.click()
    assert session.active == OLD
    assert note.state.text() == "“instant” goes on predicting, as it was chosen."
    assert note.use.text() == "Use the new model"


def test_the_first_model_has_nothing_to_be_compared_with(
    note: ComparisonNote, workspace: FakeWorkspace, session: TrainingSession
) -> None:
    make_model(session.folder / "models" / NEW)
    workspace.launcher.train(load_recipe("fast"))
    workspace.tell(Finished(job="j1", result={"model": NEW}))
    assert note.isHidden()


def test_a_failed_training_or_another_project_shows_no_verdict(
    note: ComparisonNote, controller: ModelsController, workspace: FakeWorkspace, session: TrainingSession
) -> None:
    finish(workspace, session, "better")
    workspace.launcher.train(load_recipe("fast"))
    workspace.tell(Failed(job="j1", message="The worker died."))
    assert note.isHidden()
    controller.show_verdict(NEW)
    assert not note.isHidden()
    workspace.open_session(None)
    assert note.isHidden()
    workspace.open_session(session)
    controller.show_verdict("deleted")
    assert note.isHidden()


def test_a_deleted_baseline_is_not_offered(
    note: ComparisonNote, workspace: FakeWorkspace, session: TrainingSession
) -> None:
    finish(workspace, session, "better")
    session.models.delete(OLD)
    workspace.models_changed.emit()
    assert note.back.isHidden()
    assert OLD in note.text.text()


def test_nothing_is_chosen_in_a_project_that_is_only_read(
    note: ComparisonNote, workspace: FakeWorkspace, session: TrainingSession
) -> None:
    session.project.read_only = True
    finish(workspace, session, "worse")
    assert not note.use.isEnabled()
    assert "reading only" in note.use.toolTip()


def test_the_list_shows_the_gain_and_the_interval(
    workspace: FakeWorkspace, session: TrainingSession, qtbot: QtBot
) -> None:
    models = ModelList(ModelsController(workspace))  # type: ignore[arg-type]
    qtbot.addWidget(models)
    models.resize(320, 400)
    models.show()
    finish(workspace, session, "worse", parent=OLD)
    row = item(models, NEW)
    assert [row.text(column) for column in (1, 3)] == ["0.800", "▼ -0.100"]
    assert "95 % interval 0.750 to 0.850" in row.toolTip(0)
    assert f"Worse than {OLD}" in row.toolTip(0)
    assert "Not put to use" in row.toolTip(0)
    assert item(models, OLD).text(0).startswith("●")


def test_models_of_the_same_name_are_distinguished_by_their_time(session: TrainingSession) -> None:
    make_model(session.folder / "models" / NEW, "2025-11-21T12:22:00+00:00")
    make_model(session.folder / "models" / "20261121-0401-fast", "2025-11-22T12:31:00+00:00")
    names = model_names(session.models.records())
    assert names[OLD] == "instant"
    assert names[NEW].startswith("fast of 21 Nov")
    assert names["20261121-0401-fast"].startswith("fast of 22 Nov")
