"""Training batches: patches centred on annotations, drawn from the seed and the step alone."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple, Protocol

import numpy as np
import torch

from napari_pytc.errors import ModelError
from napari_pytc.geometry import Box, Shape
from napari_pytc.learning.augmentation import Augmenter
from napari_pytc.learning.config import TrainPlan
from napari_pytc.learning.data import TrainingData, TrainingImage, pad_to
from napari_pytc.learning.places import AnnotatedChunk
from napari_pytc.learning.pseudo_labels import PseudoLabels

_TRIES = 1000


class Batch(NamedTuple):
    """Network input and its labels.

    Parameters
    ----------
    image : Tensor
        (b, 1, z, y, x) normalised intensities, or (n, f) features of single voxels.
    labels : Tensor
        (b, z, y, x) or (n,), int64: 0 = ignore, k = k-th class, n_classes + k = a guess of the k-th class,
        2 n_classes + k = any but the k-th class; or (b, c, z, y, x) uint8, what each of c channels should answer
        (`instance_targets`).
    features : Tensor, optional
        (b, f, z, y, x): what the network's fixed filters find in the image, where that was computed ahead.
    """

    image: torch.Tensor
    labels: torch.Tensor
    features: torch.Tensor | None = None

    def to(self, device: torch.device) -> Batch:
        """The same on another device."""
        features = None if self.features is None else self.features.to(device)
        return Batch(self.image.to(device), self.labels.to(device), features)


class BatchSource(Protocol):
    """Gives the batch of any step; the same one every time it is asked."""

    def batch(self, step: int) -> Batch:
        """The batch of a step."""


class Places(Protocol):
    """Voxels that may be drawn, by kind."""

    @property
    def chunks(self) -> list[AnnotatedChunk]:
        """Where they are, and how many of each kind."""

    def places(self, box: Box) -> np.ndarray:
        """The kind of each voxel of a box, from 1; 0 = not to be drawn."""


class AnnotationSampler:
    """Draws annotated voxels: classes evenly by `class_balance`, recent chunks more often by `recent`.

    Chunks that changed within the same minute count as equally recent; each older minute counts half as much, down to
    a floor that keeps old annotations replayed.
    """

    _floor = 0.05

    def __init__(self, data: Places, class_balance: float, recent: float) -> None:
        self._data = data
        self._chunks = data.chunks
        counts = np.array([chunk.counts for chunk in self._chunks], float)
        total = counts.sum(axis=0)
        share = np.where(total > 0, np.maximum(total, 1) ** (1 - class_balance), 0)
        self._class_share = share / share.sum()
        weight = counts * self._recency(self._chunks, recent)[:, None]
        self._chunk_share = weight / np.maximum(weight.sum(axis=0), 1e-12)
        self._labels = lru_cache(maxsize=256)(self._read)

    def _recency(self, chunks: list[AnnotatedChunk], recent: float) -> np.ndarray:
        minutes = np.array([chunk.changed // 60 for chunk in chunks])
        age = len(np.unique(minutes)) - 1 - np.unique(minutes, return_inverse=True)[1]
        return (1 - recent) + recent * np.maximum(0.5**age, self._floor)

    def _read(self, index: int) -> np.ndarray:
        return self._data.places(self._chunks[index].box)

    def draw(self, rng: np.random.Generator) -> tuple[int, int, int]:
        """An annotated voxel (z, y, x).

        Raises
        ------
        ModelError
            When all that was annotated as the training began has been erased meanwhile.
        """
        for _ in range(_TRIES):
            k = rng.choice(len(self._class_share), p=self._class_share)
            index = int(rng.choice(len(self._chunks), p=self._chunk_share[:, k]))
            labels = self._labels(index)
            places = np.flatnonzero(labels == k + 1)
            if len(places):  # none where the user erased them while this training ran
                where = np.unravel_index(places[rng.integers(len(places))], labels.shape)
                z, y, x = (int(w) + s for w, s in zip(where, self._chunks[index].box.start, strict=True))
                return (z, y, x)
        raise ModelError("The strokes that the training began with were erased.", "Train again on what is there now.")


class Corrections(Places, Protocol):
    """Labels that edits of segments give to voxels."""

    def labels(self, box: Box) -> np.ndarray:
        """Labels of a box as in `Batch`, int32; 0 where nothing is said."""


class PatchBatches:
    """Augmented patches around annotated voxels, and by their share around corrections."""

    def __init__(
        self,
        data: TrainingData,
        image: TrainingImage,
        plan: TrainPlan,
        batch_size: int,
        shape: Shape,
        guesses: PseudoLabels | None = None,
        corrections: Corrections | None = None,
    ) -> None:
        self._guesses = guesses
        self._corrections = corrections
        if corrections is not None:
            self._corrected = AnnotationSampler(corrections, plan.class_balance, plan.recent)
        self._share = plan.corrections_share
        self._data = data
        self._image = image
        self._sampler = AnnotationSampler(data, plan.class_balance, plan.recent)
        self._augment = Augmenter(plan.augmentation, data.space.anisotropy)
        self._seed = plan.seed
        self._batch_size = batch_size
        self._shape = shape
        self._whole = Box.of_shape(data.source.shape)

    def batch(self, step: int) -> Batch:
        """The patches of a step."""
        drawn = [self._patch(np.random.default_rng([self._seed, step, n])) for n in range(self._batch_size)]
        image = np.stack([image for image, _ in drawn])
        labels = np.stack([labels for _, labels in drawn])
        return Batch(torch.from_numpy(image), torch.from_numpy(labels.astype(np.int64)))

    def _patch(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        corrects = self._corrections is not None and rng.random() < self._share
        centre = (self._corrected if corrects else self._sampler).draw(rng)
        jitter = [int(rng.integers(-(n // 4), n // 4 + 1)) for n in self._shape]
        start = [c + j - n // 2 for c, j, n in zip(centre, jitter, self._shape, strict=True)]
        box = Box.at(start, self._shape)
        inside = box.intersect(self._whole)
        labels = pad_to(self._labels(inside), inside, box, "zero")
        return self._augment(self._image.read(box)[None], labels, rng)

    def _labels(self, box: Box) -> np.ndarray:
        """Strokes, then corrections where nobody painted, then guesses where nothing is said."""
        labels = self._data.labels(box)
        if self._corrections is not None:
            labels = np.where(labels > 0, labels, self._corrections.labels(box))
        if self._guesses is not None:
            labels = np.where(labels > 0, labels, self._guesses.read(box))
        return labels


class VoxelBatches:
    """Feature vectors of annotated voxels, classes drawn evenly by `class_balance`."""

    def __init__(self, features: torch.Tensor, labels: torch.Tensor, n_classes: int, plan: TrainPlan, batch_size: int):
        self._features = features
        self._labels = labels
        counts = np.bincount(labels.numpy(), minlength=n_classes + 1)[1:].astype(float)
        share = np.where(counts > 0, np.maximum(counts, 1) ** -plan.class_balance, 0)
        weights = np.concatenate([[0.0], share])[labels.numpy()]
        self._cumulative = np.cumsum(weights / weights.sum())
        self._seed = plan.seed
        self._n = 1024 * batch_size

    def batch(self, step: int) -> Batch:
        """The voxels of a step."""
        rng = np.random.default_rng([self._seed, step])
        drawn = np.searchsorted(self._cumulative, rng.random(self._n), side="right")
        index = torch.from_numpy(np.minimum(drawn, len(self._cumulative) - 1))
        return Batch(self._features[index], self._labels[index])
