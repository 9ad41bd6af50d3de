"""Strokes where live learning suggests them, against strokes at random places."""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Generator

import numpy as np
from annotator_bench import Bench, spread_sections
from annotator_live import SCORED_SECTIONS, LiveDesk, Script
from rounds import print_bar
from simulated_annotator import Annotator, Dataset

from napari_pytc.geometry import Box
from napari_pytc.jobs.context import JobMessage
from napari_pytc.plans.live_messages import suggest_message
from napari_pytc.plans.live_plan import LivePlan

_STROKES = 6
"""A round: one at each place."""
_ROUNDS = 10
_EDGE = 96
"""Length of a random place in its section, that of the places that live learning suggests."""


_ARMS = ("suggested", "random places", "random strokes")


class Suggested:
    """Dice of what live learning shows after the same number of strokes, placed by suggestion or at random.

    The first round is the same for all, at random voxels of every class. Later a round is one stroke at each of a few
    places: those that live learning suggests, without a network behind, or random ones, on the largest error of what is
    shown there, as who flies to a place would paint. Random strokes do not look: a class that is there, drawn by lot,
    at a random voxel of a random place.
    """

    def __init__(self, data: Dataset, options: argparse.Namespace) -> None:
        self.data, self.options, self.bench = data, options, Bench(data, options.side)
        self._curves: dict[str, list[list[float]]] = {name: [] for name in _ARMS}
        self._strokes: list[int] = []

    def run(self) -> dict[str, object]:
        for n in range(self.options.seeds):
            seed = self.options.first_seed + n
            for name, curves in self._curves.items():
                folder = self.bench.folder / f"{name.replace(' ', '-')}-{seed}"
                settings = dict(one.split("=", 1) for one in self.options.live_settings)
                plan = LivePlan(**{"seed": seed, "instant_only": True, **settings})
                desk = LiveDesk(self.bench, folder, plan)
                curve: list[float] = []
                desk.run(self._script(desk, name, seed, curve))
                curves.append(curve)
                shutil.rmtree(folder)
                print(f"  {self.data.name} seed {seed} {name:14} {np.round(curve, 3)}", flush=True)
        self._print_table()
        return {"strokes": self._strokes, **self._curves}

    def _script(self, desk: LiveDesk, name: str, seed: int, curve: list[float]) -> Script:
        annotator, rng = self.bench.annotator(seed), np.random.default_rng(seed)
        yield desk.paint(annotator, None)
        self._strokes = [annotator.n_strokes]
        scored = spread_sections(self.bench.scored, SCORED_SECTIONS)
        curve.append(float(np.mean((yield from desk.dice(scored)))))
        for _ in range(_ROUNDS):
            boxes = [self._random_place(rng) for _ in range(_STROKES)]
            if name == "suggested":
                boxes = yield from self._suggestions(desk)
            looked = np.zeros(self.data.raw.shape, np.uint8)
            if name != "random strokes":
                looked = yield from self._look(desk, boxes)
            for box in boxes:
                self._stroke(desk.strokes, box, looked, rng)
            yield desk.write()
            self._strokes.append(self._strokes[-1] + len(boxes))
            curve.append(float(np.mean((yield from desk.dice(scored)))))

    def _look(self, desk: LiveDesk, boxes: list[Box]) -> Generator[list[JobMessage], None, np.ndarray]:
        """What live learning shows in the places, 0 elsewhere."""
        looked = np.zeros(self.data.raw.shape, np.uint8)
        shown = yield from desk.classes_of(boxes)
        for box, classes in zip(boxes, shown, strict=True):
            looked[box.slices] = classes
        return looked

    def _suggestions(self, desk: LiveDesk) -> Generator[list[JobMessage], None, list[Box]]:
        yield [suggest_message(_STROKES, self.data.train)]
        while not desk.suggestions:
            yield []
        desk.suggestions = 0
        told = json.loads((desk.job.prediction.parent / "suggestions.json").read_text(encoding="utf-8"))
        return [Box(tuple(one["box"]["start"]), tuple(one["box"]["stop"])) for one in told["boxes"]]

    def _random_place(self, rng: np.random.Generator) -> Box:
        within = self.data.train
        shape = [1, *(min(_EDGE, n) for n in within.shape[1:])]
        room = [n - m + 1 for n, m in zip(within.shape, shape, strict=True)]
        return Box.at([s + int(rng.integers(r)) for s, r in zip(within.start, room, strict=True)], shape)

    def _stroke(self, strokes: np.ndarray, box: Box, looked: np.ndarray, rng: np.random.Generator) -> None:
        """One stroke in a place: on its largest error or, where nothing looks wrong, on a class that is there."""
        annotator = Annotator(self.data.truth, box, int(rng.integers(2**31)), strokes_per_round=1)
        annotator.paint(strokes, looked)
        if annotator.n_strokes == 0:
            truth = self.data.truth[box.slices]
            place = rng.choice(np.flatnonzero(truth == rng.choice(np.unique(truth[truth > 0]))))
            z, y, x = (int(p) + s for p, s in zip(np.unravel_index(place, truth.shape), box.start, strict=True))
            annotator.stroke(strokes, (z, y, x))

    def _print_table(self) -> None:
        curves = {name: np.mean(found, axis=0) for name, found in self._curves.items()}
        print(f"\n{self.data.name}: mean Dice of what is shown by strokes, mean of {self.options.seeds} seed(s)")
        print(f"{'strokes':>8}" + "".join(f"{name:>16}" for name in curves))
        for n, *dice in zip(self._strokes, *curves.values(), strict=True):
            print(f"{n:8d}" + "".join(f"{one:16.3f}" for one in dice), flush=True)
        for name in _ARMS[1:]:
            target = float(curves[name].max())
            needed, at_random = (strokes_for(self._strokes, curves[one], target) for one in (_ARMS[0], name))
            print_bar(
                f"strokes for a mean Dice of {target:.3f}, suggested over {name}", needed / at_random, at_most=0.5
            )


def strokes_for(strokes: list[int], curve: np.ndarray, target: float) -> float:
    """How many strokes reach a Dice, between the rounds by a straight line; infinite where none do."""
    reached = np.flatnonzero(curve >= target)
    if not len(reached):
        return float("inf")
    last = int(reached[0])
    if last == 0:
        return float(strokes[0])
    share = (target - curve[last - 1]) / (curve[last] - curve[last - 1])
    return float(strokes[last - 1] + share * (strokes[last] - strokes[last - 1]))
