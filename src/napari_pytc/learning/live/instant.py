"""The instant model: a perceptron on fixed features, which learns every stroke in a fraction of a second."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import numpy as np
import torch

from napari_pytc.geometry import VoxelSpace
from napari_pytc.learning.config import TrainPlan
from napari_pytc.learning.held_answers import Held
from napari_pytc.learning.live.strokes import Painted
from napari_pytc.learning.live.taught import Examples
from napari_pytc.learning.losses import SparseDiceCrossEntropy
from napari_pytc.learning.networks.filter_bank import FilterBank
from napari_pytc.learning.sampling import VoxelBatches

_WARM_UP_STEPS = 20
_LAST_RATE = 0.02
_LEARNT = ("head.", "feature_")
_SIZE = "n_at_first"
_MOST_FORMER = 32
"""Models of strokes before, some 20 kB each."""
_GOING_ON = 3
"""What steps and learning rate are divided by where the model goes on."""


class InstantModel:
    """A filter bank whose perceptron learns strokes as they come.

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
        self._painted: Painted | None = None
        self._n_at_first = 0
        self._former: OrderedDict[tuple[Any, ...], dict[str, torch.Tensor]] = OrderedDict()

    def learn(self, examples: Examples, painted: Painted) -> None:
        """Learn the examples: a third of the recipe's steps where few strokes were added, from the start otherwise.

        Models that are fitted from the start after every stroke swing from one kind of error to another, and forget a
        rare class for some strokes; one that goes on does so less, and takes a third of the time. It begins anew where
        something was erased, where a class is new, where many strokes came at once, and whenever the examples have
        doubled. Strokes undone or redone bring back the model of then.
        """
        before, self._painted = self._painted, painted
        if before is not None and before.digest == painted.digest:
            return
        # What is learnt counts, too: which of the same strokes are kept to score by might be another choice.
        moment = (painted.digest, *torch.bincount(examples.classes).tolist())
        if moment in self._former:  # undone or redone: as it was then
            self.restore(self._former[moment], painted)
        elif before is not None and painted.adds_few(before) and len(examples) < 2 * self._n_at_first:
            self._fit(examples, max(1, self.plan.steps // _GOING_ON), self.plan.learning_rate / _GOING_ON)
        else:
            self.fit(examples)
            self._n_at_first = len(examples)
        self._former[moment] = self.kept()
        self._former.move_to_end(moment)
        if len(self._former) > _MOST_FORMER:
            self._former.popitem(last=False)

    def kept(self) -> dict[str, torch.Tensor]:
        """What was learnt."""
        weights = self.network.state_dict().items()
        kept = {name: tensor.clone() for name, tensor in weights if name.startswith(_LEARNT)}
        return {**kept, _SIZE: torch.tensor(self._n_at_first)}

    def restore(self, kept: dict[str, torch.Tensor], painted: Painted) -> None:
        """Be what was kept when these strokes had been learnt.

        Raises
        ------
        KeyError
            If it is not all there.
        """
        learnt = {name: kept[name] for name in self._first if name.startswith(_LEARNT)}
        self._n_at_first = int(kept[_SIZE])
        self.network.load_state_dict({**self._first, **learnt})
        self._painted, self.is_fitted = painted, True

    def fit(self, examples: Examples, held: Held | None = None, weight: float = 1.0) -> None:
        """Learn the examples from the start; 60 steps of the recipe take a seventh of a second.

        Parameters
        ----------
        held : Held, optional
            What to stay near meanwhile.
        weight : float
            How much that counts beside the examples.
        """
        self.network.load_state_dict(self._first)
        self.network.fit_normalisation(examples.features)
        self._fit(examples, self.plan.steps, self.plan.learning_rate, held, weight)

    def _fit(
        self, examples: Examples, steps: int, learning_rate: float, held: Held | None = None, weight: float = 1.0
    ) -> None:
        plan, network = self.plan, self.network
        features = (examples.features - network.feature_mean) / network.feature_scale
        batches = VoxelBatches(features, examples.classes, network.n_classes, plan, plan.batch_size)
        optimiser = torch.optim.AdamW(
            network.head.parameters(), lr=learning_rate, weight_decay=plan.weight_decay, fused=True
        )
        if held is not None:
            seen = (held.features - network.feature_mean) / network.feature_scale
            drawn = held.drawn(plan.seed, steps)
        network.train()
        with torch.enable_grad():
            for step in range(steps):
                for group in optimiser.param_groups:
                    group["lr"] = learning_rate * _rate(step, steps)
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
