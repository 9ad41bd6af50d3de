from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile

from tests.cli.conftest import SHAPE, Command, is_one_error


@pytest.mark.parametrize("name", ["out.tif", "out.ome.tif", "out.h5", "out.zarr"])
@pytest.mark.parametrize("what", ["classes", "probabilities"])
def test_every_format_opens_again(cli: Command, trained: Path, tmp_path: Path, name: str, what: str):
    out = tmp_path / name
    ended = cli("export", trained, "--what", what, out, "--json")
    assert ended.code == 0, ended.out
    document = ended.document
    assert document["what"] == what
    assert document["shape"] == (list(SHAPE) if what == "classes" else [2, *SHAPE])
    assert document["voxel_size_nm"] == pytest.approx([10, 10, 10])
    seen = cli("info", out, "--json").document
    assert seen["shape"] == list(SHAPE)
    assert seen["voxel_size_nm"] == pytest.approx([10, 10, 10])


def test_other_programs_read_the_same_classes(cli: Command, trained: Path, tmp_path: Path):
    assert cli("export", trained, tmp_path / "a.tif", "--json").code == 0
    assert cli("export", trained, tmp_path / "a.h5", "--dataset", "labels", "--json").code == 0
    with h5py.File(tmp_path / "a.h5") as file:
        labels = file["labels"][...]
    assert set(np.unique(labels)) <= {1, 2}
    assert np.array_equal(tifffile.imread(tmp_path / "a.tif"), labels)


def test_export_a_box_of_a_named_prediction(cli: Command, trained: Path, tmp_path: Path):
    (model,) = cli("models", trained, "--json").document["models"]
    (prediction,) = cli("info", trained, "--json").document["predictions"]
    for number, words in enumerate((("--model", model["id"]), ("--prediction", prediction["id"]))):
        ended = cli("export", trained, tmp_path / f"{number}.h5", *words, "--box", "0:4,2:20,0:30", "--json")
        assert ended.code == 0, ended.out
        assert ended.document["shape"] == [4, 18, 30]


def test_a_file_is_replaced_only_when_told(cli: Command, trained: Path, tmp_path: Path):
    out = tmp_path / "out.tif"
    out.write_bytes(b"precious")
    assert is_one_error(cli("export", trained, out), "out.tif")
    assert out.read_bytes() == b"precious"
    ended = cli("export", trained, out, "--overwrite")
    assert ended.code == 0
    assert "Wrote" in ended.out
    assert tifffile.imread(out).shape == SHAPE


def test_export_explains_what_is_wrong(cli: Command, trained: Path, tmp_path: Path):
    assert is_one_error(cli("export", trained, tmp_path / "out.doc"), ".doc")
    assert is_one_error(cli("export", trained, tmp_path / "out.tif", "--prediction", "none"), "none")
    assert is_one_error(cli("export", trained, tmp_path / "out.tif", "--model", "none"), "none")
    assert is_one_error(cli("export", trained, tmp_path / "out.tif", "--box", "0:99,0:1,0:1"), "0:99")
    assert is_one_error(cli("export", trained, tmp_path / "o.tif", "--model", "m", "--prediction", "p"), "not both")
    assert is_one_error(cli("export", trained, tmp_path / "o.tif", "--what", "colours"), "probabilities", code=2)
    assert not list(tmp_path.glob("o*"))


def test_export_before_any_prediction(cli: Command, tissue_file: Path, tmp_path: Path):
    project = tmp_path / "a.pytc"
    assert cli("new", project, "--image", f"{tissue_file}:raw", "--classes", "a,b", "--json").code == 0
    assert is_one_error(cli("export", project, tmp_path / "out.tif"), "predict")


def test_classes_against_themselves(cli: Command, tissue_file: Path):
    ended = cli("evaluate", f"{tissue_file}:classes", f"{tissue_file}:classes", "--json")
    assert ended.document == {"dice": {"1": 1.0, "2": 1.0}, "iou": {"1": 1.0, "2": 1.0}}
    assert "1.000" in cli("evaluate", f"{tissue_file}:classes", f"{tissue_file}:classes", "--classes").out


def test_ignore_and_box_choose_the_voxels(cli: Command, tmp_path: Path):
    truth = np.zeros((2, 4, 4), np.uint8)
    truth[0], truth[1, 0] = 1, 2
    ours = truth.copy()
    ours[1, 1:] = 1
    np.save(tmp_path / "truth.npy", truth)
    np.save(tmp_path / "ours.npy", ours)
    words = ("evaluate", tmp_path / "ours.npy", tmp_path / "truth.npy", "--json")
    assert cli(*words).document["dice"] == {"1": 1.0, "2": 1.0}
    everywhere = cli(*words, "--ignore", "-1").document["dice"]
    assert everywhere["1"] == pytest.approx(2 * 16 / (16 + 28))
    assert cli(*words, "--ignore", "2").document["dice"]["1"] == pytest.approx(2 * 16 / (16 + 28))
    assert cli(*words, "--ignore", "-1", "--box", "0:1,0:4,0:4").document["dice"] == {"1": 1.0}


def test_instances(cli: Command, tissue_file: Path, tmp_path: Path):
    with h5py.File(tissue_file) as file:
        cells = file["cells"][...]
    np.save(tmp_path / "one.npy", np.ones_like(cells))
    same = cli("evaluate", f"{tissue_file}:cells", f"{tissue_file}:cells", "--instances", "--json").document
    assert (same["voi_split"], same["voi_merge"], same["arand"]) == pytest.approx((0, 0, 0))
    assert (same["average_precision"], same["average_precision_50"]) == (1.0, 1.0)
    merged = cli("evaluate", tmp_path / "one.npy", f"{tissue_file}:cells", "--instances", "--json").document
    share = np.bincount(cells.ravel())[1:] / cells.size
    share = share[share > 0]
    assert merged["voi_split"] == pytest.approx(0)
    assert merged["voi_merge"] == pytest.approx(-(share * np.log2(share)).sum())
    shown = cli("evaluate", tmp_path / "one.npy", f"{tissue_file}:cells", "--instances").out
    assert "bits" in shown
    assert "average precision, IoU 0.5 to 0.95" in shown


def test_evaluate_explains_what_is_wrong(cli: Command, tissue_file: Path, tmp_path: Path):
    np.save(tmp_path / "small.npy", np.ones((1, 2, 3), np.uint8))
    truth = f"{tissue_file}:classes"
    assert is_one_error(cli("evaluate", tmp_path / "small.npy", truth), "shape")
    assert is_one_error(cli("evaluate", truth, truth, "--classes", "--instances"), "not both")
    assert is_one_error(cli("evaluate", f"{tissue_file}:none", truth), "none")
    assert is_one_error(cli("evaluate", tmp_path / "missing.tif", truth), "missing.tif")
