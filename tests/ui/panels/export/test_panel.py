"""The Export panel says what it would write, and what is in the way."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import QFileDialog

from napari_pytc.errors import InvalidInput
from napari_pytc.exporting.base import ExportOptions
from napari_pytc.exporting.formats import FORMATS
from napari_pytc.exporting.hdf5 import Hdf5Exporter
from napari_pytc.geometry import Box, VoxelSpace
from napari_pytc.jobs.events import Failed, Finished
from napari_pytc.ui.panels.export.controller import ExportController
from napari_pytc.ui.panels.export.export_preview import SWC, SWC_SERIES, TABLE, format_of, with_suffix
from napari_pytc.ui.panels.export.panel import ExportPanel
from napari_pytc.volumes.zarr_output import create_ome_zarr
from tests.support.arrays import FakeArray
from tests.support.contexts import RecordingContext
from tests.support.workspaces import FakeSession, FakeWorkspace, prediction, segmentation

J = "j1"


@pytest.fixture
def panel(workspace: FakeWorkspace, qtbot: QtBot) -> ExportPanel:
    panel = ExportPanel(ExportController(workspace))  # type: ignore[arg-type]
    qtbot.addWidget(panel)
    panel.resize(320, 600)
    panel.show()
    return panel


@pytest.fixture
def session(workspace: FakeWorkspace, panel: ExportPanel, tmp_path: Path) -> FakeSession:
    session = workspace.open(tmp_path / "a.pytc")
    session.prediction_records = [prediction("p0"), prediction("p1")]
    workspace.predictions_changed.emit()
    return session


def looked(panel: ExportPanel, qtbot: QtBot) -> None:
    """Wait until it has looked at the prediction and the disk."""
    qtbot.waitUntil(lambda: panel._controller.forecast is not None)


def choose(panel: ExportPanel, name: str) -> None:
    panel.format.setCurrentIndex([found.title for found in FORMATS].index(name))


def choose_what(panel: ExportPanel, value: str) -> None:
    panel.what.setCurrentIndex(panel.what.findData(value))
    panel.what.activated.emit(panel.what.currentIndex())


def type_path(panel: ExportPanel, path: Path) -> None:
    panel.path.setText(str(path))
    panel.path.textEdited.emit(str(path))


def test_without_a_project_or_a_prediction_it_says_what_to_do(
    panel: ExportPanel, workspace: FakeWorkspace, tmp_path: Path
) -> None:
    assert "Open one in the Data panel" in panel.empty.label.text()
    assert panel.form.isHidden()
    workspace.open(tmp_path)
    assert not panel.form.isHidden()
    choose_what(panel, "classes")
    assert panel.reason.text() == "There is no prediction."


def test_the_image_can_be_exported_before_anything_is_predicted(
    panel: ExportPanel, workspace: FakeWorkspace, qtbot: QtBot, tmp_path: Path
) -> None:
    workspace.open(tmp_path / "a.pytc")
    assert panel.what.currentData() == "image"
    assert not panel.prediction.isVisible()
    assert panel.path.text() == str(tmp_path / "a-image.ome.tif")
    choose(panel, "OME-Zarr")
    looked(panel, qtbot)
    panel.export_button.click()
    ((kind, what, path, of, options),) = workspace.calls
    assert (kind, what, path, of) == ("export", "image", tmp_path / "a-image.zarr", None)
    assert "segmentation" not in options


def test_each_format_offers_its_options(
    panel: ExportPanel, session: FakeSession, workspace: FakeWorkspace, qtbot: QtBot, tmp_path: Path
) -> None:
    options = panel.options
    fields = {
        "layout": options.layout_of, "dataset": options.dataset, "ome": options.version, "pyramid": options.pyramid
    }  # fmt: skip
    for found in FORMATS:
        choose(panel, found.title)
        assert {name for name, field in fields.items() if field.isVisible()} == found.options, found.title
        assert options.dtype.isVisible()
        assert options.compression.isVisible() == (len(found.compressions) > 1)
    choose(panel, "HDF5")
    options.layout_of.setCurrentIndex(1)
    assert not options.dataset.isVisible()
    options.dtype.setCurrentText("uint64")
    assert options.values == {"compression": "auto", "dtype": "uint64", "layout": "cremi"}
    choose(panel, "OME-Zarr")
    options.version.setCurrentIndex(1)
    options.pyramid.setChecked(False)
    assert options.values == {"compression": "auto", "dtype": "uint64", "ome": "0.4", "pyramid": False}
    choose(panel, "PNG series")
    assert panel.path.text() == str(tmp_path / "p1")
    assert options.values["format"] == "png-series"
    looked(panel, qtbot)
    assert "Note: Voxels are uint8" in panel.forecast.text()
    panel.export_button.click()
    assert workspace.calls[-1][-1] == {
        "box": None, "overwrite": False, "compression": "auto", "format": "png-series", "dtype": "uint64"
    }  # fmt: skip


def test_it_reports_what_it_would_write_and_asks_for_that(
    panel: ExportPanel, session: FakeSession, workspace: FakeWorkspace, qtbot: QtBot, tmp_path: Path
) -> None:
    looked(panel, qtbot)
    text = panel.forecast.text()
    assert "12 × 48 × 40 of uint8" in text
    assert "23.0 kB before compression" in text
    assert "40 × 8 × 8 nm" in text
    assert "free on the disk" in text
    assert panel.unfinished.isHidden()
    panel.what.setCurrentIndex(1)
    choose(panel, "HDF5")
    panel.dataset.setText("volumes/p")
    panel.compression.setCurrentIndex(1)
    looked(panel, qtbot)
    assert "2 × 12 × 48 × 40" in panel.forecast.text()
    assert panel.export_button.isEnabled(), panel.export_button.toolTip()
    panel.export_button.click()
    assert workspace.calls == [
        (
            "export",
            "probabilities",
            tmp_path / "p1.h5",
            "p1",
            {"box": None, "compression": "none", "overwrite": False, "dataset": "volumes/p"},
        )
    ]


def test_the_format_sets_the_suffix_and_the_suffix_the_format(panel: ExportPanel, session: FakeSession) -> None:
    assert panel.path.text().endswith("p1.ome.tif")
    choose(panel, "OME-Zarr")
    assert panel.path.text().endswith("/p1.zarr")
    assert panel.dataset.isHidden()
    type_path(panel, Path("/data/other.hdf5"))
    assert panel.format.currentText() == "HDF5"
    assert not panel.dataset.isHidden()
    choose(panel, "TIFF")
    assert panel.path.text() == "/data/other.tif"


@pytest.mark.parametrize(
    ("path", "name", "expected"),
    [
        ("/a/b.ome.tif", "TIFF", "/a/b.tif"),
        ("/a/b.TIFF", "OME-TIFF", "/a/b.ome.tif"),
        ("/a/b.c", "HDF5", "/a/b.c.h5"),
        ("", "HDF5", ""),
        ("/a/", "OME-Zarr", "/a/"),
        ("/a/b.nii.gz", "PNG series", "/a/b"),
        ("/a/b", "MRC", "/a/b.mrc"),
    ],
)
def test_suffixes(path: str, name: str, expected: str) -> None:
    assert with_suffix(path, next(found for found in FORMATS if found.title == name)) == expected


@pytest.mark.parametrize("found", [*FORMATS, TABLE, SWC, SWC_SERIES], ids=lambda found: found.title)
def test_each_format_knows_its_names_and_only_compressions_that_its_exporter_takes(found: object) -> None:
    if found.suffix:  # type: ignore[attr-defined]
        assert format_of(f"X{found.suffix.upper()}") is found  # type: ignore[attr-defined]
    for _, value in found.compressions:  # type: ignore[attr-defined]
        assert ExportOptions(compression=value).compression == value
    assert format_of("x.png") is None


def test_a_file_in_the_way_is_replaced_only_if_that_is_ticked(
    panel: ExportPanel, session: FakeSession, workspace: FakeWorkspace, qtbot: QtBot, tmp_path: Path
) -> None:
    (tmp_path / "p1.ome.tif").write_bytes(b"")
    panel.enterEvent(None)
    looked(panel, qtbot)
    assert "tick Replace" in panel.export_button.toolTip()
    assert not panel.export_button.isEnabled()
    panel.overwrite.click()
    looked(panel, qtbot)
    panel.export_button.click()
    assert workspace.calls[0][-1]["overwrite"]
    type_path(panel, tmp_path / "new.tif")
    assert not panel.overwrite.isChecked()


def test_browsing_takes_a_name_and_its_consent(
    panel: ExportPanel, session: FakeSession, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    there = tmp_path / "there.h5"
    there.write_bytes(b"")
    answers = iter([("", ""), (str(there), "HDF5 (*.h5)"), (str(tmp_path / "bare"), "OME-Zarr (*.zarr)")])
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *arguments: next(answers))
    before = panel.path.text()
    panel._browse()
    assert panel.path.text() == before
    panel._browse()
    assert (panel.path.text(), panel.format.currentText()) == (str(there), "HDF5")
    assert panel.overwrite.isChecked()
    panel._browse()
    assert panel.path.text() == str(tmp_path / "bare.zarr")
    assert not panel.overwrite.isChecked()


@pytest.mark.slow
def test_regions(panel: ExportPanel, session: FakeSession, workspace: FakeWorkspace, qtbot: QtBot) -> None:
    box = Box.at((1, 2, 3), (2, 5, 6))
    session.prediction_records.append(prediction("p2", "cancelled", box))
    workspace.predictions_changed.emit()
    assert panel.prediction.currentIndex() == 1, "the newest that is finished"
    assert not panel.unfinished.isVisible()
    panel.prediction.setCurrentIndex(0)
    panel.prediction.activated.emit(0)
    assert panel.unfinished.isVisible()
    regions = [panel.region.itemText(k) for k in range(panel.region.count())]
    assert regions == ["What was predicted", "Whole volume", "Drawn box"]
    looked(panel, qtbot)
    assert panel._controller.request is not None
    assert panel._controller.request.options["box"] == box
    assert "uint8" in panel.forecast.text()
    panel.region.setCurrentIndex(2)
    assert not panel.forecast.isVisible()
    assert "no box is drawn" in panel.export_button.toolTip()
    assert panel._controller.request is None
    assert workspace.layers is not None
    workspace.layers.drawn = Box.at((1, 2, 3), (1, 4, 4))
    panel.enterEvent(None)
    looked(panel, qtbot)
    assert "1 × 4 × 4 voxels" in panel.forecast.text()
    assert panel.box.isVisible()
    panel.box.draw.click()
    assert workspace.layers.drawings == 1
    panel.box.depth_box.setValue(3)
    looked(panel, qtbot)
    assert panel._controller.request.options["box"] == Box.at((0, 2, 3), (3, 4, 4))
    assert panel.export_button.isEnabled()


def test_of_an_image_with_several_channels_one_can_be_written_alone(
    panel: ExportPanel, session: FakeSession, workspace: FakeWorkspace, qtbot: QtBot, tmp_path: Path
) -> None:
    choose_what(panel, "image")
    assert not panel.source.channel.isVisible()
    session.image.several_channels = {0: "DAPI", 2: "GFP"}
    panel.refresh()
    channel = panel.source.channel
    assert channel.isVisible()
    assert [channel.itemText(k) for k in range(channel.count())] == ["all 2", "DAPI", "GFP"]
    looked(panel, qtbot)
    panel.export_button.click()
    assert "channel" not in workspace.calls.pop()[-1]
    channel.setCurrentIndex(2)
    looked(panel, qtbot)
    panel.export_button.click()
    assert workspace.calls.pop()[-1]["channel"] == 2
    panel.refresh()
    assert channel.currentText() == "GFP"
    choose_what(panel, "classes")
    assert not channel.isVisible()
    looked(panel, qtbot)
    panel.export_button.click()
    assert "channel" not in workspace.calls.pop()[-1]


def test_an_exported_image_is_shown_in_the_colours_of_its_channels(
    panel: ExportPanel, session: FakeSession, workspace: FakeWorkspace, qtbot: QtBot, tmp_path: Path
) -> None:
    sink = create_ome_zarr(tmp_path / "a.zarr", (2, 8, 9), np.uint16, VoxelSpace((1, 1, 1)), channels=("DAPI", "GFP"))
    sink.write(Box((0, 0, 0), (2, 8, 9)), np.arange(288, dtype=np.uint16).reshape(2, 2, 8, 9) * 100)
    result = {"output": str(tmp_path / "a.zarr"), "shape": [2, 2, 8, 9]}
    panel._controller.show_file(SimpleNamespace(result=result, spec=SimpleNamespace(what="image")))
    qtbot.waitUntil(lambda: len(workspace.viewer.layers) == 2)
    first, second = workspace.viewer.layers
    assert [first.name, second.name] == ["a.zarr: DAPI", "a.zarr: GFP"]
    assert [first.style.colours, second.style.colours] == ["#00ff00", "#ff00ff"]
    qtbot.waitUntil(lambda: first.contrast[1] < second.contrast[1] < 65535)


def test_what_is_wrong_is_shown_on_the_button(
    panel: ExportPanel, session: FakeSession, qtbot: QtBot, tmp_path: Path
) -> None:
    type_path(panel, tmp_path / "missing" / "a.tif")
    looked(panel, qtbot)
    assert "there is no folder" in panel.export_button.toolTip()
    session.preview_problem = InvalidInput("A dataset needs a name.", "Give it one.")
    type_path(panel, tmp_path / "a.h5")
    looked(panel, qtbot)
    assert "a dataset needs a name. Give it one." in panel.export_button.toolTip()
    panel.path.setText("")
    panel.path.textEdited.emit("")
    assert panel._controller.request is None


def test_only_the_newest_answer_counts(
    panel: ExportPanel, session: FakeSession, workspace: FakeWorkspace, qtbot: QtBot, tmp_path: Path
) -> None:
    panel._controller.find_forecast()
    type_path(panel, tmp_path / "newer.zarr")
    qtbot.waitUntil(lambda: panel._controller.forecast is not None)
    assert ".zarr" in panel.forecast.text()
    assert session.previews[-1][1].name == "newer.zarr"


def test_segments_are_what_is_meant_once_there_are_some(
    panel: ExportPanel, session: FakeSession, workspace: FakeWorkspace, qtbot: QtBot, tmp_path: Path
) -> None:
    assert panel.what.currentText() == "Classes"
    box = Box.at((1, 2, 3), (2, 5, 6))
    session.segmentation_records = [
        segmentation("s0"), segmentation("s1", active=True, box=box), segmentation("s2", problem="damaged"),
    ]  # fmt: skip
    workspace.segmentations_changed.emit()
    qtbot.waitUntil(lambda: panel.what.currentText() == "Segments")
    combo = panel.source.segmentation
    assert combo.isVisible()
    assert not panel.prediction.isVisible()
    assert [combo.itemData(k).id for k in range(combo.count())] == ["s1", "s0"]
    assert panel.path.text().endswith("s1.ome.tif")
    assert panel.region.itemText(0) == "What was segmented"
    looked(panel, qtbot)
    panel.export_button.click()
    kind, what, path, of, options = workspace.calls.pop()
    assert (kind, what, path, of) == ("export", "segments", tmp_path / "s1.ome.tif", None)
    assert (options["segmentation"], options["box"]) == ("s1", box)
    # The one that becomes current is what is meant then, unless another was chosen.
    session.segmentation_records = [segmentation("s0", active=True), segmentation("s1")]
    workspace.segmentations_changed.emit()
    qtbot.waitUntil(lambda: combo.currentData().id == "s0")
    combo.setCurrentIndex(1)
    choose_what(panel, "classes")
    workspace.segmentations_changed.emit()
    qtbot.wait(50)
    assert (combo.currentData().id, panel.what.currentText()) == ("s1", "Classes")


def test_a_table_is_csv(
    panel: ExportPanel, session: FakeSession, workspace: FakeWorkspace, qtbot: QtBot, tmp_path: Path
) -> None:
    session.segmentation_records = [segmentation("s1", active=True)]
    workspace.segmentations_changed.emit()
    qtbot.waitUntil(lambda: panel.what.currentText() == "Segments")
    choose_what(panel, "table")
    assert [panel.format.itemText(k) for k in range(panel.format.count())] == ["CSV"]
    assert panel.path.text() == str(tmp_path / "s1.csv")
    assert not panel.compression.isVisible()
    looked(panel, qtbot)
    assert panel.forecast.text().startswith("CSV, 61 rows, about 5.5 kB")
    panel.export_button.click()
    assert workspace.calls.pop()[1] == "table"
    choose_what(panel, "segments")
    assert panel.path.text() == str(tmp_path / "s1.ome.tif")
    _, sink = workspace.start("export", "Export s1.csv")
    sink(Finished(job=J, result={"output": str(tmp_path / "s1.csv"), "bytes": 5000, "rows": 61}))
    workspace.jobs.drain()
    assert panel.exported.isVisible()
    assert not panel.exported.layer_button.isVisible()


def test_skeletons_are_one_file_or_a_folder_and_columns_of_a_table(
    panel: ExportPanel, session: FakeSession, workspace: FakeWorkspace, qtbot: QtBot, tmp_path: Path
) -> None:
    session.segmentation_records = [segmentation("s1", active=True)]
    workspace.segmentations_changed.emit()
    qtbot.waitUntil(lambda: panel.what.currentText() == "Segments")
    choose_what(panel, "skeletons")
    assert [panel.format.itemText(k) for k in range(panel.format.count())] == ["SWC", "SWC series"]
    assert panel.path.text() == str(tmp_path / "s1.swc")
    options = panel.options
    assert options.unit.isVisible()
    assert not any(one.isVisible() for one in (options.dtype, options.compression, options.skeletons))
    assert options.values == {}
    options.unit.setCurrentIndex(options.unit.findData("um"))
    panel.format.setCurrentIndex(1)
    assert panel.path.text() == str(tmp_path / "s1")
    assert options.values == {"format": "swc-series", "unit": "um"}
    choose_what(panel, "table")
    assert options.skeletons.isVisible()
    assert options.values == {}
    options.skeletons.setChecked(True)
    assert options.values == {"skeletons": True}
    assert not options.unit.isVisible()


def test_segments_without_a_segmentation(panel: ExportPanel, session: FakeSession) -> None:
    choose_what(panel, "segments")
    assert "there is no segmentation yet" in panel.export_button.toolTip()
    assert panel._controller.request is None


def test_a_finished_export_can_be_looked_at(
    panel: ExportPanel,
    session: FakeSession,
    workspace: FakeWorkspace,
    qtbot: QtBot,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    path = tmp_path / "p1.h5"
    labels = np.arange(2 * 4 * 5, dtype=np.uint8).reshape(2, 4, 5)
    Hdf5Exporter().export(FakeArray(labels), path, ExportOptions(dataset="main"), RecordingContext())
    _, sink = workspace.start("export", "Export p1.h5", SimpleNamespace(dataset="main", output=path))
    assert len(panel.rows.rows) == 1
    sink(
        Finished(
            job=J,
            result={
                "output": str(path),
                "bytes": 123_000,
                "shape": [2, 4, 5],
                "dataset": "main",
                "notes": ["Told."],
            },
        )
    )
    workspace.jobs.drain()
    assert not panel.exported.isHidden()
    assert not panel.rows.rows
    assert panel.exported.label.text() == f"✓ 123.0 kB in {path}\nNote: Told."
    opened: list[str] = []
    monkeypatch.setattr(QDesktopServices, "openUrl", lambda url: opened.append(url.toLocalFile()))
    panel.exported.folder_button.click()
    assert opened == [str(tmp_path)]
    panel.exported.layer_button.click()
    qtbot.waitUntil(lambda: bool(workspace.viewer.layers) or bool(workspace.errors))
    assert not workspace.errors
    np.testing.assert_array_equal(np.asarray(workspace.viewer.find("p1.h5").data), labels)
    panel.export_button.setEnabled(True)
    panel.export_button.click()
    assert panel.exported.isHidden()


def test_a_failed_export_is_no_result(panel: ExportPanel, session: FakeSession, workspace: FakeWorkspace) -> None:
    _, sink = workspace.start("export", "Export p1.tif")
    sink(Failed(job=J, message="The disk is full.", hint="Free some space."))
    workspace.jobs.drain()
    assert panel.exported.isHidden()
    (found,) = panel.rows.rows
    assert found.notice.text == "The disk is full."


def test_it_fits_a_narrow_dock(panel: ExportPanel, session: FakeSession) -> None:
    assert panel.minimumSizeHint().width() <= 320
