"""The volumes that a training learns from: counted, ticked, told to the launcher."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtCore import Qt

from napari_pytc.plans.recipes import load_recipe
from napari_pytc.ui.panels.train.controller import Scores, TrainController
from napari_pytc.ui.panels.train.scores import ClassTable
from napari_pytc.ui.panels.train.training_volumes import TrainingVolumes, VolumeAnnotations
from napari_pytc.ui.panels.train.volume_choice import VolumeChoice, learns_from
from tests.support.workspaces import CLASSES, FakeWorkspace, LiveLayers, TrainingSession


@pytest.fixture
def session(tmp_path: Path) -> TrainingSession:
    found = TrainingSession(tmp_path)
    found.volumes.add("v2", "vnc", {"membrane": 300, "inside": 0})
    found.volumes.add("v3", "empty", {"membrane": 0, "inside": 0})
    return found


@pytest.fixture
def workspace(qtbot: QtBot, session: TrainingSession) -> Iterator[FakeWorkspace]:
    workspace = FakeWorkspace()
    workspace.open_session(session)
    yield workspace
    workspace.shutdown()


@pytest.fixture
def volumes(qtbot: QtBot, workspace: FakeWorkspace) -> TrainingVolumes:
    found = TrainingVolumes(workspace, workspace)  # type: ignore[arg-type]
    qtbot.waitUntil(lambda: all(one.painted is not None for one in found.listed))
    return found


def test_what_is_painted_in_each_is_counted(volumes: TrainingVolumes, workspace: FakeWorkspace) -> None:
    assert [(one.name, one.n_painted) for one in volumes.listed] == [("raw", 35_200), ("vnc", 300), ("empty", 0)]
    assert volumes.painted == {"membrane": 1500, "inside": 34_000}
    assert workspace.launcher.volumes is None, "all that are annotated"


def test_a_volume_is_left_out_until_another_project_is_opened(
    volumes: TrainingVolumes, workspace: FakeWorkspace, session: TrainingSession, qtbot: QtBot
) -> None:
    volumes.choose("v2", False)
    assert workspace.launcher.volumes == ["raw"]
    assert volumes.painted == {"membrane": 1200, "inside": 34_000}
    workspace.session_changed.emit()  # another volume is in view
    qtbot.wait(20)
    assert [one.is_chosen for one in volumes.listed] == [True, False, True]
    volumes.choose("v2", True)
    assert workspace.launcher.volumes is None
    volumes.choose("v2", False)
    workspace.open_session(session)
    assert all(one.is_chosen for one in volumes.listed)


def test_a_recipe_of_objects_learns_from_the_volumes_with_objects(
    qtbot: QtBot, session: TrainingSession, tmp_path: Path
) -> None:
    session.volumes.objects["v2"] = 12
    workspace = FakeWorkspace()
    workspace.open_session(session)
    controller = TrainController(workspace)  # type: ignore[arg-type]
    workspace.layers = LiveLayers(workspace)
    volumes, choice = controller.volumes, VolumeChoice()
    qtbot.addWidget(choice)
    qtbot.waitUntil(lambda: all(one.painted is not None for one in volumes.listed))
    controller.recipe.set_plan(load_recipe("neurites"))
    assert controller.why_not() == "", "the volume in view has none, another one has"
    choice.show_volumes(volumes.listed)
    assert choice.about.text() == "Learns from vnc:"
    assert [choice.list.item(k).text() for k in range(3)] == [
        "raw   no objects",
        "vnc   12 objects",
        "empty   no objects",
    ]
    assert not choice.list.item(0).flags() & Qt.ItemFlag.ItemIsUserCheckable
    volumes.choose("v1", False)
    assert workspace.launcher.volumes == ["vnc"]
    volumes.choose("v2", False)
    assert controller.why_not() == "Tick a volume in which objects are marked."
    controller.recipe.set_plan(load_recipe("fast"))
    assert [one.n_learnt for one in volumes.listed] == [35_200, 300, 0]
    workspace.shutdown()


def test_the_list_has_ticks_where_something_is_painted(volumes: TrainingVolumes, qtbot: QtBot) -> None:
    choice, chosen = VolumeChoice(), list[tuple[str, bool]]()
    qtbot.addWidget(choice)
    choice.chosen.connect(lambda volume, on: chosen.append((volume, on)))
    choice.show_volumes(volumes.listed[:1])
    assert choice.isHidden(), "there is nothing to choose"
    choice.show_volumes(volumes.listed)
    assert not choice.isHidden()
    assert choice.about.text() == "Learns from 2 volumes:"
    assert [choice.list.item(k).text() for k in range(3)] == [
        "raw   35,200 voxels",
        "vnc   300 voxels",
        "empty   nothing painted",
    ]
    assert not choice.list.item(2).flags() & Qt.ItemFlag.ItemIsUserCheckable
    assert not chosen
    choice.list.item(1).setCheckState(Qt.CheckState.Unchecked)
    assert chosen == [("v2", False)]


def test_what_is_learned_from_is_said() -> None:
    one, two = VolumeAnnotations("v1", "a", {"m": 3}, True), VolumeAnnotations("v2", "b", {"m": 4}, False)
    assert learns_from([one, two]) == "Learns from a:"
    assert learns_from([two]) == "Tick a volume to learn from."
    assert learns_from([VolumeAnnotations("v1", "a", {}, True, 0, True)]) == "No objects are marked in any volume yet."
    assert learns_from([VolumeAnnotations("v1", "a", {}, True)]) == "Nothing is painted in any volume yet."
    assert "Counting" in learns_from([one, VolumeAnnotations("v2", "b", None, True)])


def test_scores_are_told_for_each_volume(qtbot: QtBot) -> None:
    table = ClassTable()
    qtbot.addWidget(table)
    found = {
        "dice": {"membrane": 0.9, "inside": 0.95},
        "volumes": {"raw": {"mean": 0.934}, "vnc": {"mean": None}},
    }
    table.show_classes(CLASSES, {}, Scores.read("m1", found))
    assert "Mean Dice by volume: raw 0.934 · vnc —" in table._of.text()
    table.show_classes(CLASSES, {}, Scores.read("m1", {"dice": {"membrane": 0.9}}))
    assert "by volume" not in table._of.text()
