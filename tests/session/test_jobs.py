from __future__ import annotations

import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from napari_pytc.batch.jobs import ApplyJob, BatchInput
from napari_pytc.errors import InvalidInput, ModelError, ProjectError, VolumeError
from napari_pytc.geometry import Box
from napari_pytc.jobs.events import Cancelled, Failed, Finished, JobEvent, Measured, Warned
from napari_pytc.jobs.runners import InlineRunner
from napari_pytc.plans.plan import PredictPlan, TrainPlan
from napari_pytc.plans.specs import TrainJob
from napari_pytc.session.records import ModelRecord
from napari_pytc.session.session import Session
from tests.session.models import make_model
from tests.session.runners import ScriptedRunner
from tests.support.jobs_for_tests import Count
from tests.support.tissue import Tissue

PLAN = TrainPlan(recipe="fast", steps=10)


def leave_checkpoint(job: TrainJob) -> None:
    (job.output.run_folder / "training.safetensors").write_bytes(b"state")


def leave_model(job: TrainJob) -> None:
    leave_checkpoint(job)
    make_model(job.output.model_folder)


def leave_prediction(job: Any) -> None:
    job.output.mkdir(parents=True, exist_ok=True)


def cut_short(session: Session, **options: Any) -> TrainJob:
    job = session.jobs.train_job(PLAN, **options)
    session.jobs.run(job, ScriptedRunner([Cancelled(job="cut")], leave_checkpoint))
    return job


def test_a_training_is_described_by_what_is_in_the_project(session: Session, image: Path):
    session.held_out.add(Box((8, 0, 0), (12, 48, 40)))
    job = session.jobs.train_job(PLAN)
    assert job.inputs[0].volume.path == image
    assert job.classes == ("membrane", "inside")
    assert job.inputs[0].held_out == session.held_out.boxes
    assert job.inputs[0].space.voxel_size_nm == (40.0, 10.0, 10.0)
    assert job.inputs[0].annotations == session.folder / "volumes" / "v1" / "annotations.zarr"
    assert job.output.model_folder.parent == session.folder / "models"
    assert job.output.run_folder == session.folder / "runs" / job.output.model_folder.name
    assert TrainJob.model_validate_json(job.model_dump_json()) == job


def test_ids_are_dates_and_recipes_and_never_the_same(session: Session):
    session.close()
    with Session.open(session.folder, clock=lambda: datetime(2026, 11, 21, 3, 12, tzinfo=UTC)) as again:
        ids = [
            again.jobs.train_job(TrainPlan(recipe=r)).output.model_folder.name
            for r in ("fast", "fast", "My Recipe/../x")
        ]
        assert ids == ["20261121-0312-fast", "20261121-0312-fast-2", "20261121-0312-my-recipe-x"]


def test_a_finished_training_is_a_model_with_curves(session: Session):
    heard: list[ModelRecord] = []
    session.models.added.connect(heard.append)
    told: list[JobEvent] = []
    job = session.jobs.train_job(PLAN)
    points = [Measured(job="j1", name="loss", step=s, value=1 / (s + 1)) for s in range(20)]
    points.append(Measured(job="j1", name="dice", step=20, value=math.nan))
    session.jobs.run(job, ScriptedRunner([*points, Finished(job="j1", result={"steps": 20})], leave_model), told.append)
    (run,) = session.jobs.runs()
    assert (run.id, run.kind, run.subject, run.state) == ("j1", "train", job.output.model_folder.name, "finished")
    assert run.result == {"steps": 20}
    assert run.ended is not None
    curve = session.jobs.metrics("j1")
    assert [(p.name, p.step, p.value) for p in curve[:20]] == [("loss", s, 1 / (s + 1)) for s in range(20)]
    assert math.isnan(curve[20].value)
    assert [m.id for m in session.models.records()] == [job.output.model_folder.name] == [m.id for m in heard]
    assert not job.output.run_folder.exists()
    assert len(told) == 23
    session.close()
    with Session.open(session.folder) as again:
        assert again.jobs.runs() == [run]
        assert len(again.jobs.metrics("j1")) == 21


