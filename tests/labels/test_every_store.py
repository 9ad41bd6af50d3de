"""Every editable store of labels keeps the contract."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from napari_pytc.annotations.paint_store import PaintStore
from napari_pytc.geometry import Box, VoxelSpace
from napari_pytc.labels.editable import EditableLabels
from napari_pytc.labels.patches import LabelPatch
from napari_pytc.labels.store import LabelStore
from tests.support.label_contract import SHAPE, LabelContract

SPACE = VoxelSpace((40, 4, 4))
CHUNK = (4, 16, 16)


class TestLabelStore(LabelContract):
    def make(self, folder: Path) -> LabelStore:
        return LabelStore.create(folder / "labels.zarr", SHAPE, self.dtype, SPACE, CHUNK)

    def reopen(self, store: LabelStore, folder: Path) -> LabelStore:
        return LabelStore.open(folder / "labels.zarr")


class TestLabelStoreOfBytes(TestLabelStore):
    dtype = np.uint8


class TestStrokes(LabelContract):
    dtype = np.uint8

    def make(self, folder: Path) -> PaintStore:
        return PaintStore.create(folder / "annotations.zarr", SHAPE, SPACE)

    def reopen(self, store: PaintStore, folder: Path) -> PaintStore:
        return PaintStore.open(folder / "annotations.zarr")


class TestObjectLabels(LabelContract):
    """Made by the first label only."""

    def make(self, folder: Path) -> PaintStore:
        return PaintStore(folder / "objects.zarr", SHAPE, SPACE, np.uint32)

    def reopen(self, store: PaintStore, folder: Path) -> PaintStore:
        return PaintStore.open(folder / "objects.zarr", dtype=np.uint32)


class TestStrokesInPatches(TestStrokes):
    """Written as a stroke is: the patch is made of what is there, then applied."""

    def write(self, store: PaintStore, box: Box, labels: np.ndarray) -> None:
        with store.changing():
            patch = store.patch_of(box, labels, np.ones(box.shape, bool))
            if patch is not None:
                store.apply([patch])


class TestSegmentsUnderEdits(LabelContract):
    """Over a decoded segmentation that is all background; edits stay in memory until they are flushed."""

    def make(self, folder: Path) -> EditableLabels:
        LabelStore.create(folder / "base.zarr", SHAPE, np.uint32, SPACE, CHUNK)
        LabelStore.create(folder / "edits.zarr", SHAPE, np.uint32, SPACE, CHUNK)
        return self._open(folder)

    def reopen(self, store: EditableLabels, folder: Path) -> EditableLabels:
        store.flush()
        return self._open(folder)

    def write(self, store: EditableLabels, box: Box, labels: np.ndarray) -> None:
        mask = np.ones(box.shape, bool)
        store.apply(LabelPatch(box, mask, np.zeros_like(labels).ravel(), labels.ravel().copy()))

    def _open(self, folder: Path) -> EditableLabels:
        base = LabelStore.open(folder / "base.zarr", writable=False)
        return EditableLabels(base, LabelStore.open(folder / "edits.zarr"), cache_bytes=20_000)
