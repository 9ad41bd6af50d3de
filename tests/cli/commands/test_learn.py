from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from napari_pytc.cli.commands import learn
from napari_pytc.errors import InvalidInput
from napari_pytc.plans.recipes import load_recipe
from tests.cli.conftest import SHAPE, TINY, Command, is_one_error

CPU = ("device=cpu", "precision=float32")


def test_train_ends_with_id_folder_and_scores(cli: Command, project: Path):
    ended = cli("train", project, "--recipe", "instant", *TINY, "--json")
    assert ended.code == 0, ended.out
    document = ended.document
    assert Path(document["folder"]) == project / "models" / document["model"]
    assert (Path(document["folder"]) / "weights.safetensors").is_file()
    assert set(document["scores"]["dice"]) == {"membrane", "inside"}
    assert document["steps"] == 6


def test_train_shows_people_the_scores(cli: Command, project: Path):
    ended = cli("train", project, "--recipe", "instant", *TINY)
    assert ended.code == 0
    assert "is trained: 6 steps" in ended.out
    assert "membrane" in ended.out


@pytest.mark.slow
def test_train_a_network_from_a_copied_recipe_and_go_on_from_it(cli: Command, project: Path, tmp_path: Path):
    recipe = tmp_path / "mine.yaml"
    assert cli("recipes", "fast", "--copy", recipe, "--json").code == 0
    recipe.write_text(recipe.read_text(encoding="utf-8").replace("[16, 32, 64]", "[4, 8]"), encoding="utf-8")
    tiny = ("--steps", 2, "patch_shape=[4,16,16]", "batch_size=1", "guess_weight=0", *CPU, "--json")
    first = cli("train", project, "--recipe", recipe, *tiny)
    assert first.code == 0, first.out
    second = cli("train", project, "--from", first.document["model"], "seed=1", *CPU, "--json")  # its recipe
    assert second.code == 0, second.out
    models = {m["id"]: m for m in cli("models", project, "--json").document["models"]}
    assert models[second.document["model"]]["parent"] == first.document["model"]
    assert models[second.document["model"]]["recipe"] == "mine"
    assert second.document["steps"] == 2
    third = cli("train", project, "--from", first.document["model"], "--recipe", "accurate", *TINY)
    assert is_one_error(third, "fits the network", "own recipe")
    near = cli("train", project, "--from", first.document["model"], "--recipe", "instant", *TINY)
    assert near.code == 0, near.out  # takes the model's answers, none of its weights


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--recipe", "fat"), "fat"),
        (("--recipe", "mine.yaml"), "mine.yaml"),
        (("--steps", "5", "--minutes", "1"), "not both"),
        (("stepz=5",), "stepz"),
        (("steps=many",), "steps"),
        (("steps",), "key=value"),
        (("--from", "nothing"), "nothing"),
        (("decoder={kind: watershd}",), "No decoder is called 'watershd'."),
        (("decoder={kind: watershed, smalest: 1}",), "no setting 'smalest'"),
        (("watching.score=nonsense",), "No score is called 'nonsense'"),
        (
            ("network.kind=unet", "guess_weight=0", "patch_shape=[2,2,2]", "device=cpu"),
            "needs several of them",
        ),
    ],
)
def test_train_explains_what_is_wrong(cli: Command, project: Path, words: tuple[str, ...], told: str):
    assert told in cli("train", project, *words, "--json").document["error"]
    assert cli("train", project, *words).code == 1
    assert not list((project / "models").iterdir())
    assert not (project / "runs").exists() or not list((project / "runs").iterdir())


@pytest.mark.slow
def test_a_trial_tries_everything_and_keeps_nothing(cli: Command, project: Path):
    before = sorted(path for path in project.rglob("*") if path.suffix != ".sqlite-wal")
    page = Path(__file__).parents[3] / "docs" / "architectures-and-losses.md"
    (line,) = re.findall(
        r"^\$ napari-pytc train cells.pytc (.*--fast-dev-run.*)$", page.read_text("utf-8"), re.MULTILINE
    )
    ended = cli("train", project, *shlex.split(line), "network.channels=[4,8]", *CPU)
    assert ended.code == 0, ended.out
    assert "The trial worked: 2 steps" in ended.out
    assert sorted(path for path in project.rglob("*") if path.suffix != ".sqlite-wal") == before
    document = cli("train", project, "--recipe", "instant", "--fast-dev-run", *CPU, "--json").document
    assert document["trial"]
    assert document["steps"] == 2
    assert set(document["scores"]["dice"]) == {"membrane", "inside"}
    losses = cli("train", project, "--recipe", "fast", "--fast-dev-run", "losses=[bce]", *CPU)
    assert is_one_error(losses, "'bce' does not fit channel 0 (membrane)", "dice_ce")


