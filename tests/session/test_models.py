"""Models and predictions of a project are chosen, renamed, deleted and taken elsewhere; trainings are gone on with."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from napari_pytc.errors import InvalidInput, ModelError, ProjectError
from napari_pytc.geometry import Box
from napari_pytc.jobs.events import Cancelled, Finished
from napari_pytc.plans.plan import PredictPlan, TrainPlan
from napari_pytc.session import models as library
from napari_pytc.session.session import Session
from napari_pytc.volumes.zarr_output import create_ome_zarr
from tests.session.models import make_model
from tests.session.runners import ScriptedRunner
from tests.session.test_jobs import PLAN, cut_short, leave_checkpoint, leave_model, leave_prediction


@pytest.fixture
def models(session: Session) -> Path:
    for k in (1, 2, 3):
        make_model(session.folder / "models" / f"m{k}", f"2026-11-2{k}T05:00:00+00:00")
    return session.folder / "models"


def active(session: Session) -> list[str]:
    return [model.id for model in session.models.records() if model.active]


def test_the_activated_model_is_used_until_it_is_deleted(session: Session, models: Path):
    assert active(session) == ["m3"]
    session.models.activate("m1")
    session.close()
    with Session.open(session.folder) as again:
        assert active(again) == ["m1"]
        assert again.jobs.predict_job().model == models / "m1"
        again.models.delete("m1")
        assert active(again) == ["m3"]
        assert [m.id for m in again.models.records()] == ["m2", "m3"]
        again.project.empty_trash()
        assert not (again.folder / "trash").exists()
        with pytest.raises(ModelError, match="no model 'm1'"):
            again.models.activate("m1")


def test_an_activated_model_that_is_damaged_or_gone_is_not_used(session: Session, models: Path):
    session.models.activate("m2")
    (models / "m2" / "plan.json").write_text("{")
    assert active(session) == ["m3"]
    with pytest.raises(ModelError, match="cannot be used"):
        session.models.activate("m2")
    shutil.rmtree(models / "m2")
    assert active(session) == ["m3"]


def test_a_model_is_renamed(session: Session, models: Path):
    before = session.models.records()
    session.models.rename("m2", " Best so far ")
    assert [m.name for m in session.models.records()] == ["m1", "Best so far", "m3"]
    assert [m.id for m in session.models.records()] == [m.id for m in before]
    with pytest.raises(InvalidInput, match="name"):
        session.models.rename("m2", " ")


def test_models_are_read_once(session: Session, models: Path, monkeypatch: pytest.MonkeyPatch):
    found = session.models.records()
    monkeypatch.setattr(library, "read_model_info", None)
    assert session.models.records() == found


def test_a_model_that_a_job_needs_is_not_deleted(session: Session, models: Path):
    def look(job: object) -> None:
        with pytest.raises(ProjectError, match="job needs"):
            session.models.delete("m1")
        with pytest.raises(ProjectError, match="job needs"):
            session.predictions.delete(session.predictions.records()[0].id)

    session.jobs.run(session.jobs.predict_job(model="m1"), ScriptedRunner([Cancelled(job="a")], leave_prediction))
    session.jobs.run(session.jobs.predict_job(model="m1"), ScriptedRunner([Finished(job="b")], look))
    session.models.delete("m1")


def test_an_exported_model_serves_another_project(session: Session, models: Path, tmp_path: Path, image: Path):
    copy = session.models.export("m1", tmp_path / "shared-model")
    inside = session.models.export("m1", tmp_path)
    assert (copy, inside) == (tmp_path / "shared-model", tmp_path / "m1")
    with pytest.raises(ModelError, match="already something"):
        session.models.export("m1", tmp_path)
    with Session.create(tmp_path / "b.pytc", image, ["membrane", "inside"]) as other:
        assert other.jobs.predict_job(model=copy).model == copy
        assert other.jobs.train_job(PLAN, parent=copy).output.parent == copy


def test_a_deleted_prediction_is_gone(session: Session, models: Path):
    job = session.jobs.predict_job()
    session.jobs.run(job, ScriptedRunner([Finished(job="a")], leave_prediction))
    (record,) = session.predictions.records()
    session.predictions.delete(record.id)
    assert session.predictions.records() == []
    assert not job.output.exists()
    with pytest.raises(ProjectError, match="no prediction"):
        session.predictions.delete(record.id)
    session.close()
    with Session.open(session.folder) as again:
        assert again.predictions.records() == []
        assert not (again.folder / "trash").exists()


def test_unfinished_trainings_are_gone_on_with_also_with_more_strokes(session: Session):
    first = cut_short(session)
    finished = session.jobs.train_job(TrainPlan(recipe="instant"))
    session.jobs.run(finished, ScriptedRunner([Finished(job="f")], leave_model))
    session.strokes.paint(Box((0, 0, 0), (1, 1, 1)), 1)
    assert [job.output.run_folder for job in session.jobs.unfinished_trainings()] == [first.output.run_folder]
    session.close()
    moved = session.folder.with_name("moved.pytc")
    session.folder.rename(moved)
    with Session.open(moved) as again:
        (job,) = again.jobs.unfinished_trainings()
        assert (job.plan, job.resume, job.output.run_folder) == (
            PLAN,
            True,
            moved / "runs" / first.output.run_folder.name,
        )
        assert job.inputs[0].annotations == moved / "volumes" / "v1" / "annotations.zarr"

        def look(running: object) -> None:
            assert again.jobs.unfinished_trainings() == []

        again.jobs.run(job, ScriptedRunner([Cancelled(job="again")], look))
        assert again.jobs.unfinished_trainings() == [job]
        again.classes.add("third")
        assert again.jobs.unfinished_trainings() == []


def test_a_training_whose_process_was_killed_is_unfinished(session: Session):
    job = session.jobs.train_job(PLAN)

    class Dies(ScriptedRunner):
        def start(self, spec, sink):
            leave_checkpoint(spec)
            return "dead"

    session.jobs.run(job, Dies())
    assert session.jobs.unfinished_trainings() == []  # as far as this session knows it runs
    session.close()
    with Session.open(session.folder) as again:
        assert again.jobs.unfinished_trainings() == [job]


def test_what_is_in_view_goes_into_the_prediction_of_everything(session: Session, models: Path):
    box = Box((2, 4, 4), (6, 20, 20))
    job = session.jobs.view_job(box)
    assert (job.box, job.within, job.focus) == (box, True, (4.0, 12.0, 12.0))
    assert job.output == session.jobs.predict_job().output
    session.jobs.run(job, ScriptedRunner([Finished(job="v1")], leave_prediction))
    (record,) = session.predictions.records()
    assert (record.box, record.state) == (None, "cancelled")
    whole = session.jobs.predict_job()
    assert (whole.output, whole.box, whole.within) == (job.output, None, False)
    session.jobs.run(whole, ScriptedRunner([Finished(job="p")], leave_prediction))
    session.jobs.run(session.jobs.view_job(box), ScriptedRunner([Cancelled(job="v2")], leave_prediction))
    assert [record.state for record in session.predictions.records()] == ["finished"]
    assert session.jobs.view_job(box, plan=PredictPlan(flips=True)).output != job.output
    with pytest.raises(InvalidInput, match="within the volume"):
        session.jobs.view_job(Box((0, 0, 0), (99, 1, 1)))


@pytest.mark.parametrize(("name", "kind"), [("a.tif", "TIFF"), ("a.h5", "HDF5"), ("a.ome.zarr", "OME-Zarr 0.5")])
def test_an_export_is_shown_before(session: Session, models: Path, tmp_path: Path, name: str, kind: str):
    def make(job) -> None:
        create_ome_zarr(job.output, (12, 48, 40), np.uint8, session.image.space, channels=("membrane", "inside"))

    session.jobs.run(session.jobs.predict_job(), ScriptedRunner([Finished(job="p")], make))
    shown = session.jobs.preview_export("classes", tmp_path / name)
    assert (shown.shape, shown.dtype, shown.n_bytes, shown.format) == ((12, 48, 40), "uint8", 12 * 48 * 40, kind)
    assert shown.voxel_size_nm == (40, 10, 10)
    part = session.jobs.preview_export("probabilities", tmp_path / name, box=Box((0, 0, 0), (2, 3, 4)))
    assert (part.shape, part.n_bytes) == ((2, 2, 3, 4), 48)
    assert not (tmp_path / name).exists()
    with pytest.raises(InvalidInput, match="suffix"):
        session.jobs.preview_export("classes", tmp_path / "a.xyz")
