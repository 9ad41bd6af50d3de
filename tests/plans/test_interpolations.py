"""Short recipes that stand for huge texts are refused before anything is filled in."""

from __future__ import annotations

from typing import Any

import pytest

from napari_pytc.errors import InvalidInput
from napari_pytc.plans.interpolations import refuse_growth


def refusal(values: Any) -> str:
    with pytest.raises(InvalidInput) as caught:
        refuse_growth(values, "The recipe mine.yaml")
    assert caught.value.hint == "Write the values themselves."
    return caught.value.message


@pytest.mark.parametrize(
    "values",
    [
        {},
        [],
        "a",
        3,
        {"steps": 400, "network": {"kind": "unet"}},
        {"steps": 400, "also": "${steps}"},
        {"network": {"width": 8, "depth": "${.width}", "far": "${network.width}"}},
        {"offsets": [[-1, 0, 0], "${offsets.0}", "${offsets[0]}", "${offsets.-3}"]},
        {"a": "${b}", "b": {"c": "x" * 1000}},
        {1: "one", "two": "${1}"},
        {"missing": "${nothing.here}", "beyond": "${offsets.9}", "offsets": [1]},
        {"up": {"too": {"far": "${.....x}"}}},
        {"through": "${name.kind}", "name": "${network}", "network": {"kind": "unet"}},
        {"into": "${text.more}", "text": "plain"},
        {"environment": "${oc.env:HOME}"},  # refused elsewhere, by its own sentence
    ],
)
def test_recipes_as_people_write_them_pass(values: Any) -> None:
    refuse_growth(values, "The recipe mine.yaml")


@pytest.mark.parametrize("per_step", [2, 10])
def test_texts_that_double_from_line_to_line_are_refused(per_step: int) -> None:
    values: dict[str, Any] = {"t0": "x" * 10}
    for number in range(1, 40):
        values[f"t{number}"] = f"${{t{number - 1}}}" * per_step
    assert refusal(values) == "The recipe mine.yaml stands for more than 5000000 characters by its ${name}."


def test_lists_that_double_are_refused_as_well() -> None:
    values: dict[str, Any] = {"t0": [1] * 10}
    for number in range(1, 40):
        values[f"t{number}"] = [f"${{t{number - 1}}}"] * 4
    assert "more than 5000000" in refusal(values)


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"a": "${a}"}, "a"),
        ({"a": "${b}", "b": "${a}"}, "a"),
        ({"a": {"b": "${a}"}}, "a"),
        ({"a": ["${a}"]}, "a"),
        ({"a": {"b": "x${.b}"}}, "a.b"),
    ],
)
def test_a_value_that_stands_for_itself_is_named(values: Any, name: str) -> None:
    assert refusal(values) == f"The recipe mine.yaml takes the value of {name!r} for itself."


def test_names_that_lead_on_without_end_are_refused() -> None:
    values = {"a": "${b.x}", "b": "${c}", "c": "${b}"}
    assert refusal(values) == "In the recipe mine.yaml, ${name} lead on without end."


def test_a_huge_recipe_without_names_is_refused_too() -> None:
    assert "more than 5000000" in refusal({"text": "x" * 5_000_001})
