"""Every kind of edit keeps the contract of edits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_pytc.geometry import Box
from napari_pytc.proofreading.edits import (
    Delete,
    ImportLabels,
    Lock,
    MarkObjects,
    Merge,
    NewSegment,
    Paint,
    Restore,
    Scribble,
    SetClass,
    SwitchSegmentation,
    Unlock,
)
from napari_pytc.proofreading.edits.base import variants
from napari_pytc.proofreading.edits.shape_edits import FillHoles, RemoveIslands, Smooth
from napari_pytc.proofreading.edits.split import Split, SplitLine
from tests.support.edit_contract import EditContract, ProtectedEditContract, SegmentEditContract

BOX = Box((1, 2, 3), (4, 6, 7))
MASK = np.random.default_rng(0).random(BOX.shape) < 0.6


class TestMerge(ProtectedEditContract):
    edit = Merge(segments=(1, 3))


class TestMergeByPoints(ProtectedEditContract):
    edit = Merge(points=((0, 5, 2), (0, 5, 20), (0, 5, 40)))


class TestSplitAlongSupervoxels(ProtectedEditContract):
    edit = Split(seeds={1: ((2, 8, 1),), 2: ((2, 8, 14),)})


class TestSplitWithinASupervoxel(ProtectedEditContract):
    edit = Split(seeds={1: ((2, 1, 2),), 2: ((2, 14, 2),)})


class TestSplitInThree(ProtectedEditContract):
    edit = Split(seeds={1: ((2, 8, 1),), 2: ((2, 8, 14),), 3: ((8, 8, 1),)})


class TestSplitLine(ProtectedEditContract):
    edit = SplitLine(segment=1, line=((2, 0, 6), (2, 15, 6)))


class TestPaint(ProtectedEditContract):
    edit = Paint.of(BOX.shift((0, 0, 20)), np.ones(BOX.shape, bool), 1)


class TestErase(ProtectedEditContract):
    edit = Paint.of(BOX, MASK, 0)


class TestPaintFarFromTheSegment(ProtectedEditContract):
    edit = Paint.of(Box((0, 0, 45), (2, 2, 47)), np.ones((2, 2, 2), bool), 1)


class TestNewSegment(ProtectedEditContract):
    edit = NewSegment.of(BOX, MASK, class_id=2)


class TestFillHoles(ProtectedEditContract):
    edit = FillHoles(segment=1)


class TestFillHolesInSlices(ProtectedEditContract):
    edit = FillHoles(segment=1, axis=0)


class TestSmooth(ProtectedEditContract):
    edit = Smooth(segment=1, radius_um=0.02)


class TestRemoveIslands(ProtectedEditContract):
    edit = RemoveIslands(segment=1)


class TestDelete(ProtectedEditContract):
    edit = Delete(segments=(1, 3))


class TestRestore(SegmentEditContract):
    before = (Delete(segments=(1,)),)
    edit = Restore(segments=(1,))


class TestLock(SegmentEditContract):
    edit = Lock(segments=(1,))


class TestUnlock(SegmentEditContract):
    before = (Lock(segments=(1, 3)),)
    edit = Unlock(segments=(1,))


class TestSetClass(ProtectedEditContract):
    edit = SetClass(segments=(1, 5), class_id=3)


class TestScribble(EditContract):
    edit = Scribble.of(BOX, np.where(MASK, 2, 0).astype(np.uint8))


class TestMarkObjects(EditContract):
    edit = MarkObjects.of(BOX, np.where(MASK, 2**32 - 1, 7).astype(np.uint32))


class TestSwitchSegmentation(EditContract):
    edit = SwitchSegmentation(before="first", after="second")


class TestCloseTheSegmentation(EditContract):
    edit = SwitchSegmentation(before="first", after=None)


class TestImportLabels(ProtectedEditContract):
    kind = "import_labels"

    @pytest.fixture(autouse=True)
    def labels(self, tmp_path: Path) -> None:
        np.save(tmp_path / "labels.npy", np.arange(60).reshape(3, 4, 5).astype(np.uint16) // 20)
        self.edit = ImportLabels(path=str(tmp_path / "labels.npy"), offset=(1, 2, 3))


def test_no_kind_of_edit_is_without_its_contract() -> None:
    contracts = (EditContract, SegmentEditContract, ProtectedEditContract)
    tested = {test.edit.kind for one in contracts for test in one.__subclasses__() if hasattr(test, "edit")}
    assert tested | {TestImportLabels.kind} == set(variants())
