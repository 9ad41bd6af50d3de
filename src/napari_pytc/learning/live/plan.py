"""Settings of live learning; without torch."""

from __future__ import annotations

from pydantic import Field

from napari_pytc.errors import InvalidInput
from napari_pytc.learning.config import TrainPlan
from napari_pytc.learning.recipes import load_recipe
from napari_pytc.settings import Settings, setting


def _fast() -> TrainPlan:
    return load_recipe("fast")


def _instant() -> TrainPlan:
    return load_recipe("instant")


class LivePlan(Settings):
    """How to learn while somebody paints."""

    network: TrainPlan = Field(
        default_factory=_fast,
        title="Network",
        description="Recipe of the network that trains behind the instant model.",
    )
    instant: TrainPlan = Field(
        default_factory=_instant, title="Instant model", description="Recipe of the model that answers at once."
    )
    instant_only: bool = setting(False, "Instant model only", "Train no network behind the instant model.")
    feature_cache_mb: int = setting(
        1024, "Feature cache", "Memory for the features of places that were looked at.", "MB", ge=16
    )
    hold_weight: float = setting(
        0.0,
        "Stay near what was shown",
        "How much the instant model's former answers where you looked count beside the strokes, from four strokes of "
        "each class on; 0: not at all. Steadier, where strokes correct the largest errors of whole sections; "
        "slower to take up a rare class.",
        ge=0,
        le=10,
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
        "Without held-out boxes the network is shown once its score on a few kept strokes is the better one; how far "
        "it may then fall behind before the instant model is shown again.",
        ge=0,
        le=1,
    )
    score_every: int = setting(
        40, "Score every", "Steps of the network between its scores; each is also what may be shown.", "steps", ge=1
    )
    seed: int = setting(0, "Seed", "Decides random weights, batches and suggestions.", ge=0)

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
            if recipe.target.kind != "classes":
                raise InvalidInput(
                    f"Live learning is of classes; the recipe {recipe.recipe!r} learns {recipe.target.kind}.",
                    "Choose a recipe of classes, as fast.",
                )
