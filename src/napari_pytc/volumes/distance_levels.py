"""Distances in classes: level 0 is the background, -1; of n others the k-th is what lies from (k - 1) / n to k / n.

::

    distance   -1        0 .. 1/n    1/n .. 2/n         (n-1)/n .. 1
    level       0           1            2        ...        n
    stands for -1        0.5/n        1.5/n       ...     (n-0.5)/n
"""

from __future__ import annotations

import numpy as np


def quantised(distances: np.ndarray, n_levels: int) -> np.ndarray:
    """The level of each distance, uint8: 0 below 0, else 1 to `n_levels`.

    Parameters
    ----------
    distances : ndarray
        0 to 1 in objects, below 0 in the background.
    """
    level = 1 + np.floor(np.asarray(distances) * n_levels).astype(np.int64)
    return np.where(np.asarray(distances) < 0, 0, level.clip(1, n_levels)).astype(np.uint8)


def level_values(n_levels: int) -> np.ndarray:
    """What each level stands for, float32 (n_levels + 1,)."""
    return np.concatenate([[-1.0], (np.arange(n_levels) + 0.5) / n_levels]).astype(np.float32)


def distance_of_levels(probabilities: np.ndarray) -> np.ndarray:
    """The distance that is expected by the probabilities of its levels (n_levels + 1, ...), float32.

    They need not add up to 1; where all are 0 nothing is known, which is -1.
    """
    values = level_values(len(probabilities) - 1)
    total = probabilities.sum(axis=0)
    expected = np.tensordot(values, probabilities, axes=1)
    return np.divide(expected, total, out=np.full(total.shape, -1, np.float32), where=total > 0, casting="unsafe")
