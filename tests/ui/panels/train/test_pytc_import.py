"""The dialog that imports from PyTorch Connectomics: what it shows, and what it starts."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from pytestqt.qtbot import QtBot
from qtpy.QtWidgets import QFileDialog

from napari_pytc.plans.recipes import load_recipe
from napari_pytc.ui.panels.train.models_controller import ModelsController
from napari_pytc.ui.panels.train.pytc_import import PytcImportDialog
from napari_pytc.ui.panels.train.recipe_controller import RecipeController
from tests.support.checkpoints import write_config
from tests.support.display import needs_display
from tests.support.workspaces import FakeWorkspace, TrainingSession

pytestmark = needs_display


@pytest.fixture
def session(workspace: FakeWorkspace, tmp_path: Path) -> TrainingSession:
    session = TrainingSession(tmp_path)
    workspace.open_session(session)
    return session


@pytest.fixture
def recipe(workspace: FakeWorkspace, session: TrainingSession) -> RecipeController:
    return RecipeController(workspace)  # type: ignore[arg-type]


@pytest.fixture
def dialog(workspace: FakeWorkspace, recipe: RecipeController, qtbot: QtBot) -> PytcImportDialog:
    widget = PytcImportDialog(recipe, ModelsController(workspace))  # type: ignore[arg-type]
    qtbot.addWidget(widget)
    widget.show()
    return widget


def read(dialog: PytcImportDialog, qtbot: QtBot, path: Path) -> None:
    dialog.config.setText(str(path))
    dialog.read()
    qtbot.waitUntil(lambda: dialog.keys.topLevelItemCount() > 0 or bool(dialog.notice.text))


def test_every_key_is_listed_what_differs_first(dialog: PytcImportDialog, qtbot: QtBot, tmp_path: Path) -> None:
    assert not dialog.recipe_button.isEnabled()
    read(dialog, qtbot, write_config(tmp_path))
    outcomes = [dialog.keys.topLevelItem(n).text(2) for n in range(dialog.keys.topLevelItemCount())]
    assert outcomes == sorted(outcomes, key=["changed", "left out", "taken"].index)
    assert f"{outcomes.count('taken')} taken" in dialog.summary.text()
    assert dialog.recipe_button.isEnabled()
    assert not dialog.model_button.isEnabled()
    dialog.checkpoint.setText("last.ckpt")
    assert dialog.model_button.isEnabled()


def test_a_checkpoint_alone_is_read_for_the_configuration_that_it_holds(
    dialog: PytcImportDialog, qtbot: QtBot, tmp_path: Path
) -> None:
    values = {"model": {"arch": {"type": "rsunet"}}, "hyper": 1}
    torch.save({"state_dict": {}, "hyper_parameters": {"cfg": values}}, tmp_path / "last.ckpt")
    dialog.checkpoint.setText(str(tmp_path / "last.ckpt"))
    dialog.checkpoint.editingFinished.emit()
    qtbot.waitUntil(dialog.model_button.isEnabled, timeout=30_000)
    assert "the one that the checkpoint last.ckpt holds" in dialog.summary.text()
    torch.save({"state_dict": {}}, tmp_path / "other.ckpt")
    dialog.checkpoint.setText(str(tmp_path / "other.ckpt"))
    dialog.checkpoint.editingFinished.emit()
    qtbot.waitUntil(lambda: "does not hold its configuration" in dialog.notice.text, timeout=30_000)
    assert not dialog.model_button.isEnabled()


def test_leaving_a_line_reads_only_what_is_new(dialog: PytcImportDialog, qtbot: QtBot, tmp_path: Path) -> None:
    read(dialog, qtbot, write_config(tmp_path))
    dialog.config.editingFinished.emit()
    dialog.voxel_size.editingFinished.emit()
    assert dialog.recipe_button.isEnabled()
    dialog.voxel_size.setText("30, 8, 8")
    dialog.voxel_size.editingFinished.emit()
    assert not dialog.recipe_button.isEnabled()
    qtbot.waitUntil(dialog.recipe_button.isEnabled, timeout=30_000)
    dialog.voxel_size.setText("x")
    dialog.voxel_size.editingFinished.emit()
    qtbot.waitUntil(dialog.notice.isVisible, timeout=30_000)
    dialog.voxel_size.editingFinished.emit()
    assert not dialog.notice.isVisible(), "read again, as it failed"
    qtbot.waitUntil(dialog.notice.isVisible, timeout=30_000)


def test_a_configuration_that_cannot_be_read_is_told(dialog: PytcImportDialog, qtbot: QtBot, tmp_path: Path) -> None:
    read(dialog, qtbot, write_config(tmp_path))
    (tmp_path / "a.yaml").write_text("_base_: a.yaml")
    dialog.config.setText(str(tmp_path / "a.yaml"))
    dialog.read()
    qtbot.waitUntil(lambda: "builds on itself" in dialog.notice.text)
    assert dialog.keys.topLevelItemCount() == 0
    assert not dialog.recipe_button.isEnabled()


def test_a_recipe_is_saved_and_chosen(
    dialog: PytcImportDialog,
    recipe: RecipeController,
    qtbot: QtBot,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dialog.voxel_size.setText("30, 8, 8")
    read(dialog, qtbot, write_config(tmp_path))
    target = tmp_path / "mine"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(target), ""))
    with qtbot.waitSignal(recipe.loaded):
        dialog.recipe_button.click()
    assert recipe.recipe == str(tmp_path / "mine.yaml")
    assert load_recipe(tmp_path / "mine.yaml").voxel_size_nm == (30, 8, 8)
    assert not dialog.isVisible()


def test_a_model_is_imported_by_the_launcher(
    dialog: PytcImportDialog,
    workspace: FakeWorkspace,
    session: TrainingSession,
    qtbot: QtBot,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(session.jobs, "import_model_job", lambda config, path: (config.name, path), raising=False)
    read(dialog, qtbot, write_config(tmp_path))
    dialog.checkpoint.setText(str(tmp_path / "last.ckpt"))
    dialog.model_button.click()
    described = ("monai_unet", tmp_path / "last.ckpt")
    assert workspace.calls[-1] == ("import_model", "Import last.ckpt", described)
    assert not dialog.isVisible()
