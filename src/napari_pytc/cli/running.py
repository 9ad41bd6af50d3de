"""Inline runs of jobs: events on the screen, Ctrl+C as a cancel, the end as a result or an error."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any

from napari_pytc.cli.boundary import Interrupted
from napari_pytc.cli.output import Output
from napari_pytc.errors import PytcError
from napari_pytc.jobs.events import Failed, Finished, JobEvent
from napari_pytc.jobs.runners import InlineRunner, JobHandle
from napari_pytc.jobs.spec import JobSpec

if TYPE_CHECKING:
    from rich.console import RenderableType

    from napari_pytc.session.session import Session

Start = Callable[[InlineRunner, Callable[[JobEvent], None]], JobHandle]


class JobFailed(PytcError):
    """A job ended in an error; message and hint are the job's."""


def run_in_session(
    output: Output,
    session: Session,
    job: JobSpec,
    title: str,
    kept: str,
    limit_s: float | None = None,
    above: RenderableType | None = None,
) -> dict[str, Any]:
    """Run a job of a project, which stores the result.

    Parameters
    ----------
    title : str
        Title of the progress.
    kept : str
        The work that is kept when the user stops it, as a sentence.
    limit_s : float, optional
        Seconds after which the job ends by itself.
    above : rich renderable, optional
        Drawn over the progress while the job runs, on a terminal.

    Returns
    -------
    dict
        The job's result.

    Raises
    ------
    JobFailed
        With the job's own message and hint.
    Interrupted
        After Ctrl+C.
    """
    return _run(output, lambda runner, sink: session.jobs.run(job, runner, sink), title, kept, limit_s, above)


def run_alone(output: Output, job: JobSpec, title: str, kept: str) -> dict[str, Any]:
    """Run a job that belongs to no project; otherwise as `run_in_session`."""
    return _run(output, lambda runner, sink: runner.start(job, sink), title, kept, None)


def _run(
    output: Output, start: Start, title: str, kept: str, limit_s: float | None, above: RenderableType | None = None
) -> dict[str, Any]:
    with InlineRunner() as runner, output.progress(title, limit_s, above) as sink, _stoppable(runner, output):
        try:
            end = start(runner, sink).wait()
        except KeyboardInterrupt as error:
            raise Interrupted("Stopped at once.", kept) from error
    if isinstance(end, Finished):
        return end.result
    if isinstance(end, Failed):
        if output.debug:
            sys.stderr.write(end.log)
        raise JobFailed(end.message, end.hint or ("Run it again with --debug to see where." if end.log else ""))
    raise Interrupted("Stopped.", kept)


@contextmanager
def _stoppable(runner: InlineRunner, output: Output) -> Iterator[None]:
    """Let the first Ctrl+C (or a batch system's SIGTERM) cancel the job, the second break it off."""
    if threading.current_thread() is not threading.main_thread():
        yield  # Python takes signal handlers in the main thread only
        return
    is_stopping = False

    def cancel() -> None:
        output.warn("Stopping as soon as the current piece is done. Ctrl+C again stops at once.")
        for handle in runner.unfinished():
            handle.cancel()

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal is_stopping
        if is_stopping:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            raise KeyboardInterrupt
        is_stopping = True
        # The interrupted code may hold the very locks that a cancel takes, so another thread cancels.
        threading.Thread(target=cancel, name="cancel", daemon=True).start()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