@pytest.mark.parametrize("words", [("--steps", 5), ("--minutes", 1), ("--profile",)])
def test_what_does_not_go_with_a_trial_is_told_before_anything_is_opened(
    cli: Command, tmp_path: Path, words: tuple[object, ...]
):
    refused = cli("train", tmp_path / "none.pytc", "--fast-dev-run", *words)
    assert is_one_error(refused, "keeps nothing", str(words[0]))


@pytest.mark.slow
def test_a_profile_lies_beside_the_model(cli: Command, project: Path):
    words = ("network.channels=[4,8]", "guess_weight=0", "batch_size=1", "patch_shape=[4,16,16]", *CPU)
    ended = cli("train", project, "--recipe", "fast", "--profile", "--steps", 10, *words, "--json")
    assert ended.code == 0, ended.out
    folder = Path(ended.document["folder"])
    assert (folder / "profile.txt").is_file()
    assert (folder / "profile-trace.json").is_file()
    assert any("profile.txt" in note for note in ended.document["notes"])


def test_train_without_strokes_is_reported(cli: Command, tissue_file: Path, tmp_path: Path):
    project = tmp_path / "a.pytc"
    assert cli("new", project, "--image", f"{tissue_file}:raw", "--classes", "a,b", "--json").code == 0
    assert is_one_error(cli("train", project, "--recipe", "instant", *TINY), "strokes")


def test_limits_of_the_command_line_lift_those_of_the_recipe():
    by_steps = learn.training_plan("fast", [], 7, None)
    assert (by_steps.steps, by_steps.minutes) == (7, None)
    by_minutes = learn.training_plan("fast", [], None, 2.5)
    assert (by_minutes.steps, by_minutes.minutes) == (learn.FOREVER, 2.5)
    both = learn.training_plan("fast", ["minutes=1"], 7, None)
    assert (both.steps, both.minutes) == (7, 1)


def test_predict_in_a_project_resumes(cli: Command, trained: Path):
    again = cli("predict", trained, *CPU, "--json")
    assert again.code == 0, again.out
    assert again.document["tiles_done_before"] == again.document["tiles"]
    boxed = cli("predict", trained, "--box", "0:4,0:16,0:16", "--focus", "2,8,8", *CPU)
    assert boxed.code == 0
    assert "Mvoxel/s" in boxed.out


def test_predict_with_flips_is_another_prediction(cli: Command, trained: Path):
    ended = cli("predict", trained, "--tta", "--box", "0:4,0:16,0:16", *CPU, "--json")
    assert ended.code == 0, ended.out
    assert ended.document["output"] != cli("info", trained, "--json").document["predictions"][0]["folder"]


def test_copies_are_told_recorded_and_resumed(cli: Command, trained: Path):
    words = ("predict", trained, "tta.turns=true", "tta.flips=[y]", "tta.combine=min", "--box", "0:4,0:16,0:16", *CPU)
    first, second = (cli(*words, "--json") for _ in range(2))
    assert first.code == second.code == 0, first.out
    assert any(note.startswith("Test-time augmentation: 8 copies") for note in first.document["notes"])
    assert first.document["output"] == second.document["output"]
    assert second.document["tiles_done_before"] == second.document["tiles"]
    records = cli("info", trained, "--json").document["predictions"]
    (record,) = (one for one in records if one["folder"] == first.document["output"])
    assert (record["flips"], json.loads(record["tta"])) == (False, {"combine": "min", "flips": ["y"], "turns": True})
    assert is_one_error(cli("predict", trained, "tta.flips=[w]", *CPU), "tta.flips")
    assert is_one_error(cli("predict", trained, "--tta", "tta.flips=plane", *CPU), "flips=true mirrors along all axes")
    assert is_one_error(cli("predict", trained, "tta.scales=[0.5]", *CPU), "1 among them")


def test_the_examples_of_test_time_augmentation_run(cli: Command, trained: Path, tissue_file: Path, tmp_path: Path):
    page = (Path(__file__).parents[3] / "docs" / "prediction.md").read_text(encoding="utf-8")
    lines = page.partition("## Test-time augmentation")[2].splitlines()
    commands = [shlex.split(line.removeprefix("$ napari-pytc ")) for line in lines if line.startswith("$ napari-pytc ")]
    assert [words[0] for words in commands] == ["predict"] * 3 + ["apply"]
    (model,) = (trained / "models").iterdir()
    places = {
        "cells.pytc": trained,
        "models/mine": model,
        "data/": f"{tissue_file}:raw",
        "results": tmp_path / "results",
    }
    for words in commands:
        machine = ["--box", "0:4,0:16,0:16", *CPU] if words[0] == "predict" else []
        ended = cli(*(places.get(word, word) for word in words), *machine, "--json")
        assert ended.code == 0, (words, ended.out)
        assert any(note.startswith("Test-time augmentation: ") for note in _notes(ended.document)), words


