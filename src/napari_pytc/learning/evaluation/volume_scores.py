"""Scores on the held-out boxes of several volumes, in all and of each."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_pytc.geometry import Box
from napari_pytc.learning.evaluation.scoring import VolumeScorer
from napari_pytc.learning.prediction.predictor import BoxInferer
from napari_pytc.plans.normalisation import ImageNormalisation


@dataclass(frozen=True)
class ScoredVolume:
    """A volume with its scorer.

    Parameters
    ----------
    scorer : VolumeScorer
        Counts voxels of its held-out boxes.
    name : str
        Name of the volume.
    digest : str, optional
        Digest of its image's fingerprint.
    normalisation : ImageNormalisation
        That of the training.
    """

    scorer: VolumeScorer
    name: str
    digest: str | None
    normalisation: ImageNormalisation


def digest_of_truth(truth: Iterable[tuple[str | None, Box, np.ndarray]]) -> str:
    """A digest of labels: the digest of each image, a box of it, and the labels in it."""
    found = hashlib.sha256()
    for digest, box, labels in truth:
        found.update(f"{digest} {box} ".encode())
        found.update(labels.astype("<u8").tobytes())
    return found.hexdigest()[:16]


class Scorer:
    """Scorer of networks on the held-out boxes of all volumes.

    Voxels of all volumes are counted together for the score that decides; each volume has a score of its own beside it.

    Parameters
    ----------
    volumes : sequence of ScoredVolume
        At least one.
    """

    def __init__(self, volumes: Sequence[ScoredVolume]) -> None:
        self.volumes = tuple(volumes)
        self._n_blocks = [0] * len(self.volumes)

    @property
    def n_boxes(self) -> int:
        """Number of boxes that are predicted for a score; 0 where nothing can be scored."""
        return sum(volume.scorer.n_boxes for volume in self.volumes)

    def score(self, inferer: BoxInferer, check: Callable[[], None] = lambda: None) -> dict[str, Any]:
        """``dice`` and ``iou`` by name, and the ``mean`` that decides which weights are the best.

        Parameters
        ----------
        check : callable
            Called before each box; raises to give up.
        """
        return self.summary(self.count(inferer, check).sum(axis=0))

    def count(
        self,
        inferer: BoxInferer,
        check: Callable[[], None] = lambda: None,
        normalisations: Sequence[ImageNormalisation] | None = None,
    ) -> np.ndarray:
        """Counts that a score is made of, (blocks, ...), those of one volume after those of another.

        The blocks are the same whatever the network; blocks add up.

        Parameters
        ----------
        normalisations : sequence of ImageNormalisation, optional
            Of each volume, by default those of the training.
        """
        found = []
        for number, volume in enumerate(self.volumes):
            normalisation = volume.normalisation if normalisations is None else normalisations[number]
            found.append(volume.scorer.count(inferer, check, normalisation))
        self._n_blocks = [len(counts) for counts in found]
        return np.concatenate(found)

    def summary(self, sums: np.ndarray) -> dict[str, Any]:
        """The score of counts that were added up over blocks."""
        found = self.volumes[0].scorer.summary(sums)
        if len(self.volumes) > 1:
            found["boxes"] = [
                f"{volume.name}: {box}" for volume in self.volumes for box in volume.scorer.summary(sums)["boxes"]
            ]
        return found

    def means(self, sums: np.ndarray) -> np.ndarray:
        """The mean scores of several such sums (n, ...); nan where a sum holds nothing to score."""
        return self.volumes[0].scorer.means(sums)

    def truth_digest(self) -> str:
        """A digest of images, boxes and labels that count: models of the same digest were scored on the same truth."""
        return digest_of_truth((volume.digest, *found) for volume in self.volumes for found in volume.scorer.truth())

    def by_volume(self, counts: np.ndarray) -> dict[str, dict[str, Any]]:
        """The score of each volume by its name, of the counts that `count` returned last.

        Empty for a single volume; volumes without annotated held-out voxels are left out.
        """
        if len(self.volumes) == 1:
            return {}
        parts = np.split(counts, np.cumsum(self._n_blocks)[:-1])
        return {
            volume.name: volume.scorer.summary(part.sum(axis=0))
            for volume, part in zip(self.volumes, parts, strict=True)
            if len(part)
        }