def test_events_may_come_from_another_thread(session: Session):
    events = [Measured(job="j1", name="loss", step=s, value=0.5) for s in range(5)]
    session.jobs.run(
        session.jobs.train_job(PLAN), ScriptedRunner([*events, Finished(job="j1")], leave_model, in_thread=True)
    )
    assert len(session.jobs.metrics("j1")) == 5
    assert session.jobs.runs()[0].state == "finished"


def test_any_job_runs_inline_with_its_record(session: Session):
    told: list[JobEvent] = []
    with InlineRunner() as runner:
        handle = session.jobs.run(Count(n=3), runner, told.append)
    assert isinstance(handle.wait(), Finished)
    assert isinstance(told[-1], Finished)
    assert [p.step for p in session.jobs.metrics(handle.id)] == [0, 1, 2]


def test_a_failure_is_kept_with_its_hint(session: Session):
    session.jobs.run(
        session.jobs.train_job(PLAN), ScriptedRunner([Failed(job="j1", message="no strokes", hint="paint")])
    )
    (run,) = session.jobs.runs()
    assert (run.state, run.message, run.hint) == ("failed", "no strokes", "paint")
    assert session.models.records() == []


def test_a_training_that_was_cut_short_is_gone_on_with(session: Session):
    first = cut_short(session)
    again = session.jobs.train_job(PLAN)
    assert again.output.run_folder == first.output.run_folder
    assert again.output.model_folder == first.output.model_folder
    session.close()
    with Session.open(session.folder) as later:
        assert later.jobs.train_job(PLAN).output.run_folder == first.output.run_folder
        assert later.jobs.train_job(PLAN, resume=False).output.run_folder != first.output.run_folder


def test_a_training_of_something_else_is_begun_anew(session: Session, tmp_path: Path):
    first = cut_short(session)
    parent = make_model(tmp_path / "elsewhere" / "m1")
    others = [
        session.jobs.train_job(PLAN.model_copy(update={"steps": 11})),
        session.jobs.train_job(PLAN, parent=parent),
    ]
    on_another_device = session.jobs.train_job(PLAN.model_copy(update={"device": "cpu"}))
    session.strokes.paint(Box((0, 0, 0), (1, 1, 1)), 1)
    others.append(session.jobs.train_job(PLAN))
    assert on_another_device.output.run_folder == first.output.run_folder
    assert first.output.run_folder not in [job.output.run_folder for job in others]
    assert len({job.output.run_folder for job in others}) == 3
    assert others[1].output.parent == parent


def test_a_training_without_a_checkpoint_or_with_a_model_is_not_resumed(session: Session):
    without = session.jobs.train_job(PLAN)
    session.jobs.run(without, ScriptedRunner([Cancelled(job="a")]))
    assert session.jobs.train_job(PLAN).output.run_folder != without.output.run_folder
    done = cut_short(session)
    make_model(done.output.model_folder)
    assert session.jobs.train_job(PLAN).output.run_folder != done.output.run_folder


def test_a_running_training_is_not_started_twice(session: Session):
    job = cut_short(session)
    seen: list[Path] = []

    def look(running: TrainJob) -> None:
        seen.append(session.jobs.train_job(PLAN).output.run_folder)
        with pytest.raises(ProjectError, match="runs already"):
            session.jobs.run(running, ScriptedRunner())

    session.jobs.run(job, ScriptedRunner(before=look))
    assert seen[0] != job.output.run_folder


def test_what_a_dead_process_left_running_is_interrupted(session: Session):
    class Dies:
        def start(self, spec: object, sink: Any) -> str:
            sink(Measured(job="dead", name="loss", step=0, value=1.0))
            return "dead"

    session.jobs.run(session.jobs.train_job(PLAN), Dies())
    assert session.jobs.runs()[0].state == "running"
    session.close()
    with Session.open(session.folder) as again:
        assert again.jobs.runs()[0].state == "interrupted"


def test_a_database_that_refuses_does_not_stop_the_job(session: Session):
    told: list[JobEvent] = []

    class ClosesMidway(ScriptedRunner):
        def start(self, spec: Any, sink: Any) -> str:
            sink(Measured(job="j1", name="loss", step=0, value=1.0))
            session.project.database.close()
            sink(Finished(job="j1"))
            return "j1"

    session.jobs.run(session.jobs.train_job(PLAN), ClosesMidway(), told.append)
    assert isinstance(told[-1], Finished)
    assert [event.message for event in told if isinstance(event, Warned)]


