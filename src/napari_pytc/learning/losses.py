"""Losses that count annotated voxels only."""

from __future__ import annotations

import torch
from monai.losses import DiceLoss
from torch import nn
from torch.nn import functional


class SparseDiceCrossEntropy(nn.Module):
    """Dice + cross entropy over the voxels whose label is not 0; guesses are weighed apart.

    Parameters
    ----------
    dice_weight : float
        Share of the soft Dice loss (Milletari et al. 2016), the rest is cross entropy.
    guess_weight : float
        Weight of the mean loss over guesses beside that over annotated voxels.
    """

    def __init__(self, dice_weight: float, guess_weight: float = 0.0) -> None:
        super().__init__()
        self.dice_weight = dice_weight
        self.guess_weight = guess_weight
        self._dice = DiceLoss(batch=True, reduction="none", smooth_nr=1e-5, smooth_dr=1e-5)

    def forward(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Mean loss.

        Parameters
        ----------
        logits : Tensor
            (b, k, z, y, x), or (n, k) for single voxels.
        labels : Tensor
            (b, z, y, x), or (n,), int64: 0 = ignore, k = k-th of n classes, n + k = a guess of the k-th class.
        """
        n_classes = logits.shape[1]
        picked = labels > 0
        # Annotated voxels are few: gathering them first makes the loss free beside the network.
        logits, labels = logits.movedim(1, -1)[picked].float(), labels[picked] - 1
        annotated = labels < n_classes
        loss = self._over(logits[annotated], labels[annotated])
        if self.guess_weight and not annotated.all():
            loss = loss + self.guess_weight * self._over(logits[~annotated], labels[~annotated] - n_classes)
        return loss

    def _over(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        if not len(target):
            return logits.sum()
        entropy = functional.cross_entropy(logits, target)
        if not self.dice_weight:
            return entropy
        onehot = functional.one_hot(target, logits.shape[1]).to(logits.dtype)
        dice = self._dice(logits.softmax(1).T[None], onehot.T[None]).flatten()
        present = onehot.any(dim=0)
        return (1 - self.dice_weight) * entropy + self.dice_weight * dice[present].mean()


def deeply_supervised(loss: nn.Module, outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Weighted sum of the losses of all supervised levels, each half as much as the finer one.

    Parameters
    ----------
    outputs : Tensor
        (b, levels, k, z, y, x): the final logits and those of coarser levels, upsampled.
    """
    weights = [0.5**level for level in range(outputs.shape[1])]
    losses = [weight * loss(outputs[:, level], labels) for level, weight in enumerate(weights)]
    return torch.stack(losses).sum() / sum(weights)
