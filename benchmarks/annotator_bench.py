"""What all parts of the annotator's benchmark work with: strokes in memory, trainings without a window, scores."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from simulated_annotator import Annotator, Dataset

from napari_pytc.geometry import Box, Shape, TileGrid
from napari_pytc.jobs.context import JobMessage
from napari_pytc.labels.store import StoredChunk
from napari_pytc.learning.data.volume_data import VolumeData
from napari_pytc.learning.prediction.inference import Inferer
from napari_pytc.learning.prediction.model import TrainedModel
from napari_pytc.learning.prediction.tiled import TiledPredictor
from napari_pytc.learning.training.train import TrainingFolders, train
from napari_pytc.metrics.overlap import ClassCounts
from napari_pytc.plans.recipes import load_recipe
from napari_pytc.volumes.image import SingleImage
from napari_pytc.volumes.memory import MemoryVolume

LOOKED_AT = 3
"""Sections of its training box that the annotator looks at between rounds."""

Predict = Callable[[Box], np.ndarray]
"""Classes from 1, uint8, of a box of the volume."""


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

    def chunks(self) -> list[StoredChunk]:
        found = []
        for tile in TileGrid(Box.of_shape(self.shape), self.chunk):
            n = int(np.count_nonzero(self.array[tile.write.slices]))
            if n:
                if self._changed.get(tile.write, (0, 0.0))[0] != n:
                    self._changed[tile.write] = (n, 60.0 * self.revision)
                found.append(StoredChunk(tile.write, self._changed[tile.write][1]))
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


class Bench:
    """Trains, predicts and scores on one dataset.

    Parameters
    ----------
    data : Dataset
        The volume and its truth.
    side : int
        Length in y and x of what is scored, in the middle of the test box.
    """

    def __init__(self, data: Dataset, side: int) -> None:
        self.data = data
        self.source = SingleImage(MemoryVolume(data.raw, data.space))
        self.scored = middle(data.test, side)
        self.folder = Path(tempfile.mkdtemp(prefix="annotator-"))

    def annotator(self, seed: int, box: Box | None = None) -> Annotator:
        """Somebody who paints in the training box, or in another."""
        return Annotator(self.data.truth, box or self.data.train, seed)

    def train(
        self, recipe: str, strokes: Strokes, name: str, changes: Sequence[str], parent: Path | None = None
    ) -> tuple[Path, float]:
        """Train a recipe with changed settings; the model's folder and the seconds it took."""
        folders = TrainingFolders(self.folder / name, self.folder / f"{name}-run", parent, resume=False)
        data = VolumeData(self.source, strokes, self.data.classes, (self.data.test,), self.data.space)
        started = time.perf_counter()
        train(load_recipe(recipe, changes), data, folders, Quiet())
        return folders.model, time.perf_counter() - started

    def predictor(self, folder: Path) -> Predict:
        """What a model says of a box."""
        model = TrainedModel.load(folder)
        device, precision = model.place("auto", "float32")
        inferer = Inferer(model.network, model.limits, device, precision)
        tiled = TiledPredictor(inferer, model.normalisation, (64, 256, 256))

        def predict(box: Box) -> np.ndarray:
            sink = Probabilities(len(self.data.classes), box)
            tiled.predict(self.source, sink, box, Quiet())
            return (sink.array.argmax(0) + 1).astype(np.uint8)

        return predict

    def look(self, predict: Predict, rng: np.random.Generator, box: Box | None = None) -> np.ndarray:
        """Predicted classes of a few whole sections that may be painted, 0 elsewhere."""
        looked = np.zeros(self.data.raw.shape, np.uint8)
        for section in self.sections(rng, box or self.data.train):
            looked[section.slices] = predict(section)
        return looked

    def sections(self, rng: np.random.Generator, box: Box) -> list[Box]:
        """The sections that the annotator looks at this time."""
        chosen = rng.choice(np.arange(box.start[0], box.stop[0]), LOOKED_AT, replace=False)
        return [Box((int(z), *box.start[1:]), (int(z) + 1, *box.stop[1:])) for z in chosen]

    def dice(self, predict: Predict, boxes: Sequence[Box] = ()) -> list[float]:
        """Dice of each class on what is scored, or on other boxes."""
        counts = ClassCounts()
        for box in boxes or (self.scored,):
            counts.add(predict(box), self.data.truth[box.slices])
        found = counts.dice(range(1, len(self.data.classes) + 1))
        return [found[k] for k in sorted(found)]


def middle(box: Box, side: int, depth: int | None = None) -> Box:
    """The middle of a box in y and x, and in z if a depth is given."""
    shape = [min(n, m) for n, m in zip(box.shape, (depth or box.shape[0], side, side), strict=True)]
    return Box.at([s + (n - m) // 2 for s, n, m in zip(box.start, box.shape, shape, strict=True)], shape)


def spread_sections(box: Box, n: int) -> list[Box]:
    """So many sections of a box, evenly spread."""
    chosen = np.unique(np.linspace(box.start[0], box.stop[0] - 1, n).round().astype(int))
    return [Box((int(z), *box.start[1:]), (int(z) + 1, *box.stop[1:])) for z in chosen]


def warm_up(data: Dataset) -> None:
    """Load what a first training loads, as the worker does when a panel opens."""
    torch.set_num_threads(max(1, torch.get_num_threads()))
    bench, strokes = Bench(data, 64), Strokes(data.raw.shape)
    bench.annotator(0).paint(strokes.array, None)
    bench.train("instant", strokes, "warm-up", [])
