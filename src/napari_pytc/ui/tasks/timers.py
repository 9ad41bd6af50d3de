"""Timers that call once, and calls that come in bursts."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import QObject, QTimer
from superqt.utils import QSignalThrottler


def single_shot(parent: QObject, interval_ms: int, call: Callable[[], object]) -> QTimer:
    """A timer that calls once, some time after it was started."""
    timer = QTimer(parent)
    timer.setSingleShot(True)
    timer.setInterval(interval_ms)
    timer.timeout.connect(call)
    return timer


def throttler(parent: QObject, interval_ms: int, call: Callable[[], object]) -> QSignalThrottler:
    """Calls at once at the first ``throttle()``; calls requested meanwhile become one call later.

    Parameters
    ----------
    interval_ms : int
        Between two calls.
    """
    found = QSignalThrottler(parent=parent)
    found.setTimeout(interval_ms)
    found.triggered.connect(call)
    return found
