"""The instant model's filter bank against a random forest on ilastik's features: same strokes, quality and speed.

Run ``python benchmarks/filter_bank.py [--seeds 3] [--rounds 1 2 4 8] [--side 384]``; needs scikit-learn. Both learn
from the same strokes, which answer the forest's errors. Rates are medians of interleaved predictions of one block,
features included; the whole of training is timed, features of the annotated voxels included.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from statistics import median

import numpy as np
import torch
from forest import ForestModel
from simulated_annotator import Annotator, Dataset, datasets
from torch.nn import functional

from napari_pytc.geometry import Box, TileGrid
from napari_pytc.learning.networks.filter_bank import FilterBank
from napari_pytc.metrics.overlap import ClassCounts
from napari_pytc.plans.networks import FilterBankNetwork

STEPS, BATCH, LEARNING_RATE, WEIGHT_DECAY, BALANCE = 60, 512, 3e-3, 1.0, 0.5
LOOKED_AT = 3
"""Sections of its training box that the annotator looks at between rounds."""


class Instant:
    """A filter bank with the smallest training loop that does it justice."""

    def __init__(self, data: Dataset, seed: int) -> None:
        torch.manual_seed(seed)
        network = FilterBankNetwork().build(len(data.classes), data.space)
        assert isinstance(network, FilterBank)
        self.network = network
        self.mean, self.deviation = float(data.raw.mean()), float(data.raw.std())

    def fit(self, raw: np.ndarray, strokes: np.ndarray) -> None:
        """Learn from the strokes, in one thread: on a busy machine, threads that meet after every tiny step wait."""
        n_threads = torch.get_num_threads()
        torch.set_num_threads(1)
        self._learn(*self._annotated(raw, strokes))
        torch.set_num_threads(n_threads)

    def _learn(self, features: torch.Tensor, labels: torch.Tensor) -> None:
        network = self.network
        network.fit_normalisation(features)
        chance = torch.bincount(labels, minlength=network.n_classes).clamp(min=1).float().pow(-BALANCE)[labels]
        optimiser = torch.optim.AdamW(network.head.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, LEARNING_RATE, total_steps=STEPS, pct_start=0.1)
        for _ in range(STEPS):
            drawn = torch.multinomial(chance, BATCH, replacement=True)
            loss = functional.cross_entropy(network.classify(features[drawn]), labels[drawn])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()

    @torch.inference_mode()
    def predict(self, raw: np.ndarray) -> np.ndarray:
        probabilities: np.ndarray = self.network(self._tensor(raw))[0].softmax(dim=0).numpy()
        return probabilities

    def _tensor(self, raw: np.ndarray) -> torch.Tensor:
        return torch.from_numpy((raw.astype(np.float32) - self.mean) / self.deviation)[None, None]

    def _annotated(self, raw: np.ndarray, strokes: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        depth = 16 if self.network.halo[0] else 1
        features, labels = [], []
        for tile in TileGrid(Box.of_shape(raw.shape), (depth, 128, 128)):
            here = strokes[tile.write.slices]
            if not here.any():
                continue
            places = np.argwhere(here)
            tight = Box(tuple(places.min(axis=0)), tuple(places.max(axis=0) + 1)).shift(tile.write.start)
            read = tight.grow(self.network.halo).aligned(self.network.alignment).intersect(Box.of_shape(raw.shape))
            found = self.network.features(self._tensor(raw[read.slices]), inner=tight.relative_to(read.start))[0]
            here = torch.from_numpy(strokes[tight.slices].astype(np.int64))
            features.append(found[:, here > 0].t())
            labels.append(here[here > 0] - 1)
        return torch.cat(features), torch.cat(labels)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rounds", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--side", type=int, default=384, help="Length in y and x of the parts worked on.")
    parser.add_argument("--repeats", type=int, default=5, help="Predictions timed of each.")
    parser.add_argument("--only", help="Name of one dataset.")
    options = parser.parse_args()
    _warm_up()
    for data in datasets():
        if options.only not in (None, data.name):
            continue
        quality(data, options.seeds, options.rounds, options.side)
        speed(data, options.repeats)


def _warm_up() -> None:
    """Build an optimiser: the first of a process imports torch's compiler, which takes seconds."""
    torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))])


