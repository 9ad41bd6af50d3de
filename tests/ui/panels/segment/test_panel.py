"""The Segment panel: what it offers for a prediction, its live preview, its slider, and what it asks for."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QMessageBox, QPushButton

from napari_pytc.decoding import AgglomerationDecoder
from napari_pytc.errors import PytcError
from napari_pytc.geometry import Box, VoxelSpace
from napari_pytc.jobs.events import Cancelled, Failed, Finished, Progressed
from napari_pytc.proofreading.document import LabelDocument
from napari_pytc.session.records import PredictionRecord
from napari_pytc.ui.panels.segment.controller import SegmentController
from napari_pytc.ui.panels.segment.fields import MergeSlider
from napari_pytc.ui.panels.segment.panel import SegmentPanel
from napari_pytc.ui.panels.segment.preview import MOST_VOXELS, preview_box
from napari_pytc.ui.widgets.job_row import speed
from napari_pytc.volumes.channels import AffinityRole, axis_offset, roles_to_json
from napari_pytc.volumes.zarr_output import create_ome_zarr
from tests.support.segmentations import make_segmentation
from tests.support.tissue import make_tissue
from tests.support.waiting import PATIENCE_S
from tests.support.workspaces import SHAPE, FakeSession, FakeWorkspace, prediction, segmentation

J = "j1"
SPACE = VoxelSpace((40.0, 10.0, 10.0))


def write_classes(folder: Path, names: tuple[str, ...] = ("membrane", "inside")) -> None:
    """Classes as a network would have predicted them."""
    tissue = make_tissue(SHAPE, n_cells=12, anisotropy=4.0)
    array = create_ome_zarr(folder, SHAPE, np.uint8, SPACE, channels=names)
    membrane = np.where(tissue.classes == 1, 220, 30).astype(np.uint8)
    array.write(Box.of_shape(SHAPE), np.stack([membrane, 255 - membrane]))


def write_affinities(folder: Path) -> None:
    """Affinities of face neighbours and beyond."""
    cells = make_tissue(SHAPE, n_cells=12, anisotropy=4.0).cells
    offsets = [*(axis_offset(axis, 1) for axis in range(3)), axis_offset(1, 5), axis_offset(2, 5)]
    channels = []
    for offset in offsets:
        other = np.roll(cells, [-step for step in offset], axis=(0, 1, 2))
        channels.append(np.where(other == cells, 230, 20).astype(np.uint8))
    roles = [AffinityRole(offset=offset) for offset in offsets]
    array = create_ome_zarr(
        folder, SHAPE, np.uint8, SPACE, channels=[role.title for role in roles],
        attributes={"napari_pytc": {"channels": roles_to_json(roles)}},
    )  # fmt: skip
    array.write(Box.of_shape(SHAPE), np.stack(channels))


def record(folder: Path) -> PredictionRecord:
    return prediction(folder.stem).model_copy(update={"folder": folder})


@pytest.fixture
def panel(workspace: FakeWorkspace, qtbot: QtBot) -> SegmentPanel:
    panel = SegmentPanel(SegmentController(workspace))  # type: ignore[arg-type]
    qtbot.addWidget(panel)
    panel.resize(340, 800)
    panel.show()
    return panel


@pytest.fixture
def session(workspace: FakeWorkspace, panel: SegmentPanel, tmp_path: Path) -> FakeSession:
    return workspace.open(tmp_path / "a.pytc")


@pytest.fixture
def with_classes(
    session: FakeSession, workspace: FakeWorkspace, panel: SegmentPanel, qtbot: QtBot, tmp_path: Path
) -> FakeSession:
    write_classes(tmp_path / "classes.zarr")
    session.prediction_records = [record(tmp_path / "classes.zarr")]
    workspace.predictions_changed.emit()
    qtbot.waitUntil(lambda: panel.choices is not None)
    return session


def click(qtbot: QtBot, panel: SegmentPanel, name: str) -> None:
    button = panel.findChild(QPushButton, name)
    assert button is not None
    assert button.isEnabled(), button.toolTip()
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def items(combo: Any) -> list[str]:
    return [combo.itemText(k) for k in range(combo.count())]


def start_preview(qtbot: QtBot, panel: SegmentPanel, workspace: FakeWorkspace) -> Any:
    panel.live.check.setChecked(True)
    qtbot.waitUntil(lambda: panel.controller.preview.source is not None and not panel.controller.preview.is_busy)
    assert workspace.layers is not None
    return workspace.layers.trial


def test_without_a_project_it_says_what_to_do(panel: SegmentPanel) -> None:
    assert "Open one in the Data panel" in panel.empty.label.text()
    assert not panel.form.isVisible()
    assert not panel.shown.isVisible()


def test_without_a_prediction_it_says_what_to_do(panel: SegmentPanel, session: FakeSession) -> None:
    assert panel.empty.label.text().startswith("There is no prediction yet. Make one in the Predict panel")
    assert not panel.form.isVisible()
    assert panel.shown.isVisible()


def test_a_prediction_of_classes_is_agglomerated_at_its_membranes(
    panel: SegmentPanel, with_classes: FakeSession
) -> None:
    assert panel.decoder.kind == "agglomeration"
    assert panel.decoder.boundary.isVisible()
    assert panel.decoder.boundary_class == "membrane"
    assert items(panel.decoder.objects) == ["All between boundaries", "Class membrane", "Class inside"]
    assert panel.decoder.slider.isVisible()
    assert not panel.empty.isVisible()
    # Mutex watershed needs affinities: it is there, cannot be chosen, and says why.
    combo = panel.decoder.combo
    at = combo.findData("mutex_watershed")
    assert "affinit" in combo.itemData(at, Qt.ItemDataRole.ToolTipRole)
    assert not combo.model().item(at).isEnabled()


def test_a_prediction_of_affinities_needs_no_boundary_class(
    panel: SegmentPanel, session: FakeSession, workspace: FakeWorkspace, qtbot: QtBot, tmp_path: Path
) -> None:
    write_affinities(tmp_path / "affinities.zarr")
    session.prediction_records = [record(tmp_path / "affinities.zarr")]
    workspace.predictions_changed.emit()
    qtbot.waitUntil(lambda: panel.choices is not None)
    assert not panel.decoder.boundary.isVisible()
    assert not panel.decoder.objects.isVisible()
    assert not panel.restriction.isVisible()
    combo = panel.decoder.combo
    combo.setCurrentIndex(combo.findData("mutex_watershed"))
    assert panel.choices is not None
    assert not panel.decoder.slider.isVisible()
    assert panel.choices.boundary_class is None


def test_segment_starts_a_job_with_the_chosen_settings(
    panel: SegmentPanel, with_classes: FakeSession, workspace: FakeWorkspace, qtbot: QtBot
) -> None:
    panel.decoder.slider.slider.setValue(30)
    panel.restriction.mode.setCurrentIndex(1)
    panel.restriction.classes.setCurrentIndex(1)
    click(qtbot, panel, "segmentButton")
    kind, title, (_, box, choices) = workspace.calls.pop()
    assert (kind, title, box) == ("segment", "Segment the volume", None)
    assert choices["decoder"].threshold == 0.3
    assert choices["prediction"] == "classes"
    assert (choices["boundary_class"], choices["mask_class"]) == ("membrane", "inside")
    assert (choices["mask_prediction"], choices["mask_mode"]) == ("classes", "inside")

    click(qtbot, panel, "segment-box")
    assert not panel.segment_button.isEnabled()
    assert "no box is drawn" in panel.segment_button.toolTip()
    assert workspace.layers is not None
    workspace.layers.drawn = Box.at((3, 4, 5), (1, 20, 20))
    panel.box.depth_box.setValue(3)
    panel.enterEvent(None)
    click(qtbot, panel, "segmentButton")
    assert workspace.calls.pop()[2][1] == Box.at((2, 4, 5), (3, 20, 20))


def test_what_is_set_for_a_decoder_is_kept(panel: SegmentPanel, with_classes: FakeSession) -> None:
    combo = panel.decoder.combo
    form = panel.decoder.form
    assert form is not None
    form.set_value(form.value().model_copy(update={"seed_distance_um": 0.5}))
    combo.setCurrentIndex(combo.findData("components"))
    assert panel.choices is not None
    assert panel.choices.decoder.kind == "components"
    combo.setCurrentIndex(combo.findData("agglomeration"))
    assert panel.choices.decoder.seed_distance_um == 0.5  # type: ignore[attr-defined]


def test_wrong_settings_are_explained_and_not_segmented(panel: SegmentPanel, with_classes: FakeSession) -> None:
    form = panel.decoder.form
    assert form is not None
    editor = form._parts[0].editors["smallest_um3"]
    editor.box.setRange(-5, 5)  # type: ignore[attr-defined]
    editor.set_value(-1.0)
    assert panel.choices is None
    assert not panel.segment_button.isEnabled()
    assert panel.reason.isVisible()


def test_classes_without_a_boundary_have_to_be_chosen(
    panel: SegmentPanel, session: FakeSession, workspace: FakeWorkspace, qtbot: QtBot, tmp_path: Path
) -> None:
    write_classes(tmp_path / "two.zarr", ("mitochondria", "rest"))
    session.prediction_records = [record(tmp_path / "two.zarr")]
    workspace.predictions_changed.emit()
    qtbot.waitUntil(lambda: panel.decoder.form is not None)
    assert panel.choices is None
    assert "class" in panel.reason.text()
    panel.decoder.combo.setCurrentIndex(panel.decoder.combo.findData("components"))
    panel.decoder.objects.setCurrentIndex(1)
    assert panel.choices is not None
    assert panel.choices.decoder.object_class == "mitochondria"


def test_the_newest_prediction_is_segmented_unless_another_was_picked(
    panel: SegmentPanel, session: FakeSession, workspace: FakeWorkspace
) -> None:
    chosen = []
    for names in (["p1"], ["p1", "p2"]):
        session.prediction_records = [prediction(name) for name in names]
        workspace.predictions_changed.emit()
        chosen.append(panel.prediction.currentData().id)
    panel.prediction.setCurrentIndex(1)
    panel.prediction.activated.emit(1)
    session.prediction_records.append(prediction("p3"))
    workspace.predictions_changed.emit()
    chosen.append(panel.prediction.currentData().id)
    workspace.session_changed.emit()
    chosen.append(panel.prediction.currentData().id)
    assert chosen == ["p1", "p2", "p1", "p3"]


def test_a_prediction_that_cannot_be_read_is_reported(
    panel: SegmentPanel, session: FakeSession, workspace: FakeWorkspace, qtbot: QtBot
) -> None:
    session.prediction_records = [prediction("gone")]
    workspace.predictions_changed.emit()
    qtbot.waitUntil(lambda: panel.trouble.isVisible())
    assert not panel.decoder.isVisible()
    assert not panel.segment_button.isEnabled()


def test_the_preview_shows_what_is_in_view(
    panel: SegmentPanel, with_classes: FakeSession, workspace: FakeWorkspace, qtbot: QtBot
) -> None:
    source = start_preview(qtbot, panel, workspace)
    assert source is not None
    assert source.box == Box((1, 0, 0), (6, 48, 40))
    assert source.n_segments > 3
    seen = source.segments(Box((3, 0, 0), (4, 48, 40)))
    assert len(np.unique(seen)) > 3
    assert source.segment_at((3, 20, 20)) == seen[0, 20, 20]
    assert not source.segments(Box((11, 0, 0), (12, 48, 40))).any()
    assert "segments of" in panel.live.status.text()
    qtbot.waitUntil(lambda: len(with_classes.discarded) == 1)
    panel.live.check.setChecked(False)
    assert workspace.layers is not None
    assert workspace.layers.trial is None


@pytest.mark.slow
def test_the_slider_keeps_a_number_with_more_decimals_until_it_is_moved(qtbot: QtBot) -> None:
    slider = MergeSlider()
    qtbot.addWidget(slider)
    slider.show_field(AgglomerationDecoder, "threshold", 0.98123)
    assert (slider.value, slider.number.text(), slider.slider.value()) == (0.98123, "0.98123", 98)
    slider.slider.setValue(97)
    assert (slider.value, slider.number.text()) == (0.97, "0.97")


def test_the_slider_groups_anew_and_decodes_nothing(
    panel: SegmentPanel, with_classes: FakeSession, workspace: FakeWorkspace, qtbot: QtBot
) -> None:
    source = start_preview(qtbot, panel, workspace)
    n_supervoxels, counts = source.n_supervoxels, []
    for value in (100, 50, 0):
        panel.decoder.slider.slider.setValue(value)
        assert workspace.layers is not None
        qtbot.waitUntil(lambda: bool(workspace.layers.refreshed))  # type: ignore[union-attr]
        workspace.layers.refreshed.clear()
        counts.append(source.n_segments)
    assert counts == sorted(counts, reverse=True)
    assert counts[0] > counts[-1]
    assert source.n_supervoxels == n_supervoxels
    qtbot.wait(500)
    assert with_classes.n_previews == 1
    assert "ms" in panel.live.status.text()


@pytest.mark.slow
def test_another_setting_decodes_again_and_the_newest_wins(
    panel: SegmentPanel, with_classes: FakeSession, workspace: FakeWorkspace, qtbot: QtBot
) -> None:
    first = start_preview(qtbot, panel, workspace)
    form = panel.decoder.form
    assert form is not None
    for distance in (0.1, 0.2, 0.6):
        form.set_value(form.value().model_copy(update={"seed_distance_um": distance}))
    qtbot.waitUntil(lambda: panel.controller.preview.source is not first and not panel.controller.preview.is_busy)
    assert with_classes.n_previews == 2


@pytest.mark.slow
def test_the_preview_follows_the_view(
    panel: SegmentPanel, with_classes: FakeSession, workspace: FakeWorkspace, qtbot: QtBot
) -> None:
    start_preview(qtbot, panel, workspace)
    assert workspace.layers is not None
    workspace.layers.in_view = Box.at((5, 0, 0), (1, 48, 40))  # within the sections that were decoded
    qtbot.wait(1000)
    assert with_classes.n_previews == 1
    workspace.layers.in_view = Box.at((10, 0, 0), (1, 48, 40))
    qtbot.waitUntil(lambda: panel.controller.preview.box == Box((7, 0, 0), (12, 48, 40)))
    qtbot.waitUntil(lambda: with_classes.n_previews == 2 and not panel.controller.preview.is_busy)


@pytest.mark.slow
def test_nobody_looks_at_a_preview_behind_another_panel(
    panel: SegmentPanel, with_classes: FakeSession, workspace: FakeWorkspace, qtbot: QtBot
) -> None:
    start_preview(qtbot, panel, workspace)
    panel.hide()
    assert workspace.layers is not None
    assert workspace.layers.trial is None
    panel.show()
    qtbot.waitUntil(lambda: workspace.layers.trial is not None)  # type: ignore[union-attr]


def test_a_preview_that_fails_says_why(
    panel: SegmentPanel,
    with_classes: FakeSession,
    workspace: FakeWorkspace,
    qtbot: QtBot,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*arguments: Any, **choices: Any) -> Any:
        raise PytcError("The disk is full.", "Free space.")

    monkeypatch.setattr(with_classes.jobs, "preview_job", refuse)
    panel.live.check.setChecked(True)
    qtbot.waitUntil(lambda: panel.live.notice.isVisible())
    assert panel.live.notice.text == "The disk is full."
    assert panel.live.status.text() == "There is no preview."


def test_a_preview_waits_for_the_worker_and_says_so(
    panel: SegmentPanel, with_classes: FakeSession, workspace: FakeWorkspace, qtbot: QtBot
) -> None:
    workspace.worker.when_ready = lambda start, refuse: None
    workspace.start("train", "Train fast")
    panel.live.check.setChecked(True)
    qtbot.waitUntil(lambda: panel.controller.preview.is_busy)
    assert panel.live.status.text() == "Waiting for the worker: Train fast is not over yet"
    assert panel.live.bar.isVisible()


def test_a_run_is_followed_to_its_end(
    panel: SegmentPanel, with_classes: FakeSession, workspace: FakeWorkspace, qtbot: QtBot
) -> None:
    spec = SimpleNamespace(box=None, output=Path("/segments/s1"))
    _, sink = workspace.start(
        "segment", "Segment the volume", spec, Progressed(job=J, done=1, total=8, time=1.0, note="decoding")
    )
    (found,) = panel.rows.rows
    assert "Decoding · 1 of 8" in found.status.text()
    assert "runs already" in panel.segment_button.toolTip()
    with_classes.segmentation_records = [segmentation("s1", active=True)]
    sink(Finished(job=J, result={"n_segments": 1234, "mvoxel_per_s": 0.5}))
    workspace.jobs.drain()
    assert f"1234 segments · {speed(0.5e6)}" in found.status.text()
    qtbot.waitUntil(lambda: panel.list.records.tree.topLevelItemCount() == 1)
    assert panel.segment_button.isEnabled()


def test_a_run_that_was_stopped_is_resumed(
    panel: SegmentPanel, with_classes: FakeSession, workspace: FakeWorkspace, qtbot: QtBot
) -> None:
    assert not panel.resume_button.isVisible()
    _, sink = workspace.start("segment", "Segment the volume")
    job = SimpleNamespace(
        kind="segment", box=None, decoder=SimpleNamespace(kind="agglomeration"), prediction=Path("/p/m1.zarr")
    )
    with_classes.unfinished = [job]
    sink(Cancelled(job=J))
    workspace.jobs.drain()
    qtbot.waitUntil(panel.resume_button.isVisible)
    assert "Agglomeration of m1 was cut short" in panel.resume_button.toolTip()
    click(qtbot, panel, "resumeSegmentButton")
    assert workspace.calls == [("segment", "Segment the volume (resumed)", job)]


def test_a_run_that_failed_says_why(panel: SegmentPanel, with_classes: FakeSession, workspace: FakeWorkspace) -> None:
    _, sink = workspace.start("segment", "Segment the volume")
    sink(Failed(job=J, message="The disk is full.", hint="Free space.", log=""))
    workspace.jobs.drain()
    (found,) = panel.rows.rows
    assert found.notice.text == "The disk is full."


def test_the_notes_of_the_selected_segmentation_are_shown(
    panel: SegmentPanel, with_classes: FakeSession, workspace: FakeWorkspace, qtbot: QtBot
) -> None:
    noted = segmentation("s1", active=True).model_copy(update={"notes": ("9 of 12 objects were dropped.",)})
    with_classes.segmentation_records = [noted]
    workspace.segmentations_changed.emit()
    qtbot.waitUntil(panel.list.notes.isVisible)
    assert panel.list.notes.text() == "⚠ 9 of 12 objects were dropped."
    panel.list.records.tree.clearSelection()
    assert not panel.list.notes.isVisible()


def test_segmentations_are_listed_used_and_deleted(
    panel: SegmentPanel,
    with_classes: FakeSession,
    workspace: FakeWorkspace,
    qtbot: QtBot,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with_classes.segmentation_records = [segmentation("s1"), segmentation("s2", active=True)]
    workspace.segmentations_changed.emit()
    tree = panel.list.records.tree
    qtbot.waitUntil(lambda: tree.topLevelItemCount() == 2)
    newest, oldest = tree.topLevelItem(0), tree.topLevelItem(1)
    assert newest is not None
    assert oldest is not None
    assert [newest.text(1), newest.text(2)] == ["Agglomeration", "1\u2009234"]
    assert newest.font(0).bold()
    assert not oldest.font(0).bold()
    assert panel.list.selected is not None
    assert panel.list.selected.id == "s2"
    assert "current" in panel.list.activate_button.toolTip()
    assert not panel.list.activate_button.isEnabled()
    tree.clearSelection()
    oldest.setSelected(True)
    click(qtbot, panel, "activateSegmentationButton")
    assert with_classes.activated == ["s1"]
    answers = iter([QMessageBox.StandardButton.No, QMessageBox.StandardButton.Yes])
    monkeypatch.setattr(QMessageBox, "question", lambda *arguments: next(answers))
    click(qtbot, panel, "deleteSegmentationButton")
    assert with_classes.deleted == []
    click(qtbot, panel, "deleteSegmentationButton")
    assert with_classes.deleted == ["s1"]


@pytest.fixture
def with_document(
    panel: SegmentPanel, with_classes: FakeSession, workspace: FakeWorkspace, tmp_path: Path
) -> LabelDocument:
    """The current segmentation was made by agglomeration."""
    made = make_segmentation(tmp_path / "s1", SHAPE).segmentation
    decoder = {"kind": "agglomeration", "threshold": 0.5, "smallest_um3": 0.0}
    document = LabelDocument(replace(made, record=made.record.model_copy(update={"decoder": decoder})))
    workspace.segments.document = document
    workspace.segments.document_changed.emit()
    return document


def test_the_current_segmentation_is_grouped_anew_in_sight_and_kept_as_a_new_one(
    panel: SegmentPanel,
    with_classes: FakeSession,
    with_document: LabelDocument,
    workspace: FakeWorkspace,
    qtbot: QtBot,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    row, layers = panel.regroup, workspace.layers
    assert layers is not None
    assert row.isVisible()
    assert row.slider.value == 0.5
    assert not row.keep_button.isVisible()
    row.slider.slider.setValue(100)
    qtbot.waitUntil(lambda: layers.trial is not None)
    many = np.unique(layers.trial.segments(Box.of_shape(SHAPE)))
    assert f"{np.count_nonzero(many)} segments; nothing is kept yet." == row.status.text()
    row.slider.slider.setValue(0)
    qtbot.waitUntil(lambda: bool(layers.refreshed))
    assert len(np.unique(layers.trial.segments(Box.of_shape(SHAPE)))) < len(many)
    assert layers.trial.segment_at((3, 20, 20)) == layers.trial.segments(Box.at((3, 20, 20), (1, 1, 1)))[0, 0, 0]
    click(qtbot, panel, "dropRegroupedButton")
    assert layers.trial is None
    assert row.slider.value == 0.5
    kept: list[Any] = []
    monkeypatch.setattr("napari_pytc.session.regrouping.regroup", lambda *arguments: kept.append(arguments))
    row.slider.slider.setValue(20)
    qtbot.waitUntil(row.keep_button.isVisible)
    click(qtbot, panel, "keepRegroupedButton")
    ((segmentations, name, decoder),) = kept
    assert (segmentations, name, decoder.threshold) == (with_classes.segmentations, with_document.id, 0.2)
    workspace.segments.document = None
    workspace.segments.document_changed.emit()
    assert layers.trial is None
    assert not row.isVisible()


@pytest.mark.slow
def test_the_canvas_shows_one_trial_at_a_time(
    panel: SegmentPanel, with_document: LabelDocument, workspace: FakeWorkspace, qtbot: QtBot
) -> None:
    panel.regroup.slider.slider.setValue(20)
    qtbot.waitUntil(lambda: panel.controller.regrouping.is_trying)
    start_preview(qtbot, panel, workspace)
    assert not panel.controller.regrouping.is_trying
    panel.regroup.slider.slider.setValue(40)
    qtbot.waitUntil(lambda: panel.controller.regrouping.is_trying)
    assert not panel.controller.preview.is_on
    assert workspace.layers is not None
    assert workspace.layers.trial is not None


def test_a_project_that_is_read_only_is_only_looked_at(
    panel: SegmentPanel, with_classes: FakeSession, workspace: FakeWorkspace, qtbot: QtBot
) -> None:
    with_classes.project.read_only = True
    with_classes.segmentation_records = [segmentation("s1")]
    workspace.session_changed.emit()
    qtbot.waitUntil(lambda: panel.list.records.tree.topLevelItemCount() == 1)
    assert "reading only" in panel.segment_button.toolTip()
    assert not panel.list.activate_button.isEnabled()
    assert not panel.list.delete_button.isEnabled()


def test_it_fits_a_narrow_dock(panel: SegmentPanel, with_classes: FakeSession, workspace: FakeWorkspace) -> None:
    workspace.start("segment", "Segment the volume with a title that goes on for longer than the panel is wide")
    assert panel.minimumSizeHint().width() <= 340


@pytest.mark.slow
def test_nothing_of_it_holds_the_window(
    panel: SegmentPanel,
    with_classes: FakeSession,
    workspace: FakeWorkspace,
    qtbot: QtBot,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source = start_preview(qtbot, panel, workspace)
    threads: set[int] = set()
    go_on = threading.Event()
    partition = source.partition

    def slow(decoder: Any) -> Any:
        threads.add(threading.get_ident())
        assert go_on.wait(PATIENCE_S)
        return partition(decoder)

    monkeypatch.setattr(source, "partition", slow)
    for value in range(20, 60):
        panel.decoder.slider.slider.setValue(value)  # returns, although nothing can be grouped yet
    assert workspace.layers is not None
    workspace.layers.refreshed.clear()
    go_on.set()
    qtbot.waitUntil(lambda: bool(workspace.layers.refreshed))  # type: ignore[union-attr]
    assert threading.get_ident() not in threads


@pytest.mark.parametrize(
    ("view", "sections", "expected"),
    [
        (Box.at((5, 10, 10), (1, 30, 30)), 3, Box.at((4, 10, 10), (3, 30, 30))),
        (Box.at((0, 10, 10), (1, 30, 30)), 3, Box.at((0, 10, 10), (3, 30, 30))),
        (Box.at((99, 10, 10), (1, 30, 30)), 5, Box.at((95, 10, 10), (5, 30, 30))),
        (Box.at((10, 50, 10), (30, 1, 30)), 3, Box.at((10, 49, 10), (30, 3, 30))),
        (Box.at((5, 10, 10), (1, 30, 30)), 1, Box.at((5, 10, 10), (1, 30, 30))),
        (Box.at((20, 10, 10), (20, 30, 30)), 3, Box.at((20, 10, 10), (20, 30, 30))),
    ],
)
def test_a_preview_lies_around_the_view(view: Box, sections: int, expected: Box) -> None:
    assert preview_box(view, sections, (100, 200, 200)) == expected


def test_of_a_large_view_the_middle_is_tried() -> None:
    box = preview_box(Box.at((5, 0, 0), (1, 4000, 3000)), 9, (100, 4000, 3000))
    assert box.size <= MOST_VOXELS
    assert box.shape[0] == 9
    assert box.centre == pytest.approx((5.5, 2000, 1500), abs=1)


@pytest.mark.slow
def test_two_panels_share_prediction_and_preview(
    panel: SegmentPanel, with_classes: FakeSession, workspace: FakeWorkspace, qtbot: QtBot
) -> None:
    second = SegmentPanel(panel.controller)
    qtbot.addWidget(second)
    second.show()
    start_preview(qtbot, panel, workspace)
    assert second.live.check.isChecked()
    panel.live.sections.setValue(3)
    assert second.live.sections.value() == 3
    second.hide()
    assert workspace.layers is not None
    assert workspace.layers.trial is not None, "the first one still looks at it"
    with_classes.prediction_records.append(prediction("p2"))
    workspace.predictions_changed.emit()
    panel.prediction.setCurrentIndex(1)
    assert second.prediction.currentIndex() == 1
    panel.hide()
    assert workspace.layers.trial is None
