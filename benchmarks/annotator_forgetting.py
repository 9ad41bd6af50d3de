"""What a network forgets of one block when it goes on learning from another: the former strokes are replayed."""

from __future__ import annotations

import argparse

import numpy as np
from annotator_bench import Bench, Strokes, middle, spread_sections
from annotator_rounds import training_length
from rounds import print_bar
from simulated_annotator import Dataset

from napari_pytc.geometry import Box

_ROUNDS = 4
"""Of strokes on each block; the first at random places, the others on errors."""
_SCORED_SECTIONS = 8


class Forgetting:
    """Train on the strokes of a first block, then go on with those of a second added; score on the first one's truth.

    The blocks are the halves of the training box along x, so that both hold all sections with their faults.
    """

    def __init__(self, data: Dataset, options: argparse.Namespace) -> None:
        self.data, self.options, self.bench = data, options, Bench(data, options.side)
        (z, y, x), (z1, y1, x1) = data.train.start, data.train.stop
        half = (x + x1) // 2
        self.blocks = Box((z, y, x), (z1, y1, half)), Box((z, y, half), (z1, y1, x1))

    def run(self) -> dict[str, object]:
        found: dict[str, list[list[float]]] = {}
        for n in range(self.options.seeds):
            for name, scores in self._seed(self.options.first_seed + n).items():
                found.setdefault(name, []).append(scores)
        print(f"\n{self.data.name}: mean Dice on the first block, before and after the second was learnt")
        for name, scores in found.items():
            before, after = np.mean(scores, axis=0)
            print(f"  {name:9} {before:.3f} {after:.3f}")
            print_bar(f"change of {name}, mean of {len(scores)} seed(s)", float(after - before), at_least=-0.01)
        return {"before and after": found}

    def _seed(self, seed: int) -> dict[str, list[float]]:
        bench, strokes, names = self.bench, Strokes(self.data.raw.shape), ("instant", *self.options.networks)
        truth = spread_sections(middle(self.blocks[0], self.options.side), _SCORED_SECTIONS)
        scores: dict[str, list[float]] = {name: [] for name in names}
        parents = dict.fromkeys(names)
        for number, block in enumerate(self.blocks):
            self._paint(strokes, block, seed, number)
            for name in names:
                changes = [f"seed={seed}", *(training_length(self.options) if name != "instant" else [])]
                parent = None if name == "instant" else parents[name]
                model, _ = bench.train(name, strokes, f"forget-{name}-{seed}-{number}", changes, parent)
                parents[name] = model
                scores[name].append(float(np.mean(bench.dice(bench.predictor(model), truth))))
                print(f"  {self.data.name} seed {seed} block {number} {name:9} {scores[name][-1]:.3f}", flush=True)
        return scores

    def _paint(self, strokes: Strokes, block: Box, seed: int, number: int) -> None:
        """Rounds of strokes on a block, on the errors of an instant model that learns from all that is there."""
        bench, looked = self.bench, None
        annotator, rng = bench.annotator(seed, block), np.random.default_rng([seed, number])
        for done in range(_ROUNDS):
            annotator.paint(strokes.array, looked)
            strokes.revision += 1
            strokes.chunks()
            if done + 1 < _ROUNDS:
                model, _ = bench.train("instant", strokes, f"look-{seed}-{number}-{done}", [f"seed={seed}"])
                looked = bench.look(bench.predictor(model), rng, block)
