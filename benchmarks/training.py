"""Steps per second of a training against bare forward, backward and AdamW steps of the same network.

Run ``python benchmarks/training.py [--recipes fast accurate] [--networks] [--anisotropies 1 5] [--chunk 12]
[--rounds 5] [--set name=value ...]``. A network of ``--networks`` is trained by the recipe ``mednext-s``.
For the networks of PyTorch Connectomics: ``--recipes mednext-s --networks monai_unet --anisotropies 1 --chunk 4``.

One training runs from start to end with sampling, augmentation, averaging, reports and checkpoints. After every chunk
of steps its context, which it calls between steps, holds it and runs as many bare steps of a twin network on batches
that are ready, with the same loss and arithmetic. The first steps after each change of turns are not counted: then the
training still has batches that were made while it waited.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from rounds import Claim, Timings, print_timings

from napari_pytc.annotations.paint_store import PaintStore
from napari_pytc.geometry import Box, Shape, VoxelSpace
from napari_pytc.jobs.context import JobMessage
from napari_pytc.learning.data.sampling import Batch, PatchBatches, TrainingVolume
from napari_pytc.learning.data.training_image import TrainingImage
from napari_pytc.learning.data.volume_data import VolumeData
from napari_pytc.learning.machine.devices import choose_device, limit_threads
from napari_pytc.learning.machine.oom_fallback import MemoryPlan
from napari_pytc.learning.machine.precision import Precision, autocast_for
from napari_pytc.learning.networks.network import build_network
from napari_pytc.learning.training.losses import SparseDiceCrossEntropy, deeply_supervised
from napari_pytc.learning.training.steps.loop import measured_precision
from napari_pytc.learning.training.steps.module import without_margin
from napari_pytc.learning.training.train import TrainingFolders, train
from napari_pytc.plans.plan import TrainPlan
from napari_pytc.plans.recipes import load_recipe
from napari_pytc.volumes.image import SingleImage
from napari_pytc.volumes.memory import MemoryVolume

CLASSES = ("membrane", "inside")
SHAPE: Shape = (64, 320, 320)
UNCOUNTED = 5
"""Steps after a change of turns: more than the batches that are made ahead."""


class BareSteps:
    """A network that does nothing but learn from batches that are ready."""

    def __init__(self, plan: TrainPlan, space: VoxelSpace, batches: list[Batch], precision: Precision) -> None:
        torch.manual_seed(plan.seed)
        self._device = choose_device(plan.device)
        self._network = build_network(plan.network, len(CLASSES), space).to(self._device).train()
        self._margin = plan.network.training_margin
        precision.place_network(self._network)
        self._loss = SparseDiceCrossEntropy(plan.dice_weight)
        self._optimiser = torch.optim.AdamW(
            self._network.parameters(), lr=1e-4, weight_decay=plan.weight_decay, fused=self._device.type == "cpu"
        )
        self._batches = [b.to(self._device)._replace(image=precision.place(b.image.to(self._device))) for b in batches]
        self._precision = precision
        self._n_threads = torch.get_num_threads()

    def run(self, n_steps: int) -> tuple[float, float]:
        """Seconds and processor seconds of some steps, with all threads there are.

        As many uncounted steps as the training gets come before them.
        """
        n_threads = torch.get_num_threads()
        torch.set_num_threads(self._n_threads)
        for step in range(UNCOUNTED + n_steps):
            if step == UNCOUNTED:
                self.wait()
                started = clocks()
            self._step(self._batches[step % len(self._batches)])
        self.wait()
        taken = since(started)
        torch.set_num_threads(n_threads)
        return taken

    def _step(self, batch: Batch) -> None:
        self._optimiser.zero_grad(set_to_none=True)
        with autocast_for(self._device, self._precision):
            levels = self._network.training_logits(batch.image)
            loss = deeply_supervised(self._loss, levels, without_margin(batch.labels, self._margin))
        loss.backward()
        self._optimiser.step()

    def wait(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)


def clocks() -> tuple[float, float]:
    """The time, and the processor time of this process: on a busy machine the steadier one, with OMP_NUM_THREADS=1."""
    return time.perf_counter(), time.process_time()


def since(started: tuple[float, float]) -> tuple[float, float]:
    """How long ago that was, by both clocks."""
    now = clocks()
    return now[0] - started[0], now[1] - started[1]


@dataclass
class TakingTurns:
    """The context of a training that lets bare steps run between chunks of its own."""

    bare: BareSteps
    n_steps: int
    train_s: list[tuple[float, float]] = field(default_factory=list)
    bare_s: list[tuple[float, float]] = field(default_factory=list)
    _since_turn: int = 0
    _started: tuple[float, float] = (0.0, 0.0)

    def report(self, done: int, total: int, note: str = "") -> None:
        if note != "training" or not done:
            return
        self._since_turn += 1
        if self._since_turn == UNCOUNTED:
            self.bare.wait()
            self._started = clocks()
        elif self._since_turn == UNCOUNTED + self.n_steps:
            self.bare.wait()
            self.train_s.append(since(self._started))
            self.bare_s.append(self.bare.run(self.n_steps))
            self._since_turn = 0

    def metric(self, name: str, step: int, value: float) -> None:
        pass

    def artifact(self, kind: str, box: Box) -> None:
        pass

    def warn(self, message: str) -> None:
        print(f"  warned: {message}")

    def messages(self) -> Iterator[JobMessage]:
        yield from ()

    def check(self) -> None:
        pass


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipes", nargs="*", default=["fast", "accurate"])
    parser.add_argument("--networks", nargs="*", default=[], help="Kinds that are trained by the recipe mednext-s.")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="Further settings of the plan.")
    parser.add_argument("--anisotropies", type=float, nargs="+", default=[1.0, 5.0])
    parser.add_argument("--chunk", type=int, default=12, help="Counted steps of each turn.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--profile", type=Path, help="Write a cProfile of the training's thread here.")
    options = parser.parse_args()
    limit_threads()
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}", flush=True)
    for anisotropy in options.anisotropies:
        n_steps = (options.rounds + 1) * (UNCOUNTED + options.chunk)  # the first round warms up
        changes = [f"steps={n_steps}", "minutes=null", *options.set]
        plans = [load_recipe(recipe, changes) for recipe in options.recipes]
        for kind in options.networks:
            plan = load_recipe("mednext-s", [f"network.kind={kind}", *changes])
            plans.append(plan.model_copy(update={"recipe": kind}))
        for plan in plans:
            compare(plan, anisotropy, options.chunk, options.profile)


def compare(plan: TrainPlan, anisotropy: float, n_steps: int, profile: Path | None) -> None:
    """Train once, taking turns, and print the table."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        data = make_data(folder, anisotropy)
        shape = plan.patch_shape or plan.network.patch_shape(data.space)
        memory = MemoryPlan(plan.batch_size, shape, str(choose_device(plan.device)))
        network = build_network(plan.network, len(CLASSES), data.space)
        precision = measured_precision(plan, network, len(CLASSES), data.space, memory)
        plan = plan.model_copy(update={"precision": precision.number_format})
        context = TakingTurns(BareSteps(plan, data.space, ready_batches(plan, data, shape), precision), n_steps)
        info = profiled(plan, data, folder, context, profile)
    title = (
        f"{plan.recipe}, anisotropy {anisotropy:g}: {n_steps} steps of {plan.batch_size} x "
        f"{'x'.join(map(str, shape))}; train {info}, bare {precision}"
    )
    turns = {"bare": context.bare_s[1:], "train": context.train_s[1:]}
    timings: Timings = {name: [taken for taken, _ in of] for name, of in turns.items()}
    print_timings(title, timings, n_steps, "step", [Claim("train", "bare", 0.85)])
    processor: Timings = {name: [taken for _, taken in of] for name, of in turns.items()}
    print_timings("processor time, with that of the thread that makes batches", processor, n_steps, "step")


