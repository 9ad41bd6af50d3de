"""Losses that count voxels with a target only."""

from napari_pytc.learning.training.losses.channels import ChannelLoss
from napari_pytc.learning.training.losses.choice import make_loss
from napari_pytc.learning.training.losses.classes import SparseDiceCrossEntropy
from napari_pytc.learning.training.losses.distance_from_parent import Distillation
from napari_pytc.learning.training.losses.masked import Loss, MaskedLoss, weighted_mean
from napari_pytc.learning.training.losses.parts import TrainingLoss
from napari_pytc.learning.training.losses.supervision import deeply_supervised
from napari_pytc.learning.training.losses.terms import ChannelTerms, ClassTerms, LossTerms

__all__ = [
    "ChannelLoss",
    "ChannelTerms",
    "ClassTerms",
    "Distillation",
    "Loss",
    "LossTerms",
    "MaskedLoss",
    "SparseDiceCrossEntropy",
    "TrainingLoss",
    "deeply_supervised",
    "make_loss",
    "weighted_mean",
]
