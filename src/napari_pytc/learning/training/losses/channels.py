"""The loss of other channels where no losses are named: by the role of each."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn import functional

from napari_pytc.learning.data.instance_targets import IGNORED, ONE, ZERO
from napari_pytc.learning.evaluation.instance_scoring import group_of
from napari_pytc.learning.training.losses.parts import TrainingLoss
from napari_pytc.volumes.roles import SLOPES, ChannelRole


class ChannelLoss(TrainingLoss):
    """A loss for every channel over the voxels whose target is known; their mean.

    Probabilities get binary cross entropy and Dice of the network's output as a logit; distances and other quantities
    the smooth L1 distance of what their activation gives, as -1 to 1 of their span.

    Parameters
    ----------
    roles : sequence of ChannelRole
        Roles of the channels.
    dice_weight : float
        Share of the soft Dice losses of ones and of zeros, the rest is cross entropy.
    balance : float
        0: zeros and ones count as often as there are voxels of them; 1: both the same.
    """

    def __init__(self, roles: Sequence[ChannelRole], dice_weight: float, balance: float) -> None:
        super().__init__()
        self.dice_weight = dice_weight
        self.balance = balance
        self._indices = [[c for c, one in enumerate(roles) if is_quantity(one) == which] for which in (False, True)]
        self._groups = [group_of(role) for role in roles]
        self._quantities = [roles[channel] for channel in self._indices[1]]

    def forward(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Mean loss of the channels that have a target anywhere.

        Parameters
        ----------
        logits : Tensor
            (b, c, z, y, x).
        targets : Tensor
            (b, c, z, y, x) uint8 as `instance_targets` makes them.
        """
        losses, n_known = self.each(logits, targets)
        self.note(self._groups, losses, n_known)
        return losses.sum() / (n_known > 0).sum().clamp(min=1)

    def each(
        self, logits: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Loss of each channel, 0 without a target, and the number or weight of its known voxels; both (c,).

        Parameters
        ----------
        weights : Tensor, optional
            (b, 1, z, y, x), how much each voxel counts.
        """
        losses, n_known = [], []
        for of_kind, indices in zip((self._binary, self._regression), self._indices, strict=True):
            if indices:
                loss, n = of_kind(_channels(logits, indices).float(), _channels(targets, indices), weights)
                losses.append(loss)
                n_known.append(n)
        order = self._indices[0] + self._indices[1]
        back = [order.index(channel) for channel in range(len(order))]
        return torch.cat(losses)[back], torch.cat(n_known)[back]

    def _binary(
        self, values: torch.Tensor, targets: torch.Tensor, voxel_weights: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Loss and number of known voxels of each channel."""
        is_one, is_zero = targets == ONE, targets == ZERO
        n_ones, n_zeros = (_per_channel(_weighted(one, voxel_weights)).float() for one in (is_one, is_zero))
        ones, zeros = (torch.where(n > 0, n.clamp(min=1) ** (1 - self.balance), 0.0) for n in (n_ones, n_zeros))
        total = (ones + zeros).clamp(min=1)
        # One weight a voxel and one softplus: the loss took a sixth of a step when it was made of its formula's parts.
        of_one, of_zero = (
            (w / n.clamp(min=1) / total)[:, None, None, None] for w, n in ((ones, n_ones), (zeros, n_zeros))
        )
        weights = _weighted(torch.where(is_one, of_one, torch.where(is_zero, of_zero, 0.0)), voxel_weights)
        loss = _per_channel(functional.softplus(torch.where(is_one, -values, values)) * weights)
        if self.dice_weight:
            known = _weighted((is_one | is_zero).float(), voxel_weights)
            probable = values.sigmoid() * known
            dice = _dice_loss(probable, is_one.float(), n_ones)
            dice = dice + _dice_loss(known - probable, is_zero.float(), n_zeros)
            n_present = (n_ones > 0).float() + (n_zeros > 0).float()
            loss = (1 - self.dice_weight) * loss + self.dice_weight * dice / n_present.clamp(min=1)
        return loss, n_ones + n_zeros

    def _regression(
        self, values: torch.Tensor, targets: torch.Tensor, voxel_weights: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Loss and number of known voxels of each channel."""
        known = _weighted((targets != IGNORED).float(), voxel_weights)
        wanted = (targets.float() - ZERO) / (ONE - ZERO)
        error = functional.smooth_l1_loss(self._activated(values), 2 * wanted - 1, reduction="none")
        n_known = _per_channel(known)
        return _per_channel(error * known) / n_known.clamp(min=1), n_known

    def _activated(self, values: torch.Tensor) -> torch.Tensor:
        """What quantities are predicted, as -1 to 1 of their span."""
        if all(role.activates == "tanh" for role in self._quantities):
            return values.tanh()
        return torch.stack(
            [quantity(value, role) for value, role in zip(values.unbind(1), self._quantities, strict=True)], dim=1
        )


def quantity(value: torch.Tensor, role: ChannelRole) -> torch.Tensor:
    """What a quantity's channel predicts, as -1 to 1 of its span."""
    if role.activates == "none":
        low, high = role.span
        return 2 * (value - low) / (high - low) - 1
    return (value * (SLOPES[role.activates] / 2)).tanh()  # twice the logistic function less 1 is tanh of a half


def is_quantity(role: ChannelRole) -> bool:
    """Whether a channel is learnt as a number, and not as the logit of a probability."""
    return not role.is_probability or role.activates == "none"


def _weighted(values: torch.Tensor, weights: torch.Tensor | None) -> torch.Tensor:
    return values if weights is None else values * weights


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
