"""Roles of channels: written and read, what a stored number stands for, and back."""

from __future__ import annotations

import math
from itertools import product

import pytest

from napari_pytc.volumes.channels import roles_of, roles_to_json
from napari_pytc.volumes.roles import (
    DESCRIPTORS,
    AffinityRole,
    BoundaryRole,
    ClassRole,
    DescriptorRole,
    DistanceRole,
    FlowRole,
    ForegroundRole,
    InstanceDistanceRole,
    PolarityRole,
    Role,
    SemanticDistanceRole,
    SkeletonDistanceRole,
    SmallObjectRole,
)

ROLES: list[Role] = [
    ClassRole(name="inside", activation="softmax"),
    ForegroundRole(),
    ForegroundRole(erosion=(0, 1, 1)),
    AffinityRole(offset=(-1, 0, 0)),
    AffinityRole(offset=(0, 10, 0), activation="scaled_sigmoid"),
    *(
        BoundaryRole(mode=mode, edge_mode=edges, thickness=thickness)
        for mode, edges, thickness in product(("thick", "inner", "outer"), ("seg-all", "seg-no-bg", "all"), (1, 2))
    ),
    DistanceRole(reach_nm=120),
    SemanticDistanceRole(inside_nm=8, outside_nm=8),
    SemanticDistanceRole(inside_nm=8, outside_nm=50, per_section=True),
    InstanceDistanceRole(activation="none"),
    SkeletonDistanceRole(),
    *(FlowRole(axis=axis) for axis in (0, 1, 2)),
    *(PolarityRole(side=side) for side in ("pre", "post", "any")),
    SmallObjectRole(at_most_um3=0.01),
    *(DescriptorRole(component=component, sigma_nm=80) for component in range(10)),
]


def test_roles_are_read_as_they_were_written_and_have_names_of_their_own() -> None:
    titles = [role.title for role in ROLES]
    assert len(set(titles)) == len(titles)
    assert roles_of({"napari_pytc": {"channels": roles_to_json(ROLES)}}, titles) == tuple(ROLES)


def test_roles_of_before_are_written_as_before() -> None:
    former = [ClassRole(name="a"), AffinityRole(offset=(0, -3, 0)), BoundaryRole(), DistanceRole(reach_nm=120)]
    assert roles_to_json(former) == [
        {"role": "class", "name": "a"},
        {"role": "affinity", "offset": [0, -3, 0]},
        {"role": "boundary"},
        {"role": "distance", "reach_nm": 120.0},
    ]


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.title)
def test_what_is_stored_can_be_taken_back(role: Role) -> None:
    low, high = role.span
    for value in (low, high, low + 0.3 * (high - low)):
        assert role.value(role.stored(value)) == pytest.approx(value)
    assert (role.stored(low - 1), role.stored(high + 1)) == (0, 1)
    assert role.meaning.startswith(f"0 to 255 stand for {low:g} to {high:g}")


@pytest.mark.parametrize(
    ("activation", "function"),
    [
        ("sigmoid", lambda x: 1 / (1 + math.exp(-x))),
        ("scaled_sigmoid", lambda x: 1 / (1 + math.exp(-0.2 * x))),
        ("tanh", lambda x: (math.tanh(x) + 1) / 2),
    ],
)
def test_activations_can_be_undone(activation, function) -> None:
    role = AffinityRole(offset=(1, 0, 0), activation=activation)
    assert role.logit(function(0.7)) == pytest.approx(0.7)
    assert (role.logit(0.0), role.logit(1.0)) == (-math.inf, math.inf)


def test_a_softmax_alone_cannot_be_undone_and_no_activation_needs_none() -> None:
    with pytest.raises(ValueError, match="cannot be undone"):
        ClassRole(name="a", activation="softmax").logit(0.5)
    assert InstanceDistanceRole(activation="none").logit(0.75) == 0.5


def test_signed_channels_turn_with_a_mirror() -> None:
    assert FlowRole(axis=1).mirrored_axes == (1,)
    mirrored = [DescriptorRole(component=c, sigma_nm=80).mirrored_axes for c in range(10)]
    assert mirrored == [(0,), (1,), (2,), (), (), (), (0, 1), (0, 2), (1, 2), ()]
    assert len(DESCRIPTORS) == 10
