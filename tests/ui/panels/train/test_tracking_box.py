"""The trackers of the Train panel: switches, settings, folder, what is remembered, and what is missing."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtWidgets import QFileDialog

from napari_pytc.plans.recipes import load_recipe
from napari_pytc.plans.tracking import TensorBoardSettings, Tracking, WandbSettings
from napari_pytc.session.tracking_choice import TrackingChoice, TrackingMemory
from napari_pytc.ui.panels.train.controller import TrainController
from napari_pytc.ui.panels.train.tracking_box import TrackingBox, WordsEditor
from napari_pytc.ui.panels.train.tracking_controller import TrackingController
from tests.support.display import needs_display
from tests.support.workspaces import FakeWorkspace, LiveLayers, TrainingSession

pytestmark = needs_display


@pytest.fixture
def workspace() -> Iterator[FakeWorkspace]:
    workspace = FakeWorkspace()
    workspace.layers = LiveLayers(workspace)
    yield workspace
    workspace.shutdown()


@pytest.fixture
def memory(tmp_path: Path) -> TrackingMemory:
    return TrackingMemory(tmp_path / "tracking.json")


def box_of(workspace: Any, memory: TrackingMemory, qtbot: QtBot) -> TrackingBox:
    """The open part of the panel, once the choice was read."""
    controller = TrackingController(workspace, workspace, memory)
    box = TrackingBox(controller)
    qtbot.addWidget(box)
    box.resize(320, 600)
    box.show()
    qtbot.waitUntil(lambda: controller.choice is not None)
    return box


def test_nothing_is_on_at_first_and_settings_are_hidden(
    workspace: FakeWorkspace, memory: TrackingMemory, qtbot: QtBot
) -> None:
    box = box_of(workspace, memory, qtbot)
    assert box.text() == "Track experiments"
    assert box.switches == {}
    box.expand()
    assert {"tensorboard", "wandb"} <= set(box.switches)
    assert not any(switch.box.isChecked() or switch.form.isVisible() for switch in box.switches.values())
    assert workspace.launcher.tracking is None
    assert "nothing is sent" in box.switches["tensorboard"].about.text()
    assert "pictures of patches" in box.switches["wandb"].about.text()


def test_what_is_switched_on_is_for_the_next_trainings_and_is_remembered(
    workspace: FakeWorkspace, memory: TrackingMemory, qtbot: QtBot
) -> None:
    box = box_of(workspace, memory, qtbot)
    box.expand()
    box.switches["tensorboard"].box.click()
    assert workspace.launcher.tracking == Tracking(trackers=(TensorBoardSettings(),))
    box.switches["wandb"].box.click()
    assert box.text() == "Track experiments: tensorboard, wandb"
    qtbot.waitUntil(lambda: box.switches["wandb"].form.isVisible())
    box.switches["wandb"].form.set_value(WandbSettings(project="mito", tags=("a", "b")))
    expected = Tracking(trackers=(TensorBoardSettings(), WandbSettings(project="mito", tags=("a", "b"))))
    assert workspace.launcher.tracking == expected
    qtbot.waitUntil(lambda: memory.read().tracking() == expected)
    again = FakeWorkspace()
    try:
        other = box_of(again, memory, qtbot)
        assert other.text() == "Track experiments: tensorboard, wandb"
        assert again.launcher.tracking == expected
        other.expand()
        other.switches["tensorboard"].box.click()
        other.switches["wandb"].box.click()
        assert again.launcher.tracking is None
        assert other.text() == "Track experiments"
        assert memory.read().settings_of(WandbSettings) == WandbSettings(project="mito", tags=("a", "b"))
        qtbot.waitUntil(lambda: memory.read().on == ())
    finally:
        again.shutdown()


def test_a_folder_of_ones_own(
    workspace: FakeWorkspace, memory: TrackingMemory, qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory.write(TrackingChoice(on=("tensorboard",)))
    box = box_of(workspace, memory, qtbot)
    box.expand()
    assert box.folder.placeholderText() == "tracking, in the project"
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path / "logs"))
    box.browse.click()
    assert workspace.launcher.tracking is not None
    assert workspace.launcher.tracking.folder == tmp_path / "logs"
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: "")
    box.browse.click()
    assert workspace.launcher.tracking.folder == tmp_path / "logs"
    box.folder.clear()
    box.folder.editingFinished.emit()
    assert workspace.launcher.tracking.folder is None


def test_a_package_that_is_not_installed_cannot_be_switched_on(
    workspace: FakeWorkspace, memory: TrackingMemory, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    memory.write(TrackingChoice(on=("wandb", "tensorboard")))
    box = box_of(workspace, memory, qtbot)
    assert box.text() == "Track experiments: tensorboard"
    box.expand()
    switch = box.switches["wandb"]
    assert not switch.box.isEnabled()
    assert not switch.box.isChecked()
    assert "pip install 'napari-pytc[loggers]'" in switch.about.text()
    assert "not installed" in switch.box.toolTip()


def test_wrong_settings_hold_a_training_up_with_the_reason(
    workspace: FakeWorkspace, tmp_path: Path, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    controller = TrainController(workspace)  # type: ignore[arg-type]
    box = TrackingBox(controller.tracking)
    qtbot.addWidget(box)
    qtbot.waitUntil(lambda: controller.tracking.choice is not None)
    monkeypatch.setattr(controller.tracking, "_memory", TrackingMemory(tmp_path / "tracking.json"))
    workspace.open_session(TrainingSession(tmp_path))
    controller.recipe.set_plan(load_recipe("fast"))
    assert controller.why_not() == ""
    box.show()
    box.expand()
    switch = box.switches["wandb"]
    switch.box.setChecked(True)
    switch.form._parts[0].editors["project"].set_value("lab/mito")
    assert "The name of a project of Weights & Biases" in controller.why_not()
    assert controller.why_not().startswith("Track experiments: ")
    switch.box.setChecked(False)
    assert controller.why_not() == ""


def test_words_are_edited_with_commas(qtbot: QtBot) -> None:
    editor = WordsEditor()
    qtbot.addWidget(editor)
    editor.set_value(("a", "b c"))
    assert editor.line.text() == "a, b c"
    editor.line.setText(" x ,, y")
    assert editor.value() == ("x", "y")
