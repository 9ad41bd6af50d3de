"""What a job tells is in the project's database, and a database that refuses does not end the job."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest

from napari_pytc.errors import ProjectError
from napari_pytc.jobs.events import Cancelled, Failed, Finished, JobEvent, Measured, Progressed, Started, Warned
from napari_pytc.jobs.spec import JobSpec
from napari_pytc.session.project.database import Database
from napari_pytc.session.records import PredictionRecord, RunState
from napari_pytc.session.runs.run_recorder import RunRecorder


class CountJob(JobSpec):
    runs: ClassVar[str] = "nowhere:run"
    kind: Literal["count_for_recorder"] = "count_for_recorder"
    most: int = 3


class Recording:
    """A recorder on a database of its own, with all that it tells and a clock that the test moves."""

    def __init__(self, folder: Path) -> None:
        self.database = Database(folder / "project.sqlite", writable=True)
        self.events: list[JobEvent] = []
        self.started: list[str] = []
        self.ended: list[tuple[str, JobEvent]] = []
        self.now = 0.0

    def recorder(self, **options: Any) -> RunRecorder:
        options.setdefault("prediction", None)
        return RunRecorder(
            self.database,
            CountJob(),
            "s1",
            self.events.append,
            on_start=self.started.append,
            on_end=lambda run, event: self.ended.append((run, event)),
            clock=lambda: self.now,
            volume="v2",
            **options,
        )

    def state_of_prediction(self) -> str:
        ((record, digest),) = self.database.predictions("v2", Path("/predictions"))
        assert digest == "image"
        return record.state


@pytest.fixture
def recording(tmp_path: Path) -> Iterator[Recording]:
    made = Recording(tmp_path)
    yield made
    made.database.close()


def measured(step: int) -> Measured:
    return Measured(job="j", time=float(step), name="loss", step=step, value=1 / step)


def prediction(state: RunState) -> tuple[PredictionRecord, str]:
    record = PredictionRecord(
        id="p", model="m", folder=Path("/predictions/p.zarr"), box=None, flips=False, created="", state=state,
        volume="v2",
    )  # fmt: skip
    return record, "image"


def test_a_run_is_recorded_from_its_first_event_to_its_last(recording: Recording) -> None:
    record = recording.recorder()
    record(Started(job="j", time=1.0))
    (run,) = recording.database.runs()
    assert (run.id, run.kind, run.subject, run.state, run.started) == ("j", "count_for_recorder", "s1", "running", 1.0)
    assert run.volume == "v2"
    assert recording.database.specs("count_for_recorder", ("v2",))["s1"]["most"] == 3

    end = Finished(job="j", time=5.0, result={"n": 3})
    record(end)
    (run,) = recording.database.runs()
    assert (run.state, run.ended, run.result) == ("finished", 5.0, {"n": 3})
    assert (recording.started, recording.ended) == (["j"], [("j", end)])
    assert [type(event) for event in recording.events] == [Started, Finished]


def test_a_failure_is_kept_with_its_reason_and_a_cancel_without(recording: Recording) -> None:
    record = recording.recorder()
    record(Failed(job="j", time=2.0, message="No memory.", hint="Close something."))
    (run,) = recording.database.runs()
    assert (run.state, run.message, run.hint) == ("failed", "No memory.", "Close something.")
    recording.recorder()(Cancelled(job="k", time=3.0))
    assert [one.state for one in recording.database.runs()] == ["failed", "cancelled"]


def test_points_of_curves_are_written_once_a_second_and_at_the_end(recording: Recording) -> None:
    record = recording.recorder()
    record(Started(job="j", time=0.0))
    for step in (1, 2):
        record(measured(step))
    assert recording.database.metrics("j") == []
    recording.now = 1.0
    record(measured(3))
    assert [point.step for point in recording.database.metrics("j")] == [1, 2, 3]
    recording.now = 1.5
    record(measured(4))
    assert len(recording.database.metrics("j")) == 3
    record(Finished(job="j", time=9.0, result={}))
    assert [point.step for point in recording.database.metrics("j")] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("before", "within", "end", "after"),
    [
        ("running", False, Finished(job="j", result={}), "finished"),
        ("running", False, Cancelled(job="j"), "cancelled"),
        ("cancelled", True, Finished(job="j", result={}), "cancelled"),
        ("cancelled", False, Failed(job="j", message="No."), "failed"),
    ],
)
def test_a_prediction_is_finished_only_by_a_job_of_all_of_it(
    recording: Recording, before: RunState, within: bool, end: JobEvent, after: str
) -> None:
    record = recording.recorder(prediction=prediction(before), within=within)
    record(Started(job="j"))
    assert recording.state_of_prediction() == "running"
    record(end)
    assert recording.state_of_prediction() == after


def test_a_finished_prediction_stays_so_while_a_part_is_predicted_again(recording: Recording) -> None:
    recording.database.put_prediction(*prediction("finished"))
    record = recording.recorder(prediction=prediction("finished"), within=True)
    for event in (Started(job="j"), Cancelled(job="j")):
        record(event)
        assert recording.state_of_prediction() == "finished"


def test_a_database_that_refuses_warns_once_and_everybody_still_hears(
    recording: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise ProjectError("The disk is full.")

    for name in ("start_run", "add_metrics", "end_run"):
        monkeypatch.setattr(recording.database, name, refuse)
    record, end = recording.recorder(), Finished(job="j", result={})
    for event in (Started(job="j"), Progressed(job="j", done=1, total=3), measured(1), end):
        record(event)

    warnings = [event.message for event in recording.events if isinstance(event, Warned)]
    assert warnings == ["This run is not recorded in the project: The disk is full."]
    assert [type(event) for event in recording.events if not isinstance(event, Warned)] == [
        Started,
        Progressed,
        Measured,
        Finished,
    ]
    assert (recording.started, recording.ended) == (["j"], [("j", end)])


def test_lost_points_do_not_hide_the_end_of_a_run(recording: Recording, monkeypatch: pytest.MonkeyPatch) -> None:
    record = recording.recorder()
    record(Started(job="j"))
    record(measured(1))

    def refuse(*_: object) -> None:
        raise ProjectError("The disk is full.")

    monkeypatch.setattr(recording.database, "add_metrics", refuse)
    record(Finished(job="j", result={"n": 1}))
    (run,) = recording.database.runs()
    assert (run.state, run.result) == ("finished", {"n": 1})
    (warning,) = (event.message for event in recording.events if isinstance(event, Warned))
    assert warning == "The last points of the curves are not kept: The disk is full."
