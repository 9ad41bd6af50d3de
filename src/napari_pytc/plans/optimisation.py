"""Settings of optimisers and of the learning rate over a training; without torch.

A schedule gives the rate of a step as a share of the highest rate, from the number of the step and from the share of
the training that is over: by steps or by minutes, whichever is further. So a schedule ends with the training, also
where only its minutes are known.
"""

from __future__ import annotations

import math
from typing import Annotated, ClassVar, Literal

from pydantic import SerializeAsAny, model_validator
from pydantic.functional_validators import BeforeValidator

from napari_pytc.errors import InvalidInput
from napari_pytc.settings import TaggedSettings, setting


class OptimiserSettings(TaggedSettings):
    """Base of the optimisers' settings; rate and weight decay are settings of the plan."""

    noun: ClassVar[str] = "optimiser"
    backbone_factor: float = setting(
        1.0,
        "Rate of the backbone",
        "Factor of the learning rate in the network's encoder, where it has one: below 1 to change it little.",
        gt=0,
        le=10,
    )
    decays_norms: bool = setting(
        True, "Decay norms and biases", "Whether weight decay is of all weights; else scales and biases have none."
    )


class AdamWOptimiser(OptimiserSettings):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019)."""

    kind: Literal["adamw"] = "adamw"
    betas: tuple[float, float] = setting((0.9, 0.999), "Betas", "Decay of the mean gradient and of its square.")
    amsgrad: bool = setting(False, "AMSGrad", "Keep the largest square so far.")

    @model_validator(mode="after")
    def _check(self) -> AdamWOptimiser:
        _check_betas(self.betas)
        return self


class AdamOptimiser(OptimiserSettings):
    """Adam, whose weight decay is a part of the gradient (Kingma and Ba 2015)."""

    kind: Literal["adam"] = "adam"
    betas: tuple[float, float] = setting((0.9, 0.999), "Betas", "Decay of the mean gradient and of its square.")
    amsgrad: bool = setting(False, "AMSGrad", "Keep the largest square so far.")

    @model_validator(mode="after")
    def _check(self) -> AdamOptimiser:
        _check_betas(self.betas)
        return self


class SGDOptimiser(OptimiserSettings):
    """Stochastic gradient descent; it wants a learning rate ten to a hundred times that of Adam."""

    kind: Literal["sgd"] = "sgd"
    momentum: float = setting(0.9, "Momentum", "How much of the former steps goes on.", ge=0, lt=1)
    nesterov: bool = setting(True, "Nesterov", "Look ahead along the momentum.")

    @model_validator(mode="after")
    def _check(self) -> SGDOptimiser:
        if self.nesterov and not self.momentum:
            raise InvalidInput(
                "Nesterov's step looks ahead along the momentum, got optimiser.nesterov=true and optimiser.momentum=0.",
                "Set optimiser.nesterov=false, or a momentum such as 0.9.",
            )
        return self


def _check_betas(betas: tuple[float, float]) -> None:
    if not all(0 <= beta < 1 for beta in betas):
        raise InvalidInput(f"optimiser.betas are from 0 to below 1, got {list(betas)}.", "For example [0.9,0.999].")


AnyOptimiser = Annotated[SerializeAsAny[OptimiserSettings], BeforeValidator(OptimiserSettings.parse)]

_LENGTH = "From 1 on it is counted in optimiser steps; below 1 it is a share of the training."


class ScheduleSettings(TaggedSettings):
    """Base of the schedules' settings: a warm-up, then what the kind is, never below the floor."""

    noun: ClassVar[str] = "schedule"
    warm_up: float = setting(20.0, "Warm-up", f"How long the rate rises to the highest. {_LENGTH}", ge=0)
    floor: float = setting(0.02, "Floor", "Lowest rate, as a share of the highest.", ge=0, le=1)

    def factor(self, step: int, share: float) -> float:
        """The rate of a step as a share of the highest, a schedule by scores (plateau) apart.

        Parameters
        ----------
        step : int
            From 0.
        share : float
            Share of the training that is over, from 0 to 1.
        """
        return self._warmed(step, share) * self._decayed(step, min(1.0, share))

    def _warmed(self, step: int, share: float) -> float:
        if self.warm_up < 1:
            return min(1.0, max(share, 1e-3) / self.warm_up) if self.warm_up else 1.0
        return min(1.0, (step + 1) / self.warm_up)

    def _decayed(self, step: int, share: float) -> float:
        raise NotImplementedError

    def _above_floor(self, shape: float) -> float:
        """A decay from 1 to 0 as one from 1 to the floor."""
        return self.floor + (1 - self.floor) * shape

    def lengths(self) -> dict[str, float]:
        """Settings that are lengths, by name."""
        return {"warm_up": self.warm_up}


class ConstantSchedule(ScheduleSettings):
    """The highest rate from the warm-up on."""

    kind: Literal["constant"] = "constant"

    def _decayed(self, step: int, share: float) -> float:
        return 1.0


