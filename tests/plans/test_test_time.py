"""Settings of test-time augmentation: copies, their number and cost, and what tells predictions apart."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from pydantic import ValidationError

from napari_pytc.errors import InvalidInput
from napari_pytc.plans.plan import PredictPlan
from napari_pytc.plans.test_time import ChannelCombination, TtaSettings
from napari_pytc.volumes.roles import AffinityRole, BoundaryRole, ForegroundRole

ROLES = [AffinityRole(offset=(1, 0, 0)), AffinityRole(offset=(0, 1, 0)), ForegroundRole(), BoundaryRole()]


@pytest.mark.parametrize(
    ("settings", "n_copies", "cost"),
    [
        ({}, 1, 1),
        ({"flips": "plane"}, 4, 4),
        ({"flips": "all"}, 8, 8),
        ({"flips": ["y", "x"]}, 3, 3),
        ({"flips": ["zyx"]}, 2, 2),
        ({"turns": True}, 4, 4),
        ({"flips": ["y"], "turns": True}, 8, 8),
        ({"flips": "plane", "turns": True}, 8, 8),
        ({"flips": "all", "turns": True}, 16, 16),
        ({"flips": "plane", "scales": [0.5, 1, 2]}, 12, 21),
    ],
)
def test_the_number_of_copies_and_what_they_cost(settings: dict[str, Any], n_copies: int, cost: float) -> None:
    found = TtaSettings.model_validate(settings)
    assert (found.n_copies, found.cost) == (n_copies, cost)
    assert found.orientations[0] == ((), False)
    assert len(set(found.orientations)) == len(found.orientations)
    assert found.is_used == (n_copies > 1)
    assert found.n_copies_of((2, 9, 9)) == n_copies
    assert (f"{n_copies} copies" in found.cost_note((2, 9, 9))) == found.is_used
    assert f"{n_copies} copies" in str(found)


@pytest.mark.parametrize(
    ("settings", "text", "note"),
    [
        ({"flips": "all"}, "up to 8 copies", "4 copies (mirrored along all axes), mean. It takes about 4 times"),
        ({"flips": "all", "scales": [0.5, 1]}, "up to 16 copies", "8 copies ("),
        ({"flips": ["z"]}, "up to 2 copies", "does nothing here: single sections"),
        ({"flips": "plane", "turns": True}, "8 copies", "about 8 times"),
    ],
)
def test_a_single_section_has_no_mirrored_copy_along_z(settings: dict[str, Any], text: str, note: str) -> None:
    found = TtaSettings.model_validate(settings)
    assert found.n_copies_text == text
    assert str(found).startswith(f"{text} (")
    assert note in found.cost_note((1, 9, 9))


@pytest.mark.parametrize("stamp", ['{"rotations": 3}', '{"flips": "diagonal"}', "[", "[1]"])
def test_a_stamp_of_another_version_is_refused_with_a_sentence(stamp: str) -> None:
    with pytest.raises(InvalidInput, match="does not know the test-time augmentation"):
        TtaSettings.of_stamp(stamp, flips=False)


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ([], "none"),
        ("yx", ("yx",)),
        (["x", "y", "xy"], "plane"),
        (["zyx", "z", "y", "x", "zy", "zx", "yx"], "all"),
        (["x", "z", "x"], ("z", "x")),
        ("all", "all"),
    ],
)
def test_mirrored_copies_have_one_form(written: Any, found: Any) -> None:
    assert TtaSettings(flips=written).flips == found


@pytest.mark.parametrize("flips", ["some", ["w"], [""], [1], "yyw"])
def test_other_mirrored_copies_are_refused(flips: Any) -> None:
    with pytest.raises(ValidationError):
        TtaSettings(flips=flips)


@pytest.mark.parametrize("scales", [[], [0.5], [1, 8], [0.1, 1], [1, float("nan")]])
def test_scales_that_make_no_sense_are_refused(scales: list[float]) -> None:
    with pytest.raises(ValidationError, match="1 among them"):
        TtaSettings(scales=scales)


def test_scales_are_kept_in_order_and_once() -> None:
    assert TtaSettings(scales=(1, 1.25, 0.75, 1)).scales == (0.75, 1, 1.25)
    assert TtaSettings(scales=(1, 1.25)).other_scales == (1.25,)


@pytest.mark.parametrize(
    ("channels", "numbers"),
    [("0:2", [0, 1]), ("2:", [2, 3]), (":1", [0]), ("1,3", [1, 3]), ("affinity", [0, 1]), ("boundary", [3]), (2, [2])],
)
def test_exceptions_name_channels_by_number_or_by_what_they_are(channels: Any, numbers: list[int]) -> None:
    settings = TtaSettings(combine="max", exceptions=(ChannelCombination(channels=channels, combine="min"),))
    assert settings.combinations(ROLES) == tuple("min" if n in numbers else "max" for n in range(4))


def test_numbers_that_yaml_reads_to_the_base_of_sixty_are_slices() -> None:
    assert ChannelCombination(channels=63, combine="min").channels == "1:3"


@pytest.mark.parametrize("channels", ["4", "2:9", "3:3", "distance", "", "1,7", "a,b"])
def test_exceptions_of_channels_that_are_not_there_are_refused(channels: str) -> None:
    settings = TtaSettings(exceptions=(ChannelCombination(channels=channels, combine="min"),))
    with pytest.raises(InvalidInput, match="but the prediction has 4: affinity"):
        settings.combinations(ROLES)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"flips": "all"},
        {"flips": "all", "turns": True, "combine": "min"},
        {"flips": ["y", "zx"]},
        {"scales": [0.75, 1], "exceptions": [{"channels": "0:2", "combine": "min"}]},
        {"flips": "plane", "average": "logits"},
    ],
)
def test_a_stamp_tells_everything_but_all_flips(settings: dict[str, Any]) -> None:
    found = TtaSettings.model_validate(settings)
    assert TtaSettings.of_stamp(found.stamp, found.flips == "all") == found


def test_what_changes_nothing_has_no_stamp() -> None:
    assert TtaSettings(combine="min", average="logits").stamp == ""
    assert TtaSettings(flips="all").stamp == ""  # the record of a prediction has a field for it
    assert TtaSettings(flips="plane").stamp


def test_flips_mean_what_they_meant_and_go_with_the_rest() -> None:
    assert PredictPlan(flips=True).copies == PredictPlan(tta={"flips": "all"}).copies == TtaSettings(flips="all")
    assert PredictPlan(flips=True, tta={"turns": True}).copies.n_copies == 16
    with pytest.raises(InvalidInput, match=r"flips=true mirrors along all axes, but tta\.flips says y, x"):
        PredictPlan(flips=True, tta={"flips": ["y", "x"]})


def test_the_identity_is_as_before_there_were_copies() -> None:
    before = {"flips", "normalisation", "resample", "windows"}
    assert set(PredictPlan(device="cpu").identity()) == before
    assert set(PredictPlan(tta={"turns": True}).identity()) == {*before, "tta"}


@pytest.mark.parametrize(
    ("plan", "digest"),
    [
        ({}, "06c525e36c29c787"),
        ({"flips": True}, "6f12630f1ba3b4d9"),
        ({"tta": {"turns": True}}, "862f9f41203f0faf"),
        ({"flips": True, "tta": {"turns": True}}, "3bc81683a84ebe6c"),
    ],
)
def test_digests_of_predictions_are_those_that_were_stored(plan: dict[str, Any], digest: str) -> None:
    content = json.dumps(PredictPlan.model_validate(plan).identity(), sort_keys=True)
    assert hashlib.sha256(content.encode()).hexdigest()[:16] == digest


@pytest.mark.parametrize("rest", [{}, {"turns": True}, {"combine": "min"}])
def test_both_ways_to_write_all_flips_are_the_same_prediction(rest: dict[str, Any]) -> None:
    written = [
        PredictPlan(flips=True, tta=rest),
        PredictPlan(tta={"flips": "all", **rest}),
        PredictPlan(flips=True, tta={"flips": "all", **rest}),
    ]
    assert written[0].identity() == written[1].identity() == written[2].identity()
    assert written[0].identity() != PredictPlan(tta=rest).identity()
    assert ("tta" in written[0].identity()) == bool(rest)


def test_how_copies_are_combined_says_nothing_where_there_is_none() -> None:
    assert PredictPlan(tta={"combine": "min"}).identity() == PredictPlan().identity()
