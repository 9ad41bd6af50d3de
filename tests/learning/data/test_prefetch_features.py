"""Features computed with the batches: the same answers, in the thread of the batches, and only where it pays."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
import torch

from napari_pytc.learning.data.prefetch_features import FeaturePrefetcher, with_features
from napari_pytc.learning.data.sampling import Batch, PatchBatches, TrainingVolume
from napari_pytc.learning.data.training_image import TrainingImage
from napari_pytc.learning.networks.filter_bank import FilterBank
from napari_pytc.learning.training.steps.module import SegmentationModule
from napari_pytc.plans.networks import FilterBankNetwork, FilterUNetNetwork, UNetNetwork
from napari_pytc.plans.plan import TrainPlan
from tests.support.images import one_channel
from tests.support.learning import same_weights, space, tiny_plan, train_tiny, training_data, weights_of

NETWORK = FilterUNetNetwork(sigmas=(0.7, 1.6), hidden=(8,), channels=(4, 8), starter=True)


class AtTheStart:
    """A training that has just begun."""

    step = 0

    def share(self) -> float:
        return 0.0


def batches(plan: TrainPlan) -> PatchBatches:
    data = training_data()
    image = TrainingImage(data.source, one_channel(mean=120, std=50, low=-1e6, high=1e6), data.held_out)
    return PatchBatches([TrainingVolume(data, image)], plan, 2, (4, 16, 16))


def a_bank(sigmas: tuple[float, ...] = (0.7, 1.6), anisotropy: float = 1.0, starter: bool = True) -> FilterBank:
    bank = FilterBankNetwork(sigmas=sigmas, hidden=(8,), starter=starter).build(2, space(anisotropy))
    assert isinstance(bank, FilterBank)
    return bank


@pytest.mark.parametrize("has_parent", [False, True])
def test_the_loss_is_the_same_from_features_and_from_the_image(has_parent: bool) -> None:
    torch.manual_seed(0)
    plan = tiny_plan(network=NETWORK, distil_weight=2.0 if has_parent else 0.0)
    network, parent = (NETWORK.build(2, space()) for _ in range(2))
    module = SegmentationModule(network, plan, AtTheStart(), parent=parent.eval() if has_parent else None)
    ahead = with_features(batches(plan), network, "cpu").batch(0)
    assert ahead.features is not None
    losses = [module.training_step(batch) for batch in (ahead, ahead._replace(features=None))]
    torch.testing.assert_close(losses[0], losses[1])


def test_a_parent_of_other_filters_predicts_from_the_image() -> None:
    torch.manual_seed(0)
    plan = tiny_plan(network=NETWORK, distil_weight=2.0)
    network = NETWORK.build(2, space())
    parent = FilterUNetNetwork(sigmas=(0.7, 1.6, 3.5), hidden=(8,), channels=(4, 8)).build(2, space()).eval()
    module = SegmentationModule(network, plan, AtTheStart(), parent=parent)
    ahead = with_features(batches(plan), network, "cpu").batch(0)
    losses = [module.training_step(batch) for batch in (ahead, ahead._replace(features=None))]
    torch.testing.assert_close(losses[0], losses[1])


def test_banks_of_other_filters_differ() -> None:
    bank = a_bank()
    assert bank.has_features_of(a_bank())
    assert not bank.has_features_of(a_bank(starter=False))
    assert not bank.has_features_of(a_bank(sigmas=(0.7, 1.9)))
    assert not bank.has_features_of(a_bank(anisotropy=5.0))


def test_other_networks_and_gpus_get_their_batches_as_they_are() -> None:
    source = batches(tiny_plan())
    assert with_features(source, UNetNetwork(channels=(4, 8)).build(2, space()), "cpu") is source
    assert with_features(source, NETWORK.build(2, space()), "cuda") is source


def test_making_a_batch_may_wait_before_the_filters() -> None:
    asked: list[int] = []
    source = FeaturePrefetcher(batches(tiny_plan()), a_bank(), lambda: asked.append(1))
    source.batch(0)
    assert asked == [1]


def test_a_batch_moves_with_all_it_holds() -> None:
    batch = Batch(torch.zeros(1), torch.zeros(1), torch.zeros(1), torch.zeros(1), 0.7).to(torch.device("meta"))
    *parts, share = batch
    assert [part.device.type for part in parts if isinstance(part, torch.Tensor)] == ["meta"] * 4
    assert share == 0.7
    assert Batch(torch.zeros(1), torch.zeros(1)).to(torch.device("meta")).features is None


@pytest.mark.slow
def test_steps_compute_no_filters_and_leave_the_helper_a_core(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    in_batches: list[int] = []
    in_steps: list[int] = []
    features, step = FilterBank.features, SegmentationModule.training_step

    def noted_features(self: FilterBank, *args: object) -> torch.Tensor:
        if threading.current_thread().name.startswith("batches"):
            in_batches.append(torch.get_num_threads())
        else:
            assert not during_step, "a step computed the filters"
        return features(self, *args)  # type: ignore[arg-type]

    during_step: list[bool] = []

    def noted_step(self: SegmentationModule, batch: Batch) -> torch.Tensor:
        in_steps.append(torch.get_num_threads())
        during_step.append(True)
        try:
            return step(self, batch)
        finally:
            during_step.clear()

    monkeypatch.setattr(FilterBank, "features", noted_features)
    monkeypatch.setattr(SegmentationModule, "training_step", noted_step)
    before = torch.get_num_threads()
    train_tiny(tmp_path, training_data(held_out=()), network=NETWORK, steps=3)
    assert set(in_batches) == {1}
    assert len(in_steps) == 3
    assert torch.get_num_threads() == before
    assert set(in_steps) == {max(1, before - 1)}


@pytest.mark.slow
def test_a_training_with_features_ahead_repeats_bit_for_bit(tmp_path: Path) -> None:
    one, other = (train_tiny(tmp_path / name, network=NETWORK, guess_weight=1.0) for name in ("one", "other"))
    assert same_weights(weights_of(one), weights_of(other))
