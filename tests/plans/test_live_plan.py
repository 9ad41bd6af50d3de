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
