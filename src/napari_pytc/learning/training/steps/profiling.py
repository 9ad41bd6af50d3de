"""Time and memory of a few training steps, as a table and a trace."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from torch.profiler import ProfilerActivity, profile, schedule

TABLE, TRACE = "profile.txt", "profile-trace.json"
PROFILE_FILES = (TABLE, TRACE)
_WARM_UP, _MEASURED = 3, 5
_ROWS = 60


class StepProfile(pl.Callback):
    """Profiles the steps after the first few by `torch.profiler`, and writes two files.

    ``profile.txt`` is a table of the operations by their own time; ``profile-trace.json`` is a trace that
    https://ui.perfetto.dev and chrome://tracing show.

    Parameters
    ----------
    folder : Path
        Where the files are written.
    tell : callable
        Gets the sentence that says where they are.
    """

    def __init__(self, folder: Path, tell: Callable[[str], None]) -> None:
        self._folder, self._tell = folder, tell
        self._profile: profile | None = None
        self._is_on_gpu = False
        self._n_steps = 0
        self._is_written = False

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Begin."""
        self._is_on_gpu = module.device.type == "cuda"
        activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if self._is_on_gpu else [])]
        self._profile = profile(
            activities=activities,
            schedule=schedule(wait=1, warmup=_WARM_UP - 1, active=_MEASURED, repeat=1),
            on_trace_ready=self._write,
            profile_memory=True,
            record_shapes=True,
        )
        self._profile.start()

    def on_train_batch_end(self, *_: Any) -> None:
        """Count a step."""
        if self._profile is not None:
            self._n_steps += 1
            self._profile.step()

    def on_train_end(self, *_: Any) -> None:
        """End; a shorter training is profiled as far as it goes."""
        self._stop()
        if not self._is_written:
            self._tell(f"No profile was made: it needs more than {_WARM_UP} steps, got {self._n_steps}.")

    def on_exception(self, *_: Any) -> None:
        """End."""
        self._stop()

    def _stop(self) -> None:
        if self._profile is not None:
            self._profile.stop()
            self._profile = None

    def _write(self, done: profile) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        key = "self_cuda_time_total" if self._is_on_gpu else "self_cpu_time_total"
        averages = done.key_averages()
        text = averages.table(sort_by=key, row_limit=_ROWS)
        (self._folder / TABLE).write_text(text + "\n", encoding="utf-8")
        done.export_chrome_trace(str(self._folder / TRACE))
        self._is_written = True
        self._tell(
            f"The profile of {_MEASURED} steps is in {self._folder / TABLE}, a trace for ui.perfetto.dev in "
            f"{self._folder / TRACE}; a finished training moves both into the model's folder."
        )
