"""Work that may wait for a disk, out of the window's thread."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from qtpy.compat import isalive
from qtpy.QtCore import QObject, Qt, Signal

from napari_pytc.errors import PytcError

logger = logging.getLogger(__name__)

Result = TypeVar("Result")


@dataclass(frozen=True, eq=False)
class _Call:
    future: Future[Any]
    on_result: Callable[[Any], object]
    on_error: Callable[[PytcError], object]
    discard: Callable[[Any], object]
    receiver: QObject | None


class Background(QObject):
    """One helper thread; its results are delivered in the thread that made this object, in order.

    Calls are run one after another, so a later one sees what an earlier one wrote. Nothing is handed over after
    `close`, and nothing begun.
    """

    _done = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="napari-pytc-files")
        self._calls: deque[_Call] = deque()
        self._is_open = True
        # Queued also from this thread: work that is done before `run` returns must not be handed over inside of it.
        self._done.connect(self._hand_over, Qt.ConnectionType.QueuedConnection)

    def run(
        self,
        work: Callable[[], Result],
        on_result: Callable[[Result], object] = lambda result: None,
        on_error: Callable[[PytcError], object] = lambda error: None,
        discard: Callable[[Result], object] = lambda result: None,
        receiver: QObject | None = None,
    ) -> None:
        """Call `work` in the helper thread, then `on_result` or `on_error` in this one.

        Anything but a `PytcError` is a bug: it is logged with its trace, and shown as one sentence.

        Parameters
        ----------
        discard : callable
            Called instead of `on_result` when everything was closed meanwhile; for what must be let go of: locks,
            processes.
        receiver : QObject, optional
            Whose business it is: nothing is handed over when it was deleted meanwhile, as a panel that was closed. By
            default the object whose method `on_result` is.
        """
        if not self._is_open:
            return
        if receiver is None:
            bound_to = getattr(on_result, "__self__", None)
            receiver = bound_to if isinstance(bound_to, QObject) else None
        future = self._pool.submit(work)
        self._calls.append(_Call(future, on_result, on_error, discard, receiver))
        future.add_done_callback(self._announce)

    def close(self) -> None:
        """Wait for the running call, and deliver no more results; may be called twice."""
        self._is_open = False
        self._pool.shutdown(wait=True, cancel_futures=True)
        while self._calls:
            call = self._calls.popleft()
            if not call.future.cancelled() and call.future.exception() is None:
                call.discard(call.future.result())

    def _announce(self, done: Future[Any]) -> None:
        """Called in the helper thread."""
        if self._is_open:
            try:
                self._done.emit()
            except RuntimeError:  # deleted together with its window, without a goodbye
                self._is_open = False

    def _hand_over(self) -> None:
        while self._is_open and self._calls and self._calls[0].future.done():
            call = self._calls.popleft()
            error = call.future.exception()
            if call.receiver is not None and not isalive(call.receiver):
                if error is None:
                    call.discard(call.future.result())
            elif error is None:
                call.on_result(call.future.result())
            else:
                call.on_error(readable(error))


def readable(error: BaseException) -> PytcError:
    """An error that can be shown to the user; one that is not ours, nor the disk's, is logged with its trace."""
    if isinstance(error, PytcError):
        return error
    if isinstance(error, OSError) and error.strerror:
        where = f" {error.filename}" if error.filename else " a file"
        return PytcError(
            f"The disk would not do what was asked with{where}: {error.strerror}.",
            "Look whether it is there, may be written, and has space left.",
        )
    logger.error("Unexpected error", exc_info=error)
    return PytcError(
        f"Something went wrong that should not have: {type(error).__name__}: {error}",
        "Nothing was lost. The log has the details; please report it.",
    )
