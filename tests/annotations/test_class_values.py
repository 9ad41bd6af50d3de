"""Values of labels as classes: mapped, named, ignored, refused."""

from __future__ import annotations

import numpy as np
import pytest

from napari_pytc.annotations.class_values import ClassValues
from napari_pytc.annotations.label_transform import LabelTransform
from napari_pytc.errors import InvalidInput
from napari_pytc.geometry import Box

BOX = Box((0, 0, 0), (1, 1, 4))


def classes_of(values: ClassValues, labels: list[int] | np.ndarray, dtype: type = np.uint8) -> list[int]:
    block = np.asarray(labels, dtype).reshape(1, 1, -1)
    values.scan(block, BOX)
    values.check()
    found = values.apply(block)
    assert found.dtype == np.uint8
    return found.ravel().tolist()


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint32, np.int64, np.uint64])
def test_a_mask_of_255_is_mapped(dtype: type):
    values = ClassValues(
        LabelTransform(values={0: "background", 255 % 128: "mito"}, ignored=(9,)), ["mito", "background"]
    )
    assert classes_of(values, [0, 127, 9, 127], dtype) == [2, 1, 0, 1]
    assert values.notes() == ["1 voxel of the value 9 left out, as it is ignored."]


def test_bool_is_0_and_1():
    assert classes_of(ClassValues(LabelTransform(), ["a"]), [False, True], bool) == [0, 1]


def test_a_value_may_be_mapped_to_a_number_or_to_nothing():
    values = ClassValues(LabelTransform(values={1: 2, 2: 0}), ["a", "b"])
    assert classes_of(values, [0, 1, 2]) == [0, 2, 0]
    assert "0 was not mapped: --map 0=CLASS" in values.notes()[0]


def test_values_that_are_not_mapped_are_an_error_that_lists_them():
    values = ClassValues(LabelTransform(values={255: "mito"}), ["mito"])
    with pytest.raises(InvalidInput, match=r"values 1, 2, 3 in .* one class \(1 mito\): .*all but 0 must be") as caught:
        classes_of(values, [0, 1, 2, 3, 255])
    assert "--map 1=mito" in caught.value.hint
    many = ClassValues(LabelTransform(), ["mito"])
    with pytest.raises(InvalidInput, match=r"values 2, 3, 4, 5, 6, 7, 8, 9.* or more"):
        many.scan(np.arange(100, dtype=np.uint8).reshape(1, 10, 10), BOX)


@pytest.mark.parametrize("meaning", ["mitochondria", 3, -1])
def test_a_class_that_there_is_not_is_named(meaning: str | int):
    with pytest.raises(InvalidInput, match=r"no class .* for the value 255; the classes are 1 mito, 2 er"):
        ClassValues(LabelTransform(values={255: meaning}), ["mito", "er"])


def test_dense_means_that_0_is_background():
    assert classes_of(ClassValues(LabelTransform(dense=True), ["mito", "background"]), [0, 1]) == [2, 1]
    with pytest.raises(InvalidInput, match="no class 'background'"):
        ClassValues(LabelTransform(dense=True), ["mito"])


def test_numbers_follow_the_names_in_the_file():
    values = ClassValues(LabelTransform(), ["inside", "membrane"], {1: "membrane", 2: "inside"})
    assert classes_of(values, [0, 1, 2]) == [0, 2, 1]
    assert values.notes() == [
        "Numbers of classes follow the names in the labels' file: 1 (membrane) became 2, 2 (inside) became 1."
    ]
    same = ClassValues(LabelTransform(), ["membrane", "inside"], {1: "membrane", 2: "inside"})
    assert classes_of(same, [0, 1, 2]) == [0, 1, 2]
    assert same.notes() == []


def test_a_name_that_the_project_lacks_is_named_unless_it_is_mapped():
    names = {1: "membrane", 2: "nucleus"}
    values = ClassValues(LabelTransform(), ["membrane"], names)
    assert classes_of(values, [0, 1]) == [0, 1]
    with pytest.raises(InvalidInput, match=r"names 2 'nucleus'.*no such class") as caught:
        classes_of(values, [2])
    assert "add the class nucleus" in caught.value.hint
    mapped = ClassValues(LabelTransform(values={2: "membrane"}), ["membrane"], names)
    assert classes_of(mapped, [1, 2]) == [1, 1]


def test_cremis_sign_for_no_label_is_0():
    values = ClassValues(LabelTransform(), ["a"])
    assert classes_of(values, np.array([2**64 - 1, 1, 0, 2**64 - 2], np.uint64), np.uint64) == [0, 1, 0, 0]
    assert [note[:21] for note in values.notes()] == ["1 voxel of the value ", "1 voxel of the values"]
