"""Segments under the pointer, along a line of sight and along a stroke, and their words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_pytc.geometry import Box
from napari_pytc.proofreading.document import LabelDocument
from napari_pytc.ui.canvas.viewer.port import Pointer
from napari_pytc.ui.panels.proofread.picking import (
    PickedSegment,
    describe,
    describe_selection,
    first_in_sight,
    pick,
    pick_voxel,
    segments_along,
    size_text,
    voxel_at,
)
from tests.support.editing import neighbours
from tests.support.segmentations import make_segmentation

SHAPE = (12, 64, 64)


@pytest.fixture
def document(tmp_path: Path) -> LabelDocument:
    return LabelDocument(make_segmentation(tmp_path / "s1", SHAPE, n_cells=10).segmentation)


@pytest.fixture
def membranes(tmp_path: Path) -> LabelDocument:
    """Cells with background between them."""
    return LabelDocument(make_segmentation(tmp_path / "s2", SHAPE, n_cells=10, membranes=True).segmentation)


def test_a_voxel_lies_around_its_point() -> None:
    assert voxel_at((2.4, 2.5, -0.2)) == (2, 3, 0)


def test_a_segment_is_described_with_its_size(document: LabelDocument) -> None:
    voxel, _ = neighbours(document)
    found = pick_voxel(document, voxel)
    assert found is not None
    assert found.segment == document.segment_at(voxel)
    assert found.voxel == voxel
    assert found.n_voxels == document.size(found.segment)
    size_um3 = found.n_voxels * np.prod(document.space.voxel_size_nm) / 1e9
    assert found.size_um == pytest.approx(size_um3)
    assert describe(document, 99_999) is None
    assert describe(document, 0) is None
    assert pick_voxel(document, (0, 0, 999)) is None


def test_the_pointer_picks_in_a_plane_and_along_the_line_of_sight(membranes: LabelDocument) -> None:
    assert pick(membranes, Pointer("press", 1, (0.0, 0.0), None)) is None
    section = membranes.segments(Box((0, 0, 0), (1, 64, 64)))[0]
    y, x = (int(v) for v in np.argwhere(section)[0])
    flat = pick(membranes, Pointer("press", 1, (0.0, 0.0), (0.2, y - 0.3, float(x))))
    assert flat is not None
    assert flat.segment == section[y, x]
    sight = pick(membranes, Pointer("press", 1, (0.0, 0.0), (0.0, float(y), float(x)), far=(11.0, float(y), float(x))))
    assert sight is not None
    assert (sight.segment, sight.voxel) == (flat.segment, (0, y, x))


def test_a_line_of_sight_meets_the_first_segment_behind_background(membranes: LabelDocument) -> None:
    volume = membranes.segments(Box.of_shape(SHAPE))
    columns = np.argwhere((volume[0] == 0) & volume.any(axis=0))
    y, x = (int(v) for v in columns[0])
    z = int(np.flatnonzero(volume[:, y, x])[0])
    assert first_in_sight(membranes, (0.0, y, x), (11.0, y, x)) == ((z, y, x), volume[z, y, x])
    z = int(np.flatnonzero(volume[:, y, x])[-1])
    assert first_in_sight(membranes, (11.0, y, x), (0.0, y, x)) == ((z, y, x), volume[z, y, x])
    empty = np.argwhere(~volume.any(axis=0))
    for y, x in empty[:1].tolist():
        assert first_in_sight(membranes, (0.0, y, x), (11.0, y, x)) is None


def test_a_stroke_meets_segments_in_their_order(document: LabelDocument) -> None:
    (z, y, x), _ = neighbours(document)
    line = [(z, y, column) for column in range(x - 1, x + 3)]
    found = segments_along(document, line)
    first, second = (document.segment_at(line[k]) for k in (0, 2))
    assert list(found)[:2] == [first, second]
    assert sum(found.values()) == len([voxel for voxel in line if document.segment_at(voxel)])
    assert segments_along(document, []) == {}


def test_a_selection_is_described_line_by_line(document: LabelDocument) -> None:
    ids = document.segment_ids()[:5].tolist()
    picked = [found for segment in ids if (found := describe(document, segment)) is not None]
    assert describe_selection([]) == "None. Click a segment on the canvas."
    lines = describe_selection(picked).split("\n")
    assert lines[0].startswith(f"Segment {ids[0]} · ")
    assert lines[-1] == "and 2 more"
    assert len(lines) == 4


@pytest.mark.parametrize(
    ("size_um", "is_area", "expected"),
    [
        (0.18449, False, "0.184 µm³"),
        (12_345.6, False, "12,346 µm³"),
        (0.00001, False, "1,250 voxels"),
        (0.18449, True, "0.184 µm²"),
        (12_345.6, True, "12,346 µm²"),
    ],
)
def test_sizes_are_in_the_unit_that_suits(
    document: LabelDocument, size_um: float, is_area: bool, expected: str
) -> None:
    found = describe(document, int(document.segment_ids()[0]))
    assert found is not None
    picked = PickedSegment(found.segment, None, found.box, 1250, size_um, found.state, "", is_area)
    assert size_text(picked) == expected
