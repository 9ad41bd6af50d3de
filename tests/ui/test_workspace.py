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
from napari_pytc.geometry import Box, VoxelSpace
from napari_pytc.jobs.events import Failed, Finished, Measured, Progressed, Started
from napari_pytc.jobs.job import Job, JobState, Sink
from napari_pytc.jobs.runners.inline import InlineRunner
from napari_pytc.jobs.spec import JobSpec
from napari_pytc.plans.recipes import load_recipe
from napari_pytc.session.opening import NewProject
from napari_pytc.session.predictions import Predictions
from napari_pytc.session.records import ClassSpec
from napari_pytc.session.session import Session
from napari_pytc.ui.canvas.viewer.layer_choice import LayerChoice
from napari_pytc.ui.canvas.viewer.port import LayerStyle
from napari_pytc.ui.panels.predict.controller import PredictController
from napari_pytc.volumes.spec import ReadOptions
from tests.session.models import make_model
from tests.support.workspace_bench import SHAPE, WorkspaceBench

INSTANT, FAST = load_recipe("instant"), load_recipe("fast")


@pytest.fixture
def bench(qtbot: Any, tmp_path: Path) -> Iterator[WorkspaceBench]:
    found = WorkspaceBench(qtbot, tmp_path)
    yield found
    found.factory.may_begin.set()
    found.workspace.shutdown()


@pytest.fixture
def opened(bench: WorkspaceBench) -> WorkspaceBench:
    """A project with strokes is open, and the runner is there."""
    bench.open(bench.make())
    bench.warm()
    bench.paint(1, 10)
    bench.paint(2, 20)
    bench.until(lambda: all(bench.session.strokes.counts().values()))
    strokes: Any = bench.viewer.find("Strokes").data
    bench.until(lambda: strokes.is_saved)
    return bench


def listeners(session: Session) -> int:
    """How many callbacks a session still calls."""
    found = [getattr(session, name) for name in dir(type(session))]
    return sum(len(one) for one in found if isinstance(one, SignalInstance))


# ---- projects


def test_a_project_is_opened(bench: WorkspaceBench) -> None:
    folder = bench.make()
    assert bench.workspace.session is None
    bench.open(folder)
    assert bench.name == "a.pytc"
    assert not bench.workspace.locked_reason
    assert [layer.name for layer in bench.viewer.layers] == ["a", "Strokes"]
    assert bench.busy == ["Opening a.pytc …", ""]
    assert bench.sessions == ["a.pytc"]
    assert bench.recent.folders() == [folder]
    assert not bench.errors


def test_a_project_is_made(bench: WorkspaceBench) -> None:
    image = bench.make("b").with_name("b.h5")
    options = ReadOptions(voxel_size_nm=(40, 10, 10))
    request = NewProject(bench.folder / "new.pytc", image, (ClassSpec(name="glia"),), options)
    bench.workspace.create_project(request)
    assert bench.workspace.busy == "Making new.pytc …"
    bench.until(lambda: bench.name == "new.pytc")
    assert list(bench.session.classes.names) == ["glia"]
    bench.workspace.close_project()
    bench.workspace.create_project(request)
    bench.until(lambda: bench.errors)
    assert "already a project" in bench.errors[0].message
    assert bench.workspace.session is None
    assert not bench.workspace.busy


def layer_of(bench: WorkspaceBench, path: str | None) -> Any:
    """A layer of the user's, perhaps from a file."""
    layer = bench.viewer.add_image(np.zeros(SHAPE, np.uint8), VoxelSpace((1.0, 1.0, 1.0)), LayerStyle("mine", ""))
    bench.viewer.choices = [LayerChoice("mine", SHAPE, "uint8", path, None, layer)]
    return layer


def test_a_project_of_an_open_layer_goes_on_with_it(bench: WorkspaceBench) -> None:
    mine = layer_of(bench, None)
    options = ReadOptions(voxel_size_nm=(40, 10, 10))
    request = NewProject(bench.folder / "new.pytc", None, (ClassSpec(name="glia"),), options, array=mine.data)
    bench.workspace.create_project(request, [mine])
    bench.until(lambda: bench.name == "new.pytc")
    assert [layer.name for layer in bench.viewer.layers] == ["mine", "Strokes"]
    assert mine.space == VoxelSpace((40, 10, 10))
    assert bench.session.image.source.shape == SHAPE
    bench.workspace.close_project()
    assert [layer.name for layer in bench.viewer.layers] == ["mine"]


