"""What may go wrong with a worker process: each fault ends in one sentence, and the next job runs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from napari_pytc.errors import WorkerDied
from napari_pytc.jobs.context import JobMessage
from napari_pytc.jobs.events import Cancelled, Failed, Finished, Measured, Progressed
from napari_pytc.jobs.runners import JobHandle, ProcessRunner, worker_process
from tests.support.jobs_for_tests import JOBS_FOR_TESTS, Count, Deaf, Die, Flood, Patient, Print
from tests.support.leaks import child_processes, left_behind, running_threads
from tests.support.runner_contract import RecordingSink, ended
from tests.support.waiting import PATIENCE_S, wait_until

posix = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")


@pytest.fixture
def runner() -> Iterator[ProcessRunner]:
    with ProcessRunner(imports=[JOBS_FOR_TESTS], grace_s=0.3) as runner:
        yield runner


def running(runner: ProcessRunner, spec: Patient | Deaf | Die) -> tuple[JobHandle, RecordingSink, int]:
    """Start a job and wait until it is in its midst; the number it tells then is a process id."""
    sink = RecordingSink()
    handle = runner.start(spec, sink)
    here = sink.seen(Measured)
    assert isinstance(here, Measured)
    return handle, sink, int(here.value)


def died(runner: ProcessRunner, by: int) -> tuple[Failed, int]:
    """The end of a job that ends its worker, and the worker's id."""
    handle, sink, pid = running(runner, Die(by=by))
    handle.send(JobMessage(topic="die"))
    outcome = ended(handle, sink)
    assert isinstance(outcome, Failed)
    return outcome, pid


def next_job_runs(runner: ProcessRunner) -> int:
    sink = RecordingSink()
    outcome = ended(runner.start(Count(), sink), sink)
    assert isinstance(outcome, Finished)
    return outcome.result["pid"]


@pytest.mark.slow
def test_jobs_share_one_warm_worker_outside_this_process(runner: ProcessRunner) -> None:
    runner.warm_up()
    runner.warm_up()
    wait_until(lambda: runner.is_warm)
    pids = {next_job_runs(runner), next_job_runs(runner)}
    assert pids == {runner.worker_pid}
    assert os.getpid() not in pids


@pytest.mark.slow
@posix
@pytest.mark.parametrize(
    ("by", "words"),
    [(-9, "stopped from outside (SIGKILL), perhaps because the system ran out of memory"), (-11, "crashed (SIGSEGV)")],
)
def test_a_worker_ended_by_a_signal_fails_its_job_with_the_reason(runner: ProcessRunner, by: int, words: str) -> None:
    outcome, pid = died(runner, by)
    assert words in outcome.message
    assert "run it again" in outcome.hint
    assert "the last words" in outcome.log
    assert next_job_runs(runner) != pid


@pytest.mark.slow
@posix
def test_a_crash_shows_where_it_was_in_python(runner: ProcessRunner) -> None:
    outcome, _ = died(runner, -11)
    assert "jobs_for_tests.py" in outcome.log


@pytest.mark.slow
def test_a_worker_that_exits_in_a_job_fails_it(runner: ProcessRunner) -> None:
    outcome, _ = died(runner, 3)
    assert "exit code 3" in outcome.message
    next_job_runs(runner)


@pytest.mark.slow
def test_a_worker_killed_from_outside_while_idle_is_replaced(runner: ProcessRunner) -> None:
    first = next_job_runs(runner)
    psutil.Process(first).kill()
    wait_until(lambda: runner.worker_pid != first)
    assert next_job_runs(runner) != first


@pytest.mark.slow
@posix
def test_a_job_given_to_a_worker_that_was_dying_runs_on_the_next(runner: ProcessRunner) -> None:
    pid = next_job_runs(runner)
    os.kill(pid, signal.SIGSTOP)  # it cannot take the job any more
    sink = RecordingSink()
    handle = runner.start(Patient(), sink)
    handle.send(JobMessage(topic="stop"))
    os.kill(pid, signal.SIGKILL)
    outcome = ended(handle, sink)
    assert isinstance(outcome, Finished)
    assert outcome.result == {"heard": ["stop"]}


@pytest.mark.slow
def test_jobs_that_wait_survive_the_death_of_the_worker(runner: ProcessRunner) -> None:
    sinks = [RecordingSink(), RecordingSink()]
    handles = [runner.start(spec, sink) for spec, sink in zip((Die(by=3), Count()), sinks, strict=True)]
    sinks[0].seen(Measured)
    handles[0].send(JobMessage(topic="die"))
    assert isinstance(ended(handles[0], sinks[0]), Failed)
    assert isinstance(ended(handles[1], sinks[1]), Finished)


