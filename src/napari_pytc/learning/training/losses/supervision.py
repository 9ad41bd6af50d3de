"""Losses of several levels of a network."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional


def supervision_weights(n_levels: int, wanted: Sequence[float] | None = None) -> list[float]:
    """Weights of the levels, the finest first; by default each counts half as much as the finer one.

    Levels beyond those that are wanted do not count.
    """
    if wanted is None:
        return [0.5**level for level in range(n_levels)]
    return [*wanted, *[0.0] * n_levels][:n_levels]


def deeply_supervised(
    loss: nn.Module, logits: Sequence[Tensor], labels: Tensor, wanted: Sequence[float] | None = None
) -> Tensor:
    """Weighted sum of the losses of all supervised levels, divided by the sum of the weights.

    Coarser logits are interpolated to the labels, not labels brought to the coarser grid: strokes are thin, and most
    would be lost there.

    Parameters
    ----------
    logits : sequence of Tensor
        The final ones (b, k, z, y, x), then those of coarser levels, at their own resolution or upsampled.
    wanted : sequence of float, optional
        Weights; by default each level counts half as much as the finer one.
    """
    weights = supervision_weights(len(logits), wanted)
    shape = logits[0].shape[2:]
    losses = [weight * loss(_at(level, shape), labels) for level, weight in zip(logits, weights, strict=True) if weight]
    return torch.stack(losses).sum() / sum(weights)


def _at(logits: Tensor, shape: torch.Size) -> Tensor:
    if logits.shape[2:] == shape:
        return logits
    return functional.interpolate(logits, size=shape, mode="trilinear")
