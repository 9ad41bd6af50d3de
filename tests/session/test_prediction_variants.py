"""Ids of predictions tell settings apart, and a prediction goes on with the settings that it was begun with."""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_pytc.errors import InvalidInput, ProjectError
from napari_pytc.geometry import Box
from napari_pytc.jobs.events import Cancelled, Finished
from napari_pytc.plans.model_folder import read_model_info
from napari_pytc.plans.plan import PredictPlan
from napari_pytc.plans.prediction_defaults import PredictionDefaults
from napari_pytc.plans.test_time import TtaSettings
from napari_pytc.plans.windows import WindowSettings
from napari_pytc.session.predictions import _variant
from napari_pytc.session.records import PredictionRecord
from napari_pytc.session.session import Session
from tests.session.models import make_model
from tests.session.runners import ScriptedRunner
from tests.session.test_jobs import leave_prediction

PLANS = [
    PredictPlan(),
    PredictPlan(flips=True, normalisation="training"),
    PredictPlan(resample=False, windows=WindowSettings(overlap=0.25)),
    PredictPlan(windows=WindowSettings(shape=(16, 64, 64), overlap=0, blending="constant")),
    PredictPlan(windows=WindowSettings(blending="bump")),
    PredictPlan(windows=WindowSettings(overlap=1e-5)),
    PredictPlan(windows=WindowSettings(average="logits")),
    PredictPlan(windows=WindowSettings(overlap=1.5e-5, blending="bump")),
    PredictPlan(tta=TtaSettings(flips="plane", turns=True, combine="min")),
    PredictPlan(tta=TtaSettings(flips="all", scales=(0.75, 1)), windows=WindowSettings(average="logits")),
]
BOX = Box((0, 0, 0), (4, 16, 16))


def record_of(session: Session, plan: PredictPlan) -> PredictionRecord:
    """A prediction of which only the record is there."""
    name = "-".join(["20260101-1200-fast", *_variant(plan), "0_8_0_16_0_16"])
    folder = session.folder / "volumes/v1/predictions" / f"{name}.zarr"
    return PredictionRecord(
        id=name,
        volume="v1",
        model="m1",
        folder=folder,
        box=None,
        flips=plan.has_all_flips,
        created="",
        state="cancelled",
        tta=plan.copies.stamp,
    )


@pytest.mark.parametrize("plan", PLANS)
def test_settings_that_the_project_does_not_hold_are_read_from_the_id(session: Session, plan: PredictPlan) -> None:
    record = record_of(session, plan)
    found, (note,) = session.predictions.plan_of(record)
    assert found == plan
    assert record.id in note


