"""Tests of what the Predict panel does, without a window."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from pytestqt.qtbot import QtBot

from napari_pytc.geometry import Box
from napari_pytc.jobs.events import Finished, Produced
from napari_pytc.plans.test_time import TtaSettings
from napari_pytc.ui.panels.predict.controller import Legend, PredictController
from tests.support.workspaces import CLASSES, SHAPE, FakeWorkspace, model, prediction


@pytest.fixture
def workspace(qtbot: QtBot) -> Iterator[FakeWorkspace]:
    found = FakeWorkspace()
    yield found
    found.shutdown()


@pytest.fixture
def controller(workspace: FakeWorkspace) -> PredictController:
    return PredictController(workspace)  # type: ignore[arg-type]


def test_without_a_project_there_is_nothing_and_nothing_can_be_done(controller: PredictController) -> None:
    assert not controller.has_project
    assert controller.models() == []
    assert controller.predictions() == []
    assert controller.shown is None
    assert controller.region("all") is None
    assert controller.why_not("all") == "no project is open."
    assert controller.legend().channels == ()
    controller.show(prediction("p1"))
    controller.delete(prediction("p1"))  # nothing happens


def test_models_come_in_use_first_then_the_newest_without_damaged_ones(
    controller: PredictController, workspace: FakeWorkspace, tmp_path: Path
) -> None:
    session = workspace.open(tmp_path / "a.pytc")
    session.model_records = [model("m1"), model("m2", active=True), model("broken", problem="damaged"), model("m3")]
    assert [found.id for found in controller.models()] == ["m2", "m3", "m1"]


def test_why_not_names_the_first_thing_that_is_missing(
    controller: PredictController, workspace: FakeWorkspace, tmp_path: Path
) -> None:
    session = workspace.open(tmp_path / "a.pytc")
    layers, workspace.layers = workspace.layers, None
    assert "image was not found" in controller.why_not("view")
    workspace.layers = layers
    assert "no model yet" in controller.why_not("view")
    session.model_records = [model("m1", active=True)]
    assert controller.why_not("view") == controller.why_not("all") == ""
    assert "no box is drawn" in controller.why_not("box")
    layers.drawn = Box.at((1, 2, 3), (1, 4, 5))
    assert controller.why_not("box") == ""
    session.project.read_only = True
    assert controller.why_not("box") == "this project is open for reading only."


def test_regions_are_the_view_the_deep_box_and_the_volume(
    controller: PredictController, workspace: FakeWorkspace, tmp_path: Path
) -> None:
    workspace.open(tmp_path / "a.pytc")
    workspace.layers.drawn = Box.at((5, 2, 3), (1, 4, 5))
    workspace.drawn_box.set_depth(3)
    assert controller.region("view") == workspace.layers.in_view
    assert controller.region("box") == Box.at((4, 2, 3), (3, 4, 5))
    assert controller.region("all") == Box.of_shape(SHAPE)


def test_predict_and_resume_are_launched(
    controller: PredictController, workspace: FakeWorkspace, tmp_path: Path
) -> None:
    workspace.open(tmp_path / "a.pytc")
    controller.predict("view", "m1", TtaSettings(flips="all"))
    controller.resume(prediction("p1"))
    (_, scope, name, plan), resumed = workspace.calls
    assert (scope, name, plan.has_all_flips) == ("view", "m1", True)
    assert resumed == ("resume", "p1")


def test_a_prediction_that_is_deleted_leaves_the_canvas(
    controller: PredictController, workspace: FakeWorkspace, tmp_path: Path
) -> None:
    session = workspace.open(tmp_path / "a.pytc")
    first, second = prediction("p1"), prediction("p2")
    controller.show(first)
    assert controller.shown == first.folder
    controller.delete(second)
    assert controller.shown == first.folder
    controller.delete(first)
    assert controller.shown is None
    assert session.deleted == ["p2", "p1"]


def test_listeners_hear_of_a_prediction_when_it_begins_to_be_written_and_when_it_is_over(
    controller: PredictController, workspace: FakeWorkspace, tmp_path: Path
) -> None:
    workspace.open(tmp_path / "a.pytc")
    changes: list[int] = []
    controller.predictions_changed.connect(lambda: changes.append(1))
    spec = SimpleNamespace(box=None, output=Path("/predictions/p1.zarr"))
    _, sink = workspace.start("predict", "Predict everything", spec)
    assert controller.running == {spec.output}
    for _ in range(3):
        sink(Produced(job="j1", kind="prediction", box=Box.at((0, 0, 0), (1, 1, 1))))
        workspace.jobs.drain()
    assert len(changes) == 1
    sink(Finished(job="j1"))
    workspace.jobs.drain()
    assert len(changes) == 2
    assert controller.running == set()


def test_the_voxels_of_a_job_are_those_of_its_box_or_of_the_volume(
    controller: PredictController, workspace: FakeWorkspace, tmp_path: Path
) -> None:
    workspace.open(tmp_path / "a.pytc")
    boxed, _ = workspace.start("predict", "a box", SimpleNamespace(box=Box.at((0, 0, 0), (2, 3, 4))))
    whole, _ = workspace.start("predict", "all", SimpleNamespace(box=None))
    waiting, _ = workspace.start("predict", "no spec yet")
    assert [controller.n_voxels(job) for job in (boxed, whole, waiting)] == [24, 12 * 48 * 40, None]


def test_the_legend_says_which_channel_is_seen(
    controller: PredictController, workspace: FakeWorkspace, tmp_path: Path
) -> None:
    workspace.open(tmp_path / "a.pytc")
    workspace.layers.predictions.channel = 1
    assert controller.legend() == Legend(CLASSES, 1)
    controller.show_probability(0)
    assert controller.legend().shown == 0
    controller.show_probability(None)
    assert controller.legend().shown is None
