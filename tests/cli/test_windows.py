"""A network of windows, from strokes to results of other images, by the command line."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from napari_pytc.geometry import Box
from napari_pytc.volumes.opening import open_volume
from tests.cli.conftest import Command, is_one_error
from tests.support.tissue import Tissue, draw_strokes, make_tissue

pytestmark = pytest.mark.slow

SHAPE = (12, 40, 48)
MACHINE = ("device=cpu", "precision=float32")
NETWORK = ("network.kind=monai_basic_unet3d", "network.channels=[4,4,4,4,4,4]", "patch_shape=[16,32,32]", "steps=2")


@pytest.fixture(scope="module")
def tissue() -> Tissue:
    return make_tissue(SHAPE, n_cells=10)


@pytest.fixture(scope="module")
def trained(cli: Command, tissue: Tissue, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A project with a network of two steps and its prediction, and the model's folder."""
    folder = tmp_path_factory.mktemp("windows")
    with h5py.File(folder / "raw.h5", "w") as file:
        file["raw"] = tissue.raw
        file["raw"].attrs["resolution"] = (40.0, 10.0, 10.0)
        file["strokes"] = draw_strokes(tissue.classes, n_strokes=30, length=12)
    project, image = folder / "p.pytc", f"{folder / 'raw.h5'}:raw"
    for words in (
        ("new", project, "--image", image, "--classes", "membrane,inside", "--voxel-size", "40,10,10"),
        ("annotate", project, f"{folder / 'raw.h5'}:strokes"),
        ("hold-out", project, "0:12,0:40,24:48"),
        ("train", project, "--recipe", "fast", "guess_weight=0", *NETWORK, *MACHINE),
        ("predict", project, *MACHINE),
    ):
        ended = cli(*words)
        assert ended.code == 0, (words, ended.err)
    (model,) = (project / "models").iterdir()
    return project, model


def test_the_model_is_scored_and_says_how_it_predicts(cli: Command, trained: tuple[Path, Path]) -> None:
    project, model = trained
    provenance = json.loads((model / "provenance.json").read_text())
    assert (provenance["limits"], provenance["window_shape"]) == (None, [16, 32, 32])
    assert json.loads((model / "scores.json").read_text())["mean"] is not None
    listed = cli("models", project).out
    assert "predicts in" in listed
    assert "overlapping" in listed
    (record,) = json.loads(cli("models", project, "--json").out)["models"]
    assert record["tiling"] == "overlapping windows of 16 x 32 x 32"


def test_other_windows_are_another_prediction_and_go_on(cli: Command, trained: tuple[Path, Path]) -> None:
    project, _ = trained
    predictions = next((project / "volumes").iterdir()) / "predictions"
    before = {path.name for path in predictions.iterdir()}
    words = ("predict", project, "windows.overlap=0.25", "windows.blending=bump", *MACHINE, "--json")
    first, second = json.loads(cli(*words).out), json.loads(cli(*words).out)
    assert first["output"] == second["output"]
    assert second["tiles_done_before"] == second["tiles"]
    assert any("overlapping windows of 16 x 32 x 32" in note for note in first["notes"])
    assert {path.name for path in predictions.iterdir()} - before == {Path(first["output"]).name}
    assert "windows_patch_0p25_bump" in Path(first["output"]).name


def test_windows_that_the_network_does_not_take_are_one_error(cli: Command, trained: tuple[Path, Path]) -> None:
    ended = cli("predict", trained[0], "windows.shape=[10,32,32]", *MACHINE)
    is_one_error(ended, "multiples of 16 x 16 x 16 voxels, got 10 x 32 x 32")


def test_a_prediction_is_evaluated_and_the_model_applied_to_a_file(
    cli: Command, trained: tuple[Path, Path], tissue: Tissue, tmp_path: Path
) -> None:
    _, model = trained
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["raw"] = tissue.raw
        file["raw"].attrs["resolution"] = (40.0, 10.0, 10.0)
        file["truth"] = tissue.classes
    machine = [word for setting in (*MACHINE, "windows.overlap=0.25") for word in ("--set", setting)]
    ended = cli("apply", model, f"{tmp_path / 'other.h5'}:raw", "--out", tmp_path / "out", *machine)
    assert ended.code == 0, ended.err
    written = tmp_path / "out" / "other_classes.tif"
    found = open_volume(written).read(Box.of_shape(SHAPE))
    assert set(np.unique(found)) <= {1, 2}
    ended = cli("evaluate", written, f"{tmp_path / 'other.h5'}:truth", "--json")
    assert ended.code == 0, ended.err
    assert set(json.loads(ended.out)["dice"]) == {"1", "2"}


def test_live_says_why_it_does_not_take_such_a_network() -> None:
    from napari_pytc.errors import InvalidInput
    from napari_pytc.plans.live_plan import LivePlan
    from napari_pytc.plans.recipes import load_recipe

    plan = LivePlan(network=load_recipe("fast", ["network.kind=monai_basic_unet3d"]))
    with pytest.raises(InvalidInput, match="overlapping windows"):
        plan.check()
    LivePlan(network=plan.network, instant_only=True).check()
