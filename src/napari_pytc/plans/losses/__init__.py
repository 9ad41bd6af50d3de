"""Losses of trainings: importing this room registers them, without importing torch."""

from napari_pytc.plans.losses.assignment import AssignedLoss, activations_of, assign_loss, assign_losses
from napari_pytc.plans.losses.base import Activation, AnyLoss, LossSettings, LossTerm
from napari_pytc.plans.losses.entropy import (
    BinaryCrossEntropyLoss,
    CrossEntropyLoss,
    FocalLoss,
    PerChannelBinaryCrossEntropyLoss,
)
from napari_pytc.plans.losses.overlap import (
    CenterlineDiceLoss,
    DiceCrossEntropyLoss,
    DiceFocalLoss,
    DiceLoss,
    GeneralisedDiceLoss,
    TverskyLoss,
)
from napari_pytc.plans.losses.regression import MeanAbsoluteLoss, SmoothL1Loss, WeightedSquaredLoss

__all__ = [
    "Activation",
    "AnyLoss",
    "AssignedLoss",
    "BinaryCrossEntropyLoss",
    "CenterlineDiceLoss",
    "CrossEntropyLoss",
    "DiceCrossEntropyLoss",
    "DiceFocalLoss",
    "DiceLoss",
    "FocalLoss",
    "GeneralisedDiceLoss",
    "LossSettings",
    "LossTerm",
    "MeanAbsoluteLoss",
    "PerChannelBinaryCrossEntropyLoss",
    "SmoothL1Loss",
    "TverskyLoss",
    "WeightedSquaredLoss",
    "activations_of",
    "assign_loss",
    "assign_losses",
]
