"""The worker process as its runner starts, commands, watches and ends it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import psutil
from pydantic import BaseModel

from napari_pytc.errors import WorkerDied
from napari_pytc.jobs.runners.outbox import Outbox
from napari_pytc.jobs.runners.protocol import ANSWERS, Answer, WorkerSetup

_THREAD_SETTINGS = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
_RUN_AGAIN = "What was finished is kept: run it again to go on from there."


class WorkerProcess:
    """A new Python process (never a fork) that runs jobs.

    Parameters
    ----------
    setup : WorkerSetup
        Modules that it imports first.
    n_threads : int
        Cores it may use at most.
    log : Path
        File its output is added to.
    on_answer : callable
        Called with this object and each answer, from a thread of its own.
    on_end : callable
        Called once with this object, after the last answer, when the process is gone.

    Raises
    ------
    OSError
        When the system cannot start a process.
    """

    def __init__(
        self,
        setup: WorkerSetup,
        n_threads: int,
        log: Path,
        on_answer: Callable[[WorkerProcess, Answer], None],
        on_end: Callable[[WorkerProcess], None],
    ) -> None:
        self._on_answer, self._on_end = on_answer, on_end
        self.is_ready = False
        with log.open("ab") as file:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "napari_pytc.jobs.runners.command_loop", setup.model_dump_json()],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=file,
                env=worker_environment(os.environ, n_threads),
                # A group of its own, so that Ctrl-C passes it by and its own children can be ended with it.
                start_new_session=sys.platform != "win32",
                creationflags=_windows_flags(),
            )
        assert self._process.stdin is not None
        self._outbox = Outbox(os.dup(self._process.stdin.fileno()), "napari-pytc runner: commands")
        self._process.stdin.close()
        self._reader = threading.Thread(target=self._read, name="napari-pytc runner: events", daemon=True)
        self._watcher = threading.Thread(target=self._watch, name="napari-pytc runner: watch", daemon=True)
        self._reader.start()
        self._watcher.start()

    @property
    def pid(self) -> int:
        """Id of the process."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """Exit code of the process, negative for a signal; None while it runs."""
        return self._process.returncode

    def send(self, command: BaseModel) -> None:
        """Send a command; never waits, and does nothing when the process is gone."""
        self._outbox.put(command.model_dump_json().encode())

    def close_commands(self) -> None:
        """Close the pipe of commands: the worker cancels its job and ends by itself."""
        self._outbox.close()

    def kill(self) -> None:
        """End it, and what it started, at once."""
        try:
            children = psutil.Process(self.pid).children(recursive=True)
        except psutil.Error:
            children = []
        self._process.kill()
        for child in children:
            try:
                child.kill()
            except psutil.Error:  # gone already
                continue

    def join(self, timeout: float | None = None) -> bool:
        """Wait for the end and for `on_end` to return; from one of its own threads, do not wait.

        Returns
        -------
        bool
            Whether it ended within `timeout` (seconds).
        """
        if threading.current_thread() in (self._reader, self._watcher):
            return self._process.poll() is not None
        self._watcher.join(timeout)
        return not self._watcher.is_alive()

    def _read(self) -> None:
        assert self._process.stdout is not None
        try:
            with self._process.stdout as answers:
                for line in answers:
                    if line.endswith(b"\n"):  # else torn by the end of the process
                        self._on_answer(self, ANSWERS.validate_json(line))
        except BaseException:  # a worker that nobody reads would wait for ever; its end ends the job
            self.kill()
            raise

    def _watch(self) -> None:
        self._process.wait()
        if sys.platform != "win32":
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)  # what a job forked holds the pipe open, and should end with it
        self._reader.join()
        self._outbox.close()
        self._outbox.join()
        self._on_end(self)


def usable_cores() -> int:
    """Cores this process may run on."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def worker_environment(environment: Mapping[str, str], n_threads: int) -> dict[str, str]:
    """The environment and import path of now, with at most so many threads; a lower number the user set stays."""
    given = {name: environment.get(name, "") for name in _THREAD_SETTINGS}
    threads = {
        name: str(min(n_threads, int(text)) if text.isdigit() and int(text) > 0 else n_threads)
        for name, text in given.items()
    }
    import_path = os.pathsep.join(os.path.abspath(entry) for entry in sys.path)
    return {**environment, **threads, "PYTHONPATH": import_path}


def reason_of_death(exit_code: int | None) -> WorkerDied:
    """The error with the reason why a worker ended."""
    if exit_code is not None and exit_code < 0:
        name = _signal_name(-exit_code)
        if name == "SIGKILL":
            return WorkerDied(
                "The worker process was stopped from outside (SIGKILL), perhaps because the system ran out of memory.",
                f"Close other programs, or choose smaller patches, tiles or batches. {_RUN_AGAIN}",
            )
        return WorkerDied(
            f"The worker process crashed ({name}).",
            f"{_RUN_AGAIN} If it happens again, report it with the log.",
        )
    return WorkerDied(
        f"The worker process ended by itself with exit code {exit_code} in the middle of a job.",
        f"{_RUN_AGAIN} If it happens again, report it with the log.",
    )


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)


def _windows_flags() -> int:
    if sys.platform == "win32":
        return subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW
    return 0
