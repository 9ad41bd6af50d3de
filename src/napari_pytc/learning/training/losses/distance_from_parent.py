"""Distance of a network's predictions from those of its parent, where nothing is labelled."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from napari_pytc.learning.training.losses.channels import is_quantity, quantity
from napari_pytc.volumes.roles import ChannelRole, activations_of


class Distillation(nn.Module):
    """Distance of predictions from a parent's on unlabelled voxels (Li and Hoiem 2016, "Learning without forgetting").

    Classes get the Kullback-Leibler divergence from the parent's probabilities, affinities and the like that of each
    channel, distances and other quantities the smooth L1 distance; the mean over all voxels, or voxels of channels,
    without a label. It is 0, and so is its gradient, where both predict the same.

    Parameters
    ----------
    roles : sequence of ChannelRole
        Roles of the channels.
    is_classes : bool
        Whether the channels are classes of which one is right.
    """

    def __init__(self, roles: Sequence[ChannelRole], is_classes: bool) -> None:
        super().__init__()
        self._is_classes = is_classes
        self._exclusive = [n for n, name in enumerate(activations_of(roles)) if name == "softmax"]
        self._quantities = {n: role for n, role in enumerate(roles) if is_quantity(role)}

    def forward(self, logits: torch.Tensor, parent: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Mean distance.

        Parameters
        ----------
        logits, parent : Tensor
            (b, c, z, y, x) of the network and of its parent.
        labels : Tensor
            (b, z, y, x) or (b, c, z, y, x); 0 = not labelled. What follows the c-th channel does not count.
        """
        if labels.ndim == logits.ndim:
            labels = labels[:, : logits.shape[1]]
        logits, parent, is_unlabelled = logits.float(), parent.float(), labels == 0
        if self._is_classes:
            wanted = parent.log_softmax(1)
            apart = (wanted.exp() * (wanted - logits.log_softmax(1))).sum(1)
        else:
            wanted = parent.sigmoid()
            entropy = functional.binary_cross_entropy_with_logits(parent, wanted, reduction="none")
            apart = functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none") - entropy
            for channel, role in self._quantities.items():
                both = quantity(logits[:, channel], role), quantity(parent[:, channel], role)
                apart[:, channel] = functional.smooth_l1_loss(*both, reduction="none")
            if self._exclusive:
                ours, theirs = (values[:, self._exclusive].log_softmax(1) for values in (logits, parent))
                apart[:, self._exclusive] = theirs.exp() * (theirs - ours)
        return torch.where(is_unlabelled, apart, 0.0).sum() / is_unlabelled.sum().clamp(min=1)
