"""The thin Lightning module: network, loss, optimiser, averaged weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import lightning.pytorch as pl
import torch
from torch import Tensor

from napari_pytc.geometry import Shape
from napari_pytc.learning.data.sampling import Batch
from napari_pytc.learning.networks.network import Network, has_same_features
from napari_pytc.learning.training.losses import Distillation, deeply_supervised, make_loss
from napari_pytc.learning.training.steps.compiling import TrainingLogits
from napari_pytc.learning.training.steps.nonfinite import LossGuard
from napari_pytc.learning.training.steps.optimisation import (
    LearningRate,
    WeightAverage,
    is_reported,
    make_optimiser,
    prepare_gradients,
)
from napari_pytc.plans.plan import TrainPlan
from napari_pytc.volumes.channels import ChannelRole


class TrainingClock(Protocol):
    """Progress of a training, counted from its first step, also where it was interrupted."""

    step: int

    def share(self) -> float:
        """Fraction of the training that is over, from 0 to 1."""


class SegmentationModule(pl.LightningModule):
    """The training step of a network.

    Parameters
    ----------
    network : Network
        The network that learns.
    plan : TrainPlan
        Loss, optimiser and averaging.
    progress : TrainingClock
        The learning rate follows it, and so is the same after a resume.
    channels_last : bool
        Memory format of the images.
    roles : sequence of ChannelRole
        Roles of the channels, where they are no classes.
    parent : Network, optional
        In eval mode; its predictions on unlabelled voxels are distilled, weighted by `plan.distil_weight`.
    guard : LossGuard, optional
        Ends the training where a loss is no number.
    """

    training_logits: TrainingLogits
    """Computes the `training_logits` of the network; a compiled function may take its place for a fit."""

    def __init__(
        self,
        network: Network,
        plan: TrainPlan,
        progress: TrainingClock,
        channels_last: bool = False,
        roles: Sequence[ChannelRole] = (),
        parent: Network | None = None,
        guard: LossGuard | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.training_logits = network.training_logits
        self.average = WeightAverage(network, plan.ema_decay, plan.averaging.swa_start)
        self.rate = LearningRate(plan)
        self.gradient_norm: Tensor | None = None
        self._plan = plan
        self._progress = progress
        self._channels_last = channels_last
        self._guard = guard
        self.loss = make_loss(plan, roles, plan.guess_weight)
        self._distil = Distillation(roles, plan.target.kind == "classes")
        self._parent = (parent,)  # not as a part of this module: it is neither trained nor saved
        self.optimiser: torch.optim.Optimizer | None = None
        self.optimiser_state: dict[str, Any] | None = None

    def training_step(self, batch: Batch) -> Tensor:
        """Loss of a batch."""
        if self._channels_last:
            batch = batch._replace(image=batch.image.contiguous(memory_format=torch.channels_last_3d))
        loss = self._loss_of(batch)
        return loss if self._guard is None else self._guard.checked(loss, batch, lambda: self._loss_again(batch))

    def _loss_again(self, batch: Batch) -> Tensor:
        """Loss of a batch whose first loss was no number: what that left in running statistics is taken back.

        Otherwise they would stay no numbers, however good the steps to come. The average has not seen this step.
        """
        before = dict(self.average.module.named_buffers())
        with torch.no_grad():
            for name, buffer in self.network.named_buffers():
                if buffer.is_floating_point() and not buffer.isfinite().all():
                    buffer.copy_(before[name])
        return self._loss_of(batch)

    def _loss_of(self, batch: Batch) -> Tensor:
        logits = self._logits(batch)
        labels = without_margin(batch.labels, self._plan.network.training_margin)
        loss = self._supervised_loss(logits, labels)
        if batch.other_labels is not None:
            other = without_margin(batch.other_labels, self._plan.network.training_margin)
            loss = batch.share * loss + (1 - batch.share) * self._supervised_loss(logits, other)
            labels = torch.where(labels == 0, other, labels)  # where neither is annotated the parent is distilled
        return loss + self._distance_from_parent(logits[0], batch, labels)

    def _logits(self, batch: Batch) -> tuple[Tensor, ...]:
        """Logits of all supervised levels, from the features of the image where they are known."""
        if batch.features is not None:
            return (self.network.logits_of_features(batch.features),)
        return self.training_logits(batch.image)

    def _supervised_loss(self, logits: Sequence[Tensor], labels: Tensor) -> Tensor:
        return deeply_supervised(self.loss, logits, labels, self._plan.supervision_weights)

    def _distance_from_parent(self, logits: Tensor, batch: Batch, labels: Tensor) -> Tensor | float:
        (parent,) = self._parent
        if parent is None:
            return 0.0
        if not has_same_features(self.network, parent):
            batch = batch._replace(features=None)
        with torch.no_grad():
            parent = parent.to(batch.image.device)
            wanted = parent(batch.image) if batch.features is None else parent.logits_of_features(batch.features)
            wanted = without_margin(wanted, self._plan.network.training_margin)
        distance: Tensor = self._distil(logits, wanted, labels)
        self.loss.note(["distance from the parent"], distance)
        return self._plan.distil_weight * distance

    def on_train_batch_start(self, *_: Any) -> None:
        """Set the learning rate of the step."""
        self.rate.set(self.trainer.optimizers[0], self._progress.step, self._progress.share())

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Leave a step out whose gradients are no numbers; clip the others'."""
        wants_norm = is_reported(self._progress.step + 1)
        self.gradient_norm = prepare_gradients(optimizer, self._plan.gradients, wants_norm)

    def check_loss(self) -> None:
        """End the training if the last loss is no number."""
        if self._guard is not None:
            self._guard.check()

    def move_average(self) -> None:
        """Move the averaged weights towards those of the step that is over."""
        self.average.advance(self.network, self._progress.share())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """The plan's optimiser, with its state where the training resumes."""
        backbone, balance = self.network.encoder_part(), self.loss.parameters()
        self.optimiser = make_optimiser(self.network, self._plan, self.optimiser_state, backbone, balance)
        return self.optimiser


def without_margin(patches: Tensor, margin: Shape) -> Tensor:
    """Patches (..., z, y, x) without so many voxels on each side; single voxels as they are."""
    if not any(margin):
        return patches
    z, y, x = (slice(n, length - n) for n, length in zip(margin, patches.shape[-3:], strict=True))
    return patches[..., z, y, x]
