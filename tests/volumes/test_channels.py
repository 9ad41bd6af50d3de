from __future__ import annotations

import pytest

from napari_pytc.errors import VolumeError
from napari_pytc.volumes.channels import (
    AffinityRole,
    BoundaryRole,
    ClassRole,
    DistanceRole,
    axis_offset,
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


def test_titles_tell_channels_apart():
    titles = [role.title for role in (*ROLES, AffinityRole(offset=(0, 9, 0)))]
    assert titles == ["membrane", "affinity -1,0,0", "boundary", "distance", "affinity 0,+9,0"]


def test_only_face_neighbours_are_near():
    assert AffinityRole(offset=axis_offset(1, -1)).is_near
    assert not AffinityRole(offset=axis_offset(1, -3)).is_near
    assert not AffinityRole(offset=(0, 1, 1)).is_near
