"""Features of the annotated voxels, cached from one stroke to the next."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from napari_pytc.geometry import Box
from napari_pytc.learning.data.training_image import TrainingImage
from napari_pytc.learning.data.voxel_features import features_at, group_voxels
from napari_pytc.learning.live.stroke_split import ChunkLabels
from napari_pytc.learning.networks.filter_bank import FilterBank
from napari_pytc.plans.networks import NetworkLimits

_MOST_OF_CLASS = 20_000
"""Voxels of a class that the perceptron is fitted to; a dense annotation holds millions that are alike."""


@dataclass(frozen=True)
class Examples:
    """Feature vectors (n, f) float32, their classes (n,) int64, from 1, and the number of their volume (n,) int64.

    Without numbers, all are of the volume in view.
    """

    features: torch.Tensor
    classes: torch.Tensor
    volumes: torch.Tensor | None = None

    def __len__(self) -> int:
        return len(self.classes)

    def __add__(self, other: Examples) -> Examples:
        features, classes = torch.cat([self.features, other.features]), torch.cat([self.classes, other.classes])
        if self.volumes is None and other.volumes is None:
            return Examples(features, classes)
        return Examples(features, classes, torch.cat([self._numbers, other._numbers]))

    @property
    def _numbers(self) -> torch.Tensor:
        return torch.zeros_like(self.classes) if self.volumes is None else self.volumes

    def of_volume(self, number: int) -> Examples:
        """The same as those of another volume."""
        return Examples(self.features, self.classes, torch.full_like(self.classes, number))


@dataclass(frozen=True)
class _CachedFeatures:
    flat: np.ndarray
    features: torch.Tensor


class FeatureSource(Protocol):
    """Features that were computed for another purpose."""

    def at(self, where: np.ndarray) -> tuple[np.ndarray, torch.Tensor]:
        """Indices of the voxels (n, 3) that have features, and these features."""


class LabelledFeatures:
    """Features of the strokes' voxels; only those of new voxels are computed.

    Parameters
    ----------
    bank : FilterBank
        Its fixed features.
    limits : NetworkLimits
        Those of the filter bank.
    image : TrainingImage
        Normalised, blank in held-out boxes.
    unmasked : TrainingImage
        The same with nothing blank, for validation data in held-out boxes.
    tiles : FeatureSource
        Features of the tiles in view, which are used where no held-out box is near.
    n_volumes : int
        Number of volumes that share the most examples of a class.
    """

    def __init__(
        self,
        bank: FilterBank,
        limits: NetworkLimits,
        image: TrainingImage,
        unmasked: TrainingImage,
        tiles: FeatureSource,
        n_volumes: int = 1,
    ) -> None:
        self._most_of_class = _MOST_OF_CLASS // n_volumes
        self._bank, self._limits, self._image, self._unmasked, self._tiles = bank, limits, image, unmasked, tiles
        self._cached: dict[tuple[Box, bool], _CachedFeatures] = {}

    def gather(self, chunks: Iterable[ChunkLabels]) -> tuple[Examples, Examples]:
        """Training and validation examples outside of held-out boxes, at most 20,000 voxels of a class each."""
        chunks = list(chunks)
        boxes = {chunk.box for chunk in chunks}
        self._cached = {key: cached for key, cached in self._cached.items() if key[0] in boxes}
        return self._examples_of(chunks, is_validation=False), self._examples_of(chunks, is_validation=True)

    def _examples_of(self, chunks: list[ChunkLabels], is_validation: bool) -> Examples:
        chosen = [np.flatnonzero((chunk.is_validation == is_validation) & ~chunk.is_held_out) for chunk in chunks]
        totals = sum(
            (np.bincount(p.classes[c], minlength=256) for p, c in zip(chunks, chosen, strict=True)), np.zeros(256)
        )
        share = np.minimum(1.0, self._most_of_class / np.maximum(totals, 1))
        features, classes = [torch.zeros(0, self._bank.n_features)], [torch.zeros(0, dtype=torch.int64)]
        for chunk, indices in zip(chunks, chosen, strict=True):
            if (share[chunk.classes[indices]] < 1).any():
                indices = indices[_place_hash(chunk, indices) < share[chunk.classes[indices]]]
            if len(indices):
                features.append(self._features_of(chunk, indices, is_validation))
                classes.append(torch.from_numpy(chunk.classes[indices].astype(np.int64)))
        return Examples(torch.cat(features), torch.cat(classes))

    def _features_of(self, chunk: ChunkLabels, indices: np.ndarray, is_validation: bool) -> torch.Tensor:
        flat = chunk.flat[indices]
        cached = self._cached.get((chunk.box, is_validation))
        if cached is not None and np.array_equal(cached.flat, flat):
            return cached.features
        found = torch.empty(len(flat), self._bank.n_features)
        missing = np.ones(len(flat), bool)
        if cached is not None:
            at = np.minimum(np.searchsorted(cached.flat, flat), len(cached.flat) - 1)
            missing = cached.flat[at] != flat
            found[torch.from_numpy(~missing)] = cached.features[torch.from_numpy(at[~missing])]
        todo = np.flatnonzero(missing)
        if len(todo):
            found[torch.from_numpy(todo)] = self.features(chunk.where(indices[todo]), unmasked=False)
        self._cached[chunk.box, is_validation] = _CachedFeatures(flat, found)
        return found

    def features(self, where: np.ndarray, unmasked: bool) -> torch.Tensor:
        """Features (n, f) float32 of voxels (n, 3).

        Parameters
        ----------
        unmasked : bool
            Compute them from the image with nothing blank, as validation in held-out boxes must and training must not.
        """
        image = self._unmasked if unmasked else self._image
        found = torch.empty(len(where), self._bank.n_features)
        missing = np.ones(len(where), bool)
        hull = Box(tuple(where.min(axis=0)), tuple(where.max(axis=0) + 1))
        if unmasked or not self._depends_on_held_out(hull):
            indices, features = self._tiles.at(where)
            found[torch.from_numpy(indices)] = features
            missing[indices] = False
        todo = np.flatnonzero(missing)
        if len(todo):
            for group in group_voxels(where[todo]):
                found[torch.from_numpy(todo[group])] = features_at(self._bank, image, where[todo[group]])
        return found

    def _depends_on_held_out(self, box: Box) -> bool:
        """Whether features of a box depend on voxels in held-out boxes."""
        reach = box.grow(self._limits.halo).aligned(self._limits.alignment)
        return any(reach.overlaps(hidden) for hidden in self._image.hidden)


def _place_hash(chunk: ChunkLabels, indices: np.ndarray) -> np.ndarray:
    """A number in [0, 1) for every voxel that depends on its position alone, so that the choice of voxels lasts."""
    seed = np.uint64(hash(chunk.box.start) & 0xFFFFFFFF)
    mixed = (chunk.flat[indices].astype(np.uint64) + seed) * np.uint64(0x9E3779B97F4A7C15)
    return ((mixed >> np.uint64(40)).astype(np.float64)) / float(1 << 24)
