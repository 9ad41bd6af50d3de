"""Features of the annotated voxels, kept from one look at the strokes to the next."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from napari_pytc.geometry import Box
from napari_pytc.learning.data import TrainingImage
from napari_pytc.learning.live.strokes import Page
from napari_pytc.learning.networks import NetworkLimits
from napari_pytc.learning.networks.filter_bank import FilterBank
from napari_pytc.learning.voxel_features import features_at, groups_near

_MOST_OF_CLASS = 20_000
"""Voxels of a class that the perceptron learns from; a dense annotation holds millions that say the same."""


@dataclass(frozen=True)
class Examples:
    """Feature vectors (n, f) float32 and their classes (n,) int64, from 1."""

    features: torch.Tensor
    classes: torch.Tensor

    def __len__(self) -> int:
        return len(self.classes)

    def __add__(self, other: Examples) -> Examples:
        return Examples(torch.cat([self.features, other.features]), torch.cat([self.classes, other.classes]))


@dataclass(frozen=True)
class _Known:
    flat: np.ndarray
    features: torch.Tensor


class KnownFeatures(Protocol):
    """Features that were computed for other reasons."""

    def at(self, where: np.ndarray) -> tuple[np.ndarray, torch.Tensor]:
        """Which of the places (n, 3) are known, as indices, and their features."""


class TaughtVoxels:
    """Features of the strokes' voxels: only those of voxels that are new are computed.

    Parameters
    ----------
    bank : FilterBank
        Its fixed features.
    limits : NetworkLimits
        Those of the filter bank.
    image : TrainingImage
        Normalised, blank in held-out boxes.
    visible : TrainingImage
        The same with nothing blank: what is kept to score by lies in the held-out boxes.
    tiles : KnownFeatures
        Features of the tiles that were looked at; of use where no held-out box lies near.
    """

    def __init__(
        self,
        bank: FilterBank,
        limits: NetworkLimits,
        image: TrainingImage,
        visible: TrainingImage,
        tiles: KnownFeatures,
    ) -> None:
        self._bank, self._limits, self._image, self._visible, self._tiles = bank, limits, image, visible, tiles
        self._known: dict[tuple[Box, bool], _Known] = {}

    def gather(self, pages: Iterable[Page]) -> tuple[Examples, Examples]:
        """What is learnt and, outside of held-out boxes, kept to score by; at most 20,000 voxels of a class each."""
        pages = list(pages)
        boxes = {page.box for page in pages}
        self._known = {key: known for key, known in self._known.items() if key[0] in boxes}
        return self._side(pages, kept=False), self._side(pages, kept=True)

    def _side(self, pages: list[Page], kept: bool) -> Examples:
        chosen = [np.flatnonzero((page.kept == kept) & ~page.is_held_out) for page in pages]
        totals = sum(
            (np.bincount(p.classes[c], minlength=256) for p, c in zip(pages, chosen, strict=True)), np.zeros(256)
        )
        share = np.minimum(1.0, _MOST_OF_CLASS / np.maximum(totals, 1))
        features, classes = [torch.zeros(0, self._bank.n_features)], [torch.zeros(0, dtype=torch.int64)]
        for page, indices in zip(pages, chosen, strict=True):
            if (share[page.classes[indices]] < 1).any():
                indices = indices[_lot(page, indices) < share[page.classes[indices]]]
            if len(indices):
                features.append(self._of_page(page, indices, kept))
                classes.append(torch.from_numpy(page.classes[indices].astype(np.int64)))
        return Examples(torch.cat(features), torch.cat(classes))

    def _of_page(self, page: Page, indices: np.ndarray, kept: bool) -> torch.Tensor:
        flat = page.flat[indices]
        known = self._known.get((page.box, kept))
        if known is not None and np.array_equal(known.flat, flat):
            return known.features
        found = torch.empty(len(flat), self._bank.n_features)
        missing = np.ones(len(flat), bool)
        if known is not None:
            at = np.minimum(np.searchsorted(known.flat, flat), len(known.flat) - 1)
            missing = known.flat[at] != flat
            found[torch.from_numpy(~missing)] = known.features[torch.from_numpy(at[~missing])]
        todo = np.flatnonzero(missing)
        if len(todo):
            found[torch.from_numpy(todo)] = self.features(page.where(indices[todo]), visible=False)
        self._known[page.box, kept] = _Known(flat, found)
        return found

    def features(self, where: np.ndarray, visible: bool) -> torch.Tensor:
        """Features (n, f) float32 of places (n, 3).

        Parameters
        ----------
        visible : bool
            See what is held out, as scoring there must and learning must not.
        """
        image = self._visible if visible else self._image
        found = torch.empty(len(where), self._bank.n_features)
        missing = np.ones(len(where), bool)
        hull = Box(tuple(where.min(axis=0)), tuple(where.max(axis=0) + 1))
        if visible or not self.sees_held_out(hull):
            indices, features = self._tiles.at(where)
            found[torch.from_numpy(indices)] = features
            missing[indices] = False
        todo = np.flatnonzero(missing)
        if len(todo):
            for group in groups_near(where[todo]):
                found[torch.from_numpy(todo[group])] = features_at(self._bank, image, self._limits, where[todo[group]])
        return found

    def sees_held_out(self, box: Box) -> bool:
        """Whether features of a box, seen with nothing blank, depend on what is held out."""
        reach = box.grow(self._limits.halo).aligned(self._limits.alignment)
        return any(reach.overlaps(hidden) for hidden in self._image.hidden)


def _lot(page: Page, indices: np.ndarray) -> np.ndarray:
    """A number in [0, 1) for every voxel that depends on its place alone, so that choices last."""
    seed = np.uint64(hash(page.box.start) & 0xFFFFFFFF)
    mixed = (page.flat[indices].astype(np.uint64) + seed) * np.uint64(0x9E3779B97F4A7C15)
    return ((mixed >> np.uint64(40)).astype(np.float64)) / float(1 << 24)
