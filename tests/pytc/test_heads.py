"""Heads of a configuration: settings of the network, channels of losses, and what predictions have."""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_pytc.errors import InvalidInput
from napari_pytc.plans.networks import NetworkSettings
from napari_pytc.plans.recipes import plan_from_yaml, recipe_yaml
from napari_pytc.pytc.translate import ImportedConfig, import_config

CONFIG = """
model:
  arch: {type: mednext}
  out_channels: 3
  primary_head: near
  heads:
    far: {out_channels: 1, num_blocks: 2, hidden_channels: 8, target_slice: "2:3"}
    near: {out_channels: 2, target_slice: "0:2"}
  loss:
    losses:
      - {function: BCEWithLogitsLoss, pred_head: near, pred_slice: "1:2", target_slice: "1:2"}
      - {function: DiceLoss, target_slice: "0:2"}
      - {function: SmoothL1Loss, pred_head: far, kwargs: {tanh: true}}
data:
  label_transform:
    targets: [{name: affinity, kwargs: {offsets: [1-0-0, 9-0-0], affinity_mode: deepem}}, {name: skeleton_aware_edt}]
inference: {model: {channel_activations: [{channels: ":", activation: scale_sigmoid}]}}
"""


def imported(folder: Path, text: str) -> ImportedConfig:
    (folder / "config.yaml").write_text(text)
    return import_config([folder / "config.yaml"])


def test_heads_are_those_of_the_network_in_the_order_of_their_channels(tmp_path: Path) -> None:
    plan = imported(tmp_path, CONFIG).plan
    assert plan.network.model_dump()["heads"] == (
        {"name": "near", "channels": 2, "blocks": 0, "features": None},
        {"name": "far", "channels": 1, "blocks": 2, "features": 8},
    )
    assert [(term.loss.kind, term.channels) for term in plan.losses] == [
        ("bce", "1"),
        ("dice", "0,1"),
        ("smooth_l1", "2"),
    ]
    assert plan_from_yaml(recipe_yaml(plan, "Heads."), "config") == plan


def test_a_prediction_has_the_channels_of_the_primary_head(tmp_path: Path) -> None:
    found = imported(tmp_path, CONFIG)
    assert [one.kept for one in found.plan.target.channels] == [True, True, False]
    assert [one.activation for one in found.plan.target.channels] == ["scaled_sigmoid", "scaled_sigmoid", None]
    row = next(row for row in found.keys if row.key == "model.primary_head")
    assert (row.outcome, "far is learnt and left out" in row.why) == ("changed", True)


@pytest.mark.parametrize(("head", "kept"), [("far", [False, False, True]), ("near, far", [True, True, True])])
def test_a_prediction_has_the_channels_of_the_heads_that_it_names(tmp_path: Path, head: str, kept: list[bool]) -> None:
    text = CONFIG.replace("{channel_activations", f'{{head: "{head}", channel_activations')
    plan = imported(tmp_path, text.replace("scale_sigmoid", "none")).plan
    assert [one.kept for one in plan.target.channels] == kept


def test_all_channels_are_kept_where_the_decoding_names_those_of_other_heads(tmp_path: Path) -> None:
    steps = "decoding: {steps: [{name: decode_distance_watershed, kwargs: {distance_channels: [2]}}]}"
    found = imported(tmp_path, f"{CONFIG}{steps}\n")
    assert [one.kept for one in found.plan.target.channels] == [True, True, True]
    row = next(row for row in found.keys if row.key == "model.primary_head")
    assert row.why == "decoding.steps name channels that only far has"


def test_every_key_of_a_head_is_taken(tmp_path: Path) -> None:
    rows = {row.key: row.outcome for row in imported(tmp_path, CONFIG).keys if row.key.startswith("model.heads.")}
    assert len(rows) == 6
    assert set(rows.values()) == {"taken"}


def test_a_head_without_a_slice_has_that_of_its_loss(tmp_path: Path) -> None:
    text = CONFIG.replace(', target_slice: "2:3"', "").replace("pred_head: far", 'pred_head: far, target_slice: "2:3"')
    assert [head.name for head in imported(tmp_path, text).plan.network.heads] == ["near", "far"]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("type: mednext}", "type: rsunet}"), "has heads for the network rsunet"),
        (('target_slice: "2:3"', 'target_slice: "1:2"'), "do not share out the 3 channels"),
        (("far: {out_channels: 1", "far: {out_channels: 2"), "has out_channels=2, but its target_slice is '2:3'"),
        ((', target_slice: "2:3"', ""), "does not say which channels the head far predicts"),
        (("primary_head: near", "primary_head: other"), "'other', and no head has that name"),
        (("hidden_channels: 8", "hidden_channels: 80"), "at most 32 features"),
        (("  loss:", "  loss:\n    deep_supervision: true"), "heads and deep supervision"),
        (
            ('pred_slice: "1:2", target_slice: "1:2"', 'pred_slice: "0:1", target_slice: "1:2"'),
            "compares the channels 0",
        ),
    ],
)
def test_heads_that_cannot_be_are_told(tmp_path: Path, change: tuple[str, str], words: str) -> None:
    assert change[0] in CONFIG
    with pytest.raises(InvalidInput) as error:
        imported(tmp_path, CONFIG.replace(*change))
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"heads": [{"name": "a"}, {"name": "a"}]}, "heads have different names"),
        ({"heads": [{"name": "a"}], "deep_supervision": True}, "without deep supervision"),
        ({"heads": [{"name": ""}]}, "at least 1 character"),
    ],
)
def test_settings_of_heads_that_do_not_go_together_are_told(settings: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        NetworkSettings.parse({"kind": "mednext", "deep_supervision": False, **settings})


def test_heads_have_as_many_channels_as_the_target() -> None:
    settings = NetworkSettings.parse({"kind": "mednext", "deep_supervision": False, "heads": [{"name": "a"}]})
    settings.check_outputs(1)
    with pytest.raises(InvalidInput, match="have 1 channels together, but the target has 2"):
        settings.check_outputs(2)