class CosineSchedule(ScheduleSettings):
    """A cosine from the highest rate to the floor, also several times over (Loshchilov and Hutter 2017)."""

    kind: Literal["cosine"] = "cosine"
    restarts: int = setting(0, "Restarts", "How often it begins again at the highest rate.", ge=0, le=100)
    stretch: float = setting(1.0, "Stretch", "How many times as long each period is as the one before.", ge=1, le=10)

    def _decayed(self, step: int, share: float) -> float:
        return self._above_floor(0.5 * (1 + math.cos(math.pi * self._within_period(share))))

    def _within_period(self, share: float) -> float:
        """Share of the present period that is over."""
        if not self.restarts or share >= 1:
            return share
        lengths = [self.stretch**period for period in range(self.restarts + 1)]
        left = share * sum(lengths)
        for length in lengths:
            if left < length:
                return left / length
            left -= length
        return 1.0


class StepSchedule(ScheduleSettings):
    """A rate that falls by a factor again and again."""

    kind: Literal["step"] = "step"
    every: float = setting(0.25, "Every", f"How long until the rate falls. {_LENGTH}", gt=0)
    factor_each: float = setting(0.1, "Factor", "Factor of each fall.", gt=0, lt=1)

    def _decayed(self, step: int, share: float) -> float:
        n_falls = math.floor(_elapsed(self.every, step, share) + 1e-9)
        return max(self.floor, self.factor_each**n_falls)

    def lengths(self) -> dict[str, float]:
        """See `ScheduleSettings`."""
        return {**super().lengths(), "every": self.every}


class MultiStepSchedule(ScheduleSettings):
    """A rate that falls by a factor at each of some milestones."""

    kind: Literal["multi_step"] = "multi_step"
    milestones: tuple[float, ...] = setting((0.5, 0.75), "Milestones", f"When the rate falls. {_LENGTH}", min_length=1)
    factor_each: float = setting(0.1, "Factor", "Factor of each fall.", gt=0, lt=1)

    @model_validator(mode="after")
    def _check(self) -> MultiStepSchedule:
        if min(self.milestones) <= 0 or list(self.milestones) != sorted(set(self.milestones)):
            raise InvalidInput(
                f"schedule.milestones rise from above 0, got {list(self.milestones)}.",
                "For example [0.5,0.75] of the training, or [1000,1500] steps.",
            )
        return self

    def _decayed(self, step: int, share: float) -> float:
        n_falls = sum(_elapsed(milestone, step, share) >= 1 for milestone in self.milestones)
        return max(self.floor, self.factor_each**n_falls)

    def lengths(self) -> dict[str, float]:
        """See `ScheduleSettings`."""
        return {**super().lengths(), "milestones": max(self.milestones)}


class PlateauSchedule(ScheduleSettings):
    """A rate that falls by a factor where the watched score does not get better any more."""

    kind: Literal["plateau"] = "plateau"
    factor_each: float = setting(0.5, "Factor", "Factor of each fall.", gt=0, lt=1)
    patience: int = setting(3, "Patience", "Scores in a row without a better one before the rate falls.", ge=0)

    def _decayed(self, step: int, share: float) -> float:
        return 1.0


class ExponentialSchedule(ScheduleSettings):
    """A rate that halves over every equal time."""

    kind: Literal["exponential"] = "exponential"
    half_life: float = setting(0.2, "Half-life", f"How long until the rate is half. {_LENGTH}", gt=0)

    def _decayed(self, step: int, share: float) -> float:
        return max(self.floor, 0.5 ** _elapsed(self.half_life, step, share))

    def lengths(self) -> dict[str, float]:
        """See `ScheduleSettings`."""
        return {**super().lengths(), "half_life": self.half_life}


class PolynomialSchedule(ScheduleSettings):
    """A power of the share of the training that is left."""

    kind: Literal["polynomial"] = "polynomial"
    power: float = setting(0.9, "Power", "1: a straight line.", gt=0, le=10)

    def _decayed(self, step: int, share: float) -> float:
        return self._above_floor((1 - share) ** self.power)


AnySchedule = Annotated[SerializeAsAny[ScheduleSettings], BeforeValidator(ScheduleSettings.parse)]


def _elapsed(length: float, step: int, share: float) -> float:
    """How many times a length has passed."""
    return share / length if length < 1 else step / length


def check_schedule(schedule: ScheduleSettings, steps: int, is_open_ended: bool) -> None:
    """Refuse lengths that the training never reaches.

    Parameters
    ----------
    steps : int
        Of the training, at most.
    is_open_ended : bool
        Whether minutes may end it sooner.

    Raises
    ------
    InvalidInput
        If a length is that of the training or longer.
    """
    for name, length in schedule.lengths().items():
        if length >= 1 and length > steps and name != "half_life" and not (name == "warm_up" and length <= 20):
            raise InvalidInput(
                f"schedule.{name}={length:g} steps lie beyond the end of the training, which has steps={steps}"
                f"{' at most' if is_open_ended else ''}.",
                f"Choose fewer steps, or a share of the training, as schedule.{name}=0.5.",
            )


def schedule_note(schedule: ScheduleSettings, steps: int, minutes: float | None) -> str | None:
    """A sentence on lengths in steps that a training which minutes end may not reach; None where there are none."""
    long = [f"{name}={length:g}" for name, length in schedule.lengths().items() if length > 20]
    if minutes is None or not long:
        return None
    return (
        f"The training ends after {steps} steps or {minutes:g} minutes, whichever comes first: "
        f"schedule.{' and schedule.'.join(long)} in steps may not be reached; a length below 1 is a share of either."
    )
