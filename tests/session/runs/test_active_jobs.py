from __future__ import annotations

from pathlib import Path

import pytest

from napari_pytc.errors import ProjectError
from napari_pytc.exporting.jobs import ExportJob
from napari_pytc.plans.plan import TrainPlan
from napari_pytc.session.runs.active_jobs import ActiveJobs
from napari_pytc.session.session import Session


def export(prediction: Path, output: Path) -> ExportJob:
    return ExportJob(what="classes", prediction=prediction, output=output)


def test_what_a_job_makes_is_taken_until_it_is_over(tmp_path: Path) -> None:
    active = ActiveJobs()
    active.check_free("out", "It runs already.")
    active.add("out", export(tmp_path / "p.zarr", tmp_path / "out.tif"))
    assert active.subjects() == {"out"}
    with pytest.raises(ProjectError, match="It runs already"):
        active.check_free("out", "It runs already.")
    active.remove("out")
    active.remove("out")
    active.check_free("out", "It runs already.")
    assert active.subjects() == set()


def test_jobs_at_two_volumes_may_make_what_has_the_same_id(tmp_path: Path) -> None:
    active = ActiveJobs()
    active.add("m", export(tmp_path / "p.zarr", tmp_path / "a.tif"), "v1")
    active.check_free("m", "It runs already.", "v2")
    active.add("m", export(tmp_path / "q.zarr", tmp_path / "b.tif"), "v2")
    active.remove("m", "v1")
    assert (active.subjects("v1"), active.subjects("v2"), active.subjects()) == (set(), {"m"}, set())
    with pytest.raises(ProjectError, match="It runs already"):
        active.check_free("m", "It runs already.", "v2")


def test_what_lies_in_a_folder_is_in_use(tmp_path: Path) -> None:
    active = ActiveJobs()
    active.add("out", export(tmp_path / "v1" / "predictions" / "p.zarr", tmp_path / "out.tif"))
    with pytest.raises(ProjectError, match="A job needs this volume"):
        active.check_unused(tmp_path / "v1", "volume")
    active.check_unused(tmp_path / "v10", "volume")


def test_what_a_job_reads_or_writes_is_in_use(tmp_path: Path) -> None:
    active, prediction = ActiveJobs(), tmp_path / "p.zarr"
    active.add("out", export(prediction, tmp_path / "out.tif"))
    for place in (prediction, tmp_path / "out.tif"):
        with pytest.raises(ProjectError, match="A job needs this prediction"):
            active.check_unused(place, "prediction")
    active.check_unused(tmp_path / "q.zarr", "prediction")
    active.check_no_training()


def test_folders_are_found_in_nested_specs(session: Session) -> None:
    active, job = ActiveJobs(), session.jobs.train_job(TrainPlan())
    active.add("m", job)
    for place in (job.output.model_folder, job.output.run_folder, session.strokes.store.folder):
        with pytest.raises(ProjectError):
            active.check_unused(place, "model")
    with pytest.raises(ProjectError, match="A training is running"):
        active.check_no_training()
    active.remove("m")
    active.check_no_training()
    active.check_unused(job.output.model_folder, "model")
