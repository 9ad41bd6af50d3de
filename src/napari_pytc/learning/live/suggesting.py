"""Where to paint next: places of every look, those with many expected errors rather than others.

How probable an error is, the instant model says itself (least confident: Lewis & Gale 1994); where a network is there,
disagreement with it (a committee of two: Seung et al. 1992) moves a place up the list. Errors of a rare class count as
much as those of a frequent one, as in the mean Dice. The places where most is wrong are no good choice alone: strokes
there say little of the rest (information density: Settles & Craven 2008), and a model that learns from them gets worse
elsewhere. Places are therefore drawn from all, each the more probably the more errors are expected and the less it
looks like those drawn before (k-means++, Arthur & Vassilvitskii 2007; for active learning, Ash et al. 2020).
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

from napari_pytc.durable import write_text_durably
from napari_pytc.geometry import Box, Shape, VoxelSpace
from napari_pytc.learning.live.messages import Wish
from napari_pytc.learning.live.strokes import Page
from napari_pytc.learning.live.tiles import tile_shape_of

_EDGES = {1: 256, 2: 96, 3: 96}
_MOST_CANDIDATES = 96
_TRIES = 8
_STROKE_VOXELS = 200
_TILT = 0.5
"""Power of the expected errors in the odds of a place."""
_LEAST_SHARE = 0.001
"""Of a class; one that is hardly predicted anywhere must not decide alone."""
_STEP = np.array([0.8191725133961645, 0.6710436067037893, 0.5497004779019703])
"""Powers of the inverse of the root of x**4 = x + 1: each step lands in the largest gap left in the unit cube."""


@dataclass(frozen=True)
class Candidate:
    """A place that could be painted.

    Parameters
    ----------
    uncertainty, disagreement : float
        Means over the box, from 0 to 1; uncertainty is one less the margin between the two most probable classes,
        disagreement is None where no network was asked.
    distance_um : float
        From its centre to the nearest stroke.
    look : ndarray
        Mean and deviation of the features: what it looks like.
    shares, errors : ndarray
        (k,), of each class: its mean probability, and how much of that is expected to be wrong.
    gain : float
        Share of the errors expected in all places that it was rated with, every class counting as much as another.
    """

    box: Box
    uncertainty: float
    distance_um: float
    look: np.ndarray
    shares: np.ndarray
    errors: np.ndarray
    disagreement: float | None = None
    gain: float = 0.0

    @property
    def reason(self) -> str:
        """Why, in words for people."""
        if self.disagreement is not None and self.disagreement >= 0.15:
            return f"the two models disagree on {100 * self.disagreement:.0f} %"
        if self.uncertainty >= 0.25:
            return f"undecided, {100 * self.uncertainty:.0f} % in doubt"
        return f"{self.distance_um:.2g} µm from any stroke, {100 * self.uncertainty:.0f} % in doubt"


@dataclass(frozen=True)
class Places:
    """The places to paint next within a box, best first."""

    within: Box
    candidates: tuple[Candidate, ...]


class PlaceFinder:
    """Looks for places, one candidate at a time.

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

    def find(self, wish: Wish, pages: Sequence[Page]) -> Iterator[Places | None]:
        """Yield None after each piece of work, and at the end the places."""
        shape = _place_shape(wish.box)
        tree = _tree(pages, self._space)
        found: list[Candidate] = []
        for box in self._candidates(wish.box, shape, pages):
            found.append(self._judged(box, tree))
            yield None
        chosen = drawn(rated(found), wish.n, np.random.default_rng(self._seed))
        if self._network is not None:
            for number, candidate in enumerate(chosen):
                chosen[number] = self._compared(candidate)
                yield None
        yield Places(wish.box, tuple(rated(chosen)))

    def _candidates(self, within: Box, shape: Shape, pages: Sequence[Page]) -> Iterator[Box]:
        """Boxes spread evenly, none with a stroke or anything held out in it, none over another."""
        point = np.random.default_rng(self._seed).random(3)
        room = np.array(within.shape) - shape + 1
        taken: list[Box] = []
        for _ in range(_TRIES * _MOST_CANDIDATES):
            box = Box.at((np.array(within.start) + (point * room).astype(int)).tolist(), shape)
            point = (point + _STEP) % 1
            if any(box.overlaps(other) for other in (*taken, *self._held_out)) or _is_painted(box, pages):
                continue
            taken.append(box)
            yield box
            if len(taken) == _MOST_CANDIDATES:
                return

    def _judged(self, box: Box, tree: cKDTree | None) -> Candidate:
        features = self._features(box)
        probabilities = self._instant(features)
        two = probabilities.topk(2, dim=0).values
        uncertainty = float((1 - (two[0] - two[1])).mean())
        shares, errors = probabilities.mean(1).numpy(), (probabilities * (1 - two[0])).mean(1).numpy()
        distance = float(tree.query(np.array(box.centre) * self._space.voxel_size_nm / 1000)[0]) if tree else 0.0
        look = torch.cat([features.mean(0), features.std(0)]).numpy()
        return Candidate(box, uncertainty, distance, look, shares, errors)

    def _compared(self, candidate: Candidate) -> Candidate:
        assert self._network is not None
        instant = self._instant(self._features(candidate.box)).argmax(0)
        network = self._network(candidate.box).argmax(0).ravel()
        return replace(candidate, disagreement=float((instant != network).float().mean()))


