"""What all losses have in common: they see voxels with a target only, in float32."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from napari_pytc.plans.losses import Activation


class Loss(Protocol):
    """A loss of some channels over the voxels that the mask names."""

    def __call__(self, logits: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        """The loss, a scalar in float32; 0 where no voxel counts.

        Parameters
        ----------
        logits : Tensor
            (b, k, z, y, x), or (n, k) for single voxels.
        target : Tensor
            The same shape: 0 to 1 of a probability, one-hot classes, or a value as the activation gives it.
        mask : Tensor
            The same shape or with one channel. False or 0: the voxel neither counts nor has a gradient, whatever its
            target. A number above 0 is the voxel's weight in losses that are a mean over voxels.
        """


class MaskedLoss(nn.Module):
    """Base of the losses: subclasses get values, targets and weights of the channels that count.

    Parameters
    ----------
    activation : Activation
        Of the channels.
    kept : sequence of int
        Positions of the channels that count.
    """

    def __init__(self, activation: Activation, kept: Sequence[int]) -> None:
        super().__init__()
        self._activation = activation
        self._kept = list(kept)

    def prepared(self, logits: Tensor, target: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logits and targets in float32, 0 where nothing counts, and the weight of every element.

        What lies outside of the mask is replaced, not multiplied: even a NaN there stays without a trace. Single
        voxels (n, k) become a patch (1, k, n).
        """
        if logits.ndim == 2:  # single voxels: one patch in a row
            logits, target, mask = (values.T[None] for values in (logits, target, mask))
        weights = mask.float()
        if self._activation == "softmax" and weights.shape[1] > 1:
            weights = weights.amin(1, keepdim=True)  # one class that is not known makes the sum to 1 worthless
        known = weights > 0
        return (
            torch.where(known, logits.float(), 0.0),
            torch.where(known, target.float(), 0.0),
            weights.expand(logits.shape),
        )

    def _activated(self, logits: Tensor) -> Tensor:
        if self._activation == "softmax":
            return logits.softmax(1)
        if self._activation == "sigmoid":
            return logits.sigmoid()
        return logits.tanh() if self._activation == "tanh" else logits

    def selected(self, values: Tensor) -> Tensor:
        """The channels that count."""
        return values if self._kept == list(range(values.shape[1])) else values[:, self._kept]

    def values(self, logits: Tensor, target: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Activated values, targets and weights of the channels that count; the first two 0 where nothing does."""
        logits, target, weights = self.prepared(logits, target, mask)
        values = torch.where(weights > 0, self._activated(logits), 0.0)
        return self.selected(values), self.selected(target), self.selected(weights)


def weighted_mean(losses: Tensor, weights: Tensor) -> Tensor:
    """Mean of losses by weights; 0, with a graph, where all weights are 0."""
    total = weights.sum()
    return (losses * weights).sum() / torch.where(total > 0, total, 1.0)


def over_voxels(values: Tensor) -> list[int]:
    """The axes of everything but channels."""
    return [0, *range(2, values.ndim)]
