"""Settings of live learning."""

from __future__ import annotations

import pytest

from napari_pytc.errors import InvalidInput
from napari_pytc.plans.live_plan import LivePlan
from napari_pytc.plans.recipes import load_recipe
from tests.support.live import (
    tiny_network,
)


def test_a_plan_that_cannot_learn_live_is_refused() -> None:
    with pytest.raises(InvalidInput, match="single voxels"):
        LivePlan(instant=tiny_network()).check()
    with pytest.raises(InvalidInput, match="instances"):
        LivePlan(network=load_recipe("neurites")).check()
    LivePlan().check()


def test_what_live_does_not_follow_is_told() -> None:
    assert LivePlan().notes == ()
    changes = ["schedule.kind=step", "averaging.swa_start=0.5", "gradients.accumulate=2", "gradients.clip=1"]
    plan = LivePlan(network=load_recipe("fast", changes))
    (note,) = plan.notes
    assert "schedule, averaging.swa_start, gradients.accumulate of the recipe 'fast' have no effect" in note
    assert plan.model_copy(update={"instant_only": True}).notes == ()
    assert LivePlan(network=load_recipe("fast", ["schedule.kind=constant"])).notes == ()


def test_intensities_are_scaled_once_for_both_models() -> None:
    changed = load_recipe("fast", ["normalisation.clip_percentiles=[1,99]"])
    plan = LivePlan(network=changed)
    assert plan.normalisation == changed.normalisation
    (note,) = plan.notes
    assert "normalisation of the recipe 'instant' has no effect" in note
    alone = plan.model_copy(update={"instant_only": True})
    assert alone.normalisation == alone.instant.normalisation
    assert alone.notes == ()
