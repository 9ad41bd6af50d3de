"""Models of objects, trained on volumes in which every object is labelled, for benchmarks of their quality."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from napari_pytc.annotations.paint_store import PaintStore
from napari_pytc.geometry import Box, VoxelSpace
from napari_pytc.jobs.context import JobMessage
from napari_pytc.labels.store import LabelStore
from napari_pytc.plans.plan import PredictPlan, TrainPlan
from napari_pytc.plans.specs import ModelOutput, PredictJob, TrainJob, VolumeInputs
from napari_pytc.volumes.spec import NpySpec

TOLD_EVERY_S = 60.0


class Console:
    """The context of a job that tells how far it is now and then."""

    def __init__(self) -> None:
        self._started = self._told = time.monotonic()
        self._losses: list[float] = []

    def report(self, done: int, total: int, note: str = "") -> None:
        now = time.monotonic()
        if now - self._told >= TOLD_EVERY_S:
            self._told = now
            loss = f", loss {np.mean(self._losses[-20:]):.4f}" if self._losses else ""
            print(f"  {now - self._started:5.0f} s: {note}, {done} of {total}{loss}", flush=True)

    def metric(self, name: str, step: int, value: float) -> None:
        if name == "loss":
            self._losses.append(value)

    def artifact(self, kind: str, box: Box) -> None:
        pass

    def warn(self, message: str) -> None:
        print(f"  warned: {message}", flush=True)

    def messages(self) -> Iterator[JobMessage]:
        yield from ()

    def check(self) -> None:
        pass


def train_on(raw: np.ndarray, objects: np.ndarray, kind: str, space: VoxelSpace, plan: TrainPlan, folder: Path) -> Path:
    """Train on a volume; the model's folder.

    Parameters
    ----------
    objects : ndarray of int
        Ids of the objects of one kind; 0 is not labelled, ``targets.BACKGROUND`` no object.
    """
    np.save(folder / "trained.npy", raw)
    PaintStore.create(folder / "annotations.zarr", raw.shape, space)
    store = LabelStore.create(folder / "objects.zarr", raw.shape, np.uint32, space)
    store.write(Box.of_shape(raw.shape), objects.astype(np.uint32))
    job = TrainJob(
        inputs=(
            VolumeInputs(
                volume=NpySpec(path=folder / "trained.npy", voxel_size_nm=space.voxel_size_nm),
                space=space,
                annotations=folder / "annotations.zarr",
                objects=folder / "objects.zarr",
            ),
        ),
        classes=(kind,),
        plan=plan,
        output=ModelOutput(model_folder=folder / "model", run_folder=folder / "run"),
        resume=False,
    )
    answer = job.run(Console())
    rate = answer["steps"] / answer["seconds"]
    print(f"trained {answer['steps']} steps in {answer['seconds']:.0f} s, {rate:.2f} a second", flush=True)
    return job.output.model_folder


def predict(raw: np.ndarray, space: VoxelSpace, box: Box, model: Path, folder: Path, flips: bool = False) -> Path:
    """Predict a box; what lies around it is seen as context."""
    np.save(folder / "raw.npy", raw)
    job = PredictJob(
        image=NpySpec(path=folder / "raw.npy", voxel_size_nm=space.voxel_size_nm),
        model=model,
        output=folder / "prediction.zarr",
        plan=PredictPlan(flips=flips),
        box=box,
    )
    answer = job.run(Console())
    print(f"predicted in {answer['seconds']:.0f} s, {answer['mvoxel_per_s']:.3f} Mvoxel/s", flush=True)
    return job.output
