"""Decoders of PyTorch Connectomics: each stands for a decoder here, or one sentence says what is nearest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from napari_pytc.decoding import DecoderSettings
from napari_pytc.decoding.describe import checked_decoder
from napari_pytc.errors import InvalidInput
from napari_pytc.pytc.decoding_steps import NAMES, decoder_settings, merge_function
from napari_pytc.pytc.keys import ForeignKeys, ImportedKey
from napari_pytc.pytc.translate import import_config
from napari_pytc.volumes.roles import ChannelRole, PolarityRole

SIZE = (30.0, 8.0, 8.0)
BCD = "decode_instance_binary_contour_distance"


def translated(
    *steps: dict[str, Any], size: tuple[float, float, float] | None = SIZE, roles: tuple[ChannelRole, ...] = ()
) -> tuple[dict[str, Any], dict[str, ImportedKey]]:
    """The decoder, and what became of each key by the last part of its name."""
    keys = ForeignKeys({"decoding": {"steps": list(steps)}})
    found = decoder_settings(keys, size, roles)
    rows = keys.rows({"decoding": "no decoder stands for it"}, "-")
    return found, {row.key.rpartition(".")[2] if "[" in row.key else row.key: row for row in rows}


def step(name: str, **kwargs: Any) -> dict[str, Any]:
    return {"name": name, "kwargs": kwargs}


def test_affinity_components() -> None:
    found, rows = translated(step("decode_affinity_cc", threshold=0.75, backend="numba", edge_offset=0))
    assert found == {"kind": "affinity_components", "threshold": 0.75, "smallest_um3": 0.0, "smallest_um2": 0.0}
    assert rows["threshold"].outcome == "taken"
    assert rows["threshold"].became == "decoder.threshold=0.75"
    assert rows["edge_offset"].outcome == "left out"
    assert rows["decoding.steps"].became == "decoder.kind=affinity_components"
    _, rows = translated(step("decode_affinity_cc"))
    assert rows["backend"].outcome == "changed"
    assert rows["threshold"].value == "0.5 (by default)"


@pytest.mark.parametrize("name", [BCD, "decode_binary_contour_distance_watershed"])
def test_two_thresholds(name: str) -> None:
    found, rows = translated(
        step(
            name,
            binary_threshold=[0.76, 0.5],
            contour_threshold=[0.6, 1],
            distance_threshold=[0.7, -0.2],
            min_instance_size=100,
            min_seed_size=20,
            prediction_scale=1,
        )
    )
    smallest = found.pop("smallest_um3")
    assert smallest == pytest.approx(99.5 * 30 * 8 * 8 * 1e-9, rel=1e-5)
    assert found.pop("smallest_um2") == pytest.approx(99.5 * 64e-6, rel=1e-5)
    assert found == {
        "kind": "bcd_watershed", "seed_foreground": 0.76, "foreground": 0.5, "seed_contour": 0.6, "contour": 1.0,
        "seed_distance": 0.7, "distance": -0.2, "smallest_seed": 20, "flooding": "predicted",
    }  # fmt: skip
    assert rows["prediction_scale"].outcome == "left out"
    assert rows["binary_threshold"].became == "decoder.seed_foreground=0.76, decoder.foreground=0.5"


def test_two_thresholds_without_settings_are_those_of_its_function() -> None:
    found, rows = translated({"name": BCD})
    assert (found["seed_foreground"], found["foreground"]) == (0.9, 0.85)
    assert (found["seed_contour"], found["contour"]) == (0.8, 1.1)
    assert (found["seed_distance"], found["distance"]) == (0.5, 0.0)
    assert found["smallest_seed"] == 32
    assert rows["min_seed_size"].value == "32 (by default)"


def test_channels_that_are_switched_off_are_not_asked_for() -> None:
    found, rows = translated(step(BCD, contour_channels=None, contour_threshold=None, distance_channels=[2]))
    assert (found["seed_contour"], found["contour"]) == (1.1, 1.1)
    assert rows["distance_channels"].outcome == "changed"
    found, _ = translated(step(BCD, distance_channels=None, binary_channels=None))
    assert (found["seed_distance"], found["distance"], found["flooding"]) == (-1.0, -1.0, "measured")
    assert (found["seed_foreground"], found["foreground"]) == (0.0, 0.0)


@pytest.mark.parametrize("thresholds", [{}, {"distance_threshold": [0.3, 0.1]}])
def test_seeds_are_not_restricted_to_a_measured_depth_and_it_is_told(thresholds: dict[str, Any]) -> None:
    found, rows = translated(step(BCD, distance_channels=None, **thresholds))
    assert found["seed_distance"] == -1
    row = rows["distance_threshold"]
    assert (row.outcome, row.why) == ("changed", "seeds are not restricted to the measured depth")
    for others in ({}, {"distance_channels": None, "mode": "cc"}, {"contour_channels": None}):
        assert translated(step(BCD, **others, **thresholds))[1]["distance_threshold"].outcome == "taken"


def test_components_of_the_objects_voxels_are_their_own_seeds() -> None:
    found, _ = translated(step(BCD, mode="cc"))
    assert found["seed_foreground"] == found["foreground"] == 0.85
    assert found["seed_distance"] == found["distance"] == 0
    assert found["smallest_seed"] == 0


def test_a_watershed_of_the_distance_alone() -> None:
    found, rows = translated(
        step("decode_distance_watershed", distance_channels=[6], distance_threshold=[0.4, 0.1], min_seed_size=100,
             min_instance_size=50, use_fast_edt=True)
    )  # fmt: skip
    assert found["kind"] == "bcd_watershed"
    assert (found["seed_distance"], found["distance"], found["smallest_seed"]) == (0.4, 0.1, 100)
    assert (found["flooding"], found["foreground"], found["contour"]) == ("measured", 0.0, 1.1)
    assert rows["use_fast_edt"].why == "it changes no result"


def test_waterz() -> None:
    found, rows = translated(
        step("decode_waterz", thresholds=0.4, merge_function="aff85_his256", aff_threshold=[0.001, 0.999],
             channel_order="xyz", dust_merge=True, dust_merge_size=100, dust_merge_affinity=0.1, dust_remove_size=50)
    )  # fmt: skip
    assert found.pop("smallest_um3") == pytest.approx(99.5 * 1920e-9, rel=1e-5)
    assert found.pop("smallest_um2") > 0
    assert found == {
        "kind": "agglomeration", "threshold": 0.6, "score": "quantile_of_maxima", "quantile": 0.85, "join_from": 0.1,
        "drop_below": 0.5,
    }  # fmt: skip
    assert rows["thresholds"].outcome == "changed"
    assert rows["aff_threshold"].outcome == "left out"
    found, _ = translated(step("decode_waterz", thresholds=[0.1, 0.5]))
    assert (found["threshold"], found["quantile"], found["smallest_um3"]) == (0.5, 0.5, 0.0)


def test_waterz_without_dust_drops_what_is_too_small() -> None:
    found, rows = translated(step("decode_waterz", dust_merge=False, dust_merge_size=100, min_instance_size=30))
    assert (found["join_from"], found["drop_below"]) == (1.0, 1.0)
    assert found["smallest_um3"] == pytest.approx(29.5 * 1920e-9, rel=1e-5)
    assert rows["dust_merge_size"].outcome == "left out"
    found, rows = translated(step("decode_waterz", dust_merge_size=100, min_instance_size=300))
    assert found["drop_below"] == 1.0
    assert rows["min_instance_size"].outcome == "changed"


@pytest.mark.parametrize(
    ("name", "score", "is_another"),
    [
        ("aff50_his256", {"score": "quantile_of_maxima", "quantile": 0.5}, False),
        ("aff75_his0", {"score": "quantile_of_maxima", "quantile": 0.75}, False),
        ("OneMinus<HistogramQuantileAffinity<RegionGraphType, 25, ScoreValue, 256>>",
         {"score": "quantile_of_maxima", "quantile": 0.25}, False),
        ("affmean", {"score": "mean"}, False),
        ("OneMinus<MeanAffinity<RegionGraphType, ScoreValue>>", {"score": "mean"}, False),
        ("OneMinus<MaxAffinity<RegionGraphType, ScoreValue>>", {"score": "quantile_of_maxima", "quantile": 1.0}, False),
        ("max10", {"score": "mean"}, True),
    ],
)  # fmt: skip
def test_merge_functions(name: str, score: dict[str, Any], is_another: bool) -> None:
    found, why = merge_function(name)
    assert found == score
    assert bool(why) == is_another


def test_naive_waterz_is_its_fixed_recipe() -> None:
    found, _ = translated({"name": "naive_waterz"})
    assert (found["threshold"], found["quantile"], found["join_from"], found["drop_below"]) == (0.6, 0.85, 0.1, 0.4)


def test_mutex_watershed() -> None:
    found, rows = translated(step("decode_mutex_watershed", strides=[1, 4, 4], offsets=["1-0-0"], mask=None))
    assert (found["kind"], found["repulsion_step"]) == ("mutex_watershed", 4)
    assert rows["offsets"].outcome == "left out"
    _, rows = translated(step("decode_mutex_watershed", strides=[2, 4, 8]))
    assert rows["strides"].outcome == "changed"


def test_polarity_is_components_of_the_synapse() -> None:
    roles = (PolarityRole(side="pre"), PolarityRole(side="any"))
    found, rows = translated(step("polarity2instance", thres=0.4, dilate_sz=5), roles=roles)
    assert (found["kind"], found["object_class"], found["threshold"]) == ("components", "synapse", 0.4)
    assert rows["name"].outcome == "changed"


def test_the_first_step_that_makes_objects_counts_and_the_rest_is_told() -> None:
    found, rows = translated(
        {"name": "decode_mutex_watershed", "enabled": False},
        step("select_channels", channels=[0]),
        step("decode_waterz"),
        step("decode_affinity_cc"),
    )
    assert found["kind"] == "agglomeration"
    keys = ForeignKeys({"decoding": {"steps": [step("shape_smooth", open=True), step("unheard_of")]}})
    assert decoder_settings(keys, SIZE, ()) == {}
    whys = {row.value: row.why for row in keys.rows({"decoding": "no decoder stands for it"}, "-")}
    assert "no object is smoothed" in whys["shape_smooth"]
    assert whys["unheard_of"] == "there is no such step"
    assert rows["name"].value == "decode_affinity_cc"


@pytest.mark.parametrize("name", NAMES)
def test_every_step_stands_for_a_decoder_or_says_what_is_nearest(name: str) -> None:
    found, rows = translated({"name": name})
    if found:
        decoder = checked_decoder(found)
        assert isinstance(decoder, DecoderSettings)
        assert all(row.outcome != "left out" or row.why for row in rows.values())
    else:
        assert rows["name"].outcome == "left out"
        assert len(rows["name"].why) > 20


def test_sizes_are_reckoned_with_ten_nanometres_where_they_are_not_known() -> None:
    found, _ = translated(step(BCD, min_instance_size=1000), size=None)
    assert found["smallest_um3"] == pytest.approx(0.0009995)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"steps": "decode_waterz"}, "is a list of steps"),
        ({"steps": ["decode_waterz"]}, "is a name and kwargs"),
        ({"steps": [{"name": "decode_waterz", "kwargs": [1]}]}, "kwargs of the step decode_waterz"),
        ({"steps": [step("decode_waterz", thresholds="high")]}, "thresholds of decode_waterz is a number"),
        ({"steps": [step(BCD, binary_threshold=0.5)]}, "binary_threshold of"),
    ],
)
def test_what_cannot_be_read_is_one_sentence(content: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        decoder_settings(ForeignKeys({"decoding": content}), SIZE, ())


def test_a_configuration_brings_its_decoder_and_the_command_to_segment(tmp_path: Path) -> None:
    text = {
        "default": {
            "model": {
                "arch": {"type": "monai_basic_unet3d"},
                "out_channels": 3,
                "loss": {"losses": [{"function": "DiceLoss"}]},
            },
            "data": {
                "label_transform": {
                    "targets": [{"name": "affinity", "kwargs": {"offsets": ["1-0-0", "0-1-0", "0-0-1"]}}]
                }
            },
            "decoding": {"steps": [step("decode_waterz", thresholds=0.3, merge_function="aff75_his256")]},
        },
        "train": {"data": {"train": {"image": "im.h5", "label": "seg.h5", "resolution": [30, 6, 6]}}},
    }
    (tmp_path / "neurons.yaml").write_text(yaml.safe_dump(text))
    found = import_config([tmp_path / "neurons.yaml"])
    assert found.plan.decoder["threshold"] == 0.7
    command = found.commands("neurons-recipe.yaml")[-1]
    assert command.startswith("napari-pytc segment neurons.pytc --decoder agglomeration ")
    for words in ("threshold=0.7", "score=quantile_of_maxima", "quantile=0.75"):
        assert words in command
    became = {row.key: row.became for row in found.keys if "steps[0]" in row.key}
    assert any(key.endswith(".merge_function") for key in became)
