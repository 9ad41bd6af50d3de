"""Tests of what the Export panel does, without a window."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pytestqt.qtbot import QtBot

from napari_pytc.geometry import Box
from napari_pytc.jobs.events import Failed, Finished
from napari_pytc.ui.panels.export.controller import FORECASTING, ExportChoices, ExportController
from tests.support.workspaces import FakeWorkspace, prediction, segmentation


@pytest.fixture
def workspace(qtbot: QtBot, tmp_path: Path) -> Iterator[FakeWorkspace]:
    found = FakeWorkspace()
    found.open(tmp_path / "a.pytc")
    yield found
    found.shutdown()


@pytest.fixture
def controller(workspace: FakeWorkspace) -> ExportController:
    return ExportController(workspace)  # type: ignore[arg-type]


def choices(path: Path | str = "", **options: Any) -> ExportChoices:
    return ExportChoices(**{"what": "classes", "record": prediction("p1"), "path": str(path)} | options)


def test_reasons_come_in_the_order_of_the_fields(controller: ExportController) -> None:
    assert controller.reason == "there is no prediction."
    controller.choose(ExportChoices("segments"))
    assert controller.reason == "there is no segmentation yet."
    controller.choose(choices("  "))
    assert controller.reason == "no file is named."
    controller.choose(choices("a.tif", region="drawn"))
    assert "no box is drawn" in controller.reason
    assert controller.request is None
    controller.choose(choices("a.tif"))
    assert controller.reason == FORECASTING


def test_a_request_has_the_box_of_its_region(controller: ExportController, workspace: FakeWorkspace) -> None:
    box = Box.at((1, 2, 3), (1, 4, 5))
    workspace.layers.drawn = Box.at((0, 0, 0), (1, 9, 9))
    boxes = {}
    for region in ("predicted", "drawn", "all"):
        controller.choose(choices("a.tif", record=prediction("p1", box=box), region=region))
        assert controller.request is not None
        boxes[region] = controller.request.options["box"]
    assert boxes == {"predicted": box, "drawn": workspace.layers.drawn, "all": None}


def test_segments_are_named_by_their_segmentation_and_only_hdf5_has_a_dataset(controller: ExportController) -> None:
    controller.choose(
        choices("s.h5", what="segments", record=segmentation("s1"), options={"dataset": "volumes/labels"})
    )
    assert controller.request is not None
    assert controller.request.prediction is None
    assert controller.request.arguments()["segmentation"] == "s1"
    assert controller.request.options["dataset"] == "volumes/labels"
    controller.choose(choices("s.tif"))
    assert controller.request is not None
    assert "dataset" not in controller.request.options
    assert controller.request.prediction == "p1"


def test_of_two_forecasts_only_that_of_the_newest_choices_counts(
    controller: ExportController, qtbot: QtBot, tmp_path: Path
) -> None:
    controller.choose(choices(tmp_path / "first.tif"))
    controller.find_forecast()
    controller.choose(choices(tmp_path / "missing" / "second.zarr"))
    controller.find_forecast()
    qtbot.waitUntil(lambda: controller.forecast is not None)
    assert ".zarr" in controller.forecast.text  # type: ignore[union-attr]
    assert "there is no folder" in controller.reason


def test_a_file_that_is_there_must_be_replaced(controller: ExportController, qtbot: QtBot, tmp_path: Path) -> None:
    (tmp_path / "a.tif").touch()
    controller.choose(choices(tmp_path / "a.tif"))
    qtbot.waitUntil(lambda: controller.forecast is not None)
    assert "tick Replace" in controller.reason
    controller.choose(choices(tmp_path / "a.tif", overwrite=True))
    qtbot.waitUntil(lambda: controller.forecast is not None)
    assert controller.reason == ""


def test_export_launches_what_was_chosen(
    controller: ExportController, workspace: FakeWorkspace, tmp_path: Path
) -> None:
    controller.export()
    assert workspace.calls == []  # nothing was chosen
    controller.choose(choices(tmp_path / "a.tif", options={"compression": "zstd"}))
    controller.export()
    ((kind, what, path, name, options),) = workspace.calls
    assert (kind, what, path, name) == ("export", "classes", tmp_path / "a.tif", "p1")
    assert options == {"box": None, "compression": "zstd", "overwrite": False}


def test_only_an_export_that_succeeded_was_written(controller: ExportController, workspace: FakeWorkspace) -> None:
    heard: list[str] = []
    controller.written.connect(lambda job: heard.append(f"written {job.title}"))
    controller.ended.connect(lambda: heard.append("ended"))
    for title, end in (("good", Finished(job="j1")), ("bad", Failed(job="j1", message="Full.", hint="", log=""))):
        _, sink = workspace.start("export", title)
        sink(end)
        workspace.jobs.drain()
    _, sink = workspace.start("train", "another")
    sink(Finished(job="j1"))
    workspace.jobs.drain()
    assert heard == ["written good", "ended", "ended"]


def test_files_are_suggested_beside_the_project(controller: ExportController, tmp_path: Path) -> None:
    assert controller.suggested_path("classes", prediction("p1"), ".ome.tif") == str(tmp_path / "p1.ome.tif")
    assert controller.suggested_path("classes", None, ".tif") == ""
    assert controller.suggested_path("image", None, ".tif") == str(tmp_path / "a-image.tif")
    assert controller.suggested_report == tmp_path / "a-report.html"


def test_segmentations_of_a_project_that_was_closed_meanwhile_are_dropped(
    controller: ExportController, workspace: FakeWorkspace, qtbot: QtBot
) -> None:
    found: list[Any] = []
    controller.segmentations_found.connect(found.append)
    workspace.session.segmentation_records = [segmentation("s1")]
    controller.find_segmentations()
    qtbot.waitUntil(lambda: found == [[segmentation("s1")]])
    controller.find_segmentations()
    workspace.open_session(None)
    done: list[int] = []
    workspace.background.run(lambda: 1, done.append)
    qtbot.waitUntil(lambda: bool(done))
    assert len(found) == 1
