"""The thin Lightning module: network, loss, optimiser, averaged weights."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from napari_pytc.learning.config import TrainPlan
from napari_pytc.learning.losses import SparseDiceCrossEntropy, deeply_supervised
from napari_pytc.learning.sampling import Batch

_WARM_UP_STEPS = 20
_LAST_RATE = 0.02


class SegmentationModule(pl.LightningModule):
    """What a step is.

    Parameters
    ----------
    network : Module
        (b, 1, z, y, x) to logits (b, k, z, y, x); in training mode there may be an axis of levels after the batch.
    plan : TrainPlan
        Loss, optimiser and averaging.
    progress : callable
        How much of the training is over, from 0 to 1: the learning rate follows it.
    channels_last : bool
        Memory format of the images.
    """

    def __init__(
        self, network: nn.Module, plan: TrainPlan, progress: Callable[[], float], channels_last: bool = False
    ) -> None:
        super().__init__()
        self.network = network
        self.average = AveragedModel(network, multi_avg_fn=_moving_average(plan.ema_decay), use_buffers=True)
        self._plan = plan
        self._progress = progress
        self._channels_last = channels_last
        self._loss = SparseDiceCrossEntropy(plan.dice_weight)
        self._from_voxels = plan.network.learns_from == "voxels"
        self.optimiser_state: dict[str, Any] | None = None

    def training_step(self, batch: Batch) -> Tensor:
        """Loss of a batch."""
        if self._from_voxels:
            return self._loss(self.network.classify(batch.image), batch.labels)  # type: ignore[operator]
        image = batch.image
        if self._channels_last:
            image = image.contiguous(memory_format=torch.channels_last_3d)
        outputs = self.network(image)
        if outputs.ndim == 6:
            return deeply_supervised(self._loss, outputs, batch.labels)
        return self._loss(outputs, batch.labels)

    def on_train_batch_end(self, *_: Any) -> None:
        """Move the averaged weights."""
        self.average.update_parameters(self.network)

    def configure_optimizers(self) -> dict[str, Any]:
        """AdamW with a warm-up and a cosine decay over the progress."""
        parameters = [p for p in self.network.parameters() if p.requires_grad]
        optimiser = torch.optim.AdamW(
            parameters, lr=self._plan.learning_rate, weight_decay=self._plan.weight_decay, fused=False
        )
        if self.optimiser_state is not None:
            optimiser.load_state_dict(self.optimiser_state)
            for group in optimiser.param_groups:
                group["lr"] = group["initial_lr"] = self._plan.learning_rate
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimiser, self._rate)
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def _rate(self, step: int) -> float:
        warm_up = min(1.0, (step + 1) / _WARM_UP_STEPS)
        cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, self._progress())))
        return warm_up * (_LAST_RATE + (1 - _LAST_RATE) * cosine)


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
