"""Every key that a configuration can have is in the account of keys, once, with a reason where it has no effect."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from napari_pytc.pytc.keys import ImportedKey
from napari_pytc.pytc.translate import ImportedConfig, import_config

FIXTURES = Path(__file__).parents[1] / "fixtures" / "pytc"
SCHEMAS = ("stages", "flat", "october", "v1")


def written_keys(values: dict[str, Any], place: str = "") -> Iterator[str]:
    """Keys of nested sections; ``params`` and ``kwargs`` are one value."""
    for key, value in values.items():
        where = f"{place}{key}"
        if isinstance(value, dict) and value and key not in ("params", "kwargs"):
            yield from written_keys(value, f"{where}.")
        else:
            yield where


def imported(folder: Path, text: str) -> ImportedConfig:
    (folder / "config.yaml").write_text(text)
    return import_config([folder / "config.yaml"])


def rows_of(found: ImportedConfig) -> dict[str, ImportedKey]:
    rows = [row for row in found.keys if not row.value.endswith("(by default)")]
    assert len({row.key for row in rows}) == len(rows), "a key is there twice"
    return {row.key: row for row in rows}


@pytest.mark.parametrize("schema", SCHEMAS)
def test_every_key_of_a_schema_is_in_the_table_once(schema: str) -> None:
    path = FIXTURES / f"every_key_{schema}.yaml"
    rows = rows_of(import_config([path]))
    expected = list(written_keys(yaml.safe_load(path.read_text())))
    assert sorted(rows) == sorted(expected)
    assert all(row.became or row.why for row in rows.values())
    assert all(row.why for row in rows.values() if row.outcome != "taken")


def test_the_schema_written_as_stages_has_the_same_keys(tmp_path: Path) -> None:
    values = yaml.safe_load((FIXTURES / "every_key_stages.yaml").read_text())
    staged = {"default": values, "tune": values.pop("tune")}
    rows = rows_of(imported(tmp_path, yaml.safe_dump(staged)))
    assert sorted(rows) == sorted([*written_keys(values), *(f"tune.{key}" for key in written_keys(staged["tune"]))])


TARGET = "model: {{arch: {{type: rsunet}}}}\ndata: {{label_transform: {{targets: [{{name: {}, kwargs: {{{}}}}}]}}}}"
WHERE = "data.label_transform.targets[0].kwargs"


@pytest.mark.parametrize(
    ("name", "setting", "outcome"),
    [
        ("binary", "segment_id: [3]", "left out"),
        ("binary", "segment_id: []", "taken"),
        ("instance_edt", "erosion: 1", "left out"),
        ("skeleton_aware_edt", "bg_value: -1.0", "taken"),
        ("skeleton_aware_edt", "bg_value: 0.0", "left out"),
        ("skeleton_aware_edt", "smooth: true", "left out"),
        ("skeleton_aware_edt", "resolution: [30, 6, 6]", "left out"),
        ("skeleton_aware_edt", "w_base: 2.0", "left out"),
        ("instance_edt", "padding: true", "left out"),
        ("affinity", "offsets: [1-0-0], semantic: true", "left out"),
        ("instance_boundary", "unheard_of: 3", "left out"),
    ],
)
def test_a_setting_of_a_target_without_effect_is_told(tmp_path: Path, name: str, setting: str, outcome: str) -> None:
    rows = rows_of(imported(tmp_path, TARGET.format(name, setting)))
    row = rows[f"{WHERE}.{setting.removeprefix('offsets: [1-0-0], ').partition(':')[0]}"]
    assert row.outcome == outcome
    assert row.why if outcome == "left out" else row.became == "the same"


@pytest.mark.parametrize(
    ("name", "setting"),
    [
        ("eroded_foreground", "tsz_h: 3"),
        ("affinity", "offsets: [1-0-0], affinity_mode: banis"),
        ("instance_boundary", "thickness: 2, edge_mode: seg-all, mode: 2d"),
        ("skeleton_aware_edt", "alpha: 0.5"),
        ("semantic_edt", "alpha_fore: 4, alpha_back: 20, mode: 3d, resolution: [30, 6, 6]"),
        ("signed_distance", "alpha: 3"),
    ],
)
def test_a_setting_of_a_target_that_has_an_effect_has_no_row_of_its_own(
    tmp_path: Path, name: str, setting: str
) -> None:
    assert not [key for key in rows_of(imported(tmp_path, TARGET.format(name, setting))) if key.startswith(WHERE)]


def test_distances_are_of_voxels_or_of_nm_where_a_resolution_is_said(tmp_path: Path) -> None:
    resolution = "resolution: [30, 6, 6]"
    text = TARGET.format("semantic_edt", "alpha_fore: 4").replace("data: {", f"data: {{train: {{{resolution}}}, ")
    assert imported(tmp_path, text).plan.target.channels[0].inside_nm == 24
    forwarded = text.replace("targets:", f"{resolution}, targets:")
    assert imported(tmp_path, forwarded).plan.target.channels[0].inside_nm == 4


@pytest.mark.parametrize(("written", "erosion"), [("3", (0, 3, 3)), ("[10, 10, 4]", (10, 10, 4))])
def test_an_erosion_by_a_number_is_of_sections(tmp_path: Path, written: str, erosion: tuple[int, int, int]) -> None:
    found = imported(tmp_path, TARGET.format("eroded_foreground", f"tsz_h: {written}"))
    assert found.plan.target.channels[0].erosion == erosion


def test_settings_of_losses_that_stand_beside_their_kwargs_are_told(tmp_path: Path) -> None:
    loss = "{function: DiceLoss, mask_slice: 0, apply_deep_supervision: false, call_kind: pred_target, coefficient: 2}"
    found = imported(tmp_path, f"model: {{arch: {{type: rsunet}}, loss: {{losses: [{loss}]}}}}")
    rows = {key: row.outcome for key, row in rows_of(found).items() if key.startswith("model.loss.losses[0]")}
    assert rows == {
        "model.loss.losses[0].mask_slice": "left out",
        "model.loss.losses[0].apply_deep_supervision": "left out",
        "model.loss.losses[0].call_kind": "taken",
    }
    assert found.plan.losses[0].weight == 2


def test_a_schedule_says_which_of_its_settings_have_an_effect(tmp_path: Path) -> None:
    scheduler = "{name: StepLR, params: {step_size: 5, gamma: 0.5, cooldown: 3}, patience: 4, warmup_start_lr: 0.1}"
    text = f"model: {{arch: {{type: rsunet}}}}\noptimization: {{scheduler: {scheduler}}}"
    rows = {key: row.outcome for key, row in rows_of(imported(tmp_path, text)).items() if ".scheduler." in key}
    assert rows == {
        "optimization.scheduler.name": "taken",
        "optimization.scheduler.params": "taken",
        "optimization.scheduler.params.cooldown": "left out",
        "optimization.scheduler.patience": "left out",
        "optimization.scheduler.warmup_start_lr": "left out",
    }


def test_profiles_that_are_filled_in_and_stages_that_are_not_read_are_told(tmp_path: Path) -> None:
    text = """
