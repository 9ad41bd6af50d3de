"""Honest scores while learning: the same voxels for both models, which neither has learnt."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from napari_pytc.geometry import Box
from napari_pytc.learning.live.strokes import Page
from napari_pytc.metrics.overlap import ClassCounts

_CELL = np.array([8, 64, 64])
_MOST_PLACES = 16
"""Places that a network predicts for a score: with what it sees around each they cost a second or a few."""


@dataclass(frozen=True)
class ScoredPlace:
    """Voxels (n, 3) to score by, their classes (n,) uint8, and the box around them."""

    box: Box
    where: np.ndarray
    classes: np.ndarray

    @property
    def key(self) -> tuple[Box, bytes]:
        """What differs where other voxels are scored."""
        return self.box, self.where.tobytes()


def chosen_places(pages: Iterable[Page], seed: int) -> list[ScoredPlace]:
    """At most 16 places with voxels that are kept to score by, spread over all and holding every class that is there.

    Which are chosen depends on the places alone, so that scores stay comparable while strokes are added elsewhere.
    """
    places = [place for page in pages for place in _places(page)]
    lots = [np.random.default_rng([seed, *place.box.start]).random() for place in places]
    order = [places[i] for i in np.argsort(lots, kind="stable")]
    chosen: list[ScoredPlace] = []
    seen: set[int] = set()
    for place in order:  # first those with a class that none has yet
        classes = set(np.unique(place.classes).tolist())
        if not classes <= seen:
            chosen.append(place)
            seen |= classes
    chosen += [place for place in order if not any(place is other for other in chosen)]
    return chosen[:_MOST_PLACES]


def _places(page: Page) -> list[ScoredPlace]:
    indices = np.flatnonzero(page.kept)
    if not len(indices):
        return []
    where, classes = page.where(indices), page.classes[indices]
    cells = np.unique((where - np.array(page.box.start)) // _CELL, axis=0, return_inverse=True)[1].ravel()
    found = []
    for cell in range(int(cells.max()) + 1):
        inside = cells == cell
        low, high = where[inside].min(axis=0), where[inside].max(axis=0) + 1
        found.append(ScoredPlace(Box(tuple(low), tuple(high)), where[inside], classes[inside]))
    return found


class Scoring:
    """One score, place by place.

    Parameters
    ----------
    predict : callable
        The most probable class (n,), from 1, of the voxels of a place.
    """

    def __init__(self, places: Iterable[ScoredPlace], predict: Callable[[ScoredPlace], np.ndarray]) -> None:
        self._todo, self._predict = list(places), predict
        self._counts = ClassCounts(ignore=0)

    @property
    def is_over(self) -> bool:
        """Whether all places were scored."""
        return not self._todo

    def advance(self) -> None:
        """Score one place."""
        place = self._todo.pop(0)
        self._counts.add(self._predict(place).astype(np.uint8), place.classes)

    def result(self, classes: tuple[str, ...]) -> dict[str, Any]:
        """``dice`` and ``iou`` by class, ``mean`` (of the Dice of classes in the truth) and ``n_voxels``."""
        ids = range(1, len(classes) + 1)
        dice, iou = self._counts.dice(ids), self._counts.iou(ids)
        present = [k for k in ids if self._counts.confusion[k].any()]
        return {
            "dice": {classes[k - 1]: _number(dice[k]) for k in ids},
            "iou": {classes[k - 1]: _number(iou[k]) for k in ids},
            "mean": float(np.mean([dice[k] for k in present])) if present else None,
            "n_voxels": self._counts.n_voxels,
        }


def most_probable(probabilities: torch.Tensor, place: ScoredPlace) -> np.ndarray:
    """Classes, from 1, of a place's voxels, of the probabilities (k, *box.shape) of its box."""
    z, y, x = (place.where - np.array(place.box.start)).T
    return probabilities.argmax(0).numpy()[z, y, x] + 1


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
