"""Damage of any file of a segmentation or a label store is told in one sentence with what to do."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from napari_pytc.errors import VolumeError
from napari_pytc.geometry import Box, VoxelSpace
from napari_pytc.labels.region_graph import RegionGraph
from napari_pytc.labels.saved_state import SavedState
from napari_pytc.labels.segmentation import Segmentation, read_record
from napari_pytc.labels.segments_view import SegmentsView
from napari_pytc.labels.store import LabelStore
from tests.support.hand_made import write_segmentation

LABELS = np.repeat(np.arange(1, 5, dtype=np.uint32), 8).reshape(2, 4, 4)
TABLES = ("segments", "sizes", "boxes", "classes")
GRAPH = ("edges", "scores", "contacts", "places")
INDEX = ("edge_starts", "second_starts", "edges_by_second")

DAMAGE: dict[str, Callable[[Path], object]] = {
    "gone": Path.unlink,
    "empty": lambda path: path.write_bytes(b""),
    "half": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "nonsense": lambda path: path.write_bytes(b"nonsense" * 40),
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("damage") / "first"
    write_segmentation(folder, LABELS)
    return folder


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    shutil.copytree(whole, tmp_path / "first")
    return tmp_path / "first"


def told(work: Callable[[], object]) -> VolumeError:
    with pytest.raises(VolumeError) as caught:
        work()
    error = caught.value
    assert error.message.endswith(".") or error.hint, error
    assert error.hint.endswith(".")
    assert "\n" not in str(error)
    return error


@pytest.mark.slow
@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("name", [*TABLES, *GRAPH])
def test_a_table_of_a_segmentation(copy: Path, name: str, damage: str) -> None:
    DAMAGE[damage](copy / f"{name}.npy")
    error = told(lambda: Segmentation.open(copy))
    assert "is damaged" in error.message
    assert error.hint == "Segment again."


@pytest.mark.parametrize("damage", ["empty", "half", "nonsense"])
@pytest.mark.parametrize("name", INDEX)
def test_the_index_of_a_graph(copy: Path, name: str, damage: str) -> None:
    DAMAGE[damage](copy / f"{name}.npy")
    assert "region graph" in told(lambda: Segmentation.open(copy)).message


@pytest.mark.parametrize("name", INDEX)
def test_a_graph_whose_index_is_gone_makes_one(copy: Path, whole: Path, name: str) -> None:
    DAMAGE["gone"](copy / f"{name}.npy")
    found, expected = RegionGraph.load(copy), RegionGraph.load(whole)
    for supervoxel in range(6):
        np.testing.assert_array_equal(found.neighbours(supervoxel), expected.neighbours(supervoxel))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ("gone", "There is no finished segmentation"),
        ("empty", "The record of the segmentation"),
        ("half", "The record of the segmentation"),
        ("nonsense", "The record of the segmentation"),
    ],
)
def test_the_record_of_a_segmentation(copy: Path, damage: str, words: str) -> None:
    DAMAGE[damage](copy / "segmentation.json")
    for work in (lambda: Segmentation.open(copy), lambda: read_record(copy), lambda: SegmentsView.open(copy)):
        assert words in told(work).message


@pytest.mark.parametrize("text", ["{}", '{"id": 3}', "[]", "null", '{"id": "a", "colour": "red"}'])
def test_a_record_of_something_else(copy: Path, text: str) -> None:
    (copy / "segmentation.json").write_text(text)
    assert "is damaged" in told(lambda: read_record(copy)).message


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("name", ["zarr.json", "0/zarr.json"])
def test_the_metadata_of_a_label_store(copy: Path, name: str, damage: str) -> None:
    DAMAGE[damage](copy / "supervoxels.zarr" / name)
    error = told(lambda: LabelStore.open(copy / "supervoxels.zarr"))
    assert "supervoxels.zarr" in error.message


@pytest.mark.parametrize("damage", ["empty", "half", "nonsense"])
def test_a_chunk_of_a_label_store(copy: Path, damage: str) -> None:
    DAMAGE[damage](copy / "supervoxels.zarr" / "0" / "c" / "0" / "0" / "0")
    store = LabelStore.open(copy / "supervoxels.zarr")
    assert "could not be read" in told(lambda: store.read(Box.of_shape(LABELS.shape))).message


def test_a_store_whose_revision_is_gone_counts_anew(tmp_path: Path) -> None:
    store = LabelStore.create(tmp_path / "a.zarr", (2, 2, 2), np.uint8, VoxelSpace(), revision=5)
    assert store.revision == 5
    (store.path / "revision").unlink()
    assert store.revision == 0
    store.write(Box.at((0, 0, 0), (1, 1, 1)), np.ones((1, 1, 1), np.uint8))
    assert store.revision == 1


@pytest.mark.parametrize("damage", ["empty", "half", "nonsense"])
def test_the_saved_state_of_edits(copy: Path, damage: str) -> None:
    SavedState(log_index=3).save(copy)
    DAMAGE[damage](copy / "state.npz")
    for work in (lambda: SavedState.load(copy), lambda: SegmentsView.open(copy)):
        error = told(work)
        assert "saved state" in error.message
        assert error.hint == "Rebuild it from the journal: napari-pytc replay."


@pytest.mark.parametrize("name", ["version", "log_index", "moved", "classes"])
def test_a_saved_state_without_one_of_its_arrays(copy: Path, name: str) -> None:
    SavedState().save(copy)
    with np.load(copy / "state.npz") as arrays:
        left = {key: arrays[key] for key in arrays.files if key != name}
    np.savez(copy / "state.npz", **left)
    assert "is damaged" in told(lambda: SavedState.load(copy)).message


@pytest.mark.parametrize("name", ["sizes", "boxes", "classes", "scores", "contacts", "places"])
def test_a_table_that_is_shorter_than_the_others(copy: Path, name: str) -> None:
    np.save(copy / f"{name}.npy", np.load(copy / f"{name}.npy")[:-1])
    assert "is damaged" in told(lambda: Segmentation.open(copy)).message


def test_a_store_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.zarr").write_text("not a folder")
    told(lambda: LabelStore.open(tmp_path / "a.zarr"))
    with pytest.raises(VolumeError, match="already something"):
        LabelStore.create(tmp_path / "a.zarr", (1, 1, 1), np.uint8, VoxelSpace())
