"""Agreement of two partitions into instances: variation of information and adapted Rand error.

Sources: Meila, "Comparing clusterings by the variation of information" (2003); Nunez-Iglesias et al., "Machine learning
of hierarchical clustering to segment 2D and 3D images" (2013); Arganda-Carreras et al., "Crowdsourcing the creation of
image segmentation algorithms for connectomics" (2015).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from napari_pytc.errors import InvalidInput

_MERGE_AT = 1 << 20


@dataclass(frozen=True, slots=True)
class _Pairs:
    """Distinct (predicted, truth) pairs and the number of voxels of each; three arrays of one length."""

    predicted: np.ndarray
    truth: np.ndarray
    count: np.ndarray

    def summed(self) -> _Pairs:
        """The same counts with every pair once, sorted by truth, then prediction."""
        order = np.lexsort((self.predicted, self.truth))
        predicted, truth, count = self.predicted[order], self.truth[order], self.count[order]
        if not len(count):
            return self
        new = np.flatnonzero(np.r_[True, (predicted[1:] != predicted[:-1]) | (truth[1:] != truth[:-1])])
        return _Pairs(predicted[new], truth[new], np.add.reduceat(count, new))


class ContingencyTable:
    """A sparse table of the voxels that each predicted segment shares with each true one.

    Its size depends on the number of overlapping pairs, not on that of voxels or on how large the ids are.
    """

    def __init__(self) -> None:
        self._parts: list[_Pairs] = []
        self._n_pending = 0

    def add(self, predicted: np.ndarray, truth: np.ndarray) -> None:
        """Count the voxels of a block: two integer arrays of the same shape, ids from 0."""
        if predicted.shape != truth.shape:
            raise InvalidInput(f"Prediction and truth must have one shape, got {predicted.shape} and {truth.shape}.")
        if not predicted.size:
            return
        p, t = _as_ids(predicted, "prediction"), _as_ids(truth, "truth")
        # Labels come in long runs along x: sorting runs instead of voxels is several times faster.
        start = np.flatnonzero(np.r_[True, (p[1:] != p[:-1]) | (t[1:] != t[:-1])])
        length = np.diff(np.r_[start, p.size])
        self.add_overlaps(p[start], t[start], length)

    def add_overlaps(self, predicted: np.ndarray, truth: np.ndarray, count: np.ndarray) -> None:
        """Add voxels that were counted before, as by `overlaps` of pieces that are called by other ids now.

        Parameters
        ----------
        predicted, truth, count : ndarray, shape (n,)
            Ids from 0 and the number of voxels of each pair; pairs may repeat.
        """
        part = _Pairs(predicted.astype(np.uint64), truth.astype(np.uint64), count.astype(np.int64)).summed()
        self._parts.append(part)
        self._n_pending += len(part.count)
        if self._n_pending > _MERGE_AT:
            # A larger table waits for more before it is merged again, so that merging stays linear overall.
            self._n_pending = -len(self._merge().count)

    def _merge(self) -> _Pairs:
        if len(self._parts) != 1:
            columns = [(part.predicted, part.truth, part.count) for part in self._parts]
            empty = (np.zeros(0, np.uint64), np.zeros(0, np.uint64), np.zeros(0, np.int64))
            self._parts = [_Pairs(*(np.concatenate(column) for column in zip(empty, *columns, strict=True))).summed()]
        return self._parts[0]

    def overlaps(self, ignore: int | None = None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Predicted ids, true ids and voxel counts of all overlapping pairs; a truth id may be left out."""
        table = self._merge()
        keep = np.ones(len(table.count), bool) if ignore is None else table.truth != ignore
        return table.predicted[keep], table.truth[keep], table.count[keep]

    def variation_of_information(self, ignore: int | None = None) -> tuple[float, float]:
        """Split H(predicted | truth) and merge H(truth | predicted), in bits.

        Parameters
        ----------
        ignore : int, optional
            Truth id whose voxels are left out.

        Returns
        -------
        split, merge : float
            The first grows where true segments are cut apart, the second where they are joined; nan without voxels.
        """
        predicted, truth, count = self.overlaps(ignore)
        n = int(count.sum())
        if not n:
            return math.nan, math.nan
        joint = count / n
        in_truth = _sums(truth, count)[_inverse(truth)] / n
        in_predicted = _sums(predicted, count)[_inverse(predicted)] / n
        # Conditional entropies are at least 0; rounding may leave a -0.0.
        split = max(0.0, float(-(joint * np.log2(joint / in_truth)).sum()))
        merge = max(0.0, float(-(joint * np.log2(joint / in_predicted)).sum()))
        return split, merge

    def adapted_rand_error(self, ignore: int | None = 0) -> float:
        """1 - F score of pairs of voxels that are in one segment in both; 0 is perfect, nan without voxels.

        Parameters
        ----------
        ignore : int, optional
            Truth id whose voxels are left out.
        """
        predicted, truth, count = self.overlaps(ignore)
        if not count.sum():
            return math.nan
        both, of_predicted, of_truth = (_n_pairs(c) for c in (count, _sums(predicted, count), _sums(truth, count)))
        # Without any pair, every voxel is a segment of its own in both: they agree.
        return 1 - 2 * both / (of_predicted + of_truth) if of_predicted + of_truth else 0.0


def _inverse(ids: np.ndarray) -> np.ndarray:
    return np.unique(ids, return_inverse=True)[1].reshape(-1)


def _sums(ids: np.ndarray, count: np.ndarray) -> np.ndarray:
    return np.bincount(_inverse(ids), weights=count)


def _n_pairs(sizes: np.ndarray) -> float:
    # In floating point: the square of a terabyte's voxel count passes 64 bits.
    sizes = sizes.astype(np.float64)
    return float((sizes * (sizes - 1)).sum())


def _as_ids(labels: np.ndarray, role: str) -> np.ndarray:
    if labels.dtype.kind not in "bui":
        raise InvalidInput(
            f"Instances must be integers, but the {role} holds {labels.dtype}.", "Give a label volume of instances."
        )
    if labels.dtype.kind == "i" and labels.size and labels.min() < 0:
        raise InvalidInput(f"Instance ids must be 0 or more, but the {role} holds {labels.min()}.")
    return labels.reshape(-1)
