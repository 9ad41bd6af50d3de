from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_pytc.annotations.store import AnnotationStore
from napari_pytc.geometry import Box, VoxelSpace
from napari_pytc.learning.live.strokes import LearntStrokes, StrokeBook

SHAPE = (40, 200, 200)


@pytest.fixture
def store(tmp_path: Path) -> AnnotationStore:
    return AnnotationStore.create(tmp_path / "a.zarr", SHAPE, VoxelSpace((10, 10, 10)))


def line(row: int, z: int = 0, start: int = 0, length: int = 10) -> Box:
    return Box((z, row, start), (z + 1, row + 1, start + length))


def book_of(store: AnnotationStore, n: int = 20, **options: object) -> StrokeBook:
    """A book of n strokes of each of two classes."""
    for row in range(n):
        store.paint(line(4 * row), 1)
        store.paint(line(4 * row, z=4), 2)
    book = StrokeBook(store, 2, **{"held_out": (), **options})  # type: ignore[arg-type]
    book.refresh()
    return book


def kept_places(book: StrokeBook) -> set[tuple[int, ...]]:
    found: set[tuple[int, ...]] = set()
    for page in book.pages.values():
        found |= {tuple(place) for place in page.where(np.flatnonzero(page.kept)).tolist()}
    return found


def test_about_a_fifth_of_the_strokes_is_kept_whole(store: AnnotationStore) -> None:
    book = book_of(store)

    assert book.is_enough
    assert (book.counts + book.kept_counts == 200).all()
    assert (book.kept_counts % 10 == 0).all()
    assert (book.kept_counts > 0).all()
    assert (book.kept_counts <= 80).all()


def test_the_first_strokes_of_a_class_are_learnt(store: AnnotationStore) -> None:
    book = book_of(store, n=2)

    assert not book.kept_counts.any()


def test_nothing_is_read_where_nothing_changed(store: AnnotationStore) -> None:
    book = book_of(store)

    assert not book.refresh()
    pages = dict(book.pages)
    store.paint(line(150), 1)
    assert book.refresh()
    same = [box for box in pages if book.pages[box] is pages[box]]
    assert same
    assert len(same) < len(book.pages)


def test_what_was_learnt_is_never_kept_afterwards(store: AnnotationStore) -> None:
    book = book_of(store)
    learnt = {tuple(p) for page in book.pages.values() for p in page.where(np.flatnonzero(~page.kept)).tolist()}
    # Everything in class 1 becomes one stroke, then the first half is erased and painted again.
    store.paint(Box((0, 0, 0), (1, 80, 1)), 1)
    book.refresh()
    store.write(Box((0, 0, 0), (1, 40, 10)), np.zeros((1, 40, 10), np.uint8))
    book.refresh()
    for row in range(10):
        store.paint(line(4 * row), 1)
    book.refresh()

    assert not kept_places(book) & learnt


def test_a_kept_stroke_stays_kept_while_it_grows(store: AnnotationStore) -> None:
    book = book_of(store)
    place = next(p for p in sorted(kept_places(book)) if p[0] == 0)

    store.paint(line(place[1], start=5, length=30), 1)
    book.refresh()

    assert (0, place[1], 30) in kept_places(book)


def test_a_stroke_across_chunks_is_kept_or_learnt_as_a_whole(store: AnnotationStore) -> None:
    for row in range(40):
        store.paint(line(4 * row, start=120, length=20), 1)  # chunks end at 128
        store.paint(line(4 * row, z=4), 2)
    book = StrokeBook(store, 2, ())
    book.refresh()

    kept = {place[1:] for place in kept_places(book) if place[0] == 0}
    rows = {row for row, _ in kept}
    assert rows
    assert kept == {(row, x) for row in rows for x in range(120, 140)}


def test_strokes_in_held_out_boxes_are_kept_and_all_others_learnt(store: AnnotationStore) -> None:
    held_out = Box((0, 0, 0), (40, 20, 200))

    book = book_of(store, held_out=(held_out,))

    assert book.scores_held_out
    assert all(held_out.contains_point(place) for place in kept_places(book))
    assert book.kept_counts.tolist() == [50, 50]


def test_the_next_session_keeps_the_same_strokes(store: AnnotationStore) -> None:
    book = book_of(store)
    place = next(p for p in sorted(kept_places(book)) if p[0] == 0)
    store.paint(line(place[1] + 1), 1)  # joins it with nothing, but moves its first voxel
    book.refresh()

    again = StrokeBook(store, 2, (), anchors=book.anchors())
    again.refresh()

    assert kept_places(again) == kept_places(book)


def test_a_value_beyond_the_classes_is_left_out(store: AnnotationStore) -> None:
    store.paint(line(0), 3)
    store.paint(line(4), 1)
    book = StrokeBook(store, 2, ())
    book.refresh()

    assert book.counts.tolist() == [10, 0]
    assert not book.is_enough


def test_a_dense_annotation_is_kept_and_learnt_in_parts(store: AnnotationStore) -> None:
    store.write(Box.of_shape(SHAPE), np.ones(SHAPE, np.uint8))
    store.write(Box((0, 0, 0), (20, *SHAPE[1:])), np.full((20, *SHAPE[1:]), 2, np.uint8))
    book = StrokeBook(store, 2, ())
    book.refresh()

    assert book.is_enough
    assert book.kept_counts[0] > 0  # whole chunks of it


def test_the_network_sees_no_kept_stroke(store: AnnotationStore) -> None:
    book = book_of(store)

    strokes = LearntStrokes(SHAPE, list(book.pages.values()), book.revision)

    whole = strokes.read(Box.of_shape(SHAPE))
    kept = np.array(sorted(kept_places(book)))
    assert not whole[tuple(kept.T)].any()
    assert np.bincount(whole.ravel())[1:].tolist() == book.counts.tolist()
    part = Box((0, 3, 5), (5, 90, 170))
    assert np.array_equal(strokes.read(part), whole[part.slices])
    assert [entry.box for entry in strokes.boxes()] == sorted(book.pages)
