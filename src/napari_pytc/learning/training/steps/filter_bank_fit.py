"""The fit of a filter bank's perceptron: one for trainings, teachers and live learning."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from napari_pytc.learning.data.sampling import Batch, VoxelBatches
from napari_pytc.learning.networks.filter_bank import FilterBank
from napari_pytc.learning.training.losses import make_loss
from napari_pytc.learning.training.steps.distillation import DistillationTargets
from napari_pytc.learning.training.steps.nonfinite import LossGuard
from napari_pytc.learning.training.steps.optimisation import (
    LearningRate,
    WeightAverage,
    is_reported,
    make_optimiser,
    prepare_gradients,
)
from napari_pytc.plans.plan import TrainPlan
from napari_pytc.volumes.channels import ClassRole

_DRAWN_STEPS = 1000
"""After so many steps the same distillation targets are seen again."""


class FilterBankFit:
    """Fit of a filter bank's perceptron to feature vectors of annotated voxels.

    A step takes two milliseconds, less than Lightning's bookkeeping around it, so that it is a plain loop. The features
    are standardised once; `FilterBank.fit_normalisation` comes before.

    Parameters
    ----------
    network : FilterBank
        Its perceptron learns.
    plan : TrainPlan
        Loss, optimiser, averaging and seed; a step draws 1024 voxels for each one of its batch size.
    features, classes : Tensor
        (n, f) float32 and (n,) int64, from 1.
    targets : DistillationTargets, optional
        Distillation targets, weighted by `plan.distil_weight`.
    batch_size : int, optional
        Instead of the plan's, where memory was short.
    volumes : Tensor, optional
        (n,) int64, the volume of each voxel, where there are several.
    """

    def __init__(
        self,
        network: FilterBank,
        plan: TrainPlan,
        features: Tensor,
        classes: Tensor,
        targets: DistillationTargets | None = None,
        batch_size: int | None = None,
        volumes: Tensor | None = None,
    ) -> None:
        self.network, self._plan = network, plan
        self._features, self._classes, self._targets = features, classes, targets
        self._volumes = volumes
        self._batch_size = batch_size or plan.batch_size
        self._share = 0.0
        self.rate = LearningRate(plan)
        self._guard: LossGuard | None = None
        self.gradient_norm: Tensor | None = None
        self.loss = make_loss(plan, [ClassRole(name=str(number)) for number in range(1, network.n_classes + 1)])
        self.optimiser: torch.optim.Optimizer | None = None
        self.optimiser_state: dict[str, Any] | None = None

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        return self.network.feature_mean.device

    @cached_property
    def average(self) -> WeightAverage:
        """Moving average of the weights; it exists from its first use on."""
        return WeightAverage(self.network, self._plan.ema_decay, self._plan.averaging.swa_start)

    def check_loss(self) -> None:
        """End the training if the last loss is no number."""
        if self._guard is not None:
            self._guard.check()

    def move_average(self) -> None:
        """Move the averaged weights towards those of the step that is over."""
        self.average.advance(self.network, self._share)

    def to(self, device: str) -> None:
        """Move the network and its average to a device."""
        self.network.to(device)
        self.average.to(device)
        self.loss.to(device)

    def run(
        self,
        steps: int,
        learning_rate: float,
        *,
        first: int = 0,
        share: Callable[[], float] | None = None,
        after_step: Callable[[Tensor], bool] | None = None,
        guard: LossGuard | None = None,
    ) -> None:
        """Take the steps from `first` on.

        Parameters
        ----------
        steps : int
            Number of steps in all, those before `first` included.
        learning_rate : float
            After the warm-up.
        share : callable, optional
            Fraction of the training that is over; by default the share of the steps.
        after_step : callable, optional
            Called with the loss of a step; ends the fit by returning True.
        guard : LossGuard, optional
            Ends the fit where a loss is no number.
        """
        network, plan = self.network, self._plan
        self._guard = guard
        batches = VoxelBatches(
            self._standardised(self._features), self._classes, network.n_classes, plan, self._batch_size, self._volumes
        )
        targets, rows = self._targets, None
        if targets is not None:
            seen = self._standardised(targets.features)
            rows = targets.draw_rows(plan.seed, min(plan.steps, _DRAWN_STEPS))
        self.optimiser = make_optimiser(network.head, plan, self.optimiser_state, None, self.loss.parameters())
        self.rate.highest, n_each = learning_rate, plan.gradients.accumulate
        network.train()
        with torch.enable_grad():
            for step in range(first, steps):
                self.rate.set(self.optimiser, step, step / steps if share is None else share())
                self.optimiser.zero_grad()
                losses = []
                for number in range(step * n_each, (step + 1) * n_each):
                    batch = batches.batch(number).to(self.device)
                    if targets is None or rows is None:
                        loss: Tensor = self.loss(network.head(batch.image), batch.labels)
                    else:
                        loss = self._near(batch, targets, rows[number % len(rows)], seen)
                    loss = loss if guard is None else guard.checked(loss, batch)
                    (loss / n_each).backward()
                    losses.append(loss.detach())
                self.gradient_norm = prepare_gradients(self.optimiser, plan.gradients, is_reported(step + 1))
                self.optimiser.step()
                self._share = (step + 1) / steps if share is None else share()
                loss = losses[0] if n_each == 1 else torch.stack(losses).mean()
                if after_step is not None and after_step(loss.detach()):
                    break
        network.eval()

    def _standardised(self, features: Tensor) -> Tensor:
        mean, scale = self.network.feature_mean.cpu(), self.network.feature_scale.cpu()
        return (features - mean) / scale

    def _near(self, batch: Batch, targets: DistillationTargets, rows: Tensor, seen: Tensor) -> Tensor:
        """Loss of a batch plus the weighted cross entropy against the distillation targets of these rows."""
        n = len(batch.image)
        logits = self.network.head(torch.cat([batch.image, seen[rows].to(batch.image)]))
        cross_entropy = targets.cross_entropy(logits[n:], rows)
        self.loss.note(["distance from the parent"], cross_entropy)
        loss: Tensor = self.loss(logits[:n], batch.labels) + self._plan.distil_weight * cross_entropy
        return loss
