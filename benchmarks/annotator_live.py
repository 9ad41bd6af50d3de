"""Live learning, driven as the window drives it: strokes to the disk, messages, views; what is shown is scored."""

from __future__ import annotations

import argparse
import shutil
import time
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path

import numpy as np
from annotator_bench import Bench, Quiet, spread_sections
from simulated_annotator import Annotator, Dataset

from napari_pytc.annotations.paint_store import PaintStore
from napari_pytc.geometry import Box, TileGrid
from napari_pytc.jobs.context import JobMessage
from napari_pytc.learning.live.engine import LiveEngine
from napari_pytc.metrics.overlap import ClassCounts
from napari_pytc.plans.live_messages import annotations_message, stop_message, view_message
from napari_pytc.plans.live_plan import LivePlan
from napari_pytc.plans.live_spec import LiveJob
from napari_pytc.plans.specs import ModelOutput, VolumeInputs
from napari_pytc.volumes.zarr_output import open_ome_zarr

SCORED_SECTIONS = 5
_QUIET_TURNS = 6
"""Turns of the loop without a new tile after which all of a view was there already."""

Script = Generator[list[JobMessage], None, None]


class LiveDesk(Quiet):
    """Somebody at the window of a live job; it acts whenever the job listens.

    Parameters
    ----------
    bench : Bench
        The dataset.
    folder : Path
        Where strokes and prediction are kept.
    plan : LivePlan
        How to learn.
    """

    def __init__(self, bench: Bench, folder: Path, plan: LivePlan) -> None:
        self.bench, data = bench, bench.data
        self.store = PaintStore.create(folder / "annotations.zarr", data.raw.shape, data.space)
        self.strokes = np.zeros(data.raw.shape, np.uint8)
        self.shown, self.step, self.suggestions = "instant", 0, 0
        self._painted, self._measuring = 0.0, 0.0
        self._written: dict[Box, int] = {}
        self._generation, self._answered, self._n_tiles = 0, -1, 0
        self._script: Iterator[list[JobMessage]] = iter(())
        self.job = LiveJob(
            inputs=VolumeInputs(
                volume=bench.source.spec,
                space=data.space,
                annotations=folder / "annotations.zarr",
                held_out=(data.test,),
            ),
            classes=data.classes,
            plan=plan,
            prediction=folder / "prediction.zarr",
            output=ModelOutput(model_folder=folder / "model", run_folder=folder / "run"),
        )

    def run(self, script: Script) -> None:
        """Work through a script while the job runs; the job is stopped at its end."""
        self._script = script
        engine = LiveEngine(
            self.job, self.bench.source, PaintStore.open(self.job.in_view.annotations, writable=False), self
        )
        try:
            engine.run()
        finally:
            engine.close()

    def messages(self) -> Iterator[JobMessage]:
        yield from next(self._script, [stop_message()])

    def artifact(self, kind: str, box: Box) -> None:
        self._n_tiles += kind == "prediction"
        self.suggestions += kind == "suggestions"

    def metric(self, name: str, step: int, value: float) -> None:
        if name == "generation":
            self._answered = int(value)
        elif name == "shown":
            self.shown = "network" if value else "instant"
        elif name == "network/loss":
            self.step = step

    def paint(self, annotator: Annotator, looked: np.ndarray | None) -> list[JobMessage]:
        """A round of strokes, on the disk when this returns; what the job is told."""
        annotator.paint(self.strokes, looked)
        return self.write()

    def write(self) -> list[JobMessage]:
        """Bring the strokes to the disk, chunk by chunk where there are new ones."""
        for tile in TileGrid(Box.of_shape(self.strokes.shape), self.store.chunk_shape):
            here = self.strokes[tile.write.slices]
            if np.count_nonzero(here) != self._written.get(tile.write, 0):
                self._written[tile.write] = np.count_nonzero(here)
                self.store.paint(tile.write, here)
        self.store.wait()
        self._painted, self._measuring = time.perf_counter(), 0.0
        return [annotations_message(self.store.revision)]

    def seconds(self) -> float:
        """Since the last strokes were on the disk, without what looking took."""
        return time.perf_counter() - self._painted - self._measuring

    def wait_until(self, seconds: float) -> Script:
        """Let the job work."""
        while self.seconds() < seconds:
            yield []

    def classes_of(self, sections: Sequence[Box]) -> Generator[list[JobMessage], None, list[np.ndarray]]:
        """What is shown in each of some boxes, once all of it is of the newest model."""
        started, found = time.perf_counter(), []
        for box in sections:
            self._generation += 1
            yield [view_message(box, self._generation)]
            quiet, n_tiles = 0, self._n_tiles
            while self._answered < self._generation and quiet < _QUIET_TURNS:
                quiet, n_tiles = (quiet + 1, n_tiles) if n_tiles == self._n_tiles else (0, self._n_tiles)
                yield []
            shown = open_ome_zarr(self.job.prediction, writable=False).read(box)
            found.append((shown.argmax(0) + 1).astype(np.uint8))
        self._measuring += time.perf_counter() - started
        return found

    def dice(self, sections: Sequence[Box]) -> Generator[list[JobMessage], None, list[float]]:
        """Dice of each class of what is shown."""
        shown = yield from self.classes_of(sections)
        counts = ClassCounts()
        for box, classes in zip(sections, shown, strict=True):
            counts.add(classes, self.bench.data.truth[box.slices])
        found = counts.dice(range(1, len(self.bench.data.classes) + 1))
        return [found[k] for k in sorted(found)]


