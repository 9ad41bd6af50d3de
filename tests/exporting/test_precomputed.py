"""Neuroglancer precomputed, read by tensorstore."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tensorstore as ts

from napari_pytc.geometry import VoxelSpace
from tests.support.arrays import FakeArray
from tests.support.exporter_contract import NAMES, ExporterContract, some_labels, some_prediction


def opened(path: Path, scale: int = 0) -> ts.TensorStore:
    spec = {"driver": "neuroglancer_precomputed", "kvstore": f"file://{path}/", "scale_index": scale}
    return ts.open(spec, open=True).result()


class TestPrecomputed(ExporterContract):
    name = "out.precomputed"
    stored = {"uint8": "uint32", "uint16": "uint32"}  # noqa: RUF012
    needs_voxel_size = True
    chunk_bytes = 64**3

    def read_back(self, path: Path) -> tuple[np.ndarray, tuple[float, ...]]:
        found = opened(path)
        info = json.loads((path / "info").read_text())
        data = found.read().result().T
        return (data if len(data) > 1 else data[0]), tuple(reversed(info["scales"][0]["resolution"]))

    def test_labels_are_a_compressed_segmentation_with_names(self, tmp_path: Path):
        path = tmp_path / self.name
        self.export(FakeArray(some_labels(dtype="uint64")), path, class_names=NAMES, name="classes")
        info = json.loads((path / "info").read_text())
        assert (info["type"], info["data_type"], info["num_channels"]) == ("segmentation", "uint64", 1)
        assert info["scales"][0]["encoding"] == "compressed_segmentation"
        properties = json.loads((path / info["segment_properties"] / "info").read_text())
        assert properties["inline"]["ids"] == ["1", "2", "3"]
        assert properties["inline"]["properties"][0]["values"] == list(NAMES)
        assert opened(path).dtype.numpy_dtype == np.uint64

    def test_probabilities_are_an_image(self, tmp_path: Path):
        path = tmp_path / self.name
        self.export(some_prediction(), path)
        info = json.loads((path / "info").read_text())
        assert (info["type"], info["data_type"], info["num_channels"]) == ("image", "uint8", 3)
        assert info["scales"][0]["encoding"] == "raw"

    @pytest.mark.parametrize(
        ("origin", "offset", "n_notes"), [((80, -9.2, 16), (2, -2, 4), 0), ((90, 0, 0), (2, 0, 0), 1)]
    )
    def test_it_lands_where_it_was(self, tmp_path: Path, origin, offset, n_notes: int):
        path = tmp_path / self.name
        array = FakeArray(some_labels(), VoxelSpace((40.0, 4.6, 4.0), origin))
        self.export(array, path, content="image")
        found = opened(path)
        assert found.domain.origin[:3] == tuple(reversed(offset))
        from napari_pytc.exporting.base import ExportOptions
        from napari_pytc.exporting.formats import exporter_for

        assert len(exporter_for(path).plan(array, ExportOptions(content="image")).notes) == n_notes
