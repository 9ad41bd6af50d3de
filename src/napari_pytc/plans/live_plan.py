"""Settings of live learning; without torch."""

from __future__ import annotations

from typing import Any, Self

from pydantic import Field, ModelWrapValidatorHandler, PrivateAttr, model_validator

from napari_pytc.errors import InvalidInput
from napari_pytc.plans.normalisation import NormalisationSettings
from napari_pytc.plans.optimisation import ConstantSchedule
from napari_pytc.plans.plan import TrainPlan
from napari_pytc.plans.recipes import load_recipe
from napari_pytc.settings import Settings, setting


def _fast() -> TrainPlan:
    return load_recipe("fast")


def _instant() -> TrainPlan:
    return load_recipe("instant")


def _settings_without_end(plan: TrainPlan) -> list[str]:
    """Names of changed settings that Live does not follow."""
    found = [] if isinstance(plan.schedule, ConstantSchedule) or "schedule" not in plan.changed_names else ["schedule"]
    found += [f"averaging.{name}" for name in plan.averaging.changed_names]
    found += [f"watching.{name}" for name in plan.watching.changed_names]
    found += [f"execution.{name}" for name in plan.execution.changed_names]
    return [*found, *(f"gradients.{name}" for name in plan.gradients.changed_names if name == "accumulate")]


class LivePlan(Settings):
    """Settings of live learning, which trains while a user paints."""

    network: TrainPlan = Field(
        default_factory=_fast,
        title="Network",
        description="Recipe of the network that trains behind the instant model.",
    )
    instant: TrainPlan = Field(
        default_factory=_instant, title="Instant model", description="Recipe of the model that predicts at once."
    )
    instant_only: bool = setting(False, "Instant model only", "Train no network behind the instant model.")
    feature_cache_mb: int = setting(
        1024, "Feature cache", "Memory for the features of places that were in view.", "MB", ge=16
    )
    margin: float = setting(
        0.01,
        "Margin on held-out boxes",
        "How much better the other model's score on held-out boxes must be before it is shown instead.",
        ge=0,
        le=1,
    )
    tolerance: float = setting(
        0.1,
        "Tolerance on strokes",
        "Without held-out boxes the network is shown once its score on a few validation strokes is the better one; how "
        "far it may then fall behind before the instant model is shown again.",
        ge=0,
        le=1,
    )
    score_every: int = setting(
        40, "Score every", "Steps of the network between its scores; each is also what may be shown.", "steps", ge=1
    )
    seed: int = setting(0, "Seed", "Decides random weights, batches and suggestions.", ge=0)

    _notes: tuple[str, ...] = PrivateAttr(())

    @property
    def normalisation(self) -> NormalisationSettings:
        """How intensities are scaled for both models."""
        return (self.instant if self.instant_only else self.network).normalisation

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes for the user: on an older plan, and on settings that have no effect; a sentence each."""
        found = list(self._notes)
        if self.instant_only:
            return tuple(found)
        if self.instant.normalisation != self.network.normalisation:
            found.append(
                "Live scales intensities once for both models, as the network's recipe says: normalisation of the "
                f"recipe {self.instant.recipe!r} has no effect."
            )
        if idle := _settings_without_end(self.network):
            found.append(
                f"Live trains without an end, at a constant rate after the warm-up, and shows what scores best: "
                f"{', '.join(idle)} of the recipe {self.network.recipe!r} {'has' if len(idle) == 1 else 'have'} no "
                "effect."
            )
        return tuple(found)

    @model_validator(mode="wrap")
    @classmethod
    def _read_older_plans(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        """Drop the setting ``hold_weight`` of version 0.1, with a note where it was in use."""
        if not isinstance(value, dict) or "hold_weight" not in value:
            return handler(value)
        weight = value["hold_weight"]
        plan = handler({name: setting for name, setting in value.items() if name != "hold_weight"})
        if weight:
            plan._notes = (f'"Stay near what was shown" was removed; its value {weight} is ignored.',)
        return plan

    def check(self) -> None:
        """Refuse recipes that cannot learn live.

        Raises
        ------
        InvalidInput
            If one does not learn classes, or the instant one does not learn from single voxels.
        """
        self.network.check()
        if self.instant.network.learns_from != "voxels":
            raise InvalidInput(
                f"The instant model must learn from single voxels; {self.instant.network.kind!r} does not.",
                "Choose a recipe with network.kind=filter_bank.",
            )
        for recipe in (self.instant, self.network):
            if recipe.normalisation.method != "zscore":
                raise InvalidInput(
                    "Live learns with the instant model, whose filters are made for normalisation.method=zscore, got "
                    f"{recipe.normalisation.method} in the recipe {recipe.recipe!r}.",
                    "Set normalisation.method=zscore.",
                )
            if recipe.target.kind != "classes":
                raise InvalidInput(
                    f"Live learning is of classes; the recipe {recipe.recipe!r} learns {recipe.target.kind}.",
                    "Choose a recipe of classes, as fast.",
                )
        if not self.instant_only and self.network.network.tiles() == "windows":
            raise InvalidInput(
                f"The network {self.network.network.kind!r} predicts in overlapping windows: a tile of the view would "
                "take dozens of them, too long for Live.",
                "Choose a recipe whose network predicts in exact tiles, as fast; train the other with Train.",
            )
