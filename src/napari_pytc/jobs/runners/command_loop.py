"""The worker process: ``python -m napari_pytc.jobs.runners.command_loop SETUP``.

Jobs run one after another in the main thread, as torch and lightning want it. A second thread listens for commands on
what was standard input, a third sends events through what was standard output; whatever a job prints goes to the log.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import threading
import time
import traceback
from importlib import import_module
from io import TextIOWrapper
from queue import SimpleQueue
from typing import Any

from napari_pytc.jobs.events import JobEvent, Progressed
from napari_pytc.jobs.execution import EventContext, execute
from napari_pytc.jobs.runners.outbox import Outbox
from napari_pytc.jobs.runners.protocol import COMMANDS, Cancel, Command, Ready, Run, WorkerSetup
from napari_pytc.jobs.spec import JobSpec

_NICENESS = 10


class CommandLoop:
    """Receives commands, and queues the jobs for the main thread.

    Parameters
    ----------
    pipe : int
        File descriptor that commands come from. Its end means that the runner is closed or its process is gone.
    outbox : Outbox
        Queue of events for the pipe.
    grace_s : float
        Seconds from that end until this process is killed.
    """

    def __init__(self, pipe: int, outbox: Outbox, grace_s: float) -> None:
        self._pipe, self._outbox, self._grace_s = pipe, outbox, grace_s
        self._jobs: SimpleQueue[tuple[dict[str, Any], EventContext] | None] = SimpleQueue()
        self._running: EventContext | None = None

    def next_job(self) -> tuple[dict[str, Any], EventContext] | None:
        """Wait for a job; None when there will be no more."""
        return self._jobs.get()

    def emit(self, event: JobEvent) -> None:
        """Send an event; progress not yet sent is replaced."""
        slot = f"progress {event.job}" if isinstance(event, Progressed) else None
        self._outbox.put(event.model_dump_json().encode(), slot)

    def listen(self) -> None:
        """Follow the commands until the pipe ends; then end this process, too."""
        unread = b""
        while content := os.read(self._pipe, 1 << 16):
            *lines, unread = (unread + content).split(b"\n")
            for line in lines:
                self._follow(COMMANDS.validate_json(line))
        self._jobs.put(None)
        if self._running is not None:
            self._running.cancel()
        time.sleep(self._grace_s)
        kill_process_group()

    def _follow(self, command: Command) -> None:
        if isinstance(command, Run):
            self._running = EventContext(command.job, self.emit)
            self._jobs.put((command.spec, self._running))
        elif self._running is None or self._running.job != command.job:
            return  # that job ended while the command was on its way
        elif isinstance(command, Cancel):
            self._running.cancel()
        else:
            self._running.receive(command.message)


def main() -> None:
    """Run jobs until the pipe of commands ends."""
    setup = WorkerSetup.model_validate_json(sys.argv[1])
    commands, events = redirect_streams()
    faulthandler.enable()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the runner's process, which then cancels
    lower_priority()
    outbox = Outbox(events, "napari-pytc worker: events")
    loop = CommandLoop(commands, outbox, setup.grace_s)
    threading.Thread(target=loop.listen, name="napari-pytc worker: commands", daemon=True).start()
    for module in setup.imports:
        import_module(module)
    for module in setup.preload:
        preload(module)
    outbox.put(Ready().model_dump_json().encode())
    while (task := loop.next_job()) is not None:
        spec, ctx = task
        loop.emit(execute(lambda spec=spec: JobSpec.parse(spec), ctx))  # type: ignore[misc]
    outbox.close()
    outbox.join(setup.grace_s)


def redirect_streams() -> tuple[int, int]:
    """Keep the two pipes for commands and events, and give jobs an empty input and the log as output."""
    commands, events = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)
    return commands, events


def lower_priority() -> None:
    """Give the window's process precedence."""
    if sys.platform == "win32":
        import psutil

        psutil.Process().nice(psutil.BELOW_NORMAL_PRIORITY_CLASS)
    else:
        os.nice(_NICENESS)


def preload(module: str) -> None:
    """Import a module that jobs will need; where that fails, they report it themselves."""
    try:
        import_module(module)
    except (ImportError, OSError):
        traceback.print_exc()


def kill_process_group() -> None:
    """Kill this process, and on POSIX those that it started."""
    if sys.platform != "win32" and os.getpgrp() == os.getpid():
        os.killpg(os.getpid(), signal.SIGKILL)
    os._exit(1)


if __name__ == "__main__":
    main()
