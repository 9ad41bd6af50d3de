from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_pytc.errors import InvalidInput, VolumeError
from napari_pytc.geometry import Box, VoxelSpace
from napari_pytc.labels.store import LabelStore
from tests.support.faults import file_size_limit

SPACE = VoxelSpace((40.0, 4.0, 4.5), (80.0, 0.0, 9.0))
SHAPE = (20, 50, 60)
WHOLE = Box.of_shape(SHAPE)


def make_store(folder: Path, dtype: str = "uint8") -> LabelStore:
    return LabelStore.create(folder / "labels.zarr", SHAPE, dtype, SPACE, chunk_shape=(8, 16, 16))


def test_a_new_store_is_empty_and_has_no_chunk(tmp_path: Path):
    store = make_store(tmp_path)
    assert not store.read(WHOLE).any()
    assert store.chunks() == []
    assert store.revision == 0
    assert (store.shape, store.chunk_shape, store.dtype) == (SHAPE, (8, 16, 16), np.uint8)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "uint64", "int32"])
def test_what_is_written_is_read_after_opening_again(tmp_path: Path, dtype: str):
    store = make_store(tmp_path, dtype)
    box = Box((3, 10, 15), (12, 33, 60))
    data = np.random.default_rng(0).integers(0, 100, box.shape).astype(dtype)
    store.write(box, data)
    again = LabelStore.open(store.path)
    expected = np.zeros(SHAPE, dtype)
    expected[box.slices] = data
    assert again.dtype == np.dtype(dtype)
    assert np.array_equal(again.read(WHOLE), expected)
    assert again.space == SPACE


def test_zarr_reads_it_with_its_scale(tmp_path: Path):
    store = make_store(tmp_path, "uint16")
    store.write(Box((1, 2, 3), (2, 4, 6)), np.full((1, 2, 3), 300, np.uint16))
    group = zarr.open_group(str(store.path), mode="r")
    assert group["0"][1, 2, 3] == 300
    assert np.count_nonzero(group["0"][:]) == 6
    multiscale = group.attrs["ome"]["multiscales"][0]
    assert [axis["name"] for axis in multiscale["axes"]] == ["z", "y", "x"]
    assert multiscale["datasets"][0]["coordinateTransformations"][0]["scale"] == list(SPACE.voxel_size_nm)


def test_an_unknown_voxel_size_stays_unknown(tmp_path: Path):
    LabelStore.create(tmp_path / "a.zarr", SHAPE, np.uint8, VoxelSpace.unknown())
    assert not LabelStore.open(tmp_path / "a.zarr").space.known


@pytest.mark.slow
@settings(max_examples=20)
@given(st.data())
def test_boxes_are_the_chunks_that_hold_labels(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject):
    store = make_store(tmp_path_factory.mktemp("store"))
    expected = np.zeros(SHAPE, np.uint8)
    for _ in range(data.draw(st.integers(1, 4))):
        start = [data.draw(st.integers(0, n - 1)) for n in SHAPE]
        stop = [data.draw(st.integers(a + 1, n)) for a, n in zip(start, SHAPE, strict=True)]
        box = Box(tuple(start), tuple(stop))
        label = data.draw(st.integers(0, 3))
        store.write(box, np.full(box.shape, label, np.uint8))
        expected[box.slices] = label
    found = [chunk.box for chunk in store.chunks()]
    held = np.zeros(SHAPE, int)
    for box in found:
        assert expected[box.slices].any()
        held[box.slices] += 1
    assert held.max() <= 1
    assert not expected[held == 0].any()
    assert np.array_equal(store.read(WHOLE), expected)


def test_an_erased_chunk_goes_and_the_revision_grows_all_the_same(tmp_path: Path):
    store = make_store(tmp_path)
    box = Box((0, 0, 0), (2, 2, 2))
    store.write(box, np.ones(box.shape, np.uint8))
    assert len(store.chunks()) == 1
    before = store.revision
    store.write(box, np.zeros(box.shape, np.uint8))
    assert store.chunks() == []
    assert LabelStore.open(store.path).revision > before


