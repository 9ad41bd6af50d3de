"""Features of annotated voxels alone, remembered between trainings of the same process."""

from __future__ import annotations

import hashlib
from collections import OrderedDict

import numpy as np
import torch
from torch import nn

from napari_pytc.geometry import Box
from napari_pytc.jobs.context import JobContext
from napari_pytc.learning.config import TrainPlan
from napari_pytc.learning.data import TrainingData, TrainingImage
from napari_pytc.learning.networks import NetworkLimits

_MOST_PER_CLASS = 40_000
"""Voxels of a class that a perceptron learns from; a dense annotation holds millions that say the same."""
_MOST_BYTES = 256 * 2**20
_MARGIN = np.array([4, 8, 8])


class FeatureCache:
    """Feature vectors by content of the annotated place, least recently used first to go."""

    def __init__(self, most_bytes: int = _MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._entries: OrderedDict[str, torch.Tensor] = OrderedDict()
        self._bytes = 0

    def get(self, key: str) -> torch.Tensor | None:
        """The features of a place, or None."""
        if key in self._entries:
            self._entries.move_to_end(key)
        return self._entries.get(key)

    def put(self, key: str, features: torch.Tensor) -> None:
        """Remember the features of a place."""
        self._entries[key] = features
        self._bytes += features.nbytes
        while self._bytes > self._most_bytes and len(self._entries) > 1:
            self._bytes -= self._entries.popitem(last=False)[1].nbytes


_CACHE = FeatureCache()


def annotated_features(
    network: nn.Module,
    plan: TrainPlan,
    data: TrainingData,
    image: TrainingImage,
    limits: NetworkLimits,
    ctx: JobContext,
    cache: FeatureCache = _CACHE,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Features and labels of the annotated voxels, at most 40,000 of a class.

    Features are computed on small crops around the strokes; places that did not change since the last training of this
    process are not computed again.

    Returns
    -------
    features : Tensor
        (n, f) float32.
    labels : Tensor
        (n,) int64, k = k-th class.
    """
    places = _chosen_voxels(data, plan.seed)
    features, labels = [], []
    for number, (corner, where, classes) in enumerate(places):
        ctx.check()
        ctx.report(number, len(places), "features of the annotated voxels")
        for group in groups_near(where):
            features.append(
                cached_features_at(network, plan, data, image, limits, where[group] + np.array(corner), cache)
            )
            labels.append(torch.from_numpy(classes[group].astype(np.int64)))
    return torch.cat(features), torch.cat(labels)


def _chosen_voxels(data: TrainingData, seed: int) -> list[tuple[tuple[int, int, int], np.ndarray, np.ndarray]]:
    """Per chunk: its corner, the chosen voxels relative to it, and their classes."""
    totals = np.maximum(np.sum([chunk.counts for chunk in data.chunks], axis=0), 1)
    share = np.minimum(1.0, _MOST_PER_CLASS / totals)
    chosen = []
    for chunk in data.chunks:
        labels = data.labels(chunk.box)
        where = np.argwhere(labels)
        classes = labels[tuple(where.T)]
        if (share < 1).any():
            rng = np.random.default_rng([seed, *chunk.box.start])
            kept = rng.random(len(where)) < share[classes - 1]
            where, classes = where[kept], classes[kept]
        if len(where):
            chosen.append((chunk.box.start, where.astype(np.int32), classes))
    return chosen


def groups_near(where: np.ndarray) -> list[np.ndarray]:
    """Indices of voxels whose features are computed in one box.

    Starting with small cells, two groups become one while a common box is smaller than two with their margins.
    """
    cells = np.unique(where // 16, axis=0, return_inverse=True)[1].ravel()
    groups = [np.flatnonzero(cells == cell) for cell in range(int(cells.max()) + 1)]
    low = np.array([where[g].min(axis=0) for g in groups])
    high = np.array([where[g].max(axis=0) + 1 for g in groups])
    for i in range(len(groups) - 1, 0, -1):
        alone = _cost(low[:i], high[:i]) + _cost(low[i], high[i])
        gains = alone - _cost(np.minimum(low[:i], low[i]), np.maximum(high[:i], high[i]))
        j = int(np.argmax(gains))
        if gains[j] > 0:
            # Groups beyond i stay alone, so i can be emptied without moving the others.
            low[j], high[j] = np.minimum(low[j], low[i]), np.maximum(high[j], high[i])
            groups[j], groups[i] = np.concatenate([groups[j], groups[i]]), groups[i][:0]
    return [group for group in groups if len(group)]


def _cost(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Voxels that are computed for boxes: those asked for, and what the fine scales look at around them."""
    return np.prod(high - low + _MARGIN, axis=-1).astype(float)


def cached_features_at(
    network: nn.Module,
    plan: TrainPlan,
    data: TrainingData,
    image: TrainingImage,
    limits: NetworkLimits,
    where: np.ndarray,
    cache: FeatureCache = _CACHE,
) -> torch.Tensor:
    """As `features_at`, remembered between trainings of the same process."""
    context = f"{data.source.spec} {data.held_out} {image.normalisation} {plan.network} {data.space}"
    key = hashlib.sha256(context.encode() + where.astype(np.int64).tobytes()).hexdigest()
    found = cache.get(key)
    if found is None:
        found = features_at(network, image, limits, where)
        cache.put(key, found)
    return found


@torch.no_grad()
def features_at(network: nn.Module, image: TrainingImage, limits: NetworkLimits, where: np.ndarray) -> torch.Tensor:
    """Features (n, f) of voxels (n, 3) of an image, all computed in the one box around them."""
    low, high = where.min(axis=0), where.max(axis=0) + 1
    inner = Box(tuple(low), tuple(high))
    read = inner.grow(limits.halo).aligned(limits.alignment).intersect(image.whole)
    crop = torch.from_numpy(image.read(read))[None, None]
    features = network.features(crop, inner.relative_to(read.start))[0]  # type: ignore[operator]
    z, y, x = torch.from_numpy(where - low).long().T
    return features[:, z, y, x].T.contiguous()
