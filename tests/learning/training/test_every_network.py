"""Every kind of network goes the whole way: a step of a recipe, a folder, a prediction."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from napari_pytc.geometry import Box
from napari_pytc.learning.training.train import train
from napari_pytc.plans.networks import NetworkSettings
from napari_pytc.plans.recipes import load_recipe
from napari_pytc.plans.specs import PredictJob
from napari_pytc.volumes.spec import NpySpec
from napari_pytc.volumes.zarr_output import open_ome_zarr
from tests.support.contexts import RecordingContext
from tests.support.learning import folders, tissue, training_data
from tests.support.networks import SMALL

CHANGES = ("steps=1", "batch_size=1", "guess_weight=0", "validate_every=1", "device=cpu", "precision=float32")
BOX = Box((0, 0, 0), (8, 16, 16))


@pytest.mark.slow
@pytest.mark.parametrize("kind", SMALL)
def test_every_kind_is_trained_by_a_recipe_and_predicts(tmp_path: Path, kind: str) -> None:
    of = tissue()
    multiple = NetworkSettings.parse({"kind": kind, **SMALL[kind]}).window_multiple(of.space)
    z, y, x = (max(n, m) for n, m in zip((8, 16, 16), multiple, strict=True))
    patch = [z, y, 2 * x]  # more than a voxel on the deepest level
    changes = [f"network.{name}={json.dumps(value)}" for name, value in SMALL[kind].items()]
    plan = load_recipe("accurate", [f"network.kind={kind}", *changes, f"patch_shape={patch}", *CHANGES])
    done = train(plan, training_data(of), folders(tmp_path), RecordingContext())
    assert done.info.steps == 1
    assert done.info.scores["mean"] is not None

    np.save(tmp_path / "raw.npy", of.raw)
    image = NpySpec(path=tmp_path / "raw.npy", voxel_size_nm=of.space.voxel_size_nm)
    machine = {"device": "cpu", "precision": "float32"}
    job = PredictJob(image=image, model=done.folder, output=tmp_path / "p.zarr", plan=machine, box=BOX)
    job.run(RecordingContext())
    total = open_ome_zarr(job.output).read(BOX).astype(int).sum(axis=0)
    assert abs(total - 255).max() <= 1
