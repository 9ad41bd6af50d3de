"""Dice after rounds of strokes, for every recipe and for a random forest on ilastik's features."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from annotator_bench import Bench, Predict, Strokes, middle
from forest import ForestModel
from rounds import interleave, print_bar, print_timings
from simulated_annotator import Dataset
from sklearn.ensemble import RandomForestClassifier

from napari_pytc.geometry import Box

_NO_STARTER = "network.starter=false"


@dataclass
class Row:
    """Figures of one method after one round, an entry a seed."""

    dice: list[list[float]] = field(default_factory=list)
    train_s: list[float] = field(default_factory=list)


class Rounds:
    """All methods on one dataset; each gets the strokes that answer the instant model's errors.

    `instant` is trained afresh each round, and as `filters` once more without the starter features; the networks go on
    from their last model.
    """

    def __init__(self, data: Dataset, options: argparse.Namespace) -> None:
        self.data, self.options, self.bench = data, options, Bench(data, options.side)
        self.volumetric = data.space.anisotropy < 3
        self.rows: dict[tuple[int, str], Row] = {}

    def run(self) -> dict[str, object]:
        for n in range(self.options.seeds):
            self._seed(self.options.first_seed + n)
            self._print_table(n + 1)
        dense = self._dense()
        self._speed()
        self._bars()
        table = {f"{name} {done}": vars(row) for (done, name), row in self.rows.items()}
        return {"rows": table, "dense": dense, "classes": self.data.classes}

    def _seed(self, seed: int) -> None:
        bench, strokes = self.bench, Strokes(self.data.raw.shape)
        annotator, rng = bench.annotator(seed), np.random.default_rng(seed)
        looked: np.ndarray | None = None
        parents: dict[str, Path] = {}
        for done in range(1, max(self.options.rounds) + 1):
            annotator.paint(strokes.array, looked)
            strokes.revision += 1
            instant, seconds = self._train("instant", strokes, seed, done, None)
            predict = bench.predictor(instant)
            looked = bench.look(predict, rng)
            if done not in self.options.rounds:
                continue
            self._note(done, "instant", bench.dice(predict), seconds)
            filters, seconds = bench.train("instant", strokes, f"filters-{seed}-{done}", [f"seed={seed}", _NO_STARTER])
            self._note(done, "filters", bench.dice(bench.predictor(filters)), seconds)
            self._note(done, "forest", *self._forest(strokes, seed))
            for name in self.options.networks:
                model, seconds = self._train(name, strokes, seed, done, parents.get(name))
                parents[name] = model
                self._note(done, name, bench.dice(bench.predictor(model)), seconds)

    def _train(
        self, recipe: str, strokes: Strokes, seed: int, done: int, parent: Path | None, minutes: float | None = None
    ) -> tuple[Path, float]:
        changes = [f"seed={seed}"]
        if recipe != "instant":
            changes += training_length(self.options, minutes)
        return self.bench.train(recipe, strokes, f"{recipe}-{seed}-{done}", changes, parent)

    def _forest(self, strokes: Strokes, seed: int) -> tuple[list[float], float]:
        forest = ForestModel(self.volumetric, seed=seed).forest
        painted = strokes.array[self.data.train.slices]
        features = self.of_train[painted > 0]
        started = time.perf_counter()
        forest.fit(features, painted[painted > 0])
        seconds = time.perf_counter() - started
        return self.bench.dice(lambda box: self._of_forest(forest, box)), seconds

    @cached_property
    def of_train(self) -> np.ndarray:
        """The forest's features of the part that is painted."""
        return self._forest_features(self.data.train)

    @cached_property
    def of_scored(self) -> np.ndarray:
        """The forest's features of the part that is scored."""
        return self._forest_features(self.bench.scored)

    def _forest_features(self, box: Box) -> np.ndarray:
        around = (40 if self.volumetric else 0, 40, 40)
        read = box.grow(around).intersect(Box.of_shape(self.data.raw.shape))
        features = ForestModel(self.volumetric).features(self.data.raw[read.slices])
        return np.ascontiguousarray(features[box.relative_to(read.start).slices])

    def _of_forest(self, forest: RandomForestClassifier, box: Box) -> np.ndarray:
        best = forest.predict(self.of_scored.reshape(-1, self.of_scored.shape[-1]))
        return best.reshape(box.shape).astype(np.uint8)

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
            found[name] = self.bench.dice(self.bench.predictor(model))
            print(f"  {self.data.name} dense {name:9} {np.round(found[name], 3)} {seconds:.1f} s", flush=True)
        return found

    def _print_table(self, n_seeds: int) -> None:
        print(f"\n{self.data.name}: Dice on {self.bench.scored}, mean of {n_seeds} seed(s)")
        names = "".join(f"{name:>15}" for name in self.data.classes)
        print(f"{'rounds':>6} {'method':10}{names}{'mean':>8}{'train s':>9}")
        for (done, name), row in sorted(self.rows.items()):
            scores = np.mean(row.dice, axis=0)
            each = "".join(f"{s:15.3f}" for s in scores)
            print(f"{done:6d} {name:10}{each}{scores.mean():8.3f}{np.median(row.train_s):9.2f}", flush=True)

    def _speed(self) -> None:
        """Rates of prediction, features included, the methods taking turns."""
        last, seed = max(self.options.rounds), self.options.first_seed + self.options.seeds - 1
        box = middle(self.data.test, 128 if self.volumetric else 384, 24 if self.volumetric else 2)
        strokes = Strokes(self.data.raw.shape)
        annotator = self.bench.annotator(seed)
        for _ in range(4):
            annotator.paint(strokes.array, None)
        forest = ForestModel(self.volumetric, seed=seed)
        forest.fit(self.data.raw, strokes.array)
        methods: dict[str, Callable[[], object]] = {"forest": lambda: forest.predict(self.data.raw[box.slices])}
        for name in ("instant", *self.options.networks):
            predict: Predict = self.bench.predictor(self.bench.folder / f"{name}-{seed}-{last}")
            methods[name] = lambda predict=predict: predict(box)
        timings = interleave(methods, 5)
        print_timings(f"{self.data.name}: prediction of {box.shape}", timings, box.size / 1e6, "Mvoxel")
        ratio = np.median(timings["forest"]) / np.median(timings["instant"])
        print_bar("rate of instant over forest, medians", float(ratio), at_least=5)

    def _bars(self) -> None:
        def mean(done: int, name: str) -> float:
            return float(np.mean(self.rows[done, name].dice))

        done = max((d for d in self.options.rounds if d <= 4), default=min(self.options.rounds))
        of = f"mean Dice of {{}} minus forest, round {done}"
        print_bar(of.format("instant"), mean(done, "instant") - mean(done, "forest"), at_least=-0.02)
        trained = [s for (_, name), row in self.rows.items() if name == "instant" for s in row.train_s]
        print_bar("seconds of training of instant, median of all rounds", float(np.median(trained)), at_most=1.5)
        for name in self.options.networks:
            print_bar(of.format(name), mean(done, name) - mean(done, "forest"), at_least=0)


def training_length(options: argparse.Namespace, minutes: float | None = None) -> list[str]:
    """Settings for as many minutes or steps as the command line says."""
    if options.steps and minutes is None:
        return ["minutes=null", f"steps={options.steps}"]
    return [f"minutes={minutes or options.minutes}", "steps=100000"]
