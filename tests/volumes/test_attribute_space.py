"""Voxel sizes, origins and axes in the attributes of HDF5, Zarr and N5."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from napari_pytc.volumes.attribute_space import axes_of_attributes, axis_letters, space_of_attributes

NM3 = ["nm"] * 3
CELLMAP = {
    "axes": ["z", "y", "x"],
    "ordering": "C",
    "scale": [40, 8, 4],
    "translate": [400, 80, 8],
    "units": NM3,
}


@pytest.mark.parametrize(
    ("attributes", "size", "origin", "key"),
    [
        ({"voxel_size_nm": [40, 4, 8]}, (40, 4, 8), (0, 0, 0), "voxel_size_nm"),
        ({"resolution": [40, 4, 8]}, (40, 4, 8), (0, 0, 0), "resolution"),
        ({"resolution": [0.04, 0.004, 0.008], "unit": "um"}, (40, 4, 8), (0, 0, 0), "resolution"),
        ({"resolution": [0.04, 0.004, 0.008], "unit": "micrometers"}, (40, 4, 8), (0, 0, 0), "resolution"),
        ({"resolution": [0.04, 4, 8], "units": ["um", "nm", "nm"]}, (40, 4, 8), (0, 0, 0), "resolution"),
        ({"resolution": [0.04, 4, 8], "units": "um, nm, nm"}, (40, 4, 8), (0, 0, 0), "resolution"),
        ({"resolution": [0.04, 0.004, 0.008], "units": np.array([b"um"])}, (40, 4, 8), (0, 0, 0), "resolution"),
        ({"element_size_um": [0.04, 0.004, 0.008]}, (40, 4, 8), (0, 0, 0), "element_size_um"),
        ({"element_size_um": [0.04, 0.004, 0.008], "unit": "nm"}, (40, 4, 8), (0, 0, 0), "element_size_um"),
        ({"resolution": [40, 4, 8], "offset": [400, 40, 8]}, (40, 4, 8), (400, 40, 8), "resolution"),
        ({"resolution": [0.04, 0.004, 0.008], "offset": [0.4, 0, 0], "unit": "um"}, (40, 4, 8), (400, 0, 0),
         "resolution"),
        ({"resolution": 10}, (10, 10, 10), (0, 0, 0), "resolution"),
        ({"resolution": [4, 8]}, (4, 4, 8), (0, 0, 0), "resolution"),
        ({"resolution": [1, 40, 4, 8]}, (40, 4, 8), (0, 0, 0), "resolution"),
        ({"voxel_size_nm": [0, 0, 0], "resolution": [40, 4, 8]}, (40, 4, 8), (0, 0, 0), "resolution"),
        ({"voxel_size": [40, 4, 8], "offset": [80, 8, 16]}, (40, 4, 8), (80, 8, 16), "voxel_size"),
        (
            {"voxel_size": [40, 4, 8], "axis_names": ["c^", "z", "y", "x"], "units": NM3},
            (40, 4, 8), (0, 0, 0), "voxel_size",
        ),
        (
            {"voxel_size": [8, 4, 40], "offset": [16, 8, 80], "axis_names": ["x", "y", "z"], "units": NM3},
            (40, 4, 8), (80, 8, 16), "voxel_size",
        ),
        ({"transform": CELLMAP, "pixelResolution": {"dimensions": [1, 2, 3], "unit": "um"}}, (40, 8, 4), (400, 80, 8),
         "transform"),
        ({"transform": CELLMAP | {"units": ["um", "nm", "nm"], "scale": [0.04, 8, 4], "translate": [0.4, 80, 8]}},
         (40, 8, 4), (400, 80, 8), "transform"),
        ({"pixelResolution": {"dimensions": [0.004, 0.008, 0.04], "unit": "um"}}, (40, 8, 4), (0, 0, 0),
         "pixelResolution"),
    ],
)  # fmt: skip
def test_the_usual_attributes(attributes: dict[str, Any], size: Any, origin: Any, key: str) -> None:
    found = space_of_attributes(attributes, "HDF5")
    assert found.space.known
    assert found.space.voxel_size_nm == pytest.approx(size)
    assert found.space.origin_nm == pytest.approx(origin)
    assert found.source == f"HDF5 attribute {key}"


def test_a_size_follows_the_axes_of_the_array_where_they_are_named() -> None:
    found = space_of_attributes({"resolution": [8, 4, 40], "offset": [16, 8, 80]}, "HDF5", "xyz")
    assert found.space.voxel_size_nm == (40, 4, 8)
    assert found.space.origin_nm == (80, 8, 16)


@pytest.mark.parametrize(
    ("attributes", "size", "origin"),
    [
        ({"resolution": [8, 4, 40], "offset": [16, 8, 80]}, (40, 4, 8), (80, 8, 16)),
        ({"voxel_size": [40, 4, 8], "offset": [80, 8, 16], "axis_names": ["z", "y", "x"]}, (40, 4, 8), (80, 8, 16)),
        ({"voxel_size": [40, 4, 8]}, (40, 4, 8), (0, 0, 0)),
        ({"transform": CELLMAP}, (40, 8, 4), (400, 80, 8)),
        ({"transform": {"ordering": "F", "scale": [4, 8, 40], "translate": [1, 2, 3], "units": NM3}}, (40, 8, 4),
         (3, 2, 1)),
    ],
)  # fmt: skip
def test_n5_lists_x_first_but_for_what_comes_from_zarr(attributes: dict[str, Any], size: Any, origin: Any) -> None:
    found = space_of_attributes(attributes, "N5", "zyx", is_n5=True)
    assert found.space.voxel_size_nm == size
    assert found.space.origin_nm == origin


@pytest.mark.parametrize(
    ("attributes", "note"),
    [
        ({"resolution": "fine"}, "HDF5 attribute resolution gives no lengths of the axes; it is left out."),
        ({"resolution": []}, "HDF5 attribute resolution gives no lengths of the axes; it is left out."),
        ({"resolution": [0, 4, 4], "unit": "nm"},
         "HDF5 attribute resolution gives no lengths; the voxel size is not known."),
        (
            {"resolution": [40, 4, 8], "unit": "pixel"},
            "HDF5 attribute resolution has the unit pixel, which is no length; the voxel size is not known.",
        ),
        (
            {"resolution": [0.04, 0.004, 0.004]},
            "HDF5 attribute resolution, which has no unit, would make voxels of 0.04 x 0.004 x 0.004 nm, outside of "
            "0.05 nm to 100 um; the voxel size counts as not known.",
        ),
        (
            {"resolution": [1, 1, 1]},
            "HDF5 attribute resolution is 1 along every axis without a unit, as where nothing was set; the voxel size "
            "is not known.",
        ),
        (
            {"transform": {"axes": ["z", "y", "x"], "scale": [40, 4, 4]}},
            "HDF5 attribute transform has no unit; the voxel size is not known.",
        ),
    ],
)  # fmt: skip
def test_what_says_nothing_is_unknown_and_why(attributes: dict[str, Any], note: str) -> None:
    found = space_of_attributes(attributes, "HDF5")
    assert not found.space.known
    assert found.source == "unknown"
    assert found.notes == (note,)


def test_other_attributes_are_passed_over_in_silence() -> None:
    for attributes in ({}, {"spacing": [1, 2, 3]}, {"offset": [1, 2, 3]}, {"unit": "nm"}):
        assert space_of_attributes(attributes, "Zarr").notes == ()


def test_an_assumed_unit_is_said() -> None:
    assert space_of_attributes({"resolution": [40, 4, 4]}, "HDF5").notes == (
        "HDF5 attribute resolution has no unit; it is taken as nm.",
    )
    assert space_of_attributes({"resolution": [40, 4, 4], "unit": "nm"}, "HDF5").notes == ()
    assert space_of_attributes({"voxel_size_nm": [40, 4, 4]}, "HDF5").notes == ()


def test_an_offset_of_other_axes_is_left_out_and_said() -> None:
    found = space_of_attributes({"resolution": [40, 4, 8], "unit": "nm", "offset": [1, 2, 3, 4, 5]}, "HDF5", "zyx")
    assert found.space.voxel_size_nm == (40, 4, 8)
    assert found.space.origin_nm == (0, 0, 0)
    assert found.place_notes == ("The offset beside HDF5 attribute resolution has 5 numbers; it is left out.",)


@pytest.mark.parametrize(
    ("attributes", "axes"),
    [
        ({"axis_names": ["z", "y", "x"]}, "zyx"),
        ({"axis_names": np.array([b"c^", b"z", b"y", b"x"], object)}, "czyx"),
        ({"axis_names": ["sample^", "z", "y", "x"]}, "czyx"),
        ({"transform": {"axes": ["x", "y", "z"], "ordering": "F"}}, "zyx"),
        ({"transform": {"axes": ["z", "y", "x"]}}, "zyx"),
        ({"axis_names": ["d0", "d1", "d2"]}, ""),
        ({}, ""),
    ],
)
def test_axes_in_attributes(attributes: dict[str, Any], axes: str) -> None:
    assert axes_of_attributes(attributes) == axes


@pytest.mark.parametrize(
    ("names", "letters"),
    [
        (["Z", "Y", "X"], "zyx"),
        (["channel", "y", "x"], "cyx"),
        (["z", "y"], ""),
        (["y", "y", "x"], ""),
        ([None, "x"], ""),
    ],
)
def test_letters_of_names(names: list[Any], letters: str) -> None:
    assert axis_letters(names) == letters
