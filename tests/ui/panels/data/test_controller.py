"""Tests of what the Data panel does, on a real project without a window."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_pytc.geometry import Box
from napari_pytc.session.session import Session
from napari_pytc.ui.panels.data.controller import DataController
from napari_pytc.ui.panels.data.inspect_labels import LabelImport
from napari_pytc.ui.widgets.progress import ImportCancelled
from tests.support.workspace_bench import SHAPE, WorkspaceBench
from tests.volumes.files import write_tiff


@pytest.fixture
def bench(qtbot: Any, tmp_path: Path) -> Iterator[WorkspaceBench]:
    found = WorkspaceBench(qtbot, tmp_path)
    yield found
    found.workspace.shutdown()


@pytest.fixture
def controller(bench: WorkspaceBench) -> DataController:
    return DataController(bench.workspace)


def silent(done: int, total: int) -> None:
    """Progress that nobody follows."""


def test_without_a_project_nothing_can_be_changed(controller: DataController, bench: WorkspaceBench) -> None:
    assert controller.reason == "no project is open."
    controller.add_class("glia")
    controller.remove_class(1)
    controller.import_strokes("labels.tif", LabelImport(), silent)
    controller.relink("image.tif")
    controller.count()
    assert not bench.errors


def test_a_project_of_another_window_can_only_be_read(controller: DataController, bench: WorkspaceBench) -> None:
    folder = bench.make()
    with Session.open(folder):
        bench.open(folder)
        assert "reading only" in controller.reason
        assert controller.reason == controller.relink_reason
    controller.open_again()
    bench.until(lambda: controller.reason == "")


def test_classes_are_changed_and_what_is_wrong_is_shown(controller: DataController, bench: WorkspaceBench) -> None:
    bench.open(bench.make())
    controller.add_class("glia")
    controller.rename_class(3, "vessel")
    controller.recolour_class(3, "#112233")
    assert [(c.name, c.colour) for c in bench.session.classes.records()][2:] == [("vessel", "#112233")]
    controller.add_class("membrane")
    assert len(bench.errors) == 1
    assert len(bench.session.classes.records()) == 3


def test_a_class_is_removed_while_nobody_paints(controller: DataController, bench: WorkspaceBench) -> None:
    bench.open(bench.make())
    reasons: list[str] = []
    controller.reason_changed.connect(lambda: reasons.append(controller.reason))
    controller.remove_class(2)
    assert controller.reason == "a class is being removed."
    assert not bench.viewer.find("Strokes").paintable
    bench.until(lambda: controller.reason == "")
    assert [c.name for c in bench.session.classes.records()] == ["membrane"]
    assert bench.viewer.find("Strokes").paintable
    assert reasons == ["a class is being removed.", ""]


def test_the_drawn_box_is_held_out_painted_in_and_released(controller: DataController, bench: WorkspaceBench) -> None:
    bench.open(bench.make())
    controller.hold_out()
    assert "No box is drawn" in bench.errors[0].message
    bench.viewer.boxes = [np.array([[2, 3, 4], [2, 3, 9], [2, 9, 9], [2, 9, 4]], float)]
    bench.workspace.drawn_box.set_depth(3)
    controller.hold_out()
    (box,) = bench.session.held_out.boxes
    assert box.shape[0] == 3
    controller.allow_painting(box, True)
    assert box not in bench.session.held_out.protected
    controller.release(box)
    assert bench.session.held_out.boxes == ()


def test_labels_are_imported_counted_and_remarked(controller: DataController, bench: WorkspaceBench) -> None:
    bench.open(bench.make())
    remarks: list[str] = []
    counts: list[dict[str, int]] = []
    controller.remarked.connect(lambda message, hint: remarks.append(message))
    controller.counted.connect(counts.append)
    labels = np.zeros(SHAPE, np.uint8)
    labels[0, :2, :5] = 2
    controller.import_strokes(str(write_tiff(bench.folder / "labels.tif", labels)), LabelImport(), silent)
    assert controller.reason == "labels are being imported."
    bench.until(lambda: remarks)
    assert remarks == ["10 voxels were labelled."]
    assert controller.reason == ""
    bench.until(lambda: counts and counts[-1]["inside"] == 10)


def test_an_import_that_is_cancelled_leaves_a_remark_and_no_error(
    controller: DataController, bench: WorkspaceBench
) -> None:
    bench.open(bench.make())
    remarks: list[tuple[str, str]] = []
    controller.remarked.connect(lambda *texts: remarks.append(texts))

    def cancel(done: int, total: int) -> None:
        raise ImportCancelled("The import was cancelled.", "Undo it.")

    path = write_tiff(bench.folder / "labels.tif", np.ones(SHAPE, np.uint8))
    controller.import_objects(str(path), LabelImport(), cancel)
    bench.until(lambda: remarks)
    assert remarks == [("The import was cancelled.", "Undo it.")]
    assert controller.reason == ""
    assert not bench.errors


def test_an_image_that_moved_is_found_again(controller: DataController, bench: WorkspaceBench) -> None:
    folder = bench.make()
    image = bench.folder / "a.h5"
    moved = image.rename(bench.folder / "moved.h5")
    bench.open(folder)
    assert controller.reason == "the image is missing; find it first."
    bench.errors.clear()
    controller.relink(str(moved))
    bench.until(lambda: bench.workspace.session is not None and controller.reason == "")
    assert not bench.errors
    assert Box.of_shape(SHAPE).contains(bench.layers.view_box())
