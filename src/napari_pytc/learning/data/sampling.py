"""Training batches: patches centred on annotations, drawn from the seed and the step alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, Protocol

import numpy as np
import torch

from napari_pytc.caching import ByteBoundedCache
from napari_pytc.errors import ModelError
from napari_pytc.geometry import Box, Shape
from napari_pytc.geometry.box import Voxel
from napari_pytc.learning.data.augmentations.augmenter import Augmenter
from napari_pytc.learning.data.pseudo_labels import PseudoLabels
from napari_pytc.learning.data.regions import AnnotatedChunk
from napari_pytc.learning.data.training_image import TrainingImage, pad_to
from napari_pytc.learning.data.volume_data import VolumeData
from napari_pytc.plans.plan import TrainPlan

_TRIES = 1000
_LABEL_CACHE_BYTES = 128 * 2**20


class Batch(NamedTuple):
    """Network input and its labels.

    Parameters
    ----------
    image : Tensor
        (b, c, z, y, x) normalised intensities, or (n, f) features of single voxels.
    labels : Tensor
        (b, z, y, x) or (n,), int64: 0 = ignore, k = k-th class, n_classes + k = a pseudo-label of the k-th class,
        2 n_classes + k = any but the k-th class; or (b, c, z, y, x) uint8, the target of each of c channels
        (`instance_targets`).
    features : Tensor, optional
        (b, f, z, y, x): the network's fixed features of the image, where they were computed ahead.
    other_labels : Tensor, optional
        As `labels`, of the patches that those of the image are blended with.
    share : float
        Share of the patches that `labels` are of in a blend.
    """

    image: torch.Tensor
    labels: torch.Tensor
    features: torch.Tensor | None = None
    other_labels: torch.Tensor | None = None
    share: float = 1.0

    def to(self, device: torch.device) -> Batch:
        """The same on another device."""
        features, other = (None if one is None else one.to(device) for one in (self.features, self.other_labels))
        return Batch(self.image.to(device), self.labels.to(device), features, other, self.share)


class BatchSource(Protocol):
    """Source of the batch of any step; the same batch for the same step."""

    def batch(self, step: int) -> Batch:
        """The batch of a step."""


class RegionSource(Protocol):
    """Voxels that may be drawn, by kind."""

    @property
    def chunks(self) -> list[AnnotatedChunk]:
        """The chunks that hold such voxels, with the number of each kind."""

    def kinds(self, box: Box) -> np.ndarray:
        """The kind of each voxel of a box, from 1; 0 = not to be drawn."""


class DrawnVoxel(NamedTuple):
    """A voxel (z, y, x) that was drawn, and the number of its volume."""

    volume: int
    voxel: Voxel


class AnnotationSampler:
    """Draws annotated voxels of one volume or several.

    Classes are drawn evenly by `class_balance`, the volumes that have a class evenly by `volume_balance`, and recent
    chunks more often by `recent`. Chunks that changed within the same minute count as equally recent; each older minute
    counts half as much, down to a floor that keeps old annotations replayed.
    """

    _floor = 0.05

    def __init__(
        self, volumes: Sequence[RegionSource], class_balance: float, recent: float, volume_balance: float = 0.0
    ) -> None:
        self._volumes = tuple(volumes)
        self._chunks = [(number, chunk) for number, volume in enumerate(volumes) for chunk in volume.chunks]
        counts = np.array([chunk.counts for _, chunk in self._chunks], float)
        total = counts.sum(axis=0)
        share = np.where(total > 0, np.maximum(total, 1) ** (1 - class_balance), 0)
        self._class_share = share / share.sum()
        weight = counts * self._recency([chunk for _, chunk in self._chunks], recent)[:, None]
        if len(self._volumes) > 1:
            weight *= _volume_weights(np.array([number for number, _ in self._chunks]), counts, volume_balance)
        self._chunk_share = weight / np.maximum(weight.sum(axis=0), 1e-12)
        self._labels: ByteBoundedCache[tuple[int, Box], np.ndarray] = ByteBoundedCache(_LABEL_CACHE_BYTES)

    def _recency(self, chunks: list[AnnotatedChunk], recent: float) -> np.ndarray:
        minutes = np.array([chunk.changed // 60 for chunk in chunks])
        age = len(np.unique(minutes)) - 1 - np.unique(minutes, return_inverse=True)[1]
        return (1 - recent) + recent * np.maximum(0.5**age, self._floor)

    def draw(self, rng: np.random.Generator) -> DrawnVoxel:
        """An annotated voxel.

        Raises
        ------
        ModelError
            When all that was annotated as the training began has been erased meanwhile.
        """
        for _ in range(_TRIES):
            k = rng.choice(len(self._class_share), p=self._class_share)
            number, chunk = self._chunks[int(rng.choice(len(self._chunks), p=self._chunk_share[:, k]))]
            box = chunk.box
            labels = self._labels.get((number, box), partial(self._volumes[number].kinds, box))
            voxels = np.flatnonzero(labels == k + 1)
            if len(voxels):  # none where the user erased them while this training ran
                where = np.unravel_index(voxels[rng.integers(len(voxels))], labels.shape)
                z, y, x = (int(w) + s for w, s in zip(where, box.start, strict=True))
                return DrawnVoxel(number, (z, y, x))
        raise ModelError("The strokes that the training began with were erased.", "Train again on what is there now.")


def _volume_weights(volumes: np.ndarray, counts: np.ndarray, balance: float) -> np.ndarray:
    """Weights of voxels that draw the volumes evenly by `balance`, shaped as `counts`.

    Parameters
    ----------
    volumes : ndarray
        (n,), the volume of each row.
    counts : ndarray
        (n, k), voxels of each kind.
    """
    totals = np.zeros((int(volumes.max()) + 1, counts.shape[1]))
    np.add.at(totals, volumes, counts)
    found: np.ndarray = np.maximum(totals, 1)[volumes] ** -balance
    return found


class CorrectionSource(RegionSource, Protocol):
    """Labels that edits of segments give to voxels."""

    def labels(self, box: Box) -> np.ndarray:
        """Labels of a box as in `Batch`, int32; 0 = not annotated."""


@dataclass(frozen=True)
class TrainingVolume:
    """A volume as batches are made of it.

    Parameters
    ----------
    data : VolumeData
        Its annotations.
    image : TrainingImage
        Its normalised image, blank in held-out boxes.
    pseudo_labels : PseudoLabels, optional
        Labels where nobody painted.
    corrections : CorrectionSource, optional
        Labels from edits of segments.
    """

    data: VolumeData
    image: TrainingImage
    pseudo_labels: PseudoLabels | None = None
    corrections: CorrectionSource | None = None

    def labels(self, box: Box) -> np.ndarray:
        """Strokes, then corrections where nobody painted, then pseudo-labels where neither is."""
        labels = self.data.labels(box)
        if self.corrections is not None:
            labels = np.where(labels > 0, labels, self.corrections.labels(box))
        if self.pseudo_labels is not None:
            labels = np.where(labels > 0, labels, self.pseudo_labels.read(box))
        return labels


class PatchBatches:
    """Augmented patches around annotated voxels of all volumes, and by their share around corrections."""

    def __init__(self, volumes: Sequence[TrainingVolume], plan: TrainPlan, batch_size: int, shape: Shape) -> None:
        self._volumes = tuple(volumes)
        balances = (plan.class_balance, plan.recent, plan.volume_balance)
        self._sampler = AnnotationSampler([volume.data for volume in volumes], *balances)
        self._corrected = [volume for volume in volumes if volume.corrections is not None]
        corrections = [volume.corrections for volume in self._corrected if volume.corrections is not None]
        self._correction_sampler = AnnotationSampler(corrections, *balances) if corrections else None
        self._share = plan.corrections_share
        first = volumes[0].data
        self._augment = Augmenter(plan.augmentation, first.space.anisotropy, len(first.classes))
        self._seed = plan.seed
        self._batch_size = batch_size
        self._shape = shape
        self._learnt = tuple(n - 2 * m for n, m in zip(shape, plan.network.training_margin, strict=True))

    def batch(self, step: int) -> Batch:
        """The patches of a step."""
        drawn = [self._patch(np.random.default_rng([self._seed, step, n])) for n in range(self._batch_size)]
        image = np.stack([image for image, _ in drawn])
        labels = np.stack([labels for _, labels in drawn])
        return Batch(torch.from_numpy(image), torch.from_numpy(labels.astype(np.int64)))

    def _patch(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        if self._correction_sampler is not None and rng.random() < self._share:
            number, centre = self._correction_sampler.draw(rng)
            volume = self._corrected[number]
        else:
            number, centre = self._sampler.draw(rng)
            volume = self._volumes[number]
        jitter = [int(rng.integers(-(n // 4), n // 4 + 1)) for n in self._learnt]
        start = [c + j - n // 2 for c, j, n in zip(centre, jitter, self._shape, strict=True)]
        box = Box.at(start, self._shape)
        inside = box.intersect(volume.image.whole)
        labels = pad_to(volume.labels(inside), inside, box, "zero")
        return volume.image.augment(box, lambda image: self._augment(image, labels, rng))


class VoxelBatches:
    """Feature vectors of annotated voxels, drawn evenly by `class_balance` and `volume_balance`.

    Parameters
    ----------
    volumes : Tensor, optional
        (n,) int64, the volume of each voxel, where there are several.
    """

    def __init__(
        self,
        features: torch.Tensor,
        labels: torch.Tensor,
        n_classes: int,
        plan: TrainPlan,
        batch_size: int,
        volumes: torch.Tensor | None = None,
    ) -> None:
        self._features = features
        self._labels = labels
        counts = np.bincount(labels.numpy(), minlength=n_classes + 1)[1:].astype(float)
        share = np.where(counts > 0, np.maximum(counts, 1) ** -plan.class_balance, 0)
        weights = np.concatenate([[0.0], share])[labels.numpy()]
        if volumes is not None:
            weights = weights * _evened(labels.numpy() - 1, volumes.numpy(), n_classes, plan.volume_balance)
        self._cumulative = np.cumsum(weights / weights.sum())
        self._seed = plan.seed
        self._n = 1024 * batch_size

    def batch(self, step: int) -> Batch:
        """The voxels of a step."""
        rng = np.random.default_rng([self._seed, step])
        drawn = np.searchsorted(self._cumulative, rng.random(self._n), side="right")
        index = torch.from_numpy(np.minimum(drawn, len(self._cumulative) - 1))
        return Batch(self._features[index], self._labels[index])


def _evened(kinds: np.ndarray, volumes: np.ndarray, n_kinds: int, balance: float) -> np.ndarray:
    """Weights (n,) of voxels that draw the volumes evenly by `balance` and leave the sum of each kind as it is."""
    n_volumes = int(volumes.max()) + 1
    totals = np.bincount(volumes * n_kinds + kinds, minlength=n_volumes * n_kinds).reshape(n_volumes, n_kinds)
    weights = np.maximum(totals, 1.0) ** -balance
    weights *= totals.sum(axis=0) / np.maximum((totals * weights).sum(axis=0), 1e-12)
    found: np.ndarray = weights[volumes, kinds]
    return found
