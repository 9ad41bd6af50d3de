"""Settings of the losses that are a mean over voxels of probabilities: cross entropies and the focal loss."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import model_validator

from napari_pytc.errors import InvalidInput
from napari_pytc.plans.losses.base import Activation, LossSettings
from napari_pytc.settings import setting

_BUILDS = "napari_pytc.learning.training.losses.entropy:{}"


class CrossEntropyLoss(LossSettings):
    """Cross entropy of classes that exclude one another."""

    builds: ClassVar[str] = _BUILDS.format("build_cross_entropy")
    suits: ClassVar[tuple[Activation, ...]] = ("softmax",)
    needs_all_classes: ClassVar[bool] = True
    when: ClassVar[str] = "Classes; the surest start, with Dice beside it where a class is rare."
    cost: ClassVar[str] = "1"
    kind: Literal["ce"] = "ce"
    class_weights: tuple[float, ...] | None = setting(
        None, "Class weights", "Weight of each class; by default all the same, since patches are drawn evenly."
    )
    label_smoothing: float = setting(
        0.0, "Label smoothing", "Share of each label that is spread over all classes.", ge=0, lt=1
    )

    @model_validator(mode="after")
    def _check(self) -> CrossEntropyLoss:
        weights = self.class_weights
        if weights is not None and (min(weights, default=-1) < 0 or not any(weights)):
            raise InvalidInput(
                f"class_weights has a number of at least 0 for each class, one of them above 0, got {list(weights)}.",
                "For example class_weights=[1,1,4].",
            )
        return self


class BinaryCrossEntropyLoss(LossSettings):
    """Binary cross entropy of every channel by itself, the mean over all voxels of all channels."""

    builds: ClassVar[str] = _BUILDS.format("build_binary_cross_entropy")
    suits: ClassVar[tuple[Activation, ...]] = ("sigmoid",)
    when: ClassVar[str] = "Affinities, boundaries and foreground."
    cost: ClassVar[str] = "0.9"
    kind: Literal["bce"] = "bce"
    pos_weight: float = setting(1.0, "Weight of ones", "How much a one counts beside a zero.", gt=0)


class PerChannelBinaryCrossEntropyLoss(LossSettings):
    """Binary cross entropy with a weight of ones for every channel, the mean over channels."""

    builds: ClassVar[str] = _BUILDS.format("build_per_channel_binary_cross_entropy")
    suits: ClassVar[tuple[Activation, ...]] = ("sigmoid",)
    when: ClassVar[str] = (
        "Channels whose ones are rare in different degrees, as near and far affinities beside a boundary."
    )
    cost: ClassVar[str] = "1"
    kind: Literal["per_channel_bce"] = "per_channel_bce"
    pos_weight: Literal["auto"] | tuple[float, ...] = setting(
        "auto",
        "Weights of ones",
        "How much a one of each channel counts beside a zero; auto: zeros over ones in the batch.",
    )
    largest_pos_weight: float = setting(
        10.0, "Largest weight", "Bound of automatic weights, and of one over them.", ge=1
    )

    @model_validator(mode="after")
    def _check(self) -> PerChannelBinaryCrossEntropyLoss:
        if self.pos_weight != "auto" and (not self.pos_weight or min(self.pos_weight) <= 0):
            raise InvalidInput(
                f"pos_weight needs a number above 0 for each channel, got {list(self.pos_weight)}.",
                "For example pos_weight=[1,1,4], or pos_weight=auto.",
            )
        return self


class FocalLoss(LossSettings):
    """Cross entropy in which voxels that are predicted well count less (Lin et al. 2017)."""

    builds: ClassVar[str] = _BUILDS.format("build_focal")
    suits: ClassVar[tuple[Activation, ...]] = ("softmax", "sigmoid")
    when: ClassVar[str] = "Small objects in a large background that would else drown them."
    cost: ClassVar[str] = "1.7"
    kind: Literal["focal"] = "focal"
    gamma: float = setting(2.0, "Focus", "How much less well predicted voxels count.", ge=1, le=10)
    alpha: float | None = setting(
        None,
        "Weight of ones",
        "Share of ones beside zeros, or of all classes beside the first; by default none.",
        gt=0,
        lt=1,
    )
