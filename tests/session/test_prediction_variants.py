"""Ids of predictions tell settings apart, and a prediction goes on with its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_pytc.plans.plan import PredictPlan
from napari_pytc.plans.windows import WindowSettings
from napari_pytc.session.predictions import _variant, plan_of
from napari_pytc.session.records import PredictionRecord

PLANS = [
    PredictPlan(),
    PredictPlan(flips=True, normalisation="training"),
    PredictPlan(resample=False, windows=WindowSettings(overlap=0.25)),
    PredictPlan(windows=WindowSettings(shape=(16, 64, 64), overlap=0, blending="constant")),
    PredictPlan(windows=WindowSettings(blending="bump")),
]


@pytest.mark.parametrize("plan", PLANS)
def test_the_plan_of_a_prediction_is_read_from_its_id(plan: PredictPlan) -> None:
    name = "-".join(["20260101-1200-fast", *_variant(plan), "0_8_0_16_0_16"])
    record = PredictionRecord(
        id=name, model="m", folder=Path(name), box=None, flips=plan.flips, created="", state="cancelled"
    )
    assert plan_of(record) == plan


def test_each_plan_has_ids_of_its_own() -> None:
    assert len({tuple(_variant(plan)) for plan in PLANS}) == len(PLANS)
    assert _variant(PredictPlan(windows=WindowSettings(batch_size=1))) == []  # the result is the same
