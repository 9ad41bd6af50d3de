"""Imported by a worker process: kills it once in a training step or in a tile, where a file asks for it."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from napari_pytc.learning.prediction.inference import Inferer
from napari_pytc.learning.training.losses import SparseDiceCrossEntropy

DYING_WORKER = __name__
ORDERS = "NAPARI_PYTC_TEST_ORDERS"
"""Environment variable with the folder of the orders."""


def order_death(folder: Path, where: str, number: int) -> None:
    """Have the worker killed in the `number`-th ``step`` or ``tile`` from now on; once."""
    (folder / where).write_text(str(number))


def _dies(real: Callable[..., Any], where: str) -> Callable[..., Any]:
    n_calls = 0

    def counted(*arguments: Any, **named: Any) -> Any:
        nonlocal n_calls
        answer = real(*arguments, **named)
        order = Path(os.environ[ORDERS]) / where
        n_calls = n_calls + 1 if order.exists() else 0
        if n_calls and n_calls == int(order.read_text()):
            order.unlink()  # the next worker lives
            if sys.platform == "win32":
                os._exit(9)
            os.kill(os.getpid(), signal.SIGKILL)
        return answer

    return counted


if ORDERS in os.environ:
    SparseDiceCrossEntropy.forward = _dies(SparseDiceCrossEntropy.forward, "step")  # type: ignore[method-assign]
    Inferer.__call__ = _dies(Inferer.__call__, "tile")  # type: ignore[method-assign]
