from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_pytc.errors import InvalidInput, VolumeError
from napari_pytc.geometry import Box, TileGrid, VoxelSpace
from napari_pytc.labels.region_graph import contact_edges
from napari_pytc.labels.segmentation import (
    Segmentation,
    SegmentationRecord,
    SegmentationTables,
    checksum_text,
    count_segments,
    digest_of,
    replace_segments,
)
from tests.support.faults import file_size_limit

SHAPE = (6, 8, 10)
SPACE = VoxelSpace((30, 10, 10))


def some_labels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 6, SHAPE).astype(np.uint32)


def some_tables(labels: np.ndarray) -> SegmentationTables:
    n = int(labels.max())
    sizes = np.bincount(labels.ravel(), minlength=n + 1).astype(np.uint64)
    segments = np.array([0, 1, 1, 3, 3, 5], np.uint32)
    return SegmentationTables(segments, sizes, np.zeros((n + 1, 6), np.int32), np.zeros(n + 1, np.uint8))


def some_record() -> SegmentationRecord:
    return SegmentationRecord(
        id="a", created=datetime(2026, 1, 2, tzinfo=UTC), n_supervoxels=5, n_segments=3, voxel_size_nm=(30, 10, 10)
    )


def write(folder: Path) -> Segmentation:
    labels = some_labels()
    writer = Segmentation.create(folder, SHAPE, SPACE)
    writer.supervoxels.write(Box.of_shape(SHAPE), labels)
    return writer.finish(some_tables(labels), contact_edges(labels), some_record())


def test_written_and_opened(tmp_path: Path) -> None:
    write(tmp_path / "a")
    again = Segmentation.open(tmp_path / "a")
    assert again.shape == SHAPE
    assert again.space == SPACE
    assert again.record == some_record()
    assert not again.supervoxels.writable
    np.testing.assert_array_equal(again.supervoxels.read(Box.of_shape(SHAPE)), some_labels())
    assert again.segments.tolist() == [0, 1, 1, 3, 3, 5]
    assert isinstance(again.sizes, np.memmap)
    assert len(again.graph) > 0


def test_one_that_is_not_finished_is_none_and_can_be_gone_on_with(tmp_path: Path) -> None:
    writer = Segmentation.create(tmp_path / "a", SHAPE, SPACE)
    writer.supervoxels.write(Box.of_shape(SHAPE), some_labels())
    with pytest.raises(VolumeError, match="no finished segmentation"):
        Segmentation.open(tmp_path / "a")
    again = Segmentation.create(tmp_path / "a", SHAPE, SPACE)
    np.testing.assert_array_equal(again.supervoxels.read(Box.of_shape(SHAPE)), some_labels())


def test_one_of_another_shape_is_begun_anew(tmp_path: Path) -> None:
    Segmentation.create(tmp_path / "a", (2, 2, 2), SPACE)
    assert Segmentation.create(tmp_path / "a", SHAPE, SPACE).supervoxels.shape == SHAPE


def test_a_finished_one_is_not_written_over(tmp_path: Path) -> None:
    write(tmp_path / "a")
    with pytest.raises(VolumeError, match="already a segmentation"):
        Segmentation.create(tmp_path / "a", SHAPE, SPACE)


def test_damage_is_an_error(tmp_path: Path) -> None:
    write(tmp_path / "a")
    for name, text in (("sizes.npy", "is damaged"), ("segmentation.json", "record of the segmentation")):
        shutil.copytree(tmp_path / "a", tmp_path / "b")
        (tmp_path / "b" / name).write_bytes(b"nonsense")
        with pytest.raises(VolumeError, match=text):
            Segmentation.open(tmp_path / "b")
        shutil.rmtree(tmp_path / "b")


def test_tables_must_be_of_one_length() -> None:
    with pytest.raises(InvalidInput, match="Tables of supervoxels"):
        SegmentationTables(np.zeros(3), np.zeros(2), np.zeros((3, 6)), np.zeros(3))


def test_segments_are_replaced_as_a_whole(tmp_path: Path) -> None:
    write(tmp_path / "a")
    before = Segmentation.open(tmp_path / "a")
    record = replace_segments(
        tmp_path / "a", np.array([0, 1, 1, 1, 1, 5], np.uint32), {"kind": "agglomeration"}, ("a",)
    )
    assert record.notes == ("a",)
    assert record.n_segments == 2
    after = Segmentation.open(tmp_path / "a")
    assert after.segments.tolist() == [0, 1, 1, 1, 1, 5]
    assert after.record == record
    assert before.segments.tolist() == [0, 1, 1, 3, 3, 5]
    with pytest.raises(InvalidInput, match="5 supervoxels"):
        replace_segments(tmp_path / "a", np.zeros(3, np.uint32), {}, ())


def test_a_full_disk_leaves_it_unfinished(tmp_path: Path) -> None:
    labels = some_labels()
    writer = Segmentation.create(tmp_path / "a", SHAPE, SPACE)
    with file_size_limit(64), pytest.raises(VolumeError, match="could not be written"):
        writer.finish(some_tables(labels), contact_edges(labels), some_record())
    with pytest.raises(VolumeError, match="no finished"):
        Segmentation.open(tmp_path / "a")
    writer.finish(some_tables(labels), contact_edges(labels), some_record())


def test_segments_are_counted_without_the_background() -> None:
    assert count_segments(np.array([0, 1, 0, 3, 3])) == 2
    assert count_segments(np.array([0])) == 0


@given(st.tuples(*[st.integers(1, 7)] * 3))
def test_the_checksum_does_not_depend_on_the_blocks(block: tuple[int, int, int]) -> None:
    labels = some_labels()
    parts = [
        digest_of(labels[tile.write.slices], tile.write.start, SHAPE) for tile in TileGrid(Box.of_shape(SHAPE), block)
    ]
    assert checksum_text(sum(parts)) == checksum_text(digest_of(labels, (0, 0, 0), SHAPE))


def test_the_checksum_changes_with_labels() -> None:
    labels = some_labels()
    digests = {digest_of(labels, (0, 0, 0), SHAPE)}
    labels[0, 0, 0] += 1
    digests.add(digest_of(labels, (0, 0, 0), SHAPE))
    labels[0, 0, :2] = labels[0, 0, 1::-1].copy()
    digests.add(digest_of(labels, (0, 0, 0), SHAPE))
    assert len(digests) == 3
    assert digest_of(np.zeros(SHAPE, np.uint32), (0, 0, 0), SHAPE) == 0
