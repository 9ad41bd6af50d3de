from __future__ import annotations

import json
from pathlib import Path

import pytest

from napari_pytc.geometry import Box
from napari_pytc.jobs.events import Finished
from napari_pytc.plans.live_plan import LivePlan
from napari_pytc.plans.live_spec import LiveJob
from napari_pytc.session.live import Suggestion, Suggestions
from napari_pytc.session.session import Session
from tests.session.models import make_model
from tests.session.runners import ScriptedRunner


def run(session: Session, job: LiveJob) -> None:
    """Run a live job that leaves a model."""
    session.jobs.run(job, ScriptedRunner(before=lambda spec: make_model(spec.output.model_folder, recipe="live")))  # type: ignore[arg-type]


def test_a_live_job_knows_the_project(session: Session) -> None:
    session.held_out.add(Box((0, 0, 0), (2, 8, 8)))

    job = session.live.job(LivePlan(instant_only=True))

    assert job.classes == ("membrane", "inside")
    assert job.in_view.held_out == session.held_out.boxes
    assert job.in_view.annotations == session.strokes.store.folder
    assert job.prediction == session.folder / "volumes/v1/live/prediction.zarr"
    assert job.output.model_folder.parent == session.folder / "models"
    assert LiveJob.model_validate_json(job.model_dump_json()) == job


def test_its_model_is_known_when_it_ends(session: Session) -> None:
    told: list[str] = []
    session.models.added.connect(lambda model: told.append(model.id))
    job = session.live.job()

    run(session, job)

    assert told == [job.output.model_folder.name]
    assert [model.id for model in session.models.records()] == told
    assert session.jobs.runs()[-1].kind == "live"
    assert session.jobs.runs()[-1].subject == told[0]


def test_the_next_goes_on_with_the_same_model(session: Session) -> None:
    first = session.live.job()
    run(session, first)

    second = session.live.job()
    run(session, second)

    assert second.output.model_folder == first.output.model_folder
    assert second.output.run_folder == first.output.run_folder
    assert len(session.models.records()) == 1


def test_a_model_that_was_used_or_renamed_is_not_replaced(session: Session) -> None:
    first = session.live.job()
    run(session, first)
    make_model(session.folder / "models" / "child", parent=first.output.model_folder.name)
    second = session.live.job()
    run(session, second)
    session.models.rename(second.output.model_folder.name, "my best")

    third = session.live.job()

    assert len({first.output.model_folder, second.output.model_folder, third.output.model_folder}) == 3


def test_other_classes_make_another_model(session: Session) -> None:
    first = session.live.job()
    run(session, first)
    session.classes.add("vesicle")

    assert session.live.job().output.model_folder != first.output.model_folder


def test_two_live_jobs_at_a_time_are_refused(session: Session) -> None:
    class Endless:
        def start(self, spec: object, sink: object) -> str:
            return "j1"

    session.jobs.run(session.live.job(), Endless())  # type: ignore[arg-type]

    with pytest.raises(Exception, match="runs already"):
        session.jobs.run(session.live.job(), ScriptedRunner([Finished(job="j2")]))  # type: ignore[arg-type]


def test_suggestions_are_read_from_the_project(session: Session) -> None:
    assert session.live.suggestions() == Suggestions()
    path = session.folder / "volumes/v1/live/suggestions.json"
    path.parent.mkdir()
    one = {"start": [0, 1, 2], "stop": [1, 9, 9]}
    content = {
        "boxes": [
            {"box": one, "gain": 1.0, "reason": "why", "uncertainty": 0.5, "disagreement": 0.1, "distance_um": 2.0}
        ],
        "saturated": True,
        "text": "enough",
    }
    path.write_text(json.dumps(content))

    found = session.live.suggestions()

    assert found.saturated
    assert found.boxes[0] == Suggestion(
        box=Box((0, 1, 2), (1, 9, 9)), gain=1.0, reason="why", uncertainty=0.5, disagreement=0.1, distance_um=2.0
    )


def test_a_damaged_list_of_suggestions_is_none(session: Session) -> None:
    path: Path = session.folder / "volumes/v1/live/suggestions.json"
    path.parent.mkdir()
    path.write_text("{")

    assert session.live.suggestions() == Suggestions()