def profiled(plan: TrainPlan, data: VolumeData, folder: Path, context: TakingTurns, profile: Path | None) -> str:
    """Train; the arithmetic that was used."""
    folders = TrainingFolders(model=folder / "model", run=folder / "run", resume=False)
    if profile is None:
        return train(plan, data, folders, context).info.precision
    import cProfile

    profiler = cProfile.Profile()
    found = profiler.runcall(train, plan, data, folders, context)
    profiler.dump_stats(profile.with_suffix(f".{plan.recipe}{data.space.anisotropy:g}"))
    return found.info.precision


def ready_batches(plan: TrainPlan, data: VolumeData, shape: Shape) -> list[Batch]:
    """Batches as the training makes them."""
    image = TrainingImage(data.source, data.normalisation([], plan.normalisation)[0])
    source = PatchBatches([TrainingVolume(data, image)], plan, plan.batch_size, shape)
    return [source.batch(step) for step in range(4)]


def make_data(folder: Path, anisotropy: float) -> VolumeData:
    """A grid of cells with dark membranes, and strokes of both classes all over it, in a store on disk."""
    rng = np.random.default_rng(0)
    space = VoxelSpace((8.0 * anisotropy, 8.0, 8.0))
    z, y, x = np.meshgrid(*(np.arange(n) for n in SHAPE), indexing="ij", sparse=True)
    waves = np.sin(z * anisotropy / 9.0) + np.sin(y / 8.0 + z * anisotropy / 40) + np.sin(x / 7.0 + y / 50)
    membrane = np.abs(waves) < 0.35
    raw = np.clip(np.where(membrane, 70, 170) + rng.normal(0, 14, SHAPE), 0, 255).astype(np.uint8)
    strokes = np.zeros(SHAPE, np.uint8)
    for z0, y0, x0 in rng.integers(0, np.subtract(SHAPE, (1, 3, 40)), (80, 3)):
        here = (slice(z0, z0 + 1), slice(y0, y0 + 3), slice(x0, x0 + 40))
        strokes[here] = np.where(membrane[here], 1, 2)
    annotations = PaintStore.create(folder / "annotations.zarr", SHAPE, space)
    annotations.write(Box.of_shape(SHAPE), strokes)
    return VolumeData(SingleImage(MemoryVolume(raw, space)), annotations, CLASSES, (), space)


if __name__ == "__main__":
    main()
