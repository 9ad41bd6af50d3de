"""Prediction and truth are compared in the same voxels and numbers, or refused."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from napari_pytc.annotations.label_pair import pair_labels
from napari_pytc.annotations.label_source import ArrayLabels
from napari_pytc.errors import InvalidInput
from napari_pytc.exporting.base import ExportOptions
from napari_pytc.exporting.formats import exporter_for
from napari_pytc.geometry import Box, VoxelSpace
from napari_pytc.volumes.opening import open_labels, open_volume
from tests.support.arrays import FakeArray
from tests.support.contexts import RecordingContext


def named(path: Path, labels: np.ndarray, names: list[str], **attributes: object) -> object:
    with h5py.File(path, "w") as file:
        file["a"] = labels
        file["a"].attrs["class_names"] = names
        for name, value in attributes.items():
            file["a"].attrs[name] = value
    return open_volume(path)


def test_names_that_one_file_alone_has_are_told(tmp_path: Path):
    labels = np.array([[[0, 1, 2, 3]]], np.uint8)
    ours = named(tmp_path / "a.h5", labels, ["membrane", "inside"])
    for pair, who in (
        (pair_labels(ours, ArrayLabels(labels)), "prediction"),
        (pair_labels(ArrayLabels(labels), ours), "truth"),
    ):
        assert f"The file of the {who} names its classes (1 membrane, 2 inside)" in pair.notes[-1]
        assert "compared as they are" in pair.notes[-1]
    assert pair_labels(ours, ArrayLabels(labels), classes=False).notes == ()


def test_numbers_of_classes_follow_their_names(tmp_path: Path):
    labels = np.array([[[0, 1, 2, 3]]], np.uint8)
    ours = named(tmp_path / "a.h5", labels, ["membrane", "inside", "mito"])
    theirs = named(tmp_path / "b.h5", labels, ["inside", "membrane", "er"])
    pair = pair_labels(ours, theirs)
    assert pair.predicted.read(pair.box).ravel().tolist() == [0, 2, 1, 4]
    assert pair.truth.read(pair.box).ravel().tolist() == [0, 1, 2, 3]
    assert pair.names == {1: "inside", 2: "membrane", 3: "er", 4: "mito"}
    assert "1 (membrane) became 2, 2 (inside) became 1, 3 (mito) became 4" in pair.notes[0]
    assert pair_labels(ours, ours).notes == ()
    assert pair_labels(ours, theirs, classes=False).predicted.read(pair.box).ravel().tolist() == [0, 1, 2, 3]
    assert pair_labels(ours, ArrayLabels(labels)).names == {1: "membrane", 2: "inside", 3: "mito"}


def test_volumes_of_other_shapes_are_compared_where_they_overlap():
    truth = np.arange(1, 1 + 4 * 5 * 6, dtype=np.uint32).reshape(4, 5, 6)
    space = VoxelSpace((40, 4, 4))
    part = ArrayLabels(truth[1:3, 2:, :4], VoxelSpace((40, 4, 4), (40, 8, 0)))
    pair = pair_labels(part, ArrayLabels(truth, space))
    assert pair.box == Box((1, 2, 0), (3, 5, 4))
    assert np.array_equal(pair.predicted.read(pair.box), truth[pair.box.slices])
    assert "overlap in 1:3,2:5,0:4" in pair.notes[0]
    pair = pair_labels(ArrayLabels(truth, space), part)
    assert pair.box == Box((0, 0, 0), (2, 3, 4))
    assert np.array_equal(pair.predicted.read(pair.box), pair.truth.read(pair.box))


@pytest.mark.parametrize(
    ("space", "sentence"),
    [
        (VoxelSpace.unknown(), r"one shape, got \(2, 5, 6\) and \(4, 5, 6\)\."),
        (VoxelSpace((80, 4, 4), (0, 4, 0)), "voxels are of 80,4,4 and 40,4,4 nm"),
        (VoxelSpace((40, 4, 4), (0, 400, 0)), "no place that both cover"),
    ],
)
def test_volumes_that_do_not_say_how_they_lie_are_refused(space: VoxelSpace, sentence: str):
    truth = np.ones((4, 5, 6), np.uint8)
    with pytest.raises(InvalidInput, match=sentence):
        pair_labels(ArrayLabels(truth[:2], space), ArrayLabels(truth, VoxelSpace((40, 4, 4))))


def test_exports_that_begin_at_the_first_voxel_are_compared_where_they_overlap(tmp_path: Path):
    space, labels = VoxelSpace((40, 4, 4)), np.arange(1, 1 + 4 * 5 * 6, dtype=np.uint32).reshape(4, 5, 6)
    files = [tmp_path / "crop.h5", tmp_path / "whole.h5"]
    for path, part in zip(files, (labels[:2, :3], labels), strict=True):
        array = FakeArray(part, space)
        exporter_for(path, "h5").export(array, path, ExportOptions(content="labels"), RecordingContext())
    pair = pair_labels(*map(open_labels, files), classes=False)
    assert pair.box == Box((0, 0, 0), (2, 3, 6))
    assert np.array_equal(pair.predicted.read(pair.box), pair.truth.read(pair.box))
    assert "as their files have the origin 0, or say none; only that was compared" in pair.notes[-1]


def test_files_of_one_shape_that_contradict_each_other_are_told():
    labels, here = np.ones((4, 5, 6), np.uint8), VoxelSpace((40, 4, 4))
    assert pair_labels(ArrayLabels(labels, here), ArrayLabels(labels, here)).notes == ()
    other = pair_labels(ArrayLabels(labels, VoxelSpace((80, 4, 4))), ArrayLabels(labels, here))
    assert "voxels of 80,4,4 nm" in other.notes[0]
    away = pair_labels(ArrayLabels(labels, VoxelSpace((40, 4, 4), (0, 8, 0))), ArrayLabels(labels, here))
    assert "begins 0,2,0 voxels" in away.notes[0]


def test_no_label_of_cremi_is_0_and_values_are_mapped():
    labels = np.array([[[2**64 - 1, 255, 7]]], np.uint64)
    pair = pair_labels(ArrayLabels(labels), ArrayLabels(labels), {255: 1, 7: 300})
    assert pair.truth.read(pair.box).ravel().tolist() == [0, 1, 300]
    small = pair_labels(ArrayLabels(np.array([[[7]]], np.uint8)), ArrayLabels(np.array([[[7]]], np.uint8)), {7: 300})
    assert small.truth.read(small.box).ravel().tolist() == [300]
