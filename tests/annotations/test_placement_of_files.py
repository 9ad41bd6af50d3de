"""Placement of labels in files of each format, whose origin of 0 may stand for nothing said."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from napari_pytc.annotations.placement import place_labels
from napari_pytc.exporting.base import ExportOptions
from napari_pytc.exporting.formats import BY_KEY, exporter_for
from napari_pytc.geometry import Box, VoxelSpace
from napari_pytc.volumes.opening import open_labels
from tests.support.arrays import FakeArray
from tests.support.contexts import RecordingContext

IMAGE, PART, SIZE = (12, 64, 64), (4, 32, 32), (40.0, 4.0, 4.0)
NOWHERE, ELSEWHERE = VoxelSpace(SIZE), VoxelSpace(SIZE, (400, 40, 40))
AROUND = VoxelSpace(SIZE, (-80, -40, -4))


def exported(folder: Path, key: str, space: VoxelSpace) -> VoxelSpace:
    """The space of an export of a part, read back."""
    suffixes = BY_KEY[key].suffixes
    path = folder / f"labels{suffixes[0] if suffixes else ''}"
    array = FakeArray(np.ones(PART, np.uint8), space)
    exporter_for(path, key).export(array, path, ExportOptions(content="labels"), RecordingContext())
    return open_labels(path).space


@pytest.mark.parametrize("key", BY_KEY)
def test_an_export_with_an_origin_of_0_does_not_say_where_it_lies(key: str, tmp_path: Path) -> None:
    space = exported(tmp_path, key, NOWHERE)
    assert space.known
    assert not space.is_placed

    placed = place_labels(PART, space, IMAGE, NOWHERE)
    assert placed.box.start == (0, 0, 0)
    assert "do not say where they lie" in placed.notes[0]

    elsewhere = place_labels(PART, space, IMAGE, ELSEWHERE)
    assert elsewhere.box == Box((0, 0, 0), PART), "not cut off at what would be voxel -10,-10,-10"
    assert "do not say where they lie" in elsewhere.notes[0]

    around = place_labels(PART, space, IMAGE, AROUND)
    assert around.box.start == (2, 10, 1)
    assert "have the origin 0, or say none" in around.notes[0]


@pytest.mark.parametrize("key", BY_KEY)
def test_an_export_of_a_box_lies_where_it_was(key: str, tmp_path: Path) -> None:
    space = exported(tmp_path, key, VoxelSpace(SIZE, (160, 64, 60)))
    placed = place_labels(PART, space, IMAGE, NOWHERE)
    assert placed.box.start == (4, 16, 15)
    assert placed.notes == ()


def labels_that_say_0(folder: Path, kind: str) -> VoxelSpace:
    """Labels of a program that says 0 where it means it: CREMI and funlib in HDF5, OME-Zarr with a translation."""
    if kind == "ome-zarr":
        folder = folder / "labels.zarr"
        exported(folder.parent, "zarr", NOWHERE)
        for metadata in folder.rglob("zarr.json"):
            content = json.loads(metadata.read_text(encoding="utf-8"))
            for image in content.get("attributes", {}).get("ome", {}).get("multiscales", ()):
                transforms = image["datasets"][0]["coordinateTransformations"]
                transforms.append({"type": "translation", "translation": [0.0, 0.0, 0.0]})
            metadata.write_text(json.dumps(content), encoding="utf-8")
        return open_labels(folder).space
    path = folder / "labels.h5"
    with h5py.File(path, "w") as file:
        file["labels"] = np.ones(PART, np.uint8)
        file["labels"].attrs["resolution" if kind == "cremi" else "voxel_size"] = SIZE
        file["labels"].attrs["offset"] = (0.0, 0.0, 0.0)
    return open_labels(f"{path}:labels").space


@pytest.mark.parametrize("kind", ["cremi", "funlib", "ome-zarr"])
def test_an_origin_of_0_counts_where_the_image_has_an_origin_too(kind: str, tmp_path: Path) -> None:
    space = labels_that_say_0(tmp_path, kind)
    assert space.is_placed

    around = place_labels(PART, space, IMAGE, AROUND)
    assert (around.box.start, around.notes) == ((2, 10, 1), ())

    nowhere = place_labels(PART, space, IMAGE, NOWHERE)
    assert nowhere.box.start == (0, 0, 0)
    assert "have the origin 0, as files do that know no place" in nowhere.notes[0]

    said = place_labels(PART, space, IMAGE, VoxelSpace(SIZE, is_placed=True))
    assert (said.box.start, said.notes) == ((0, 0, 0), ())
