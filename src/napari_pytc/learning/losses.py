"""Losses that count annotated voxels only."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from monai.losses import DiceLoss
from torch import nn
from torch.nn import functional

from napari_pytc.learning.instance_targets import IGNORED, ONE, ZERO
from napari_pytc.volumes.channels import ChannelRole, DistanceRole


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


class ChannelLoss(nn.Module):
    """A loss for every channel over the voxels whose target is known; their mean.

    Probabilities get binary cross entropy and Dice, distances the smooth L1 distance to the hyperbolic tangent.

    Parameters
    ----------
    roles : sequence of ChannelRole
        What the channels mean.
    dice_weight : float
        Share of the soft Dice losses of ones and of zeros, the rest is cross entropy.
    balance : float
        0: zeros and ones count as often as there are voxels of them; 1: both the same.
    """

    def __init__(self, roles: Sequence[ChannelRole], dice_weight: float, balance: float) -> None:
        super().__init__()
        self.dice_weight = dice_weight
        self.balance = balance
        is_distance = [isinstance(role, DistanceRole) for role in roles]
        self._indices = [[c for c, is_one in enumerate(is_distance) if is_one == which] for which in (False, True)]

    def forward(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Mean loss of the channels that have a target anywhere.

        Parameters
        ----------
        logits : Tensor
            (b, c, z, y, x).
        targets : Tensor
            (b, c, z, y, x) uint8 as `instance_targets` makes them.
        """
        # Whole channels and weights of 0 instead of gathered voxels: dense labels are the usual case.
        known = (targets != IGNORED).float()
        wanted = (targets.float() - ZERO) / (ONE - ZERO) * known
        values = logits.float()
        binary, distance = self._indices
        losses = torch.cat(
            [
                self._binary(values[:, binary], wanted[:, binary], known[:, binary]),
                _regression(values[:, distance], wanted[:, distance], known[:, distance]),
            ]
        )
        has_target = torch.cat([_per_channel(known[:, binary]), _per_channel(known[:, distance])]) > 0
        return losses.sum() / has_target.sum().clamp(min=1)

    def _binary(self, values: torch.Tensor, wanted: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
        entropy = functional.binary_cross_entropy_with_logits(values, wanted, reduction="none")
        unwanted = known - wanted
        n_ones, n_zeros = _per_channel(wanted), _per_channel(unwanted)
        ones, zeros = (torch.where(n > 0, n.clamp(min=1) ** (1 - self.balance), 0.0) for n in (n_ones, n_zeros))
        of_ones = _per_channel(entropy * wanted) / n_ones.clamp(min=1)
        of_zeros = _per_channel(entropy * unwanted) / n_zeros.clamp(min=1)
        loss = (ones * of_ones + zeros * of_zeros) / (ones + zeros).clamp(min=1)
        if not self.dice_weight:
            return loss
        probable = values.sigmoid() * known
        dice = _dice_loss(probable, wanted, n_ones) + _dice_loss(known - probable, unwanted, n_zeros)
        n_present = (n_ones > 0).float() + (n_zeros > 0).float()
        return (1 - self.dice_weight) * loss + self.dice_weight * dice / n_present.clamp(min=1)


def _regression(values: torch.Tensor, wanted: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    error = functional.smooth_l1_loss(values.tanh(), 2 * wanted - 1, reduction="none")
    return _per_channel(error * known) / _per_channel(known).clamp(min=1)


def _dice_loss(probable: torch.Tensor, wanted: torch.Tensor, n_wanted: torch.Tensor) -> torch.Tensor:
    """Soft Dice loss of each channel; 0 where nothing is wanted."""
    dice = 2 * _per_channel(probable * wanted) / (_per_channel(probable) + n_wanted + 1e-5)
    return torch.where(n_wanted > 0, 1 - dice, 0.0)


def _per_channel(values: torch.Tensor) -> torch.Tensor:
    return values.sum(dim=(0, 2, 3, 4))


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
