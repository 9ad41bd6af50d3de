"""The one fit of a filter bank's perceptron."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from napari_pytc.learning.networks.filter_bank import FilterBank
from napari_pytc.learning.training.steps.distillation import DistillationTargets
from napari_pytc.learning.training.steps.filter_bank_fit import FilterBankFit
from napari_pytc.plans.networks import FilterBankNetwork
from napari_pytc.plans.plan import TrainPlan
from tests.support.learning import same_weights, space

PLAN = TrainPlan(network=FilterBankNetwork(sigmas=(0.7,), hidden=(8,)), steps=10, batch_size=1, learning_rate=0.1)


def make_bank() -> FilterBank:
    torch.manual_seed(0)
    bank = PLAN.network.build(2, space())
    assert isinstance(bank, FilterBank)
    return bank.eval()


def make_examples(bank: FilterBank, n: int = 400) -> tuple[Tensor, Tensor]:
    """Features of two classes, one a little larger than the other, and the classes."""
    classes = torch.arange(n) % 2 + 1
    generator = torch.Generator().manual_seed(0)
    return torch.randn(n, bank.n_features, generator=generator) + 2.0 * classes[:, None], classes


def fit(plan: TrainPlan = PLAN, targets: DistillationTargets | None = None, steps: int = 8) -> FilterBank:
    bank = make_bank()
    features, classes = make_examples(bank)
    bank.fit_normalisation(features)
    FilterBankFit(bank, plan, features, classes, targets).run(steps, plan.learning_rate)
    return bank


def share_right(bank: FilterBank) -> float:
    features, classes = make_examples(bank)
    with torch.no_grad():
        return float((bank.classify(features).argmax(1) + 1 == classes).float().mean())


def test_the_classes_are_learnt_and_the_same_every_time() -> None:
    first, second, other = fit(), fit(), fit(PLAN.model_copy(update={"seed": 1}))

    assert share_right(make_bank()) < 0.7
    assert share_right(first) > 0.85
    assert not first.training
    assert same_weights(dict(first.state_dict()), dict(second.state_dict()))
    assert not same_weights(dict(first.state_dict()), dict(other.state_dict()))


def test_only_the_perceptron_learns() -> None:
    bank = fit()
    before = make_bank()
    features, _ = make_examples(before)
    before.fit_normalisation(features)

    changed = {name for name, tensor in bank.state_dict().items() if not tensor.equal(before.state_dict()[name])}

    assert changed == {name for name, _ in before.head.named_parameters(prefix="head")}


@pytest.mark.parametrize("n_before", [1, 5])
def test_a_fit_resumes_as_if_it_had_not_been_interrupted(n_before: int) -> None:
    bank = make_bank()
    features, classes = make_examples(bank)
    bank.fit_normalisation(features)
    steps: list[float] = []
    first = FilterBankFit(bank, PLAN, features, classes)
    first.run(8, 0.1, after_step=lambda loss: steps.append(float(loss)) or len(steps) == n_before)  # type: ignore[func-returns-value]
    assert len(steps) == n_before

    second = FilterBankFit(bank, PLAN, features, classes)
    assert first.optimiser is not None
    second.optimiser_state = first.optimiser.state_dict()
    second.run(8, 0.1, first=n_before)

    assert same_weights(dict(bank.state_dict()), dict(fit().state_dict()))


@pytest.mark.slow
def test_distillation_targets_hold_the_model_where_strokes_say_little() -> None:
    features = torch.randn(300, make_bank().n_features, generator=torch.Generator().manual_seed(1)) + 40.0
    targets = DistillationTargets(features, torch.tensor([0.02, 0.98]).expand(300, 2))

    def distance(bank: FilterBank) -> float:
        with torch.no_grad():
            return float((bank.classify(features).softmax(1) - targets.probabilities).abs().mean())

    alone, near = fit(steps=60), fit(PLAN.model_copy(update={"distil_weight": 1.0}), targets, 60)
    reverse = DistillationTargets(features, targets.probabilities.flip(1))
    other = fit(PLAN.model_copy(update={"distil_weight": 1.0}), reverse, 60)

    assert distance(near) < 0.1
    assert distance(near) <= distance(alone)
    assert distance(other) > 0.9
    assert share_right(near) > 0.9
    assert share_right(other) > 0.9


def test_a_step_whose_gradients_are_no_numbers_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    bank = make_bank()
    features, classes = make_examples(bank)
    bank.fit_normalisation(features)
    before = {name: tensor.clone() for name, tensor in bank.state_dict().items()}
    learner = FilterBankFit(bank, PLAN, features, classes)
    monkeypatch.setattr(learner.loss, "forward", lambda logits, labels: logits.sum() * float("nan"))

    learner.run(3, 0.01)

    assert same_weights(dict(bank.state_dict()), before)


def test_the_average_follows_the_weights() -> None:
    bank = make_bank()
    features, classes = make_examples(bank)
    bank.fit_normalisation(features)
    learner = FilterBankFit(bank, PLAN.model_copy(update={"ema_decay": 0.9}), features, classes)
    learner.move_average()

    def after_step(loss: Tensor) -> bool:
        learner.move_average()
        return False

    learner.run(5, 0.01, after_step=after_step)

    average, now, start = (b.state_dict()["head.0.weight"] for b in (learner.average.module, bank, make_bank()))
    assert not average.equal(now)
    assert 0 < float((average - start).norm()) < float((now - start).norm())
