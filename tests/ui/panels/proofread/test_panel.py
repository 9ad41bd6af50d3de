"""The Proofread panel: what it shows when, its buttons and keys, the review."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from qtpy.QtWidgets import QFileDialog, QLabel, QPushButton

from napari_pytc.geometry import Box
from napari_pytc.proofreading.edits import Paint
from napari_pytc.session.opening import read_project
from napari_pytc.ui.canvas.project_layers import CLASS_KEYS, ERASER_KEY
from napari_pytc.ui.canvas.segments.segment_arrays import CONTACT
from napari_pytc.ui.commands import COMMANDS
from napari_pytc.ui.panels.proofread.panel import ProofreadPanel
from napari_pytc.ui.panels.proofread.review_controller import ReviewProgress
from napari_pytc.ui.panels.proofread.toolbox import KeyButton
from napari_pytc.ui.panels.proofread.tools import ACTIONS, TOOLS, key_text
from napari_pytc.ui.widgets.layout import Scrolled
from tests.ui.panels.proofread.proofreading_bench import SHAPE, Bench

Make = Callable[..., Bench]


@pytest.fixture
def make(qtbot: Any, tmp_path: Path) -> Iterator[Make]:
    made: list[Bench] = []

    def build(**options: Any) -> Bench:
        made.append(Bench(qtbot, tmp_path, **options))
        return made[-1]

    yield build
    for bench in made:
        bench.close()


# ---- what there is


def test_titles_of_buttons_are_whole_in_the_narrowest_dock(make: Make, qtbot: Any) -> None:
    bench = make()
    dock = Scrolled(bench.panel)
    qtbot.addWidget(dock)
    dock.show()
    dock.resize(dock.minimumSizeHint().width(), 300)
    qtbot.waitUntil(dock.verticalScrollBar().isVisible)
    buttons = [button for button in bench.panel.findChildren(KeyButton) if button.isVisible()]
    assert len(buttons) > 10
    for button in buttons:
        assert button.title.width() >= button.title.sizeHint().width(), button.title.text()
    bench.panel.setParent(None)


def test_it_says_what_is_missing(make: Make) -> None:
    bench = make(opened=False)
    panel = bench.panel
    assert panel.empty.isVisible()
    assert "No project is open" in panel.empty.label.text()
    assert not panel.sections["Tools"].isVisible()
    assert not panel.sections["History"].isVisible()
    bench.open()
    assert not panel.empty.isVisible()
    assert panel.sections["Tools"].isVisible()
    bench.session.segmentations.delete("first")
    bench.until(lambda: bench.editor.document is None)
    assert "no segments to proofread yet" in panel.empty.label.text()
    assert not panel.sections["Tools"].isVisible()
    assert panel.sections["History"].isVisible(), "strokes can be undone without segments"
    bench.workspace.close_project()
    assert "No project is open" in panel.empty.label.text()


def test_of_a_project_that_is_read_only_nothing_can_be_edited(make: Make) -> None:
    bench = make(opened=False)
    other = read_project(bench.path)
    try:
        bench.open()
        assert bench.workspace.locked_reason
        assert "reading only" in bench.panel.toolbox.buttons["join"].toolTip()
        assert not bench.panel.toolbox.buttons["join"].isEnabled()
        bench.key("M")
        assert "reading only" in bench.refusal
        a, _ = bench.neighbours()
        bench.click(a)
        assert bench.editor.selected, "one can still look"
        bench.key("D")
        assert "reading only" in bench.refusal
        assert "reading only" in bench.panel.history.undo.toolTip()
    finally:
        other.release()


def test_two_panels_share_one_editor(make: Make) -> None:
    bench = make()
    second = ProofreadPanel(bench.workspace, bench.actions, bench.controllers.retraining)
    bench.bot.addWidget(second)
    bench.key("P")
    assert second.toolbox.buttons["paint"].isChecked()


# ---- keys


def test_every_key_is_shown_once_and_clashes_with_none(make: Make) -> None:
    keys = [found.key for found in (*TOOLS, *ACTIONS)]
    assert len(set(keys)) == len(keys)
    assert not set(keys) & {command.keys for command in COMMANDS}
    assert not set(keys) & {*CLASS_KEYS, ERASER_KEY, "V", "Space", "Control-Y", "Control-E", "Control-R", "Control-G"}
    bench = make()
    bound = bench.layer.keys
    assert set(keys) <= set(bound)
    shown = {label.text() for label in bench.panel.findChildren(QLabel)}
    on_buttons = [*TOOLS, *(a for a in ACTIONS if a.name not in ("colour", "smaller", "larger", "undo", "redo"))]
    assert {key_text(found.key) for found in on_buttons} <= shown


def test_keys_work_while_the_panel_has_the_keyboard(make: Make) -> None:
    bench = make()
    from qtpy.QtGui import QShortcut

    shortcuts = {found.key().toString(): found for found in bench.panel.findChildren(QShortcut)}
    shortcuts["P"].activated.emit()
    assert bench.editor.tool.name == "paint"
    shortcuts["Esc"].activated.emit()
    assert bench.editor.tool.name == "look"
    assert "Return" not in shortcuts
    assert "Enter" not in shortcuts


def test_the_tab_key_walks_down_the_panel(make: Make) -> None:
    bench = make()
    seen, widget = [], bench.panel.toolbox.buttons["look"]
    for _ in range(400):
        seen.append(widget.objectName())
        widget = widget.nextInFocusChain()  # type: ignore[assignment]
    found = [seen.index(name) for name in ("tool-look", "tool-new", "act-lock", "review-next", "undoButton")]
    assert found == sorted(found)


# ---- the selection


def test_buttons_say_why_they_cannot_be_pressed(make: Make) -> None:
    bench = make(classes=("soma", "neurite"))
    buttons = bench.panel.selection.buttons
    assert not buttons["delete"].isEnabled()
    assert "no segment is selected" in buttons["delete"].toolTip()
    a, b = bench.neighbours()
    bench.click(a)
    assert buttons["delete"].isEnabled()
    assert "not deleted" in buttons["restore"].toolTip()
    bench.click(b, keys=["Shift"])
    assert "one segment at a time" in buttons["fill"].toolTip()


def test_lock_delete_restore_and_class_by_button(make: Make) -> None:
    bench = make(classes=("soma", "neurite"))
    a, _ = bench.neighbours()
    segment = bench.segment_at(a)
    bench.click(a)
    bench.press(QPushButton, "act-lock")
    assert bench.document.state(segment).locked
    assert bench.panel.selection.buttons["lock"].title.text() == "Unlock"
    assert "locked" in bench.panel.selection.about.text()
    bench.press(QPushButton, "act-lock")
    bench.panel.selection.classes.setCurrentIndex(2)
    bench.panel.selection.classes.activated.emit(2)
    bench.press(QPushButton, "act-class")
    assert bench.document.state(segment).class_id == 2
    assert "neurite" in bench.panel.selection.about.text()
    bench.press(QPushButton, "act-delete")
    assert bench.segment_at(a) == 0
    bench.click((0, 0, 0))
    bench.click(a)
    assert "deleted" in bench.panel.selection.about.text(), "one can click where it was"
    bench.press(QPushButton, "act-restore")
    assert bench.segment_at(a) == segment


def test_smoothing_and_filling_are_shown_before_they_are_made(make: Make) -> None:
    bench = make(membranes=True, shape=SHAPE)
    y, x = next((int(y), int(x)) for y, x in np.argwhere(bench.section) if bench.is_inside((6, y, x), 5))
    bench.click((6, y, x))
    bench.key("O")
    assert bench.proposed.startswith("Smooth"), bench.message
    bench.press(QPushButton, "dropButton")
    assert bench.titles == []
    bench.key("F")
    assert "would change nothing" in bench.refusal or bench.proposed


def test_labels_of_a_file_become_segments(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = make()
    labels = np.zeros(SHAPE, np.uint16)
    labels[2:4, 10:20, 10:20] = 7
    tifffile.imwrite(tmp_path / "labels.tif", labels)
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *args: (str(tmp_path / "labels.tif"), ""))
    before = bench.segment_at((2, 12, 12))
    bench.press(QPushButton, "importLabelsButton")
    bench.until(lambda: bench.titles == ["Import labels.tif"])
    assert bench.segment_at((2, 12, 12)) != before
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *args: (str(tmp_path / "none.tif"), ""))
    bench.press(QPushButton, "importLabelsButton")
    assert "cannot be imported" in bench.refusal


def test_an_import_of_segments_shows_progress_and_can_be_cancelled(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = make()
    tifffile.imwrite(tmp_path / "labels.tif", np.ones(SHAPE, np.uint8))
    progress = bench.panel.importing
    begin, before = progress.begin, bench.document.checksum()

    def begin_and_cancel(*args: str) -> Any:
        report = begin(*args)
        assert progress.isVisible()
        bench.panel.findChild(QPushButton, "cancelImport").click()
        return report

    monkeypatch.setattr(progress, "begin", begin_and_cancel)
    bench.panel.import_labels(tmp_path / "labels.tif")
    bench.until(lambda: "cancelled. Nothing was changed." in bench.message)
    assert not progress.isVisible()
    assert bench.titles == []
    assert bench.document.checksum() == before
    monkeypatch.setattr(progress, "begin", begin)
    bench.panel.import_labels(tmp_path / "labels.tif")
    bench.until(lambda: bench.titles == ["Import labels.tif"])
    assert not progress.isVisible()


def test_islands_are_removed_by_button(make: Make) -> None:
    bench = make()
    a, b = bench.neighbours()
    segment, other = bench.segment_at(a), bench.segment_at(b)
    island = Box((b[0], b[1], b[2]), (b[0] + 1, b[1] + 2, b[2] + 2))
    bench.session.proofreader.apply(Paint.of(island, np.ones(island.shape, bool), segment))
    bench.until(lambda: len(bench.titles) == 1)
    assert bench.segment_at(b) == segment
    bench.click(a)
    bench.press(QPushButton, "act-islands")
    assert bench.proposed.startswith("Remove islands"), bench.message
    bench.key("Enter")
    assert (bench.segment_at(a), bench.segment_at(b)) == (segment, other)


def test_ids_are_copied(make: Make) -> None:
    from qtpy.QtWidgets import QApplication

    bench = make()
    a, b = bench.neighbours()
    bench.click(a)
    bench.click(b, keys=["Shift"])
    bench.actions.copy_ids()
    clipboard = QApplication.clipboard()
    assert clipboard is not None
    assert clipboard.text() == f"{bench.segment_at(a)}, {bench.segment_at(b)}"


# ---- the review


@pytest.mark.slow
def test_the_review_leads_from_place_to_place(make: Make) -> None:
    bench = make(undecided=True)
    review = bench.actions.review
    box = bench.panel.review
    assert not box.bar.isVisible()
    assert "begin" in box.buttons["merge"].toolTip()
    bench.key("Y")
    assert "Begin with" in bench.refusal
    bench.key("J")
    first = review.item
    assert first is not None
    assert box.question.text() == first.text
    assert not bench.panel.message.isVisible()  # it would say the same
    assert review.contact is not None
    assert bench.viewer.flights[-1][0] == review.contact.place
    assert [text.text() for _, text in box.legend.entries] == [
        *(f"segment {segment}" for segment in first.segments),
        "where they touch",
    ]
    outlines = np.asarray(bench.viewer.find("Highlighted").data[review.contact.place[0], :, :])
    assert outlines[review.contact.place[1:]] == CONTACT
    assert [one.segment for one in bench.editor.selected] == list(first.segments)
    layers = bench.workspace.layers
    assert layers is not None
    assert layers.segments.highlighted == first.segments
    assert box.bar.isVisible()
    assert review.progress is not None
    assert box.bar.maximum() == review.progress.n_total
    bench.key("I")
    assert review.item is not None
    assert review.item != first
    second = review.item
    bench.key("U")
    assert review.progress.n_done == 1
    assert review.item not in (first, second)
    if len(review.item.segments) == 2:
        a, b = review.item.segments
        bench.key("Y")
        assert bench.document.exists(a) != bench.document.exists(b)
        assert bench.titles[-1].startswith("Merge")
        assert review.progress.n_done == 2
    assert box.bar.value() == review.progress.n_done
    bench.key("M")
    assert bench.panel.message.isVisible()


def test_a_place_that_an_edit_settles_makes_way_for_the_next(make: Make) -> None:
    bench = make(undecided=True)
    bench.key("J")
    first = bench.actions.review.item
    assert first is not None
    assert bench.editor.selected
    n_flights = len(bench.viewer.flights)
    bench.key("L")  # they are done
    bench.until(lambda: bench.actions.review.is_settled)
    assert len(bench.viewer.flights) == n_flights, "the view stays where the user works"
    assert "settled" in bench.panel.review.question.text()
    assert not bench.panel.review.legend.isVisible()
    bench.key("Y")
    assert "Nothing is being reviewed" in bench.refusal, "nobody has seen the next place yet"
    bench.key("J")
    assert bench.actions.review.item not in (None, first)
    assert len(bench.viewer.flights) == n_flights + 1
    assert bench.panel.review.legend.isVisible()


def test_the_review_ends_and_says_how_long_it_takes(make: Make) -> None:
    bench = make(n_cells=4, undecided=True)
    bench.key("J")
    review = bench.actions.review
    seen_time = False
    for _ in range(400):
        if review.item is None:
            break
        bench.key("U")
        seen_time = seen_time or "left at your pace" in bench.panel.review.left.text()
    assert review.item is None
    assert "Nothing is left" in bench.panel.review.question.text()
    assert seen_time or review.progress is not None
    assert review.progress is not None
    assert bench.panel.review.bar.value() == bench.panel.review.bar.maximum()


def test_a_segmentation_without_a_doubt_says_so(make: Make) -> None:
    bench = make(n_cells=4)
    bench.actions.review.progress = ReviewProgress(None, 0, 0, None)
    bench.actions.review.changed.emit()
    assert "nothing to review" in bench.panel.review.question.text()
    assert not bench.panel.review.bar.isVisible()


def test_ids_are_never_taken_for_those_of_another_segmentation(make: Make) -> None:
    bench = make()
    second = bench.path / "volumes/v1/segments/second"
    shutil.copytree(second.with_name("first"), second)
    record = json.loads((second / "segmentation.json").read_text())
    (second / "segmentation.json").write_text(json.dumps(record | {"id": "second"}))
    a, b = bench.neighbours()
    bench.key("M")
    bench.draw([a, b])
    bench.key("Enter")
    entry = bench.actions.history.entries[-1]
    segment = bench.segment_at(a)
    bench.click(a)
    assert [one.segment for one in bench.editor.selected] == [segment]
    bench.session.segmentations.activate("second")
    bench.editor.select_ids([segment])  # asked while the window still shows the former segmentation
    bench.until(lambda: bench.document.id == "second")
    bench.idle()
    assert bench.document.exists(segment)
    assert bench.editor.selected == ()
    bench.actions.history.show_entry(entry)  # it was made in the former one
    bench.idle()
    assert bench.editor.selected == ()
