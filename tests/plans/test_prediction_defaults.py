"""Settings of predictions that a model brings along, and what overrules them."""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_pytc.plans.model_folder import ModelInfo, copy_model, read_model_info
from napari_pytc.plans.plan import PredictPlan
from napari_pytc.plans.prediction_defaults import PredictionDefaults, plan_with_defaults
from napari_pytc.plans.test_time import ChannelCombination, TtaSettings
from napari_pytc.plans.windows import WindowSettings
from tests.session.models import make_model

BROUGHT = PredictionDefaults(
    flips=True,
    tta=TtaSettings(combine="min", exceptions=(ChannelCombination(channels="0:3", combine="max"),)),
    windows=WindowSettings(average="logits", overlap=0.25),
)


def test_what_is_not_given_is_the_models_and_noted() -> None:
    plan, (note,) = plan_with_defaults(PredictPlan(), BROUGHT)
    assert (plan.copies, plan.windows) == (BROUGHT.plan.copies, BROUGHT.windows)
    assert note == (
        "The model brings settings of its predictions along: flips=true, tta.combine=min, "
        "tta.exceptions=[{channels: 0:3, combine: max}], windows.overlap=0.25, windows.average=logits. "
        "Give others to overrule them."
    )


def test_what_is_given_counts_also_where_it_is_the_usual_value() -> None:
    given = PredictPlan.model_validate(
        {"flips": False, "tta": {"combine": "mean"}, "windows": {"average": "probabilities"}, "device": "cpu"}
    )
    plan, (note,) = plan_with_defaults(given, BROUGHT)
    assert (plan.copies.flips, plan.copies.combine, plan.device) == ("none", "mean", "cpu")
    assert plan.windows == WindowSettings(overlap=0.25)
    assert "windows.overlap=0.25" in note
    assert "average" not in note
    assert plan_with_defaults(PredictPlan(tta=TtaSettings(flips="plane")), BROUGHT)[0].copies.flips == "plane"


@pytest.mark.parametrize("defaults", [None, PredictionDefaults()])
def test_a_model_that_brings_nothing_along_changes_nothing(defaults: PredictionDefaults | None) -> None:
    plan = PredictPlan(flips=True)
    assert plan_with_defaults(plan, defaults) == (plan, ())


def test_a_plan_that_was_written_down_is_complete() -> None:
    plan = PredictPlan.model_validate(PredictPlan().model_dump(mode="json"))
    assert plan_with_defaults(plan, BROUGHT) == (plan, ())


def test_they_are_kept_with_the_model_and_models_without_are_as_before(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "m")
    assert "prediction" not in (folder / "provenance.json").read_text()
    assert read_model_info(folder).prediction is None
    info = read_model_info(folder).model_copy(update={"prediction": BROUGHT})
    assert ModelInfo.model_validate(info.model_dump(mode="json")).prediction == BROUGHT
    text = info.model_dump_json(exclude={"plan", "scores"})
    (folder / "provenance.json").write_text(text, encoding="utf-8")
    assert read_model_info(copy_model(folder, tmp_path / "n")).prediction == BROUGHT
