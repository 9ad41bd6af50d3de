"""Trainings begin with the first batch and patch that fit into memory, and are refused where none does."""

from __future__ import annotations

import pytest

from napari_pytc.errors import OutOfMemory
from napari_pytc.learning.machine.oom_fallback import make_memory_plans
from napari_pytc.learning.networks.network import build_network
from napari_pytc.learning.networks.step_memory import StepMemoryCounter
from napari_pytc.learning.training.memory.step_plans import fitting_plans, least_patch
from napari_pytc.learning.training.steps.loop import memory_plans
from napari_pytc.plans.networks import SectionUNetNetwork, UNetNetwork
from napari_pytc.plans.plan import TrainPlan
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


def test_what_fits_nowhere_is_refused_with_both_numbers() -> None:
    with pytest.raises(OutOfMemory, match=r"takes about \d+ MB even with 16x32x32 voxels on cpu, and 1 MB of memory"):
        fitting_plans(build_network(NETWORK, 2, space()), PLANS, lambda _: None, lambda _: 1_000_000)


def test_the_least_patch_has_several_voxels_of_the_deepest_level() -> None:
    assert least_patch((64, 128, 128), (32, 32, 32)) == (32, 64, 64)
    assert least_patch((64, 128, 128), (1, 4, 4)) == (16, 32, 32)
    assert least_patch((1, 368, 368), (1, 16, 16)) == (1, 32, 32)


def test_the_least_patch_has_a_section_with_all_its_context() -> None:
    settings = SectionUNetNetwork(channels=(4, 8), context_sections=9)
    plan = TrainPlan(network=settings, patch_shape=(24, 64, 64), batch_size=2, device="cpu")
    network = build_network(settings, 2, space())
    plans = memory_plans(plan, space(), network.limits())
    assert plans[-1].shape == (19, 32, 32)
    counter = StepMemoryCounter(network)
    assert all(counter.count(one.batch_size, one.shape).total for one in plans)
