"""Scaling of intensities: what each method makes of a channel, and what is stored of it."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from napari_pytc.errors import InvalidInput
from napari_pytc.plans.live_plan import LivePlan
from napari_pytc.plans.normalisation import ImageNormalisation, Normalisation, NormalisationSettings
from napari_pytc.plans.plan import TrainPlan
from napari_pytc.plans.recipes import load_recipe
from napari_pytc.volumes.statistics import IntensityStatistics

VALUES = np.array([[[0, 10, 60, 110, 250]]], np.uint8)


def made(dtype: Any = np.uint8, **settings: Any) -> Normalisation:
    """Of a channel whose percentiles are 10 and 110."""
    statistics = IntensityStatistics(
        mean=50, std=20, low=10, high=110, minimum=0, maximum=255, n_nonfinite=0, n_sampled=9
    )
    return Normalisation.from_statistics(statistics, NormalisationSettings(**settings), np.dtype(dtype))


def test_the_default_is_the_zscore_of_before() -> None:
    found = made()
    assert found.model_dump(mode="json") == {
        "method": "zscore", "mean": 50, "std": 20, "low": -15, "high": 135, "fill": 0
    }  # fmt: skip
    assert found.usual_range == (10, 110)
    assert np.allclose(found.apply(VALUES), (np.clip(VALUES.astype(float), -15, 135) - 50) / 20)


def test_bytes_as_they_are_have_the_range_of_their_type() -> None:
    settings = {"method": "min-max", "clip_percentiles": (0, 100), "clip_margin": 0, "scaled_to": (-1, 1)}
    found = made(**settings, bytes_as_they_are=True)
    assert np.allclose(found.apply(VALUES), (VALUES / 255 - 0.5) / 0.5)
    assert made(np.uint16, **settings, bytes_as_they_are=True) == made(np.uint16, **settings)
    assert "bytes_as_they_are" not in NormalisationSettings(**settings).model_dump()
    kept = NormalisationSettings(**settings, bytes_as_they_are=True)
    assert NormalisationSettings.model_validate(kept.model_dump(mode="json")) == kept
    with pytest.raises(InvalidInput, match=r"bytes_as_they_are=true needs normalisation\.method=min-max"):
        NormalisationSettings(bytes_as_they_are=True).check()


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"method": "min-max"}, [-0.1, 0, 0.5, 1, 1.25]),
        ({"method": "min-max", "clip_margin": 0}, [0, 0, 0.5, 1, 1]),
        ({"method": "min-max", "clip_margin": 0, "scaled_to": (-1, 1)}, [-1, -1, 0, 1, 1]),
        ({"method": "min-max", "clip_percentiles": (0, 100)}, [-0.1, 0, 0.5, 1, 2.4]),
        ({"method": "divide"}, [0, 10 / 255, 60 / 255, 110 / 255, 250 / 255]),
        ({"method": "divide", "divide_by": 100}, [0, 0.1, 0.6, 1.1, 2.5]),
        (
            {"method": "divide", "divide_by": 100, "clip_percentiles": (1, 99), "clip_margin": 0},
            [0.1, 0.1, 0.6, 1.1, 1.1],
        ),
        ({"clip_percentiles": (1, 99), "clip_margin": 0}, [-2, -2, 0.5, 3, 3]),
        ({"clip_percentiles": (0, 99), "clip_margin": 0}, [-2.5, -2, 0.5, 3, 3]),
    ],
)
def test_each_method_scales_as_it_says(settings: dict[str, Any], expected: list[float]) -> None:
    found = made(**settings)
    assert np.allclose(found.apply(VALUES)[0, 0], expected)
    assert (
        ImageNormalisation.model_validate(json.loads(ImageNormalisation.of([found]).model_dump_json())).root[0] == found
    )
    assert found.usual_range == (10, 110)
    unknown = found.apply(np.array([[[np.nan, 50.0]]], np.float32))[0, 0]
    assert unknown[0] == pytest.approx(unknown[1])
    image = found.apply(VALUES)[None]
    both = ImageNormalisation.of([found])
    assert np.allclose(both.to_zscores(image), (image * found.affine[1] + found.affine[0] - 50) / 20, atol=1e-5)
    assert np.allclose(both.from_zscores(both.to_zscores(image)), image, atol=1e-6)
    assert (both.to_zscores(image) is image) == (found.method == "zscore")


def test_the_divisor_is_the_largest_value_of_the_type() -> None:
    assert made(np.uint16, method="divide").divisor == 65535
    assert made(np.int16, method="divide").divisor == 32767
    assert made(np.float32, method="divide").divisor == 1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (["normalisation.clip_percentiles=[99,1]"], "two numbers from 0 to 100, the smaller first, got 99 and 1"),
        (["normalisation.clip_percentiles=[-1,99]"], "got -1 and 99"),
        (["normalisation.divide_by=255"], "divide_by=255 needs normalisation.method=divide, got zscore"),
    ],
)
def test_settings_that_contradict_one_another_are_refused(changes: list[str], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        load_recipe("accurate", changes)


def test_filters_are_made_for_zscores() -> None:
    with pytest.raises(InvalidInput, match=r"filters of the network 'filter_bank' are made for .*zscore, got divide"):
        load_recipe("instant", ["normalisation.method=divide"])
    with pytest.raises(InvalidInput, match="Pseudo-labels come from the instant model"):
        load_recipe("accurate", ["normalisation.method=divide", "guess_weight=0.5"])
    plan = load_recipe("accurate", ["normalisation.method=divide", "guess_weight=0"])
    with pytest.raises(InvalidInput, match=r"Live learns with the instant model.*got divide in the recipe 'accurate'"):
        LivePlan(network=plan).check()
    load_recipe("instant", ["normalisation.clip_margin=0"])


def test_a_plan_is_the_same_work_as_before_there_were_settings() -> None:
    assert "normalisation" not in TrainPlan().identity(1)
    changed = TrainPlan(normalisation={"method": "min-max"})
    assert changed.identity(1)["normalisation"]["method"] == "min-max"
