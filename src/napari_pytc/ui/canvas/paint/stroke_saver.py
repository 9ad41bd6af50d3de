"""Strokes on their way to the disk, in a thread of their own."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

from qtpy.QtCore import QObject, Signal

from napari_pytc.errors import PytcError
from napari_pytc.labels.patches import LabelPatch
from napari_pytc.ui.canvas.paint.paint_array import PaintArray, Stroke
from napari_pytc.ui.tasks.background import readable

logger = logging.getLogger(__name__)

Write = Callable[[Sequence[LabelPatch]], None]

PAUSE_S = 0.25
"""Painting without the mouse is a stroke of its own when nothing follows for this long."""
LONGEST_S = 0.8
"""Continuous painting without the mouse is saved at this interval."""
CLOSE_S = 30.0
"""Longest time that closing waits for a slow disk before strokes are given up."""
LOOK_S = 1.0
"""Interval at which the thread checks whether the interpreter is ending, which would else wait for it for ever."""


class StrokeSaver(QObject):
    """Writes strokes to the disk, one by one; signals arrive in the thread that made it.

    A stroke is what is painted between `press` and `release` of the mouse: one write, and so one entry in the journal.
    What could not be written stays in memory and is tried again with the next stroke, `flush` or `close`; the error
    is reported once.

    Parameters
    ----------
    array : PaintArray
        The array that is painted.
    write : callable
        Writes the patches of a stroke, durably; called in the saver's thread alone.
    """

    began = Signal()
    """The mouse was pressed for a stroke."""
    saved = Signal()
    """Everything that was painted until a moment ago is on the disk."""
    wrote = Signal(object)
    """The `Box` of a stroke that is on the disk."""
    failed = Signal(object)
    """A `PytcError`: strokes are in memory only."""

    _flushed = Signal(object, object, object)

    def __init__(self, array: PaintArray, write: Write, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._array, self._write = array, write
        self._condition = threading.Condition()
        self._first = self._last = 0.0  # of the changes that are not saved
        self._is_waiting = self._is_closing = self._is_pressed = self._has_failed = False
        self._strokes: deque[Stroke] = deque()
        self._flushes: list[tuple[Callable[[], object], Callable[[PytcError], object] | None]] = []
        self._flushed.connect(_call)
        self._thread = threading.Thread(target=self._work, name="napari-pytc-strokes")
        self._thread.start()

    @property
    def thread_id(self) -> int | None:
        """The thread that writes."""
        return self._thread.ident

    def press(self) -> None:
        """Begin a stroke: voxels painted before belong to another one."""
        with self._condition:
            self._cut()
            self._is_pressed = True
        self.began.emit()

    def release(self) -> None:
        """The stroke is over: it is saved now."""
        with self._condition:
            self._is_pressed = False
            self._cut()
            if self._strokes:
                self._is_waiting, self._first = True, 0.0
                self._condition.notify_all()

    def touch(self) -> None:
        """Something was painted; costs nothing."""
        now = time.monotonic()
        with self._condition:
            self._last = now
            if not self._is_waiting:
                self._is_waiting, self._first = True, now
                self._condition.notify_all()

    def flush(self, then: Callable[[], object], otherwise: Callable[[PytcError], object] | None = None) -> None:
        """Save now and call `then` when it is done, or `otherwise` (or signal `failed`) if the disk refuses."""
        if self._array.is_saved:
            then()
            return
        with self._condition:
            self._flushes.append((then, otherwise))
            self._condition.notify_all()

    def close(self, patience_s: float = CLOSE_S) -> bool:
        """Save and end the thread; whether everything is on disk. `flush` calls that wait are dropped."""
        with self._condition:
            self._is_closing = True
            self._condition.notify_all()
        self._thread.join(patience_s)
        return self._array.is_saved

    def _work(self) -> None:
        while True:
            with self._condition:
                while not self._is_due():
                    self._condition.wait(self._wait_s())
                    if not threading.main_thread().is_alive():
                        self._is_closing = True
                closing, flushes = self._is_closing, self._flushes
                self._flushes, self._is_waiting = [], False
                self._cut()
            error = self._save(must_tell=any(otherwise is None for _, otherwise in flushes))
            for then, otherwise in flushes:
                self._flushed.emit(error, then, otherwise)
            if closing:
                return

    def _cut(self) -> None:
        stroke = self._array.cut()
        if stroke is not None:
            self._strokes.append(stroke)

    def _is_due(self) -> bool:
        if self._is_closing or self._flushes:
            return True
        if not self._is_waiting or self._is_pressed:
            return False
        now = time.monotonic()
        return now - self._last >= PAUSE_S or now - self._first >= LONGEST_S

    def _wait_s(self) -> float:
        if not self._is_waiting or self._is_pressed:
            return LOOK_S
        return max(0.0, min(self._last + PAUSE_S, self._first + LONGEST_S) - time.monotonic())

    def _save(self, must_tell: bool) -> PytcError | None:
        wrote = False
        try:
            while self._strokes:
                stroke = self._strokes[0]
                if stroke.patches:
                    self._write(stroke.patches)
                self.wrote.emit(stroke.box)
                self._array.mark_saved(self._strokes.popleft())
                wrote = True
        except (PytcError, OSError) as problem:
            error = readable(problem)
            if must_tell or not self._has_failed:
                self.failed.emit(error)
            self._has_failed = True
            return error
        self._has_failed = False
        if wrote:
            self.saved.emit()
        return None


def _call(error: PytcError | None, then: Callable[[], object], otherwise: Callable[[PytcError], object] | None) -> None:
    if error is None:
        then()
    elif otherwise is not None:
        otherwise(error)
