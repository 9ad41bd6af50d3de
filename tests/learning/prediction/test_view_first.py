"""What is looked at comes before the large tiles of a prediction, and changes nothing of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_pytc.geometry import Box
from napari_pytc.jobs.context import JobCancelled
from napari_pytc.learning.prediction import tiled
from napari_pytc.plans.specs import PredictJob
from napari_pytc.volumes.spec import NpySpec
from napari_pytc.volumes.zarr_output import open_ome_zarr
from tests.support.contexts import RecordingContext
from tests.support.learning import tissue, train_tiny

WHOLE = Box.of_shape((8, 96, 96))
VIEW = Box((4, 70, 70), (5, 80, 90))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_tiny(tmp_path_factory.mktemp("model")).folder


@pytest.fixture
def job(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PredictJob:
    monkeypatch.setattr(tiled, "CHUNK", (2, 8, 8))
    np.save(tmp_path / "raw.npy", tissue((8, 96, 96)).raw)
    image = NpySpec(path=tmp_path / "raw.npy", voxel_size_nm=(40, 10, 10))
    plan = {"tile_shape": (8, 96, 96), "device": "cpu", "precision": "float32"}
    return PredictJob(image=image, model=model, output=tmp_path / "p.zarr", plan=plan, view=VIEW)


def changed(job: PredictJob, **changes: Any) -> PredictJob:
    return PredictJob.model_validate({**job.model_dump(), **changes})


def test_what_is_in_view_comes_first_and_the_whole_is_the_same(job: PredictJob, tmp_path: Path) -> None:
    ctx = RecordingContext()
    answer = job.run(ctx)
    boxes = [box for _, box in ctx.artifacts]
    assert boxes[-1] == WHOLE
    assert len(boxes) > 2
    assert boxes[0].contains_point(VIEW.centre)
    assert sum(box.size for box in boxes[:-1]) == VIEW.size
    assert all(VIEW.contains(box) for box in boxes[:-1])
    assert (answer["tiles"], answer["tiles_done_before"]) == (1, 0)
    done = [done / total for done, total, note in ctx.progress if note.startswith("predicting")]
    assert done == sorted(done)
    other = changed(job, output=tmp_path / "q.zarr", view=None)
    other.run(RecordingContext())
    assert np.array_equal(open_ome_zarr(job.output).read(WHOLE), open_ome_zarr(other.output).read(WHOLE))


def test_a_cancel_in_the_first_look_finishes_no_tile(job: PredictJob) -> None:
    ctx = RecordingContext(cancel_after=6)
    with pytest.raises(JobCancelled):
        job.run(ctx)
    assert ctx.artifacts
    assert all(VIEW.contains(box) for _, box in ctx.artifacts)
    assert job.run(RecordingContext())["tiles_done_before"] == 0


def test_what_is_there_already_is_not_looked_at_first(job: PredictJob) -> None:
    job.run(RecordingContext())
    again = RecordingContext()
    job.run(again)
    assert again.artifacts == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {"plan": {"tile_shape": (1, 8, 8), "device": "cpu", "precision": "float32"}},
        {"view": WHOLE},
        {"box": Box((0, 0, 0), (8, 48, 48))},
    ],
    ids=["its tile is small", "all is in view", "it is not predicted"],
)
def test_no_first_look_where_it_would_save_no_time(job: PredictJob, changes: dict[str, Any]) -> None:
    job = changed(job, **changes)
    ctx = RecordingContext()
    answer = job.run(ctx)
    assert len(ctx.artifacts) == answer["tiles"]