def test_a_layer_that_shows_the_image_of_an_opened_project_goes_on(bench: WorkspaceBench) -> None:
    folder = bench.make()
    mine = layer_of(bench, str(folder.with_name("a.h5")))
    bench.open(folder)
    assert bench.workspace.layers is not None
    assert bench.workspace.layers.image is mine
    assert [layer.name for layer in bench.viewer.layers] == ["mine", "Strokes"]


def test_what_is_no_project_leaves_the_one_that_is_open(bench: WorkspaceBench) -> None:
    bench.open(bench.make())
    bench.open(bench.folder / "nowhere.pytc")
    assert "does not exist" in bench.errors[0].message
    assert "ends in .pytc" in bench.errors[0].hint  # not a command line
    assert bench.errors[0].hint
    assert bench.name == "a.pytc"
    assert bench.viewer.find("Strokes")


def test_another_project_takes_its_place(bench: WorkspaceBench) -> None:
    first, second = bench.make("a"), bench.make("b")
    bench.open(first)
    before = bench.session
    bench.open(second)
    assert [layer.name for layer in bench.viewer.layers] == ["b", "Strokes"]
    assert listeners(before) == 0
    Session.open(first).close()
    with Session.open(first) as again:
        assert not again.project.read_only
    assert bench.recent.folders() == [second, first]


def test_two_at_once_are_refused(bench: WorkspaceBench) -> None:
    first, second = bench.make("a"), bench.make("b")
    bench.workspace.open_project(first)
    bench.workspace.open_project(second)
    assert bench.errors[0].message == "Opening a.pytc is not over yet."
    bench.until(lambda: bench.name == "a.pytc")


def test_the_same_project_twice_stays_as_it_is(opened: WorkspaceBench) -> None:
    session, layers = opened.session, opened.layers
    opened.open(session.folder)
    assert opened.session is session
    assert opened.layers is layers
    assert "open already" in opened.viewer.status
    assert not session.project.read_only


def test_a_project_that_another_has_open_is_read_only_until_it_is_opened_again(bench: WorkspaceBench) -> None:
    folder = bench.make()
    with Session.open(folder) as other:
        assert not other.project.read_only
        bench.open(folder)
        assert bench.session.project.read_only
        assert bench.workspace.locked_reason
        assert "reading only" in bench.errors[0].message
        assert not bench.viewer.find("Strokes").paintable
        bench.workspace.launcher.train(INSTANT)
        bench.workspace.launcher.predict("view")
        assert [error.message for error in bench.errors[1:]] == [bench.session.project.read_only_reason] * 2
        assert bench.jobs() == []
    bench.open(folder)
    assert not bench.workspace.locked_reason
    assert bench.viewer.find("Strokes").paintable


def test_an_image_that_moved_is_reported_and_jobs_ask_for_it(bench: WorkspaceBench) -> None:
    folder = bench.make()
    image = folder.with_name("a.h5")
    image.rename(bench.folder / "elsewhere.h5")
    bench.open(folder)
    assert bench.name == "a.pytc"
    assert bench.workspace.layers is None
    assert bench.viewer.layers == []
    assert len(bench.errors) == 1
    assert "Find the image" in bench.errors[0].hint  # not a command line
    bench.workspace.launcher.train(INSTANT)
    bench.workspace.launcher.predict("view")
    assert [error.message for error in bench.errors[1:]] == ["The image of a.pytc was not found."] * 2
    assert bench.jobs() == []


def test_changes_of_a_session_are_reported_until_it_is_closed(bench: WorkspaceBench) -> None:
    bench.open(bench.make())
    session, workspace, received = bench.session, bench.workspace, list[str]()
    for name in ("classes_changed", "held_out_changed", "models_changed", "predictions_changed", "strokes_changed"):
        getattr(workspace, name).connect(lambda name=name: received.append(name.removesuffix("_changed")))
    make_model(session.folder / "models" / "m1")
    session.classes.add("glia")
    session.held_out.add(Box((0, 0, 0), (2, 5, 5)))
    session.models.activate("m1")
    session.models.rename("m1", "mine")
    assert set(received) == {"classes", "held_out", "models"}
    received.clear()
    session.models.delete("m1")
    assert received == ["models"]
    bench.paint(1, 10)
    bench.until(lambda: "strokes" in received)
    workspace.close_project()
    assert listeners(session) == 0
    assert bench.sessions == ["a.pytc", None]
    assert bench.viewer.layers == []


