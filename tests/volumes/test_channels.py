from __future__ import annotations

import json

import pytest

from napari_pytc.errors import VolumeError
from napari_pytc.volumes.channels import (
    AffinityRole,
    BoundaryRole,
    ClassRole,
    DistanceRole,
    axis_offset,
    class_numbers,
    on_other_voxels,
    other_classes_note,
    prediction_attributes,
    recipe_of,
    roles_of,
    roles_to_json,
)

ROLES = (ClassRole(name="membrane"), AffinityRole(offset=(-1, 0, 0)), BoundaryRole(), DistanceRole(reach_nm=120.0))


def test_roles_survive_json():
    note = {"napari_pytc": {"channels": roles_to_json(ROLES)}}
    assert roles_of(note, ["a", "b", "c", "d"]) == ROLES


@pytest.mark.parametrize("attributes", [{}, {"napari_pytc": {}}, {"napari_pytc": {"model": "x"}}, {"napari_pytc": 3}])
def test_a_prediction_without_roles_is_of_classes(attributes):
    assert roles_of(attributes, ["membrane", "inside"]) == (ClassRole(name="membrane"), ClassRole(name="inside"))


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (roles_to_json(ROLES[:2]), "3 channels but says what 2"),
        ([{"role": "colour"}] * 3, "cannot be read"),
        ("affinity", "cannot be read"),
        ([{"role": "distance", "reach_nm": -1}] * 3, "cannot be read"),
    ],
)
def test_damaged_roles_are_refused(written, said):
    with pytest.raises(VolumeError, match=said):
        roles_of({"napari_pytc": {"channels": written}}, ["a", "b", "c"])


def test_a_recipe_survives_json():
    decoder = {"kind": "watershed", "smallest_um3": 0.001}
    note = {"napari_pytc": {"model": "m", **json.loads(json.dumps(prediction_attributes(ROLES, decoder, "membrane")))}}
    found = recipe_of(note)
    assert found is not None
    assert (found.decoder, found.classes, found.boundary_class) == (decoder, ("membrane",), "membrane")
    assert roles_of(note, ["a", "b", "c", "d"]) == ROLES


@pytest.mark.parametrize("attributes", [{}, {"napari_pytc": {"model": "x"}}, {"napari_pytc": 3}])
def test_a_prediction_of_an_older_version_says_nothing_of_its_recipe(attributes):
    assert recipe_of(attributes) is None


@pytest.mark.parametrize("changes", [{"decoder": "watershed"}, {"classes": 3}, {"boundary_class": ["membrane"]}])
def test_a_damaged_recipe_is_refused(changes):
    with pytest.raises(VolumeError, match="cannot be read"):
        recipe_of({"napari_pytc": {**prediction_attributes(ROLES, {}), **changes}})


def test_titles_tell_channels_apart():
    titles = [role.title for role in (*ROLES, AffinityRole(offset=(0, 9, 0)))]
    assert titles == ["membrane", "affinity -1,0,0", "boundary", "distance", "affinity 0,+9,0"]


def test_only_face_neighbours_are_near():
    assert AffinityRole(offset=axis_offset(1, -1)).is_near
    assert not AffinityRole(offset=axis_offset(1, -3)).is_near
    assert not AffinityRole(offset=(0, 1, 1)).is_near


@pytest.mark.parametrize(
    ("offset", "factors", "expected"),
    [
        ((0, -1, 0), (1, 2, 2), (0, -1, 0)),  # face neighbours stay so
        ((0, -9, 0), (1, 2, 2), (0, -18, 0)),
        ((-3, 0, 0), (0.25, 1, 1), (-2, 0, 0)),
        ((0, 0, 9), (1, 1, 0.5), (0, 0, 4)),
        ((1, 1, 0), (0.2, 3, 1), (1, 3, 0)),
    ],
)
def test_offsets_on_other_voxels_keep_their_length(offset, factors, expected):
    assert on_other_voxels(AffinityRole(offset=offset), factors) == AffinityRole(offset=expected)
    assert on_other_voxels(BoundaryRole(), factors) == BoundaryRole()


def test_numbers_of_classes_follow_their_names() -> None:
    assert class_numbers(("inside", "membrane"), ("membrane", "inside")) == ((2, 1), ("membrane", "inside"))
    assert class_numbers(("glia", "inside"), ("membrane", "inside")) == ((3, 2), ("membrane", "inside", "glia"))
    assert class_numbers(("a", "b"), ()) == ((1, 2), ("a", "b"))


def test_classes_that_a_project_does_not_have_are_named() -> None:
    assert other_classes_note("The model m", ("b", "a"), ("a", "b", "c")) is None
    note = other_classes_note("The model m", ("glia", "a"), ("a", "b"))
    assert note is not None
    assert "The model m has the class glia" in note
    assert "it has a, b" in note
