from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

from tests.cli.conftest import SHAPE, Command, is_one_error


def test_a_volume_lists_its_datasets(cli: Command, tissue_file: Path):
    document = cli("info", tissue_file, "--json").document
    assert {a["name"] for a in document["arrays"]} == {"raw", "classes", "cells", "strokes"}
    assert document["shape"] == list(SHAPE)
    shown = cli("info", tissue_file).out
    assert "12 x 40 x 44" in shown
    assert "10 x 10 x 10 nm" in shown


def test_a_project(cli: Command, trained: Path):
    document = cli("info", trained, "--json").document
    assert document["kind"] == "project"
    assert document["image_problem"] == ""
    assert document["annotated"]["membrane"] > 0
    assert len(document["models"]) == len(document["predictions"]) == 1
    shown = cli("info", trained).out
    assert "membrane" in shown
    assert "Predictions" in shown


def test_a_model(cli: Command, trained: Path):
    (model,) = (trained / "models").iterdir()
    document = cli("info", model, "--json").document
    assert (document["kind"], document["id"], document["recipe"]) == ("model", model.name, "instant")
    assert document["classes"] == ["membrane", "inside"]
    assert "filter_bank" in cli("info", model).out


def test_a_path_without_anything(cli: Command, tmp_path: Path):
    assert is_one_error(cli("info", tmp_path / "missing.tif"), "missing.tif")
    (tmp_path / "notes.txt").write_text("hello", encoding="utf-8")
    assert cli("info", tmp_path / "notes.txt", "--json").code == 1


def test_info_tells_where_the_first_voxel_lies(cli: Command, tmp_path: Path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["labels"] = np.zeros((4, 8, 8), np.uint8)
        file["labels"].attrs.update({"resolution": [40.0, 4.0, 4.0], "offset": [160.0, 64.0, 0.0], "unit": "nm"})
    assert cli("info", tmp_path / "a.h5", "--json").document["origin_nm"] == [160.0, 64.0, 0.0]
    assert "the first at 160, 64, 0 nm (z, y, x)" in cli("info", tmp_path / "a.h5").out.replace("\n", " ")
