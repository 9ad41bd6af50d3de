from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_pytc.annotations.paint_store import PaintStore
from napari_pytc.geometry import Box, VoxelSpace
from napari_pytc.learning.live.stroke_split import StrokeSplit, TrainingStrokes

SHAPE = (40, 200, 200)


@pytest.fixture
def store(tmp_path: Path) -> PaintStore:
    return PaintStore.create(tmp_path / "a.zarr", SHAPE, VoxelSpace((10, 10, 10)))


def line(row: int, z: int = 0, start: int = 0, length: int = 10) -> Box:
    return Box((z, row, start), (z + 1, row + 1, start + length))


def make_split(store: PaintStore, n: int = 20, **options: object) -> StrokeSplit:
    """The split of n strokes of each of two classes."""
    for row in range(n):
        store.paint(line(4 * row), 1)
        store.paint(line(4 * row, z=4), 2)
    split = StrokeSplit(store, 2, **{"held_out": (), **options})  # type: ignore[arg-type]
    split.refresh()
    return split


def voxels_of(split: StrokeSplit, is_validation: bool) -> set[tuple[int, ...]]:
    found: set[tuple[int, ...]] = set()
    for chunk in split.chunks.values():
        indices = np.flatnonzero(chunk.is_validation == is_validation)
        found |= {tuple(voxel) for voxel in chunk.where(indices).tolist()}
    return found


def validation_voxels(split: StrokeSplit) -> set[tuple[int, ...]]:
    return voxels_of(split, is_validation=True)


def test_about_a_fifth_of_the_strokes_is_validation_data(store: PaintStore) -> None:
    split = make_split(store)

    assert split.has_two_classes
    assert (split.counts + split.validation_counts == 200).all()
    assert (split.validation_counts % 10 == 0).all()
    assert (split.validation_counts > 0).all()
    assert (split.validation_counts <= 80).all()


def test_the_first_strokes_of_a_class_are_training_data(store: PaintStore) -> None:
    split = make_split(store, n=2)

    assert not split.validation_counts.any()


def test_only_changed_chunks_are_read(store: PaintStore) -> None:
    split = make_split(store)

    assert not split.refresh()
    chunks = dict(split.chunks)
    store.paint(line(150), 1)
    assert split.refresh()
    same = [box for box in chunks if split.chunks[box] is chunks[box]]
    assert same
    assert len(same) < len(split.chunks)


def test_training_data_never_become_validation_data(store: PaintStore) -> None:
    split = make_split(store)
    training = {
        tuple(p) for chunk in split.chunks.values() for p in chunk.where(np.flatnonzero(~chunk.is_validation)).tolist()
    }
    # Everything in class 1 becomes one stroke, then the first half is erased and painted again.
    store.paint(Box((0, 0, 0), (1, 80, 1)), 1)
    split.refresh()
    store.write(Box((0, 0, 0), (1, 40, 10)), np.zeros((1, 40, 10), np.uint8))
    split.refresh()
    for row in range(10):
        store.paint(line(4 * row), 1)
    split.refresh()

    assert not validation_voxels(split) & training


def test_a_validation_stroke_remains_one_while_it_grows(store: PaintStore) -> None:
    split = make_split(store)
    place = next(p for p in sorted(validation_voxels(split)) if p[0] == 0)

    store.paint(line(place[1], start=5, length=30), 1)
    split.refresh()

    assert (0, place[1], 30) in validation_voxels(split)


def test_a_stroke_across_chunks_is_not_divided(store: PaintStore) -> None:
    for row in range(40):
        store.paint(line(4 * row, start=120, length=20), 1)  # chunks end at 128
        store.paint(line(4 * row, z=4), 2)
    split = StrokeSplit(store, 2, ())
    split.refresh()

    validation = {place[1:] for place in validation_voxels(split) if place[0] == 0}
    rows = {row for row, _ in validation}
    assert rows
    assert validation == {(row, x) for row in rows for x in range(120, 140)}


def test_strokes_in_held_out_boxes_are_the_validation_data(store: PaintStore) -> None:
    held_out = Box((0, 0, 0), (40, 20, 200))

    split = make_split(store, held_out=(held_out,))

    assert split.has_held_out_strokes
    assert all(held_out.contains_point(place) for place in validation_voxels(split))
    assert split.validation_counts.tolist() == [50, 50]


def test_the_next_session_has_the_same_split(store: PaintStore) -> None:
    split = make_split(store)
    place = next(p for p in sorted(validation_voxels(split)) if p[0] == 0)
    store.paint(line(place[1] + 1), 1)  # joins it with nothing, but moves its first voxel
    split.refresh()

    again = StrokeSplit(store, 2, (), anchors=split.anchors())
    again.refresh()

    assert validation_voxels(again) == validation_voxels(split)


def test_a_value_beyond_the_classes_is_left_out(store: PaintStore) -> None:
    store.paint(line(0), 3)
    store.paint(line(4), 1)
    split = StrokeSplit(store, 2, ())
    split.refresh()

    assert split.counts.tolist() == [10, 0]
    assert not split.has_two_classes


def test_a_dense_annotation_is_split_by_chunks(store: PaintStore) -> None:
    store.write(Box.of_shape(SHAPE), np.ones(SHAPE, np.uint8))
    store.write(Box((0, 0, 0), (20, *SHAPE[1:])), np.full((20, *SHAPE[1:]), 2, np.uint8))
    split = StrokeSplit(store, 2, ())
    split.refresh()

    assert split.has_two_classes
    assert split.validation_counts[0] > 0  # whole chunks of it


def test_validation_strokes_are_no_training_strokes(store: PaintStore) -> None:
    split = make_split(store)

    strokes = TrainingStrokes(SHAPE, list(split.chunks.values()), split.revision)

    whole = strokes.read(Box.of_shape(SHAPE))
    validation = np.array(sorted(validation_voxels(split)))
    assert not whole[tuple(validation.T)].any()
    assert np.bincount(whole.ravel())[1:].tolist() == split.counts.tolist()
    part = Box((0, 3, 5), (5, 90, 170))
    assert np.array_equal(strokes.read(part), whole[part.slices])
    assert [entry.box for entry in strokes.chunks()] == sorted(split.chunks)
