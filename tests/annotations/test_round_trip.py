"""What is exported of a box lands where it was when it is annotated again, with the names of its classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_pytc.annotations.importing import import_classes, named_classes
from napari_pytc.annotations.label_transform import LabelTransform
from napari_pytc.annotations.paint_store import PaintStore
from napari_pytc.exporting.base import ExportOptions
from napari_pytc.exporting.formats import exporter_for
from napari_pytc.exporting.views import Crop
from napari_pytc.geometry import Box, VoxelSpace
from napari_pytc.volumes.opening import open_labels
from tests.support.arrays import FakeArray
from tests.support.faults import StepContext

SHAPE = (9, 40, 48)
BOX = Box((3, 8, 16), (8, 31, 45))
NAMES = ("membrane", "inside", "rest")
FORMATS = {
    "a.ome.tif": None, "a.tif": None, "a.h5": None, "a.zarr": None, "a.precomputed": None, "a.nii.gz": None,
    "a.mrc": None, "png": "png-series", "tif": "tif-series",
}  # fmt: skip
NOT_HELD = (("a.mrc", "uint32"), ("png", "uint32"))


@pytest.mark.parametrize(
    ("name", "dtype"),
    [(name, dtype) for name in FORMATS for dtype in ("uint8", "uint16", "uint32") if (name, dtype) not in NOT_HELD],
)
@pytest.mark.parametrize("origin", [(0, 0, 0), (400, 40, 80), (-40, -80, -4)])
def test_a_box_lands_where_it_was(tmp_path: Path, name: str, dtype: str, origin: tuple[float, float, float]):
    space = VoxelSpace((40, 4, 4), origin)
    labels = np.random.default_rng(0).integers(0, 4, SHAPE).astype(dtype)
    options = ExportOptions(class_names=NAMES, name="classes")
    path = tmp_path / name
    exporter_for(path, FORMATS[name]).export(Crop(FakeArray(labels, space), BOX), path, options, StepContext())
    where = f"{path}:labels/classes/0" if name == "a.zarr" else path
    source = open_labels(where)
    assert source.space.origin_nm == pytest.approx([o + s for o, s in zip(origin, (120, 32, 64), strict=True)])
    placed = LabelTransform().place(source, SHAPE, space)
    assert placed.box == BOX
    assert placed.placement.notes == ()
    assert np.array_equal(placed.read(BOX), labels[BOX.slices])
    store = PaintStore.create(tmp_path / "strokes", SHAPE, space)
    turned = NAMES[::-1] if name != "a.mrc" else NAMES  # an MRC has no names, so that numbers count
    assert dict(named_classes(source)) == ({} if name == "a.mrc" else dict(enumerate(NAMES, 1)))
    import_classes(store, source, turned)
    expected = np.zeros_like(labels)
    expected[BOX.slices] = labels[BOX.slices]
    if name != "a.mrc":
        expected = np.where(expected > 0, 4 - expected, 0)
    assert np.array_equal(store.read(Box.of_shape(SHAPE)), expected)


def test_sections_that_were_taken_out_leave_the_others_in_place(tmp_path: Path):
    space = VoxelSpace((40, 4, 4))
    labels = np.arange(SHAPE[0] * 40 * 48).reshape(SHAPE).astype(np.uint16)
    path = tmp_path / "png"
    exporter_for(path, "png-series").export(Crop(FakeArray(labels, space), BOX), path, ExportOptions(), StepContext())
    (path / "0003.png").unlink()
    placed = LabelTransform().place(open_labels(path), SHAPE, space)
    assert placed.box == Box((4, 8, 16), BOX.stop)
    assert np.array_equal(placed.read(placed.box), labels[placed.box.slices])
