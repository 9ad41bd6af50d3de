"""Where to paint next: places that the models are unsure of, unlike one another and unlike what was painted.

Uncertainty is the margin between the two most probable classes (Scheffer et al. 2001), disagreement that of a
committee of two, the instant model and the network (Seung et al. 1992). Places are taken one after another, each for
its gain times how much it looks unlike those taken before: the most uncertain places are often views of one thing.
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
_COMPARED = 3
"""For so many times as many places as are wanted the network is asked, too."""
_STROKE_VOXELS = 200
_STEP = np.array([0.8191725133961645, 0.6710436067037893, 0.5497004779019703])
"""Powers of the inverse of the root of x**4 = x + 1: each step lands in the largest gap left in the unit cube."""


@dataclass(frozen=True)
class Candidate:
    """A place that could be painted.

    Parameters
    ----------
    uncertainty, disagreement : float
        Means over the box, from 0 to 1.
    distance_um : float
        From its centre to the nearest stroke.
    look : ndarray
        Mean and deviation of the features: what it looks like.
    """

    box: Box
    uncertainty: float
    distance_um: float
    look: np.ndarray
    disagreement: float = 0.0

    def gain(self, reach_um: float) -> float:
        """What painting there is expected to win; near strokes less, because they teach it already."""
        return self.uncertainty * (1 + self.disagreement) * (1 - 0.5 * float(np.exp(-self.distance_um / reach_um)))

    @property
    def reason(self) -> str:
        """Why, in words for people."""
        if self.disagreement >= 0.15:
            return f"the two models disagree on {100 * self.disagreement:.0f} %"
        if self.uncertainty >= 0.25:
            return f"undecided, {100 * self.uncertainty:.0f} % in doubt"
        return f"{self.distance_um:.2g} µm from any stroke, {100 * self.uncertainty:.0f} % in doubt"


@dataclass(frozen=True)
class Places:
    """The places to paint next within a box, best first; strokes teach as far as about `reach_um`."""

    within: Box
    candidates: tuple[Candidate, ...]
    reach_um: float


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
        reach_um = float(np.linalg.norm(np.array(shape) * self._space.voxel_size_nm)) / 1000
        tree = _tree(pages, self._space)
        found: list[Candidate] = []
        for box in self._candidates(wish.box, shape, pages):
            found.append(self._judged(box, tree))
            yield None
        found.sort(key=lambda c: -c.gain(reach_um))
        if self._network is not None:
            for number, candidate in enumerate(found[: _COMPARED * wish.n]):
                found[number] = self._compared(candidate)
                yield None
        yield Places(wish.box, tuple(_diverse(found, wish.n, reach_um)), reach_um)

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
        two = self._instant(features).topk(2, dim=0).values
        uncertainty = float((1 - (two[0] - two[1])).mean())
        distance = float(tree.query(np.array(box.centre) * self._space.voxel_size_nm / 1000)[0]) if tree else 0.0
        look = torch.cat([features.mean(0), features.std(0)]).numpy()
        return Candidate(box, uncertainty, distance, look)

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
            "gain": round(c.gain(places.reach_um), 4),
            "reason": c.reason,
            "uncertainty": round(c.uncertainty, 4),
            "disagreement": round(c.disagreement, 4),
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


def _diverse(found: Sequence[Candidate], n: int, reach_um: float) -> list[Candidate]:
    """The best by gain times unlikeness to those before."""
    if not found:
        return []
    looks = np.stack([c.look for c in found])
    looks = looks / np.maximum(looks.std(axis=0), 1e-6)
    apart = ((looks[:, None] - looks[None]) ** 2).sum(axis=-1)
    scale = max(float(np.median(apart)), 1e-9)
    gains = np.array([c.gain(reach_um) for c in found])
    chosen: list[int] = []
    while len(chosen) < min(n, len(found)):
        worth = gains * (1 - np.exp(-apart[:, chosen].min(axis=1) / scale) if chosen else 1)
        worth[chosen] = -np.inf
        chosen.append(int(np.argmax(worth)))
    return [found[index] for index in chosen]
