from pathlib import Path

import numpy as np
import pytest

from napari_pytc.errors import InvalidEdit
from napari_pytc.geometry import Box
from napari_pytc.proofreading.document import LabelDocument
from napari_pytc.proofreading.edits import Lock, NewSegment, parse_edit, shape_edits
from napari_pytc.proofreading.edits.base import EditModel
from napari_pytc.proofreading.edits.shape_edits import FillHoles, RemoveIslands, Smooth
from tests.proofreading.merged import document_of

SHAPE = (24, 32, 32)


def after(document: LabelDocument, edit: EditModel) -> np.ndarray:
    """Segments after the edit; the way back is tried as well."""
    whole = Box.of_shape(document.shape)
    before = document.supervoxels(whole)
    change = edit.plan(document)
    assert parse_edit(edit.to_json()) == edit
    document.apply(change)
    found = document.segments(whole)
    document.apply(change.inverse())
    np.testing.assert_array_equal(document.supervoxels(whole), before)
    document.apply(change)
    return found


@pytest.fixture
def holed() -> np.ndarray:
    """Segment 1 in background, with a hole of background and one with segment 2."""
    labels = np.zeros(SHAPE, np.uint32)
    labels[2:22, 4:28, 4:28] = 1
    labels[8:12, 8:12, 8:12] = 0
    labels[14:18, 18:22, 18:22] = 2
    return labels


def test_holes_of_background_are_filled(tmp_path: Path, holed: np.ndarray) -> None:
    found = after(document_of(tmp_path / "s", holed), FillHoles(segment=1))
    assert (found[8:12, 8:12, 8:12] == 1).all()
    assert (found[14:18, 18:22, 18:22] == 2).all()
    assert (found[holed == 0] == 1).sum() == 64


def test_enclosed_segments_are_taken_in_on_request(tmp_path: Path, holed: np.ndarray) -> None:
    document = document_of(tmp_path / "s", holed)
    assert (after(document, FillHoles(segment=1, enclosed=True))[2:22, 4:28, 4:28] == 1).all()


def test_a_locked_enclosed_segment_stays(tmp_path: Path, holed: np.ndarray) -> None:
    document = document_of(tmp_path / "s", holed)
    document.apply(Lock(segments=(2,)).plan(document))
    found = after(document, FillHoles(segment=1, enclosed=True))
    assert (found[14:18, 18:22, 18:22] == 2).all()


def test_holes_in_slices(tmp_path: Path) -> None:
    labels = np.zeros(SHAPE, np.uint32)
    labels[:, 5:20, 5:20] = 1
    labels[:, 10:12, 10:12] = 0
    with pytest.raises(InvalidEdit, match="would change nothing"):
        FillHoles(segment=1).plan(document_of(tmp_path / "s", labels))
    assert (after(document_of(tmp_path / "t", labels), FillHoles(segment=1, axis=0))[:, 5:20, 5:20] == 1).all()


def test_smoothing_moves_the_outline_alone(tmp_path: Path) -> None:
    labels = np.full(SHAPE, 2, np.uint32)
    labels[:, :, :16] = 1
    labels[10:13, 10:13, 16:19] = 1
    labels[:4, :, :] = 0
    document = document_of(tmp_path / "s", labels)
    found = after(document, Smooth(segment=1, radius_um=0.03))
    assert (found[10:13, 10:13, 18] == 2).all()
    assert (found[8:, :, :12] == 1).all()
    assert (found[8:, :, 20:] == 2).all()
    assert found[8:].all()


