"""What the instant model answered before, so that a stroke changes what it is about and little else.

Strokes answer errors, so they hold far more of what is rare and hard than the volume does. A model that is fitted to
them alone swings from one kind of error to the other. What somebody looked at and left as it was says something, too:
on a sample of the voxels that were in view, the model is held near what it answered before (learning without
forgetting: Li & Hoiem 2016), a moving average over the strokes (temporal ensembling: Laine & Aila 2017).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import numpy as np
import torch

from napari_pytc.geometry import Box
from napari_pytc.learning.held_answers import Held, sharpened
from napari_pytc.learning.live.strokes import Painted

_CAPACITY = 16_384
_OF_TILE = 256
_HALF_LIFE = 12.0
"""Strokes after which an answer counts half as much in the average."""
_LEAST_STROKES = 4
"""Of each class: before, the answers are not worth remembering."""
_FORMER = 8

Answer = Callable[[torch.Tensor], torch.Tensor]
"""Probabilities (k, n) of features (n, f)."""


class SeenVoxels:
    """Features of some voxels of the tiles that were looked at, those seen longest ago forgotten first.

    Parameters
    ----------
    n_features : int
        Of a voxel.
    seed : int
        Decides which voxels of a tile.
    """

    def __init__(self, n_features: int, seed: int) -> None:
        self._seed = seed
        self._features = torch.zeros(_CAPACITY, n_features)
        self.stamps = np.zeros(_CAPACITY, np.int64)
        """Grows where a voxel takes the place of another; 0 where there is none yet."""
        self._tiles: deque[tuple[Box, np.ndarray]] = deque()
        self._boxes: set[Box] = set()
        self._n_stamped = 0

    @property
    def filled(self) -> np.ndarray:
        """Indices of the voxels there are."""
        return np.flatnonzero(self.stamps)

    def of(self, chosen: np.ndarray) -> torch.Tensor:
        """Features (n, f) float32 of some voxels."""
        return self._features[torch.from_numpy(chosen)]

    def look(self, box: Box, features: torch.Tensor) -> None:
        """Remember some voxels of a tile, unless it is known.

        Parameters
        ----------
        features : Tensor
            (n, f), of the box's voxels in their order.
        """
        if box in self._boxes:
            return
        rng = np.random.default_rng([self._seed, *box.start, *box.shape])
        rows = rng.choice(len(features), min(_OF_TILE, len(features)), replace=False)
        self._add(box, features[torch.from_numpy(rows)])

    def kept(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Features (n, f) of all voxels, and start and stop of the tile that each is of, (n, 6)."""
        tiles = np.zeros((_CAPACITY, 6), np.int64)
        for box, slots in self._tiles:
            tiles[slots] = (*box.start, *box.stop)
        return self.of(self.filled), torch.from_numpy(tiles[self.filled])

    def restore(self, features: torch.Tensor, tiles: torch.Tensor) -> None:
        """Begin with what was kept; voxels stay in their order."""
        boxes, of_box = np.unique(tiles.numpy(), axis=0, return_inverse=True)
        for number, (z0, y0, x0, z1, y1, x1) in enumerate(boxes.tolist()):
            slots = np.flatnonzero(of_box.ravel() == number)
            self._place(Box((z0, y0, x0), (z1, y1, x1)), slots, features[torch.from_numpy(slots)])

    def _add(self, box: Box, features: torch.Tensor) -> None:
        free = np.flatnonzero(self.stamps == 0)[: len(features)]
        while len(free) < len(features):
            oldest, slots = self._tiles.popleft()
            self._boxes.discard(oldest)
            self.stamps[slots] = 0
            free = np.flatnonzero(self.stamps == 0)[: len(features)]
        self._place(box, free, features)

    def _place(self, box: Box, slots: np.ndarray, features: torch.Tensor) -> None:
        self._features[torch.from_numpy(slots)] = features.float()
        self._n_stamped += 1
        self.stamps[slots] = self._n_stamped
        self._tiles.append((box, slots))
        self._boxes.add(box)


