from __future__ import annotations

import json
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.cli.conftest import HELD_OUT, SHAPE, Command, is_one_error


def test_new_makes_a_project(cli: Command, tissue_file: Path, tmp_path: Path):
    project = tmp_path / "a.pytc"
    ended = cli("new", project, "--image", f"{tissue_file}:raw", "--classes", "membrane, inside", "--json")
    assert ended.code == 0
    assert ended.document["shape"] == list(SHAPE)
    assert ended.document["voxel_size_nm"] == [10.0, 10.0, 10.0]
    assert [(c["id"], c["name"]) for c in ended.document["classes"]] == [(1, "membrane"), (2, "inside")]
    assert (project / "project.json").is_file()


def test_new_says_why_a_voxel_size_was_not_taken(cli: Command, tissue_file: Path, tmp_path: Path):
    with h5py.File(tmp_path / "raw.h5", "w") as file:
        file["raw"] = np.zeros((4, 8, 8), np.uint8)
        file["raw"].attrs["resolution"] = [0.04, 0.004, 0.004]
    words = ("new", tmp_path / "a.pytc", "--image", tmp_path / "raw.h5", "--classes", "a")
    assert is_one_error(cli(*words), "would make voxels of 0.04 x 0.004 x 0.004 nm", "--voxel-size")
    ended = cli(*words, "--voxel-size", "40,4,4", "--json").document
    assert ended["voxel_size_nm"] == [40.0, 4.0, 4.0]
    assert ended["notes"] == []


def test_new_prints_what_comes_next(cli: Command, tissue_file: Path, tmp_path: Path):
    project = tmp_path / "a.pytc"
    words = ("--image", f"{tissue_file}:raw", "--classes", "a,b", "--voxel-size", "40,4,4")
    ended = cli("new", project, *words)
    assert ended.code == 0
    assert "40 x 4 x 4 nm" in ended.out
    assert "napari-pytc annotate" in ended.out


def test_new_asks_for_a_voxel_size_that_the_image_does_not_say(cli: Command, tmp_path: Path):
    np.save(tmp_path / "raw.npy", np.zeros((4, 8, 8), np.uint8))
    words = ("new", tmp_path / "a.pytc", "--image", tmp_path / "raw.npy", "--classes", "a")
    assert is_one_error(cli(*words), "how large its voxels are", "--voxel-size")
    assert not (tmp_path / "a.pytc").exists()
    assert cli(*words, "--voxel-size", "40,4,4", "--json").document["voxel_size_nm"] == [40.0, 4.0, 4.0]


def test_new_keeps_a_project_that_is_there_without_overwrite(cli: Command, project: Path, tissue_file: Path):
    words = ("new", project, "--image", f"{tissue_file}:raw", "--classes", "a")
    assert is_one_error(cli(*words), "already")
    assert cli(*words, "--overwrite", "--json").document["classes"][0]["name"] == "a"


@pytest.mark.parametrize("classes", ["", "a,,b", "a,a"])
def test_new_wants_names_of_classes(cli: Command, tissue_file: Path, tmp_path: Path, classes: str):
    ended = cli("new", tmp_path / "a.pytc", "--image", f"{tissue_file}:raw", "--classes", classes, "--json")
    assert ended.code == 1
    assert "name" in ended.document["error"]
    assert not (tmp_path / "a.pytc").exists()


def test_new_lists_the_datasets_when_none_fits(cli: Command, tmp_path: Path):
    with h5py.File(tmp_path / "raw.h5", "w") as file:
        file["one"], file["two"] = np.zeros((4, 8, 8), np.uint8), np.zeros((4, 8, 9), np.uint8)
    ended = cli("new", tmp_path / "a.pytc", "--image", tmp_path / "raw.h5", "--classes", "a")
    assert is_one_error(ended, "one", "two")


def test_new_refuses_a_voxel_size_it_cannot_read(cli: Command, tissue_file: Path, tmp_path: Path):
    words = ("--image", f"{tissue_file}:raw", "--classes", "a", "--voxel-size", "4,4", "--json")
    ended = cli("new", tmp_path / "a.pytc", *words)
    assert ended.code == 1
    assert "Z,Y,X" in ended.document["error"]


def test_hold_out_and_release(cli: Command, project: Path):
    assert cli("hold-out", project, "0:2,0:8,0:8", "--json").document["held_out"] == [HELD_OUT, "0:2,0:8,0:8"]
    assert cli("hold-out", project, HELD_OUT, "--release", "--json").document["held_out"] == ["0:2,0:8,0:8"]
    assert "0:2,0:8,0:8" in cli("hold-out", project, "0:2,0:8,0:8").out


@pytest.mark.parametrize("box", ["0:2,0:8", "0:99,0:8,0:8", "0:0,0:8,0:8"])
def test_hold_out_refuses_a_box_that_cannot_be(cli: Command, project: Path, box: str):
    assert is_one_error(cli("hold-out", project, box), "Z0:Z1,Y0:Y1,X0:X1") if box.count(",") == 2 else True
    assert cli("hold-out", project, box, "--json").code == 1


def test_models_of_a_project_without_any(cli: Command, project: Path):
    assert cli("models", project, "--json").document["models"] == []
    assert "no models yet" in cli("models", project).out


def test_models_lists_date_recipe_and_scores(cli: Command, trained: Path):
    (model,) = cli("models", trained, "--json").document["models"]
    assert model["recipe"] == "instant"
    assert set(model["scores"]["dice"]) == {"membrane", "inside"}
    shown = cli("models", trained).out
    assert model["id"] in shown
    assert "membrane 0." in shown


def test_a_moved_image_is_linked_again(cli: Command, tissue_file: Path, tmp_path: Path):
    image = tmp_path / "here.h5"
    shutil.copy(tissue_file, image)
    project = tmp_path / "a.pytc"
    assert cli("new", project, "--image", f"{image}:raw", "--classes", "a,b", "--json").code == 0
    image.rename(tmp_path / "there.h5")
    told = cli("info", project, "--json").document["image_problem"]
    assert "relink" in told
    ended = cli("relink", project, "--image", f"{tmp_path / 'there.h5'}:raw", "--json")
    assert ended.code == 0
    assert cli("info", project, "--json").document["image_problem"] == ""


@pytest.mark.parametrize(
    "words", [("models",), ("train",), ("predict",), ("hold-out", "0:1,0:1,0:1"), ("export", "out.tif")]
)
def test_a_folder_that_is_no_project_is_an_error(cli: Command, tmp_path: Path, words: tuple[str, ...]):
    command, *rest = words
    ended = cli(command, tmp_path / "none.pytc", *rest)
    assert is_one_error(ended, "none.pytc")


def test_a_project_of_a_newer_version_is_refused(cli: Command, project: Path):
    content = json.loads((project / "project.json").read_text(encoding="utf-8"))
    (project / "project.json").write_text(json.dumps({**content, "schema_version": 999}), encoding="utf-8")
    assert is_one_error(cli("models", project), "999", "upgrade")