def test_a_prediction_is_deleted_from_disk_and_canvas(opened: WorkspaceBench) -> None:
    session, workspace = opened.session, opened.workspace
    make_model(session.folder / "models" / "m1")
    workspace.launcher.predict("all")
    opened.until(lambda: opened.runner.jobs)
    output = opened.runner.specs[0].output
    output.mkdir(parents=True)
    opened.runner.tell(Started)
    opened.runner.tell(Finished)
    opened.until(lambda: [r.state for r in session.predictions.records()] == ["finished"])
    received: list[int] = []
    workspace.predictions_changed.connect(lambda: received.append(len(session.predictions.records())))
    (record,) = session.predictions.records()
    PredictController(workspace).delete(record)
    assert received == [0]
    assert not output.exists()


# ---- jobs


def test_a_job_waits_for_strokes_and_runner(bench: WorkspaceBench) -> None:
    bench.open(bench.make())
    bench.factory.may_begin.clear()
    bench.paint(1, 10)
    bench.paint(2, 20)
    bench.workspace.launcher.train(INSTANT)
    assert bench.jobs() == [JobState.WAITING]
    bench.until(lambda: bench.factory.n_started == 1)
    assert not bench.runner.jobs
    bench.factory.may_begin.set()
    bench.until(lambda: bench.runner.jobs)
    assert bench.session.strokes.counts() == {"membrane": 108, "inside": 108}
    bench.runner.tell(Started)
    bench.runner.tell(Progressed, done=1, total=2, note="step")
    bench.runner.tell(Measured, name="loss", step=1, value=0.5)
    assert bench.jobs() == [JobState.RUNNING]
    bench.runner.tell(Finished)
    assert bench.jobs() == [JobState.FINISHED]
    assert [run.state for run in bench.session.jobs.runs()] == ["finished"]


def test_strokes_are_on_the_disk_when_a_job_is_described(opened: WorkspaceBench) -> None:
    seen: list[int] = []
    real = opened.runner.start

    def start(spec: JobSpec, sink: Sink) -> Job:
        seen.append(int((opened.session.strokes.store.read(Box.of_shape(SHAPE)) == 1).sum()))
        found: Job = real(spec, sink)
        return found

    opened.runner.start = start
    before = opened.session.strokes.counts()["membrane"]
    opened.paint(1, 30)
    opened.workspace.launcher.train(INSTANT)
    opened.until(lambda: seen)
    assert seen == [before + 108]


