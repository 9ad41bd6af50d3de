"""The live preview without a window: when it is made, what it says, what ends it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from napari_pytc.errors import PytcError
from napari_pytc.geometry import Box
from napari_pytc.proofreading.document import LabelDocument
from napari_pytc.ui.panels.segment.choices import SegmentChoices
from napari_pytc.ui.panels.segment.preview import SegmentPreview
from napari_pytc.ui.panels.segment.regrouping import Regrouping
from napari_pytc.ui.panels.segment.sources import PreviewSource, RegroupedSource
from napari_pytc.ui.panels.segment.trial_rows import describe_preview
from tests.support.segmentations import make_segmentation
from tests.support.workspaces import SHAPE, FakeWorkspace

PANEL = object()
CHOICES = SegmentChoices("p1", SimpleNamespace(slider=None, model_dump=lambda exclude: {}))  # type: ignore[arg-type]


@pytest.fixture
def workspace(qtbot: QtBot, tmp_path: Path) -> Iterator[FakeWorkspace]:
    workspace = FakeWorkspace()
    workspace.open(tmp_path)
    yield workspace
    workspace.shutdown()


@pytest.fixture
def preview(workspace: FakeWorkspace, monkeypatch: pytest.MonkeyPatch) -> SegmentPreview:
    """A preview whose attempts do not wait; what would be decoded is kept in ``requests``."""
    found = SegmentPreview(workspace)  # type: ignore[arg-type]
    found._try_timer.setInterval(0)
    found.requests = []  # type: ignore[attr-defined]
    monkeypatch.setattr(found, "show", lambda choices, box: found.requests.append((choices, box)))  # type: ignore[attr-defined]
    return found


def requests(preview: Any) -> list[tuple[SegmentChoices, Box]]:
    found: list[tuple[SegmentChoices, Box]] = preview.requests
    return found


def test_it_is_made_only_while_it_is_on_and_seen(preview: SegmentPreview, qtbot: QtBot) -> None:
    preview.set_choices(CHOICES, "")
    preview.add_watcher(PANEL)
    qtbot.wait(20)
    assert requests(preview) == []
    preview.switch(True)
    qtbot.waitUntil(lambda: len(requests(preview)) == 1)
    assert requests(preview)[0] == (CHOICES, Box((1, 0, 0), (6, 48, 40)))
    preview.remove_watcher(PANEL)
    preview.set_choices(CHOICES, "")
    qtbot.wait(20)
    assert len(requests(preview)) == 1
    preview.add_watcher(PANEL)
    qtbot.waitUntil(lambda: len(requests(preview)) == 2)


def test_of_two_panels_one_may_be_hidden(preview: SegmentPreview, workspace: FakeWorkspace, qtbot: QtBot) -> None:
    preview.set_choices(CHOICES, "")
    preview.switch(True)
    preview.add_watcher(PANEL)
    preview.add_watcher(other := object())
    preview.remove_watcher(other)
    preview.remove_watcher(other)
    assert preview.is_watched
    workspace.layers.trial = object()
    preview.remove_watcher(PANEL)
    assert not preview.is_watched
    assert workspace.layers.trial is None
    qtbot.wait(20)
    assert requests(preview) == []


def test_more_sections_are_another_box(preview: SegmentPreview, qtbot: QtBot) -> None:
    preview.add_watcher(PANEL)
    preview.set_choices(CHOICES, "")
    preview.switch(True)
    preview.set_sections(1)
    qtbot.waitUntil(lambda: bool(requests(preview)))
    assert requests(preview)[-1][1] == Box((3, 0, 0), (4, 48, 40))


def test_wrong_settings_are_explained_and_not_tried(preview: SegmentPreview, qtbot: QtBot) -> None:
    preview.add_watcher(PANEL)
    preview.switch(True)
    with qtbot.waitSignal(preview.changed):
        preview.set_choices(None, "Choose a class.")
    qtbot.wait(20)
    assert requests(preview) == []
    assert describe_preview(preview) == "No preview: Choose a class."


def test_switching_it_off_takes_it_away(preview: SegmentPreview, workspace: FakeWorkspace, qtbot: QtBot) -> None:
    preview.add_watcher(PANEL)
    preview.switch(True)
    workspace.layers.trial = object()
    preview.switch(False)
    assert workspace.layers.trial is None
    preview.set_choices(CHOICES, "")
    qtbot.wait(20)
    assert requests(preview) == []


def test_the_words_say_what_it_waits_for(preview: SegmentPreview, workspace: FakeWorkspace) -> None:
    preview._running = object()  # type: ignore[assignment]
    assert describe_preview(preview) == "Waiting for the worker …"
    workspace.start("train", "Train fast")
    assert describe_preview(preview) == "Waiting for the worker: Train fast is not over yet"
    preview._has_begun = True
    assert describe_preview(preview) == "Telling objects apart …"
    preview._running = None
    assert describe_preview(preview) == ""
    preview.problem = PytcError("The disk is full.")
    assert describe_preview(preview) == "There is no preview."


@pytest.mark.parametrize(
    ("n_segments", "n_supervoxels", "seconds", "notes", "expected"),
    [
        (0, 0, 1.0, ("All 3 are small.",), "No object in 1 × 2 × 3 voxels.\n⚠ All 3 are small."),
        (1, 1, 0.05, (), "1 segment in 1 × 2 × 3 voxels · 50 ms"),
        (4, 9, 2.34, ("A",), "4 segments of 9 supervoxels in 1 × 2 × 3 voxels · 2.3 s\n⚠ A"),
    ],
)
def test_the_words_count_segments(
    preview: SegmentPreview, n_segments: int, n_supervoxels: int, seconds: float, notes: tuple[str, ...], expected: str
) -> None:
    preview._source = SimpleNamespace(  # type: ignore[assignment]
        n_segments=n_segments, n_supervoxels=n_supervoxels, box=Box.of_shape((1, 2, 3)), notes=notes
    )
    preview.seconds = seconds
    assert describe_preview(preview) == expected


# ---- what is tried


def test_a_preview_source_reads_a_box_and_is_empty_elsewhere(tmp_path: Path) -> None:
    made = make_segmentation(tmp_path / "s1", SHAPE)
    box = Box((2, 8, 8), (6, 30, 30))
    source = PreviewSource.read(tmp_path / "s1", box)
    np.testing.assert_array_equal(source.segments(box), made.segments[box.slices])
    assert not source.segments(Box((8, 0, 0), (12, 48, 40))).any()
    assert source.segment_at((3, 10, 10)) == made.segments[3, 10, 10]
    assert source.segment_at((0, 0, 0)) == 0
    assert source.noted_segments() == ()
    assert not source.state(1).locked
    n = source.n_supervoxels
    source.set_segments(np.minimum(np.arange(n + 1), 1).astype(np.uint32))
    assert source.n_segments == 1


@pytest.fixture
def regrouping(workspace: FakeWorkspace, tmp_path: Path) -> Regrouping:
    """Another grouping of a segmentation that was made by agglomeration."""
    made = make_segmentation(tmp_path / "s1", SHAPE).segmentation
    decoder = {"kind": "agglomeration", "threshold": 0.5, "smallest_um3": 0.0}
    record = made.record.model_copy(update={"decoder": decoder})
    workspace.segments.document = LabelDocument(replace(made, record=record))
    return Regrouping(workspace)  # type: ignore[arg-type]


def test_another_value_is_tried_and_dropped(regrouping: Regrouping, workspace: FakeWorkspace, qtbot: QtBot) -> None:
    assert regrouping.n_segments is None
    counts = []
    for value in (1.0, 0.0):
        with qtbot.waitSignals([regrouping.began, regrouping.changed]):
            regrouping.try_value(value)
        counts.append(regrouping.n_segments)
    assert isinstance(workspace.layers.trial, RegroupedSource)
    assert counts[0] is not None
    assert counts[1] is not None
    assert counts[0] > counts[1]
    with qtbot.waitSignal(regrouping.was_reset):
        regrouping.drop()
    assert workspace.layers.trial is None
    assert not regrouping.is_trying


def test_the_value_that_is_tried_is_kept(
    regrouping: Regrouping, workspace: FakeWorkspace, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[Any] = []
    monkeypatch.setattr("napari_pytc.session.regrouping.regroup", lambda *arguments: kept.append(arguments))
    regrouping.keep()
    assert kept == [], "nothing was tried"
    with qtbot.waitSignal(regrouping.changed):
        regrouping.try_value(0.2)
    regrouping.keep()
    ((segmentations, name, decoder),) = kept
    assert (segmentations, name) == (workspace.session.segmentations, workspace.segments.document.id)
    assert decoder.threshold == 0.2


def test_a_value_that_cannot_be_grouped_is_reported(
    regrouping: Regrouping, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: Any) -> Any:
        raise PytcError("The graph is damaged.", "Segment again.")

    assert regrouping.decoder is not None
    monkeypatch.setattr(type(regrouping.decoder), "group", refuse)
    with qtbot.waitSignal(regrouping.changed):
        regrouping.try_value(0.2)
    assert regrouping.problem is not None
    assert regrouping.problem.message == "The graph is damaged."
    assert not regrouping.is_trying


def test_a_decoder_of_another_version_has_no_slider(
    regrouping: Regrouping, workspace: FakeWorkspace, tmp_path: Path
) -> None:
    made = make_segmentation(tmp_path / "s2", SHAPE).segmentation
    record = made.record.model_copy(update={"decoder": {"kind": "unheard of"}})
    workspace.segments.document = LabelDocument(replace(made, record=record))
    workspace.segments.document_changed.emit()
    assert regrouping.decoder is None
    regrouping.try_value(0.3)
    assert not regrouping.is_trying