default: {model: {arch: {type: rsunet}, loss: {profile: mine}}, train: {system: {seed: 3}}}
train: {inference: {window: {overlap: 0.1}}}
test: {model: {out_channels: 3}}
loss_profiles: {mine: {losses: [{function: DiceLoss}]}}
"""
    found = imported(tmp_path, text)
    rows = {key: row.outcome for key, row in rows_of(found).items()}
    assert rows["default.model.loss.profile"] == "taken"
    for key in ("default.train.system.seed", "train.inference.window.overlap", "test.model.out_channels"):
        assert rows[key] == "left out", key
    assert found.predict.windows.overlap == 0.5


def test_a_flat_key_that_is_said_twice_is_told(tmp_path: Path) -> None:
    text = "model: {architecture: rsunet}\ndata: {batch_size: 2}\nsystem: {training: {batch_size: 3}}"
    found = imported(tmp_path, text)
    assert found.plan.batch_size == 3
    assert rows_of(found)["data.batch_size"].outcome == "left out"


def test_a_change_of_patches_that_there_is_not_is_told(tmp_path: Path) -> None:
    lost = "lost_section: {enabled: true, prob: 0.5}"
    text = f"model: {{arch: {{type: rsunet}}}}\ndata: {{augmentation: {{{lost}}}}}"
    assert (
        rows_of(imported(tmp_path, text))["data.augmentation.lost_section.enabled"].why
        == "there is no such change here"
    )
