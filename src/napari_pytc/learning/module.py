"""The thin Lightning module: network, loss, optimiser, averaged weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import lightning.pytorch as pl
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from napari_pytc.learning.config import TrainPlan
from napari_pytc.learning.held_answers import Held
from napari_pytc.learning.losses import ChannelLoss, Distillation, SparseDiceCrossEntropy, deeply_supervised
from napari_pytc.learning.networks.residual_unet import ResidualUNet
from napari_pytc.learning.sampling import Batch
from napari_pytc.volumes.channels import ChannelRole

_WARM_UP_STEPS = 20
_LAST_RATE = 0.02


class HowFar(Protocol):
    """How far a training is, counted from its first step, also where it was interrupted."""

    step: int

    def share(self) -> float:
        """How much of the training is over, from 0 to 1."""


_DRAWN_STEPS = 1000
"""After so many steps a network that learns from single voxels sees the same of what is held again."""


class SegmentationModule(pl.LightningModule):
    """What a step is.

    Parameters
    ----------
    network : Module
        (b, 1, z, y, x) to logits (b, k, z, y, x); in training mode there may be an axis of levels after the batch.
    plan : TrainPlan
        Loss, optimiser and averaging.
    progress : HowFar
        The learning rate follows it, and so is the same after a resume.
    channels_last : bool
        Memory format of the images.
    roles : sequence of ChannelRole
        What the channels mean, where they are no classes.
    parent : Module, optional
        In eval mode: what the network stays near where nothing is said, by `plan.distil_weight`.
    held : Held, optional
        The same for a network that learns from single voxels.
    """

    def __init__(
        self,
        network: nn.Module,
        plan: TrainPlan,
        progress: HowFar,
        channels_last: bool = False,
        roles: Sequence[ChannelRole] = (),
        parent: nn.Module | None = None,
        held: Held | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.average = AveragedModel(network, multi_avg_fn=_moving_average(plan.ema_decay), use_buffers=True)
        self._plan = plan
        self._progress = progress
        self._channels_last = channels_last
        self._loss: nn.Module = SparseDiceCrossEntropy(plan.dice_weight, plan.guess_weight)
        if plan.target.kind == "instances":
            self._loss = ChannelLoss(roles, plan.dice_weight, plan.class_balance)
        self._distil = Distillation(roles, plan.target.kind == "classes")
        self._parent = (parent,)  # not as a part of this module: it is neither trained nor saved
        have_filters = isinstance(network, ResidualUNet) and isinstance(parent, ResidualUNet)
        self._parent_finds_the_same = have_filters and network.bank.finds_what(parent.bank)  # type: ignore[union-attr, operator]
        self._held = held
        if held is not None:
            self._drawn = held.drawn(plan.seed, min(plan.steps, _DRAWN_STEPS))
        self._from_voxels = plan.network.learns_from == "voxels"
        self.optimiser_state: dict[str, Any] | None = None

    def training_step(self, batch: Batch) -> Tensor:
        """Loss of a batch."""
        if self._from_voxels:
            return self._of_voxels(batch)
        if self._channels_last:
            batch = batch._replace(image=batch.image.contiguous(memory_format=torch.channels_last_3d))
        outputs = _answers(self.network, batch)
        if outputs.ndim == 6:
            loss = deeply_supervised(self._loss, outputs, batch.labels)
            return loss + self._distance_from_parent(outputs[:, 0], batch)
        return self._loss(outputs, batch.labels) + self._distance_from_parent(outputs, batch)

    def _of_voxels(self, batch: Batch) -> Tensor:
        classify, n = self.network.classify, len(batch.image)
        if self._held is None:
            alone: Tensor = self._loss(classify(batch.image), batch.labels)  # type: ignore[operator]
            return alone
        rows = self._drawn[self._progress.step % len(self._drawn)]
        answers: Tensor = classify(torch.cat([batch.image, self._held.features[rows].to(batch.image)]))  # type: ignore[operator]
        away = self._held.away(answers[n:], rows)
        loss: Tensor = self._loss(answers[:n], batch.labels) + self._plan.distil_weight * away
        return loss

    def _distance_from_parent(self, answers: Tensor, batch: Batch) -> Tensor | float:
        (parent,) = self._parent
        if parent is None:
            return 0.0
        if not self._parent_finds_the_same:
            batch = batch._replace(features=None)
        with torch.no_grad():
            wanted = _answers(parent.to(batch.image.device), batch)
        found: Tensor = self._plan.distil_weight * self._distil(answers, wanted, batch.labels)
        return found

    def on_train_batch_start(self, *_: Any) -> None:
        """Set the learning rate: a warm-up, then a cosine decay over the progress."""
        warm_up = min(1.0, (self._progress.step + 1) / _WARM_UP_STEPS)
        cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, self._progress.share())))
        rate = self._plan.learning_rate * warm_up * (_LAST_RATE + (1 - _LAST_RATE) * cosine)
        for group in self.trainer.optimizers[0].param_groups:
            group["lr"] = rate

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Leave a step out whose gradients are no numbers, as a loss scaler does on a GPU.

        Processors' low-precision convolutions return such once in some thousand steps; weights would never recover.
        """
        weights = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        if weights and weights[0].device.type == "cpu":
            sizes = torch._foreach_norm([p.grad for p in weights])
            if not torch.stack(list(sizes)).isfinite().all():
                optimizer.zero_grad(set_to_none=True)

    def move_average(self) -> None:
        """Move the averaged weights towards those of the step that is over."""
        self.average.update_parameters(self.network)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """AdamW, with its state where the training goes on."""
        parameters = [p for p in self.network.parameters() if p.requires_grad]
        optimiser = torch.optim.AdamW(
            parameters,
            lr=self._plan.learning_rate,
            weight_decay=self._plan.weight_decay,
            fused=parameters[0].device.type == "cpu",  # a fifth of the time; on a GPU the loss scaler has its say
        )
        if self.optimiser_state is not None:
            optimiser.load_state_dict(self.optimiser_state)
        return optimiser


def _answers(network: nn.Module, batch: Batch) -> Tensor:
    """Logits, from what is known of the image already where it is."""
    logits: Tensor = network(batch.image) if batch.features is None else network.of_features(batch.features)  # type: ignore[operator]
    return logits


def _moving_average(decay: float) -> Callable[..., None]:
    """An exponential moving average that forgets the random start: its decay grows with the steps."""

    @torch.no_grad()
    def average(averaged: list[Tensor], current: list[Tensor], n_averaged: Tensor) -> None:
        n = float(n_averaged)
        weight = 1 - min(decay, (1 + n) / (10 + n))
        if averaged[0].is_floating_point():
            torch._foreach_lerp_(averaged, current, weight)
        else:
            for a, c in zip(averaged, current, strict=True):
                a.copy_(c)

    return average
