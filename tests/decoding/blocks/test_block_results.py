"""The pieces of an unfinished segmentation: kept for the same work, thrown away for other work, damage told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_pytc.decoding.blocks import block_results
from napari_pytc.decoding.blocks.block_results import BlockResults
from napari_pytc.errors import InvalidInput, VolumeError
from napari_pytc.geometry import Box, TileGrid, VoxelSpace

SHAPE = (4, 6, 8)
GRID = TileGrid(Box.of_shape(SHAPE), (4, 3, 4))


def results(folder: Path, work: str = "work") -> BlockResults:
    return BlockResults(folder, work, SHAPE, VoxelSpace())


def filled(folder: Path, counts: tuple[int, ...] = (2, 0, 3, 1)) -> BlockResults:
    """Pieces with so many labels in each block, each label a section of its block from the top."""
    pieces = results(folder)
    for tile, n in zip(GRID, counts, strict=True):
        labels = np.zeros(tile.write.shape, np.uint32)
        labels[:n] = np.arange(1, n + 1, dtype=np.uint32)[:, None, None]
        pieces.raw.write(tile.write, labels)
        pieces.save("decode", tile.index, {"n": np.array(n)})
    return pieces


def test_arrays_of_a_block_are_kept(tmp_path: Path) -> None:
    arrays = {"n": np.array(3), "low0": np.arange(6, dtype=np.uint32).reshape(1, 2, 3), "empty": np.zeros((0, 2))}
    results(tmp_path / "s").save("decode", 7, arrays)
    found = results(tmp_path / "s").load("decode", 7)
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype


def test_ids_of_the_blocks_follow_one_another(tmp_path: Path) -> None:
    pieces = filled(tmp_path / "s")
    pieces.count(len(GRID))
    assert pieces.starts.tolist() == [0, 2, 2, 5, 6]
    assert pieces.n_labels == 6
    whole = pieces.read(Box.of_shape(SHAPE), GRID)
    assert np.unique(whole).tolist() == [0, 1, 2, 3, 4, 5, 6]
    for tile, start, n in zip(GRID, pieces.starts, (2, 0, 3, 1), strict=False):
        ours = np.unique(whole[tile.write.slices])
        assert ours[ours > 0].tolist() == list(range(start + 1, start + n + 1))


@pytest.mark.parametrize("box", [Box((0, 0, 0), (1, 1, 1)), Box((0, 2, 3), (4, 4, 5)), Box((1, 1, 1), (1, 3, 3))])
def test_a_box_over_several_blocks_is_that_of_the_whole(tmp_path: Path, box: Box) -> None:
    pieces = filled(tmp_path / "s")
    pieces.count(len(GRID))
    np.testing.assert_array_equal(pieces.read(box, GRID), pieces.read(Box.of_shape(SHAPE), GRID)[box.slices])


def test_more_labels_than_ids_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(block_results, "_MOST_LABELS", 5)
    with pytest.raises(InvalidInput, match="at most 5 supervoxels, got 6"):
        filled(tmp_path / "s").count(len(GRID))


def test_the_same_work_goes_on_and_other_work_starts_over(tmp_path: Path) -> None:
    filled(tmp_path / "s")
    results(tmp_path / "s").count(len(GRID))
    pieces = results(tmp_path / "s", "other work")
    with pytest.raises(VolumeError, match="cannot be read"):
        pieces.load("decode", 0)
    assert not pieces.raw.read(Box.of_shape(SHAPE)).any()


def test_work_that_was_not_noted_starts_over(tmp_path: Path) -> None:
    filled(tmp_path / "s")
    (tmp_path / "s" / "parts" / "work").unlink()
    with pytest.raises(VolumeError):
        results(tmp_path / "s").load("decode", 0)


def test_what_is_not_ours_is_never_deleted(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(InvalidInput, match=r"needs a folder of its own, but .*s holds notes\.txt"):
        results(folder)
    assert (folder / "notes.txt").read_text() == "mine"


def test_tables_of_a_segmentation_that_was_not_finished_are_no_obstacle(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    folder.mkdir()
    for name in ("segments.npy", ".segments.npy.tmp"):
        (folder / name).touch()
    (folder / "supervoxels.zarr").mkdir()
    results(folder)
    assert not (folder / "supervoxels.zarr").exists()


@pytest.mark.parametrize("damage", ["gone", "empty", "half", "no archive"])
def test_a_damaged_piece_is_reported_in_a_sentence(tmp_path: Path, damage: str) -> None:
    pieces = filled(tmp_path / "s")
    path = tmp_path / "s" / "parts" / "decode" / "1.npz"
    whole = path.read_bytes()
    path.write_bytes({"half": whole[: len(whole) // 2], "no archive": b"no archive"}.get(damage, b""))
    if damage == "gone":
        path.unlink()
    with pytest.raises(VolumeError, match=r"A piece of the unfinished segmentation .* cannot be read") as caught:
        pieces.load("decode", 1)
    assert caught.value.hint == "Delete the folder and segment again."


def test_pieces_are_removed_in_the_end(tmp_path: Path) -> None:
    pieces = filled(tmp_path / "s")
    pieces.remove()
    assert list((tmp_path / "s").iterdir()) == []
    pieces.remove()


def test_only_the_arrays_that_are_named_are_read(tmp_path: Path) -> None:
    pieces = results(tmp_path / "s")
    pieces.save("decode", 0, {"n": np.array(3), "low0": np.ones((1, 2, 3), np.uint32)})
    path = tmp_path / "s" / "parts" / "decode" / "0.npz"
    content = bytearray(path.read_bytes())
    start = content.index(b"low0.npy") + len("low0.npy")
    content[start + 20 : start + 24] = b"\0\0\0\0"
    path.write_bytes(content)
    assert pieces.load("decode", 0, ["n", "counts"]).keys() == {"n"}
    with pytest.raises(VolumeError, match="cannot be read"):
        pieces.load("decode", 0)
