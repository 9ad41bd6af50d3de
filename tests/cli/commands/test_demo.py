from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_pytc.cli.commands import demo
from napari_pytc.cli.picture import PictureRow, coloured, draw_picture
from napari_pytc.geometry import Box
from napari_pytc.samples import sample_path
from tests.cli.conftest import SHAPE, Command, is_one_error


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, tissue_file: Path) -> None:
    """A demo on a tissue of some thousand voxels."""
    monkeypatch.setattr(demo, "_sample_name", lambda dataset: f"{tissue_file}:{dataset}")
    monkeypatch.setattr(demo, "SCORED", "8:10,0:40,0:44")
    monkeypatch.setattr(demo, "TESTED", "10:12,0:40,0:44")
    monkeypatch.setattr(demo, "HELD_OUT", "8:12,0:40,0:44")


@pytest.mark.slow
def test_the_demo_goes_from_strokes_to_files(cli: Command, small: None, tmp_path: Path):
    out = tmp_path / "demo"
    ended = cli("demo", "--out", out, "--minutes", "0.02", "--json")
    assert ended.code == 0, ended.out
    document = ended.document
    assert [one["recipe"] for one in document["models"]] == ["instant", "fast"]
    for one in document["models"]:
        assert set(one["dice"]) == {"membrane", "inside"}
        assert one["mvoxel_per_s"] > 0
    assert document["exported"] in {one["model"] for one in document["models"]}
    classes = tifffile.imread(document["files"]["tiff"])
    with h5py.File(document["files"]["hdf5"]) as file:
        probabilities = file["main"][...]
    assert classes.shape == SHAPE
    assert probabilities.shape == (2, *SHAPE)
    assert np.array_equal(classes, probabilities.argmax(axis=0) + 1)
    with Image.open(document["files"]["picture"]) as picture:
        assert picture.width > 4 * SHAPE[2]
    for step in range(1, demo.N_STEPS + 1):
        assert f"{step}/{demo.N_STEPS} " in ended.err

    (out / "mine.txt").write_text("keep me", encoding="utf-8")
    again = cli("demo", "--out", out, "--minutes", "0.02")
    assert again.code == 0, again.err
    assert "Dice membrane" in again.out
    assert "classes.tif" in again.out
    assert (out / "mine.txt").read_text(encoding="utf-8") == "keep me"
    assert len(list((out / demo.PROJECT / "models").iterdir())) == 2


def test_the_demo_keeps_away_from_other_folders(cli: Command, small: None, tmp_path: Path):
    (tmp_path / "thesis.doc").write_text("precious", encoding="utf-8")
    assert is_one_error(cli("demo", "--out", tmp_path), "--out")
    assert is_one_error(cli("demo", "--out", tmp_path / "thesis.doc"), "is a file")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.doc"]
    assert cli("demo", "--out", tmp_path / "new", "--minutes", "0", "--json").code == 1
    assert not (tmp_path / "new").exists()


def test_the_bundled_sample_has_what_the_demo_says():
    held, scored, tested = (Box.parse(text) for text in (demo.HELD_OUT, demo.SCORED, demo.TESTED))
    with h5py.File(sample_path("medulla")) as file:
        assert Box.of_shape(file["raw"].shape).contains(held)
        strokes, classes = file["strokes"][...], file["classes"][...]
    assert held.contains(scored)
    assert held.contains(tested)
    assert not scored.overlaps(tested)
    assert set(np.unique(strokes)) == {0, 1, 2}
    assert not strokes[held.slices].any()
    assert set(np.unique(classes[tested.slices])) >= {1, 2}


def test_classes_tint_the_raw():
    raw, labels = np.full((2, 2), 100, np.uint8), np.array([[0, 1], [2, 2]])
    palette = np.array([(0, 0, 0), (255, 0, 0), (0, 255, 0)], np.uint8)
    tinted = coloured(raw, labels, palette, strength=0.5)
    assert tinted[0, 0].tolist() == [100, 100, 100]
    assert tinted[0, 1].tolist() == [177, 50, 50]
    assert tinted[1, 0].tolist() == [50, 177, 50]


def test_a_picture_has_a_column_for_each_title(tmp_path: Path):
    raw = np.zeros((20, 30), np.uint8)
    rows = [PictureRow("one", raw, [raw, raw + 1]), PictureRow("two", raw, [raw + 1, raw])]
    draw_picture(tmp_path / "a.png", ("raw", "a", "b"), rows, [("membrane", "#ff0000")], "somebody")
    with Image.open(tmp_path / "a.png") as picture:
        pixels = np.asarray(picture.convert("RGB")).astype(int)
    red = (pixels[..., 0] > 120) & (pixels[..., 1] < 40)
    # Two tinted cells of 20 x 30 voxels at twice their size, and the square of the legend.
    assert 2 * 4 * 600 <= red.sum() <= 2 * 4 * 600 + 19 * 19


def test_the_window_is_a_program_of_its_own_in_the_same_folder(
    cli: Command, small: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    calls: list[list[str]] = []

    def run(command: list[str], check: bool) -> subprocess.CompletedProcess[str]:
        calls.append(command)
        return subprocess.CompletedProcess(command, len(calls) - 1)

    monkeypatch.setattr(demo.subprocess, "run", run)
    out = tmp_path / "demo"
    ended = cli("demo", "--window", "--out", out, "--json")
    assert ended.code == 0
    assert calls == [[sys.executable, "-m", "napari_pytc.ui.demo", str(out)]]
    again = cli("demo", "--window", "--out", out)
    assert again.code != 0
    assert "exit code 1" in again.err


def test_a_file_is_no_folder_for_the_window(cli: Command, tmp_path: Path):
    (tmp_path / "demo").write_text("mine")
    ended = cli("demo", "--window", "--out", tmp_path / "demo")
    assert ended.code != 0
    assert (tmp_path / "demo").read_text() == "mine"
