"""The methods paragraph and the commands, from hand-made facts."""

from __future__ import annotations

import re
from typing import Any

import pytest

from napari_pytc.decoding import DecoderSettings
from napari_pytc.plans.networks import NetworkSettings
from napari_pytc.report import methods as room
from napari_pytc.report.methods import REFERENCES, Paragraph, methods
from napari_pytc.settings import TaggedSettings
from tests.report.hand_made_facts import MODEL, SEGMENTATION, facts


def of_plan(**changes: Any) -> dict[str, Any]:
    return {**MODEL, "plan": {**MODEL["plan"], **changes}}


def test_references_are_numbered_as_they_are_first_cited() -> None:
    paragraph = Paragraph()
    paragraph.add("One", "unet")
    paragraph.add("Two", "napari", "unet")
    paragraph.add("Three")
    assert paragraph.text == "One [1]. Two [2] [1]. Three."
    assert paragraph.references == [REFERENCES["unet"], REFERENCES["napari"]]


def test_a_project_without_work_has_the_volume_alone() -> None:
    text = methods(facts()).text
    assert text.startswith("The volume (12 × 48 × 40 voxels of 40 × 10 × 10 nm along z, y, x, uint8) was segmented")
    assert "Training data are 0 strokes" in text
    assert "Predictions are of" not in text


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"network": {"kind": "filter_bank"}}, "a perceptron on multi-scale Gaussian derivative features"),
        ({"network": {"kind": "mine"}}, "a network of kind mine"),
        ({"target": {"kind": "affinities"}}, "trained to tell affinities of neighbouring voxels"),
        (
            {"target": {"kind": "channels", "channels": [{"role": r} for r in ("classes", "flow", "signed_distance")]}},
            "trained to tell classes, flow and signed distance.",
        ),
        ({"dice_weight": 0.0}, "to minimise cross entropy of the annotated voxels alone."),
        ({"ema_decay": 0.99}, "with averaged weights (decay 0.99)"),
        ({"guess_weight": 0.5}, "served as pseudo-labels"),
        ({"optimiser": {"kind": "sgd"}}, "with stochastic gradient descent (peak"),
        ({"schedule": {"kind": "step"}}, "schedule step)"),
        ({"gradients": {"accumulate": 4}}, "each of 4 batches,"),
        ({"averaging": {"swa_start": 0.75}}, "with the mean of the weights of the last 25% of the training"),
        (
            {
                "losses": [
                    {"loss": {"kind": "bce"}, "weight": 1.0, "channels": None, "heads": []},
                    {"loss": {"kind": "mae"}, "weight": 0.5, "channels": None, "heads": ["distance"]},
                ],
                "loss_balancing": "uncertainty",
            },
            "the sum of bce, 0.5 times mae of channels distance with learnt weights of the annotated voxels",
        ),
    ],
)
def test_the_model_in_use_is_described_by_its_plan(changes: dict[str, Any], words: str) -> None:
    found = methods(facts(models=[of_plan(**changes)]))
    assert words in re.sub(r" \[\d+\]", "", found.text)
    assert len(found.references) == max(int(n) for n in re.findall(r"\[(\d+)\]", found.text))


def test_a_model_that_is_not_in_use_or_damaged_is_not_described() -> None:
    for model in ({**MODEL, "is_in_use": False}, {**MODEL, "problem": "gone"}):
        assert "Predictions are of" not in methods(facts(models=[model])).text


def test_a_comparison_has_its_difference_and_interval() -> None:
    comparison = {"baseline": "m0", "difference": 0.0512, "low": -0.01, "high": 0.1}
    text = methods(facts(models=[{**MODEL, "comparisons": [comparison]}])).text
    assert "Against m0 on the same voxels the difference is +0.051 (-0.010 to +0.100)." in text
    assert "Against" not in methods(facts(models=[{**MODEL, "comparisons": [{"difference": None}]}])).text


def test_segments_and_their_edits_are_counted() -> None:
    effort = {**facts()["effort"], "n_edits": 4, "minutes_proofreading": 2.5}
    edits = [
        {"kind": "merge", "n": 3, "n_taken_back": 0, "n_voxels": 9},
        {"kind": "delete_segment", "n": 1, "n_taken_back": 0, "n_voxels": 9},
        {"kind": "scribble", "n": 7, "n_taken_back": 0, "n_voxels": 9},
        {"kind": "split", "n": 0, "n_taken_back": 2, "n_voxels": 0},
    ]
    text = methods(facts(segmentations=[SEGMENTATION], effort=effort, edits=edits)).text
    assert "made of the prediction p1 by a seeded watershed, block by block: 12,000 supervoxels in 7 segments" in text
    assert "proofread with 4 edits (3 merge, 1 delete segment) in 2.5 minutes" in text


def test_agglomeration_by_quantiles_is_told_as_such() -> None:
    decoder = {"kind": "agglomeration", "score": "quantile", "quantile": 0.85}
    found = methods(facts(segmentations=[{**SEGMENTATION, "decoder": decoder}]))
    assert "agglomeration by a quantile of the evidence" in found.text
    assert REFERENCES["waterz"] in found.references
    by_mean = methods(facts(segmentations=[{**SEGMENTATION, "decoder": {**decoder, "score": "mean"}}]))
    assert "agglomeration by mean evidence" in by_mean.text


def test_every_reference_has_authors_a_year_and_a_title() -> None:
    for name, text in REFERENCES.items():
        year = text.partition("(")[2][:4]
        assert year.isdigit(), name
        assert 1900 < int(year) < 2100, name
        assert len(text) > 60, name
    assert len(set(REFERENCES.values())) == len(REFERENCES)


@pytest.mark.parametrize(
    ("family", "table"),
    [(NetworkSettings, room._NETWORKS), (DecoderSettings, room._DECODERS)],
    ids=["networks", "decoders"],
)
def test_every_kind_of_this_package_is_described_with_known_references(
    family: type[TaggedSettings], table: dict[str, tuple[str, tuple[str, ...]]]
) -> None:
    assert {kind for kind, one in family.variants().items() if one.__module__.startswith("napari_pytc.")} == set(table)
    for words, cited in table.values():
        assert words.startswith(("a ", "the ", "connected"))
        assert set(cited) <= set(REFERENCES)
