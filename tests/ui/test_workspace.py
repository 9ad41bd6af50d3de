"""The workspace on a viewer without a window and a runner that the test speaks for: projects and jobs come and go."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from psygnal import SignalInstance

from napari_pytc.errors import PytcError, WorkerDied
from napari_pytc.geometry import Box
from napari_pytc.jobs.events import Failed, Finished, Measured, Progressed, Started
from napari_pytc.jobs.job import Job, JobState, Sink
from napari_pytc.jobs.runners.inline import InlineRunner
from napari_pytc.jobs.spec import JobSpec
from napari_pytc.learning.recipes import load_recipe
from napari_pytc.session.opening import NewProject
from napari_pytc.session.records import ClassSpec
from napari_pytc.session.session import Session
from tests.session.models import make_model
from tests.ui.told_desk import SHAPE, Desk

INSTANT, FAST = load_recipe("instant"), load_recipe("fast")


@pytest.fixture
def desk(qtbot: Any, tmp_path: Path) -> Iterator[Desk]:
    found = Desk(qtbot, tmp_path)
    yield found
    found.agency.may_begin.set()
    found.workspace.shutdown()


@pytest.fixture
def opened(desk: Desk) -> Desk:
    """A project with strokes is open, and the runner is there."""
    desk.open(desk.make())
    desk.warm()
    desk.paint(1, 10)
    desk.paint(2, 20)
    desk.until(lambda: all(desk.session.annotated_voxels().values()))
    strokes: Any = desk.viewer.find("Strokes").data
    desk.until(lambda: strokes.is_saved)
    return desk


def listeners(session: Session) -> int:
    """How many callbacks a session still calls."""
    found = [getattr(session, name) for name in dir(type(session))]
    return sum(len(one) for one in found if isinstance(one, SignalInstance))


# ---- projects


def test_a_project_is_opened(desk: Desk) -> None:
    folder = desk.make()
    assert desk.workspace.session is None
    desk.open(folder)
    assert desk.name == "a.pytc"
    assert desk.workspace.is_changeable
    assert [layer.name for layer in desk.viewer.layers] == ["a", "Strokes"]
    assert desk.busy == ["Opening a.pytc …", ""]
    assert desk.sessions == ["a.pytc"]
    assert desk.recent.folders() == [folder]
    assert not desk.errors


def test_a_project_is_made(desk: Desk) -> None:
    image = desk.make("b").with_name("b.h5")
    request = NewProject(desk.folder / "new.pytc", image, (ClassSpec(name="glia"),), voxel_size_nm=(40, 10, 10))
    desk.workspace.create_project(request)
    assert desk.workspace.busy == "Making new.pytc …"
    desk.until(lambda: desk.name == "new.pytc")
    assert [c.name for c in desk.session.classes] == ["glia"]
    desk.workspace.close_project()
    desk.workspace.create_project(request)
    desk.until(lambda: desk.errors)
    assert "already a project" in desk.errors[0].message
    assert desk.workspace.session is None
    assert not desk.workspace.busy


def test_what_is_no_project_leaves_the_one_that_is_open(desk: Desk) -> None:
    desk.open(desk.make())
    desk.open(desk.folder / "nowhere.pytc")
    assert "does not exist" in desk.errors[0].message
    assert "ends in .pytc" in desk.errors[0].hint  # not a command line
    assert desk.errors[0].hint
    assert desk.name == "a.pytc"
    assert desk.viewer.find("Strokes")


def test_another_project_takes_its_place(desk: Desk) -> None:
    first, second = desk.make("a"), desk.make("b")
    desk.open(first)
    before = desk.session
    desk.open(second)
    assert [layer.name for layer in desk.viewer.layers] == ["b", "Strokes"]
    assert listeners(before) == 0
    Session.open(first).close()
    with Session.open(first) as again:
        assert not again.read_only
    assert desk.recent.folders() == [second, first]


def test_two_at_once_are_refused(desk: Desk) -> None:
    first, second = desk.make("a"), desk.make("b")
    desk.workspace.open_project(first)
    desk.workspace.open_project(second)
    assert desk.errors[0].message == "Opening a.pytc is not over yet."
    desk.until(lambda: desk.name == "a.pytc")


def test_the_same_project_twice_stays_as_it_is(opened: Desk) -> None:
    session, layers = opened.session, opened.layers
    opened.open(session.folder)
    assert opened.session is session
    assert opened.layers is layers
    assert "open already" in opened.viewer.status
    assert not session.read_only


def test_a_project_that_another_has_open_is_read_only_until_it_is_opened_again(desk: Desk) -> None:
    folder = desk.make()
    with Session.open(folder) as other:
        assert not other.read_only
        desk.open(folder)
        assert desk.session.read_only
        assert not desk.workspace.is_changeable
        assert "reading only" in desk.errors[0].message
        assert not desk.viewer.find("Strokes").paintable
        desk.workspace.train(INSTANT)
        desk.workspace.predict("view")
        assert [error.message for error in desk.errors[1:]] == [desk.session.read_only_reason] * 2
        assert desk.jobs() == []
    desk.open(folder)
    assert desk.workspace.is_changeable
    assert desk.viewer.find("Strokes").paintable


def test_an_image_that_moved_is_told_and_jobs_ask_for_it(desk: Desk) -> None:
    folder = desk.make()
    image = folder.with_name("a.h5")
    image.rename(desk.folder / "elsewhere.h5")
    desk.open(folder)
    assert desk.name == "a.pytc"
    assert desk.workspace.layers is None
    assert desk.viewer.layers == []
    assert len(desk.errors) == 1
    assert "Find the image" in desk.errors[0].hint  # not a command line
    desk.workspace.train(INSTANT)
    desk.workspace.predict("view")
    assert [error.message for error in desk.errors[1:]] == ["The image of a.pytc was not found."] * 2
    assert desk.jobs() == []


def test_changes_of_a_session_are_told_until_it_is_closed(desk: Desk) -> None:
    desk.open(desk.make())
    session, workspace, told = desk.session, desk.workspace, list[str]()
    for name in ("classes_changed", "held_out_changed", "models_changed", "predictions_changed", "strokes_changed"):
        getattr(workspace, name).connect(lambda name=name: told.append(name.removesuffix("_changed")))
    make_model(session.folder / "models" / "m1")
    session.add_class("glia")
    session.hold_out(Box((0, 0, 0), (2, 5, 5)))
    session.activate_model("m1")
    session.rename_model("m1", "mine")
    assert set(told) == {"classes", "held_out", "models"}
    told.clear()
    session.delete_model("m1")
    assert told == ["models"]
    desk.paint(1, 10)
    desk.until(lambda: "strokes" in told)
    workspace.close_project()
    assert listeners(session) == 0
    assert desk.sessions == ["a.pytc", None]
    assert desk.viewer.layers == []


def test_a_prediction_is_deleted_from_disk_and_canvas(opened: Desk) -> None:
    session, workspace = opened.session, opened.workspace
    make_model(session.folder / "models" / "m1")
    workspace.predict("all")
    opened.until(lambda: opened.runner.jobs)
    output = opened.runner.specs[0].output
    output.mkdir()
    opened.runner.tell(Started)
    opened.runner.tell(Finished)
    opened.until(lambda: [r.state for r in session.predictions()] == ["finished"])
    told: list[int] = []
    workspace.predictions_changed.connect(lambda: told.append(len(session.predictions())))
    workspace.delete_prediction(output.stem)
    assert told == [0]
    assert not output.exists()


# ---- jobs


def test_a_job_waits_for_strokes_and_runner(desk: Desk) -> None:
    desk.open(desk.make())
    desk.agency.may_begin.clear()
    desk.paint(1, 10)
    desk.paint(2, 20)
    desk.workspace.train(INSTANT)
    assert desk.jobs() == [JobState.WAITING]
    desk.until(lambda: desk.agency.n_asked == 1)
    assert not desk.runner.jobs
    desk.agency.may_begin.set()
    desk.until(lambda: desk.runner.jobs)
    assert desk.session.annotated_voxels() == {"membrane": 108, "inside": 108}
    desk.runner.tell(Started)
    desk.runner.tell(Progressed, done=1, total=2, note="step")
    desk.runner.tell(Measured, name="loss", step=1, value=0.5)
    assert desk.jobs() == [JobState.RUNNING]
    desk.runner.tell(Finished)
    assert desk.jobs() == [JobState.FINISHED]
    assert [run.state for run in desk.session.runs()] == ["finished"]


def test_strokes_are_on_the_disk_when_a_job_is_described(opened: Desk) -> None:
    seen: list[int] = []
    real = opened.runner.start

    def start(spec: JobSpec, sink: Sink) -> Job:
        seen.append(int((opened.session.annotations.read(Box.of_shape(SHAPE)) == 1).sum()))
        found: Job = real(spec, sink)
        return found

    opened.runner.start = start
    before = opened.session.annotated_voxels()["membrane"]
    opened.paint(1, 30)
    opened.workspace.train(INSTANT)
    opened.until(lambda: seen)
    assert seen == [before + 108]


def test_a_job_whose_strokes_cannot_be_saved_fails_and_says_why(opened: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(opened.session.annotations, "write", refuse)
    opened.paint(1, 30)
    opened.workspace.train(INSTANT)
    opened.until(lambda: opened.jobs() == [JobState.FAILED])
    assert "No space left" in opened.workspace.jobs.jobs[0].message
    assert opened.errors
    assert not opened.runner.jobs
    monkeypatch.undo()
    opened.workspace.train(INSTANT)
    opened.until(lambda: opened.runner.jobs)
    assert opened.session.annotated_voxels()["membrane"] == 216


def test_one_training_at_a_time(opened: Desk) -> None:
    workspace = opened.workspace
    workspace.train(FAST)
    opened.until(lambda: opened.runner.jobs)
    workspace.train(INSTANT)
    workspace.go_on_training(opened.runner.specs[0])
    workspace.plan = INSTANT
    workspace.train_now()
    assert [error.message for error in opened.errors] == ["A training runs already."] * 3
    assert opened.errors[0].hint
    assert len(opened.jobs()) == 1
    opened.runner.tell(Started)
    opened.runner.tell(Finished)
    assert opened.jobs() == [JobState.FINISHED]
    workspace.train_now()
    opened.until(lambda: len(opened.runner.jobs) == 2)
    assert opened.runner.specs[1].plan == INSTANT


def test_train_now_takes_instant_where_nothing_was_chosen_and_refuses_wrong_settings(opened: Desk) -> None:
    workspace = opened.workspace
    workspace.plan_problem = "Steps must be at least 1."
    workspace.train_now()
    assert [error.message for error in opened.errors] == ["Steps must be at least 1."]
    workspace.plan_problem = ""
    workspace.train_now()
    opened.until(lambda: opened.runner.specs)
    assert opened.runner.specs[0].plan.recipe == "instant"


def test_a_prediction_without_a_model_is_told_and_not_begun(opened: Desk) -> None:
    opened.workspace.predict("view")
    assert opened.jobs() == [JobState.FAILED]
    assert [error.message for error in opened.errors] == ["The project has no model yet."]
    make_model(opened.session.folder / "models" / "m1")
    opened.workspace.predict("box")
    assert opened.errors[-1].message == "No box is drawn."
    assert not opened.runner.jobs


def test_jobs_of_no_project_are_refused_in_a_sentence(desk: Desk) -> None:
    desk.workspace.train(INSTANT)
    desk.workspace.predict("all")
    desk.workspace.export("classes", desk.folder / "out.tif")
    assert [error.message for error in desk.errors] == ["No project is open."] * 3
    assert all(error.hint for error in desk.errors)
    assert desk.jobs() == []


def test_a_cancel_while_the_runner_is_hired_keeps_the_job_from_beginning(desk: Desk) -> None:
    desk.open(desk.make())
    desk.agency.may_begin.clear()
    desk.workspace.train(INSTANT)
    desk.workspace.jobs.jobs[0].cancel()
    assert desk.jobs() == [JobState.CANCELLED]
    desk.agency.may_begin.set()
    desk.until(lambda: desk.workspace.is_warm)
    assert not desk.runner.jobs
    assert not desk.errors


def test_hiring_that_fails_is_told_ends_the_jobs_and_is_tried_again(desk: Desk) -> None:
    desk.open(desk.make())
    desk.agency.problem = WorkerDied("The system could not start the worker process: no memory.", "Close programs.")
    changes: list[bool] = []
    desk.workspace.runner_changed.connect(lambda: changes.append(desk.workspace.is_warm))
    desk.workspace.train(INSTANT)
    desk.until(lambda: desk.jobs() == [JobState.FAILED])
    assert "no memory" in desk.workspace.jobs.jobs[0].message
    assert len(desk.errors) == 1
    assert changes == [False]
    desk.agency.problem = None
    desk.workspace.train(INSTANT)
    desk.until(lambda: desk.runner.jobs)
    assert desk.agency.n_asked == 2
    assert changes == [False, True]


def test_a_job_of_a_project_that_was_closed_meanwhile_is_not_begun(desk: Desk) -> None:
    first, second = desk.make("a"), desk.make("b")
    desk.open(first)
    desk.agency.may_begin.clear()
    desk.workspace.train(INSTANT)
    desk.workspace.close_project()
    assert desk.jobs() == [JobState.CANCELLED]
    desk.agency.may_begin.set()
    desk.open(second)
    desk.until(lambda: desk.workspace.is_warm)
    assert not desk.runner.jobs


def test_closing_a_project_loses_nothing_and_what_its_jobs_still_say_harms_nobody(opened: Desk) -> None:
    workspace, folder = opened.workspace, opened.session.folder
    make_model(folder / "models" / "m1")
    opened.runner.obeys = False
    workspace.train(FAST)
    workspace.predict("all")
    opened.until(lambda: len(opened.runner.jobs) == 2)
    opened.runner.tell(Started, 0)
    opened.runner.tell(Measured, 0, name="loss", step=1, value=0.5)
    opened.paint(1, 30)
    workspace.close_project()
    assert all(job.cancel_requested for job in opened.runner.jobs)
    with Session.open(folder) as after:
        assert after.annotated_voxels() == {"membrane": 216, "inside": 108}
        assert not after.read_only
    other = opened.make("b")
    opened.open(other)
    opened.runner.tell(Measured, 0, name="loss", step=2, value=0.4)
    opened.runner.tell(Finished, 0)
    opened.runner.tell(Started, 1)
    opened.runner.tell(Failed, 1, message="The worker was killed.", hint="Again.")
    assert opened.jobs() == [JobState.FINISHED, JobState.FAILED]
    assert opened.name == "b.pytc"
    assert opened.session.runs() == []
    opened.open(folder)
    assert opened.session.annotated_voxels() == {"membrane": 216, "inside": 108}
    assert {run.state for run in opened.session.runs()} == {"interrupted"}


def test_a_real_job_in_this_thread_is_over_when_it_was_started(desk: Desk, qtbot: Any) -> None:
    desk.agency.runner = InlineRunner()
    desk.agency.runner.close = lambda: None
    desk.open(desk.make())
    with qtbot.waitSignal(desk.workspace.jobs.ended):
        desk.workspace.train(INSTANT)
    job = desk.workspace.jobs.jobs[0]
    assert (job.state, job.hint) == (JobState.FAILED, "The classes are membrane, inside: paint a stroke of each.")


# ---- the end


def assert_free(folder: Path) -> None:
    with Session.open(folder) as after:
        assert not after.read_only, after.read_only_reason


def test_shutdown_with_nothing_open(desk: Desk) -> None:
    desk.workspace.shutdown()
    desk.workspace.shutdown()
    desk.workspace.warm_up()
    assert desk.agency.n_asked == 0


def test_shutdown_while_a_project_is_opened_gives_it_back(desk: Desk) -> None:
    folder = desk.make()
    desk.workspace.open_project(folder)
    desk.workspace.shutdown()
    assert desk.workspace.session is None
    assert desk.sessions == []
    assert_free(folder)


def test_shutdown_while_the_runner_is_hired_lets_it_go(desk: Desk) -> None:
    desk.agency.may_begin.clear()
    desk.workspace.warm_up()
    desk.until(lambda: desk.agency.n_asked == 1)
    threading.Timer(0.2, desk.agency.may_begin.set).start()
    desk.workspace.shutdown()
    assert desk.runner.is_closed


def test_shutdown_while_a_job_runs_ends_it_and_saves_everything(opened: Desk) -> None:
    folder, viewer = opened.session.folder, opened.viewer
    opened.workspace.train(FAST)
    opened.until(lambda: opened.runner.jobs)
    opened.runner.tell(Started)
    opened.paint(2, 30)
    opened.workspace.shutdown()
    assert opened.runner.is_closed
    assert viewer.layers == []
    with Session.open(folder) as after:
        assert not after.read_only
        assert after.annotated_voxels() == {"membrane": 108, "inside": 216}
        assert [run.state for run in after.runs()] == ["cancelled"]


def test_shutdown_while_strokes_are_flushed_for_a_job(opened: Desk) -> None:
    folder = opened.session.folder
    opened.paint(2, 30)
    opened.workspace.train(FAST)
    opened.workspace.shutdown()
    assert not opened.runner.jobs
    with Session.open(folder) as after:
        assert after.annotated_voxels()["inside"] == 216


def test_layers_that_cannot_be_made_leave_no_project_half_open(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = desk.make()

    def fail(session: Session) -> None:
        raise PytcError("The predictions cannot be read.", "Restore project.sqlite.")

    monkeypatch.setattr(Session, "predictions", fail)
    desk.open(folder)
    assert [error.message for error in desk.errors] == ["The predictions cannot be read."]
    assert desk.workspace.session is None
    assert desk.workspace.layers is None
    assert desk.viewer.layers == []
    monkeypatch.undo()
    assert_free(folder)


def test_nothing_of_the_workspace_is_slow_in_the_windows_thread(desk: Desk) -> None:
    """The slow parts are in the helper thread: here only that a blocked disk there does not block the caller."""
    folder = desk.make()
    desk.agency.may_begin.clear()
    desk.workspace.warm_up()  # the helper thread is busy until it may begin
    desk.workspace.open_project(folder)
    assert desk.workspace.busy == "Opening a.pytc …"
    assert desk.workspace.session is None
    desk.agency.may_begin.set()
    desk.until(lambda: desk.name == "a.pytc")
    assert np.asarray(desk.viewer.find("a").data[0]).shape == SHAPE[1:]
    assert os.listdir(folder)
