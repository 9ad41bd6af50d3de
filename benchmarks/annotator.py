"""Quality against painting: a simulated annotator, round after round, for every recipe and ilastik's way.

Run ``python benchmarks/annotator.py [--seeds 3] [--rounds 1 2 4 8] [--minutes 1] [--datasets vnc medulla]``; needs
scikit-learn. The strokes answer the errors that the instant model makes on three sections, and every method gets the
same ones. `instant` is trained afresh each round; the networks go on from their last model, `--minutes` at most. Scores
are Dice per class on sections that nobody painted; the dense row is a network trained on the whole truth of the painted
part. Rates are medians of interleaved predictions of one block with its features. The forest's features are computed
once for all rounds, so its seconds of training are without them; those of `instant` are with them.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from forest import ForestModel
from rounds import interleave, print_bar, print_timings
from simulated_annotator import Annotator, Dataset, datasets
from sklearn.ensemble import RandomForestClassifier

from napari_pytc.annotations.source import AnnotatedBox
from napari_pytc.geometry import Box, Shape, TileGrid
from napari_pytc.jobs.context import JobMessage
from napari_pytc.learning.data import TrainingData
from napari_pytc.learning.inference import Inferer
from napari_pytc.learning.model import TrainedModel
from napari_pytc.learning.prediction import TiledPredictor
from napari_pytc.learning.recipes import load_recipe
from napari_pytc.learning.training import TrainingFolders, train
from napari_pytc.metrics.overlap import ClassCounts
from napari_pytc.volumes.memory import MemoryVolume

LOOKED_AT = 3
"""Sections of its training box that the annotator looks at between rounds."""
NETWORKS = ("fast", "accurate")


class Quiet:
    """A job context that nobody listens to."""

    def report(self, done: int, total: int, note: str = "") -> None: ...

    def metric(self, name: str, step: int, value: float) -> None: ...

    def artifact(self, kind: str, box: Box) -> None: ...

    def warn(self, message: str) -> None: ...

    def messages(self) -> Iterator[JobMessage]:
        return iter(())

    def check(self) -> None: ...


class Strokes:
    """Annotations in memory; every chunk knows in which round it changed."""

    chunk: Shape = (8, 64, 64)

    def __init__(self, shape: Shape) -> None:
        self.array = np.zeros(shape, np.uint8)
        self.shape = shape
        self.revision = 0
        self._changed: dict[Box, tuple[int, float]] = {}

    def boxes(self) -> list[AnnotatedBox]:
        found = []
        for tile in TileGrid(Box.of_shape(self.shape), self.chunk):
            n = int(np.count_nonzero(self.array[tile.write.slices]))
            if n:
                if self._changed.get(tile.write, (0, 0.0))[0] != n:
                    self._changed[tile.write] = (n, 60.0 * self.revision)
                found.append(AnnotatedBox(tile.write, self._changed[tile.write][1]))
        return found

    def read(self, box: Box) -> np.ndarray:
        return self.array[box.slices].copy()


class Probabilities:
    """A sink in memory for a box of a volume."""

    dtype = np.dtype(np.uint8)

    def __init__(self, n_classes: int, box: Box) -> None:
        self.array = np.zeros((n_classes, *box.shape), np.uint8)
        self._box = box

    def write(self, box: Box, data: np.ndarray) -> None:
        self.array[(slice(None), *box.relative_to(self._box.start).slices)] = data


@dataclass
class Row:
    """Figures of one method after one round, an entry a seed."""

    dice: list[list[float]] = field(default_factory=list)
    train_s: list[float] = field(default_factory=list)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--rounds", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--minutes", type=float, default=1.0, help="Training of a network a round, at most.")
    parser.add_argument("--steps", type=int, help="So many steps a round instead, whatever else the machine does.")
    parser.add_argument("--dense-minutes", type=float, default=4.0, help="Training on the whole truth; 0: none.")
    parser.add_argument("--side", type=int, default=1024, help="Length in y and x of what is scored, in the middle.")
    parser.add_argument("--datasets", nargs="+", default=["vnc", "medulla"])
    parser.add_argument("--networks", nargs="*", default=list(NETWORKS))
    parser.add_argument("--json", type=Path, help="Where to write all figures.")
    options = parser.parse_args()
    chosen = [data for data in datasets() if data.name in options.datasets]
    warm_up(chosen[0])
    documents = {data.name: Comparison(data, options).run() for data in chosen}
    if options.json:
        options.json.write_text(json.dumps(documents, indent=1))


class Comparison:
    """All methods on one dataset."""

    def __init__(self, data: Dataset, options: argparse.Namespace) -> None:
        self.data, self.options = data, options
        self.source = MemoryVolume(data.raw, data.space)
        self.volumetric = data.space.anisotropy < 3
        self.scored = middle(data.test, options.side)
        self.rows: dict[tuple[int, str], Row] = {}
        self.folder = Path(tempfile.mkdtemp(prefix="annotator-"))

    def run(self) -> dict[str, object]:
        for n in range(self.options.seeds):
            self._seed(self.options.first_seed + n)
            self.print_table(n + 1)
        dense = self._dense()
        self._speed()
        self._bars()
        table = {f"{name} {done}": vars(row) for (done, name), row in self.rows.items()}
        return {"rows": table, "dense": dense, "classes": self.data.classes}

    def _seed(self, seed: int) -> None:
        strokes = Strokes(self.data.raw.shape)
        annotator = Annotator(self.data.truth, self.data.train, seed)
        rng = np.random.default_rng(seed)
        looked: np.ndarray | None = None
        parents: dict[str, Path] = {}
        for done in range(1, max(self.options.rounds) + 1):
            annotator.paint(strokes.array, looked)
            strokes.revision += 1
            instant, seconds = self._train("instant", strokes, seed, done, None)
            looked = self._look(instant, rng)
            if done not in self.options.rounds:
                continue
            self._note(done, "instant", self._dice(self._predictor(instant)), seconds)
            forest = ForestModel(self.volumetric, seed=seed).forest
            painted = strokes.array[self.data.train.slices]
            features = self.of_train[painted > 0]
            started = time.perf_counter()
            forest.fit(features, painted[painted > 0])
            seconds = time.perf_counter() - started
            self._note(done, "forest", self._dice(lambda box, forest=forest: self._of_forest(forest, box)), seconds)
            for name in self.options.networks:
                model, seconds = self._train(name, strokes, seed, done, parents.get(name))
                parents[name] = model
                self._note(done, name, self._dice(self._predictor(model)), seconds)

    def _train(
        self, recipe: str, strokes: Strokes, seed: int, done: int, parent: Path | None, minutes: float | None = None
    ) -> tuple[Path, float]:
        changes = [f"seed={seed}"]
        if recipe != "instant" and self.options.steps and minutes is None:
            changes += ["minutes=null", f"steps={self.options.steps}"]
        elif recipe != "instant":
            changes += [f"minutes={minutes or self.options.minutes}", "steps=100000"]
        name = f"{recipe}-{seed}-{done}"
        folders = TrainingFolders(self.folder / name, self.folder / f"{name}-run", parent, resume=False)
        data = TrainingData(self.source, strokes, self.data.classes, (self.data.test,), self.data.space)
        started = time.perf_counter()
        train(load_recipe(recipe, changes), data, folders, Quiet())
        return folders.model, time.perf_counter() - started

    def _look(self, model: Path, rng: np.random.Generator) -> np.ndarray:
        looked = np.zeros(self.data.raw.shape, np.uint8)
        train_box = self.data.train
        predict = self._predictor(model)
        for z in rng.choice(np.arange(train_box.start[0], train_box.stop[0]), LOOKED_AT, replace=False):
            box = Box((int(z), *train_box.start[1:]), (int(z) + 1, *train_box.stop[1:]))
            looked[box.slices] = predict(box)
        return looked

    def _predictor(self, folder: Path) -> Callable[[Box], np.ndarray]:
        model = TrainedModel.load(folder)
        device, arithmetic = model.place("auto", "float32")
        inferer = Inferer(model.network, model.limits, device, arithmetic)
        predictor = TiledPredictor(inferer, model.normalisation, (64, 256, 256))

        def predict(box: Box) -> np.ndarray:
            sink = Probabilities(len(self.data.classes), box)
            predictor.predict(self.source, sink, box, Quiet())
            return (sink.array.argmax(0) + 1).astype(np.uint8)

        return predict

    @cached_property
    def of_train(self) -> np.ndarray:
        """The forest's features of the part that is painted."""
        return self._forest_features(self.data.train)

    @cached_property
    def of_scored(self) -> np.ndarray:
        """The forest's features of the part that is scored."""
        return self._forest_features(self.scored)

    def _forest_features(self, box: Box) -> np.ndarray:
        around = (40 if self.volumetric else 0, 40, 40)
        read = box.grow(around).intersect(Box.of_shape(self.data.raw.shape))
        features = ForestModel(self.volumetric).features(self.data.raw[read.slices])
        return np.ascontiguousarray(features[box.relative_to(read.start).slices])

    def _of_forest(self, forest: RandomForestClassifier, box: Box) -> np.ndarray:
        best = forest.predict(self.of_scored.reshape(-1, self.of_scored.shape[-1]))
        return best.reshape(box.shape).astype(np.uint8)

    def _dice(self, predict: Callable[[Box], np.ndarray]) -> list[float]:
        counts = ClassCounts()
        counts.add(predict(self.scored), self.data.truth[self.scored.slices])
        found = counts.dice(range(1, len(self.data.classes) + 1))
        return [found[k] for k in sorted(found)]

    def _note(self, done: int, name: str, dice: list[float], seconds: float) -> None:
        row = self.rows.setdefault((done, name), Row())
        row.dice.append(dice)
        row.train_s.append(seconds)
        print(f"  {self.data.name} round {done} {name:9} {np.round(dice, 3)} {seconds:.1f} s", flush=True)

    def _dense(self) -> dict[str, list[float]]:
        found: dict[str, list[float]] = {}
        if not self.options.dense_minutes:
            return found
        everything = Strokes(self.data.raw.shape)
        everything.array[self.data.train.slices] = self.data.truth[self.data.train.slices]
        everything.revision = 1
        for name in self.options.networks:
            model, seconds = self._train(name, everything, 0, 99, None, self.options.dense_minutes)
            found[name] = self._dice(self._predictor(model))
            print(f"  {self.data.name} dense {name:9} {np.round(found[name], 3)} {seconds:.1f} s", flush=True)
        return found

    def print_table(self, n_seeds: int) -> None:
        print(f"\n{self.data.name}: Dice on {self.scored}, mean of {n_seeds} seed(s)")
        names = "".join(f"{name:>15}" for name in self.data.classes)
        print(f"{'rounds':>6} {'method':10}{names}{'mean':>8}{'train s':>9}")
        for (done, name), row in sorted(self.rows.items()):
            scores = np.mean(row.dice, axis=0)
            print(
                f"{done:6d} {name:10}"
                + "".join(f"{s:15.3f}" for s in scores)
                + f"{scores.mean():8.3f}{np.median(row.train_s):9.2f}",
                flush=True,
            )

    def _speed(self) -> None:
        """Rates of prediction, features included, the methods taking turns."""
        last, seed = max(self.options.rounds), self.options.first_seed + self.options.seeds - 1
        box = middle(self.data.test, 128 if self.volumetric else 384, 24 if self.volumetric else 2)
        strokes = Strokes(self.data.raw.shape)
        annotator = Annotator(self.data.truth, self.data.train, seed)
        for _ in range(4):
            annotator.paint(strokes.array, None)
        forest = ForestModel(self.volumetric, seed=seed)
        forest.fit(self.data.raw, strokes.array)
        methods: dict[str, Callable[[], object]] = {"forest": lambda: forest.predict(self.data.raw[box.slices])}
        for name in ("instant", *self.options.networks):
            predict = self._predictor(self.folder / f"{name}-{seed}-{last}")
            methods[name] = lambda predict=predict: predict(box)
        timings = interleave(methods, 5)
        print_timings(f"{self.data.name}: prediction of {box.shape}", timings, box.size / 1e6, "Mvoxel")
        ratio = np.median(timings["forest"]) / np.median(timings["instant"])
        print_bar("rate of instant over forest, medians", float(ratio), at_least=5)

    def _bars(self) -> None:
        def mean(done: int, name: str) -> float:
            return float(np.mean(self.rows[done, name].dice))

        done = max(d for d in self.options.rounds if d <= 4)
        print_bar(
            f"mean Dice of instant minus forest, round {done}",
            mean(done, "instant") - mean(done, "forest"),
            at_least=-0.02,
        )
        trained = [s for (_, name), row in self.rows.items() if name == "instant" for s in row.train_s]
        print_bar("seconds of training of instant, median of all rounds", float(np.median(trained)), at_most=1.5)
        for name in self.options.networks:
            print_bar(
                f"mean Dice of {name} minus forest, round {done}", mean(done, name) - mean(done, "forest"), at_least=0
            )


def middle(box: Box, side: int, depth: int | None = None) -> Box:
    """The middle of a box in y and x, and in z if a depth is given."""
    shape = [min(n, m) for n, m in zip(box.shape, (depth or box.shape[0], side, side), strict=True)]
    return Box.at([s + (n - m) // 2 for s, n, m in zip(box.start, box.shape, shape, strict=True)], shape)


def warm_up(data: Dataset) -> None:
    """Load what a first training loads, as the worker does when a panel opens."""
    torch.set_num_threads(max(1, torch.get_num_threads()))
    strokes = Strokes(data.raw.shape)
    Annotator(data.truth, data.train, 0).paint(strokes.array, None)
    folder = Path(tempfile.mkdtemp(prefix="annotator-"))
    training = TrainingData(MemoryVolume(data.raw, data.space), strokes, data.classes, (data.test,), data.space)
    train(load_recipe("instant"), training, TrainingFolders(folder / "model", folder / "run"), Quiet())


if __name__ == "__main__":
    main()
