"""Objects to learn from: where, and never what is hidden."""

from __future__ import annotations

import numpy as np
import pytest

from napari_pytc.annotations.object_relations import BACKGROUND
from napari_pytc.errors import ModelError
from napari_pytc.geometry import Box
from napari_pytc.learning.data.objects import AT_BORDER, INSIDE, ObjectLabels, renumbered
from tests.support.learning import MemoryObjects

SHAPE = (4, 24, 24)
HIDDEN = (Box((0, 0, 0), (2, 12, 12)), Box((1, 6, 6), (4, 16, 16)))


def two_objects() -> np.ndarray:
    ids = np.full(SHAPE, 7, np.uint32)
    ids[:, :, 12:] = 4_000_000_000
    return ids


def hidden_mask() -> np.ndarray:
    mask = np.zeros(SHAPE, bool)
    for box in HIDDEN:
        mask[box.slices] = True
    return mask


def test_labels_are_blank_in_hidden_boxes_which_are_not_even_read() -> None:
    source = MemoryObjects(two_objects())
    objects = ObjectLabels(source, HIDDEN)
    found = objects.labels(Box.of_shape(SHAPE))
    assert np.array_equal(found, np.where(hidden_mask(), 0, two_objects()))
    assert sum(box.size for box in source.was_read) == np.count_nonzero(~hidden_mask())
    assert not any(box.overlaps(hidden) for box in source.was_read for hidden in HIDDEN)


def test_counting_and_checking_reads_nothing_hidden() -> None:
    source = MemoryObjects(two_objects())
    objects = ObjectLabels(source, HIDDEN)
    n = np.sum([chunk.counts for chunk in objects.chunks])
    assert n == np.count_nonzero(~hidden_mask())
    assert objects.check(SHAPE) == []
    assert not any(box.overlaps(hidden) for box in source.was_read for hidden in HIDDEN)


def test_voxels_at_borders_differ_from_those_inside() -> None:
    found = ObjectLabels(MemoryObjects(two_objects())).kinds(Box.of_shape(SHAPE))
    assert (found[:, :, 9:15] == AT_BORDER).all()
    assert (found[:, :, :9] == INSIDE).all()
    assert (found[:, :, 15:] == INSIDE).all()


def test_strokes_are_at_a_border_where_another_is_near() -> None:
    ids = np.zeros(SHAPE, np.uint32)
    ids[1, 2:20, 5], ids[1, 2:6, 8] = 3, BACKGROUND
    found = ObjectLabels(MemoryObjects(ids)).kinds(Box.of_shape(SHAPE))
    assert np.array_equal(found > 0, ids > 0)
    assert (found[1, 2:6, [5, 8]] == AT_BORDER).all()
    assert (found[1, 9:20, 5] == INSIDE).all()


def test_numbers_of_a_patch_are_small_and_background_is_one() -> None:
    ids = np.array([0, 9, BACKGROUND, 4_000_000_000, 9, 0], np.uint32)
    found = renumbered(ids)
    assert found.dtype == np.int32
    assert (found[0], found[2], found[5]) == (0, 1, 0)
    assert found[1] == found[4] != found[3]
    assert set(found) <= {0, 1, 2, 3, 4}
    assert set(renumbered(np.full(3, BACKGROUND, np.uint32))) == {1}


@pytest.mark.parametrize(
    ("ids", "hidden", "words"),
    [
        (np.zeros(SHAPE), (), "got none"),
        (np.full(SHAPE, 5), (), "got one object"),
        (np.full(SHAPE, BACKGROUND), (), "got the background alone"),
        (two_objects(), (Box.of_shape(SHAPE),), "lie in held-out boxes"),
    ],
)
def test_what_cannot_be_learnt_from_is_reported(ids: np.ndarray, hidden: tuple[Box, ...], words: str) -> None:
    with pytest.raises(ModelError, match=words) as caught:
        ObjectLabels(MemoryObjects(ids), hidden).check(SHAPE)
    assert caught.value.hint


def test_objects_of_another_volume_are_refused() -> None:
    with pytest.raises(ModelError, match="4 x 24 x 24 voxels, the image has 4 x 24 x 25"):
        ObjectLabels(MemoryObjects(two_objects())).check((4, 24, 25))


def test_strokes_far_from_one_another_are_warned_of() -> None:
    ids = np.zeros(SHAPE, np.uint32)
    ids[0, 2, 2:8], ids[3, 20, 2:8] = 1, 2
    (warning,) = ObjectLabels(MemoryObjects(ids)).check(SHAPE)
    assert "both sides of a border" in warning


def test_one_object_and_background_will_do() -> None:
    ids = np.full(SHAPE, BACKGROUND, np.uint32)
    ids[:, 5:9, 5:9] = 1
    assert ObjectLabels(MemoryObjects(ids)).check(SHAPE) == []
