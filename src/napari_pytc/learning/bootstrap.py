"""Intervals of scores by drawing blocks again and again (Efron and Tibshirani 1993, An Introduction to the Bootstrap).

Voxels of one object share its luck, so that an interval from single voxels would be far too narrow: whole blocks are
drawn. Two models are compared on the same draws, which takes out how hard a block is for both.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

N_DRAWS = 2000
_LEVEL = (2.5, 97.5)

Mean = Callable[[np.ndarray], np.ndarray]
"""From sums of counts (n, ...) to mean scores (n,); nan where a sum holds nothing to score."""


def interval(counts: np.ndarray, mean: Mean, seed: int = 0) -> tuple[float, float] | None:
    """The percentile interval (95 %) of a score.

    Parameters
    ----------
    counts : ndarray
        (blocks, ...), what was counted in each block; counts of several blocks add up.
    mean : callable
        The score of such sums.

    Returns
    -------
    tuple of float or None
        Low and high; None where no draw holds anything to score.
    """
    return _percentiles(mean(_draws(counts, _weights(len(counts), seed))))


def difference_interval(
    counts: np.ndarray, baseline: np.ndarray, mean: Mean, seed: int = 0
) -> tuple[float, float] | None:
    """The interval of the score of `counts` less that of `baseline`, both of the same blocks; as `interval`."""
    weights = _weights(len(counts), seed)
    return _percentiles(mean(_draws(counts, weights)) - mean(_draws(baseline, weights)))


def _weights(n_blocks: int, seed: int) -> np.ndarray:
    """How often each draw took each block, (draws, blocks)."""
    return np.random.default_rng(seed).multinomial(n_blocks, np.full(n_blocks, 1 / n_blocks), N_DRAWS).astype(float)


def _draws(counts: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return np.tensordot(weights, counts.astype(float), axes=1)


def _percentiles(values: np.ndarray) -> tuple[float, float] | None:
    known = values[np.isfinite(values)]
    if not len(known):
        return None
    low, high = np.percentile(known, _LEVEL)
    return float(low), float(high)
