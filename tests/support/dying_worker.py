"""Imported by a worker process: kills or holds it once in a training step or in a tile, where a file asks for it."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from napari_pytc.learning.prediction.inference import Inferer
from napari_pytc.learning.training.losses import SparseDiceCrossEntropy
from tests.support.fixed_precision import fix_precision

DYING_WORKER = __name__
fix_precision()
ORDERS = "NAPARI_PYTC_TEST_ORDERS"
"""Environment variable with the folder of the orders."""


def order_death(folder: Path, where: str, number: int, held: bool = False) -> Callable[[], None]:
    """Have the worker killed in the `number`-th ``step`` or ``tile`` from now on; once.

    One that is `held` waits there until the returned function is called, so that what it did before is told before it
    dies.
    """
    return _order(folder, where, f"{number} die", held)


def order_wait(folder: Path, where: str, number: int) -> Callable[[], None]:
    """Have the worker wait in the `number`-th ``step`` or ``tile`` from now on; the returned function lets it go on."""
    return _order(folder, where, f"{number} wait", True)


def _order(folder: Path, where: str, what: str, held: bool) -> Callable[[], None]:
    gate = folder / f"{where}.held"
    if held:
        gate.touch()
    (folder / where).write_text(what)
    return lambda: gate.unlink(missing_ok=True)


def _dies(real: Callable[..., Any], where: str) -> Callable[..., Any]:
    n_calls = 0

    def counted(*arguments: Any, **named: Any) -> Any:
        nonlocal n_calls
        answer = real(*arguments, **named)
        order = Path(os.environ[ORDERS]) / where
        n_calls = n_calls + 1 if order.exists() else 0
        if n_calls and n_calls == int((what := order.read_text()).split()[0]):
            order.unlink()  # the next worker lives
            while order.with_name(f"{where}.held").exists():
                time.sleep(0.005)
            if what.endswith("die"):
                _die()
        return answer

    return counted


def _die() -> None:
    if sys.platform == "win32":
        os._exit(9)
    os.kill(os.getpid(), signal.SIGKILL)


if ORDERS in os.environ:
    SparseDiceCrossEntropy.forward = _dies(SparseDiceCrossEntropy.forward, "step")  # type: ignore[method-assign]
    Inferer.__call__ = _dies(Inferer.__call__, "tile")  # type: ignore[method-assign]
