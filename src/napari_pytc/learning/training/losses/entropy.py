"""Cross entropies and the focal loss: means over the voxels that count."""

from __future__ import annotations

import torch
from monai.losses import FocalLoss as MonaiFocalLoss
from torch import Tensor
from torch.nn import functional

from napari_pytc.learning.training.losses.masked import MaskedLoss, over_voxels, weighted_mean
from napari_pytc.plans.losses import (
    Activation,
    BinaryCrossEntropyLoss,
    CrossEntropyLoss,
    FocalLoss,
    PerChannelBinaryCrossEntropyLoss,
)

Kept = tuple[int, ...]


class CrossEntropy(MaskedLoss):
    """Cross entropy of exclusive classes; targets are one-hot, so that the highest is the class."""

    def __init__(self, settings: CrossEntropyLoss, activation: Activation, kept: Kept) -> None:
        super().__init__(activation, kept)
        self._smoothing = settings.label_smoothing
        self._weights = settings.class_weights

    def forward(self, logits: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        """See `Loss`."""
        logits, target, weights = self.prepared(logits, target, mask)
        classes = target.argmax(1)
        of_class = None if self._weights is None else torch.tensor(self._weights, device=logits.device)
        losses = functional.cross_entropy(
            logits, classes, weight=of_class, label_smoothing=self._smoothing, reduction="none"
        )
        weights = weights[:, 0]
        total = weights.sum() if of_class is None else (weights * of_class[classes]).sum()
        return (losses * weights).sum() / torch.where(total > 0, total, 1.0)


class BinaryCrossEntropy(MaskedLoss):
    """Binary cross entropy, the mean over all voxels of all channels."""

    def __init__(self, settings: BinaryCrossEntropyLoss, activation: Activation, kept: Kept) -> None:
        super().__init__(activation, kept)
        self._pos_weight = settings.pos_weight

    def forward(self, logits: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        """See `Loss`."""
        logits, target, weights = map(self.selected, self.prepared(logits, target, mask))
        pos_weight = torch.tensor(self._pos_weight, device=logits.device)
        losses = functional.binary_cross_entropy_with_logits(logits, target, pos_weight=pos_weight, reduction="none")
        return weighted_mean(losses, weights)


class PerChannelBinaryCrossEntropy(MaskedLoss):
    """Binary cross entropy with a weight of ones for each channel, the mean over channels with a target."""

    def __init__(self, settings: PerChannelBinaryCrossEntropyLoss, activation: Activation, kept: Kept) -> None:
        super().__init__(activation, kept)
        self._pos_weight = settings.pos_weight
        self._largest = settings.largest_pos_weight

    def forward(self, logits: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        """See `Loss`."""
        logits, target, weights = map(self.selected, self.prepared(logits, target, mask))
        axes = over_voxels(logits)
        pos_weight = self._weights_of_ones(target, weights, axes).reshape(-1, *[1] * (logits.ndim - 2))
        losses = functional.binary_cross_entropy_with_logits(logits, target, pos_weight=pos_weight, reduction="none")
        n_known = weights.sum(axes)
        each = (losses * weights).sum(axes) / torch.where(n_known > 0, n_known, 1.0)
        return each.sum() / (n_known > 0).sum().clamp(min=1)

    def _weights_of_ones(self, target: Tensor, weights: Tensor, axes: list[int]) -> Tensor:
        if self._pos_weight != "auto":
            return torch.tensor(self._pos_weight, device=target.device)
        ones = (target * weights).sum(axes)
        zeros = weights.sum(axes) - ones
        return (zeros / ones.clamp(min=1e-6)).clamp(1 / self._largest, self._largest)


class Focal(MaskedLoss):
    """MONAI's focal loss, the mean over the voxels and channels that count."""

    def __init__(self, settings: FocalLoss, activation: Activation, kept: Kept) -> None:
        super().__init__(activation, kept)
        self._focal = MonaiFocalLoss(
            gamma=settings.gamma, alpha=settings.alpha, use_softmax=activation == "softmax", reduction="none"
        )

    def forward(self, logits: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        """See `Loss`."""
        logits, target, weights = self.prepared(logits, target, mask)
        return weighted_mean(self.selected(self._focal(logits, target)), self.selected(weights))


build_cross_entropy, build_binary_cross_entropy = CrossEntropy, BinaryCrossEntropy
build_per_channel_binary_cross_entropy, build_focal = PerChannelBinaryCrossEntropy, Focal
