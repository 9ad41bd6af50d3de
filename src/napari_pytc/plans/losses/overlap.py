"""Settings of the losses that compare regions: Dice and its kin."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import model_validator

from napari_pytc.errors import InvalidInput
from napari_pytc.plans.losses.base import Activation, LossSettings
from napari_pytc.settings import setting

_BUILDS = "napari_pytc.learning.training.losses.overlap:{}"
_SUITS: tuple[Activation, ...] = ("softmax", "sigmoid")


def _per_patch() -> bool:
    found: bool = setting(
        False, "A patch at a time", "Compare the regions of each patch; else those of all patches of a batch together."
    )
    return found


def _check_learns(kind: str, **weights: float) -> None:
    """Refuse weights that are all 0."""
    if not any(weights.values()):
        names = " and ".join(f"{name}=0" for name in weights)
        raise InvalidInput(f"The loss {kind!r} with {names} learns nothing.", "Set one of them above 0.")


class DiceLoss(LossSettings):
    """Soft Dice loss of every channel (Milletari et al. 2016), the mean over channels."""

    builds: ClassVar[str] = _BUILDS.format("build_dice")
    suits: ClassVar[tuple[Activation, ...]] = _SUITS
    weighs_voxels: ClassVar[bool] = False
    when: ClassVar[str] = "Where a class is rare; alone it is slow at the start, so put a cross entropy beside it."
    cost: ClassVar[str] = "1.4"
    kind: Literal["dice"] = "dice"
    squared: bool = setting(False, "Squared", "Square the predictions in the denominator, which sharpens them.")
    jaccard: bool = setting(False, "Jaccard", "Intersection over union instead of Dice.")
    per_patch: bool = _per_patch()


class GeneralisedDiceLoss(LossSettings):
    """Dice of all channels together, each weighted by one over its squared size (Sudre et al. 2017)."""

    builds: ClassVar[str] = _BUILDS.format("build_generalised_dice")
    suits: ClassVar[tuple[Activation, ...]] = _SUITS
    weighs_voxels: ClassVar[bool] = False
    when: ClassVar[str] = "Several classes of very different sizes, densely labelled."
    cost: ClassVar[str] = "1.2 to 1.6"
    kind: Literal["generalised_dice"] = "generalised_dice"
    weighting: Literal["square", "simple", "uniform"] = setting(
        "square", "Weighting", "One over the squared size of a channel, over its size, or none."
    )
    per_patch: bool = _per_patch()


class TverskyLoss(LossSettings):
    """Dice in which false positives and misses count differently (Salehi et al. 2017)."""

    builds: ClassVar[str] = _BUILDS.format("build_tversky")
    suits: ClassVar[tuple[Activation, ...]] = _SUITS
    weighs_voxels: ClassVar[bool] = False
    when: ClassVar[str] = "Where missing an object is worse than inventing one: beta above alpha, as for synapses."
    cost: ClassVar[str] = "1.6"
    kind: Literal["tversky"] = "tversky"
    alpha: float = setting(0.5, "False positives", "How much a false positive counts; 0.5 and 0.5 is Dice.", ge=0, le=1)
    beta: float = setting(0.5, "Misses", "How much a miss counts.", ge=0, le=1)
    per_patch: bool = _per_patch()

    @model_validator(mode="after")
    def _check(self) -> TverskyLoss:
        _check_learns(self.kind, alpha=self.alpha, beta=self.beta)
        return self


class DiceCrossEntropyLoss(LossSettings):
    """Soft Dice and cross entropy, weighted; a cross entropy of each channel where they do not exclude one another."""

    builds: ClassVar[str] = _BUILDS.format("build_dice_cross_entropy")
    suits: ClassVar[tuple[Activation, ...]] = _SUITS
    needs_all_classes: ClassVar[bool] = True
    when: ClassVar[str] = "The usual choice for dense labels: quick at the start, fair to rare classes."
    cost: ClassVar[str] = "2.1 to 2.7"
    kind: Literal["dice_ce"] = "dice_ce"
    dice_weight: float = setting(1.0, "Dice", "Weight of Dice.", ge=0)
    ce_weight: float = setting(1.0, "Cross entropy", "Weight of cross entropy.", ge=0)
    per_patch: bool = _per_patch()

    @model_validator(mode="after")
    def _check(self) -> DiceCrossEntropyLoss:
        _check_learns(self.kind, dice_weight=self.dice_weight, ce_weight=self.ce_weight)
        return self


class DiceFocalLoss(LossSettings):
    """Soft Dice and focal loss, weighted."""

    builds: ClassVar[str] = _BUILDS.format("build_dice_focal")
    suits: ClassVar[tuple[Activation, ...]] = _SUITS
    when: ClassVar[str] = "As dice_ce, for objects that are small and hard to see."
    cost: ClassVar[str] = "3.1"
    kind: Literal["dice_focal"] = "dice_focal"
    dice_weight: float = setting(1.0, "Dice", "Weight of Dice.", ge=0)
    focal_weight: float = setting(1.0, "Focal", "Weight of the focal loss.", ge=0)
    gamma: float = setting(2.0, "Focus", "How much less well predicted voxels count.", ge=1, le=10)
    per_patch: bool = _per_patch()

    @model_validator(mode="after")
    def _check(self) -> DiceFocalLoss:
        _check_learns(self.kind, dice_weight=self.dice_weight, focal_weight=self.focal_weight)
        return self


class CenterlineDiceLoss(LossSettings):
    """Dice of soft centre lines (soft clDice, Shit et al. 2021), which punishes gaps in thin, long objects.

    It takes as long as 30 cross entropies with three iterations, and 8 more for each further one.
    """

    builds: ClassVar[str] = _BUILDS.format("build_centerline_dice")
    suits: ClassVar[tuple[Activation, ...]] = _SUITS
    weighs_voxels: ClassVar[bool] = False
    is_spatial: ClassVar[bool] = True
    when: ClassVar[str] = "Neurites, vessels, microtubules, densely labelled; beside Dice, which it does not replace."
    cost: ClassVar[str] = "30: half as much as a small network"
    kind: Literal["soft_cldice"] = "soft_cldice"
    iterations: int = setting(
        3,
        "Iterations",
        "Erosions until only the centre line is left: half the width of the objects.",
        "voxels",
        ge=1,
        le=50,
    )
