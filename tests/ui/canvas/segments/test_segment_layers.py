"""Segments on the canvas: stable, hatched, hidden, outlined; an edit in sight; never a wait for the disk."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from napari_pytc.errors import VolumeError
from napari_pytc.geometry import Box, Shape, VoxelSpace
from napari_pytc.labels.segment_colours import N_COLOURS, colour_of, segment_colours
from napari_pytc.proofreading.changes import SegmentState
from napari_pytc.ui.canvas.section_cache import SectionReader
from napari_pytc.ui.canvas.segments import segment_layers
from napari_pytc.ui.canvas.segments.segment_arrays import CONTACT, outlined
from napari_pytc.ui.canvas.segments.segment_layers import CONTACT_COLOUR, SegmentLayers
from napari_pytc.ui.canvas.viewer.port import LayerStyle
from tests.support.tissue import make_tissue
from tests.support.viewers import FakeViewer
from tests.support.waiting import PATIENCE_S

SHAPE = (6, 48, 40)
SPACE = VoxelSpace((40.0, 8.0, 8.0))
Z = 3


class FakeDocument:
    """Segments in memory; `slow` lets every read wait until it is set."""

    def __init__(self, labels: np.ndarray | None = None) -> None:
        self.labels = make_tissue(SHAPE, anisotropy=5.0).cells.astype(np.uint32) if labels is None else labels
        self.states: dict[int, SegmentState] = {}
        self.asked: list[Shape] = []
        self.slow: threading.Event | None = None
        self.broken = False

    @property
    def shape(self) -> Shape:
        z, y, x = self.labels.shape
        return (z, y, x)

    def segments(self, box: Box) -> np.ndarray:
        if self.slow is not None:
            assert self.slow.wait(PATIENCE_S)
        if self.broken:
            raise VolumeError("The disk is gone.")
        return self.labels[box.slices].copy()

    def segment_at(self, voxel: Shape) -> int:
        self.asked.append(voxel)
        return int(self.labels[voxel])

    def noted_segments(self) -> list[int]:
        return list(self.states)

    def state(self, segment: int) -> SegmentState:
        return self.states.get(segment, SegmentState())


@pytest.fixture
def viewer() -> FakeViewer:
    viewer = FakeViewer()
    viewer.add_labels(np.zeros(SHAPE, np.uint8), SPACE, LayerStyle("Strokes", "strokes"))
    return viewer


@pytest.fixture
def layers(qtbot: QtBot, viewer: FakeViewer) -> Iterator[SegmentLayers]:
    reader = SectionReader()
    strokes = viewer.find("Strokes")
    layers = SegmentLayers(viewer, reader, SHAPE, SPACE, lambda: strokes, lambda: (3.0, 24.0, 20.0))
    yield layers
    layers.close()
    reader.close()


@pytest.fixture
def document() -> FakeDocument:
    return FakeDocument()


def present(document: FakeDocument, n: int) -> list[int]:
    """The largest segments of the section."""
    ids, counts = np.unique(document.labels[Z][document.labels[Z] > 0], return_counts=True)
    return [int(i) for i in ids[np.argsort(-counts)][:n]]


def seen(viewer: FakeViewer, name: str = "Segments", z: int | slice = Z) -> np.ndarray:
    """What a layer shows."""
    return np.asarray(viewer.find(name).data[z, :, :])


def names(viewer: FakeViewer) -> list[str]:
    """Of the layers that are seen or were hidden by the user."""
    return [layer.name for layer in viewer.layers if layer.visible or layer.name == "Segments"]


def test_segments_lie_below_the_strokes(layers: SegmentLayers, viewer: FakeViewer, document: FakeDocument) -> None:
    layers.show(document)
    assert names(viewer) == ["Segments", "Strokes"]
    assert viewer.find("Segments").style.by_id
    assert viewer.find("Segments").data.dtype == np.uint32
    np.testing.assert_array_equal(seen(viewer), document.labels[Z])
    np.testing.assert_array_equal(viewer.find("Segments").data[:, 7, :], document.labels[:, 7])
    layers.show(None)
    assert names(viewer) == ["Strokes"]


def test_deleted_segments_are_transparent_and_locked_ones_hatched(
    layers: SegmentLayers, viewer: FakeViewer, document: FakeDocument
) -> None:
    gone, done, other = present(document, 3)
    document.states = {gone: SegmentState(deleted=True), done: SegmentState(locked=True)}
    layers.show(document)
    shown, truth = seen(viewer), document.labels[Z]
    assert not shown[truth == gone].any()
    hatched = shown[truth == done]
    assert 0.4 < (hatched == done).mean() < 0.85
    assert (shown[truth == other] == other).all()
    # All of it answers to a click, whatever is shown of it.
    assert {layers.segment_at((Z, y, x)) for y, x in np.argwhere(truth == done)[:40]} == {done}
    assert layers.segment_at((Z, *np.argwhere(truth == gone)[0])) == 0
    # In 3D nothing is hatched.
    whole = seen(viewer, z=slice(None))
    assert (whole[document.labels == done] == done).all()


def test_what_is_on_the_canvas_is_known_without_the_disk(
    layers: SegmentLayers, viewer: FakeViewer, document: FakeDocument
) -> None:
    assert layers.segment_at((Z, 1, 1)) == 0
    layers.show(document)
    seen(viewer)
    assert layers.segment_at((Z + 0.4, 10.2, 11.9)) == document.labels[Z, 10, 12]
    assert layers.segment_at((Z, -2, 5)) == 0
    assert document.asked == []
    far = FakeDocument()
    layers.show(far)
    assert layers.segment_at((0, 10, 12)) == far.labels[0, 10, 12]
    assert far.asked == [(0, 10, 12)]


def test_an_edit_is_shown_where_it_was_made(
    qtbot: QtBot, layers: SegmentLayers, viewer: FakeViewer, document: FakeDocument
) -> None:
    layers.show(document)
    seen(viewer)
    first, second, *_ = present(document, 2)
    before = viewer.find("Segments").refreshed
    document.labels[document.labels == first] = second
    layers.refresh(Box((0, 0, 0), SHAPE))
    qtbot.waitUntil(lambda: viewer.find("Segments").refreshed > before)
    qtbot.waitUntil(lambda: np.array_equal(seen(viewer), document.labels[Z]))


def test_a_slow_disk_never_holds_the_window(
    qtbot: QtBot,
    layers: SegmentLayers,
    viewer: FakeViewer,
    document: FakeDocument,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(segment_layers, "_PATIENCE_S", 0.001)
    document.slow = threading.Event()
    layers.show(document)
    assert not np.asarray(viewer.find("Segments").data[Z, :, :]).any(), "it returns while nothing can be read"
    document.slow.set()
    qtbot.waitUntil(lambda: viewer.find("Segments").refreshed > 0)
    qtbot.waitUntil(lambda: np.array_equal(seen(viewer), document.labels[Z]))


@pytest.mark.slow
def test_highlighted_segments_are_outlined(layers: SegmentLayers, viewer: FakeViewer, document: FakeDocument) -> None:
    first, second = present(document, 2)
    layers.highlight([first])  # nothing is shown yet
    layers.show(document)
    layers.highlight([first, second])
    assert names(viewer) == ["Segments", "Highlighted", "Strokes"]
    shown, truth = seen(viewer, "Highlighted"), document.labels[Z]
    assert set(np.unique(shown)) == {0, 1, 2}
    assert set(np.unique(truth[shown == 1])) == {first}
    assert set(np.unique(truth[shown == 2])) == {second}
    assert (shown[truth == first] == 0).any()
    layers.highlight([second], ["#123456"])
    assert viewer.find("Highlighted").style.colours == {1: "#123456", CONTACT: CONTACT_COLOUR}
    assert layers.highlighted == (second,)
    layers.highlight([])
    assert not seen(viewer, "Highlighted").any(), "the layer stays: adding one costs napari a third of a second"
    layers.highlight([first])
    assert set(np.unique(seen(viewer, "Highlighted"))) == {0, 1}
    assert viewer.find("Highlighted").refreshed
    layers.show(None)
    assert names(viewer) == ["Strokes"]


def test_a_contact_is_marked_until_other_segments_are_highlighted(
    layers: SegmentLayers, viewer: FakeViewer, document: FakeDocument
) -> None:
    layers.show(document)
    first, second = present(document, 2)
    layers.highlight([first, second])
    box = Box((Z, 4, 4), (Z + 2, 6, 9))
    layers.mark_contact(box, np.ones(box.shape, bool))
    shown = seen(viewer, "Highlighted")
    assert (shown[4:6, 4:9] == CONTACT).all()
    assert (shown == CONTACT).sum() == 10
    assert CONTACT in viewer.find("Highlighted").style.colours
    assert not (np.asarray(viewer.find("Highlighted").data[Z - 1, :, :]) == CONTACT).any()
    assert (np.asarray(viewer.find("Highlighted").data[Z : Z + 3, 0:8, 0:8]) == CONTACT).sum() == 2 * 2 * 4
    layers.highlight([first])
    assert not (seen(viewer, "Highlighted") == CONTACT).any()


@pytest.mark.slow
def test_an_edit_in_sight_lies_on_top(layers: SegmentLayers, viewer: FakeViewer, document: FakeDocument) -> None:
    layers.show(document)
    box = Box((Z, 10, 10), (Z + 1, 20, 30))
    layers.preview(box, np.ones(box.shape, bool), {1: "#ff0000"})
    layers.highlight(present(document, 1))
    assert names(viewer) == ["Segments", "Highlighted", "Edit preview", "Strokes"]
    shown = seen(viewer, "Edit preview")
    assert shown.sum() == 200
    assert shown[10:20, 10:30].all()
    assert not np.asarray(viewer.find("Edit preview").data[0, :, :]).any()
    halves = np.ones(box.shape, np.uint8)
    halves[..., 10:] = 2
    layers.preview(box, halves, {1: "#ff0000", 2: "#00ff00"}, outline=True)
    shown = seen(viewer, "Edit preview")
    assert set(np.unique(shown)) == {0, 1, 2}
    assert (shown > 0).sum() < 200
    layers.clear_preview()
    assert not seen(viewer, "Edit preview").any()
    layers.show(None)
    assert names(viewer) == ["Strokes"]


def test_a_trial_takes_the_place_of_the_segments_for_a_while(
    layers: SegmentLayers, viewer: FakeViewer, document: FakeDocument
) -> None:
    layers.show(document)
    layers.highlight(present(document, 1))
    trial = FakeDocument(document.labels * 2)
    layers.show_trial(trial)
    assert names(viewer) == ["Segments", "Segments, tried", "Highlighted", "Strokes"]
    assert not viewer.find("Segments").visible
    np.testing.assert_array_equal(seen(viewer, "Segments, tried"), document.labels[Z] * 2)
    layers.show_trial(FakeDocument(document.labels * 3))
    np.testing.assert_array_equal(seen(viewer, "Segments, tried"), document.labels[Z] * 3)
    layers.show_trial(None)
    assert viewer.find("Segments").visible
    assert layers.trial is None


def test_layers_that_were_deleted_come_back(layers: SegmentLayers, viewer: FakeViewer, document: FakeDocument) -> None:
    layers.show(document)
    viewer.remove(viewer.find("Segments"))
    layers.refresh()
    layers.restore()
    np.testing.assert_array_equal(seen(viewer), document.labels[Z])


@pytest.mark.slow
def test_what_cannot_be_shown_is_shown_once(
    qtbot: QtBot, layers: SegmentLayers, viewer: FakeViewer, document: FakeDocument
) -> None:
    received: list[str] = []
    layers.failed.connect(lambda error: received.append(str(error)))
    layers.show(FakeDocument(np.zeros((2, 3, 4), np.uint32)))
    assert "of a volume of (2, 3, 4)" in received.pop()
    document.broken = True
    layers.show(document)
    seen(viewer)
    qtbot.waitUntil(lambda: bool(received))
    np.asarray(viewer.find("Segments").data[0, :, :])
    qtbot.wait(50)
    assert received == ["The disk is gone."]


def test_colours_belong_to_ids() -> None:
    colours = segment_colours()
    assert colours.shape == (N_COLOURS + 1, 4)
    assert colours[0, 3] == 0
    assert len(np.unique((colours[1:] * 255).round(), axis=0)) == N_COLOURS
    assert colour_of(7) == colour_of(7 + N_COLOURS) != colour_of(8)
    assert colour_of(0) == "#000000"


@pytest.mark.parametrize("shape", [(7, 9), (1, 9), (9, 1)])
def test_outlines_are_two_voxels_thick(shape: tuple[int, int]) -> None:
    labels = np.ones(shape, np.uint8)
    assert not outlined(labels).any()
    if shape == (7, 9):
        labels[:, 4:] = 2
        np.testing.assert_array_equal(outlined(labels)[0], [0, 0, 1, 1, 2, 2, 0, 0, 0])


def test_outlines_lie_along_every_border_and_nowhere_else() -> None:
    labels = np.random.default_rng(0).integers(0, 3, (5, 6)).astype(np.uint8).repeat(7, axis=0).repeat(6, axis=1) + 1
    near = np.zeros(labels.shape, bool)
    for axis in (0, 1):
        for border in np.argwhere(np.diff(labels, axis=axis)):
            place = [slice(n, n + 1) for n in border]
            place[axis] = slice(max(0, border[axis] - 1), border[axis] + 3)
            near[tuple(place)] = True
    np.testing.assert_array_equal(outlined(labels), np.where(near, labels, 0))