def test_models_are_listed_by_age_and_the_newest_is_active(session: Session):
    models = session.folder / "models"
    make_model(models / "b-newest", "2026-11-21T05:00:00+00:00", parent="a-oldest")
    make_model(models / "a-oldest", "2026-11-20T05:00:00+00:00")
    make_model(models / "broken")
    (models / "broken" / "plan.json").write_text("{")
    (models / ".half.tmp").mkdir()
    records = session.models.records()
    assert [(m.id, m.active) for m in records] == [("broken", False), ("a-oldest", False), ("b-newest", True)]
    assert "plan.json" in records[0].problem
    assert records[2].parent == "a-oldest"
    assert records[2].scores["mean"] == 0.85
    assert session.models.resolve() == models / "b-newest"


def test_a_model_is_named_by_id_prefix_or_folder(session: Session, tmp_path: Path):
    models = session.folder / "models"
    for name in ("20261121-0312-fast", "20261121-0312-fast-2", "20261122-0101-instant"):
        make_model(models / name)
    elsewhere = make_model(tmp_path / "copied" / "m1")
    assert session.models.resolve("20261121-0312-fast") == models / "20261121-0312-fast"
    assert session.models.resolve("20261122") == models / "20261122-0101-instant"
    assert session.models.resolve(elsewhere) == elsewhere
    with pytest.raises(ModelError, match="Several models"):
        session.models.resolve("20261121")
    with pytest.raises(ModelError, match=r"no model 'nothing'.*20261122-0101-instant"):
        session.models.resolve("nothing")
    with pytest.raises(ModelError, match="not a complete model"):
        session.models.resolve(tmp_path)


def test_without_a_model_nothing_is_predicted(session: Session):
    with pytest.raises(ModelError, match="no model yet") as caught:
        session.jobs.predict_job(PredictPlan())
    assert "napari-pytc train" in caught.value.hint


def test_a_prediction_is_gone_on_with_where_it_stopped(session: Session):
    make_model(session.folder / "models" / "m1")
    job = session.jobs.predict_job(PredictPlan(), focus=(1, 2, 3))
    assert job.focus == (1.0, 2.0, 3.0)
    session.jobs.run(job, ScriptedRunner([Cancelled(job="p1")], leave_prediction))
    (record,) = session.predictions.records()
    assert (record.model, record.state, record.folder) == ("m1", "cancelled", job.output)
    assert session.jobs.predict_job().output == job.output
    others = [
        session.jobs.predict_job(PredictPlan(flips=True)),
        session.jobs.predict_job(box=Box((0, 0, 0), (4, 48, 40))),
    ]
    assert len({job.output, *(other.output for other in others)}) == 3
    session.jobs.run(session.jobs.predict_job(), ScriptedRunner([Finished(job="p2")], leave_prediction))
    assert [(r.id, r.state) for r in session.predictions.records()] == [(record.id, "finished")]
    whole = session.jobs.predict_job(box=Box.of_shape(session.image.source.shape))
    assert whole.box is None
    assert whole.output == job.output


def test_another_normalisation_has_another_prediction(session: Session):
    make_model(session.folder / "models" / "m1")
    plans = [PredictPlan(), PredictPlan(normalisation="training"), PredictPlan(resample=False)]
    for plan in plans:
        session.jobs.run(session.jobs.predict_job(plan), ScriptedRunner([Finished(job="p")], leave_prediction))
    assert len(session.predictions.records()) == 3
    again = [session.jobs.predict_job(plan).output for plan in plans]
    assert again == [record.folder for record in session.predictions.records()]


def test_another_image_has_another_prediction(session: Session, image: Path, tissue: Tissue):
    from tests.session.conftest import write_image

    make_model(session.folder / "models" / "m1")
    job = session.jobs.predict_job()
    session.jobs.run(job, ScriptedRunner([Finished(job="p1")], leave_prediction))
    write_image(image.with_name("filtered.h5"), 255 - tissue.raw)
    session.image.relink(image.with_name("filtered.h5"))
    assert session.jobs.predict_job().output != job.output


