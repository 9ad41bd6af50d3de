"""Waiting for threads and processes: for as long as a busy machine may need, since a fault is found all the same."""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENCE_S = 180.0
"""How long a test waits for what must come: a fault shows as a failure, not as a hang, a busy machine not at all."""


def wait_until(happened: Callable[[], object], longest_s: float = PATIENCE_S) -> None:
    """Return as soon as something has happened; fail if it does not."""
    until = time.monotonic() + longest_s
    while not happened():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.005)
