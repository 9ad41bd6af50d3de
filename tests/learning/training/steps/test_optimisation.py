"""The rate of learning over a training, gradients that are no numbers, and the average of the weights."""

from __future__ import annotations

import copy
import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from napari_pytc.learning.machine.precision import Precision
from napari_pytc.learning.training.steps.optimisation import (
    LearningRate,
    WeightAverage,
    make_optimiser,
    prepare_gradients,
)
from napari_pytc.plans.loop import Gradients
from napari_pytc.plans.plan import TrainPlan

PLAN = TrainPlan(learning_rate=0.01, weight_decay=0.03)


def make_network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))


def rate(step: int, share: float, highest: float = 1.0) -> float:
    optimiser = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=123.0)
    LearningRate(PLAN, highest).set(optimiser, step, share)
    return float(optimiser.param_groups[0]["lr"])


def learn(network: nn.Module, optimiser: torch.optim.Optimizer, seed: int = 1) -> None:
    generator = torch.Generator().manual_seed(seed)
    optimiser.zero_grad()
    network(torch.randn(8, 3, generator=generator)).square().mean().backward()
    optimiser.step()


# The optimiser


def test_the_optimiser_has_the_plans_numbers() -> None:
    (group,) = make_optimiser(make_network(), PLAN).param_groups
    assert (group["lr"], group["weight_decay"]) == (0.01, 0.03)


def test_only_what_learns_is_optimised() -> None:
    network = make_network()
    network[0].requires_grad_(False)
    (group,) = make_optimiser(network, PLAN).param_groups
    assert len(group["params"]) == 2
    frozen = network[0].weight.clone()
    learning = network[2].weight.clone()
    learn(network, make_optimiser(network, PLAN))
    assert torch.equal(network[0].weight, frozen)
    assert not torch.equal(network[2].weight, learning)


def test_a_training_goes_on_where_it_stopped() -> None:
    whole, parts = make_network(), make_network()
    optimiser = make_optimiser(whole, PLAN)
    for step in range(4):
        learn(whole, optimiser, step)

    optimiser = make_optimiser(parts, PLAN)
    for step in range(2):
        learn(parts, optimiser, step)
    optimiser = make_optimiser(parts, PLAN, optimiser.state_dict())
    for step in range(2, 4):
        learn(parts, optimiser, step)
    for one, other in zip(whole.parameters(), parts.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("kind", ["adamw", "adam", "sgd"])
def test_it_goes_on_so_where_channels_come_last(kind: str) -> None:
    """A file has the moments of the optimiser in the order of their indices, whatever that of the weights."""
    plan = TrainPlan(learning_rate=0.1, optimiser={"kind": kind})
    whole, parts = (Precision(channels_last=True).place_network(nn.Conv3d(2, 3, 2)) for _ in range(2))
    parts.load_state_dict(whole.state_dict())
    optimisers = [make_optimiser(network, plan) for network in (whole, parts)]
    for step in range(4):
        if step == 2:
            state = copy.deepcopy(optimisers[1].state_dict())
            for moments in state["state"].values():
                moments |= {name: one.contiguous() for name, one in moments.items() if isinstance(one, torch.Tensor)}
            optimisers[1] = make_optimiser(parts, plan, state)
        image = torch.randn(2, 2, 4, 4, 4, generator=torch.Generator().manual_seed(step))
        for network, optimiser in zip((whole, parts), optimisers, strict=True):
            optimiser.zero_grad()
            network(image).square().mean().backward()
            optimiser.step()
    assert whole.weight.stride() == parts.weight.stride() != nn.Conv3d(2, 3, 2).weight.stride()
    assert torch.equal(whole.weight, parts.weight)


# The rate


def test_the_rate_warms_up_and_decays() -> None:
    rates = [rate(step, step / 200) for step in range(201)]
    top = int(np.argmax(rates))
    assert 15 <= top <= 20
    assert all(a < b for a, b in itertools.pairwise(rates[: top + 1]))
    assert all(a > b for a, b in itertools.pairwise(rates[top:]))
    assert rates[0] == pytest.approx(1 / 20, rel=1e-3)
    assert rates[-1] == pytest.approx(0.02)


@given(step=st.integers(0, 10**6), share=st.floats(0, 2), highest=st.floats(1e-6, 1))
def test_the_rate_is_never_zero_nor_more_than_the_highest(step: int, share: float, highest: float) -> None:
    assert 0 < rate(step, share, highest) <= highest * (1 + 1e-9)


@given(share=st.floats(0, 1), step=st.integers(0, 50))
def test_the_rate_is_in_proportion_to_the_highest(share: float, step: int) -> None:
    assert rate(step, share, 0.3) == pytest.approx(0.3 * rate(step, share))


def test_a_training_that_takes_longer_than_planned_stays_at_the_last_rate() -> None:
    assert rate(500, 1.7) == rate(500, 1.0) == pytest.approx(0.02)


def test_all_groups_get_the_rate() -> None:
    groups = [{"params": [nn.Parameter(torch.zeros(1))], "lr": lr} for lr in (1.0, 2.0)]
    optimiser = torch.optim.SGD(groups, lr=3.0)
    LearningRate(PLAN, 0.5).set(optimiser, 100, 0.0)
    assert [group["lr"] for group in optimiser.param_groups] == [0.5, 0.5]


# Gradients that are no numbers


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("layer", [0, 2])
def test_a_step_with_such_a_gradient_changes_nothing(bad: float, layer: int) -> None:
    network = make_network()
    optimiser = make_optimiser(network, PLAN)
    network(torch.ones(2, 3)).mean().backward()
    gradient = network[layer].weight.grad
    assert gradient is not None
    gradient[0, 0] = bad
    before = [parameter.clone() for parameter in network.parameters()]
    prepare_gradients(optimiser, Gradients(), False)
    optimiser.step()
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), before, strict=True))
    learn(network, optimiser)
    assert all(parameter.isfinite().all() for parameter in network.parameters())


