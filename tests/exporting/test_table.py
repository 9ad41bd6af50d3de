from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_pytc.errors import InvalidInput, VolumeError
from napari_pytc.exporting.table import COLUMNS, SegmentMeasures, check_table_name, write_table
from napari_pytc.geometry import Box, Shape, TileGrid, VoxelSpace
from napari_pytc.jobs.context import JobCancelled
from napari_pytc.skeletons.skeleton import Skeleton
from tests.support.arrays import FakeArray
from tests.support.faults import StepContext
from tests.support.tissue import make_tissue

SPACE = VoxelSpace((40.0, 8.0, 8.0), (400.0, 0.0, 80.0))
BLOCK_BYTES = 4 * 4 * 16 * 16


class FakeSegments(FakeArray):
    """Segments in memory; multiples of 3 are locked, even ones have a class."""

    chunk_shape: Shape = (4, 16, 16)

    def segment_ids(self) -> np.ndarray:
        return np.unique(self.data[self.data > 0])

    def class_name(self, segment: int) -> str:
        return "" if segment % 2 else "glia, type 2"

    def is_locked(self, segment: int) -> bool:
        return segment % 3 == 0


@pytest.fixture
def segments() -> FakeSegments:
    cells = make_tissue((10, 40, 45), n_cells=12).cells.astype(np.uint32)
    cells[:, 20:23] = 0
    cells[cells == 3] = 4_000_000_000
    return FakeSegments(cells, SPACE)


def read_rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_a_name_that_is_taken_is_refused_before_the_work(segments: FakeSegments, tmp_path: Path):
    def never() -> list[Skeleton]:
        raise AssertionError

    (tmp_path / "a.csv").write_text("mine", encoding="utf-8")
    with pytest.raises(VolumeError, match="already something"):
        write_table(segments, tmp_path / "a.csv", None, False, StepContext(), BLOCK_BYTES, skeletons=never)
    assert (tmp_path / "a.csv").read_text(encoding="utf-8") == "mine"


def test_every_segment_has_a_row_with_its_measures(segments: FakeSegments, tmp_path: Path):
    n_rows = write_table(segments, tmp_path / "a.csv", None, False, StepContext(), BLOCK_BYTES)
    rows = read_rows(tmp_path / "a.csv")
    assert [int(row["id"]) for row in rows] == segments.segment_ids().tolist()
    assert n_rows == len(rows)
    for row in rows:
        where = np.argwhere(segments.data == int(row["id"]))
        assert int(row["voxels"]) == len(where)
        assert float(row["volume_um3"]) == pytest.approx(len(where) * 0.04 * 0.008 * 0.008)
        assert row["area_um2"] == ""
        assert [int(row[f"{axis}_start"]) for axis in "zyx"] == where.min(axis=0).tolist()
        assert [int(row[f"{axis}_stop"]) for axis in "zyx"] == (where.max(axis=0) + 1).tolist()
        centre = where.mean(axis=0) * SPACE.voxel_size_nm + SPACE.origin_nm
        assert [float(row[f"centroid_{axis}_nm"]) for axis in "zyx"] == pytest.approx(centre.tolist(), abs=0.06)
        assert row["class"] == segments.class_name(int(row["id"]))
        assert row["locked"] == str(int(int(row["id"]) % 3 == 0))


def test_sizes_in_a_single_section_are_areas(segments: FakeSegments, tmp_path: Path):
    flat = FakeSegments(segments.data[:1], SPACE)
    write_table(flat, tmp_path / "a.csv", None, False, StepContext(), BLOCK_BYTES)
    rows = read_rows(tmp_path / "a.csv")
    assert rows
    for row in rows:
        assert row["volume_um3"] == ""
        assert float(row["area_um2"]) == pytest.approx(int(row["voxels"]) * 0.008 * 0.008)


def test_only_the_voxels_of_a_box_count(segments: FakeSegments, tmp_path: Path):
    box = Box((2, 5, 7), (6, 30, 31))
    write_table(segments, tmp_path / "a.csv", box, False, StepContext(), BLOCK_BYTES)
    part = segments.data[box.slices]
    rows = read_rows(tmp_path / "a.csv")
    assert [int(row["id"]) for row in rows] == np.unique(part[part > 0]).tolist()
    assert all(int(row["voxels"]) == (part == int(row["id"])).sum() for row in rows)
    assert all(int(row["z_start"]) >= 2 for row in rows)


