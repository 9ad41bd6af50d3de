"""Configurations and checkpoints of PyTorch Connectomics on the command line."""

from __future__ import annotations

import shlex
from pathlib import Path

import h5py
import numpy as np
import pytest
import yaml
from omegaconf import OmegaConf

from napari_pytc.plans.model_folder import read_model_info
from napari_pytc.plans.prediction_defaults import PredictionDefaults
from napari_pytc.plans.recipes import load_recipe
from napari_pytc.plans.windows import WindowSettings
from napari_pytc.pytc.translate import import_config
from tests.cli.conftest import Command, call, is_one_error
from tests.support.checkpoints import random_network, write_checkpoint, write_config


def test_a_recipe_is_written_with_the_account_of_its_keys(cli: Command, tmp_path: Path) -> None:
    config = write_config(tmp_path)
    ended = cli("import-recipe", config, "--out", tmp_path / "r.yaml", "--voxel-size", "30,8,8", "--json")
    assert ended.code == 0, ended.out
    document = ended.document
    assert document["recipe"] == str(tmp_path / "r.yaml")
    outcomes = {row["key"]: row["outcome"] for row in document["keys"]}
    assert outcomes["model.arch.type"] == "taken"
    plan = load_recipe(tmp_path / "r.yaml")
    assert plan.voxel_size_nm == (30, 8, 8)
    assert plan.patch_shape == (16, 32, 32)

    again = cli("import-recipe", config, "--out", tmp_path / "r.yaml")
    assert is_one_error(again, "is there already")
    shown = cli("import-recipe", config, "--out", tmp_path / "s.yaml")
    assert "network.kind=monai_unet" in shown.out
    assert "napari-pytc train monai_unet.pytc --recipe" in shown.out


