"""Calls that come in bursts: the first is made at once, the others after a while as one."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import QObject, QTimer


class Throttle(QObject):
    """Makes a call at most once in a while, and never later than that after it was asked for.

    Parameters
    ----------
    interval_ms : int
        Between two calls.
    call : callable
        What is called, in the Qt thread.
    """

    def __init__(self, interval_ms: int, call: Callable[[], object], parent: QObject) -> None:
        super().__init__(parent)
        self._call = call
        self._is_asked = False
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(interval_ms)
        self._timer.timeout.connect(self._on_rested)

    def ask(self) -> None:
        """Call now, or as soon as the last call is long enough ago."""
        if self._timer.isActive():
            self._is_asked = True
        else:
            self._timer.start()
            self._call()

    def stop(self) -> None:
        """Forget what was asked for."""
        self._timer.stop()
        self._is_asked = False

    def _on_rested(self) -> None:
        if self._is_asked:
            self._is_asked = False
            self._timer.start()
            self._call()