class Live:
    """Dice of what live learning shows, by rounds of strokes and by seconds after each."""

    def __init__(self, data: Dataset, options: argparse.Namespace) -> None:
        self.data, self.options, self.bench = data, options, Bench(data, options.side)
        self._rows: dict[tuple[int, float], list[tuple[list[float], str, int]]] = {}

    def run(self) -> dict[str, object]:
        for n in range(self.options.seeds):
            seed = self.options.first_seed + n
            folder = self.bench.folder / f"live-{seed}"
            settings = dict(one.split("=", 1) for one in self.options.live_settings)
            desk = LiveDesk(self.bench, folder, LivePlan(seed=seed, **settings))
            desk.run(self._script(desk, seed))
            shutil.rmtree(folder)
        self._print_table()
        return {f"{done} {seconds:g}": rows for (done, seconds), rows in self._rows.items()}

    def _script(self, desk: LiveDesk, seed: int) -> Script:
        annotator, rng = self.bench.annotator(seed), np.random.default_rng(seed)
        scored = spread_sections(self.bench.scored, SCORED_SECTIONS)
        looked: np.ndarray | None = None
        for done in range(1, max(self.options.rounds) + 1):
            yield desk.paint(annotator, looked)
            for seconds in self.options.live_seconds:
                yield from desk.wait_until(seconds)
                if done in self.options.rounds:
                    dice = yield from desk.dice(scored)
                    self._note(done, seconds, dice, desk)
            looked = np.zeros(self.data.raw.shape, np.uint8)
            sections = self.bench.sections(rng, self.data.train)
            shown = yield from desk.classes_of(sections)
            for section, classes in zip(sections, shown, strict=True):
                looked[section.slices] = classes

    def _note(self, done: int, seconds: float, dice: list[float], desk: LiveDesk) -> None:
        self._rows.setdefault((done, seconds), []).append((dice, desk.shown, desk.step))
        print(
            f"  {self.data.name} round {done} after {seconds:g} s {np.round(dice, 3)} mean {np.mean(dice):.3f}, "
            f"{desk.shown} shown, network at step {desk.step}",
            flush=True,
        )

    def _print_table(self) -> None:
        n = self.options.seeds
        print(f"\n{self.data.name}: Dice of what live learning shows, mean of {n} seed(s)")
        names = "".join(f"{name:>15}" for name in self.data.classes)
        print(f"{'rounds':>6}{'seconds':>9}{names}{'mean':>8}{'network shown':>15}{'its steps':>11}")
        for (done, seconds), rows in sorted(self._rows.items()):
            scores = np.mean([dice for dice, _, _ in rows], axis=0)
            each = "".join(f"{s:15.3f}" for s in scores)
            n_network = sum(shown == "network" for _, shown, _ in rows)
            steps = np.mean([step for _, _, step in rows])
            print(f"{done:6d}{seconds:9g}{each}{scores.mean():8.3f}{n_network:12d}/{n}{steps:11.0f}", flush=True)
