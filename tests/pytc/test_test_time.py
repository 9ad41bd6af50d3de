"""Test-time augmentation of PyTorch Connectomics as settings of predictions."""

from __future__ import annotations

from typing import Any

import pytest

from napari_pytc.errors import InvalidInput
from napari_pytc.plans.plan import PredictPlan
from napari_pytc.pytc.keys import ForeignKeys, KeyOrigins
from napari_pytc.pytc.test_time import augmentation_of_predictions

WHERE = "inference.test_time_augmentation"


def translated(settings: Any, average: Any = "probabilities") -> tuple[PredictPlan, dict[str, tuple[str, str]]]:
    """The plan, and outcome and counterpart of each key below the section."""
    keys = ForeignKeys({"inference": {"test_time_augmentation": settings}})
    plan = PredictPlan.model_validate(augmentation_of_predictions(keys, average))
    rows = keys.rows({}, "")
    return plan, {row.key.removeprefix(f"{WHERE}."): (row.outcome, row.became) for row in rows}


def of_version_1(**settings: Any) -> tuple[PredictPlan, dict[str, str]]:
    names = {f"legacy.INFERENCE.{name}": f"INFERENCE.{name}" for name in settings}
    keys = ForeignKeys({"legacy": {"INFERENCE": settings}}, KeyOrigins(names))
    plan = PredictPlan.model_validate(augmentation_of_predictions(keys, "probabilities"))
    return plan, {row.key: row.outcome for row in keys.rows({}, "")}


@pytest.mark.parametrize("settings", [False, True, {"enabled": False, "flip_axes": "all"}, {"enabled": True}])
def test_on_and_off(settings: Any) -> None:
    is_on = settings is True or settings == {"enabled": True}
    plan, rows = translated(settings)
    assert plan == PredictPlan(flips=is_on)
    assert all(outcome == "taken" for key, (outcome, _) in rows.items() if key in ("enabled", WHERE))
    assert rows.get("flip_axes", ("left out", ""))[0] == ("taken" if is_on else "left out")


@pytest.mark.parametrize(
    ("written", "copies"),
    [
        ("all", 8),
        ([], 8),
        ("none", 1),
        (None, 1),
        ([1, 2], 3),
        ([[1], [2], [1, 2]], 4),
        ([[0, 1, 2]], 2),
        ([[]], 1),
    ],
)
def test_mirrored_copies(written: Any, copies: int) -> None:
    plan, rows = translated({"enabled": True, "flip_axes": written})
    assert plan.copies.n_copies == copies
    assert rows["flip_axes"][0] == "taken"
    if written == [1, 2]:
        assert plan.copies.flips == ("y", "x")


@pytest.mark.parametrize(
    ("settings", "turns", "outcomes"),
    [
        ({"rotation90_axes": [[1, 2]]}, True, {"rotation90_axes": "taken"}),
        ({"rotation90_axes": "all"}, True, {"rotation90_axes": "changed"}),
        ({"rotation90_axes": [[0, 1]]}, False, {"rotation90_axes": "changed"}),
        ({"rotation90_axes": None, "rotate90_k": [1]}, False, {"rotation90_axes": "taken", "rotate90_k": "left out"}),
        ({"rotation90_axes": [[2, 1]], "rotate90_k": [0, 1, 2, 3]}, True, {"rotate90_k": "taken"}),
        ({"rotation90_axes": [[2, 1]], "rotate90_k": [0, 1]}, True, {"rotate90_k": "changed"}),
    ],
)
def test_quarter_turns(settings: dict[str, Any], turns: bool, outcomes: dict[str, str]) -> None:
    plan, rows = translated({"enabled": True, "flip_axes": "none", **settings})
    assert plan.copies.turns == turns
    assert {key: rows[key][0] for key in outcomes} == outcomes


def test_combinations() -> None:
    assert translated({"enabled": True, "ensemble_mode": "min"})[0].copies.combine == "min"
    assert translated({"enabled": True, "ensemble_mode": ["max"]})[0].copies.combine == "max"
    plan, rows = translated({"enabled": True, "ensemble_mode": [["0:9", "min"], ["9:", "mean"]]})
    found = [(one.channels, one.combine) for one in plan.copies.exceptions]
    assert found == [("0:9", "min"), ("9:", "mean")]
    assert rows["ensemble_mode"] == ("taken", "tta.exceptions of 0:9: min, 9:: mean")
    plan, rows = translated({"enabled": True, "ensemble_mode": [["-1:", "min"]]})
    assert (plan.copies.exceptions, rows["ensemble_mode"][0]) == ((), "changed")
    # Without copies there is nothing to combine.
    assert not translated({"enabled": True, "flip_axes": "none", "ensemble_mode": "min"})[0].copies.is_used


def test_copies_are_combined_after_their_activation_where_windows_are_not() -> None:
    assert translated({"enabled": True}, "logits")[0].copies.average == "probabilities"
    assert translated({"enabled": True})[0].copies.average == "auto"
    assert translated(False, "logits")[0] == PredictPlan()


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"flip_axes": [3]}, "flip_axes has axes from 0 for z to 2"),
        ({"flip_axes": "some"}, "flip_axes has axes from 0 for z to 2"),
        ({"rotation90_axes": [[0, 1, 2]]}, "rotation90_axes is all, none or pairs"),
        ({"ensemble_mode": "median"}, "ensemble_mode is mean, min or max, got 'median'"),
        ({"ensemble_mode": [["0:3", "median"]]}, "ensemble_mode is mean, min or max"),
        ({"ensemble_mode": [1, 2]}, "ensemble_mode is mean, min, max or pairs"),
    ],
)
def test_what_cannot_be_names_the_key(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidInput, match=text):
        translated({"enabled": True, **settings})


@pytest.mark.parametrize(("number", "n_copies"), [(4, 4), (8, 8), (16, 16), (None, 1), (0, 1), ("None", 1)])
def test_the_number_of_copies_of_version_1(number: Any, n_copies: int) -> None:
    plan, rows = of_version_1(AUG_NUM=number, AUG_MODE="min")
    assert plan.copies.n_copies == n_copies
    assert plan.copies.turns == (n_copies > 4)
    if n_copies > 1:
        assert plan.copies.combine == "min"
        assert rows == {"INFERENCE.AUG_NUM": "taken", "INFERENCE.AUG_MODE": "changed"}


def test_another_number_of_copies_names_the_key() -> None:
    with pytest.raises(InvalidInput, match=r"INFERENCE\.AUG_NUM is 4, 8 or 16, got 5"):
        of_version_1(AUG_NUM=5)