def test_nothing_is_written_of_a_configuration_that_cannot_be(cli: Command, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("_base_: a.yaml")
    ended = cli("import-recipe", tmp_path / "a.yaml", "--out", tmp_path / "r.yaml")
    assert is_one_error(ended, "builds on itself")
    assert is_one_error(cli("import-recipe", write_config(tmp_path), "--out", tmp_path / "r.txt"), ".yaml file")
    assert {path.name for path in tmp_path.iterdir()} == {"a.yaml", "monai_unet.yaml"}


@pytest.mark.slow
def test_an_imported_recipe_trains(cli: Command, tmp_path: Path) -> None:
    labels = np.zeros((16, 32, 32), np.uint16)
    labels[:, 2:14, 2:14], labels[:, 18:30, 18:30] = 1, 2
    with h5py.File(tmp_path / "data.h5", "w") as file:
        file["raw"] = np.random.default_rng(0).integers(0, 255, labels.shape).astype(np.uint8)
        file["labels"] = labels
    project = tmp_path / "p.pytc"
    words = ("new", project, "--classes", "background,object", "--image", f"{tmp_path / 'data.h5'}:raw")
    assert call(*words, "--voxel-size", "8,8,8", "--json").code == 0
    assert call("annotate", project, f"{tmp_path / 'data.h5'}:labels", "--instances", "--dense", "--json").code == 0
    assert cli("import-recipe", write_config(tmp_path), "--out", tmp_path / "r.yaml", "--json").code == 0

    ended = cli("train", project, "--recipe", tmp_path / "r.yaml", "--fast-dev-run", "device=cpu", "--json")

    assert ended.code == 0, ended.out
    assert ended.document["steps"] == 2


@pytest.mark.slow
def test_the_examples_of_the_documentation_run(cli: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = Path(__file__).parents[3] / "docs" / "coming-from-pytc.md"
    lines = page.read_text(encoding="utf-8").splitlines()
    commands = [line.removeprefix("$ napari-pytc ") for line in lines if line.startswith("$ napari-pytc ")]
    assert len(commands) == 3
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "tutorials" / "mito_lucchi++"
    folder.mkdir(parents=True)
    config = write_config(folder).rename(folder / "mito_lucchi++.yaml")
    found = import_config([config])
    write_checkpoint(tmp_path / "last.ckpt", found, random_network(found))
    with h5py.File("test.h5", "w") as file:
        file["main"] = np.random.default_rng(0).integers(0, 255, (16, 32, 32)).astype(np.uint8)
    for command in commands:
        ended = cli(*shlex.split(command), "--json")
        assert ended.code == 0, (command, ended.out)
    assert {path.name for path in tmp_path.iterdir()} >= {"lucchi.yaml", "lucchi-model", "prediction.zarr"}


@pytest.mark.slow
def test_a_model_is_made_and_said_how_to_predict_with(cli: Command, tmp_path: Path) -> None:
    config = write_config(tmp_path, "rsunet", "  inference: {window: {overlap: 0.25, blending: bump}}\n")
    found = import_config([config])
    checkpoint = write_checkpoint(tmp_path / "last.ckpt", found, random_network(found))
    words = ("import-model", checkpoint, "--config", config, "--voxel-size", "30,8,8")
    folder = tmp_path / "a model"
    ended = cli(*words, "--out", folder, "--json")
    assert ended.code == 0, ended.out
    document = ended.document
    assert document["folder"] == str(folder)
    assert document["weights"] == "moving average"
    assert shlex.split(document["command"])[3:] == ["--model", str(folder)]
    brought = PredictionDefaults.model_validate(document["brought_along"])
    assert brought.windows == WindowSettings(overlap=0.25, blending="bump", average="logits")
    assert read_model_info(folder).prediction == brought
    assert document["segment"] == "napari-pytc segment PROJECT"  # the configuration has no step that makes objects
    assert any(row["outcome"] == "taken" for row in document["keys"])
    assert is_one_error(cli(*words, "--out", folder), "already something")
    assert "moving average" in cli(*words, "--out", tmp_path / "other").out


@pytest.mark.slow
def test_a_model_is_made_with_the_configuration_that_its_checkpoint_holds(cli: Command, tmp_path: Path) -> None:
    config = write_config(tmp_path)
    found = import_config([config])
    held = yaml.safe_load(config.read_text())["default"]
    checkpoint = write_checkpoint(
        tmp_path / "last.ckpt", found, random_network(found), hyper_parameters={"cfg": OmegaConf.create(held)}
    )
    ended = cli("import-model", checkpoint, "--out", tmp_path / "model", "--json")
    assert ended.code == 0, ended.out
    assert ended.document["notes"][0] == "The configuration is the one that the checkpoint last.ckpt holds."
    shown = cli("import-model", checkpoint, "--out", tmp_path / "other")
    assert "The configuration is the one that the checkpoint" in shown.out
    without = write_checkpoint(tmp_path / "a.ckpt", found, random_network(found))
    assert is_one_error(cli("import-model", without, "--out", tmp_path / "b"), "does not hold its configuration")
    assert not (tmp_path / "b").exists()


def test_what_a_flat_file_leaves_open_is_told(cli: Command, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("model: {architecture: rsunet}\noptimization: {val_check_interval: 5}")
    ended = cli("import-recipe", tmp_path / "a.yaml", "--out", tmp_path / "r.yaml", "--json")
    assert "counted batches until February 2026" in ended.document["notes"][0]
    assert "counted batches" in cli("import-recipe", tmp_path / "a.yaml", "--out", tmp_path / "s.yaml").out


@pytest.mark.slow
def test_a_checkpoint_that_cannot_be_leaves_nothing(cli: Command, tmp_path: Path) -> None:
    config = write_config(tmp_path)
    (tmp_path / "a.ckpt").write_bytes(b"PK\x03\x04 and then nothing")
    ended = cli("import-model", tmp_path / "a.ckpt", "--config", config, "--out", tmp_path / "model")
    assert is_one_error(ended, "damaged or no checkpoint")
    assert not (tmp_path / "model").exists()
