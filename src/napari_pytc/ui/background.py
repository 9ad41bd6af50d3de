"""Work that may wait for a disk, out of the window's thread."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from qtpy.QtCore import QObject, Signal

from napari_pytc.errors import PytcError

logger = logging.getLogger(__name__)

Result = TypeVar("Result")


class Background(QObject):
    """One helper thread; what it finds is handed over in the thread that made this object, in order.

    Calls are run one after another, so a later one sees what an earlier one wrote. Nothing is handed over after
    `close`.
    """

    _done = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="napari-pytc-files")
        self._is_open = True
        self._done.connect(self._hand_over)

    def run(
        self,
        work: Callable[[], Result],
        on_result: Callable[[Result], object] = lambda result: None,
        on_error: Callable[[PytcError], object] = lambda error: None,
    ) -> None:
        """Call `work` in the helper thread, then `on_result` or `on_error` in this one.

        Anything but a `PytcError` is a bug: it is logged with its trace, and shown as one sentence.
        """
        future = self._pool.submit(work)
        future.add_done_callback(lambda done: self._announce(done, on_result, on_error))

    def close(self) -> None:
        """Wait for what is under way, and hand nothing over any more."""
        self._is_open = False
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _announce(self, done: Future[Any], on_result: Callable[..., object], on_error: Callable[..., object]) -> None:
        if self._is_open and not done.cancelled():
            self._done.emit((done, on_result, on_error))

    def _hand_over(self, message: tuple[Future[Any], Callable[..., object], Callable[..., object]]) -> None:
        done, on_result, on_error = message
        if not self._is_open:
            return
        error = done.exception()
        if error is None:
            on_result(done.result())
        else:
            on_error(readable(error))


def readable(error: BaseException) -> PytcError:
    """An error for people; one that is not ours is logged with its trace."""
    if isinstance(error, PytcError):
        return error
    logger.error("Unexpected error", exc_info=error)
    return PytcError(
        f"Something went wrong that should not have: {type(error).__name__}: {error}",
        "Nothing was lost. The log has the details; please report it.",
    )
