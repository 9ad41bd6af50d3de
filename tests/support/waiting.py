"""Waiting for threads without a window."""

from __future__ import annotations

import time
from collections.abc import Callable


def wait_until(happened: Callable[[], object], longest_s: float = 10.0) -> None:
    """Return as soon as something has happened; fail if it does not."""
    until = time.monotonic() + longest_s
    while not happened():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.005)
