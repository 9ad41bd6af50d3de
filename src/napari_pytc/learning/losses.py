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

    Voxels of which it is known what they are not count as much as those of which it is known what they are.

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
            (b, z, y, x), or (n,), int64: 0 = ignore, k = k-th of n classes, n + k = a guess of the k-th class, 2 n + k
            = any but the k-th class.
        """
        n_classes = logits.shape[1]
        # One class after the other: a softmax over the last axis of a few is several times as slow.
        values, labels = logits.movedim(1, 0).flatten(1), labels.flatten()
        # Annotated voxels are few: gathering them makes their loss free beside the network.
        annotated, excluded = (
            ((labels > low) & (labels <= high)).nonzero()[:, 0]
            for low, high in ((0, n_classes), (2 * n_classes, 3 * n_classes))
        )
        few = values[:, annotated].float()
        loss = self._over(few, labels[annotated] - 1) if len(annotated) else few.sum()
        if len(excluded):
            against = _any_but(values[:, excluded].float(), labels[excluded] - 2 * n_classes - 1)
            loss = (loss + against) / 2 if len(annotated) else loss + against
        if self.guess_weight and ((labels > n_classes) & (labels <= 2 * n_classes)).any():
            loss = loss + self.guess_weight * self._over(values.float(), labels - n_classes - 1)
        return loss

    def _over(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Of voxels (k, n) and their classes; those that have none of them do not count."""
        onehot = (target == torch.arange(len(logits), device=target.device)[:, None]).to(logits.dtype)
        n_each = onehot.sum(dim=1)
        log_probable = logits.log_softmax(0)
        entropy = -(log_probable * onehot).sum() / n_each.sum()
        if not self.dice_weight:
            return entropy
        dice = self._dice((log_probable.exp() * onehot.sum(dim=0))[None], onehot[None]).flatten()
        return (1 - self.dice_weight) * entropy + self.dice_weight * dice[n_each > 0].mean()


def _any_but(logits: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
    """Cross entropy of "one of the other classes" (Ishida et al. 2017, "Learning from complementary labels")."""
    others = logits.scatter(0, classes[None], -torch.inf)
    return (logits.logsumexp(0) - others.logsumexp(0)).mean()


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
        losses, has_target = [], []
        for of_kind, indices in zip((self._binary, _regression), self._indices, strict=True):
            if indices:
                loss, n_known = of_kind(_channels(logits, indices).float(), _channels(targets, indices))
                losses.append(loss)
                has_target.append(n_known > 0)
        return torch.cat(losses).sum() / torch.cat(has_target).sum().clamp(min=1)

    def _binary(self, values: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Loss and number of known voxels of each channel."""
        is_one, is_zero = targets == ONE, targets == ZERO
        n_ones, n_zeros = _per_channel(is_one).float(), _per_channel(is_zero).float()
        ones, zeros = (torch.where(n > 0, n.clamp(min=1) ** (1 - self.balance), 0.0) for n in (n_ones, n_zeros))
        total = (ones + zeros).clamp(min=1)
        # One weight a voxel and one softplus: the loss took a sixth of a step when it was made of its formula's parts.
        of_one, of_zero = (
            (w / n.clamp(min=1) / total)[:, None, None, None] for w, n in ((ones, n_ones), (zeros, n_zeros))
        )
        weights = torch.where(is_one, of_one, torch.where(is_zero, of_zero, 0.0))
        loss = _per_channel(functional.softplus(torch.where(is_one, -values, values)) * weights)
        if self.dice_weight:
            known = (is_one | is_zero).float()
            probable, wanted = values.sigmoid() * known, is_one.float()
            dice = _dice_loss(probable, wanted, n_ones) + _dice_loss(known - probable, known - wanted, n_zeros)
            n_present = (n_ones > 0).float() + (n_zeros > 0).float()
            loss = (1 - self.dice_weight) * loss + self.dice_weight * dice / n_present.clamp(min=1)
        return loss, n_ones + n_zeros


def _regression(values: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Loss and number of known voxels of each channel."""
    known = (targets != IGNORED).float()
    wanted = (targets.float() - ZERO) / (ONE - ZERO)
    error = functional.smooth_l1_loss(values.tanh(), 2 * wanted - 1, reduction="none")
    n_known = _per_channel(known)
    return _per_channel(error * known) / n_known.clamp(min=1), n_known


def _channels(values: torch.Tensor, indices: list[int]) -> torch.Tensor:
    """Some channels, as a view where they lie beside one another."""
    first, last = indices[0], indices[-1] + 1
    return values[:, first:last] if last - first == len(indices) else values[:, indices]


def _dice_loss(probable: torch.Tensor, wanted: torch.Tensor, n_wanted: torch.Tensor) -> torch.Tensor:
    """Soft Dice loss of each channel; 0 where nothing is wanted."""
    dice = 2 * _per_channel(probable * wanted) / (_per_channel(probable) + n_wanted + 1e-5)
    return torch.where(n_wanted > 0, 1 - dice, 0.0)


def _per_channel(values: torch.Tensor) -> torch.Tensor:
    return values.sum(dim=(0, 2, 3, 4))


class Distillation(nn.Module):
    """How far answers are from a parent's where labels say nothing (Li and Hoiem 2016, "Learning without forgetting").

    Classes get the Kullback-Leibler divergence from the parent's probabilities, affinities and the like that of each
    channel, distances the smooth L1 distance; the mean over all voxels, or voxels of channels, without a label. It is
    0, and so is its gradient, where both answer the same.

    Parameters
    ----------
    roles : sequence of ChannelRole
        What the channels mean.
    is_classes : bool
        Whether the channels are classes of which one is right.
    """

    def __init__(self, roles: Sequence[ChannelRole], is_classes: bool) -> None:
        super().__init__()
        self._is_classes = is_classes
        self._is_distance = [isinstance(role, DistanceRole) for role in roles]

    def forward(self, logits: torch.Tensor, parent: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Mean distance.

        Parameters
        ----------
        logits, parent : Tensor
            (b, c, z, y, x) of the network and of its parent.
        labels : Tensor
            (b, z, y, x) or (b, c, z, y, x); 0 = nothing is said.
        """
        logits, parent, unsaid = logits.float(), parent.float(), labels == 0
        if self._is_classes:
            wanted = parent.log_softmax(1)
            apart = (wanted.exp() * (wanted - logits.log_softmax(1))).sum(1)
        else:
            wanted = parent.sigmoid()
            entropy = functional.binary_cross_entropy_with_logits(parent, wanted, reduction="none")
            apart = functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none") - entropy
            if any(self._is_distance):
                error = functional.smooth_l1_loss(logits.tanh(), parent.tanh(), reduction="none")
                is_distance = torch.tensor(self._is_distance, device=logits.device)[:, None, None, None]
                apart = torch.where(is_distance, error, apart)
        return torch.where(unsaid, apart, 0.0).sum() / unsaid.sum().clamp(min=1)


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
