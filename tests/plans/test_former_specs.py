"""Specs that version 0.1 wrote, with all fields side by side, are read, and name the same work as they did then."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from napari_pytc.geometry import Box, VoxelSpace
from napari_pytc.jobs.spec import JobSpec
from napari_pytc.plans.live_spec import LiveJob
from napari_pytc.plans.specs import ModelOutput, PredictJob, TrainJob, VolumeInputs
from napari_pytc.session.runs.training_runs import Revisions, work_of
from napari_pytc.volumes.spec import NpySpec

TRAIN = """{
  "kind": "train",
  "image": {"voxel_size_nm": null, "channel": null, "kind": "npy", "path": "raw.npy"},
  "image_digest": "d1", "voxel_size_nm": [40.0, 4.0, 4.0], "annotations": "annotations.zarr",
  "objects": "objects.zarr", "corrections": "corrections", "boundary_class": "membrane",
  "classes": ["membrane", "inside"], "held_out": [{"start": [0, 0, 0], "stop": [1, 2, 3]}],
  "plan": {
    "recipe": "fast", "target": {"kind": "classes"},
    "network": {"kind": "unet", "channels": [4, 8], "residual_units": 1, "full_resolution": false},
    "steps": 6, "minutes": null, "batch_size": 2, "patch_shape": null, "learning_rate": 0.002,
    "weight_decay": 0.0001, "dice_weight": 0.5, "class_balance": 0.5, "guess_weight": 0.0, "guess_confidence": 0.8,
    "corrections_share": 0.5, "distil_weight": 0.0, "ema_decay": 0.99, "validate_every": 50, "patience": 8,
    "checkpoint_every": 50, "recent": 0.5,
    "augmentation": {
      "flips": true, "affine": 0.2, "contrast": 0.5, "noise": 0.2, "blur": 0.1, "missing_section": 0.05,
      "misaligned_section": 0.05
    },
    "seed": 0, "device": "auto", "precision": "auto", "decoder": {}
  },
  "model_folder": "models/m", "run_folder": "runs/m", "parent": "models/parent", "baseline": "models/other",
  "resume": true
}"""
TRAIN_WORK = "5f8d581f05a796b6364c4a0c7b6fb3815a1d84e5ad48df60fa94fd03aa3e0a1e"
"""Digest of that training with revisions 3, 4 and "c", as version 0.1 wrote it beside the checkpoints."""
LIVE = """{
  "kind": "live",
  "image": {"voxel_size_nm": null, "channel": null, "kind": "npy", "path": "raw.npy"},
  "image_digest": "d1", "voxel_size_nm": [40.0, 4.0, 4.0], "annotations": "annotations.zarr",
  "classes": ["membrane", "inside"], "held_out": [{"start": [0, 0, 0], "stop": [1, 2, 3]}],
  "plan": {
    "instant_only": false, "feature_cache_mb": 1024, "hold_weight": 0.0, "margin": 0.01, "tolerance": 0.1,
    "score_every": 40, "seed": 0
  },
  "output": "live/prediction.zarr", "model_folder": "models/live", "run_folder": "live/run",
  "parent": "models/parent", "baseline": null
}"""
PREDICT = """{
  "kind": "predict",
  "image": {"voxel_size_nm": null, "channel": null, "kind": "npy", "path": "raw.npy"},
  "image_digest": "d1", "voxel_size_nm": null, "model": "models/m", "output": "predictions/m.zarr",
  "plan": {"tile_shape": null, "flips": false, "device": "auto", "precision": "auto"},
  "box": null, "within": false, "focus": null, "view": null
}"""
HELD_OUT = (Box((0, 0, 0), (1, 2, 3)),)


def inputs(**others: Any) -> VolumeInputs:
    return VolumeInputs(
        volume=NpySpec(path=Path("raw.npy")),
        digest="d1",
        space=VoxelSpace((40, 4, 4)),
        annotations=Path("annotations.zarr"),
        held_out=HELD_OUT,
        **others,
    )


def test_a_training_is_read() -> None:
    job: TrainJob = JobSpec.parse(json.loads(TRAIN))

    assert job.inputs == (inputs(objects=Path("objects.zarr"), corrections=Path("corrections")),)
    assert job.output == ModelOutput(
        model_folder=Path("models/m"),
        run_folder=Path("runs/m"),
        parent=Path("models/parent"),
        baseline=Path("models/other"),
    )
    assert (job.classes, job.boundary_class, job.resume) == (("membrane", "inside"), "membrane", True)
    assert job.plan.steps == 6


def test_fields_that_came_later_may_be_missing() -> None:
    content = json.loads(TRAIN)
    for name in ("image_digest", "objects", "corrections", "boundary_class", "baseline", "resume", "parent"):
        del content[name]

    job = TrainJob.model_validate(content)

    assert job.inputs == (inputs().model_copy(update={"digest": None}),)
    assert (job.output.parent, job.output.baseline, job.resume) == (None, None, True)


def test_a_training_is_the_same_work_as_before() -> None:
    job = TrainJob.model_validate_json(TRAIN)

    assert work_of(job, [Revisions("d1", 3, 4, "c")]) == TRAIN_WORK
    assert work_of(job, [Revisions("d1", 4, 4, "c")]) != TRAIN_WORK
    other = job.model_copy(update={"output": job.output.model_copy(update={"parent": None})})
    assert work_of(other, [Revisions("d1", 3, 4, "c")]) != TRAIN_WORK


def test_a_live_job_is_read() -> None:
    job: LiveJob = JobSpec.parse(json.loads(LIVE))

    assert job.inputs == (inputs(),)
    assert job.prediction == Path("live/prediction.zarr")
    assert job.output == ModelOutput(
        model_folder=Path("models/live"), run_folder=Path("live/run"), parent=Path("models/parent")
    )


def test_the_state_of_a_live_job_is_of_the_same_work_as_before() -> None:
    from napari_pytc.learning.live.persistence import _instant_fingerprint, work_fingerprint

    job = LiveJob.model_validate_json(LIVE)

    assert work_fingerprint(job, (8, 48, 48)) == "c567f7fbe3f13a60"
    assert _instant_fingerprint(job) == "eb2847a7fc4822e2"


def test_a_prediction_is_read() -> None:
    job: PredictJob = JobSpec.parse(json.loads(PREDICT))

    assert (job.digest, job.model, job.output) == ("d1", Path("models/m"), Path("predictions/m.zarr"))


@pytest.mark.parametrize("text", [TRAIN, LIVE, PREDICT])
def test_it_is_written_in_the_present_form(text: str) -> None:
    job = JobSpec.parse(json.loads(text))
    content = json.loads(job.model_dump_json())

    assert "image_digest" not in content
    assert JobSpec.parse(content) == job
