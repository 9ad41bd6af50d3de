"""The instant model: a perceptron on fixed features, fitted to the strokes in a fraction of a second."""

from __future__ import annotations

from typing import Any

import torch

from napari_pytc.caching import ByteBoundedCache
from napari_pytc.geometry import VoxelSpace
from napari_pytc.learning.live.labelled_features import Examples
from napari_pytc.learning.live.stroke_split import StrokeSnapshot
from napari_pytc.learning.networks.filter_bank import FilterBank
from napari_pytc.learning.training.steps.filter_bank_fit import FilterBankFit
from napari_pytc.plans.plan import TrainPlan

_LEARNT_PREFIXES = ("head.", "feature_")
_SIZE = "n_at_first"
_MOST_EARLIER = 32
"""Weights of earlier strokes, for undo and redo; some 20 kB each."""
_CONTINUATION = 3
"""Steps and learning rate are divided by this where a fit continues from the last weights."""


class InstantModel:
    """A filter bank whose perceptron is fitted again after every stroke.

    Parameters
    ----------
    plan : TrainPlan
        The instant recipe.
    n_inputs : int
        Channels of the image.
    """

    def __init__(self, plan: TrainPlan, n_classes: int, space: VoxelSpace, n_inputs: int = 1) -> None:
        self.plan = plan
        torch.manual_seed(plan.seed)
        bank = plan.network.build(n_classes, space, n_inputs)
        assert isinstance(bank, FilterBank)
        self.network = bank.eval()
        self._initial = {name: tensor.clone() for name, tensor in bank.state_dict().items()}
        self.is_fitted = False
        self._snapshot: StrokeSnapshot | None = None
        self._n_at_first = 0
        self._earlier: ByteBoundedCache[tuple[Any, ...], dict[str, torch.Tensor]] = ByteBoundedCache(
            _MOST_EARLIER, size_of=lambda weights: 1
        )

    def update(self, examples: Examples, snapshot: StrokeSnapshot) -> None:
        """Fit the examples: a third of the recipe's steps where few strokes were added, from the start otherwise.

        Models that are fitted from the start after every stroke swing from one kind of error to another, and forget a
        rare class for some strokes; continuing from the last weights avoids most of that, and takes a third of the
        time. The fit starts afresh where something was erased, where a class is new, where many strokes came at once,
        and whenever the examples have doubled. Undo and redo bring back the weights of those strokes.
        """
        before, self._snapshot = self._snapshot, snapshot
        if before is not None and before.digest == snapshot.digest:
            return
        # The numbers of examples, too: the same strokes may be split into training and validation in another way.
        key = (snapshot.digest, *torch.bincount(examples.classes).tolist())
        if (earlier := self._earlier.find(key)) is not None:  # undo or redo
            self.restore(earlier, snapshot)
        elif before is not None and snapshot.is_small_extension_of(before) and len(examples) < 2 * self._n_at_first:
            self._fit(examples, max(1, self.plan.steps // _CONTINUATION), self.plan.learning_rate / _CONTINUATION)
        else:
            self.fit(examples)
            self._n_at_first = len(examples)
        self._earlier.put(key, self.weights())

    def weights(self) -> dict[str, torch.Tensor]:
        """The weights that were fitted, and the number of examples."""
        weights = {
            name: t.clone() for name, t in self.network.state_dict().items() if name.startswith(_LEARNT_PREFIXES)
        }
        return {**weights, _SIZE: torch.tensor(self._n_at_first)}

    def restore(self, weights: dict[str, torch.Tensor], snapshot: StrokeSnapshot) -> None:
        """Take over the weights that were fitted to these strokes.

        Raises
        ------
        KeyError
            If a weight is missing.
        """
        learnt = {name: weights[name] for name in self._initial if name.startswith(_LEARNT_PREFIXES)}
        self._n_at_first = int(weights[_SIZE])
        self.network.load_state_dict({**self._initial, **learnt})
        self._snapshot, self.is_fitted = snapshot, True

    def fit(self, examples: Examples) -> None:
        """Fit the examples from the start; 60 steps of the recipe take a seventh of a second."""
        self.network.load_state_dict(self._initial)
        self.network.fit_normalisation(examples.features)
        self._fit(examples, self.plan.steps, self.plan.learning_rate)

    def _fit(self, examples: Examples, steps: int, learning_rate: float) -> None:
        fit = FilterBankFit(self.network, self.plan, examples.features, examples.classes, volumes=examples.volumes)
        fit.run(steps, learning_rate)
        self.is_fitted = True

    @torch.inference_mode()
    def probabilities(self, features: torch.Tensor) -> torch.Tensor:
        """Probabilities (k, n) float32 of feature vectors (n, f)."""
        first, *others = self.network.head
        assert isinstance(first, torch.nn.Linear)
        # Mean and scale of the features as a part of the first layer, and classes first: two thirds of the time.
        weight = first.weight / self.network.feature_scale
        rows = torch.nn.functional.linear(features.float(), weight, first.bias - weight @ self.network.feature_mean)
        for layer in others:
            rows = layer(rows)
        return rows.T.contiguous().softmax(0)
