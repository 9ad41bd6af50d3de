"""Events cross from runners' threads into the window's: none lost, none doubled, never too many at a time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QCoreApplication, QEvent, QTimer

from napari_pytc.geometry import Box
from napari_pytc.jobs.events import (
    Cancelled,
    Failed,
    Finished,
    JobEvent,
    Measured,
    Produced,
    Progressed,
    Started,
    Warned,
)
from napari_pytc.jobs.job import JobState
from napari_pytc.jobs.runners.inline import InlineRunner
from napari_pytc.ui.tasks.job_board import JobBoard, JobModel
from tests.support.jobs_for_tests import Count, Flood

J = "j1"


@pytest.fixture
def board(qtbot: QtBot) -> JobBoard:
    return JobBoard()


class Heard:
    """The signals of a board, as (signal, job's title) in order."""

    def __init__(self, board: JobBoard) -> None:
        self.received: list[tuple[str, str]] = []
        self.boxes: list[Box] = []
        board.added.connect(lambda job: self.received.append(("added", job.title)))
        board.changed.connect(lambda job: self.received.append(("changed", job.title)))
        board.ended.connect(lambda job: self.received.append(("ended", job.title)))
        board.produced.connect(lambda job, boxes: self.boxes.extend(boxes))

    def count(self, what: str) -> int:
        return [received for received, _ in self.received].count(what)


def in_thread(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_a_job_from_its_start_to_its_end(board: JobBoard, qtbot: QtBot) -> None:
    heard = Heard(board)
    view, sink = board.open("train", "Train fast")
    assert heard.received == [("added", "Train fast")]
    assert (view.state, board.running) == (JobState.WAITING, [view])
    events: list[JobEvent] = [
        Started(job=J, time=100.0),
        Measured(job=J, name="loss", step=1, value=0.5),
        Measured(job=J, name="loss", step=2, value=0.25),
        Warned(job=J, message="a doubt"),
        Produced(job=J, kind="prediction", box=Box.at((0, 0, 0), (1, 2, 3))),
        Progressed(job=J, done=3, total=4, note="training"),
    ]
    in_thread(lambda: [sink(event) for event in events]).join()
    qtbot.waitUntil(lambda: view.done == 3)
    assert (view.state, view.started) == (JobState.RUNNING, 100.0)
    assert (view.done, view.total, view.note) == (3, 4, "training")
    assert view.curves == {"loss": [(1, 0.5), (2, 0.25)]}
    assert view.warnings == ["a doubt"]
    assert heard.boxes == [Box.at((0, 0, 0), (1, 2, 3))]
    with qtbot.waitSignal(board.ended):
        in_thread(lambda: sink(Finished(job=J, time=107.0, result={"model": "m"}))).join()
    assert (view.state, view.ended, view.result, view.done) == (JobState.FINISHED, 107.0, {"model": "m"}, 4)
    assert (board.running, board.jobs) == ([], [view])
    assert heard.received[-2:] == [("changed", "Train fast"), ("ended", "Train fast")]
    assert [line.split("  ", 1)[1] for line in view.log][1:] == ["warning: a doubt", "training", "finished"]


def test_a_failure_keeps_message_hint_and_trace(board: JobBoard) -> None:
    view, sink = board.open("train", "Train")
    sink(Started(job=J))
    sink(Failed(job=J, message="No strokes.", hint="Paint some.", log="trace"))
    board.drain()
    assert (view.state, view.message, view.hint, view.trace) == (JobState.FAILED, "No strokes.", "Paint some.", "trace")
    assert view.log[-1].endswith("failed: No strokes.")


def test_what_comes_together_is_reported_together(board: JobBoard) -> None:
    heard = Heard(board)
    view, sink = board.open("predict", "Predict")
    for n in range(50):
        sink(Progressed(job=J, done=n, total=50))
        sink(Produced(job=J, kind="prediction", box=Box.at((n, 0, 0), (1, 2, 3))))
    board.drain()
    assert heard.count("changed") == 1
    assert [box.start[0] for box in heard.boxes] == list(range(50))
    assert view.done == 49


def test_what_is_new_beside_voxels_is_noticed_once_a_turn(board: JobBoard) -> None:
    heard, noticed = Heard(board), list[tuple[str, str]]()
    board.noticed.connect(lambda view, kind: noticed.append((view.title, kind)))
    _, sink = board.open("live", "Live")
    for _ in range(3):
        sink(Produced(job=J, kind="suggestions", box=Box.at((0, 0, 0), (1, 2, 3))))
    board.drain()
    assert noticed == [("Live", "suggestions")]
    assert heard.boxes == []


def test_a_job_that_is_over_can_be_forgotten(board: JobBoard, qtbot: QtBot) -> None:
    view, sink = board.open("live", "Live")
    board.forget(view)
    assert board.jobs == [view]  # it is not over
    sink(Cancelled(job=J))
    board.drain()
    with qtbot.waitSignal(board.cleared):
        board.forget(view)
    assert board.jobs == []


@pytest.mark.slow
@pytest.mark.parametrize("last", [Finished(job=J), Failed(job=J, message="x"), Cancelled(job=J)])
def test_no_end_is_lost_among_many_events_of_many_threads(board: JobBoard, qtbot: QtBot, last: JobEvent) -> None:
    heard = Heard(board)

    def tell(sink: Callable[[JobEvent], None]) -> None:
        sink(Started(job=J))
        for n in range(2000):
            sink(Progressed(job=J, done=n, total=2000))
        sink(last)

    jobs = [board.open("train", f"job {k}") for k in range(4)]
    threads = [in_thread(lambda sink=sink: tell(sink)) for _, sink in jobs]  # type: ignore[misc]
    qtbot.waitUntil(lambda: not board.running)
    for thread in threads:
        thread.join()
    assert sorted(title for what, title in heard.received if what == "ended") == [f"job {k}" for k in range(4)]
    assert all(view.is_over for view, _ in jobs)


@pytest.mark.slow
def test_events_of_a_busy_job_leave_the_event_loop_turns(board: JobBoard, qtbot: QtBot) -> None:
    """As many events as a thread can tell; the window's thread has its turns, and hears of few of them."""
    heard, turns = Heard(board), list[float]()
    view, sink = board.open("train", "Busy")
    stop = threading.Event()
    n_told = [0]

    def tell() -> None:
        while not stop.is_set():
            for _ in range(50):
                sink(Progressed(job=J, done=n_told[0], total=10**9))
                n_told[0] += 1
            time.sleep(0.005)
        sink(Finished(job=J))

    turn = QTimer()
    turn.setInterval(1)
    turn.timeout.connect(lambda: turns.append(time.perf_counter()))
    turn.start()
    thread = in_thread(tell)
    qtbot.waitUntil(lambda: n_told[0] > 5000 and len(turns) > 20 and heard.count("changed") > 5)
    stop.set()
    thread.join()
    qtbot.waitUntil(lambda: view.is_over)
    turn.stop()
    seconds = turns[-1] - turns[0]
    # 40 ms apart, by a timer that may be a little early.
    assert heard.count("changed") <= seconds / 0.03 + 5, f"{n_told[0]} events in {seconds:.2f} s"


def test_one_turn_takes_in_only_so_much(board: JobBoard, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("napari_pytc.ui.tasks.job_board._DRAIN_S", -1.0)
    heard = Heard(board)
    view, sink = board.open("train", "Long")
    for n in range(5):
        sink(Progressed(job=J, done=n, total=5))
    sink(Finished(job=J))
    qtbot.waitUntil(lambda: view.is_over)
    assert heard.count("changed") == 6


def test_a_listener_that_runs_the_event_loop_sees_events_in_order(board: JobBoard, qtbot: QtBot) -> None:
    order: list[str] = []
    view, sink = board.open("train", "Train")

    def run_loop(job: JobModel) -> None:
        if not job.is_over:
            sink(Finished(job=J))
            until = time.monotonic() + 0.2
            while time.monotonic() < until:
                QCoreApplication.processEvents()

    board.changed.connect(run_loop)
    board.changed.connect(lambda job: order.append(job.state.value))
    board.ended.connect(lambda job: order.append("ended"))
    sink(Started(job=J))
    qtbot.waitUntil(lambda: view.is_over)
    assert order == ["running", "finished", "ended"]


def test_closing_in_the_middle_reports_nothing_more(board: JobBoard, qtbot: QtBot) -> None:
    heard, closed = Heard(board), []
    board.closed.connect(lambda: closed.append(1))
    _, sink = board.open("train", "Train")
    stop = threading.Event()

    def tell() -> None:
        while not stop.is_set():
            sink(Progressed(job=J, done=1, total=2))

    thread = in_thread(tell)
    qtbot.waitUntil(lambda: heard.count("changed") > 2)
    board.close()
    board.close()
    n_told = len(heard.received)
    qtbot.wait(100)
    stop.set()
    thread.join()
    sink(Finished(job=J))
    board.drain()
    assert len(heard.received) == n_told
    assert closed == [1]
    assert not board._timer.isActive()


def test_a_board_deleted_without_a_goodbye_does_not_stop_its_runner(qtbot: QtBot) -> None:
    board = JobBoard()
    _, sink = board.open("train", "Train")
    sink(Started(job=J))
    board.deleteLater()
    QCoreApplication.sendPostedEvents(board, QEvent.Type.DeferredDelete)
    sink(Progressed(job=J, done=1, total=2))
    board._is_announced = False
    thread = in_thread(lambda: sink(Finished(job=J)))
    thread.join()
    assert not board._is_open


class Handle:
    """A handle that counts its cancels."""

    id, state = J, JobState.RUNNING

    def __init__(self) -> None:
        self.n_cancelled = 0

    def cancel(self) -> None:
        self.n_cancelled += 1


def test_a_cancel_reaches_the_runner_once_and_none_that_is_over(board: JobBoard) -> None:
    view, sink = board.open("train", "Train")
    view.handle = handle = Handle()  # type: ignore[assignment]
    sink(Started(job=J))
    view.cancel()
    view.cancel()
    assert (handle.n_cancelled, view.cancel_requested, view.is_over) == (1, True, False)
    over, end = board.open("train", "Over")
    over.handle = Handle()  # type: ignore[assignment]
    end(Finished(job=J))
    board.drain()
    over.cancel()
    assert over.handle.n_cancelled == 0  # type: ignore[union-attr]


def test_a_job_without_a_runner_yet_is_cancelled_at_once(board: JobBoard, qtbot: QtBot) -> None:
    heard = Heard(board)
    view, _ = board.open("train", "Train")
    view.cancel()
    qtbot.waitUntil(lambda: view.is_over)
    assert view.state == JobState.CANCELLED
    assert heard.count("ended") == 1


def test_a_job_ends_once_whatever_comes_after(board: JobBoard) -> None:
    heard = Heard(board)
    view, sink = board.open("train", "Train")
    board.withdraw(view, "It cannot be.", "Change it.")
    sink(Finished(job=J))
    board.drain()
    sink(Cancelled(job=J))
    board.drain()
    assert (view.state, view.message, view.hint) == (JobState.FAILED, "It cannot be.", "Change it.")
    assert heard.count("ended") == 1


def test_clear_forgets_only_what_is_over(board: JobBoard) -> None:
    cleared: list[int] = []
    board.cleared.connect(lambda: cleared.append(1))
    _, sink = board.open("train", "Over")
    other, _ = board.open("train", "Other")
    sink(Finished(job=J))
    board.drain()
    board.clear()
    assert board.jobs == [other]
    assert cleared == [1]


def progress(sink: Callable[[JobEvent], None], done: int, total: int, at: float, note: str = "") -> None:
    sink(Progressed(job=J, done=done, total=total, time=at, note=note))


def test_time_left_is_reported_from_the_first_piece_on(board: JobBoard, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("napari_pytc.ui.tasks.job_board.time.time", lambda: now[0])
    view, sink = board.open("predict", "Predict")
    sink(Started(job=J, time=0.0))
    progress(sink, 0, 1, 0.0, "loading the libraries")
    progress(sink, 4, 14, 20.0, "predicting")  # the first four were there before
    board.drain()
    now[0] = 20.0
    assert view.seconds_left is None
    progress(sink, 6, 14, 24.0, "predicting")
    board.drain()
    now[0] = 24.0
    assert view.seconds_left == pytest.approx(16.0)
    now[0] = 27.0
    assert view.seconds_left == pytest.approx(13.0)  # the clock runs between two pieces
    now[0] = 100.0
    assert view.seconds_left == 0.0
    sink(Finished(job=J, time=30.0))
    board.drain()
    assert view.seconds_left is None


def test_time_left_of_a_training_outlives_its_scorings(board: JobBoard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("napari_pytc.ui.tasks.job_board.time.time", lambda: 40.0)
    view, sink = board.open("train", "Train")
    sink(Started(job=J, time=0.0))
    progress(sink, 0, 100, 0.0, "loading the libraries")
    progress(sink, 0, 100, 20.0, "training")
    progress(sink, 10, 100, 30.0, "scoring")
    progress(sink, 20, 100, 40.0, "training")
    board.drain()
    assert view.seconds_left == pytest.approx(80.0)


def test_the_log_keeps_the_newest_lines(board: JobBoard) -> None:
    view, sink = board.open("train", "Train")
    for n in range(500):
        sink(Warned(job=J, message=f"doubt {n}"))
    board.drain()
    assert len(view.log) == 400
    assert view.log[-1].endswith("doubt 499")


@pytest.mark.parametrize("spec", [Count(n=3), Flood(n=3000)])
def test_a_real_job_in_a_thread(board: JobBoard, qtbot: QtBot, spec: Count | Flood) -> None:
    view, sink = board.open("test", "Real")
    with InlineRunner() as runner, qtbot.waitSignal(board.ended):
        thread = in_thread(lambda: runner.start(spec, sink))
    thread.join()
    assert view.state == JobState.FINISHED
    assert view.curves
