"""A model that was found worse than another is not used unless somebody insists."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from napari_pytc.errors import ModelError
from napari_pytc.jobs.events import Cancelled, Finished
from napari_pytc.plans.model_comparison import ModelComparison, comparisons, interval_of, judge, refusal
from napari_pytc.plans.specs import TrainJob
from napari_pytc.session.records import ModelRecord
from napari_pytc.session.session import Session
from tests.session.models import make_model
from tests.session.runners import ScriptedRunner
from tests.session.test_jobs import PLAN, leave_checkpoint


def compared(baseline: str, verdict: str, name: str = "comparison") -> dict[str, Any]:
    """Scores with a comparison in them."""
    sign = {"worse": -1, "better": 1}.get(verdict, 0)
    known = {"mean": 0.8, "baseline_mean": 0.8 - 0.1 * sign, "difference": 0.1 * sign, "n_blocks": 12}
    known |= {"low": 0.1 * sign - 0.05, "high": 0.1 * sign + 0.05}
    if verdict == "unknown":
        known = {"reason": "nothing annotated is held out"}
    found = ModelComparison(baseline=baseline, verdict=verdict, **known)  # type: ignore[arg-type]
    return {"mean": 0.8, "dice": {"membrane": 0.8}, "interval": [0.75, 0.85], name: found.model_dump(mode="json")}


def day(number: int) -> str:
    return f"2026-11-{number:02d}T05:00:00+00:00"


def in_use(session: Session) -> str:
    (found,) = [model.id for model in session.models.records() if model.active]
    return found


def add(session: Session, name: str, number: int, scores: dict[str, Any] | None = None) -> None:
    changes = {} if scores is None else {"scores": scores}
    make_model(session.folder / "models" / name, day(number), **changes)


@pytest.mark.parametrize(
    ("verdict", "used"), [("better", "m2"), ("no different", "m2"), ("unknown", "m2"), ("worse", "m1")]
)
@pytest.mark.parametrize("name", ["comparison", "in_use"])
def test_only_a_worse_model_is_not_promoted(session: Session, verdict: str, used: str, name: str) -> None:
    add(session, "m1", 1)
    add(session, "m2", 2, compared("m1", verdict, name))
    assert in_use(session) == used
    assert session.models.resolve().name == used
    assert session.jobs.predict_job().model.name == used


def test_insisting_uses_it_and_going_back_gives_way_to_the_next(session: Session) -> None:
    add(session, "m1", 1)
    add(session, "m2", 2, compared("m1", "worse"))
    session.models.activate("m2")
    assert in_use(session) == "m2"
    session.models.activate("m1")
    assert in_use(session) == "m1"
    add(session, "m3", 3, compared("m1", "better"))
    assert in_use(session) == "m3"  # m1 was what would have been used anyway: nobody chose it for good
    session.models.activate("m1")
    add(session, "m4", 4, compared("m1", "better"))
    assert in_use(session) == "m1"


def test_a_refusal_ends_with_the_model_that_was_better(session: Session) -> None:
    add(session, "m1", 1)
    add(session, "m2", 2, compared("m1", "worse"))
    session.models.delete("m1")
    assert in_use(session) == "m2"


def test_a_project_of_refused_models_uses_the_newest(session: Session) -> None:
    add(session, "m1", 1, compared("m2", "worse"))
    add(session, "m2", 2, compared("m1", "worse"))
    assert in_use(session) == "m2"


def leave(scores: dict[str, Any]) -> Any:
    def write(job: TrainJob) -> None:
        make_model(job.output.model_folder, day(9), scores=scores)

    return write


def test_a_training_is_compared_with_the_model_in_use_and_may_be_refused(session: Session) -> None:
    assert session.jobs.train_job(PLAN).output.baseline is None
    add(session, "m1", 1)
    add(session, "m2", 2)
    heard: list[ModelRecord] = []
    session.models.refused.connect(heard.append)
    job = session.jobs.train_job(PLAN, parent="m1")
    assert (job.output.parent, job.output.baseline) == (
        session.folder / "models" / "m1",
        session.folder / "models" / "m2",
    )
    session.jobs.run(job, ScriptedRunner([Finished(job="j1")], leave(compared("m1", "better"))))
    assert heard == []
    session.models.activate("m2")
    job = session.jobs.train_job(PLAN)
    session.jobs.run(job, ScriptedRunner([Finished(job="j2")], leave(compared("m2", "worse"))))
    assert [model.id for model in heard] == [job.output.model_folder.name]
    assert in_use(session) == "m2"


def test_another_model_in_use_does_not_begin_a_training_anew(session: Session) -> None:
    add(session, "m1", 1)
    first = session.jobs.train_job(PLAN)
    session.jobs.run(first, ScriptedRunner([Cancelled(job="cut")], leave_checkpoint))
    add(session, "m2", 2)
    again = session.jobs.train_job(PLAN)
    assert again.output.run_folder == first.output.run_folder
    assert again.output.baseline == session.folder / "models" / "m2"
    assert [job.output.baseline for job in session.jobs.unfinished_trainings()] == [again.output.baseline]


def test_scores_of_an_older_version_or_damaged_ones_speak_against_nothing() -> None:
    for scores in ({}, {"mean": 0.5}, {"comparison": None}, {"comparison": {"verdict": "worse"}}, {"in_use": "m1"}):
        assert comparisons(scores) == []
        assert refusal(scores) is None
    assert interval_of({}) is None
    assert interval_of({"interval": None}) is None
    assert interval_of({"interval": [0.25, 0.5]}) == (0.25, 0.5)


@pytest.mark.parametrize(
    ("difference", "low", "high", "verdict"),
    [
        (-0.1, -0.2, -0.01, "worse"),
        (-0.1, -0.2, 0.01, "no different"),
        (0.1, 0.01, 0.2, "better"),
        (0.1, -0.01, 0.2, "no different"),
        (-0.001, -0.0015, -0.0005, "no different"),  # sure, and not worth a word
        (0.001, 0.0005, 0.0015, "no different"),
    ],
)
def test_the_verdict_needs_a_whole_interval_on_one_side(difference: float, low: float, high: float, verdict: str):
    assert judge(difference, low, high) == verdict


def test_a_comparison_has_a_sentence() -> None:
    worse = comparisons(compared("m1", "worse"))[0].sentence
    assert worse == (
        "Worse than m1 on the same held-out voxels: 0.800 against 0.900 (-0.100, 95 % interval -0.150 to -0.050)."
    )
    unknown = comparisons(compared("m1", "unknown"))[0].sentence
    assert unknown == "Not known whether it is better than m1: nothing annotated is held out."


def test_a_model_that_is_not_there_cannot_be_insisted_on(session: Session) -> None:
    with pytest.raises(ModelError, match="no model 'm9'"):
        session.models.activate("m9")


def test_the_record_of_a_model_holds_its_standing(session: Session, tmp_path: Path) -> None:
    add(session, "m1", 1, compared("m0", "worse"))
    (record,) = session.models.records()
    assert record.refusal == record.comparisons[0]
    assert record.interval == (0.75, 0.85)
