"""A volume of which two of three channels are used, from the image to results of other images."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile

from napari_pytc.geometry import Box
from napari_pytc.volumes.opening import open_volume
from tests.cli.conftest import Command, is_one_error
from tests.support.tissue import Tissue, draw_strokes, make_tissue

pytestmark = pytest.mark.slow

SHAPE = (8, 40, 44)
MACHINE = ("device=cpu", "precision=float32")
SIZE_OF = {f"PhysicalSize{a}": v for a, v in zip("ZYX", (40, 10, 10), strict=True)} | {
    f"PhysicalSize{a}Unit": "nm" for a in "ZYX"
}


@pytest.fixture(scope="module")
def tissue() -> Tissue:
    return make_tissue(SHAPE, n_cells=10)


def write(path: Path, tissue: Tissue, names: tuple[str, ...] = ("noise", "blank", "stain")) -> Path:
    """Cells are seen in one channel, `stain`, alone."""
    noise = np.random.default_rng(0).integers(60, 200, SHAPE)
    stain = np.where(tissue.classes == 2, 180, 60) + np.random.default_rng(1).integers(-20, 20, SHAPE)
    found = {"noise": noise, "blank": np.zeros(SHAPE, int), "stain": stain}
    data = np.stack([found[name] for name in names]).astype(np.uint8)
    metadata = {"axes": "CZYX", "Channel": {"Name": list(names)}, **SIZE_OF}
    tifffile.imwrite(path, data, metadata=metadata, photometric="minisblack")
    return path


@pytest.fixture(scope="module")
def trained(cli: Command, tissue: Tissue, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A project of the channels 0 and 2 with an instant model and its prediction, and the model's folder."""
    folder = tmp_path_factory.mktemp("channels")
    image, project = write(folder / "a.ome.tif", tissue), folder / "p.pytc"
    with h5py.File(folder / "strokes.h5", "w") as file:
        file["strokes"] = draw_strokes(tissue.classes, n_strokes=30, length=12)
    for words in (
        ("new", project, "--image", image, "--classes", "membrane,inside", "--channel", "0,2"),
        ("annotate", project, folder / "strokes.h5:strokes"),
        ("train", project, "--recipe", "instant", *MACHINE),
        ("predict", project, *MACHINE),
    ):
        ended = cli(*words)
        assert ended.code == 0, ended.err
    (model,) = (project / "models").iterdir()
    return project, model


def dice(path: Path, truth: np.ndarray) -> float:
    found = open_volume(path).read(Box.of_shape(SHAPE))
    return min(
        2 * np.count_nonzero((found == k) & (truth == k)) / np.count_nonzero([found == k, truth == k]) for k in (1, 2)
    )


def test_the_model_learns_from_the_second_channel(
    cli: Command, trained: tuple[Path, Path], tissue: Tissue, tmp_path: Path
) -> None:
    project, model = trained
    assert cli("export", project, tmp_path / "c.tif").code == 0
    assert dice(tmp_path / "c.tif", tissue.classes) > 0.85, "the first channel is noise"
    told = cli("info", model, "--json").document
    assert (told["n_inputs"], told["input_names"]) == (2, ["noise", "stain"])
    assert "2 (noise, stain)" in cli("info", model).out


def test_it_is_applied_to_files_with_the_same_channels(
    cli: Command, trained: tuple[Path, Path], tissue: Tissue, tmp_path: Path
) -> None:
    write(tmp_path / "b.ome.tif", tissue)
    words = ("apply", trained[1], tmp_path / "b.ome.tif", "--out", tmp_path / "out", "--set", "device=cpu")
    assert cli(*words, "--channel", "0,2").code == 0
    assert dice(tmp_path / "out" / "b_classes.tif", tissue.classes) > 0.85
    for channel, came in (("all", "3 channels"), ("2", "one channel")):
        failed = cli(*words, "--channel", channel, "--json")
        (row,) = failed.document["rows"]
        assert failed.code == 1
        assert f"takes images of 2 channels (noise, stain); the image has {came}." in row["error"]
        assert "--channel" in row["hint"]


def test_channels_of_other_names_are_told(
    cli: Command, trained: tuple[Path, Path], tissue: Tissue, tmp_path: Path
) -> None:
    image = write(tmp_path / "b.ome.tif", tissue)
    words = ("predict", "--model", trained[1], "--image", image, *MACHINE, "--output")
    turned = cli(*words, tmp_path / "a.zarr", "--channel", "2,0", "--json").document["notes"]
    assert any(
        "learned the channels noise, stain, in this order; the image is read with stain, noise" in n for n in turned
    )
    same = cli(*words, tmp_path / "b.zarr", "--channel", "0,2", "--json").document["notes"]
    assert not any("in this order" in note for note in same)
    assert is_one_error(cli(*words, tmp_path / "c.zarr", "--channel", "0"), "the image has one channel", "--channel")
    assert not (tmp_path / "c.zarr").exists()


def test_volumes_of_other_channels_are_refused_before_any_work(
    cli: Command, trained: tuple[Path, Path], tissue: Tissue, tmp_path: Path
) -> None:
    project, model = trained
    image = write(tmp_path / "b.ome.tif", tissue)
    added = cli("add", project, "--image", image, "--channel", "2", "--name", "one", "--json")
    assert added.code == 0
    refused = cli("predict", project, "--volume", "one", *MACHINE)
    assert is_one_error(
        refused, f"The model {model.name} takes images of 2 channels", "the image of one has one channel"
    )
    assert not list((project / "volumes" / "v2").glob("predictions/*"))
    both = cli("train", project, "--volumes", "a,one", *MACHINE)
    assert is_one_error(both, "the volume 'a' has 2, the volume 'one' has 1", "--volumes")
    start = cli("train", project, "--volumes", "one", "--from", model.name, *MACHINE)
    assert is_one_error(start, "takes images of 2 channels", "the image of one has one channel")
    assert cli("remove", project, "one", "--yes").code == 0
