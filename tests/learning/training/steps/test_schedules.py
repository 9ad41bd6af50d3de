"""Schedules are torch's where torch has them; optimisers have their groups; settings that contradict are refused."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler

from napari_pytc.errors import InvalidInput, ModelError
from napari_pytc.learning.training.steps.optimisation import (
    LearningRate,
    WeightAverage,
    make_optimiser,
    prepare_gradients,
)
from napari_pytc.plans.loop import Gradients
from napari_pytc.plans.optimisation import ScheduleSettings
from napari_pytc.plans.plan import TrainPlan
from napari_pytc.plans.recipes import plan_from_yaml

STEPS = 20
BARE = {"warm_up": 0, "floor": 0}


def rates(schedule: dict[str, Any], **settings: Any) -> list[float]:
    rate = LearningRate(TrainPlan(steps=STEPS, learning_rate=0.5, schedule=schedule, **settings))
    return [rate.at(step, step / STEPS) for step in range(STEPS)]


def torchs(make: Any) -> list[float]:
    optimiser = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.5)
    scheduler, found = make(optimiser), []
    for _ in range(STEPS):
        found.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        scheduler.step()
    return found


@pytest.mark.parametrize(
    ("schedule", "make"),
    [
        ({"kind": "constant"}, lambda o: lr_scheduler.ConstantLR(o, 1.0)),
        ({"kind": "cosine"}, lambda o: lr_scheduler.CosineAnnealingLR(o, STEPS)),
        ({"kind": "cosine", "restarts": 3}, lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, STEPS // 4)),
        (
            {"kind": "cosine", "restarts": 1, "stretch": 3},
            lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, STEPS // 4, T_mult=3),
        ),
        ({"kind": "step", "every": 7}, lambda o: lr_scheduler.StepLR(o, 7, 0.1)),
        ({"kind": "step", "every": 0.25}, lambda o: lr_scheduler.StepLR(o, STEPS // 4, 0.1)),
        ({"kind": "multi_step", "milestones": [5, 15]}, lambda o: lr_scheduler.MultiStepLR(o, [5, 15], 0.1)),
        ({"kind": "multi_step", "milestones": [0.5]}, lambda o: lr_scheduler.MultiStepLR(o, [STEPS // 2], 0.1)),
        ({"kind": "exponential", "half_life": 5}, lambda o: lr_scheduler.ExponentialLR(o, 0.5**0.2)),
        ({"kind": "polynomial", "power": 2}, lambda o: lr_scheduler.PolynomialLR(o, STEPS, 2)),
    ],
)
def test_a_bare_schedule_is_torchs(schedule: dict[str, Any], make: Any) -> None:
    assert rates({**schedule, **BARE}) == pytest.approx(torchs(make), abs=1e-9)


def test_a_plateau_is_torchs() -> None:
    scores = [0.1, 0.3, 0.3, 0.29, 0.31, 0.31, 0.31, 0.31, 0.2, 0.2, 0.2, 0.2]
    plan = TrainPlan(
        learning_rate=0.5, schedule={"kind": "plateau", "patience": 1, **BARE}, watching={"min_change": 0.05}
    )
    rate, found = LearningRate(plan), []
    optimiser = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.5)
    scheduler = lr_scheduler.ReduceLROnPlateau(optimiser, "max", 0.5, 1, 0.05, "abs")
    for number, score in enumerate(scores):
        if number == 5:  # resumed
            again = LearningRate(plan)
            again.restore(rate.state())
            rate = again
        rate.observe(score)
        scheduler.step(score)
        found.append(rate.at(100, 0.5))
        assert found[-1] == pytest.approx(optimiser.param_groups[0]["lr"])
    assert found[-1] < 0.1


@pytest.mark.parametrize("kind", sorted(ScheduleSettings.variants()))
def test_every_kind_warms_up_and_stays_above_its_floor(kind: str) -> None:
    found = rates({"kind": kind, "warm_up": 10, "floor": 0.3})
    assert found[0] == pytest.approx(0.05, rel=0.2)
    assert max(found) <= 0.5 + 1e-9
    assert min(found[10:]) >= 0.15 - 1e-9
    half = rates({"kind": kind, "warm_up": 0.5, "floor": 1.0})
    assert half[5] == pytest.approx(0.25)
    assert half[10:] == pytest.approx([0.5] * 10)


def test_the_rate_follows_minutes_where_they_end_the_training() -> None:
    rate = LearningRate(TrainPlan(steps=10**6, minutes=1.0))
    assert rate.at(1000, 1.0) == pytest.approx(0.02 * 2e-3)


def test_the_rate_of_a_plain_mean_is_constant() -> None:
    found = rates({"kind": "cosine"}, averaging={"swa_start": 0.5, "swa_rate": 0.125})
    assert found[9] != 0.125
    assert found[10:] == [0.125] * 10


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("schedule: cosin", "No schedule is called 'cosin'"),
        ("optimiser: adamv", "No optimiser is called 'adamv'"),
        ("schedule: {kind: step, evry: 3}", "evry"),
        (
            "{steps: 100, schedule: {kind: multi_step, milestones: [50, 500]}}",
            "schedule.milestones=500",
        ),
        ("{steps: 100, schedule: {kind: cosine, warm_up: 200}}", "schedule.warm_up=200"),
        ("schedule: {kind: multi_step, milestones: [30, 20]}", "rise from above 0"),
        ("optimiser: {kind: sgd, momentum: 0}", "Nesterov"),
        ("optimiser: {kind: adam, betas: [0.9, 1.5]}", "betas are from 0 to below 1"),
        ("averaging: {swa_rate: 0.1}", "averaging.swa_start"),
        ("watching: {min_change: 2}", "Scores are from 0 to 1"),
    ],
)
def test_a_recipe_that_contradicts_itself_is_told_where(text: str, words: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        plan_from_yaml(text, "mine")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_lengths_in_steps_that_minutes_may_cut_are_told() -> None:
    plan = TrainPlan(steps=10**6, minutes=5, schedule={"kind": "step", "every": 5000})
    (note,) = plan.notes()
    assert "schedule.every=5000" in note
    assert "5 minutes" in note
    assert TrainPlan(steps=10**6, minutes=5, schedule={"kind": "step", "every": 0.2}).notes() == []


# Optimisers and their groups


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))


@pytest.mark.parametrize(
    ("optimiser", "kind"), [("adamw", torch.optim.AdamW), ("adam", torch.optim.Adam), ("sgd", torch.optim.SGD)]
)
def test_optimisers_by_name(optimiser: str, kind: type[torch.optim.Optimizer]) -> None:
    made = make_optimiser(network(), TrainPlan(optimiser=optimiser))
    assert type(made) is kind
    assert len(made.param_groups) == 1
    assert made.param_groups[0].get("nesterov", True)


def test_backbone_norms_and_biases_have_groups() -> None:
    net = network()
    plan = TrainPlan(weight_decay=0.1, optimiser={"kind": "sgd", "backbone_factor": 0.1, "decays_norms": False})
    balance = nn.Parameter(torch.zeros(2))
    made = make_optimiser(net, plan, None, net[0], [balance])
    LearningRate(plan).set(made, 100, 0.0)
    found = [(len(g["params"]), g["lr"], g["weight_decay"]) for g in made.param_groups]
    low, high = pytest.approx(2e-4), pytest.approx(2e-3)
    assert found == [(1, low, 0.1), (1, low, 0.0), (3, high, 0.0), (1, high, 0.1), (1, high, 0.0)]
    with pytest.raises(ModelError, match="an encoder of its own"):
        make_optimiser(net, plan)


@pytest.mark.parametrize("clip_by", ["norm", "value"])
def test_gradients_are_clipped_as_torch_clips_them(clip_by: str) -> None:
    ours, theirs = network(), network()
    for net in (ours, theirs):
        net(torch.arange(24.0).reshape(8, 3)).square().sum().backward()
    size = torch.linalg.vector_norm(torch.stack([p.grad.norm() for p in ours.parameters() if p.grad is not None]))
    clip = {"norm": nn.utils.clip_grad_norm_, "value": nn.utils.clip_grad_value_}[clip_by]
    clip(theirs.parameters(), 0.5)
    norm = prepare_gradients(make_optimiser(ours, TrainPlan()), Gradients(clip=0.5, clip_by=clip_by), False)
    assert norm is not None
    torch.testing.assert_close(norm, size)
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert one.grad is not None
        torch.testing.assert_close(one.grad, other.grad)


def test_the_plain_mean_begins_with_its_first_weights_and_survives_a_resume() -> None:
    net = nn.Linear(1, 1, bias=False)
    averaged = WeightAverage(net, 0.9, swa_start=0.5)
    values = [5.0, 3.0, 1.0, 2.0, 6.0]
    for number, value in enumerate(values):
        with torch.no_grad():
            net.weight.fill_(value)
        if number == 4:
            again = WeightAverage(net, 0.9, swa_start=0.5)
            again.load_state_dict(averaged.state_dict())
            averaged = again
        averaged.advance(net, number / 4)
    assert float(averaged.module.weight.detach()) == pytest.approx((1 + 2 + 6) / 3)
    assert math.isclose(float(averaged.n_plain), 3)
