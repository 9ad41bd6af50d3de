"""Units and voxel sizes as files write them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_pytc.geometry import VoxelSpace
from napari_pytc.volumes.space import FoundSpace, found_space, numbers_of, texts_of, unit_nm

NOTHING = FoundSpace.nothing()


@pytest.mark.parametrize(
    ("unit", "nm"),
    [
        ("nm", 1), ("nanometer", 1), ("Nanometre", 1), (" nm ", 1),
        ("nanometers", 1), ("NANOMETRES", 1), (b"nm", 1),
        ("um", 1e3), ("\u00b5m", 1e3), ("\u03bcm", 1e3), ("\\u00B5m", 1e3), ("micron", 1e3), ("Micrometer", 1e3),
        ("microns", 1e3), ("micrometers", 1e3), ("\u00b5", 1e3),
        ("mm", 1e6), ("millimeters", 1e6), ("cm", 1e7), ("m", 1e9), ("meters", 1e9), ("metre", 1e9),
        ("angstrom", 0.1), ("Angstroms", 0.1), ("\u00c5ngstr\u00f6m", 0.1),
        ("\u00c5", 0.1), ("\u212b", 0.1), ("pm", 1e-3),
    ],
)  # fmt: skip
def test_units_of_length_in_nanometres(unit: str, nm: float) -> None:
    assert unit_nm(unit) == nm


@pytest.mark.parametrize("unit", [None, "", "pixel", "second", "voxel", "nmm", "inch", "inches", "s", "ms", 3, ["nm"]])
def test_what_is_no_length_has_none(unit: str | None) -> None:
    assert unit_nm(unit) is None


@pytest.mark.parametrize(
    ("value", "numbers"),
    [
        (None, []),
        (4, [4.0]),
        ([40, 4.5, 4], [40.0, 4.5, 4.0]),
        (np.array([1, 2], np.int32), [1.0, 2.0]),
        ("40", [40.0]),
        (["40", "4"], [40.0, 4.0]),
        ("large", []),
        ({"z": 4}, []),
        ([[1, 2], [3, 4]], [1.0, 2.0, 3.0, 4.0]),
        ([1, [2, 3]], []),
        ([], []),
        ("[40, 4, 4]", [40.0, 4.0, 4.0]),
        (b"[40, 4]", [40.0, 4.0]),
        ("[40,", []),
    ],
)
def test_numbers_of_whatever_an_attribute_holds(value: Any, numbers: list[float]) -> None:
    assert numbers_of(value) == numbers


@given(st.lists(st.floats(0.05, 1e5), min_size=3, max_size=3), st.lists(st.floats(-1e9, 1e9), min_size=3, max_size=3))
def test_three_lengths_are_a_known_space(size: list[float], origin: list[float]) -> None:
    found = found_space(size, "somewhere", origin)
    assert found == FoundSpace(VoxelSpace(tuple(size), tuple(origin)), "somewhere")
    assert found.space.known


@pytest.mark.parametrize(
    "size", [(), (4, 4), (0, 4, 4), (-1, 4, 4), (math.nan, 4, 4), (math.inf, 4, 4), ("a", 4, 4), (None, 4, 4)]
)
def test_what_cannot_be_lengths_is_unknown(size: Any) -> None:
    found = found_space(size, "somewhere")
    assert found.space == NOTHING.space
    assert found.notes == ("somewhere gives no lengths; the voxel size is not known.",)


@pytest.mark.parametrize("size", [(40, 4, 0.049), (1.1e5, 4, 4), (25.4e6, 352777, 352777), (0.04, 0.004, 0.004)])
def test_what_no_microscope_has_is_unknown_and_said(size: tuple[float, ...]) -> None:
    found = found_space(size, "somewhere", (1, 2, 3))
    assert found.space == NOTHING.space
    assert found.source == "unknown"
    assert found.notes[0].startswith("somewhere would make voxels of ")
    assert "outside of 0.05 nm to 100 um" in found.notes[0]


def test_what_this_program_wrote_counts_whatever_it_is() -> None:
    assert found_space((2e5, 2e5, 2e5), "somewhere", is_own=True).space == VoxelSpace((2e5, 2e5, 2e5))


@pytest.mark.parametrize(
    ("value", "texts"),
    [
        ("nm", ["nm"]),
        (b"nm", ["nm"]),
        ("nm, nm,um", ["nm", "nm", "um"]),
        (["nm", b"um", None], ["nm", "um", ""]),
        (np.array([b"nm", b"nm"], object), ["nm", "nm"]),
        ('["z", "y"]', ["z", "y"]),
        ("['z', 'y']", ["z", "y"]),
        ("[z", []),
        (None, []),
        (4, []),
    ],
)
def test_texts_of_whatever_an_attribute_holds(value: Any, texts: list[str]) -> None:
    assert texts_of(value) == texts


@pytest.mark.parametrize("origin", [(math.nan, 0, 0), (0, math.inf, 0)])
def test_an_origin_that_is_nowhere_is_left_out(origin: tuple[float, ...]) -> None:
    found = found_space((40, 4, 4), "somewhere", origin)
    assert found.space == VoxelSpace((40, 4, 4))
    assert found.place_notes == ("somewhere comes with an origin that is no place; it is left out.",)
    assert not found.space.is_placed


def test_a_size_that_the_user_gives_keeps_the_origin() -> None:
    found = found_space((40, 4, 4), "somewhere", (400, 0, 8)).replaced((30, 3, 3))
    assert found == FoundSpace(VoxelSpace((30, 3, 3), (400, 0, 8)), "given")


def test_notes_on_place_and_orientation_stay_with_another_size() -> None:
    found = found_space((40, 4, 4), "somewhere", (0, 0, 0), ["a size"], place_notes=["it is turned"])
    assert found.all_notes == ("a size", "it is turned")
    replaced = found.replaced((30, 3, 3))
    assert replaced.all_notes == ("it is turned",)
    assert replaced.space.is_placed
    unknown = found_space((0, 4, 4), "somewhere", place_notes=["it is turned"])
    assert unknown.place_notes == ("it is turned",)


def test_an_origin_of_0_is_told_from_none() -> None:
    said, silent = found_space((40, 4, 4), "a", (0, 0, 0)).space, found_space((40, 4, 4), "a").space
    assert (said.is_placed, silent.is_placed) == (True, False)
    assert said == silent, "they are the same place"
    assert VoxelSpace((40, 4, 4), (1, 0, 0)).is_placed