def _notes(document: dict[str, Any]) -> list[str]:
    return [*document["notes"], *(note for row in document.get("rows", ()) for note in row["notes"])]


def test_predict_without_a_project(cli: Command, trained: Path, tissue_file: Path, tmp_path: Path):
    (model,) = (trained / "models").iterdir()
    output = tmp_path / "out.zarr"
    words = ("--model", model, "--image", f"{tissue_file}:raw", "--output", output)
    ended = cli("predict", *words, *CPU, "--json")
    assert ended.code == 0, ended.out
    assert ended.document["output"] == str(output)
    metadata = json.loads((output / "zarr.json").read_text(encoding="utf-8"))
    (scales,) = metadata["attributes"]["ome"]["multiscales"]
    assert metadata["attributes"]["ome"]["version"] == "0.5"
    assert [axis["name"] for axis in scales["axes"]] == ["c", "z", "y", "x"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "project"),
        (("--model", "m", "--image", "i"), "--output"),
        (("--model", "m", "--image", "i", "--output", "o.tif"), ".zarr"),
        (("--model", "m", "--image", "i", "--output", "o.zarr"), "model"),
        (("--model", "m", "device=cpu"), "project"),
    ],
)
def test_predict_explains_what_is_wrong(cli: Command, words: tuple[str, ...], told: str):
    ended = cli("predict", *words, "--json")
    assert ended.code == 1
    assert told in ended.document["error"]


def test_predict_takes_a_project_or_a_volume(cli: Command, trained: Path):
    assert is_one_error(cli("predict", trained, "--image", "raw.h5"), "both")
    assert is_one_error(cli("predict", trained, "tile_shap=3"), "tile_shap")
    assert is_one_error(cli("predict", trained, "--box", "0:1,0:1"), "Z0:Z1")
    assert is_one_error(cli("predict", trained, "--model", "other"), "other")


def test_predict_refuses_weights_that_are_a_pickle(cli: Command, trained: Path):
    (model,) = (trained / "models").iterdir()
    (model / "weights.safetensors").write_bytes(b"\x80\x04}q\x00.")
    ended = cli("predict", trained, "--box", "0:4,0:8,0:8", *CPU)
    assert is_one_error(ended, "weights.safetensors")


def test_recipes_are_listed_and_printed(cli: Command):
    names = [recipe["name"] for recipe in cli("recipes", "--json").document["recipes"]]
    assert names[:3] == ["instant", "fast", "accurate"]
    assert "instant" in cli("recipes").out
    assert f"kind: {load_recipe('fast').network.kind}" in cli("recipes", "fast").out
    assert cli("recipes", "fast", "--json").document["settings"] == load_recipe("fast").model_dump(mode="json")


def test_a_recipe_is_not_copied_over_a_file(cli: Command, tmp_path: Path):
    target = tmp_path / "mine.yaml"
    assert "--recipe" in cli("recipes", "instant", "--copy", target).out
    assert is_one_error(cli("recipes", "instant", "--copy", target), "already")
    assert cli("recipes", "instant", "--copy", tmp_path / "mine.txt").code == 1
    assert is_one_error(cli("recipes", "--copy", target), "name it")
    assert is_one_error(cli("recipes", "none"), "none", "instant")


def test_settings_of_a_prediction():
    plan = learn.prediction_plan(["tile_shape=[8,16,16]", "device=cpu"], tta=True)
    assert (plan.tile_shape, plan.device, plan.flips) == ((8, 16, 16), "cpu", True)
    with pytest.raises(InvalidInput, match="device"):
        learn.prediction_plan(["device=abacus"], tta=False)


def test_a_float_volume_with_gaps_goes_through(cli: Command, tmp_path: Path):
    raw = np.random.default_rng(0).normal(0, 1, SHAPE).astype(np.float32)
    raw[0, :4, :4], raw[1, 0, 0] = np.nan, np.inf
    labels = np.zeros(SHAPE, np.uint8)
    labels[2:9, 5:20, 5:20], labels[2:9, 25:35, 5:20] = 1, 2
    with h5py.File(tmp_path / "float.h5", "w") as file:
        file["raw"], file["labels"] = raw, labels
    project = tmp_path / "a.pytc"
    image = f"{tmp_path / 'float.h5'}:raw"
    assert cli("new", project, "--image", image, "--classes", "a,b", "--voxel-size", "9,9,9").code == 0
    assert cli("annotate", project, f"{tmp_path / 'float.h5'}:labels", "--json").code == 0
    ended = cli("train", project, "--recipe", "instant", *TINY, "--json")
    assert ended.code == 0, ended.out
    assert "held out" in ended.err
    assert cli("predict", project, *CPU, "--json").code == 0
