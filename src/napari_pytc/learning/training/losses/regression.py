"""Losses of numbers: of the activated values against targets on the same scale."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from napari_pytc.learning.training.losses.masked import MaskedLoss, weighted_mean
from napari_pytc.plans.losses import Activation, MeanAbsoluteLoss, SmoothL1Loss, WeightedSquaredLoss

Kept = tuple[int, ...]


class WeightedSquared(MaskedLoss):
    """Mean squared error, high and low targets balanced.

    A target is high above the middle of what the activation gives, and above 0 where it gives anything.
    """

    def __init__(self, settings: WeightedSquaredLoss, activation: Activation, kept: Kept) -> None:
        super().__init__(activation, kept)
        self._balance = settings.balance
        self._middle = 0.5 if activation in ("sigmoid", "softmax") else 0.0

    def forward(self, logits: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        """See `Loss`."""
        values, target, weights = self.values(logits, target, mask)
        if self._balance:
            high, low = weights * (target > self._middle), weights * (target <= self._middle)
            high, low = (side / side.sum().clamp(min=1) ** self._balance for side in (high, low))
            weights = high + low
        return weighted_mean((values - target).square(), weights)


class MeanAbsolute(MaskedLoss):
    """Mean absolute error."""

    def __init__(self, settings: MeanAbsoluteLoss, activation: Activation, kept: Kept) -> None:
        super().__init__(activation, kept)

    def forward(self, logits: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        """See `Loss`."""
        values, target, weights = self.values(logits, target, mask)
        return weighted_mean((values - target).abs(), weights)


class SmoothL1(MaskedLoss):
    """Squared error of small differences, absolute error of large ones."""

    def __init__(self, settings: SmoothL1Loss, activation: Activation, kept: Kept) -> None:
        super().__init__(activation, kept)
        self._beta = settings.beta

    def forward(self, logits: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        """See `Loss`."""
        values, target, weights = self.values(logits, target, mask)
        return weighted_mean(functional.smooth_l1_loss(values, target, beta=self._beta, reduction="none"), weights)


build_weighted_mse, build_mae, build_smooth_l1 = WeightedSquared, MeanAbsolute, SmoothL1
