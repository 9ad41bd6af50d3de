"""Targets of channels on the command line: trained, predicted, segmented and exported; wrong ones in one sentence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_pytc.volumes.channels import recipe_of, roles_of
from napari_pytc.volumes.zarr_output import open_ome_zarr
from tests.cli.conftest import Command, is_one_error

SMALL = ("network.channels=[4,8]", "patch_shape=[8,16,16]", "steps=3", "minutes=1", "device=cpu", "precision=float32")
CHANNELS = "target.channels=[{role: classes},{role: foreground},{role: boundary,kept: false},{role: flow}]"


@pytest.mark.slow
def test_classes_and_objects_from_one_training(cli: Command, project: Path, tissue_file: Path, tmp_path: Path) -> None:
    assert cli("annotate", project, f"{tissue_file}:cells", "--instances", "--dense").code == 0
    ended = cli("train", project, "--recipe", "bcd", CHANNELS, *SMALL, "--json")
    assert ended.code == 0, ended.out
    assert {"membrane", "inside", "foreground", "boundary", "flow x"} <= set(ended.document["scores"]["dice"])
    ended = cli("predict", project, "device=cpu", "flips=true", "--json")
    assert ended.code == 0, ended.out
    array = open_ome_zarr(ended.document["output"])
    assert array.channels == ("membrane", "inside", "foreground", "flow z", "flow y", "flow x")
    assert [role.title for role in roles_of(array.attributes, array.channels)] == list(array.channels)
    recipe = recipe_of(array.attributes)
    assert recipe is not None
    assert recipe.classes == ("membrane", "inside")

    ended = cli("segment", project, "--json", "smallest_um3=0")
    assert ended.code == 0, ended.out
    assert any("flow z, flow y, flow x are left out" in note for note in ended.document["notes"])
    assert cli("segment", project, "--decoder", "components", "object_class=foreground").code == 0
    ended = cli("export", project, "--what", "classes", tmp_path / "classes.tif", "--json")
    assert ended.code == 0, ended.out
    assert set(np.unique(tifffile.imread(tmp_path / "classes.tif"))) <= {1, 2}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("target.channels=[{role: foreground, loss: nothing}]", "nothing"),
        ("target.channels=[{role: instance_distance, loss: dice}]", "does not fit channel 0 (instance distance)"),
        ("target.channels=[{role: foreground, activation: softmax}]", "needs two channels or more"),
        ("target.channels=[{role: affinity, offset: [0,0,16]}]", "leads out of every training patch of 8 x 16 x 16"),
        ("target.channels=[{role: banana}]", "banana"),
        ("target.channels=[{role: boundary, thickness: 9}]", "target.channels.0.thickness"),
        ("target.channels=foreground", "target.channels"),
        ("target.channels=[]", "at least one channel"),
        ("target.channels=[{role: classes, names: [membrane, glia]}]", "'glia', which the project does not have"),
    ],
)
def test_what_is_wrong_with_channels_is_told_in_one_sentence(
    cli: Command, project: Path, change: str, words: str
) -> None:
    assert is_one_error(cli("train", project, "--recipe", "bcd", change, *SMALL), words)
    assert is_one_error(cli("train", project, "--recipe", "instant", "target.channels=[{role: foreground}]"), "unet")
