"""What can be done with models, and the verdict on the newest one, without a window."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from napari_pytc.errors import ModelError
from napari_pytc.jobs.events import Finished
from napari_pytc.plans.recipes import load_recipe
from napari_pytc.session.records import ModelRecord
from napari_pytc.ui.panels.train.models_controller import ModelsController, Verdict, short_name
from tests.session.models import make_model
from tests.session.test_gate import compared
from tests.support.workspaces import FakeWorkspace, TrainingSession

OLD, NEW = "20261121-0301-instant", "20261121-0322-fast"


@pytest.fixture
def session(tmp_path: Path) -> TrainingSession:
    make_model(tmp_path / "models" / OLD, "2026-11-21T03:01:00+00:00", recipe="instant")
    (tmp_path / "models" / "broken").mkdir()
    return TrainingSession(tmp_path)


@pytest.fixture
def workspace(qtbot: QtBot, session: TrainingSession) -> Iterator[FakeWorkspace]:
    workspace = FakeWorkspace()
    workspace.open_session(session)
    yield workspace
    workspace.shutdown()


@pytest.fixture
def models(workspace: FakeWorkspace) -> ModelsController:
    return ModelsController(workspace)  # type: ignore[arg-type]


def record(models: ModelsController, name: str) -> ModelRecord:
    return next(record for record in models.records if record.id == name)


def finish(workspace: FakeWorkspace, session: TrainingSession, verdict: str) -> None:
    """A training that ends in the model `NEW` with this verdict."""
    make_model(session.folder / "models" / NEW, "2026-11-21T03:22:00+00:00", scores=compared(OLD, verdict))
    workspace.launcher.train(load_recipe("fast"))
    workspace.tell(Finished(job="j1", result={"model": NEW}))


def test_what_can_be_done_depends_on_what_is_selected(
    models: ModelsController, session: TrainingSession, workspace: FakeWorkspace
) -> None:
    old, broken = record(models, OLD), record(models, "broken")
    assert models.why_not("activate", []) == "select one model."
    assert models.why_not("activate", [old]) == "it is active already."
    assert models.why_not("rename", [old]) == ""
    assert models.why_not("export", [broken]).startswith("the model is damaged:")
    assert models.why_not("delete", [old, broken]) == ""
    assert models.why_not("delete", []) == "select a model."
    assert models.why_not("compare", [old]) == "select two models."
    assert models.why_not("compare", [old, broken]) == "one of them is damaged."
    session.project.read_only = True
    assert models.why_not("delete", [old]) == "the project is open for reading only."
    assert models.why_not("export", [old]) == ""
    workspace.open_session(None)
    assert models.why_not("export", [old]) == "no project is open."
    assert models.records == []


def test_every_change_is_made_once_and_announced(
    models: ModelsController, session: TrainingSession, workspace: FakeWorkspace, qtbot: QtBot
) -> None:
    with qtbot.waitSignal(workspace.models_changed):
        models.activate(OLD)
    models.rename(OLD, "the first")
    models.delete(["broken"])
    qtbot.waitUntil(lambda: ("empty",) in session.calls)
    assert session.calls == [("activate", OLD), ("rename", OLD, "the first"), ("delete", "broken"), ("empty",)]
    assert [one.name for one in models.records] == ["the first"]


def test_a_change_that_fails_is_reported_and_the_list_is_read_again(
    models: ModelsController, session: TrainingSession, workspace: FakeWorkspace, qtbot: QtBot
) -> None:
    session.refuses = ModelError("The model is in use.", "Wait.")
    with qtbot.waitSignal(models.changed):
        models.activate(OLD)
    assert workspace.errors == [session.refuses]


def test_a_model_is_copied_to_where_the_user_says(
    models: ModelsController, workspace: FakeWorkspace, tmp_path: Path, qtbot: QtBot
) -> None:
    models.export(OLD, tmp_path / "copy")
    qtbot.waitUntil(lambda: workspace.viewer.status == f"Copied the model to {tmp_path / 'copy'}.")
    assert (tmp_path / "copy" / "plan.json").is_file()


def test_a_worse_model_is_not_put_to_use_and_may_be(
    models: ModelsController, session: TrainingSession, workspace: FakeWorkspace
) -> None:
    assert models.verdict is None
    finish(workspace, session, "worse")
    verdict = models.verdict
    assert isinstance(verdict, Verdict)
    assert verdict.mark == "▼"
    assert verdict.text.startswith("Worse than “instant”")
    assert verdict.state == "It is not put to use: “instant” goes on predicting."
    assert (verdict.use_title, verdict.back_title) == ("Use it all the same", "")
    models.activate(verdict.model)
    verdict = models.verdict
    assert verdict is not None
    assert verdict.state == "The new model predicts from now on."
    assert (verdict.use_title, verdict.back_title, verdict.former) == ("", "Go back to instant", OLD)


def test_a_better_model_predicts_unless_another_was_chosen(
    models: ModelsController, session: TrainingSession, workspace: FakeWorkspace
) -> None:
    finish(workspace, session, "better")
    assert models.verdict is not None
    assert models.verdict.mark == "▲"
    models.activate(OLD)
    verdict = models.verdict
    assert verdict is not None
    assert verdict.state == "“instant” goes on predicting, as it was chosen."
    assert verdict.use_title == "Use the new model"


def test_the_verdict_goes_with_its_model_and_its_project(
    models: ModelsController, session: TrainingSession, workspace: FakeWorkspace
) -> None:
    finish(workspace, session, "better")
    models.delete([NEW])
    assert models.verdict is None
    finish(workspace, session, "better")
    workspace.session_changed.emit()
    assert models.verdict is not None, "models are those of all volumes"
    workspace.project_changed.emit()
    assert models.verdict is None


def test_names_that_nobody_chose_lose_their_date(models: ModelsController) -> None:
    old = record(models, OLD)
    assert short_name(old) == "instant"
    assert short_name(old.model_copy(update={"name": "my-own-name"})) == "my-own-name"
    assert short_name(record(models, "broken")) == "broken"