@pytest.mark.slow
@posix
def test_a_job_that_ignores_cancel_is_killed_with_what_it_started(runner: ProcessRunner) -> None:
    handle, sink, child = running(runner, Deaf(child=True))
    worker = runner.worker_pid
    handle.cancel()
    assert isinstance(ended(handle, sink), Cancelled)
    wait_until(lambda: not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE)
    wait_until(lambda: runner.is_warm)  # a fresh one is started without a job asking for it
    assert runner.worker_pid != worker
    next_job_runs(runner)


@pytest.mark.slow
@posix
def test_what_a_dying_job_started_ends_with_it_and_does_not_hold_its_end_back(runner: ProcessRunner) -> None:
    handle, sink, child = running(runner, Deaf(child=True))
    assert runner.worker_pid is not None
    os.kill(runner.worker_pid, signal.SIGKILL)
    assert isinstance(ended(handle, sink), Failed)
    wait_until(lambda: not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE)


@pytest.mark.slow
def test_cancel_that_is_heeded_keeps_the_worker() -> None:
    with ProcessRunner(imports=[JOBS_FOR_TESTS], grace_s=PATIENCE_S) as runner:
        handle, sink, pid = running(runner, Patient())
        handle.cancel()
        assert isinstance(ended(handle, sink), Cancelled)
        # The timer of the grace must not hit the next job's worker.
        wait_until(lambda: not any(isinstance(thread, threading.Timer) for thread in threading.enumerate()))
        assert next_job_runs(runner) == pid


@pytest.mark.slow
def test_one_job_runs_and_others_wait(runner: ProcessRunner) -> None:
    handle, sink, _ = running(runner, Patient())
    second, third = RecordingSink(), RecordingSink()
    waiting, last = runner.start(Count(), second), runner.start(Patient(), third)
    last.send(JobMessage(topic="early"))
    last.send(JobMessage(topic="stop"))
    assert [job.id for job in runner.unfinished()] == [handle.id, waiting.id, last.id]
    assert waiting.state == "waiting"
    waiting.cancel()
    assert isinstance(ended(waiting, second), Cancelled)
    assert second.names() == ["cancelled"]
    handle.send(JobMessage(topic="stop"))
    assert isinstance(ended(handle, sink), Finished)
    outcome = ended(last, third)
    assert isinstance(outcome, Finished)
    assert outcome.result == {"heard": ["early", "stop"]}


@pytest.mark.slow
def test_cancel_while_the_worker_imports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "slow_to_import.py").write_text("import time\ntime.sleep(600)\n")
    monkeypatch.syspath_prepend(tmp_path)
    with ProcessRunner(imports=[JOBS_FOR_TESTS], preload=["slow_to_import"], warm=True) as runner:
        sink = RecordingSink()
        handle = runner.start(Count(), sink)
        handle.cancel()
        assert isinstance(ended(handle, sink), Cancelled)
        assert not runner.is_warm


@pytest.mark.slow
def test_a_worker_that_cannot_import_fails_the_job_that_waits_for_it() -> None:
    with ProcessRunner(imports=["this_module_is_missing"]) as runner:
        sinks = [RecordingSink(), RecordingSink()]
        for handle, sink in [(runner.start(Count(), sink), sink) for sink in sinks]:
            outcome = ended(handle, sink)
            assert isinstance(outcome, Failed)
            assert "before it could take a job" in outcome.message
            assert "this_module_is_missing" in outcome.log


@pytest.mark.slow
def test_a_kind_of_job_the_worker_does_not_know_is_a_failure() -> None:
    with ProcessRunner() as runner:
        sink = RecordingSink()
        outcome = ended(runner.start(Count(), sink), sink)
        assert isinstance(outcome, Failed)
        assert "test-count" in outcome.message


@pytest.mark.slow
def test_a_system_without_room_for_a_process_says_so(runner: ProcessRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **options: object) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    with monkeypatch.context() as patch:
        patch.setattr(worker_process.subprocess, "Popen", refuse)
        with pytest.raises(WorkerDied, match="Resource temporarily unavailable"):
            runner.start(Count(), RecordingSink())
        assert runner.unfinished() == []
    next_job_runs(runner)


@pytest.mark.slow
def test_a_flood_of_progress_is_thinned_and_the_rest_is_not(runner: ProcessRunner) -> None:
    sink = RecordingSink(lambda event: time.sleep(0.02))
    outcome = ended(runner.start(Flood(n=20000), sink), sink)
    assert isinstance(outcome, Finished)
    done = [event.done for event in sink.events if isinstance(event, Progressed)]
    assert done == sorted(done)
    assert done[-1] == 19999
    assert len(done) < 5000
    assert [event.step for event in sink.events if isinstance(event, Measured)] == [0, 5000, 10000, 15000]


