"""Jobs are plain values: one JSON form, and no torch until they run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from napari_pytc.errors import PytcError
from napari_pytc.geometry import Box, VoxelSpace
from napari_pytc.jobs.context import JobCancelled
from napari_pytc.jobs.spec import JobSpec
from napari_pytc.plans.specs import ModelOutput, PredictJob, TrainJob, VolumeInputs
from napari_pytc.volumes.spec import NpySpec
from tests.support.contexts import RecordingContext
from tests.support.learning import tiny_plan


def train_job(root: Path = Path("project")) -> TrainJob:
    return TrainJob(
        inputs=(
            VolumeInputs(
                volume=NpySpec(path=root / "raw.npy"),
                space=VoxelSpace((40, 4, 4)),
                annotations=root / "annotations.zarr",
                held_out=(Box((0, 0, 0), (1, 2, 3)),),
            ),
        ),
        classes=("membrane", "inside"),
        plan=tiny_plan(),
        output=ModelOutput(
            model_folder=root / "models" / "m",
            run_folder=root / "runs" / "m",
            parent=root / "models" / "parent",
        ),
    )


def predict_job(root: Path = Path("project")) -> PredictJob:
    return PredictJob(
        image=NpySpec(path=root / "raw.npy"),
        model=root / "models" / "m",
        output=root / "p.zarr",
        box=Box((0, 0, 0), (1, 2, 3)),
        focus=(1, 2.5, 3),
    )


@pytest.mark.parametrize("job", [train_job(), predict_job()], ids=lambda job: job.kind)
def test_a_job_comes_back_from_its_json(job) -> None:
    import json

    assert JobSpec.parse(json.loads(job.model_dump_json())) == job


def test_a_job_needs_classes() -> None:
    with pytest.raises(ValidationError, match="classes"):
        TrainJob.model_validate({**train_job().model_dump(), "classes": ()})


@pytest.mark.parametrize("job", [train_job(), predict_job()], ids=lambda job: job.kind)
def test_a_cancel_while_the_libraries_load_is_heeded(job) -> None:
    ctx = RecordingContext(cancel_after=0)
    with pytest.raises(JobCancelled):
        job.run(ctx)
    assert ctx.progress[0][2] == "loading the libraries"


@pytest.mark.parametrize("job", [train_job, predict_job])
def test_an_image_that_is_gone_is_reported(job, tmp_path: Path) -> None:
    described = job(tmp_path)
    if isinstance(described, TrainJob):
        output = described.output.model_copy(update={"parent": None})
        described = described.model_copy(update={"output": output})
    with pytest.raises(PytcError) as caught:
        described.run(RecordingContext())
    assert "raw.npy" in caught.value.message


@pytest.mark.slow
def test_describing_a_job_loads_no_torch() -> None:
    program = (
        "import sys; from napari_pytc.plans.specs import TrainJob; from napari_pytc.plans.recipes import recipes;"
        "recipes(); print([m for m in ('torch', 'monai', 'lightning') if m in sys.modules])"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"