def test_settings_that_are_refused_now_are_read_from_the_id(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(content: object) -> PredictPlan:
        raise InvalidInput("There is no such setting.")

    record = record_of(session, PLANS[1])
    monkeypatch.setattr(session.project.database, "specs", lambda *_: {record.id: {"plan": {}}})
    monkeypatch.setattr(PredictPlan, "model_validate", refuse)
    found, (note,) = session.predictions.plan_of(record)
    assert found == PLANS[1]
    assert record.id in note


def test_each_plan_has_ids_of_its_own() -> None:
    assert len({(*_variant(plan), plan.copies.stamp) for plan in PLANS}) == len(PLANS)
    assert _variant(PredictPlan(windows=WindowSettings(batch_size=1))) == []  # the result is the same


@pytest.mark.parametrize("box", [None, BOX])
def test_a_prediction_goes_on_with_all_settings_that_it_was_begun_with(session: Session, box: Box | None) -> None:
    make_model(session.folder / "models" / "m1")
    windows = WindowSettings(overlap=1 / 3, batch_size=1)
    plan = PredictPlan(
        tile_shape=(4, 8, 8), normalisation="training", device="cpu", precision="float32", windows=windows
    )
    begun = session.jobs.predict_job(plan, box=box)
    session.jobs.run(begun, ScriptedRunner([Cancelled(job="a")], leave_prediction))
    (record,) = session.predictions.records()
    job = session.jobs.resume_prediction_job(record, (1, 2, 3), BOX)
    assert (job.plan, job.output, job.box, job.view, job.notes) == (plan, begun.output, box, BOX, ())
    assert (begun.any_device, job.any_device) == (False, True), "the project may lie on another machine now"
    session.jobs.run(job, ScriptedRunner([Finished(job="b")], leave_prediction))
    assert [(one.id, one.state) for one in session.predictions.records()] == [(record.id, "finished")]


def test_other_copies_are_another_prediction_and_are_recorded(session: Session) -> None:
    make_model(session.folder / "models" / "m1")
    plans = [
        PredictPlan(),
        PredictPlan(flips=True),
        PredictPlan(tta=TtaSettings(turns=True)),
        PredictPlan(tta=TtaSettings(turns=True, combine="min")),
        PredictPlan(flips=True, tta=TtaSettings(turns=True)),
    ]
    jobs = [session.jobs.predict_job(plan) for plan in plans]
    for job in jobs:
        session.jobs.run(job, ScriptedRunner([Finished(job="b")], leave_prediction))
    records = session.predictions.records()
    assert len({record.id for record in records}) == len(plans)
    assert [(record.flips, bool(record.tta)) for record in records] == [
        (False, False), (True, False), (False, True), (False, True), (True, True)
    ]  # fmt: skip
    assert [session.jobs.predict_job(plan).output for plan in plans] == [job.output for job in jobs]
    same = PredictPlan(tta=TtaSettings(flips="all"))
    assert session.jobs.predict_job(same).output == jobs[1].output


def test_the_settings_that_a_model_brings_along_are_taken_and_noted(session: Session) -> None:
    folder = make_model(session.folder / "models" / "m1")
    usual = session.jobs.predict_job()
    assert usual.notes == ()
    brought = PredictionDefaults(tta=TtaSettings(turns=True), windows=WindowSettings(average="logits"))
    info = read_model_info(folder).model_copy(update={"prediction": brought})
    (folder / "provenance.json").write_text(info.model_dump_json(exclude={"plan", "scores"}), encoding="utf-8")
    job = session.jobs.predict_job()
    assert (job.plan.copies, job.plan.windows) == (brought.tta, brought.windows)
    assert job.output != usual.output
    assert "brings settings of its predictions along: tta.turns=true, windows.average=logits" in job.notes[-1]
    (record,) = session.models.records()
    assert PredictionDefaults.model_validate(record.prediction) == brought
    # A prediction that was begun with other settings goes on with those.
    session.jobs.run(usual, ScriptedRunner([Cancelled(job="a")], leave_prediction))
    (begun,) = session.predictions.records()
    again = session.jobs.resume_prediction_job(begun)
    assert (again.plan, again.notes) == (usual.plan, ())


def test_a_prediction_without_its_run_goes_on_by_its_name_and_says_so(session: Session) -> None:
    make_model(session.folder / "models" / "m1")
    record = record_of(session, PLANS[-1])
    session.project.database.put_prediction(record, session.image.digest)
    leave_prediction(session.jobs.resume_prediction_job(record))
    job = session.jobs.resume_prediction_job(record)
    assert (job.plan, job.output) == (PLANS[-1], record.folder)
    assert any(Path(job.output).stem in note for note in job.notes)
    session.jobs.run(job, ScriptedRunner([Finished(job="b")], leave_prediction))
    assert [(one.id, one.state) for one in session.predictions.records()] == [(record.id, "finished")]


def test_copies_of_another_version_are_refused_with_a_sentence(session: Session) -> None:
    record = record_of(session, PLANS[-1]).model_copy(update={"tta": '{"rotations": 3}'})
    with pytest.raises(ProjectError, match="test-time augmentation of another version"):
        session.predictions.plan_of(record)
