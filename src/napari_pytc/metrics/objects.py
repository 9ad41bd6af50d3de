"""Agreement of whole objects: counts of those found at a given overlap."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import maximum_bipartite_matching

from napari_pytc.errors import InvalidInput
from napari_pytc.metrics.partitions import ContingencyTable

THRESHOLDS = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
"""The ten thresholds of the COCO and Data Science Bowl challenges."""


@dataclass(frozen=True, slots=True)
class ObjectScore:
    """Objects found (TP), invented (FP) and missed (FN) at one IoU threshold."""

    threshold: float
    n_found: int
    n_invented: int
    n_missed: int

    @property
    def average_precision(self) -> float:
        """TP / (TP + FP + FN), as in the Data Science Bowl 2018; nan without any object."""
        n = self.n_found + self.n_invented + self.n_missed
        return self.n_found / n if n else math.nan


def average_precision(
    table: ContingencyTable,
    thresholds: Sequence[float] = THRESHOLDS,
    ignore: int | None = None,
    objects: tuple[Sequence[int], Sequence[int]] | None = None,
) -> list[ObjectScore]:
    """Match predicted to true objects one to one at each IoU threshold; id 0 is background in both.

    Parameters
    ----------
    table : ContingencyTable
        The overlaps of the two label volumes.
    thresholds : sequence of float
        Smallest intersection over union of a match, in (0, 1].
    ignore : int, optional
        Truth id whose voxels are left out; with 0, what was predicted outside of all true objects costs nothing.
    objects : pair of sequences of int, optional
        The predicted and the true objects to match, as those of one class; all by default.
    """
    if not all(0 < t <= 1 for t in thresholds):
        raise InvalidInput(f"IoU thresholds lie above 0 and at most at 1, got {tuple(thresholds)}.")
    predicted, truth, count = table.overlaps(ignore)
    p_ids, p = np.unique(predicted, return_inverse=True)
    t_ids, t = np.unique(truth, return_inverse=True)
    p_size, t_size = np.bincount(p, weights=count), np.bincount(t, weights=count)
    is_p, is_t = p_ids != 0, t_ids != 0
    if objects is not None:
        is_p, is_t = (
            known & np.isin(ids, np.array(chosen, np.uint64))
            for known, ids, chosen in zip((is_p, is_t), (p_ids, t_ids), objects, strict=True)
        )
    both = is_p[p] & is_t[t]
    p, t, common = p[both], t[both], count[both]
    iou = common / (p_size[p] + t_size[t] - common)
    n_predicted, n_true = int(is_p.sum()), int(is_t.sum())
    scores = []
    for threshold in thresholds:
        good = iou >= threshold
        n_found = _n_matched(p[good], t[good])
        scores.append(ObjectScore(float(threshold), n_found, n_predicted - n_found, n_true - n_found))
    return scores


def classes_of_objects(votes: ContingencyTable) -> dict[int, int]:
    """The class of most voxels of each object, not counting 0; 0 where no voxel has one. Of equals the lowest.

    Parameters
    ----------
    votes : ContingencyTable
        Objects as the prediction, classes as the truth.
    """
    ids, classes, count = votes.overlaps()
    # Sorted so that the last entry of an object is the one that wins.
    order = np.lexsort((-classes.astype(np.int64), np.where(classes == 0, 0, count), ids))
    return {int(k): int(number) for k, number in zip(ids[order], classes[order], strict=True) if k}


def _n_matched(p: np.ndarray, t: np.ndarray) -> int:
    """Size of the largest one-to-one matching among the allowed pairs."""
    if not len(p):
        return 0
    # Above an IoU of 0.5 an object has one partner at most; below, partners compete.
    graph = coo_array((np.ones(len(p), np.int8), (_renumber(p), _renumber(t)))).tocsr()
    partner = maximum_bipartite_matching(graph, perm_type="column")
    return int((partner >= 0).sum())


def _renumber(ids: np.ndarray) -> np.ndarray:
    return np.unique(ids, return_inverse=True)[1].astype(np.int32)
