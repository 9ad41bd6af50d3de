"""Settings of the losses of numbers: distances, flows, and whatever else is no probability."""

from __future__ import annotations

from typing import ClassVar, Literal

from napari_pytc.plans.losses.base import Activation, LossSettings
from napari_pytc.settings import setting

_BUILDS = "napari_pytc.learning.training.losses.regression:{}"
_SUITS: tuple[Activation, ...] = ("tanh", "none", "sigmoid", "softmax")


class WeightedSquaredLoss(LossSettings):
    """Mean squared error of the activated values, with weights that balance high and low targets."""

    builds: ClassVar[str] = _BUILDS.format("build_weighted_mse")
    suits: ClassVar[tuple[Activation, ...]] = _SUITS
    when: ClassVar[str] = "Distances and flows without outliers; probabilities that must not become too sure."
    cost: ClassVar[str] = "1.1 to 1.3"
    kind: Literal["weighted_mse"] = "weighted_mse"
    balance: float = setting(
        0.0,
        "Balance",
        "0: every voxel counts the same; 1: those of high targets count, taken together, as much as those of low ones.",
        ge=0,
        le=1,
    )


class MeanAbsoluteLoss(LossSettings):
    """Mean absolute error of the activated values."""

    builds: ClassVar[str] = _BUILDS.format("build_mae")
    suits: ClassVar[tuple[Activation, ...]] = _SUITS
    when: ClassVar[str] = "Distances and flows with outliers, as at borders that are drawn roughly."
    cost: ClassVar[str] = "1.2 to 1.4"
    kind: Literal["mae"] = "mae"


class SmoothL1Loss(LossSettings):
    """Squared error of small differences, absolute error of large ones (Girshick 2015)."""

    builds: ClassVar[str] = _BUILDS.format("build_smooth_l1")
    suits: ClassVar[tuple[Activation, ...]] = _SUITS
    when: ClassVar[str] = "Distances: the usual choice, and what is used where no losses are named."
    cost: ClassVar[str] = "1 to 1.4"
    kind: Literal["smooth_l1"] = "smooth_l1"
    beta: float = setting(1.0, "Border", "Difference from which the error is absolute.", gt=0)
