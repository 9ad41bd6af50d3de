"""Verdicts on two models, and the sentences that tell them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from napari_pytc.plans.model_comparison import MARGIN, ModelComparison, comparisons, interval_of, judge, refusal

shares = st.floats(-1, 1)


def compared(verdict: str = "better", difference: float = 0.031, **more: Any) -> ModelComparison:
    values = {
        "baseline": "m1",
        "verdict": verdict,
        "mean": 0.9,
        "baseline_mean": 0.869,
        "difference": difference,
        "low": difference - 0.01,
        "high": difference + 0.01,
        "n_blocks": 12,
    }
    return ModelComparison.model_validate(values | more)


@pytest.mark.parametrize(
    ("difference", "low", "high", "verdict"),
    [
        (0.02, 0.01, 0.03, "better"),
        (0.02, -0.001, 0.04, "no different"),
        (0.02, 0.0, 0.04, "no different"),
        (0.001, 0.0005, 0.0015, "no different"),
        (MARGIN, 0.001, 0.003, "better"),
        (-0.02, -0.03, -0.01, "worse"),
        (-0.02, -0.04, 0.001, "no different"),
        (-0.02, -0.04, 0.0, "no different"),
        (-0.001, -0.0015, -0.0005, "no different"),
        (0.0, 0.0, 0.0, "no different"),
    ],
)
def test_a_verdict_needs_an_interval_on_one_side_and_a_difference_that_matters(
    difference: float, low: float, high: float, verdict: str
) -> None:
    assert judge(difference, low, high) == verdict


@given(shares, shares, shares)
def test_turning_the_models_around_turns_the_verdict(difference: float, a: float, b: float) -> None:
    low, high = sorted((a, b))
    turned = {"better": "worse", "worse": "better", "no different": "no different"}
    assert judge(-difference, -high, -low) == turned[judge(difference, low, high)]


@pytest.mark.parametrize(
    ("comparison", "sentence", "short"),
    [
        (
            compared(),
            "Better than m1 on the same held-out voxels: 0.900 against 0.869 (+0.031, 95 % interval +0.021 to +0.041).",
            "\u25b2 +0.031",
        ),
        (
            compared("worse", -0.05, mean=0.8, baseline_mean=0.85),
            "Worse than m1 on the same held-out voxels: 0.800 against 0.850 (-0.050, 95 % interval -0.060 to -0.040).",
            "\u25bc -0.050",
        ),
        (
            compared("no different", 0.0, mean=0.8, baseline_mean=0.8),
            "No different from m1 on the same held-out voxels: 0.800 against 0.800 (+0.000, 95 % interval -0.010 to "
            "+0.010).",
            "\u2248 +0.000",
        ),
        (
            ModelComparison(baseline="m1", verdict="unknown", reason="only 3 blocks are annotated"),
            "Not known whether it is better than m1: only 3 blocks are annotated.",
            "?",
        ),
        (
            ModelComparison(baseline="m1", verdict="unknown"),
            "Not known whether it is better than m1: nothing was compared.",
            "?",
        ),
        (
            ModelComparison(baseline="m1", verdict="better", difference=0.1),
            "Not known whether it is better than m1: nothing was compared.",
            "\u25b2 +0.100",
        ),
    ],
)
def test_what_people_read(comparison: ModelComparison, sentence: str, short: str) -> None:
    assert comparison.sentence == sentence
    assert comparison.short == short
    assert comparison.told("the model in use") == sentence.replace("m1", "the model in use")


def test_comparisons_come_back_from_scores_the_parent_first() -> None:
    parent, in_use = compared(baseline="parent"), compared("worse", -0.05, baseline="other")
    scores = {"mean": 0.9, "in_use": in_use.model_dump(mode="json"), "comparison": parent.model_dump(mode="json")}
    assert comparisons(scores) == [parent, in_use]


@pytest.mark.parametrize("scores", [{}, {"comparison": {}}, {"comparison": None}, {"in_use": {"baseline": "a"}}])
def test_scores_of_an_older_version_have_none(scores: dict[str, Any]) -> None:
    assert comparisons(scores) == []
    assert refusal(scores) is None


@pytest.mark.parametrize(
    ("parent", "in_use", "refused"),
    [
        ("better", "worse", "in_use"),
        ("worse", "better", "comparison"),
        ("worse", "worse", "comparison"),
        ("no different", "better", None),
        ("unknown", "unknown", None),
    ],
)
def test_one_comparison_that_is_worse_speaks_against_a_model(parent: str, in_use: str, refused: str | None) -> None:
    scores = {"comparison": compared(parent).model_dump(), "in_use": compared(in_use, baseline="m2").model_dump()}
    found = refusal(scores)
    assert found == (None if refused is None else ModelComparison.model_validate(scores[refused]))


@pytest.mark.parametrize(
    ("scores", "interval"),
    [
        ({"interval": [0.5, 0.75]}, (0.5, 0.75)),
        ({"interval": (1, 2)}, (1.0, 2.0)),
        ({}, None),
        ({"interval": None}, None),
        ({"interval": [0.5]}, None),
        ({"interval": 0.5}, None),
    ],
)
def test_the_interval_of_a_mean(scores: dict[str, Any], interval: tuple[float, float] | None) -> None:
    assert interval_of(scores) == interval


def test_an_unknown_verdict_is_refused() -> None:
    with pytest.raises(ValidationError, match="verdict"):
        compared("splendid")