def write_suggestions(path: Path, places: Places, saturated: bool, text: str) -> None:
    """Write the list in one step, best first, with whether painting is still expected to help."""
    boxes: list[dict[str, Any]] = [
        {
            "box": {"start": list(c.box.start), "stop": list(c.box.stop)},
            "gain": round(c.gain, 4),
            "reason": c.reason,
            "uncertainty": round(c.uncertainty, 4),
            "disagreement": None if c.disagreement is None else round(c.disagreement, 4),
            "distance_um": round(c.distance_um, 4),
        }
        for c in places.candidates
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text_durably(path, json.dumps({"boxes": boxes, "saturated": saturated, "text": text}))


def _place_shape(within: Box) -> Shape:
    """A part of a section, in the plane that is looked at; of a volume, a part of a z section."""
    shape = tile_shape_of(within, _EDGES)
    if 1 not in shape:
        shape = (1, shape[1], shape[2])
    z, y, x = (min(n, m) for n, m in zip(shape, within.shape, strict=True))
    return (z, y, x)


def _tree(pages: Sequence[Page], space: VoxelSpace) -> cKDTree | None:
    """Some voxels of the strokes of every chunk, in micrometres."""
    points = []
    for page in pages:
        if len(page.flat):
            chosen = np.unique(np.linspace(0, len(page.flat) - 1, _STROKE_VOXELS).astype(int))
            points.append(page.where(chosen) * np.array(space.voxel_size_nm) / 1000)
    return cKDTree(np.concatenate(points)) if points else None


def _is_painted(box: Box, pages: Sequence[Page]) -> bool:
    for page in pages:
        if page.box.overlaps(box):
            where = page.where(np.arange(len(page.flat)))
            if ((where >= box.start) & (where < box.stop)).all(axis=1).any():
                return True
    return False


def rated(found: Sequence[Candidate]) -> list[Candidate]:
    """All places with their gain, the most expected errors first."""
    if not found:
        return []
    shares = np.maximum(np.mean([c.shares for c in found], axis=0), _LEAST_SHARE)
    errors = np.array([(c.errors / shares).sum() * (1 + (c.disagreement or 0.0)) for c in found])
    gains = errors / max(float(errors.sum()), 1e-9)
    return sorted((replace(c, gain=float(g)) for c, g in zip(found, gains, strict=True)), key=lambda c: -c.gain)


def drawn(found: Sequence[Candidate], n: int, rng: np.random.Generator) -> list[Candidate]:
    """Some of the rated places, unlike one another, in their order."""
    if len(found) <= n:
        return list(found)
    looks = np.stack([c.look for c in found])
    looks = looks / np.maximum(looks.std(axis=0), 1e-6)
    apart = ((looks[:, None] - looks[None]) ** 2).sum(axis=-1)
    scale = max(float(np.median(apart)), 1e-9)
    # A little for all, so that sure places and those that look all the same can be drawn, too.
    tilt = np.array([c.gain for c in found]) ** _TILT + 1e-6
    chosen: list[int] = []
    while len(chosen) < n:
        unlike = 1e-6 - np.expm1(-apart[:, chosen].min(axis=1) / scale) if chosen else np.ones(len(found))
        odds = tilt * unlike
        odds[chosen] = 0
        chosen.append(int(rng.choice(len(found), p=odds / odds.sum())))
    return [found[number] for number in sorted(chosen)]
