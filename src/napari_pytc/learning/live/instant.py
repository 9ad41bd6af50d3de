"""The instant model: a perceptron on fixed features, learnt anew in a fraction of a second after every stroke."""

from __future__ import annotations

import numpy as np
import torch

from napari_pytc.geometry import VoxelSpace
from napari_pytc.learning.config import TrainPlan
from napari_pytc.learning.held_answers import Held
from napari_pytc.learning.live.taught import Examples
from napari_pytc.learning.losses import SparseDiceCrossEntropy
from napari_pytc.learning.networks.filter_bank import FilterBank
from napari_pytc.learning.sampling import VoxelBatches

_WARM_UP_STEPS = 20
_LAST_RATE = 0.02


class InstantModel:
    """A filter bank whose perceptron is fitted from the same start every time.

    Parameters
    ----------
    plan : TrainPlan
        The instant recipe.
    """

    def __init__(self, plan: TrainPlan, n_classes: int, space: VoxelSpace) -> None:
        self.plan = plan
        torch.manual_seed(plan.seed)
        bank = plan.network.build(n_classes, space)
        assert isinstance(bank, FilterBank)
        self.network = bank.eval()
        self._first = {name: tensor.clone() for name, tensor in bank.state_dict().items()}
        self._loss = SparseDiceCrossEntropy(plan.dice_weight)
        self.is_fitted = False

    def fit(self, examples: Examples, held: Held | None = None, weight: float = 1.0) -> None:
        """Learn the examples; 60 steps of the recipe take a seventh of a second.

        Parameters
        ----------
        held : Held, optional
            What to stay near meanwhile.
        weight : float
            How much that counts beside the examples.
        """
        plan, network = self.plan, self.network
        network.load_state_dict(self._first)
        network.fit_normalisation(examples.features)
        features = (examples.features - network.feature_mean) / network.feature_scale
        n_classes = network.n_classes
        batches = VoxelBatches(features, examples.classes, n_classes, plan, plan.batch_size)
        optimiser = torch.optim.AdamW(
            network.head.parameters(), lr=plan.learning_rate, weight_decay=plan.weight_decay, fused=True
        )
        if held is not None:
            seen = (held.features - network.feature_mean) / network.feature_scale
            drawn = held.drawn(plan.seed, plan.steps)
        network.train()
        with torch.enable_grad():
            for step in range(plan.steps):
                for group in optimiser.param_groups:
                    group["lr"] = plan.learning_rate * _rate(step, plan.steps)
                batch = batches.batch(step)
                if held is None:
                    loss = self._loss(network.head(batch.image), batch.labels)
                else:
                    rows, n = drawn[step], len(batch.image)
                    logits = network.head(torch.cat([batch.image, seen[rows]]))
                    loss = self._loss(logits[:n], batch.labels) + weight * held.away(logits[n:], rows)
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
        network.eval()
        self.is_fitted = True

    @torch.inference_mode()
    def probabilities(self, features: torch.Tensor) -> torch.Tensor:
        """Probabilities (k, n) float32 of feature vectors (n, f)."""
        first, *others = self.network.head
        assert isinstance(first, torch.nn.Linear)
        # The features' mean and scale as a part of the first layer, and classes first: two thirds of the time.
        weight = first.weight / self.network.feature_scale
        rows = torch.nn.functional.linear(features.float(), weight, first.bias - weight @ self.network.feature_mean)
        for layer in others:
            rows = layer(rows)
        return rows.T.contiguous().softmax(0)


def _rate(step: int, steps: int) -> float:
    """The course of a training's learning rate: a warm-up, then a cosine."""
    cosine = 0.5 * (1 + np.cos(np.pi * min(1.0, step / steps)))
    return float(min(1.0, (step + 1) / _WARM_UP_STEPS) * (_LAST_RATE + (1 - _LAST_RATE) * cosine))