@pytest.mark.slow
def test_a_job_in_the_worker_has_a_log_a_lower_priority_and_fewer_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    log = tmp_path / "logs" / "worker.log"
    with ProcessRunner(imports=[JOBS_FOR_TESTS], preload=["colorsys", "this_is_missing"], log_path=log) as runner:
        sink = RecordingSink()
        outcome = ended(runner.start(Print(), sink), sink)
    assert isinstance(outcome, Finished)
    assert outcome.result["input"] == ""
    assert outcome.result["threads"] == str(max(1, worker_process.usable_cores() - 1))
    assert outcome.result["loaded"] == ["colorsys"]
    if sys.platform != "win32":
        own = os.getpriority(os.PRIO_PROCESS, 0)
        assert outcome.result["niceness"] > own or own == 19
    content = log.read_text("utf-8")
    assert "to stdout: µm\nto file descriptor 1\n" in content
    assert "this_is_missing" in content


@pytest.mark.parametrize(("given", "expected"), [("", "3"), ("1", "1"), ("64", "3"), ("many", "3")])
def test_threads_never_exceed_the_cores_meant_for_the_worker(given: str, expected: str) -> None:
    environment = worker_process.worker_environment({"OMP_NUM_THREADS": given, "HOME": "here"}, 3)
    assert environment["OMP_NUM_THREADS"] == expected
    assert environment["MKL_NUM_THREADS"] == "3"
    assert environment["HOME"] == "here"


@pytest.mark.slow
@pytest.mark.parametrize("spec", [Patient(), Deaf()], ids=["patient", "deaf"])
def test_close_in_a_job_leaves_no_process_thread_or_file(
    spec: Patient | Deaf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    processes, threads = child_processes(), running_threads()
    runner = ProcessRunner(imports=[JOBS_FOR_TESTS], grace_s=0.3)
    handle, sink, _ = running(runner, spec)
    waiting_sink = RecordingSink()
    waiting = runner.start(Count(), waiting_sink)
    assert len(list(tmp_path.iterdir())) == 1
    runner.close()
    assert isinstance(ended(handle, sink), Cancelled)
    assert isinstance(ended(waiting, waiting_sink), Cancelled)
    assert list(tmp_path.iterdir()) == []
    assert left_behind(child_processes, processes) == []
    assert left_behind(running_threads, threads) == []


@pytest.mark.slow
def test_a_log_that_was_cleaned_away_does_not_cost_the_end(tmp_path: Path) -> None:
    log = tmp_path / "worker.log"
    with ProcessRunner(imports=[JOBS_FOR_TESTS], log_path=log) as runner:
        next_job_runs(runner)
        log.unlink()
        outcome, _ = died(runner, 3)
        assert outcome.log == ""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["Patient", "Deaf"])
def test_a_worker_whose_parent_is_killed_ends_also_in_a_job(kind: str, tmp_path: Path) -> None:
    script = f"""
        import sys, time
        from napari_pytc.jobs.runners import ProcessRunner
        from tests.support.jobs_for_tests import JOBS_FOR_TESTS, {kind}
        def tell(event):
            if event.event == "measured":
                sys.stdout.write(f"{{int(event.value)}}\\n")
                sys.stdout.flush()
        runner = ProcessRunner(imports=[JOBS_FOR_TESTS], grace_s=0.3)
        runner.start({kind}(), tell)
        time.sleep(600)
    """
    parent = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)],
        stdout=subprocess.PIPE,
        text=True,
        env={**path_of_now(), "TMPDIR": str(tmp_path)},
    )
    with parent:
        assert parent.stdout is not None
        worker = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
    assert psutil.wait_procs([worker], timeout=PATIENCE_S)[1] == []


@pytest.mark.slow
def test_a_program_that_ends_without_close_ends_its_worker() -> None:
    script = f"""
        import sys
        from napari_pytc.jobs.runners import ProcessRunner
        from tests.support.jobs_for_tests import JOBS_FOR_TESTS, Count
        runner = ProcessRunner(imports=[JOBS_FOR_TESTS])
        sys.stdout.write(str(runner.start(Count(), lambda event: None).wait({PATIENCE_S}).result["pid"]))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, env=path_of_now(), check=True
    )
    assert done.stderr == ""
    wait_until(lambda: not psutil.pid_exists(int(done.stdout)))


def path_of_now() -> dict[str, str]:
    return worker_process.worker_environment(os.environ, 1)


@pytest.mark.slow
def test_runners_used_by_several_threads_lose_no_job(runner: ProcessRunner) -> None:
    sinks = [RecordingSink() for _ in range(12)]
    handles: list[JobHandle | None] = [None] * len(sinks)

    def start(index: int) -> None:
        handles[index] = runner.start(Count(n=1), sinks[index])
        if index % 3 == 0:
            runner.cancel(handles[index].id)  # type: ignore[union-attr]

    threads = [threading.Thread(target=start, args=(index,)) for index in range(len(sinks))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for handle, sink in zip(handles, sinks, strict=True):
        assert handle is not None
        ended(handle, sink)
