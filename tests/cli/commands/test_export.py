from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile

from tests.cli.conftest import SHAPE, Command, is_one_error


@pytest.mark.slow
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


def test_a_file_is_replaced_only_with_overwrite(cli: Command, trained: Path, tmp_path: Path):
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


def test_a_report_of_a_whole_project(cli: Command, segmented: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.html"
    ended = cli("report", segmented, target, "--json")
    assert ended.code == 0, ended.out
    document = ended.document
    assert document["page"] == str(target)
    assert [one["state"] for one in document["predictions"]] == ["finished"]
    (segmentation,) = document["segmentations"]
    text = target.read_text(encoding="utf-8")
    assert len(text.encode()) == document["bytes"]
    assert segmentation["checksum"][:12] in text
    for title in ("Raw", "Strokes", "Prediction: the most probable class", "Segments"):
        assert f"<figcaption>{title}</figcaption>" in text
    assert "--decoder" in text
    assert is_one_error(cli("report", segmented, target), "already")
    assert "open it in any browser" in cli("report", segmented, target, "--overwrite").out


def test_no_project_is_no_report(cli: Command, tmp_path: Path) -> None:
    assert is_one_error(cli("report", tmp_path / "none.pytc", tmp_path / "out.html"))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a.zarr", "a.precomputed", "a.nii.gz", "a.mrc", "a.tif", "a.h5"])
def test_the_image_and_segments_in_every_kind_of_file(
    cli: Command, segmented: Path, tissue_file: Path, tmp_path: Path, name: str
) -> None:
    ended = cli("export", segmented, tmp_path / name, "--what", "image", "--json")
    assert ended.code == 0, ended.out
    assert ended.document["shape"] == list(SHAPE)
    assert isinstance(ended.document["notes"], list)
    words = ("--dtype", "uint16") if name == "a.mrc" else ()
    ended = cli("export", segmented, tmp_path / f"s-{name}", "--what", "segments", *words, "--json")
    assert ended.code == 0, ended.out
    assert ended.document["bytes"] > 0


def test_options_of_formats(cli: Command, trained: Path, tmp_path: Path) -> None:
    ended = cli("export", trained, tmp_path / "a.zarr", "--ome", "0.4", "--no-pyramid", "--dtype", "uint64", "--json")
    assert ended.code == 0, ended.out
    assert ended.document["dtype"] == "uint64"
    assert ended.document["levels"] == [list(SHAPE)]
    assert (tmp_path / "a.zarr" / ".zattrs").is_file()
    assert cli("export", trained, tmp_path / "a.h5", "--layout", "cremi", "--what", "image", "--json").code == 0
    with h5py.File(tmp_path / "a.h5") as file:
        assert list(file["volumes/raw"].attrs["resolution"]) == [10, 10, 10]
    assert cli("export", trained, tmp_path / "sections", "--format", "png-series", "--json").code == 0
    assert len(list((tmp_path / "sections").glob("*.png"))) == SHAPE[0]
    told = cli("export", trained, tmp_path / "b.h5", "--dtype", "uint16")
    assert "Note: Voxels are uint8 and were written as uint16." in told.err
    assert is_one_error(cli("export", trained, tmp_path / "b.tif", "--ome", "0.4"), "no option ome")
    assert is_one_error(cli("export", trained, tmp_path / "b.zarr", "--what", "image", "--model", "m"), "no --model")
