"""The process runner: jobs in one worker process, kept warm between them, for the window."""

from __future__ import annotations

import atexit
import json
import os
import tempfile
import threading
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from pydantic_core import PydanticSerializationError

from napari_pytc.errors import InvalidInput, WorkerDied
from napari_pytc.jobs.context import JobMessage
from napari_pytc.jobs.events import TERMINAL, Cancelled, Failed, JobEvent
from napari_pytc.jobs.job import Job, JobState, Sink
from napari_pytc.jobs.runners.base import JobHandle
from napari_pytc.jobs.runners.protocol import Answer, Cancel, Ready, Run, Send, WorkerSetup
from napari_pytc.jobs.runners.worker_process import WorkerProcess, reason_of_death, usable_cores
from napari_pytc.jobs.spec import JobSpec

_LOG_TAIL_BYTES = 8192
_IDLE_END_S = 2.0


@dataclass(eq=False)
class _Task:
    """A job on its way through this runner."""

    job: Job
    spec: dict[str, object]
    messages: list[JobMessage] = field(default_factory=list)
    log_start: int = 0
    overdue: threading.Timer | None = None
    was_requeued: bool = False


class ProcessRunner:
    """A `JobRunner` with one worker process: one job runs, others wait for it.

    The sink is called from the runner's own threads (a job cancelled while it waits: from the thread that cancels), so
    a window must cross to its own thread. A job that is cancelled and does not end within `grace_s` is ended by killing
    the process; one whose process dies is Failed with the reason. Either way the next job gets a fresh process.

    Parameters
    ----------
    imports : sequence of str
        Modules the worker imports first because they define kinds of jobs, beyond those of the entry points.
    preload : sequence of str
        Modules the worker loads ahead of time to save the first job the wait, such as ``torch``.
    warm : bool
        Whether to start the worker now; else the first job or `warm_up` does.
    grace_s : float
        Seconds that a cancelled job has to end by itself.
    n_threads : int, optional
        Cores the worker uses at most; one fewer than there are by default.
    log_path : Path, optional
        File that the worker's output is added to; by default a temporary one that `close` removes.
    """

    def __init__(
        self,
        *,
        imports: Sequence[str] = (),
        preload: Sequence[str] = (),
        warm: bool = False,
        grace_s: float = 5.0,
        n_threads: int | None = None,
        log_path: Path | None = None,
    ) -> None:
        self._setup = WorkerSetup(imports=tuple(imports), preload=tuple(preload), grace_s=grace_s)
        self._grace_s = grace_s
        self._n_threads = max(1, usable_cores() - 1) if n_threads is None else n_threads
        self._log = log_path
        self._log_is_temporary = log_path is None
        self._lock = threading.RLock()
        self._waiting: deque[_Task] = deque()
        self._current: _Task | None = None
        self._worker: WorkerProcess | None = None
        self._closed = False
        if warm:
            self.warm_up()

    def warm_up(self) -> None:
        """Start the worker, if none is there, without waiting for it.

        Raises
        ------
        WorkerDied
            When the system cannot start a process.
        """
        with self._lock:
            self._check_open()
            self._ensure_worker()

    def start(self, spec: JobSpec, sink: Sink) -> JobHandle:
        """Run a job in the worker, once those before it are over; returns at once.

        Raises
        ------
        InvalidInput
            When the runner is closed, or the spec has no JSON form.
        WorkerDied
            When the system cannot start a process.
        """
        try:
            described = json.loads(spec.model_dump_json())
        except PydanticSerializationError as error:
            raise InvalidInput(f"The job {spec.kind!r} cannot be written as JSON: {error}.") from error
        task = _Task(Job(sink, self._stop, self._forward), described)
        with self._lock:
            self._check_open()
            self._ensure_worker()
            self._waiting.append(task)
            self._dispatch()
        return task.job

    def unfinished(self) -> list[JobHandle]:
        """The jobs that run or wait, in the order they were started."""
        with self._lock:
            return [task.job for task in self._tasks()]

    def cancel(self, job: str) -> None:
        """Cancel the job of this id, if it is not over."""
        for handle in self.unfinished():
            if handle.id == job:
                handle.cancel()

    def close(self) -> None:
        """Cancel all jobs and end the worker; returns when it is gone, after `grace_s` at most. May be called twice."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            tasks, worker = self._tasks(), self._worker
            end_s = self._grace_s if self._current is not None else _IDLE_END_S
        atexit.unregister(self.close)
        for task in tasks:
            task.job.cancel()
        if worker is None:
            self._remove_log()
            return
        worker.close_commands()
        if not worker.is_ready or not worker.join(end_s):
            worker.kill()
            worker.join()

    @property
    def worker_pid(self) -> int | None:
        """Id of the worker process, if there is one."""
        with self._lock:
            return self._worker.pid if self._worker is not None else None

    @property
    def is_warm(self) -> bool:
        """Whether the worker has loaded its libraries, so that a job starts at once."""
        with self._lock:
            return self._worker is not None and self._worker.is_ready

    def __enter__(self) -> ProcessRunner:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    # The methods up to the next such comment are called with the lock held, and never call a sink.

    def _check_open(self) -> None:
        if self._closed:
            raise InvalidInput("This runner is closed and takes no more jobs.", "Make a new one.")

    def _tasks(self) -> list[_Task]:
        return [*([self._current] if self._current is not None else []), *self._waiting]

    def _ensure_worker(self) -> None:
        """Make sure that there is a worker."""
        if self._worker is not None:
            return
        try:
            self._worker = WorkerProcess(self._setup, self._n_threads, self._log_file(), self._on_answer, self._on_end)
        except OSError as error:
            raise WorkerDied(
                f"The system could not start the worker process: {error.strerror or error}.",
                "Close other programs and try again.",
            ) from error
        atexit.register(self.close)

    def _dispatch(self) -> None:
        """Give the worker the next job if it has none."""
        if self._closed or self._current is not None or not self._waiting:
            return
        if self._worker is None or not self._worker.is_ready:
            return
        task = self._current = self._waiting.popleft()
        with suppress(OSError):  # the log was deleted; the tail then begins at its start
            task.log_start = self._log_file().stat().st_size
        self._worker.send(Run(job=task.job.id, spec=task.spec))
        for message in task.messages:
            self._worker.send(Send(job=task.job.id, message=message))

    def _log_file(self) -> Path:
        if self._log is None:
            handle, name = tempfile.mkstemp(prefix="napari-pytc-worker-", suffix=".log")
            os.close(handle)
            self._log = Path(name)
        self._log.parent.mkdir(parents=True, exist_ok=True)
        return self._log

    # The methods below are called without the lock.

    def _stop(self, job: Job) -> None:
        with self._lock:
            waiting = [task for task in self._waiting if task.job is job]
            for task in waiting:
                self._waiting.remove(task)
            task_of_worker = self._current
            if self._worker is not None and task_of_worker is not None and task_of_worker.job is job:
                self._worker.send(Cancel(job=job.id))
                task_of_worker.overdue = threading.Timer(self._grace_s, self._kill_overdue, (task_of_worker,))
                task_of_worker.overdue.daemon = True
                task_of_worker.overdue.start()
        if waiting:
            job.emit(Cancelled(job=job.id))

    def _kill_overdue(self, task: _Task) -> None:
        with self._lock:
            if self._current is task and self._worker is not None:
                self._worker.kill()

    def _forward(self, job: Job, message: JobMessage) -> None:
        with self._lock:
            for task in self._tasks():
                if task.job is job and job.state is JobState.WAITING:
                    task.messages.append(message)
            if self._worker is not None and self._current is not None and self._current.job is job:
                self._worker.send(Send(job=job.id, message=message))

    def _on_answer(self, worker: WorkerProcess, answer: Answer) -> None:
        with self._lock:
            if isinstance(answer, Ready):
                worker.is_ready = True
                self._dispatch()
                return
            task = self._current
            if worker is not self._worker or task is None or answer.job != task.job.id:
                return
            if isinstance(answer, TERMINAL):
                self._release(task)
        if isinstance(answer, Failed):
            answer = answer.model_copy(update={"log": "\n".join(filter(None, (answer.log, self._log_tail(task))))})
        task.job.emit(answer)
        with self._lock:
            self._dispatch()

    def _on_end(self, worker: WorkerProcess) -> None:
        """Handle the end of the worker: by `close`, by `_kill_overdue`, by a signal or by itself."""
        with self._lock:
            self._worker = None
            task = self._current
            if task is not None:
                self._release(task)
                if self._may_run_again(task):
                    task.was_requeued = True
                    self._waiting.appendleft(task)
                    task = None
            never_ready = self._waiting.popleft() if not worker.is_ready and self._waiting else None
        if task is not None:
            task.job.emit(self._terminal_event(task, reason_of_death(worker.exit_code)))
        if never_ready is not None:
            never_ready.job.emit(self._terminal_event(never_ready, _never_started(worker.exit_code)))
        with self._lock:
            closed = self._closed
        if closed:
            self._remove_log()
        else:
            self._start_fresh_worker(needed_now=task is not None)

    def _may_run_again(self, task: _Task) -> bool:
        """Whether the worker died before the job began, as one that was killed while idle; true at most once a job."""
        return task.job.state is JobState.WAITING and not (task.was_requeued or task.job.cancel_requested)

    def _start_fresh_worker(self, needed_now: bool) -> None:
        """Start a fresh worker, if jobs wait or it is `needed_now`; when there can be none, the jobs that wait fail."""
        try:
            with self._lock:
                if (self._waiting or needed_now) and not self._closed:
                    self._ensure_worker()
        except WorkerDied as error:
            with self._lock:
                waiting = list(self._waiting)
                self._waiting.clear()
            for task in waiting:
                task.job.emit(Failed(job=task.job.id, message=error.message, hint=error.hint))

    def _release(self, task: _Task) -> None:
        self._current = None
        if task.overdue is not None:
            task.overdue.cancel()

    def _terminal_event(self, task: _Task, reason: WorkerDied) -> JobEvent:
        if task.job.cancel_requested:
            return Cancelled(job=task.job.id)
        return Failed(job=task.job.id, message=reason.message, hint=reason.hint, log=self._log_tail(task))

    def _log_tail(self, task: _Task) -> str:
        """The tail of what the worker printed during this job."""
        try:
            with self._log_file().open("rb") as file:
                file.seek(max(task.log_start, file.seek(0, os.SEEK_END) - _LOG_TAIL_BYTES))
                return file.read().decode("utf-8", "replace")
        except OSError:  # the log was deleted; the job must end without it
            return ""

    def _remove_log(self) -> None:
        if self._log_is_temporary and self._log is not None:
            self._log.unlink(missing_ok=True)


def _never_started(exit_code: int | None) -> WorkerDied:
    return WorkerDied(
        f"The worker process ended with exit code {exit_code} before it could take a job.",
        "Run `napari-pytc doctor`, which tells what is missing; the log has the details.",
    )
