"""NIfTI, read by nibabel."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest

from napari_pytc.errors import InvalidInput
from napari_pytc.exporting import optional
from napari_pytc.geometry import VoxelSpace
from tests.support.arrays import FakeArray
from tests.support.exporter_contract import NAMES, ExporterContract, some_labels, some_prediction


class TestNifti(ExporterContract):
    name = "out.nii.gz"

    def read_back(self, path: Path) -> tuple[np.ndarray, tuple[float, ...] | None]:
        image = nibabel.load(path)
        data = np.asanyarray(image.dataobj).T
        data = data[:, 0] if data.ndim == 5 else data
        unit = image.header.get_xyzt_units()[0]
        assert unit in ("micron", "unknown")
        size = tuple(1e3 * float(v) for v in reversed(image.header.get_zooms()[:3]))
        return data, size if unit == "micron" else None

    def test_a_box_lands_where_it_was(self, tmp_path: Path):
        path = tmp_path / self.name
        self.export(FakeArray(some_labels(), VoxelSpace((40, 4, 5), (80, 12, -50))), path)
        affine = nibabel.load(path).affine
        assert affine[:3, 3] == pytest.approx((-0.05, 0.012, 0.08))
        assert np.diag(affine)[:3] == pytest.approx((0.005, 0.004, 0.04))

    def test_names_are_a_comment(self, tmp_path: Path):
        path = tmp_path / self.name
        self.export(some_prediction(), path, class_names=NAMES)
        image = nibabel.load(path)
        assert image.shape == (50, 40, 7, 1, 3)
        assert image.header.get_intent()[0] == "vector"
        (comment,) = image.header.extensions
        assert json.loads(comment.get_content())["class_names"] == list(NAMES)

    def test_long_axes_are_a_nifti_2(self, tmp_path: Path):
        path, labels = tmp_path / self.name, some_labels((1, 2, 40000))
        self.export(FakeArray(labels), path)
        assert isinstance(nibabel.load(path), nibabel.Nifti2Image)
        assert self.is_intact(path, labels)

    def test_two_exports_of_one_volume_are_the_same_bytes(self, tmp_path: Path):
        for name in ("a.nii.gz", "b.nii.gz"):
            self.export(FakeArray(some_labels()), tmp_path / name)
        assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()

    def test_where_nibabel_is_missing_the_message_names_the_extra(self, tmp_path: Path, monkeypatch):
        monkeypatch.setattr(optional, "find_spec", lambda name: None)
        with pytest.raises(InvalidInput, match="nibabel") as caught:
            self.export(FakeArray(some_labels()), tmp_path / self.name)
        assert "napari-pytc[formats]" in caught.value.hint


class TestPlainNifti(TestNifti):
    name = "out.nii"

    def test_two_exports_of_one_volume_are_the_same_bytes(self, tmp_path: Path):
        labels = some_labels()
        self.export(FakeArray(labels), tmp_path / self.name)
        assert (tmp_path / self.name).read_bytes().endswith(labels.tobytes())
