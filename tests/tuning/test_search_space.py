from __future__ import annotations

import math

import numpy as np
import pytest

from napari_pytc.decoding import AgglomerationDecoder, ComponentsDecoder, DecoderSettings, WatershedDecoder
from napari_pytc.errors import InvalidInput
from napari_pytc.tuning.search_space import TunedSetting, regrouping_settings, space_of


@pytest.mark.parametrize(
    "model", DecoderSettings.variants().values(), ids=lambda model: model.model_fields["kind"].default
)
@pytest.mark.parametrize("is_flat", [False, True], ids=["volume", "section"])
def test_every_decoder_can_be_tuned_from_its_defaults_to_both_ends(model: type[DecoderSettings], is_flat: bool) -> None:
    default = model.model_validate({})
    space = space_of(default, is_flat)
    names = [one.name for one in space.tuned]
    assert names
    assert ("smallest_um2" in names, "smallest_um3" in names) in ((is_flat, not is_flat), (False, False))
    assert set(model.tuned) <= set(model.model_fields)
    assert space.values_of(default) is not None, "the default settings are among those that are tried"
    assert space.decoder(space.values_of(default) or {}) == default
    for end in ("low", "high"):
        values = {one.name: one.value(one.choices[0] if one.choices else getattr(one, end)) for one in space.tuned}
        assert space.values_of(space.decoder(values)) == values
    assert regrouping_settings(model) <= {*model.tuned, model.slider}


def test_ranges_of_lengths_are_logarithmic_and_the_users_go_first() -> None:
    space = space_of(AgglomerationDecoder(), fixed=("smoothing_um",), ranges={"threshold": (0.3, 0.6)})
    by_name = {one.name: one for one in space.tuned}
    assert "smoothing_um" not in by_name
    assert (by_name["threshold"].low, by_name["threshold"].high, by_name["threshold"].is_logarithmic) == (
        0.3,
        0.6,
        False,
    )
    assert by_name["seed_distance_um"].is_logarithmic
    assert space_of(AgglomerationDecoder(), ranges={"smoothing_um": (0.001, 0.1)}).tuned[3].is_logarithmic


def test_a_setting_that_is_not_declared_is_tried_where_the_user_says() -> None:
    space = space_of(DecoderSettings.parse("mutex_watershed"), ranges={"repulsion_step": (1, 4)})
    (step,) = [one for one in space.tuned if one.name == "repulsion_step"]
    assert step.is_whole
    assert (step.value(2.6), step.value(4.0)) == (3, 4)


@pytest.mark.parametrize(
    ("ranges", "words"),
    [
        ({"threshold": (0.2, 1.5)}, ("between 0 and 1", "threshold=0.2:1.5")),
        ({"threshold": (0.6, 0.3)}, ("lower to a higher",)),
        ({"seeds": (0, 1)}, ("one of distance, boundary",)),
        ({"object_class": (0, 1)}, ("no setting 'object_class'", "seed_distance_um")),
        ({"speed": (0, 1)}, ("no setting 'speed'",)),
        ({"seed_distance_um": (0, 1)}, ("seed_distance_um=0:1",)),
    ],
)
def test_a_range_that_cannot_be_is_refused(ranges: dict[str, tuple[float, float]], words: tuple[str, ...]) -> None:
    decoder = WatershedDecoder() if "threshold" not in ranges else ComponentsDecoder()
    with pytest.raises(InvalidInput) as caught:
        space_of(decoder, ranges=ranges)
    for word in words:
        assert word in str(caught.value)


def test_drawn_numbers_have_few_digits_and_stay_within_the_range() -> None:
    tuned = TunedSetting(name="threshold", low=0.12345, high=0.98765)
    assert tuned.value(0.55555) == 0.556
    assert (tuned.value(0.12345), tuned.value(0.98765)) == (0.12345, 0.98765)
    (slider,) = [one for one in space_of(AgglomerationDecoder()).tuned if one.name == "threshold"]
    assert slider.value(0.81449) == 0.81, "as the slider of the window shows it"


@pytest.mark.parametrize("ends", [(0.981, 0.989), (0.9811, 0.9819), (0.4, 0.5), (0.0, 0.01)])
def test_a_narrow_range_of_the_slider_has_more_than_a_few_values(ends: tuple[float, float]) -> None:
    (tuned,) = [
        one for one in space_of(AgglomerationDecoder(), ranges={"threshold": ends}).tuned if one.name == "threshold"
    ]
    found = {tuned.value(drawn) for drawn in np.linspace(*ends, 1000)}
    assert len(found) > 10
    assert (min(found), max(found)) == ends


@pytest.mark.parametrize("ends", [(0.3, 0.5), (0.1, 0.3), (0.0, 1.0)])
def test_a_usual_range_of_the_slider_has_what_it_shows(ends: tuple[float, float]) -> None:
    (tuned,) = [
        one for one in space_of(AgglomerationDecoder(), ranges={"threshold": ends}).tuned if one.name == "threshold"
    ]
    assert {tuned.value(drawn) for drawn in np.linspace(*ends, 1000)} == {
        round(n / 100, 2) for n in range(round(ends[0] * 100), round(ends[1] * 100) + 1)
    }


def test_ends_of_a_range_of_whole_numbers_are_whole() -> None:
    space = space_of(DecoderSettings.parse("mutex_watershed"), ranges={"repulsion_step": (0.5, 20.5)})
    (step,) = [one for one in space.tuned if one.name == "repulsion_step"]
    assert (step.low, step.high, step.is_logarithmic) == (1, 20, True)


@pytest.mark.parametrize("ends", [(2.2, 2.8), (2.5, 3.5), (-1, 3), (1, math.inf), (-math.inf, 3), (math.nan, 3)])
def test_a_range_without_two_whole_numbers_is_refused(ends: tuple[float, float]) -> None:
    with pytest.raises(InvalidInput, match=r"lower to a higher whole number between 1 and .*, got repulsion_step="):
        space_of(DecoderSettings.parse("mutex_watershed"), ranges={"repulsion_step": ends})


def test_the_quantile_is_tried_on_the_same_supervoxels() -> None:
    assert {"threshold", "quantile", "smallest_um3"} <= regrouping_settings(AgglomerationDecoder)
    assert "score" not in regrouping_settings(AgglomerationDecoder)
