"""Features of annotated voxels alone, cached between trainings of the same process."""

from __future__ import annotations

import hashlib

import numpy as np
import torch

from napari_pytc.caching import ByteBoundedCache
from napari_pytc.geometry import Box
from napari_pytc.jobs.context import JobContext
from napari_pytc.learning.data.training_image import TrainingImage
from napari_pytc.learning.data.volume_data import VolumeData
from napari_pytc.learning.networks.network import FeatureBank
from napari_pytc.plans.plan import TrainPlan

_MOST_PER_CLASS = 40_000
"""Voxels of a class that a perceptron learns from; a dense annotation holds millions that are alike."""
_MOST_BYTES = 256 * 2**20
_MARGIN = np.array([4, 8, 8])


FeatureCache = ByteBoundedCache[str, torch.Tensor]
_CACHE: FeatureCache = ByteBoundedCache(_MOST_BYTES)


def annotated_features(
    bank: FeatureBank,
    plan: TrainPlan,
    data: VolumeData,
    image: TrainingImage,
    ctx: JobContext,
    cache: FeatureCache = _CACHE,
    n_volumes: int = 1,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Features and labels of the annotated voxels of a volume that has some, at most 40,000 of a class.

    Features are computed on small crops around the strokes; strokes that did not change since the last training of this
    process are not computed again.

    Parameters
    ----------
    n_volumes : int
        Number of volumes that share the 40,000.

    Returns
    -------
    features : Tensor
        (n, f) float32.
    labels : Tensor
        (n,) int64, k = k-th class.
    """
    chunks = _chosen_voxels(data, plan.seed, _MOST_PER_CLASS // n_volumes)
    features, labels = [], []
    for number, (corner, where, classes) in enumerate(chunks):
        ctx.check()
        ctx.report(number, len(chunks), "features of the annotated voxels")
        for group in group_voxels(where):
            features.append(cached_features_at(bank, plan, data, image, where[group] + np.array(corner), cache))
            labels.append(torch.from_numpy(classes[group].astype(np.int64)))
    return torch.cat(features), torch.cat(labels)


def _chosen_voxels(data: VolumeData, seed: int, most: int) -> list[tuple[tuple[int, int, int], np.ndarray, np.ndarray]]:
    """Per chunk: its corner, the chosen voxels relative to it, and their classes."""
    totals = np.maximum(np.sum([chunk.counts for chunk in data.chunks], axis=0), 1)
    share = np.minimum(1.0, most / totals)
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


def group_voxels(where: np.ndarray) -> list[np.ndarray]:
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
    """Voxels that are computed for boxes: their own, and the context of the fine scales around them."""
    return np.prod(high - low + _MARGIN, axis=-1).astype(float)


def cached_features_at(
    bank: FeatureBank,
    plan: TrainPlan,
    data: VolumeData,
    image: TrainingImage,
    where: np.ndarray,
    cache: FeatureCache = _CACHE,
) -> torch.Tensor:
    """As `features_at`, cached between trainings of the same process."""
    context = f"{data.source.spec} {data.held_out} {image.normalisation} {plan.network} {data.space}"
    key = hashlib.sha256(context.encode() + where.astype(np.int64).tobytes()).hexdigest()
    return cache.get(key, lambda: features_at(bank, image, where))


@torch.no_grad()
def features_at(bank: FeatureBank, image: TrainingImage, where: np.ndarray) -> torch.Tensor:
    """Features (n, f) of voxels (n, 3) of an image, all computed in the one box around them."""
    low, high = where.min(axis=0), where.max(axis=0) + 1
    inner = Box(tuple(low), tuple(high))
    limits = bank.limits()
    read = inner.grow(limits.halo).aligned(limits.alignment).intersect(image.whole)
    crop = torch.from_numpy(image.read(read))[None]
    features = bank.features(crop, inner.relative_to(read.start))[0]
    z, y, x = torch.from_numpy(where - low).long().T
    return features[:, z, y, x].T.contiguous()