class RememberedAnswers:
    """What one model answered for the voxels that were seen.

    It is empty until there are four strokes of each class that was painted, and again when a class is painted for the
    first time. What is erased leaves no trace: the answers of before are returned to, or all are forgotten.
    """

    def __init__(self, seen: SeenVoxels) -> None:
        self._seen = seen
        self._painted: Painted | None = None
        self._answers: torch.Tensor | None = None
        self._stamps = np.zeros_like(seen.stamps)
        self._former: deque[tuple[Painted, torch.Tensor, np.ndarray]] = deque(maxlen=_FORMER)

    def prepare(self, painted: Painted, answer: Answer) -> Held | None:
        """What the model is to be held near when it is fitted to these strokes; None for nothing.

        Parameters
        ----------
        answer : callable
            The model as it was until now.
        """
        before = self._painted
        if before is not None:
            if painted.classes != before.classes or not painted.has_each(_LEAST_STROKES):
                self.forget()
            elif painted.takes_back(before):
                self._return_to(painted)
            else:
                self.absorb(answer)
        known = self._known
        if self._answers is None or not len(known):
            return None
        return Held(self._seen.of(known), sharpened(self._answers[torch.from_numpy(known)]))

    def take(self, painted: Painted, answer: Answer) -> None:
        """The model was fitted to these strokes: its answers enter the average."""
        n_new = 1 if self._painted is None else max(1, painted.n_strokes - self._painted.n_strokes)
        self._painted = painted
        known = self._known
        if self._answers is not None and len(known):
            at = torch.from_numpy(known)
            found = answer(self._seen.of(known)).T
            self._answers[at] = torch.lerp(self._answers[at], found, 1 - 0.5 ** (n_new / _HALF_LIFE))
        self.absorb(answer)
        if self._answers is not None:
            self._former.append((painted, self._answers.clone(), self._stamps.copy()))

    def absorb(self, answer: Answer) -> None:
        """Remember the model's answers for voxels of which none is known yet, once there are strokes enough."""
        new = np.setdiff1d(self._seen.filled, self._known)
        if not len(new) or self._painted is None or not self._painted.has_each(_LEAST_STROKES):
            return
        found = answer(self._seen.of(new)).T
        if self._answers is None:
            self._answers = torch.zeros(_CAPACITY, found.shape[1])
        self._answers[torch.from_numpy(new)] = found
        self._stamps[new] = self._seen.stamps[new]

    def forget(self) -> None:
        """Begin anew: what is answered next is what is remembered."""
        self._answers = None
        self._stamps = np.zeros_like(self._stamps)
        self._former.clear()

    @property
    def _known(self) -> np.ndarray:
        """Indices of the voxels whose answers are remembered."""
        return np.flatnonzero((self._stamps > 0) & (self._stamps == self._seen.stamps))

    def _return_to(self, painted: Painted) -> None:
        """The answers of a moment at which nothing was said that is taken back now, or none."""
        while self._former:
            then, answers, stamps = self._former.pop()
            if not painted.takes_back(then) and painted.classes == then.classes:
                self._painted, self._answers, self._stamps = then, answers, stamps
                return
        self.forget()

    def kept(self) -> torch.Tensor | None:
        """The answers (n, k) of all that was seen, if all are remembered; for the session that goes on."""
        filled = self._seen.filled
        if self._answers is None or len(filled) != len(self._known):
            return None
        return self._answers[torch.from_numpy(filled)]

    def restore(self, painted: Painted, answers: torch.Tensor) -> None:
        """Go on from an earlier session's answers for all that was seen in it, learnt from the same strokes."""
        filled = self._seen.filled
        self._painted, self._answers = painted, torch.zeros(_CAPACITY, answers.shape[1])
        self._answers[torch.from_numpy(filled)] = answers
        self._stamps[filled] = self._seen.stamps[filled]