def quality(data: Dataset, n_seeds: int, rounds: list[int], side: int) -> None:
    """Print Dice and seconds of training after some rounds, mean of the seeds."""
    train, test = (_part(box, side, depth) for box, depth in ((data.train, 48), (data.test, 32)))
    volumetric = data.space.anisotropy < 3
    rows: dict[tuple[int, str], list[list[float]]] = {}
    for seed in range(n_seeds):
        annotator = Annotator(data.truth, train, seed)
        rng = np.random.default_rng(seed)
        strokes, looked = np.zeros(data.raw.shape, np.uint8), None
        for done in range(1, max(rounds) + 1):
            annotator.paint(strokes, looked)
            forest = ForestModel(volumetric, seed=seed)
            seconds = _seconds(forest.fit, data.raw, strokes)
            sections = rng.choice(np.arange(train.start[0], train.stop[0]), LOOKED_AT, replace=False)
            looked = np.zeros(data.raw.shape, np.uint8)
            for z in sections:
                box = Box((int(z), *train.start[1:]), (int(z) + 1, *train.stop[1:]))
                looked[box.slices] = _classes(forest, data, box)
            if done in rounds:
                instant = Instant(data, seed)
                taken = _seconds(instant.fit, data.raw, strokes)
                for name, model, time_s in (("forest", forest, seconds), ("filter bank", instant, taken)):
                    rows.setdefault((done, name), []).append([*_dice(model, data, test), time_s])
    print(f"\n{data.name}: Dice on unseen sections, {n_seeds} seeds")
    print(
        f"{'rounds':>6} {'model':12}" + "".join(f"{name:>15}" for name in data.classes) + f"{'mean':>8}{'train s':>9}"
    )
    for (done, name), found in rows.items():
        *scores, time_s = np.mean(found, axis=0)
        print(f"{done:6d} {name:12}" + "".join(f"{s:15.3f}" for s in scores) + f"{np.mean(scores):8.3f}{time_s:9.2f}")


def speed(data: Dataset, repeats: int) -> None:
    """Print the rates of prediction, interleaved."""
    volumetric = data.space.anisotropy < 3
    box = _part(data.test, 192 if volumetric else 512, 32 if volumetric else 2)
    annotator, strokes = Annotator(data.truth, data.train, 0), np.zeros(data.raw.shape, np.uint8)
    for _ in range(4):
        annotator.paint(strokes, None)
    models = {"forest": ForestModel(volumetric), "filter bank": Instant(data, 0)}
    taken: dict[str, list[float]] = {name: [] for name in models}
    for model in models.values():
        model.fit(data.raw, strokes)
        model.predict(data.raw[box.slices])
    for _ in range(repeats):
        for name, model in models.items():
            taken[name].append(_seconds(model.predict, data.raw[box.slices]))
    rates = {name: box.size / median(seconds) / 1e6 for name, seconds in taken.items()}
    best = {name: box.size / min(seconds) / 1e6 for name, seconds in taken.items()}
    print(f"{data.name}: Mvoxel/s, median (best) of {repeats}, block {box.shape}")
    for name in models:
        print(f"       {name:12}{rates[name]:8.3f} ({best[name]:.3f})")
    print(f"       ratio of medians {rates['filter bank'] / rates['forest']:.1f}")


def _part(box: Box, side: int, depth: int) -> Box:
    """The middle of a box."""
    shape = [min(n, m) for n, m in zip(box.shape, (depth, side, side), strict=True)]
    return Box.at([s + (n - m) // 2 for s, n, m in zip(box.start, box.shape, shape, strict=True)], shape)


def _classes(model: ForestModel | Instant, data: Dataset, box: Box) -> np.ndarray:
    """Predicted classes of a box, with the context that the largest features look at."""
    around = (40 if data.space.anisotropy < 3 else 0, 40, 40)
    read = box.grow(around).aligned((8, 8, 8)).intersect(Box.of_shape(data.raw.shape))
    if data.space.anisotropy >= 3:
        read = Box((box.start[0], *read.start[1:]), (box.stop[0], *read.stop[1:]))
    probabilities = model.predict(data.raw[read.slices])[(slice(None), *box.relative_to(read.start).slices)]
    return (probabilities.argmax(axis=0) + 1).astype(np.uint8)


def _dice(model: ForestModel | Instant, data: Dataset, box: Box) -> list[float]:
    counts = ClassCounts()
    counts.add(_classes(model, data, box), data.truth[box.slices])
    return [counts.dice()[k] for k in range(1, len(data.classes) + 1)]


def _seconds(work: Callable[..., object], *arrays: np.ndarray) -> float:
    start = time.perf_counter()
    work(*arrays)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
