"""The loss of a target of channels: one for each of its entries, weighed by them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from napari_pytc.learning.data.instance_targets import ONE, ZERO
from napari_pytc.learning.training.losses.build import build_losses
from napari_pytc.learning.training.losses.channels import ChannelLoss
from napari_pytc.learning.training.losses.classes import SparseDiceCrossEntropy
from napari_pytc.learning.training.losses.parts import TrainingLoss, told_apart
from napari_pytc.learning.training.losses.terms import values_and_mask, voxel_weights
from napari_pytc.plans.plan import TrainPlan
from napari_pytc.plans.targets import ChannelsTarget
from napari_pytc.volumes.roles import ChannelRole


class TargetLoss(TrainingLoss):
    """Weighted mean of the losses of the entries that have a target anywhere.

    An entry has the loss that it names. Without one, classes have Dice and cross entropy, other channels the
    `ChannelLoss` of their roles, the mean over the channels of the entry.

    Parameters
    ----------
    plan : TrainPlan
        Its `dice_weight` and `class_balance` are those of entries that name no loss.
    roles : sequence of ChannelRole
        The channels of the target.
    """

    def __init__(self, plan: TrainPlan, target: ChannelsTarget, roles: Sequence[ChannelRole]) -> None:
        super().__init__()
        self._roles = tuple(roles)
        self._small_object_weight = target.small_object_weight
        self._named = target.assigned_losses(roles)
        self._losses = build_losses(self._named)
        plain = [(entry, numbers) for entry, numbers in target.entries(roles) if entry.named_loss is None]
        self._class_loss = SparseDiceCrossEntropy(plan.dice_weight)
        others = [(entry, numbers) for entry, numbers in plain if not entry.from_strokes]
        self._plain = [number for _, numbers in others for number in range(numbers.start, numbers.stop)]
        self._entry_of = [n for n, (_, numbers) in enumerate(others) for _ in range(numbers.start, numbers.stop)]
        classes = [(entry, numbers) for entry, numbers in plain if entry.from_strokes]
        self._classes = [(entry.weight, numbers) for entry, numbers in classes]
        named = [(entry, numbers) for entry, numbers in target.entries(roles) if entry.named_loss is not None]
        self._titles = told_apart([entry.role for entry, _ in (*others, *classes, *named)])
        """Of the losses, in the order in which they are computed."""
        self._plain_weights = [entry.weight for entry, _ in others]
        self._plain_loss = ChannelLoss([roles[n] for n in self._plain], plan.dice_weight, plan.class_balance)

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Mean loss.

        Parameters
        ----------
        logits : Tensor
            (b, c, z, y, x).
        targets : Tensor
            (b, c, z, y, x) uint8, and after these a channel of small objects, where they count more.
        """
        losses: list[Tensor] = []
        weights: list[Tensor] = []
        if self._plain:
            each, of_each = self._of_plain(logits, targets)
            losses += each.unbind()
            weights += of_each.unbind()
        for weight, numbers in self._classes:
            labels = class_labels(targets[:, numbers])
            losses.append(self._class_loss(logits[:, numbers], labels))
            weights.append(weight * labels.any())
        if self._named:
            values, mask = values_and_mask(targets, self._roles, self._small_object_weight)
            for one, loss in zip(self._named, self._losses, strict=True):
                channels = list(one.channels)
                losses.append(loss(*(of[:, channels] for of in (logits, values, mask))))
                weights.append(one.term.weight * mask[:, channels].any())
        total = torch.stack([torch.as_tensor(weight, device=logits.device) for weight in weights])
        self.note(self._titles, torch.stack(losses), total)
        return (torch.stack(losses) * total).sum() / torch.where(total.sum() > 0, total.sum(), 1.0)

    def _of_plain(self, logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Loss and weight of each entry that names no loss and is of objects."""
        of_voxels = voxel_weights(targets, len(self._roles), self._small_object_weight)
        each, n_known = self._plain_loss.each(logits[:, self._plain], targets[:, self._plain], of_voxels)
        entry_of = torch.tensor(self._entry_of, device=logits.device)
        sums, counts = each.new_zeros(2, len(self._plain_weights)).unbind()
        sums = sums.index_add(0, entry_of, each)
        counts = counts.index_add(0, entry_of, (n_known > 0).to(each.dtype))
        return sums / counts.clamp(min=1), torch.tensor(self._plain_weights, device=logits.device) * (counts > 0)


def class_labels(targets: Tensor) -> Tensor:
    """Targets of n classes (b, n, z, y, x) as labels (b, z, y, x): k = k-th class, 2 n + k = any but it, 0 = none."""
    n = targets.shape[1]
    is_one, is_zero = targets == ONE, targets == ZERO
    of_class = is_one.to(torch.uint8).argmax(1) + 1
    any_but = 2 * n + is_zero.to(torch.uint8).argmax(1) + 1
    return torch.where(is_one.any(1), of_class, torch.where(is_zero.any(1), any_but, 0))
