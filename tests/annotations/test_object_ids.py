"""Values of labels as ids of objects: kept, renumbered, split into parts, all told."""

from __future__ import annotations

import numpy as np
import pytest

from napari_pytc.annotations.label_transform import LabelTransform
from napari_pytc.annotations.object_ids import ObjectIds
from napari_pytc.annotations.object_relations import BACKGROUND, OTHER
from napari_pytc.errors import InvalidInput
from napari_pytc.geometry import Box, TileGrid


def ids_of(
    labels: np.ndarray, taken: tuple[int, ...] = (), tile: tuple[int, int, int] = (2, 3, 4), **wanted: object
) -> tuple[np.ndarray, ObjectIds]:
    grid = TileGrid(Box.of_shape(labels.shape), tile)
    ids = ObjectIds(LabelTransform(**wanted), grid)
    for one in grid:
        ids.scan(one, labels[one.write.slices])
    ids.number(dict.fromkeys(taken, 1))
    found = np.zeros(labels.shape, np.uint32)
    for one in grid:
        found[one.write.slices] = ids.apply(one, labels[one.write.slices])
    return found, ids


def line(*values: int, dtype: type = np.uint32) -> np.ndarray:
    return np.array(values, dtype).reshape(1, 1, -1)


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.uint64])
def test_ids_stay_where_nothing_is_in_the_way(dtype: type):
    found, ids = ids_of(line(0, 3, 3, 0, 7, 7, dtype=dtype), taken=(1, 2))
    assert found.ravel().tolist() == [0, 3, 3, 0, 7, 7]
    assert (ids.n_objects, ids.n_voxels, ids.n_background, ids.original_ids, ids.notes()) == (2, 4, 0, {}, [])


def test_a_second_file_gets_new_ids_unless_they_are_kept():
    found, ids = ids_of(line(1, 2, 2, 5), taken=(2, 9))
    assert found.ravel().tolist() == [10, 11, 11, 12]
    assert ids.original_ids == {10: 1, 11: 2, 12: 5}
    assert "3 objects of the labels became 10 to 12 (--keep-ids" in ids.notes()[0]
    found, ids = ids_of(line(1, 2, 2, 5), taken=(2, 9), keep_ids=True)
    assert found.ravel().tolist() == [1, 2, 2, 5]
    assert "1 object of the labels has an id" in ids.notes()[0]


def test_objects_that_are_replaced_are_in_nobodys_way():
    labels = line(1, 1, 0, 2)
    (tile,) = TileGrid(Box.of_shape(labels.shape), labels.shape)
    for present, expected in ((labels, [1, 1, 0, 2]), (line(1, 0, 1, 0), [2, 2, 0, 3])):
        ids = ObjectIds(LabelTransform(), TileGrid(Box.of_shape(labels.shape), labels.shape))
        ids.scan(tile, labels, present)
        ids.number({1: int((present == 1).sum()), 2: int((present == 2).sum())})
        assert ids.apply(tile, labels).ravel().tolist() == expected


def test_ids_beyond_32_bits_are_renumbered_and_the_old_ones_known():
    found, ids = ids_of(line(0, 2**40, 5, dtype=np.uint64))
    assert found.ravel().tolist() == [0, 2, 1]
    assert ids.original_ids == {1: 5, 2: 2**40}
    assert f"ids reach {2**40}" in ids.notes()[0]
    with pytest.raises(InvalidInput, match=f"id {2**40}, but an object's id is 1 to {OTHER - 1}"):
        ids_of(line(2**40, dtype=np.uint64), keep_ids=True)


def test_0_is_background_only_where_that_is_said():
    found, ids = ids_of(line(0, 4, 255), dense=True, ignored=(255,))
    assert found.ravel().tolist() == [BACKGROUND, 4, 0]
    assert (ids.n_voxels, ids.n_background) == (1, 1)
    assert "1 voxel of the value 255 left out" in ids.notes()[0]
    found, _ = ids_of(line(0, 4, 255), values={255: "background", 4: 9})
    assert found.ravel().tolist() == [0, 9, BACKGROUND]


def test_cremis_sign_for_no_label_is_0():
    labels = line(3, 2**64 - 1, 0, 2**64 - 3, dtype=np.uint64)
    assert ids_of(labels)[0].ravel().tolist() == [3, 0, 0, 0]
    assert ids_of(labels, dense=True)[0].ravel().tolist() == [3, BACKGROUND, BACKGROUND, 0]
    assert "2^64-1" in ids_of(labels)[1].notes()[0]


def test_a_mask_of_separate_bodies_is_told_and_each_part_may_be_an_object():
    mask = np.zeros((5, 7, 9), bool)
    mask[:2, :2, :2] = mask[:, 4:6, 0] = mask[4, 0, 5:] = True
    mask[1:4, 2:5, 7] = True
    found, ids = ids_of(mask)
    assert set(found.ravel().tolist()) == {0, 1}
    assert ids.notes() == ["One id in 4 separate parts: --components makes an object of each."]
    found, ids = ids_of(mask, taken=(6,), components=True)
    assert sorted(np.unique(found).tolist()) == [0, 7, 8, 9, 10]
    assert ids.original_ids == {7: 1, 8: 1, 9: 1, 10: 1}
    assert len({*found[:2, :2, :2].ravel().tolist()}) == len({*found[:, 4:6, 0].ravel().tolist()}) == 1
    assert "4 of 1 id, numbered from 7" in ids.notes()[0]


def test_several_ids_in_parts_are_told_in_one_sentence():
    _, ids = ids_of(line(1, 0, 1, 2, 0, 2, 0, 2, 3))
    assert ids.notes() == [
        "2 of 3 ids are in several separate parts each, 2 in 3: --components makes an object of each part."
    ]


def test_what_is_no_id_is_refused():
    with pytest.raises(InvalidInput, match="id -1 in 0:1,0:1,0:2") as caught:
        ids_of(line(-1, 3, dtype=np.int16))
    assert "--ignore-value -1" in caught.value.hint
    assert ids_of(line(-1, 3, dtype=np.int16), ignored=(-1,))[0].ravel().tolist() == [0, 3]
    with pytest.raises(InvalidInput, match=f"id {BACKGROUND} in") as caught:
        ids_of(line(1, BACKGROUND))
    assert f"--map {BACKGROUND}=background" in caught.value.hint
    found, _ = ids_of(line(1, BACKGROUND), values={BACKGROUND: "background"})
    assert found.ravel().tolist() == [1, BACKGROUND]
    with pytest.raises(InvalidInput, match="hold no object"):
        ids_of(line(0, 0))
    with pytest.raises(InvalidInput, match="or to background, got 1=cell"):
        ids_of(line(1), values={1: "cell"})
    with pytest.raises(InvalidInput, match="do not fit after the highest id"):
        ids_of(line(1, 2), taken=(1, OTHER - 2))
