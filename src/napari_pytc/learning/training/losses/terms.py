"""The loss of a training as a weighted sum of terms, with fixed or learnt weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from napari_pytc.learning.data.instance_targets import IGNORED, ONE, ZERO
from napari_pytc.learning.data.targets.patch_targets import SMALL
from napari_pytc.learning.training.losses.build import build_losses
from napari_pytc.learning.training.losses.classes import any_but
from napari_pytc.learning.training.losses.parts import TrainingLoss, told_apart
from napari_pytc.plans.losses import AssignedLoss
from napari_pytc.volumes.roles import ChannelRole

Balancing = Literal["fixed", "uncertainty"]


class LossTerms(TrainingLoss):
    """Sum of losses, each of its own channels.

    Parameters
    ----------
    assigned : sequence of AssignedLoss
        The terms and their channels.
    balancing : {"fixed", "uncertainty"}
        uncertainty: half the sum of exp(-s) times each term, plus s, where s is learnt (Kendall et al. 2018): a term
        that stays large comes to count less. All s begin at 0.
    """

    def __init__(self, assigned: Sequence[AssignedLoss], balancing: Balancing = "fixed") -> None:
        super().__init__()
        self._assigned = tuple(assigned)
        self._names = told_apart([one.term.title for one in assigned])
        self._losses = build_losses(assigned)
        self.log_variances = nn.Parameter(torch.zeros(len(assigned))) if balancing == "uncertainty" else None

    def forward(self, logits: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        """See `Loss`."""
        plain = [
            loss(*(_channels(values, one.channels) for values in (logits, target, mask)))
            for one, loss in zip(self._assigned, self._losses, strict=True)
        ]
        for name, value in zip(self._names, plain, strict=True):
            self.note([name], value)
        each = torch.stack([one.term.weight * value for one, value in zip(self._assigned, plain, strict=True)])
        if self.log_variances is None:
            return each.sum()
        return (each * (-self.log_variances).exp() + self.log_variances).sum() / 2


def _channels(values: Tensor, channels: tuple[int, ...]) -> Tensor:
    """Some channels, as a view where they lie beside one another; a mask of one channel is that of all."""
    if values.shape[1] == 1:
        return values
    first, last = channels[0], channels[-1] + 1
    return values[:, first:last] if last - first == len(channels) else values[:, list(channels)]


class ClassTerms(TrainingLoss):
    """Terms over annotated voxels of classes, and apart from them over pseudo-labels.

    Voxels labelled as "any but one class" have the loss of `SparseDiceCrossEntropy`.

    Parameters
    ----------
    guess_weight : float
        Weight of the loss over pseudo-labels beside that over annotated voxels.
    """

    def __init__(self, terms: LossTerms, guess_weight: float = 0.0) -> None:
        super().__init__()
        self.terms = terms
        self._guess_weight = guess_weight

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Loss of logits (b, k, z, y, x) or (n, k); labels as in `Batch`."""
        k = logits.shape[1]
        loss = self._over(logits, labels, 0)
        is_excluded = labels > 2 * k
        if is_excluded.any():
            values, excluded = logits.movedim(1, 0).flatten(1), labels.flatten()
            (places,) = is_excluded.flatten().nonzero(as_tuple=True)
            against = any_but(values[:, places].float(), excluded[places] - 2 * k - 1)
            has_labels = ((labels > 0) & (labels <= k)).any()
            loss = (loss + against) / 2 if has_labels else loss + against
        if self._guess_weight and ((labels > k) & (labels <= 2 * k)).any():
            loss = loss + self._guess_weight * self._over(logits, labels, k)
        return loss

    def _over(self, logits: Tensor, labels: Tensor, before: int) -> Tensor:
        """Loss over the voxels whose label is one of the k after `before`."""
        k = logits.shape[1]
        classes = torch.arange(before + 1, before + k + 1, device=labels.device)
        onehot = labels[:, None] == classes.reshape(1, k, *[1] * (labels.ndim - 1))
        loss: Tensor = self.terms(logits, onehot, onehot.any(1, keepdim=True))
        return loss


class ChannelTerms(TrainingLoss):
    """Terms over targets as `instance_targets` makes them.

    Parameters
    ----------
    roles : sequence of ChannelRole
        The channels.
    small_object_weight : float
        How much a voxel of a small object counts beside the others.
    """

    def __init__(self, terms: LossTerms, roles: Sequence[ChannelRole], small_object_weight: float = 1.0) -> None:
        super().__init__()
        self.terms = terms
        self._roles = tuple(roles)
        self._small_object_weight = small_object_weight

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Loss of logits (b, c, z, y, x) and targets of the same shape, uint8; small objects may follow these."""
        loss: Tensor = self.terms(logits, *values_and_mask(targets, self._roles, self._small_object_weight))
        return loss


def values_and_mask(
    targets: Tensor, roles: Sequence[ChannelRole], small_object_weight: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Targets as what activations give, and where they are known or how much they count, both (b, c, z, y, x).

    Parameters
    ----------
    targets : Tensor
        (b, c, z, y, x) uint8, and after these a channel of small objects, where they count more.
    small_object_weight : float
        How much their voxels count beside the others.
    """
    weights = voxel_weights(targets, len(roles), small_object_weight)
    targets = targets[:, : len(roles)]
    spans = [activated_span(role) for role in roles]
    values = (targets.float() - ZERO) / (ONE - ZERO)
    if any(span != (0.0, 1.0) for span in spans):
        low, high = (
            torch.tensor(ends, device=targets.device)[:, None, None, None] for ends in zip(*spans, strict=True)
        )
        values = low + values * (high - low)
    mask = targets != IGNORED
    return values, mask if weights is None else mask * weights


def voxel_weights(targets: Tensor, n_channels: int, small_object_weight: float) -> Tensor | None:
    """How much each voxel counts, (b, 1, z, y, x), by the channel after the last; None where all count the same."""
    sizes = targets[:, n_channels:]
    return torch.where(sizes == SMALL, small_object_weight, 1.0) if sizes.shape[1] else None


def activated_span(role: ChannelRole) -> tuple[float, float]:
    """What an activation gives for a stored 0 and the largest stored number."""
    if role.activates == "none":
        return role.span
    return (-1.0, 1.0) if role.activates == "tanh" else (0.0, 1.0)
