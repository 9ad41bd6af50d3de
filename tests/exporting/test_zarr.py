from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import zarr

from napari_pytc.errors import InvalidInput
from napari_pytc.exporting.base import ExportOptions
from napari_pytc.exporting.zarr import ZarrExporter
from napari_pytc.geometry import Box
from tests.support.arrays import FakeArray
from tests.support.contexts import RecordingContext
from tests.support.exporter_contract import NAMES, ExporterContract, some_labels, some_prediction


class TestZarr(ExporterContract):
    name = "out.zarr"
    chunk_bytes = 2**22

    def read_back(self, path: Path) -> tuple[np.ndarray, tuple[float, ...] | None]:
        group = zarr.open_group(path, mode="r")
        (multiscale,) = group.attrs["ome"]["multiscales"]
        (level,) = multiscale["datasets"]
        (scale,) = (t["scale"] for t in level["coordinateTransformations"] if t["type"] == "scale")
        units = {axis.get("unit") for axis in multiscale["axes"] if axis["type"] == "space"}
        assert units <= {"nanometer", None}
        return group[level["path"]][...], tuple(scale[-3:]) if "nanometer" in units else None

    def test_ome_zarr_5(self, tmp_path: Path):
        path = tmp_path / self.name
        self.export(some_prediction(), path, class_names=NAMES)
        group = zarr.open_group(path, mode="r")
        assert group.metadata.zarr_format == 3
        assert group.attrs["ome"]["version"] == "0.5"
        assert group.attrs["ome"]["multiscales"][0]["name"] == "out"
        assert [axis["name"] for axis in group.attrs["ome"]["multiscales"][0]["axes"]] == ["c", "z", "y", "x"]
        assert "mitochondriën" in str(dict(group.attrs))

    def test_compression_it_has_not_is_refused(self, tmp_path: Path):
        with pytest.raises(InvalidInput):
            self.export(FakeArray(some_labels()), tmp_path / self.name, compression="zlib")
        assert list(tmp_path.iterdir()) == []


def test_the_contrast_of_an_image_is_found_in_one_reading_of_each_block(tmp_path: Path):
    class Counting(FakeArray):
        boxes: ClassVar[list[Box]] = []

        def read(self, box: Box) -> np.ndarray:
            self.boxes.append(box)
            return super().read(box)

    data = np.random.default_rng(0).integers(0, 200, (3, 4, 16, 16)).astype(np.uint8)
    data[1] //= 4
    array = Counting(data, channels=("a", "b", "c"))
    options = ExportOptions(content="image", name="image", pyramid=False)
    ZarrExporter().export(array, tmp_path / "out.zarr", options, RecordingContext())

    assert Counting.boxes.count(Box.of_shape(array.shape)) == 2, "once to write, once for the contrast"
    channels = zarr.open_group(tmp_path / "out.zarr", mode="r").attrs["ome"]["omero"]["channels"]
    ends = [channel["window"]["end"] for channel in channels]
    assert ends == pytest.approx([np.percentile(one, 99.5) for one in data])


class TestZarrOf04(TestZarr):
    """The same, read by the same means, in OME-Zarr 0.4."""

    def export(self, array: FakeArray, path: Path, *arguments, **options) -> None:
        super().export(array, path, *arguments, **{"ome": "0.4"} | options)

    def read_back(self, path: Path) -> tuple[np.ndarray, tuple[float, ...] | None]:
        group = zarr.open_group(path, mode="r", zarr_format=2)
        (multiscale,) = group.attrs["multiscales"]
        assert multiscale["version"] == "0.4"
        (level,) = multiscale["datasets"]
        (scale,) = (t["scale"] for t in level["coordinateTransformations"] if t["type"] == "scale")
        units = {axis.get("unit") for axis in multiscale["axes"] if axis["type"] == "space"}
        return group[level["path"]][...], tuple(scale[-3:]) if "nanometer" in units else None

    def test_ome_zarr_5(self, tmp_path: Path):
        path = tmp_path / self.name
        self.export(FakeArray(some_labels()), path, class_names=NAMES)
        assert (path / ".zgroup").is_file()
        assert not list(path.rglob("zarr.json"))
        assert "mitochondriën" in str(dict(zarr.open_group(path, mode="r", zarr_format=2).attrs))
