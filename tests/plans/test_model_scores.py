"""Scores of models for people: figures, the data they are of, and whether two can be compared."""

from __future__ import annotations

from typing import Any

import pytest

from napari_pytc.plans.model_scores import comparability, comparability_note, figures_of, measured_on, values_of

OBJECTS: dict[str, Any] = {
    "average_precision": 0.4,
    "average_precision_50": 0.75,
    "voi_split": 0.5,
    "voi_merge": 0.25,
    "predicted_objects": 1200,
    "truth_objects": 17,
    "of_class": {
        "mito": {"average_precision": 0.3, "average_precision_50": 0.5, "predicted_objects": 3, "truth_objects": 2},
        "vesicle": {
            "average_precision": None, "average_precision_50": None, "predicted_objects": 0, "truth_objects": 0
        },
    },
    "nerl": 0.625,
    "tolerated_nodes": 5,
    "n_voxels": 4096,
    "decoder": "watershed",
    "truth": "b" * 16,
}  # fmt: skip
SCORES: dict[str, Any] = {
    "dice": {"mito": 0.9, "other": None},
    "iou": {"mito": 0.8, "other": None},
    "mean": 0.9,
    "mean_iou": 0.8,
    "interval": [0.85, 0.95],
    "n_voxels": 12345,
    "boxes": ["0:4,0:8,0:8"],
    "truth": "a" * 16,
    "objects": OBJECTS,
}


def test_each_figure_says_what_it_is_and_of_how_much() -> None:
    figures = {figure.key: figure for figure in figures_of(SCORES)}
    assert {key: (one.title, one.text) for key, one in figures.items()} == {
        "dice": ("Dice", "0.900"),
        "mean_iou": ("mean IoU", "0.800"),
        "average_precision_50": ("AP 0.5", "0.750"),
        "average_precision": ("AP 0.5–0.95", "0.400"),
        "voi": ("VOI", "0.750"),
        "nerl": ("NERL", "0.625"),
    }
    assert "Mean Dice of mito on 12,345 annotated voxels" in figures["dice"].tip
    assert "95 % interval 0.850 to 0.950" in figures["dice"].tip
    assert "12,345" in figures["mean_iou"].tip
    tip = figures["average_precision_50"].tip
    assert "1,200 predicted against 17 true objects, as the decoder watershed makes them" in tip
    assert "mito: 0.500 (3 predicted, 2 true)" in tip
    assert "vesicle: — (0 predicted, 0 true)" in tip
    assert "0.500 from splits and 0.250 from mergers" in figures["voi"].tip
    assert "4,096 voxels" in figures["voi"].tip
    assert "more than 5 nodes" in figures["nerl"].tip
    assert values_of(SCORES) == {
        "dice": 0.9, "mean_iou": 0.8, "average_precision_50": 0.75, "average_precision": 0.4, "voi": 0.75, "nerl": 0.625
    }  # fmt: skip


@pytest.mark.parametrize("scores", [{}, {"mean": None, "dice": {"a": None}, "mean_iou": None}])
def test_without_a_score_the_reason_is_said(scores: dict[str, Any]) -> None:
    assert figures_of(scores) == []
    assert values_of(scores) == {}
    assert measured_on(scores) == "No score: nothing annotated was held out when it was made."


def test_scores_of_validation_strokes_are_no_held_out_ones() -> None:
    assert measured_on({"live": {"mean": 0.9}}) == "No held-out score: Live scored it on validation strokes alone."


def test_the_data_are_named() -> None:
    assert measured_on(SCORES, "measured 1 Dec") == (
        "Of 12,345 annotated voxels and 17 objects held out in 0:4,0:8,0:8, measured 1 Dec."
    )
    several = {**SCORES, "objects": {}, "boxes": ["a: 0:1,0:1,0:1", "b: 0:1,0:1,0:1"], "volumes": {"a": {}, "b": {}}}
    assert measured_on(several) == "Of 12,345 annotated voxels in 2 held-out boxes of a, b."


def changed(**changes: Any) -> dict[str, Any]:
    return {**SCORES, **changes}


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (changed(mean=0.1), "same"),
        (changed(objects={}), "same"),
        (changed(truth="c" * 16), "other"),
        (changed(dice={"another": 0.4}), "other"),
        (changed(objects={**OBJECTS, "truth": "c" * 16}), "other"),
        (changed(truth=None), "unknown"),
        ({"mean": 0.3, "dice": {"mito": 0.3}}, "unknown"),
    ],
)
def test_scores_are_compared_only_on_the_same_truth(other: dict[str, Any], expected: str) -> None:
    assert comparability(SCORES, other) == comparability(other, SCORES) == expected
    note = comparability_note(SCORES, other, "“fast”")
    assert bool(note) == (expected != "same")
    assert not note or "“fast”" in note


def test_a_model_without_a_score_is_compared_with_none() -> None:
    assert comparability_note(SCORES, {}, "x") == comparability_note({}, SCORES, "x") == ""
