"""Names of the classes in files of labels: those of our exports, and of other programs."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile

from napari_pytc.exporting.base import ExportOptions
from napari_pytc.exporting.formats import BY_KEY, exporter_for
from napari_pytc.geometry import VoxelSpace
from napari_pytc.volumes.class_names import read_class_names
from napari_pytc.volumes.opening import open_labels
from tests.support.arrays import FakeArray
from tests.support.contexts import RecordingContext

NAMES = ("membrane", "mitochondriën", "the rest")
SPACE = VoxelSpace((40, 4, 4))


def labels(dtype: str = "uint8") -> np.ndarray:
    return (np.arange(3 * 16 * 16) % 4).reshape(3, 16, 16).astype(dtype)


def exported(folder: Path, key: str, dtype: str = "uint8", **options: object) -> Path:
    suffixes = BY_KEY[key].suffixes
    path = folder / f"labels{suffixes[0] if suffixes else ''}"
    chosen = ExportOptions.model_validate({"class_names": NAMES, "name": "classes", **options})
    exporter_for(path, key).export(FakeArray(labels(dtype), SPACE), path, chosen, RecordingContext())
    return path


@pytest.mark.parametrize("key", sorted(set(BY_KEY) - {"mrc", "precomputed"}))
def test_exports_carry_the_names(key: str, tmp_path: Path) -> None:
    found = read_class_names(open_labels(exported(tmp_path, key)).spec)
    assert found == dict(enumerate(NAMES, start=1))


def test_so_does_precomputed_of_ids(tmp_path: Path) -> None:
    assert read_class_names(open_labels(exported(tmp_path, "precomputed", "uint32")).spec) == dict(
        enumerate(NAMES, start=1)
    )


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_both_versions_of_ome_zarr_do(version: str, tmp_path: Path) -> None:
    found = read_class_names(open_labels(exported(tmp_path, "zarr", ome=version)).spec)
    assert list(found.values()) == list(NAMES)


def test_mrc_has_no_place_for_them(tmp_path: Path) -> None:
    assert read_class_names(open_labels(exported(tmp_path, "mrc", "uint16")).spec) == {}


def test_a_table_of_values_of_another_program_is_read(tmp_path: Path) -> None:
    path = exported(tmp_path, "zarr", class_names=(), name="labels")
    for metadata in path.rglob("zarr.json"):
        content = json.loads(metadata.read_text(encoding="utf-8"))
        ome = content.get("attributes", {}).get("ome", {})
        if "image-label" in ome:
            ome["image-label"]["properties"] = [
                {"label-value": 7, "class": "glia"},
                {"label-value": 9, "class": ""},
                {"label-value": 200, "class": "axon"},
            ]
            metadata.write_text(json.dumps(content), encoding="utf-8")
    assert read_class_names(open_labels(f"{path}:labels/labels").spec) == {7: "glia", 200: "axon"}


def test_lines_of_imagej_are_names_where_all_have_a_number(tmp_path: Path) -> None:
    for text, names in (
        ("1 membrane\n2 the inside", {1: "membrane", 2: "the inside"}),
        ("1 membrane\nmade in May", {}),
        ("", {}),
    ):
        path = tmp_path / "labels.tif"
        tifffile.imwrite(path, labels(), imagej=True, metadata={"axes": "ZYX", "Info": text})
        assert read_class_names(open_labels(path).spec) == names


@pytest.mark.parametrize("value", ["membrane", 7, [[1, 2]]], ids=["text", "number", "table"])
def test_what_is_no_list_of_names_is_none_or_text(value: object, tmp_path: Path) -> None:
    path = tmp_path / "labels.h5"
    with h5py.File(path, "w") as file:
        file["labels"] = labels()
        file["labels"].attrs["class_names"] = value
    found = read_class_names(open_labels(f"{path}:labels").spec)
    assert all(isinstance(name, str) for name in found.values())
    assert "m" not in found.values(), "a text is no list of letters"


def test_a_file_without_names_has_none(tmp_path: Path) -> None:
    np.save(tmp_path / "labels.npy", labels())
    assert read_class_names(open_labels(tmp_path / "labels.npy").spec) == {}
    tifffile.imwrite(
        tmp_path / "labels.tif", labels(), photometric="minisblack", description='["a", "list"]', metadata=None
    )
    assert read_class_names(open_labels(tmp_path / "labels.tif").spec) == {}
