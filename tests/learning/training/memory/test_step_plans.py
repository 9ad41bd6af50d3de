"""Trainings begin with the first batch and patch that fit into memory, and are refused where none does."""

from __future__ import annotations

import pytest

from napari_pytc.errors import OutOfMemory
from napari_pytc.geometry import Shape
from napari_pytc.learning.machine.oom_fallback import make_memory_plans
from napari_pytc.learning.networks.network import build_network
from napari_pytc.learning.networks.step_memory import StepMemoryCounter
from napari_pytc.learning.training.memory.step_plans import fitting_plans, least_patch
from napari_pytc.learning.training.steps.loop import memory_plans
from napari_pytc.plans.networks import NetworkLimits, SectionUNetNetwork, UNetNetwork
from napari_pytc.plans.plan import TrainPlan
from napari_pytc.plans.targets import AnyTarget, ChannelsTarget, ClassesTarget, InstancesTarget
from tests.support.learning import space

NETWORK = UNetNetwork(channels=(4, 8))
PLANS = make_memory_plans(4, (16, 64, 64), "cpu", smallest=(16, 32, 32))


def test_all_plans_are_kept_where_the_first_fits() -> None:
    told: list[str] = []

    assert fitting_plans(build_network(NETWORK, 2, space()), PLANS, told.append, lambda _: 1 << 40) == PLANS
    assert told == []


def test_plans_that_do_not_fit_are_left_out_and_told() -> None:
    counter = StepMemoryCounter(build_network(NETWORK, 2, space()))
    enough = counter.count(1, (16, 64, 64)).total
    told: list[str] = []

    found = fitting_plans(build_network(NETWORK, 2, space()), PLANS, told.append, lambda _: enough)

    assert found == PLANS[2:]
    assert "would take about" in told[0]
    assert "the training begins with 16x64x64 voxels on cpu" in told[0]


def test_a_parent_that_is_distilled_takes_memory_too() -> None:
    network, parent = (build_network(NETWORK, 2, space()) for _ in range(2))
    enough_alone = StepMemoryCounter(build_network(NETWORK, 2, space())).count(4, (16, 64, 64)).total
    told: list[str] = []

    found = fitting_plans(network, PLANS, told.append, lambda _: enough_alone, parent)

    assert found == PLANS[1:]
    assert "a batch of 2 x 16x64x64" in told[0]
    assert not any(weights.is_meta for weights in (*network.parameters(), *parent.parameters()))


def test_what_fits_nowhere_is_refused_with_both_numbers() -> None:
    with pytest.raises(OutOfMemory, match=r"takes about \d+ MB even with 16x32x32 voxels on cpu, and 1 MB of memory"):
        fitting_plans(build_network(NETWORK, 2, space()), PLANS, lambda _: None, lambda _: 1_000_000)


def test_the_least_patch_has_several_voxels_of_the_deepest_level() -> None:
    assert least_patch((64, 128, 128), (32, 32, 32)) == (32, 64, 64)
    assert least_patch((64, 128, 128), (1, 4, 4)) == (16, 32, 32)
    assert least_patch((1, 368, 368), (1, 16, 16)) == (1, 32, 32)


@pytest.mark.parametrize(
    ("target", "least"),
    [
        (InstancesTarget(offsets=((-1, 0, 0), (0, -40, 0))), (16, 41, 32)),
        (InstancesTarget(offsets=((0, -40, 0),), affinities=False, boundary=True), (16, 32, 32)),
        (InstancesTarget(long_range=(40,)), (41, 41, 41)),
        (ChannelsTarget(channels=({"role": "affinity", "offset": (-20, 0, 33)}, "boundary")), (21, 32, 34)),
        (ClassesTarget(), (16, 32, 32)),
    ],
)
def test_the_least_patch_holds_the_partner_of_every_affinity(target: AnyTarget, least: Shape) -> None:
    plan = TrainPlan(network=NETWORK, target=target, patch_shape=(64, 128, 128), batch_size=2, device="cpu")
    limits = NetworkLimits(halo=(1, 1, 1), alignment=(1, 1, 1))
    plans = memory_plans(plan, space(), limits)
    assert plans[-1].shape == least
    for one in plans:
        target.check_patch(one.shape)  # refuses offsets that lead out of a patch


def test_the_least_patch_has_a_section_with_all_its_context() -> None:
    settings = SectionUNetNetwork(channels=(4, 8), context_sections=9)
    plan = TrainPlan(network=settings, patch_shape=(24, 64, 64), batch_size=2, device="cpu")
    network = build_network(settings, 2, space())
    plans = memory_plans(plan, space(), network.limits())
    assert plans[-1].shape == (19, 32, 32)
    counter = StepMemoryCounter(network)
    assert all(counter.count(one.batch_size, one.shape).total for one in plans)