def test_smoothing_neither_takes_from_nor_gives_to_what_is_locked(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    labels = np.full(SHAPE, 2, np.uint32)
    labels[:, :, :16] = 1
    rough = rng.random(SHAPE) < 0.3
    labels[:, :, 14:18][rough[:, :, 14:18]] = 1
    labels[:8] = np.where(labels[:8] == 2, 3, labels[:8])
    document = document_of(tmp_path / "s", labels)
    document.apply(Lock(segments=(3,)).plan(document))
    found = after(document, Smooth(segment=1, radius_um=0.03))
    np.testing.assert_array_equal(found == 3, labels == 3)
    assert (found != labels).any()


def test_islands_go_to_what_they_touch(tmp_path: Path) -> None:
    labels = np.zeros(SHAPE, np.uint32)
    labels[:, :, :10] = 1
    labels[:, :, 16:] = 2
    labels[10:12, 10:12, 20:22] = 1
    labels[4, 4, 13] = 1
    found = after(document_of(tmp_path / "s", labels), RemoveIslands(segment=1))
    assert (found[:, :, 16:] == 2).all()
    assert found[4, 4, 13] == 0
    assert (found[:, :, :10] == 1).all()


def test_large_islands_stay(tmp_path: Path) -> None:
    labels = np.zeros(SHAPE, np.uint32)
    labels[:, :, :10] = 1
    labels[10:14, 10:14, 20:24] = 1
    labels[4, 4, 13] = 1
    found = after(document_of(tmp_path / "s", labels), RemoveIslands(segment=1, smallest_um3=64e-6))
    assert (found[10:14, 10:14, 20:24] == 1).all()
    assert found[4, 4, 13] == 0


def test_an_island_does_not_go_to_a_locked_segment(tmp_path: Path) -> None:
    labels = np.full(SHAPE, 2, np.uint32)
    labels[:, :, :10] = 1
    labels[10, 10, 20] = 1
    document = document_of(tmp_path / "s", labels)
    document.apply(Lock(segments=(2,)).plan(document))
    assert after(document, RemoveIslands(segment=1))[10, 10, 20] == 0


def test_paint_becomes_a_segment_of_its_own(tmp_path: Path) -> None:
    labels = np.full(SHAPE, 2, np.uint32)
    labels[:, :, :10] = 1
    document = document_of(tmp_path / "s", labels)
    mask = np.ones((4, 4, 6), bool)
    mask[0, 0, 0] = False
    box = Box.at((3, 3, 7), mask.shape)
    new = document.next_id + 1
    found = after(document, NewSegment.of(box, mask, class_id=1))
    np.testing.assert_array_equal(found[box.slices] == new, mask)
    assert (found == new).sum() == mask.sum()
    assert document.state(new).class_id == 1


@pytest.mark.parametrize("kind", [FillHoles, Smooth, RemoveIslands])
def test_shapes_of_locked_missing_and_huge_segments_are_refused(
    tmp_path: Path, holed: np.ndarray, kind: type[EditModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    holed[0, 0, 0] = 1
    holed[2, 4:6, 3] = 1
    document = document_of(tmp_path / "s", holed)
    with pytest.raises(InvalidEdit, match="no segment 77"):
        kind(segment=77).plan(document)
    with pytest.raises(InvalidEdit, match="outside of the volume"):
        kind(segment=1, at=(99, 0, 0)).plan(document)
    monkeypatch.setattr(shape_edits, "_MOST_VOXELS", 9_000)
    with pytest.raises(InvalidEdit, match="at most"):
        kind(segment=1).plan(document)
    monkeypatch.undo()
    kind(segment=1).plan(document)
    document.apply(Lock(segments=(1,)).plan(document))
    with pytest.raises(InvalidEdit, match="locked"):
        kind(segment=1).plan(document)


def test_a_huge_segment_is_mended_where_it_is_clicked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    labels = np.ones(SHAPE, np.uint32)
    labels[5, 5, 5] = labels[20, 28, 28] = 0
    document = document_of(tmp_path / "s", labels, (100, 100, 100))
    found = after(document, FillHoles(segment=1, at=(5, 6, 5)))
    assert found[5, 5, 5] == 1
    assert found[20, 28, 28] == 0


def test_an_empty_mask_is_refused(tmp_path: Path, holed: np.ndarray) -> None:
    box = Box.at((0, 0, 0), (2, 2, 2))
    with pytest.raises(InvalidEdit, match="a voxel at least"):
        NewSegment.of(box, np.zeros((2, 2, 2), bool)).plan(document_of(tmp_path / "s", holed))
    with pytest.raises(InvalidEdit, match="has shape"):
        NewSegment.of(box, np.zeros((2, 2, 3), bool))
