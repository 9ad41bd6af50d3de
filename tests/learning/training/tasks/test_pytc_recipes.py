"""The recipes after the tutorials of PyTorch Connectomics, trained for two steps on the bundled sample."""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_pytc.learning.training.train import train
from napari_pytc.plans.recipes import load_recipe
from tests.learning.training.tasks.test_target_examples import SHORT, sample
from tests.support.contexts import RecordingContext
from tests.support.learning import folders

SMALL = [
    *SHORT,
    "network.kind=mednext_custom",
    "network.channels=4",
    "network.blocks=[1,1,1]",
    "network.expansion=[2]",
    "gradients.accumulate=1",
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("recipe", "titles", "is_supervised"),
    [("pytc-affinity", 12, True), ("pytc-mito", 3, False)],
)
def test_a_recipe_after_a_tutorial_is_trained(tmp_path: Path, recipe: str, titles: int, is_supervised: bool) -> None:
    plan = load_recipe(recipe, [*SMALL, f"network.deep_supervision={str(is_supervised).lower()}"])
    context = RecordingContext()

    done = train(plan, sample(), folders(tmp_path), context)

    assert done.info.steps == 2
    assert len(done.info.classes) == titles
    assert done.info.scores["mean"] is not None


@pytest.mark.parametrize("recipe", ["pytc-affinity", "pytc-mito"])
def test_a_recipe_after_a_tutorial_predicts_what_its_decoder_takes(recipe: str) -> None:
    plan = load_recipe(recipe)
    kept = [channel.role for channel in plan.target.channels if channel.kept]  # type: ignore[attr-defined]
    assert kept == (["affinity"] * 3 if recipe == "pytc-affinity" else ["foreground", "boundary", "instance_distance"])
    assert plan.network.model_dump()["kind"] == "mednext"
