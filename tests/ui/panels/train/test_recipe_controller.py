"""Recipes, edited settings and the model to begin with, without a window."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from napari_pytc.plans.plan import TrainPlan
from napari_pytc.plans.recipes import load_recipe
from napari_pytc.ui.panels.train.recipe_controller import RecipeController
from tests.session.models import make_model
from tests.session.retraining_bench import WORSE
from tests.support.workspaces import FakeWorkspace, TrainingSession

OLD = "20261121-0301-old"


@pytest.fixture
def session(workspace: FakeWorkspace, tmp_path: Path) -> TrainingSession:
    session = TrainingSession(tmp_path)
    workspace.open_session(session)
    return session


@pytest.fixture
def recipe(workspace: FakeWorkspace, session: TrainingSession, qtbot: QtBot) -> RecipeController:
    """The first recipe was read."""
    controller = RecipeController(workspace)  # type: ignore[arg-type]
    with qtbot.waitSignal(controller.loaded):
        controller.begin()
    return controller


def load(recipe: RecipeController, qtbot: QtBot, name: str | Path) -> None:
    with qtbot.waitSignal(recipe.loaded):
        recipe.choose_recipe(name)


def test_before_the_first_recipe_is_read_there_is_no_plan(workspace: FakeWorkspace) -> None:
    controller = RecipeController(workspace)  # type: ignore[arg-type]
    assert (controller.plan, controller.problem) == (None, "The recipe is being read.")
    assert workspace.launcher.plan is None
    assert workspace.launcher.plan_problem == "", "nobody chose anything yet"


def test_the_first_recipe_goes_to_the_launcher_and_is_read_once(
    recipe: RecipeController, workspace: FakeWorkspace, qtbot: QtBot
) -> None:
    assert recipe.recipe == "instant"
    assert recipe.plan == recipe.loaded_plan == workspace.launcher.plan == load_recipe("instant")
    assert list(recipe.recipes)[:3] == ["instant", "fast", "accurate"]
    assert not recipe.is_edited
    with qtbot.assertNotEmitted(recipe.loaded, wait=50):
        recipe.begin()


def test_edited_settings_go_to_the_launcher_and_wrong_ones_take_the_plan_away(
    recipe: RecipeController, workspace: FakeWorkspace, qtbot: QtBot
) -> None:
    plan = load_recipe("instant", ["steps=77"])
    recipe.set_plan(plan)
    assert workspace.launcher.plan is plan
    assert recipe.is_edited
    recipe.set_plan(None, "Steps: too few.")
    assert (workspace.launcher.plan, workspace.launcher.plan_problem) == (None, "Steps: too few.")
    with qtbot.assertNotEmitted(recipe.changed):
        recipe.set_plan(None, "Steps: too few.")


def test_of_two_recipes_the_last_one_chosen_counts(recipe: RecipeController, qtbot: QtBot) -> None:
    loaded: list[str] = []
    recipe.loaded.connect(lambda: loaded.append(recipe.recipe))
    recipe.choose_recipe("accurate")
    recipe.choose_recipe("fast")
    qtbot.waitUntil(lambda: bool(loaded))
    qtbot.wait(50)
    assert loaded == ["fast"]


def test_a_file_that_cannot_be_read_leaves_the_recipe(recipe: RecipeController, tmp_path: Path, qtbot: QtBot) -> None:
    (tmp_path / "bad.yaml").write_text("stepz: 5\n")
    with qtbot.waitSignal(recipe.failed) as failure:
        recipe.choose_recipe(tmp_path / "bad.yaml")
    assert "stepz" in str(failure.args[0])
    assert recipe.recipe == "instant"
    assert recipe.plan == load_recipe("instant")


def test_a_saved_recipe_is_chosen(
    recipe: RecipeController, workspace: FakeWorkspace, tmp_path: Path, qtbot: QtBot
) -> None:
    path = tmp_path / "mine.yaml"
    recipe.set_plan(load_recipe("instant", ["steps=77"]))
    with qtbot.waitSignal(recipe.loaded):
        recipe.save(path)
    assert recipe.recipe == str(path)
    assert recipe.recipes[str(path)] == f"Your file {path}."
    assert recipe.plan == load_recipe(path)
    assert recipe.plan is not None
    assert recipe.plan.steps == 77
    assert workspace.viewer.status == f"Saved the recipe {path}."
    with qtbot.waitSignal(recipe.failed) as failure:
        recipe.save(tmp_path / "nowhere" / "mine.yaml")
    assert "cannot be written" in str(failure.args[0])


def test_a_model_to_begin_with_brings_its_settings(
    recipe: RecipeController, workspace: FakeWorkspace, session: TrainingSession, qtbot: QtBot
) -> None:
    plan = TrainPlan(recipe="fast", steps=9)
    make_model(session.folder / "models" / OLD, plan=plan)
    (session.folder / "models" / "broken").mkdir()
    workspace.models_changed.emit()
    assert [record.id for record in recipe.parents] == [OLD], "damaged ones cannot be begun with"
    with qtbot.waitSignal(recipe.loaded):
        recipe.choose_parent(recipe.parents[0])
    assert (recipe.recipe, recipe.plan) == ("fast", plan)
    assert workspace.launcher.parent_model == OLD
    with qtbot.waitSignal(recipe.loaded):
        recipe.load("accurate")
    assert "begins anew" in recipe.parent_text
    with qtbot.waitSignal(recipe.loaded):
        recipe.choose_parent(None)
    assert workspace.launcher.parent_model is None
    assert recipe.parent_text == ""


def test_the_recipes_last_model_is_begun_with_unless_it_was_worse_or_knows_other_classes(
    recipe: RecipeController, workspace: FakeWorkspace, session: TrainingSession, qtbot: QtBot
) -> None:
    load(recipe, qtbot, "fast")
    models = session.folder / "models"
    make_model(models / "1-instant", recipe="instant")
    make_model(models / "2-fast")
    make_model(models / "3-classes", classes=("membrane", "inside", "synapse"))
    make_model(models / "4-worse", scores=WORSE)
    session.active = "1-instant"
    workspace.models_changed.emit()
    assert recipe.parent_model == workspace.launcher.parent_model == "2-fast"
    assert recipe.parent_text.startswith("Goes on from this recipe's last model.")
    make_model(models / "5-fast")
    session.active = "2-fast"
    workspace.models_changed.emit()
    assert recipe.parent_model == "2-fast", "the one in use, before a newer one"
    workspace.open_session(None)
    assert (recipe.parent_model, recipe.parents) == (None, [])


def test_who_chose_a_new_model_gets_one(
    recipe: RecipeController, workspace: FakeWorkspace, session: TrainingSession, qtbot: QtBot
) -> None:
    load(recipe, qtbot, "fast")
    with qtbot.waitSignal(recipe.loaded):
        recipe.choose_parent(None)
    make_model(session.folder / "models" / OLD)
    workspace.models_changed.emit()
    assert recipe.parent_model is None
    load(recipe, qtbot, "fast")
    assert recipe.parent_model == OLD, "a recipe that is chosen again begins with its last model"
