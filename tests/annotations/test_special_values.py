"""Values that mean no label, and what is told about voxels that were left out."""

from __future__ import annotations

import numpy as np
import pytest

from napari_pytc.annotations.special_values import NO_LABEL, UNKNOWN, ignored_notes, whole_numbers


def test_a_mask_of_bool_is_0_and_1() -> None:
    mask = np.array([[True, False], [False, True]])
    found = whole_numbers(mask)
    assert found.dtype == np.uint8
    assert found.tolist() == [[1, 0], [0, 1]]
    ids = np.arange(3, dtype=np.uint64)
    assert whole_numbers(ids) is ids


def test_the_values_are_those_of_cremi_and_paintera() -> None:
    assert np.array(-1, np.int64).view(np.uint64) == NO_LABEL
    assert [int(np.array(-value, np.int64).view(np.uint64)) for value in (2, 3)] == list(UNKNOWN)


@pytest.mark.parametrize(("n", "words"), [(1, "1 voxel"), (7, "7 voxels")])
def test_ignored_values_are_counted(n: int, words: str) -> None:
    assert ignored_notes({255: n, 3: 9}, [255], is_uint64=False) == [
        f"{words} of the value 255 left out, as it is ignored."
    ]


def test_ignored_values_that_the_file_has_not_are_not_told() -> None:
    assert ignored_notes({3: 9, 255: 0}, [255, 254], is_uint64=True) == []


def test_signs_of_the_field_are_told_in_uint64_alone() -> None:
    counts = {NO_LABEL: 2, UNKNOWN[0]: 3, UNKNOWN[1]: 4}
    assert ignored_notes(counts, [], is_uint64=True) == [
        "2 voxels of the value 2^64-1, CREMI's sign for no label, taken for 0.",
        "7 voxels of the values 2^64-2 and 2^64-3, unknown in Paintera, left out.",
    ]
    assert ignored_notes(counts, [], is_uint64=False) == []


def test_a_sign_that_is_ignored_is_told_once() -> None:
    found = ignored_notes({NO_LABEL: 2, UNKNOWN[0]: 3, UNKNOWN[1]: 4}, [NO_LABEL, UNKNOWN[0]], is_uint64=True)
    assert found == [
        f"3 voxels of the value {UNKNOWN[0]} left out, as it is ignored.",
        f"2 voxels of the value {NO_LABEL} left out, as it is ignored.",
        "4 voxels of the values 2^64-2 and 2^64-3, unknown in Paintera, left out.",
    ]