def test_gradients_that_are_numbers_are_left_alone() -> None:
    network = make_network()
    optimiser = make_optimiser(network, PLAN)
    network(torch.ones(2, 3)).mean().backward()
    before = [parameter.grad.clone() for parameter in network.parameters() if parameter.grad is not None]
    assert len(before) == 4
    prepare_gradients(optimiser, Gradients(), False)
    for parameter, gradient in zip(network.parameters(), before, strict=True):
        assert parameter.grad is not None
        assert torch.equal(parameter.grad, gradient)


def test_without_gradients_there_is_nothing_to_skip() -> None:
    assert prepare_gradients(make_optimiser(make_network(), PLAN), Gradients(), True) is None


# The average


def average_of(values: list[float], decay: float) -> float:
    network = nn.Linear(1, 1, bias=False)
    averaged = WeightAverage(network, decay)
    for value in values:
        with torch.no_grad():
            network.weight.fill_(value)
        averaged.advance(network, 0.0)
    return float(averaged.module.weight.detach())


def naive_average(values: list[float], decay: float) -> float:
    average = values[0]
    for n, value in enumerate(values[1:], start=1):
        kept = min(decay, (1 + n) / (10 + n))
        average = kept * average + (1 - kept) * value
    return average


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=30), st.floats(0, 0.999))
def test_the_average_is_that_of_a_naive_loop(values: list[float], decay: float) -> None:
    assert average_of(values, decay) == pytest.approx(naive_average(values, decay), abs=1e-4)


def test_the_random_start_is_forgotten() -> None:
    assert average_of([100.0] + [1.0] * 30, 0.999) == pytest.approx(1.0, abs=0.1)


def test_buffers_of_numbers_are_averaged_and_counters_copied() -> None:
    network = nn.BatchNorm1d(2)
    averaged = WeightAverage(network, 0.9)
    for step in range(3):
        network(torch.full((4, 2), float(step)) + torch.arange(4.0)[:, None])
        averaged.advance(network, 0.0)
    assert int(averaged.module.num_batches_tracked) == 3
    assert 0 < float(averaged.module.running_mean[0]) < float(network.running_mean[0]) + 1e-6


def test_the_copy_is_apart_from_the_network() -> None:
    network = make_network()
    averaged = WeightAverage(network, 0.9)
    before = averaged.module[0].weight.clone()
    learn(network, make_optimiser(network, PLAN))
    assert torch.equal(averaged.module[0].weight, before)
