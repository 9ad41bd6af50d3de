"""Models and predictions of a project are chosen, renamed, deleted and taken elsewhere; trainings are gone on with."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import numpy as np
import pytest

from napari_pytc.errors import InvalidInput, ModelError, ProjectError
from napari_pytc.geometry import Box
from napari_pytc.jobs.events import Cancelled, Finished
from napari_pytc.learning.config import PredictPlan, TrainPlan
from napari_pytc.session import library
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
    return [model.id for model in session.models() if model.active]


def test_the_activated_model_is_used_until_it_is_deleted(session: Session, models: Path):
    assert active(session) == ["m3"]
    session.activate_model("m1")
    session.close()
    with Session.open(session.folder) as again:
        assert active(again) == ["m1"]
        assert again.predict_job().model == models / "m1"
        again.delete_model("m1")
        assert active(again) == ["m3"]
        assert [m.id for m in again.models()] == ["m2", "m3"]
        again.empty_trash()
        assert not (again.folder / "trash").exists()
        with pytest.raises(ModelError, match="no model 'm1'"):
            again.activate_model("m1")


def test_an_activated_model_that_is_damaged_or_gone_is_not_used(session: Session, models: Path):
    session.activate_model("m2")
    (models / "m2" / "plan.json").write_text("{")
    assert active(session) == ["m3"]
    with pytest.raises(ModelError, match="cannot be used"):
        session.activate_model("m2")
    shutil.rmtree(models / "m2")
    assert active(session) == ["m3"]


def test_a_model_is_renamed(session: Session, models: Path):
    before = session.models()
    session.rename_model("m2", " Best so far ")
    assert [m.name for m in session.models()] == ["m1", "Best so far", "m3"]
    assert [m.id for m in session.models()] == [m.id for m in before]
    with pytest.raises(InvalidInput, match="name"):
        session.rename_model("m2", " ")


def test_models_are_read_once(session: Session, models: Path, monkeypatch: pytest.MonkeyPatch):
    found = session.models()
    monkeypatch.setattr(library, "read_model_info", None)
    begin = time.perf_counter()
    assert session.models() == found
    assert time.perf_counter() - begin < 0.02


def test_a_model_that_a_job_needs_is_not_deleted(session: Session, models: Path):
    def look(job: object) -> None:
        with pytest.raises(ProjectError, match="job needs"):
            session.delete_model("m1")
        with pytest.raises(ProjectError, match="job needs"):
            session.delete_prediction(session.predictions()[0].id)

    session.run(session.predict_job(model="m1"), ScriptedRunner([Cancelled(job="a")], leave_prediction))
    session.run(session.predict_job(model="m1"), ScriptedRunner([Finished(job="b")], look))
    session.delete_model("m1")


def test_an_exported_model_serves_another_project(session: Session, models: Path, tmp_path: Path, image: Path):
    copy = session.export_model("m1", tmp_path / "shared-model")
    inside = session.export_model("m1", tmp_path)
    assert (copy, inside) == (tmp_path / "shared-model", tmp_path / "m1")
    with pytest.raises(ModelError, match="already something"):
        session.export_model("m1", tmp_path)
    with Session.create(tmp_path / "b.pytc", image, ["membrane", "inside"]) as other:
        assert other.predict_job(model=copy).model == copy
        assert other.train_job(PLAN, parent=copy).parent == copy


def test_a_deleted_prediction_is_gone(session: Session, models: Path):
    job = session.predict_job()
    session.run(job, ScriptedRunner([Finished(job="a")], leave_prediction))
    (record,) = session.predictions()
    session.delete_prediction(record.id)
    assert session.predictions() == []
    assert not job.output.exists()
    with pytest.raises(ProjectError, match="no prediction"):
        session.delete_prediction(record.id)
    session.close()
    with Session.open(session.folder) as again:
        assert again.predictions() == []
        assert not (again.folder / "trash").exists()


def test_unfinished_trainings_are_gone_on_with_also_with_more_strokes(session: Session):
    first = cut_short(session)
    finished = session.train_job(TrainPlan(recipe="instant"))
    session.run(finished, ScriptedRunner([Finished(job="f")], leave_model))
    session.paint(Box((0, 0, 0), (1, 1, 1)), 1)
    assert [job.run_folder for job in session.unfinished_trainings()] == [first.run_folder]
    session.close()
    moved = session.folder.with_name("moved.pytc")
    session.folder.rename(moved)
    with Session.open(moved) as again:
        (job,) = again.unfinished_trainings()
        assert (job.plan, job.resume, job.run_folder) == (PLAN, True, moved / "runs" / first.run_folder.name)
        assert job.annotations == moved / "annotations.zarr"

        def look(running: object) -> None:
            assert again.unfinished_trainings() == []

        again.run(job, ScriptedRunner([Cancelled(job="again")], look))
        assert again.unfinished_trainings() == [job]
        again.add_class("third")
        assert again.unfinished_trainings() == []


def test_a_training_whose_process_was_killed_is_unfinished(session: Session):
    job = session.train_job(PLAN)

    class Dies(ScriptedRunner):
        def start(self, spec, sink):
            leave_checkpoint(spec)
            return "dead"

    session.run(job, Dies())
    assert session.unfinished_trainings() == []  # as far as this session knows it runs
    session.close()
    with Session.open(session.folder) as again:
        assert again.unfinished_trainings() == [job]


def test_what_is_in_view_goes_into_the_prediction_of_everything(session: Session, models: Path):
    box = Box((2, 4, 4), (6, 20, 20))
    job = session.view_job(box)
    assert (job.box, job.within, job.focus) == (box, True, (4.0, 12.0, 12.0))
    assert job.output == session.predict_job().output
    session.run(job, ScriptedRunner([Finished(job="v1")], leave_prediction))
    (record,) = session.predictions()
    assert (record.box, record.state) == (None, "cancelled")
    whole = session.predict_job()
    assert (whole.output, whole.box, whole.within) == (job.output, None, False)
    session.run(whole, ScriptedRunner([Finished(job="p")], leave_prediction))
    session.run(session.view_job(box), ScriptedRunner([Cancelled(job="v2")], leave_prediction))
    assert [record.state for record in session.predictions()] == ["finished"]
    assert session.view_job(box, plan=PredictPlan(flips=True)).output != job.output
    with pytest.raises(InvalidInput, match="within the volume"):
        session.view_job(Box((0, 0, 0), (99, 1, 1)))


@pytest.mark.parametrize(("name", "kind"), [("a.tif", "TIFF"), ("a.h5", "HDF5"), ("a.ome.zarr", "OME-Zarr 0.5")])
def test_an_export_is_shown_before(session: Session, models: Path, tmp_path: Path, name: str, kind: str):
    def make(job) -> None:
        create_ome_zarr(job.output, (12, 48, 40), np.uint8, session.space, channels=("membrane", "inside"))

    session.run(session.predict_job(), ScriptedRunner([Finished(job="p")], make))
    shown = session.preview_export("classes", tmp_path / name)
    assert (shown.shape, shown.dtype, shown.n_bytes, shown.format) == ((12, 48, 40), "uint8", 12 * 48 * 40, kind)
    assert shown.voxel_size_nm == (40, 10, 10)
    part = session.preview_export("probabilities", tmp_path / name, box=Box((0, 0, 0), (2, 3, 4)))
    assert (part.shape, part.n_bytes) == ((2, 2, 3, 4), 48)
    assert not (tmp_path / name).exists()
    with pytest.raises(InvalidInput, match="suffix"):
        session.preview_export("classes", tmp_path / "a.xyz")
