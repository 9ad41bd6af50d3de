"""What channels a target asks for, and what goes together."""

from __future__ import annotations

import json

import pytest

from napari_pytc.errors import InvalidInput
from napari_pytc.geometry import VoxelSpace
from napari_pytc.plans.networks import FilterBankNetwork
from napari_pytc.plans.plan import TrainPlan
from napari_pytc.plans.recipes import load_recipe
from napari_pytc.plans.targets import ClassesTarget, InstancesTarget, chosen_offsets
from napari_pytc.volumes.channels import AffinityRole, BoundaryRole, ClassRole, DistanceRole
from tests.support.learning import space, tiny_plan


def test_classes_are_what_a_plan_learns_by_default() -> None:
    assert TrainPlan().target == ClassesTarget()
    assert TrainPlan().target.roles(("a", "b"), space()) == (ClassRole(name="a"), ClassRole(name="b"))


def test_a_plan_from_before_there_were_targets_is_read() -> None:
    old = json.loads(tiny_plan().model_dump_json(exclude={"target", "decoder"}))
    assert TrainPlan.model_validate(old) == tiny_plan()


def test_isotropic_voxels_have_the_same_offsets_along_all_axes() -> None:
    assert chosen_offsets(space(), (3, 9)) == (
        (-1, 0, 0), (0, -1, 0), (0, 0, -1), (-3, 0, 0), (0, -3, 0), (0, 0, -3), (-9, 0, 0), (0, -9, 0), (0, 0, -9),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("anisotropy", "across"), [(1.0, {-1, -3, -9}), (2.0, {-1, -2, -4}), (4.0, {-1, -2}), (10.0, {-1, -2})]
)
def test_thick_sections_have_fewer_and_shorter_offsets(anisotropy: float, across: set[int]) -> None:
    offsets = chosen_offsets(space(anisotropy), (3, 9))
    assert {z for z, y, x in offsets if z} == across
    assert {y for z, y, x in offsets if y} == {x for z, y, x in offsets if x} == {-1, -3, -9}
    assert len(set(offsets)) == len(offsets)


def test_channels_come_in_order_and_only_the_wanted_ones() -> None:
    everything = InstancesTarget(long_range=(), boundary=True, foreground=True, distance=True)
    kinds = [type(role) for role in everything.roles((), space(4.0))]
    assert kinds == [AffinityRole] * 3 + [BoundaryRole, ClassRole, DistanceRole]
    assert everything.roles((), space(4.0))[-1] == DistanceRole(reach_nm=120)
    assert InstancesTarget(distance=True, reach_um=0.2).roles((), space())[-1] == DistanceRole(reach_nm=200)
    assert InstancesTarget(affinities=False, boundary=True).roles((), space()) == (BoundaryRole(),)


def test_offsets_can_be_given() -> None:
    given = InstancesTarget(offsets=((-1, 0, 0), (0, 2, -2)))
    assert [role.offset for role in given.roles((), VoxelSpace((40, 4, 4)))] == [(-1, 0, 0), (0, 2, -2)]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("target.affinities=false", "at least one of affinities"),
        ("target.long_range=[1,3]", "at least 2 voxels long, got"),
        ("target.offsets=[[0,0,0]]", "differ from one another and from 0,0,0"),
        ("target.offsets=[[1,0,0],[1,0,0]]", "differ from one another"),
        ("target.kind=things", "Known are channels, classes, instances"),
        ("guess_weight=0.5", "with target.kind=instances there are none, got guess_weight=0.5"),
    ],
)
def test_what_does_not_go_together_is_reported_in_a_sentence(change: str, words: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        load_recipe("neurites", [change])
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_network_of_single_voxels_learns_no_instances() -> None:
    plan = TrainPlan(target=InstancesTarget(), network=FilterBankNetwork())
    with pytest.raises(InvalidInput, match="cannot learn instances"):
        plan.check()


@pytest.mark.parametrize("anisotropy", [1.0, 4.0, 10.0])
@pytest.mark.parametrize(("name", "kind"), [("neurites", "instances"), ("organelles", "channels")])
def test_the_recipes_of_objects_build_their_network_and_name_a_decoder(name: str, kind: str, anisotropy: float) -> None:
    plan = load_recipe(name)
    assert plan.target.kind == kind
    assert plan.decoder["kind"]
    assert TrainPlan.model_validate_json(plan.model_dump_json()) == plan
    roles = plan.target.roles((), space(anisotropy))
    assert plan.network.build(len(roles), space(anisotropy)) is not None
