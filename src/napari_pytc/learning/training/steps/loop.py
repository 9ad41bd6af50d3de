"""Lightning's loop as trainings and live learning use it: batches, device, precision and memory of a fit."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager

import lightning.pytorch as pl
import torch
from torch import Tensor

from napari_pytc.errors import ModelError
from napari_pytc.geometry import VoxelSpace
from napari_pytc.jobs.context import JobContext
from napari_pytc.learning.data.sampling import Batch, BatchSource
from napari_pytc.learning.machine.devices import choose_device
from napari_pytc.learning.machine.oom_fallback import MemoryPlan, make_memory_plans
from napari_pytc.learning.machine.precision import Precision
from napari_pytc.learning.machine.precision_choice import choose_precision
from napari_pytc.learning.machine.prefetch import prefetch
from napari_pytc.learning.networks.network import Network, build_network
from napari_pytc.learning.training.memory.step_plans import least_patch
from napari_pytc.plans.networks import NetworkLimits
from napari_pytc.plans.plan import TrainPlan
from napari_pytc.plans.windows import Tiling

_LIGHTNING_PRECISION = {"float32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}


class Loader:
    """The batches of the steps to come, for Lightning to iterate; a thread makes them ahead."""

    def __init__(self, source: BatchSource, first: int, last: int) -> None:
        self._source, self._first, self._last = source, first, last
        self._running: Generator[Batch, None, None] | None = None

    def __iter__(self) -> Iterator[Batch]:
        self.close()
        self._running = prefetch(self._source.batch, range(self._first, self._last), depth=3, name="batches")
        return self._running

    def close(self) -> None:
        """End the thread that makes batches."""
        if self._running is not None:
            self._running.close()
            self._running = None


def fit_network(
    module: pl.LightningModule,
    batches: Iterable[Batch],
    memory: MemoryPlan,
    precision: Precision,
    callbacks: Sequence[pl.Callback],
    max_steps: int = -1,
    accumulate: int = 1,
    deterministic: bool = False,
) -> None:
    """Train a module in Lightning's loop until its batches end, at most so many steps.

    Parameters
    ----------
    memory : MemoryPlan
        Its device is where to compute.
    accumulate : int
        Batches of a step.
    deterministic : bool
        Whether only operations are used that give the same bits every time.

    Raises
    ------
    ModelError
        If the network has none for one of its operations.
    """
    with _quiet_lightning(), _deterministic(deterministic):
        trainer = pl.Trainer(
            accelerator=torch.device(memory.device).type.replace("cuda", "gpu"),
            devices=1,
            precision=_LIGHTNING_PRECISION[precision.number_format],
            max_steps=max_steps,
            max_epochs=1,
            callbacks=list(callbacks),
            accumulate_grad_batches=accumulate,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            limit_val_batches=0,
        )
        trainer.fit(module, train_dataloaders=batches)


def memory_plans(plan: TrainPlan, space: VoxelSpace, tiling: Tiling) -> list[MemoryPlan]:
    """Batch, patch and device from those of a plan down to the least that works."""
    multiple = tiling.alignment if isinstance(tiling, NetworkLimits) else plan.network.window_multiple(space)
    device, patch = str(choose_device(plan.device)), plan.patch(space, multiple)
    least = least_patch(patch, multiple, plan.network.training_margin, plan.target.least_patch(space))
    return make_memory_plans(plan.batch_size, patch, device, multiple=multiple, smallest=least)


def measured_precision(
    plan: TrainPlan,
    network: Network,
    n_channels: int,
    space: VoxelSpace,
    memory: MemoryPlan,
    training: bool = True,
    ctx: JobContext | None = None,
) -> Precision:
    """The precision in which a plan's network is fastest with the batch, patch and device of a memory plan.

    Parameters
    ----------
    ctx : JobContext, optional
        Asked for a cancel while it is measured, and warned where that took too long.
    """
    z, y, x = network.multiple or (1, 1, 1)

    def compute(one: Network, image: Tensor) -> Sequence[Tensor]:
        return one.training_logits(image) if training else (one(image),)

    return choose_precision(
        torch.device(memory.device),
        lambda: build_network(plan.network, n_channels, space, network.n_inputs),
        (memory.batch_size, network.n_inputs, *memory.shape),
        training=training,
        wanted=plan.precision,
        network_key=f"{plan.network} {space.anisotropy:.2g} {type(network).__name__}",
        multiple=(max(z, 2 * plan.network.training_margin[0] + 1), y, x),
        compute=compute,
        ctx=ctx,
    )


@contextmanager
def _deterministic(wanted: bool) -> Iterator[None]:
    """Allow deterministic operations only; the process goes on afterwards as before."""
    if not wanted:
        yield
        return
    before, benchmark = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark
    workspace = os.environ.get("CUBLAS_WORKSPACE_CONFIG")
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.backends.cudnn.benchmark = False
    torch.use_deterministic_algorithms(True)
    try:
        yield
    except RuntimeError as error:
        name, found, _ = str(error).partition(" does not have a deterministic implementation")
        if not found:
            raise
        raise ModelError(
            f"The operation {name.strip()} of this network has no deterministic form on this device.",
            "Set execution.deterministic=false, train with device=cpu, or choose another network.",
        ) from error
    finally:
        torch.use_deterministic_algorithms(before)
        torch.backends.cudnn.benchmark = benchmark
        if workspace is None:
            os.environ.pop("CUBLAS_WORKSPACE_CONFIG", None)


@contextmanager
def _quiet_lightning() -> Iterator[None]:
    """Keep Lightning's advice on loaders and loggers, which we chose, from users."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"lightning\..*")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
