"""Training and prediction that are killed at a step or in a tile; run as a program, one job in its own process."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

from napari_pytc.jobs.context import JobContext
from napari_pytc.jobs.runners.inline import InlineRunner
from napari_pytc.jobs.spec import JobSpec
from napari_pytc.plans.specs import PredictJob, TrainJob

DYING_JOBS = __name__


class DyingTrainJob(TrainJob):
    """Killed in the middle of a step, between the passes forward and backward."""

    kind: Literal["test-train-dying"] = "test-train-dying"  # type: ignore[assignment]
    at_step: int

    def run(self, ctx: JobContext) -> dict[str, Any]:
        from napari_pytc.learning.training.losses import SparseDiceCrossEntropy

        with _at_call(SparseDiceCrossEntropy, "forward", self.at_step, _die):
            return super().run(ctx)


class DyingPredictJob(PredictJob):
    """Killed while the network computes a tile."""

    kind: Literal["test-predict-dying"] = "test-predict-dying"  # type: ignore[assignment]
    at_tile: int

    def run(self, ctx: JobContext) -> dict[str, Any]:
        from napari_pytc.learning.prediction.inference import Inferer

        with _at_call(Inferer, "__call__", self.at_tile, _die):
            return super().run(ctx)


@contextmanager
def _at_call(kind: type, name: str, number: int, action: Callable[[], None]) -> Iterator[None]:
    real, n_calls = getattr(kind, name), 0

    def counted(*arguments: Any, **named: Any) -> Any:
        nonlocal n_calls
        n_calls += 1
        answer = real(*arguments, **named)
        if n_calls == number:
            action()
        return answer

    setattr(kind, name, counted)
    try:
        yield
    finally:
        setattr(kind, name, real)


def _die() -> None:
    if sys.platform == "win32":
        os._exit(9)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    InlineRunner().start(JobSpec.parse(json.loads(sys.stdin.read())), lambda event: sys.stderr.write(f"{event}\n"))
