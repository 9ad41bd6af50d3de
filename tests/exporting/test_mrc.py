"""MRC, read and validated by mrcfile."""

from __future__ import annotations

import io
from pathlib import Path

import mrcfile
import numpy as np
import pytest

from napari_pytc.errors import InvalidInput
from napari_pytc.exporting import optional
from napari_pytc.exporting.base import ExportOptions
from napari_pytc.exporting.formats import exporter_for
from napari_pytc.geometry import VoxelSpace
from tests.support.arrays import FakeArray
from tests.support.exporter_contract import NAMES, ExporterContract, some_labels


class TestMrc(ExporterContract):
    name = "out.mrc"
    dtypes = ("uint8", "uint16", "float32")
    stored = {"uint8": "uint16"}  # noqa: RUF012
    has_channels = False

    def read_back(self, path: Path) -> tuple[np.ndarray, tuple[float, ...] | None]:
        report = io.StringIO()
        assert mrcfile.validate(path, print_file=report), report.getvalue()
        with mrcfile.open(path) as file:
            size = (file.voxel_size.z, file.voxel_size.y, file.voxel_size.x)
            return np.array(file.data), tuple(0.1 * float(v) for v in size) if min(size) > 0 else None

    def test_a_box_lands_where_it_was_and_names_are_lines_of_the_header(self, tmp_path: Path):
        path = tmp_path / self.name
        array = FakeArray(some_labels(), VoxelSpace((40, 4, 5), (80, 12, -50)))
        self.export(array, path, class_names=NAMES)
        with mrcfile.open(path) as file:
            origin = file.header.origin
            assert (origin.z, origin.y, origin.x) == pytest.approx((800, 120, -500))
            assert file.get_labels() == ["class 1 membrane", "class 2 mitochondri?n", "class 3 rest"]
            assert file.is_volume()
        notes = exporter_for(path).plan(array, ExportOptions(class_names=NAMES)).notes
        assert any("stored as uint16" in note for note in notes)
        assert any("mitochondriën" in note for note in notes)

    def test_where_mrcfile_is_missing_the_message_names_the_extra(self, tmp_path: Path, monkeypatch):
        monkeypatch.setattr(optional, "find_spec", lambda name: None)
        with pytest.raises(InvalidInput, match="mrcfile") as caught:
            self.export(FakeArray(some_labels()), tmp_path / self.name)
        assert "napari-pytc[formats]" in caught.value.hint