def test_a_job_whose_strokes_cannot_be_saved_fails_and_says_why(
    opened: WorkspaceBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(opened.session.strokes.store, "rebase", refuse)
    opened.paint(1, 30)
    opened.workspace.launcher.train(INSTANT)
    opened.until(lambda: opened.jobs() == [JobState.FAILED])
    assert "No space left" in opened.workspace.jobs.jobs[0].message
    assert opened.errors
    assert not opened.runner.jobs
    monkeypatch.undo()
    opened.workspace.launcher.train(INSTANT)
    opened.until(lambda: opened.runner.jobs)
    assert opened.session.strokes.counts()["membrane"] == 216


def test_one_training_at_a_time(opened: WorkspaceBench) -> None:
    workspace = opened.workspace
    workspace.launcher.train(FAST)
    opened.until(lambda: opened.runner.jobs)
    workspace.launcher.train(INSTANT)
    workspace.launcher.resume_training(opened.runner.specs[0])
    workspace.launcher.plan = INSTANT
    workspace.launcher.train_now()
    assert [error.message for error in opened.errors] == ["A training runs already."] * 3
    assert opened.errors[0].hint
    assert len(opened.jobs()) == 1
    opened.runner.tell(Started)
    opened.runner.tell(Finished)
    assert opened.jobs() == [JobState.FINISHED]
    workspace.launcher.train_now()
    opened.until(lambda: len(opened.runner.jobs) == 2)
    assert opened.runner.specs[1].plan == INSTANT


def test_train_now_takes_instant_where_nothing_was_chosen_and_refuses_wrong_settings(opened: WorkspaceBench) -> None:
    workspace = opened.workspace
    workspace.launcher.plan_problem = "Steps must be at least 1."
    workspace.launcher.train_now()
    assert [error.message for error in opened.errors] == ["Steps must be at least 1."]
    workspace.launcher.plan_problem = ""
    workspace.launcher.plan, workspace.launcher.plan_refusal = FAST, "Even the least takes 2.0 GB."
    workspace.launcher.train_now()
    assert [error.message for error in opened.errors[1:]] == ["Even the least takes 2.0 GB."]
    workspace.launcher.plan, workspace.launcher.plan_refusal = None, ""
    assert opened.jobs() == []
    workspace.launcher.train_now()
    opened.until(lambda: opened.runner.specs)
    assert opened.runner.specs[0].plan.recipe == "instant"


def test_a_prediction_without_a_model_is_reported_and_not_begun(opened: WorkspaceBench) -> None:
    opened.workspace.launcher.predict("view")
    assert opened.jobs() == [JobState.FAILED]
    assert [error.message for error in opened.errors] == ["The project has no model yet."]
    make_model(opened.session.folder / "models" / "m1")
    opened.workspace.launcher.predict("box")
    assert opened.errors[-1].message == "No box is drawn."
    assert not opened.runner.jobs


def test_jobs_of_no_project_are_refused_in_a_sentence(bench: WorkspaceBench) -> None:
    bench.workspace.launcher.train(INSTANT)
    bench.workspace.launcher.predict("all")
    bench.workspace.launcher.export("classes", bench.folder / "out.tif")
    assert [error.message for error in bench.errors] == ["No project is open."] * 3
    assert all(error.hint for error in bench.errors)
    assert bench.jobs() == []


def test_a_cancel_while_the_runner_is_hired_keeps_the_job_from_beginning(bench: WorkspaceBench) -> None:
    bench.open(bench.make())
    bench.factory.may_begin.clear()
    bench.workspace.launcher.train(INSTANT)
    bench.workspace.jobs.jobs[0].cancel()
    assert bench.jobs() == [JobState.CANCELLED]
    bench.factory.may_begin.set()
    bench.until(lambda: bench.workspace.worker.is_warm)
    assert not bench.runner.jobs
    assert not bench.errors


def test_hiring_that_fails_is_reported_ends_the_jobs_and_is_tried_again(bench: WorkspaceBench) -> None:
    bench.open(bench.make())
    bench.factory.problem = WorkerDied("The system could not start the worker process: no memory.", "Close programs.")
    changes: list[bool] = []
    bench.workspace.worker.changed.connect(lambda: changes.append(bench.workspace.worker.is_warm))
    bench.workspace.launcher.train(INSTANT)
    bench.until(lambda: bench.jobs() == [JobState.FAILED])
    assert "no memory" in bench.workspace.jobs.jobs[0].message
    assert len(bench.errors) == 1
    assert changes == [False]
    bench.factory.problem = None
    bench.workspace.launcher.train(INSTANT)
    bench.until(lambda: bench.runner.jobs)
    assert bench.factory.n_started == 2
    assert changes == [False, True]


def test_a_job_of_a_project_that_was_closed_meanwhile_is_not_begun(bench: WorkspaceBench) -> None:
    first, second = bench.make("a"), bench.make("b")
    bench.open(first)
    bench.factory.may_begin.clear()
    bench.workspace.launcher.train(INSTANT)
    bench.workspace.close_project()
    assert bench.jobs() == [JobState.CANCELLED]
    bench.factory.may_begin.set()
    bench.open(second)
    bench.until(lambda: bench.workspace.worker.is_warm)
    assert not bench.runner.jobs


def test_closing_a_project_loses_nothing_and_what_its_jobs_still_say_harms_nobody(opened: WorkspaceBench) -> None:
    workspace, folder = opened.workspace, opened.session.folder
    make_model(folder / "models" / "m1")
    opened.runner.obeys = False
    workspace.launcher.train(FAST)
    workspace.launcher.predict("all")
    opened.until(lambda: len(opened.runner.jobs) == 2)
    opened.runner.tell(Started, 0)
    opened.runner.tell(Measured, 0, name="loss", step=1, value=0.5)
    opened.paint(1, 30)
    workspace.close_project()
    assert all(job.cancel_requested for job in opened.runner.jobs)
    with Session.open(folder) as after:
        assert after.strokes.counts() == {"membrane": 216, "inside": 108}
        assert not after.project.read_only
    other = opened.make("b")
    opened.open(other)
    opened.runner.tell(Measured, 0, name="loss", step=2, value=0.4)
    opened.runner.tell(Finished, 0)
    opened.runner.tell(Started, 1)
    opened.runner.tell(Failed, 1, message="The worker was killed.", hint="Again.")
    assert opened.jobs() == [JobState.FINISHED, JobState.FAILED]
    assert opened.name == "b.pytc"
    assert opened.session.jobs.runs() == []
    opened.open(folder)
    assert opened.session.strokes.counts() == {"membrane": 216, "inside": 108}
    assert {run.state for run in opened.session.jobs.runs()} == {"interrupted"}


def test_a_real_job_in_this_thread_is_over_when_it_was_started(bench: WorkspaceBench, qtbot: Any) -> None:
    bench.factory.runner = InlineRunner()
    bench.factory.runner.close = lambda: None
    bench.open(bench.make())
    with qtbot.waitSignal(bench.workspace.jobs.ended):
        bench.workspace.launcher.export("image", bench.folder / "out.h5")
    job = bench.workspace.jobs.jobs[0]
    assert (job.state, job.message) == (JobState.FINISHED, "")
    assert (bench.folder / "out.h5").is_file()


# ---- the end


def assert_free(folder: Path) -> None:
    with Session.open(folder) as after:
        assert not after.project.read_only, after.project.read_only_reason


def test_shutdown_with_nothing_open(bench: WorkspaceBench) -> None:
    bench.workspace.shutdown()
    bench.workspace.shutdown()
    bench.workspace.worker.begin()
    assert bench.factory.n_started == 0


def test_shutdown_while_a_project_is_opened_gives_it_back(bench: WorkspaceBench) -> None:
    folder = bench.make()
    bench.workspace.open_project(folder)
    bench.workspace.shutdown()
    assert bench.workspace.session is None
    assert bench.sessions == []
    assert_free(folder)


def test_shutdown_while_the_runner_is_hired_lets_it_go(bench: WorkspaceBench) -> None:
    bench.factory.may_begin.clear()
    bench.workspace.worker.begin()
    bench.until(lambda: bench.factory.n_started == 1)
    threading.Timer(0.2, bench.factory.may_begin.set).start()
    bench.workspace.shutdown()
    assert bench.runner.is_closed


def test_shutdown_while_a_job_runs_ends_it_and_saves_everything(opened: WorkspaceBench) -> None:
    folder, viewer = opened.session.folder, opened.viewer
    opened.workspace.launcher.train(FAST)
    opened.until(lambda: opened.runner.jobs)
    opened.runner.tell(Started)
    opened.paint(2, 30)
    opened.workspace.shutdown()
    assert opened.runner.is_closed
    assert viewer.layers == []
    with Session.open(folder) as after:
        assert not after.project.read_only
        assert after.strokes.counts() == {"membrane": 108, "inside": 216}
        assert [run.state for run in after.jobs.runs()] == ["cancelled"]


def test_shutdown_while_strokes_are_flushed_for_a_job(opened: WorkspaceBench) -> None:
    folder = opened.session.folder
    opened.paint(2, 30)
    opened.workspace.launcher.train(FAST)
    opened.workspace.shutdown()
    assert not opened.runner.jobs
    with Session.open(folder) as after:
        assert after.strokes.counts()["inside"] == 216


def test_layers_that_cannot_be_made_leave_no_project_half_open(
    bench: WorkspaceBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = bench.make()

    def fail(predictions: Predictions) -> None:
        raise PytcError("The predictions cannot be read.", "Restore project.sqlite.")

    monkeypatch.setattr(Predictions, "records", fail)
    bench.open(folder)
    assert [error.message for error in bench.errors] == ["The predictions cannot be read."]
    assert bench.workspace.session is None
    assert bench.workspace.layers is None
    assert bench.viewer.layers == []
    monkeypatch.undo()
    assert_free(folder)


def test_nothing_of_the_workspace_is_slow_in_the_windows_thread(bench: WorkspaceBench) -> None:
    """The slow parts are in the helper thread: here only that a blocked disk there does not block the caller."""
    folder = bench.make()
    bench.factory.may_begin.clear()
    bench.workspace.worker.begin()  # the helper thread is busy until it may begin
    bench.workspace.open_project(folder)
    assert bench.workspace.busy == "Opening a.pytc …"
    assert bench.workspace.session is None
    bench.factory.may_begin.set()
    bench.until(lambda: bench.name == "a.pytc")
    assert np.asarray(bench.viewer.find("a").data[0]).shape == SHAPE[1:]
    assert os.listdir(folder)