def test_a_reader_sees_what_another_writes(tmp_path: Path):
    store = make_store(tmp_path)
    reader = LabelStore.open(store.path, writable=False)
    box = Box((0, 0, 0), (1, 1, 1))
    for label in (1, 2):
        store.write(box, np.full((1, 1, 1), label, np.uint8))
        assert reader.read(box)[0, 0, 0] == label
        assert reader.revision == label
    with pytest.raises(VolumeError, match="reading only"):
        reader.write(box, np.ones((1, 1, 1), np.uint8))


def test_chunks_change_their_version_when_written(tmp_path: Path):
    store = make_store(tmp_path)
    box = Box((0, 0, 0), (1, 1, 1))
    versions = set()
    for label in (1, 2, 3):
        store.write(box, np.full((1, 1, 1), label, np.uint8))
        versions.add(store.chunks()[0].version)
    assert len(versions) == 3


@pytest.mark.parametrize(
    ("box", "data"),
    [
        (Box((0, 0, 0), (21, 1, 1)), np.zeros((21, 1, 1), np.uint8)),
        (Box((-1, 0, 0), (1, 1, 1)), np.zeros((2, 1, 1), np.uint8)),
        (Box((0, 0, 0), (1, 1, 2)), np.zeros((1, 1, 1), np.uint8)),
        (Box((0, 0, 0), (1, 1, 1)), np.zeros((1, 1, 1), np.float32)),
        (Box((0, 0, 0), (1, 1, 1)), np.full((1, 1, 1), 300, np.uint16)),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, box: Box, data: np.ndarray):
    store = make_store(tmp_path)
    with pytest.raises(InvalidInput):
        store.write(box, data)
    assert store.revision == 0
    assert store.chunks() == []


def test_nothing_is_made_over_something(tmp_path: Path):
    make_store(tmp_path)
    with pytest.raises(VolumeError, match="already"):
        make_store(tmp_path)


def test_a_missing_or_damaged_store_is_an_error(tmp_path: Path):
    with pytest.raises(VolumeError, match="no label store"):
        LabelStore.open(tmp_path / "nothing")
    store = make_store(tmp_path)
    (store.path / "0" / "zarr.json").write_text("{")
    with pytest.raises(VolumeError, match="damaged"):
        LabelStore.open(store.path)
    (store.path / "zarr.json").write_text(json.dumps({"attributes": {}}))
    with pytest.raises(VolumeError, match="damaged"):
        LabelStore.open(store.path)


def test_a_damaged_chunk_is_an_error(tmp_path: Path):
    store = make_store(tmp_path)
    box = Box((0, 0, 0), (1, 1, 1))
    store.write(box, np.ones((1, 1, 1), np.uint8))
    (store.path / "0" / "c" / "0" / "0" / "0").write_bytes(b"no zstd")
    with pytest.raises(VolumeError, match="could not be read"):
        store.read(box)


@pytest.mark.skipif(sys.platform == "win32", reason="the limit on file sizes is POSIX's")
def test_a_full_disk_leaves_every_chunk_as_it_was(tmp_path: Path):
    store = make_store(tmp_path)
    store.write(WHOLE, np.ones(SHAPE, np.uint8))
    noise = np.random.default_rng(0).integers(0, 255, SHAPE).astype(np.uint8)
    with file_size_limit(200), pytest.raises(VolumeError, match="disk is full") as caught:
        store.write(WHOLE, noise)
    assert "Free space" in caught.value.hint
    again = LabelStore.open(store.path)
    for box in [chunk.box for chunk in store.chunks()]:
        found = again.read(box)
        assert np.array_equal(found, np.ones(box.shape)) or np.array_equal(found, noise[box.slices])
    assert np.array_equal(again.read(Box((0, 0, 0), (8, 48, 48))), np.ones((8, 48, 48)))
    assert len(again.chunks()) == 3 * 4 * 4
    store.write(WHOLE, noise)
    assert np.array_equal(store.read(WHOLE), noise)
