"""OME-Zarr metadata: what of it is understood, and that what we write is read again."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_pytc.geometry import VoxelSpace
from napari_pytc.volumes.ome_metadata import Multiscale, multiscale_of, ome_attributes

NM = [{"name": a, "type": "space", "unit": "nanometer"} for a in "zyx"]
lengths = st.tuples(*[st.floats(0.01, 1e5)] * 3)


def group(axes: Any = NM, datasets: Any = None, **more: Any) -> dict[str, Any]:
    datasets = [{"path": "0"}] if datasets is None else datasets
    return {"multiscales": [{"axes": axes, "datasets": datasets, **more}]}


def scaled(*transforms: tuple[str, list[float]]) -> list[dict[str, Any]]:
    return [{"path": "s0", "coordinateTransformations": [{"type": kind, kind: value} for kind, value in transforms]}]


def found(attributes: dict[str, Any]) -> Multiscale:
    multiscale = multiscale_of(attributes)
    assert multiscale is not None
    return multiscale


@given(lengths, lengths, st.lists(st.sampled_from(["membrane", "inside", "a b"]), max_size=3))
def test_what_we_write_is_read(size: Any, origin: Any, channels: list[str]) -> None:
    space = VoxelSpace(size, origin)
    multiscale = found(ome_attributes("a", space, channels, 255.0, {"n": 1}))
    assert multiscale.paths == ["0"]
    assert multiscale.letters == ("czyx" if channels else "zyx")
    assert multiscale.space(0, is_own=True).space == space


def test_an_unknown_size_is_written_without_units_and_read_as_unknown() -> None:
    multiscale = found(ome_attributes("a", VoxelSpace.unknown(), (), 1.0, {}))
    assert not any("unit" in axis for axis in multiscale.axes)
    assert not multiscale.space(0).space.known


def test_channels_have_names_colours_and_a_window() -> None:
    names = [f"c{k}" for k in range(10)]
    channels = ome_attributes("a", VoxelSpace(), names, 255.0, {})["ome"]["omero"]["channels"]
    assert [channel["label"] for channel in channels] == names
    assert len({channel["color"] for channel in channels[:8]}) == 8
    assert channels[8]["color"] == channels[0]["color"]
    assert all(channel["window"] == {"min": 0, "max": 255, "start": 0, "end": 255} for channel in channels)


@pytest.mark.parametrize(
    "attributes",
    [{}, {"multiscales": []}, {"multiscales": None}, {"multiscales": [{}]}, {"ome": {"version": "0.5"}}, {"ome": "x"}],
)
def test_a_group_without_an_image_has_none(attributes: dict[str, Any]) -> None:
    assert multiscale_of(attributes) is None


@pytest.mark.parametrize("wrap", [lambda inner: inner, lambda inner: {"ome": inner}], ids=["0.4", "0.5"])
def test_both_versions_are_read(wrap: Any) -> None:
    multiscale = found(wrap(group(datasets=scaled(("scale", [40, 4, 8])))))
    assert multiscale.paths == ["s0"]
    assert multiscale.space(0).space.voxel_size_nm == (40, 4, 8)


def test_axes_that_are_strings_or_not_there_are_those_of_older_versions() -> None:
    assert found(group(axes=["z", "y", "x"])).letters == "zyx"
    old = group()
    del old["multiscales"][0]["axes"]
    assert found(old).letters == "tczyx"


@pytest.mark.parametrize(
    ("axis", "letter"),
    [
        ({"name": "Z"}, "z"),
        ({"name": "anything", "type": "channel"}, "c"),
        ({"name": "frames", "type": "time"}, "t"),
        ({"name": "x-axis", "type": "space"}, "x"),
        ({}, "?"),
    ],
)
def test_an_axis_is_known_by_its_type_then_its_name(axis: dict[str, str], letter: str) -> None:
    assert found(group(axes=[axis])).letters == letter


@pytest.mark.parametrize(
    ("transforms", "size", "origin"),
    [
        ([("scale", [40, 4, 8])], (40, 4, 8), (0, 0, 0)),
        ([("scale", [40, 4, 8]), ("translation", [1, 2, 3])], (40, 4, 8), (1, 2, 3)),
        ([("translation", [1, 2, 3]), ("scale", [40, 4, 8])], (40, 4, 8), (40, 8, 24)),
        ([("scale", [40, 4, 8]), ("scale", [1, 2, 2])], (40, 8, 16), (0, 0, 0)),
        ([("scale", [40, 4])], (1, 1, 1), (0, 0, 0)),  # of another number of axes: left out
        ([("rotation", [40, 4, 8])], (1, 1, 1), (0, 0, 0)),
    ],
)
def test_transforms_follow_one_another(transforms: Any, size: tuple[float, ...], origin: tuple[float, ...]) -> None:
    space = found(group(datasets=scaled(*transforms))).space(0).space
    assert space.voxel_size_nm == size
    assert space.origin_nm == origin


def test_transforms_of_the_whole_image_come_after_those_of_a_level() -> None:
    outer = [{"type": "scale", "scale": [10, 10, 10]}]
    multiscale = found(group(datasets=scaled(("scale", [4, 2, 1])), coordinateTransformations=outer))
    assert multiscale.space(0).space.voxel_size_nm == (40, 20, 10)


def test_each_axis_has_its_own_unit() -> None:
    axes = [
        {"name": "z", "type": "space", "unit": "micrometer"},
        {"name": "y", "type": "space", "unit": "nanometer"},
        {"name": "x", "type": "space", "unit": "angstrom"},
    ]
    space = found(group(axes, scaled(("scale", [0.04, 4, 80]), ("translation", [1, 2, 3])))).space(0).space
    assert space.voxel_size_nm == pytest.approx((40, 4, 8))
    assert space.origin_nm == pytest.approx((1000, 2, 0.3))


@pytest.mark.parametrize("unit", [None, "pixel"])
def test_an_axis_of_space_without_a_length_makes_the_size_unknown(unit: str | None) -> None:
    axes = [*NM[:2], {"name": "x", "type": "space", "unit": unit}]
    assert not found(group(axes, scaled(("scale", [40, 4, 8])))).space(0).space.known


def test_channels_need_no_unit() -> None:
    axes = [{"name": "c", "type": "channel"}, *NM]
    assert found(group(axes, scaled(("scale", [1, 40, 4, 8])))).space(0).space.voxel_size_nm == (40, 4, 8)


def test_an_image_of_one_section_is_as_thick_as_its_finest_edge() -> None:
    assert found(group(NM[1:], scaled(("scale", [4, 8])))).space(0).space.voxel_size_nm == (4, 4, 8)
