from __future__ import annotations

from pathlib import Path

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
