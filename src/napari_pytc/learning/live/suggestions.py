"""Suggestions where to paint next: diverse boxes, preferably with many expected errors.

The instant model's own uncertainty gives the probability of an error (least confident: Lewis & Gale 1994); where there
is a network, disagreement with it (a committee of two: Seung et al. 1992) moves a box up the list. Errors of a rare
class count as much as those of a frequent one, as in the mean Dice. The boxes with most errors are no good choice
alone: strokes there reveal little about the rest (information density: Settles & Craven 2008), and a model that is
trained on them gets worse elsewhere. Boxes are therefore drawn from all, with a probability that grows with the
expected errors and with the distance in appearance from those drawn before (k-means++, Arthur & Vassilvitskii 2007;
for active learning, Ash et al. 2020).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.spatial import cKDTree

from napari_pytc.files import write_text_durably
from napari_pytc.geometry import Box, Shape, VoxelSpace
from napari_pytc.learning.live.stroke_split import ChunkLabels
from napari_pytc.learning.live.tiles import tile_shape_of
from napari_pytc.plans.live_messages import LiveRequest

_EDGES = {1: 256, 2: 96, 3: 96}
_MOST_CANDIDATES = 96
_TRIES = 8
_STROKE_VOXELS = 200
_TILT = 0.5
"""Power of the expected errors in the odds of a box."""
_LEAST_SHARE = 0.001
"""Smallest share of a class that is assumed; one that is hardly predicted anywhere must not decide alone."""
_STEP = np.array([0.8191725133961645, 0.6710436067037893, 0.5497004779019703])
"""Powers of the inverse of the root of x**4 = x + 1: each step lands in the largest gap left in the unit cube."""


@dataclass(frozen=True)
class SuggestionBox:
    """A box that could be painted.

    Parameters
    ----------
    uncertainty, disagreement : float
        Means over the box, from 0 to 1; uncertainty is one less the margin between the two most probable classes,
        disagreement is None without a network.
    distance_um : float
        From its centre to the nearest stroke.
    appearance : ndarray
        Mean and standard deviation of the features.
    shares, errors : ndarray
        (k,), of each class: its mean probability, and how much of that is expected to be wrong.
    gain : float
        Share of the errors expected in all boxes that it was ranked with, each class weighted alike.
    """

    box: Box
    uncertainty: float
    distance_um: float
    appearance: np.ndarray
    shares: np.ndarray
    errors: np.ndarray
    disagreement: float | None = None
    gain: float = 0.0

    @property
    def reason(self) -> str:
        """The reason for the suggestion, in words for users."""
        if self.disagreement is not None and self.disagreement >= 0.15:
            return f"the two models disagree on {100 * self.disagreement:.0f} %"
        if self.uncertainty >= 0.25:
            return f"undecided, {100 * self.uncertainty:.0f} % in doubt"
        return f"{self.distance_um:.2g} µm from any stroke, {100 * self.uncertainty:.0f} % in doubt"


@dataclass(frozen=True)
class SuggestionGrid:
    """The suggestions within a box, best first."""

    within: Box
    candidates: tuple[SuggestionBox, ...]


class SuggestionFinder:
    """Finds suggestions, one candidate at a time.

    Parameters
    ----------
    features : callable
        Features (n, f) of a box's voxels.
    instant : callable
        Probabilities (k, n) of features.
    network : callable, optional
        Probabilities (k, *box.shape) of a box, where there is a network.
    """

    def __init__(
        self,
        space: VoxelSpace,
        held_out: Sequence[Box],
        features: Callable[[Box], torch.Tensor],
        instant: Callable[[torch.Tensor], torch.Tensor],
        network: Callable[[Box], torch.Tensor] | None,
        seed: int,
    ) -> None:
        self._space, self._held_out, self._seed = space, tuple(held_out), seed
        self._features, self._instant, self._network = features, instant, network

    def find(self, request: LiveRequest, chunks: Sequence[ChunkLabels]) -> Iterator[SuggestionGrid | None]:
        """Yield None after each piece of work, and the suggestions at the end."""
        shape = _place_shape(request.box)
        tree = _tree(chunks, self._space)
        found: list[SuggestionBox] = []
        for box in self._candidates(request.box, shape, chunks):
            found.append(self._rate(box, tree))
            yield None
        chosen = draw_diverse(rank(found), request.n, np.random.default_rng(self._seed))
        if self._network is not None:
            for number, candidate in enumerate(chosen):
                chosen[number] = self._with_disagreement(candidate)
                yield None
        yield SuggestionGrid(request.box, tuple(rank(chosen)))

    def _candidates(self, within: Box, shape: Shape, chunks: Sequence[ChunkLabels]) -> Iterator[Box]:
        """Boxes spread evenly, without strokes or held-out voxels, and disjoint."""
        point = np.random.default_rng(self._seed).random(3)
        room = np.array(within.shape) - shape + 1
        chosen: list[Box] = []
        for _ in range(_TRIES * _MOST_CANDIDATES):
            box = Box.at((np.array(within.start) + (point * room).astype(int)).tolist(), shape)
            point = (point + _STEP) % 1
            if any(box.overlaps(other) for other in (*chosen, *self._held_out)) or _is_painted(box, chunks):
                continue
            chosen.append(box)
            yield box
            if len(chosen) == _MOST_CANDIDATES:
                return

    def _rate(self, box: Box, tree: cKDTree | None) -> SuggestionBox:
        features = self._features(box)
        probabilities = self._instant(features)
        two = probabilities.topk(2, dim=0).values
        uncertainty = float((1 - (two[0] - two[1])).mean())
        shares, errors = probabilities.mean(1).numpy(), (probabilities * (1 - two[0])).mean(1).numpy()
        distance = float(tree.query(np.array(box.centre) * self._space.voxel_size_nm / 1000)[0]) if tree else 0.0
        appearance = torch.cat([features.mean(0), features.std(0)]).numpy()
        return SuggestionBox(box, uncertainty, distance, appearance, shares, errors)

    def _with_disagreement(self, candidate: SuggestionBox) -> SuggestionBox:
        assert self._network is not None
        instant = self._instant(self._features(candidate.box)).argmax(0)
        network = self._network(candidate.box).argmax(0).ravel()
        return replace(candidate, disagreement=float((instant != network).float().mean()))


def write_suggestions(path: Path, suggestions: SuggestionGrid, saturated: bool, text: str) -> None:
    """Write the list in one step, best first, and whether more painting is expected to help."""
    boxes: list[dict[str, Any]] = [
        {
            "box": {"start": list(c.box.start), "stop": list(c.box.stop)},
            "gain": round(c.gain, 4),
            "reason": c.reason,
            "uncertainty": round(c.uncertainty, 4),
            "disagreement": None if c.disagreement is None else round(c.disagreement, 4),
            "distance_um": round(c.distance_um, 4),
        }
        for c in suggestions.candidates
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text_durably(path, json.dumps({"boxes": boxes, "saturated": saturated, "text": text}))


def _place_shape(within: Box) -> Shape:
    """Shape of a suggestion: a part of a section in the plane of the view; of a volume, a part of a z section."""
    shape = tile_shape_of(within, _EDGES)
    if 1 not in shape:
        shape = (1, shape[1], shape[2])
    z, y, x = (min(n, m) for n, m in zip(shape, within.shape, strict=True))
    return (z, y, x)


def _tree(chunks: Sequence[ChunkLabels], space: VoxelSpace) -> cKDTree | None:
    """Search tree of some voxels of the strokes of every chunk, in micrometres."""
    points = []
    for chunk in chunks:
        if len(chunk.flat):
            chosen = np.unique(np.linspace(0, len(chunk.flat) - 1, _STROKE_VOXELS).astype(int))
            points.append(chunk.where(chosen) * np.array(space.voxel_size_nm) / 1000)
    return cKDTree(np.concatenate(points)) if points else None


def _is_painted(box: Box, chunks: Sequence[ChunkLabels]) -> bool:
    for chunk in chunks:
        if chunk.box.overlaps(box):
            where = chunk.where(np.arange(len(chunk.flat)))
            if ((where >= box.start) & (where < box.stop)).all(axis=1).any():
                return True
    return False


def rank(found: Sequence[SuggestionBox]) -> list[SuggestionBox]:
    """All boxes with their gain, the most expected errors first."""
    if not found:
        return []
    shares = np.maximum(np.mean([c.shares for c in found], axis=0), _LEAST_SHARE)
    errors = np.array([(c.errors / shares).sum() * (1 + (c.disagreement or 0.0)) for c in found])
    gains = errors / max(float(errors.sum()), 1e-9)
    return sorted((replace(c, gain=float(g)) for c, g in zip(found, gains, strict=True)), key=lambda c: -c.gain)


def draw_diverse(found: Sequence[SuggestionBox], n: int, rng: np.random.Generator) -> list[SuggestionBox]:
    """Draw some of the ranked boxes, unlike one another; they stay in their order."""
    if len(found) <= n:
        return list(found)
    appearances = np.stack([c.appearance for c in found])
    appearances = appearances / np.maximum(appearances.std(axis=0), 1e-6)
    apart = ((appearances[:, None] - appearances[None]) ** 2).sum(axis=-1)
    scale = max(float(np.median(apart)), 1e-9)
    # A little for all, so that certain boxes and those that look all the same can be drawn, too.
    tilt = np.array([c.gain for c in found]) ** _TILT + 1e-6
    chosen: list[int] = []
    while len(chosen) < n:
        unlike = 1e-6 - np.expm1(-apart[:, chosen].min(axis=1) / scale) if chosen else np.ones(len(found))
        odds = tilt * unlike
        odds[chosen] = 0
        chosen.append(int(rng.choice(len(found), p=odds / odds.sum())))
    return [found[number] for number in sorted(chosen)]