def test_without_a_voxel_size_there_are_no_lengths(segments: FakeSegments, tmp_path: Path):
    unknown = FakeSegments(segments.data, VoxelSpace.unknown())
    write_table(unknown, tmp_path / "a.csv", None, False, StepContext())
    rows = read_rows(tmp_path / "a.csv")
    assert all((row["volume_um3"], row["area_um2"], row["centroid_x_nm"]) == ("", "", "") for row in rows)
    assert all(int(row["voxels"]) > 0 for row in rows)


def test_no_segments_is_a_table_of_one_line(tmp_path: Path):
    empty = FakeSegments(np.zeros((3, 4, 5), np.uint32), SPACE)
    assert write_table(empty, tmp_path / "a.csv", None, False, StepContext()) == 0
    assert (tmp_path / "a.csv").read_text(encoding="utf-8") == ",".join(COLUMNS) + "\n"


def test_ids_that_are_not_listed_are_left_out():
    measures = SegmentMeasures(np.array([2, 5], np.uint32))
    measures.add(np.array([[[1, 2, 2, 9]]], np.uint32), (10, 0, 0))
    assert measures.sizes.tolist() == [2, 0]
    assert measures.centroids[0].tolist() == [10, 0, 1.5]


def test_refusals(segments: FakeSegments, tmp_path: Path):
    with pytest.raises(InvalidInput, match=r"ends in \.csv"):
        write_table(segments, tmp_path / "a.xlsx", None, False, StepContext())
    with pytest.raises(InvalidInput, match="box to export"):
        write_table(segments, tmp_path / "a.csv", Box((0, 0, 0), (99, 1, 1)), False, StepContext())
    (tmp_path / "a.csv").write_text("precious", encoding="utf-8")
    with pytest.raises(VolumeError, match="already something"):
        write_table(segments, tmp_path / "a.csv", None, False, StepContext())
    assert (tmp_path / "a.csv").read_text(encoding="utf-8") == "precious"
    write_table(segments, tmp_path / "a.csv", None, True, StepContext())
    assert len(read_rows(tmp_path / "a.csv")) > 3


def test_a_cancel_leaves_nothing(segments: FakeSegments, tmp_path: Path):
    with pytest.raises(JobCancelled):
        write_table(segments, tmp_path / "a.csv", None, False, StepContext(fail_at=2), BLOCK_BYTES)
    assert list(tmp_path.iterdir()) == []


@settings(max_examples=30)
@given(
    labels=hnp.arrays(
        np.uint32, st.tuples(*[st.integers(1, 6)] * 3), elements=st.sampled_from([0, 1, 2, 7, 4_000_000_000])
    ),
    block=st.tuples(*[st.integers(1, 4)] * 3),
)
def test_measures_gathered_in_blocks_are_those_of_every_voxel(labels: np.ndarray, block: Shape):
    measures = SegmentMeasures(np.array([1, 2, 7, 4_000_000_000], np.uint32))
    for tile in TileGrid(Box.of_shape(labels.shape), block):
        measures.add(labels[tile.write.slices], tile.write.start)
    for k, segment in enumerate(measures.ids.tolist()):
        where = np.argwhere(labels == segment)
        assert measures.sizes[k] == len(where)
        if len(where):
            assert measures.starts[k].tolist() == where.min(axis=0).tolist()
            assert measures.stops[k].tolist() == (where.max(axis=0) + 1).tolist()
            np.testing.assert_allclose(measures.centroids[k], where.mean(axis=0), atol=1e-6)


def test_a_volume_without_segments_gives_a_table_with_its_head_alone(tmp_path: Path):
    nothing = FakeSegments(np.zeros((2, 3, 4), np.uint32), SPACE)
    assert write_table(nothing, tmp_path / "a.csv", None, False, StepContext()) == 0
    assert (tmp_path / "a.csv").read_text(encoding="utf-8") == ",".join(COLUMNS) + "\n"


@pytest.mark.parametrize("name", ["a.csv", "A.CSV", "my.cells.csv"])
def test_names_of_tables(name: str):
    check_table_name(Path(name))


@pytest.mark.parametrize("name", ["a", "a.tsv", "csv", "a.csv.gz"])
def test_names_of_other_files_are_refused(name: str):
    with pytest.raises(InvalidInput, match=r"ends in \.csv, got") as caught:
        check_table_name(Path("folder") / name)
    assert repr(name) in caught.value.message
