"""Dice and its kin: MONAI's, of values that are 0 in prediction and target where nothing counts."""

from __future__ import annotations

import torch
from monai.losses import DiceLoss as MonaiDiceLoss
from monai.losses import GeneralizedDiceLoss
from monai.losses import TverskyLoss as MonaiTverskyLoss
from torch import Tensor, nn

from napari_pytc.learning.training.losses.centre_lines import soft_centre_lines
from napari_pytc.learning.training.losses.entropy import BinaryCrossEntropy, CrossEntropy, Focal
from napari_pytc.learning.training.losses.masked import MaskedLoss
from napari_pytc.plans.losses import (
    Activation,
    BinaryCrossEntropyLoss,
    CenterlineDiceLoss,
    CrossEntropyLoss,
    DiceCrossEntropyLoss,
    DiceFocalLoss,
    DiceLoss,
    FocalLoss,
    GeneralisedDiceLoss,
    TverskyLoss,
)

Kept = tuple[int, ...]


class RegionLoss(MaskedLoss):
    """A loss of MONAI's that compares regions, the mean over channels with a target.

    Voxels that do not count are 0 in the prediction and in the target, so that they add nothing to any region: exactly
    what the loss of the other voxels alone would be. (MONAI's own `MaskedDiceLoss` masks the logits, whose sigmoid is
    then 1/2.)

    Parameters
    ----------
    compare : Module
        Made with ``reduction="none"``; takes activated values and targets.
    per_patch : bool
        Whether it returns a value for each patch.
    """

    def __init__(self, compare: nn.Module, per_patch: bool, activation: Activation, kept: Kept) -> None:
        super().__init__(activation, kept)
        self._compare = compare
        self._per_patch = per_patch

    def forward(self, logits: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        """See `Loss`."""
        values, target, weights = self.values(logits, target, mask)
        losses: Tensor = self._compare(values, target).flatten()
        has_target = weights.flatten(2).amax(2) > 0
        if not self._per_patch:
            has_target = has_target.any(0, keepdim=True)
        # Generalised Dice has one value for all channels.
        counts = has_target.flatten() if losses.numel() == has_target.numel() else has_target.any(1)
        return (losses * counts).sum() / counts.sum().clamp(min=1)


class CenterlineDice(MaskedLoss):
    """Dice of soft centre lines, a patch at a time as in the paper, the mean over patches with a target.

    Lines are those of prediction and target within the mask: its border cuts both alike.
    """

    def __init__(self, settings: CenterlineDiceLoss, activation: Activation, kept: Kept) -> None:
        super().__init__(activation, kept)
        self._iterations = settings.iterations

    def forward(self, logits: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        """See `Loss`."""
        values, target, weights = self.values(logits, target, mask)
        known = weights > 0
        lines, true_lines = (soft_centre_lines(each, self._iterations) * known for each in (values, target))
        precision, recall = (_share(lines, target), _share(true_lines, values))
        losses = 1 - 2 * precision * recall / (precision + recall + 1e-4)
        has_target = known.flatten(1).any(1)
        return (losses * has_target).sum() / has_target.sum().clamp(min=1)


def _share(lines: Tensor, region: Tensor) -> Tensor:
    """Share of the lines of each patch that lies in a region."""
    found: Tensor = ((lines * region).flatten(1).sum(1) + 1) / (lines.flatten(1).sum(1) + 1)
    return found


class WeightedSum(nn.Module):
    """Sum of losses of the same channels."""

    def __init__(self, *losses: tuple[float, nn.Module]) -> None:
        super().__init__()
        self._weights = [weight for weight, _ in losses]
        self._losses = nn.ModuleList(loss for _, loss in losses)

    def forward(self, logits: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        """See `Loss`."""
        each = zip(self._weights, self._losses, strict=True)
        return torch.stack([weight * loss(logits, target, mask) for weight, loss in each]).sum()


def build_dice(settings: DiceLoss, activation: Activation, kept: Kept) -> RegionLoss:
    """The loss."""
    compare = MonaiDiceLoss(
        batch=not settings.per_patch, squared_pred=settings.squared, jaccard=settings.jaccard, reduction="none"
    )
    return RegionLoss(compare, settings.per_patch, activation, kept)


def build_generalised_dice(settings: GeneralisedDiceLoss, activation: Activation, kept: Kept) -> RegionLoss:
    """The loss."""
    compare = GeneralizedDiceLoss(batch=not settings.per_patch, w_type=settings.weighting, reduction="none")
    return RegionLoss(compare, settings.per_patch, activation, kept)


def build_tversky(settings: TverskyLoss, activation: Activation, kept: Kept) -> RegionLoss:
    """The loss."""
    compare = MonaiTverskyLoss(alpha=settings.alpha, beta=settings.beta, batch=not settings.per_patch, reduction="none")
    return RegionLoss(compare, settings.per_patch, activation, kept)


def build_centerline_dice(settings: CenterlineDiceLoss, activation: Activation, kept: Kept) -> CenterlineDice:
    """The loss."""
    return CenterlineDice(settings, activation, kept)


def build_dice_cross_entropy(settings: DiceCrossEntropyLoss, activation: Activation, kept: Kept) -> WeightedSum:
    """The loss."""
    dice = build_dice(DiceLoss(per_patch=settings.per_patch), activation, kept)
    entropy: nn.Module = (
        CrossEntropy(CrossEntropyLoss(), activation, kept)
        if activation == "softmax"
        else BinaryCrossEntropy(BinaryCrossEntropyLoss(), activation, kept)
    )
    return WeightedSum((settings.dice_weight, dice), (settings.ce_weight, entropy))


def build_dice_focal(settings: DiceFocalLoss, activation: Activation, kept: Kept) -> WeightedSum:
    """The loss."""
    dice = build_dice(DiceLoss(per_patch=settings.per_patch), activation, kept)
    focal = Focal(FocalLoss(gamma=settings.gamma), activation, kept)
    return WeightedSum((settings.dice_weight, dice), (settings.focal_weight, focal))
