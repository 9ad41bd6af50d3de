"""Strokes and object labels as the journal changes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_pytc.annotations.paint_store import PaintStore
from napari_pytc.errors import InvalidEdit, InvalidInput
from napari_pytc.geometry import Box, VoxelSpace
from napari_pytc.proofreading.edits import MarkObjects, Scribble
from napari_pytc.proofreading.paint_document import PaintDocument

SHAPE = (4, 20, 20)
BOX = Box((1, 2, 3), (2, 6, 9))
KINDS = {"annotations": (Scribble, np.uint8), "objects": (MarkObjects, np.uint32)}


@pytest.fixture(params=list(KINDS))
def target(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def document(tmp_path: Path, target) -> PaintDocument:
    return PaintDocument(PaintStore(tmp_path / "painted.zarr", SHAPE, VoxelSpace(), KINDS[target][1]), target)


def test_an_edit_there_and_back(document: PaintDocument, target) -> None:
    kind, dtype = KINDS[target]
    labels = np.random.default_rng(0).integers(0, 3, BOX.shape).astype(dtype)
    change = kind.of(BOX, labels).plan(document)
    assert not document.labels(BOX).any(), "planning changes nothing"
    assert (change.target, change.n_voxels) == (target, np.count_nonzero(labels))
    document.apply(change)
    document.apply(change)
    np.testing.assert_array_equal(document.labels(BOX), labels)
    with pytest.raises(InvalidEdit, match="change nothing"):
        kind.of(BOX, labels).plan(document)
    document.apply(change.inverse())
    assert not document.labels(Box.of_shape(SHAPE)).any()
    assert document.shape == SHAPE


def test_changes_of_something_else_are_refused(document: PaintDocument, target, tmp_path: Path) -> None:
    other = next(name for name in KINDS if name != target)
    kind, dtype = KINDS[other]
    elsewhere = PaintDocument(PaintStore(tmp_path / "other.zarr", SHAPE, VoxelSpace(), dtype), other)
    change = kind.of(BOX, np.ones(BOX.shape, dtype)).plan(elsewhere)
    with pytest.raises(InvalidInput, match=f"take changes of {target}, got one of {other}"):
        document.apply(change)


def test_edits_beyond_the_volume_or_of_another_type_are_refused(document: PaintDocument, target) -> None:
    kind, dtype = KINDS[target]
    beyond = Box((0, 0, 15), (1, 1, 25))
    with pytest.raises(InvalidEdit, match="lies within the volume"):
        kind.of(beyond, np.ones(beyond.shape, dtype)).plan(document)
    with pytest.raises(InvalidEdit, match="of its shape"):
        kind.of(BOX, np.ones(BOX.shape, np.int16))
    edit = kind.of(BOX, np.ones(BOX.shape, dtype))
    with pytest.raises(InvalidEdit, match="bytes of labels"):
        edit.model_copy(update={"box": Box((0, 0, 0), (1, 1, 1))}).plan(document)
    with pytest.raises(InvalidEdit, match="deflated bytes in base64"):
        edit.model_copy(update={"labels": "?"}).plan(document)