@pytest.mark.parametrize("kind", ["train", "predict"])
def test_no_job_on_an_image_that_changed(session: Session, image: Path, tissue: Tissue, kind: str):
    from tests.session.conftest import write_image

    make_model(session.folder / "models" / "m1")
    assert session.image.source.shape == tissue.raw.shape
    image.unlink()
    write_image(image, 255 - tissue.raw)
    with pytest.raises(VolumeError, match="changed"):
        session.jobs.train_job(PLAN) if kind == "train" else session.jobs.predict_job()


def test_a_box_outside_is_not_predicted(session: Session):
    make_model(session.folder / "models" / "m1")
    with pytest.raises(InvalidInput, match="within the volume"):
        session.jobs.predict_job(box=Box((0, 0, 0), (99, 1, 1)))


def test_the_newest_finished_prediction_is_exported(session: Session, tmp_path: Path):
    with pytest.raises(ProjectError, match="no prediction yet"):
        session.jobs.export_job("classes", tmp_path / "out.tif")
    made = []
    for name, end in (("m1", Finished(job="p1")), ("m2", Finished(job="p2")), ("m3", Cancelled(job="p3"))):
        make_model(session.folder / "models" / name)
        job = session.jobs.predict_job(model=name)
        session.jobs.run(job, ScriptedRunner([end], leave_prediction))
        made.append(job.output)
    job = session.jobs.export_job("classes", tmp_path / "out.tif", overwrite=True)
    assert (job.prediction, job.output, job.overwrite) == (made[1], tmp_path / "out.tif", True)
    assert session.jobs.export_job("classes", tmp_path / "out.tif", prediction="m1").prediction == made[0]
    assert session.jobs.export_job("classes", tmp_path / "out.tif", prediction=made[2]).prediction == made[2]
    with pytest.raises(ProjectError, match="no prediction 'm9'"):
        session.jobs.export_job("classes", tmp_path / "out.tif", prediction="m9")
    assert session.predictions.newest_of("m1") == made[0]
    assert session.predictions.newest_of("m3") == made[2]  # not finished, but there is no other
    with pytest.raises(ProjectError, match="no prediction of model 'm9'"):
        session.predictions.newest_of("m9")
    with pytest.raises(InvalidInput, match="colour"):
        session.jobs.export_job("classes", tmp_path / "out.tif", colour="red")


def test_a_session_for_reading_exports_and_nothing_else(session: Session, tmp_path: Path):
    make_model(session.folder / "models" / "m1")
    session.jobs.run(session.jobs.predict_job(), ScriptedRunner([Finished(job="p1")], leave_prediction))
    train = session.jobs.train_job(PLAN)
    with Session.open(session.folder) as second:
        assert second.project.read_only
        told: list[JobEvent] = []
        second.jobs.run(second.jobs.export_job("classes", tmp_path / "out.tif"), ScriptedRunner(), told.append)
        assert isinstance(told[-1], Finished)
        for refused in (
            lambda: second.jobs.run(train, ScriptedRunner()),
            lambda: second.jobs.train_job(PLAN),
            second.jobs.predict_job,
        ):
            with pytest.raises(ProjectError, match="reading only"):
                refused()


def test_a_model_is_applied_to_other_files(session: Session, tmp_path: Path):
    folder = make_model(session.folder / "models" / "m1")
    item = BatchInput(path="a.tif", output="a_classes.tif")
    job = ApplyJob(model=folder, inputs=(item,), folder=tmp_path / "out")

    def look(spec: ApplyJob) -> None:
        with pytest.raises(ProjectError, match="needs this model"):
            session.models.delete("m1")
        with pytest.raises(ProjectError, match="results in this folder already"):
            session.jobs.run(job, ScriptedRunner())

    session.jobs.run(job, ScriptedRunner(before=look))
    (run,) = session.jobs.runs()
    assert (run.kind, run.subject, run.state) == ("apply", str(tmp_path / "out"), "finished")
    session.jobs.run(job, ScriptedRunner())
