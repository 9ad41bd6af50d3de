"""One voxel of several: their mean, or the label that most of them have."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from functools import partial
from typing import Literal

import numpy as np
import tensorstore as ts

from napari_pytc.geometry import Shape

Method = Literal["mean", "mode"]
_SLAB_VOXELS = 2**18
"""About how many voxels a thread takes at a time."""


def downsample(
    data: np.ndarray, steps: Shape, method: Method, lead: Sequence[int] = (0, 0, 0), pool: Executor | None = None
) -> np.ndarray:
    """An array in which each window of `steps` voxels is one.

    Windows at the ends that are not whole count the voxels that they have. Of labels that are equally frequent the
    smallest wins, so the background does.

    Parameters
    ----------
    data : ndarray, shape (z, y, x) or (c, z, y, x)
        Channels are treated apart.
    steps : tuple of int
        Voxels along z, y, x that become one.
    lead : sequence of int
        Voxels that the first window lacks in front.
    pool : Executor, optional
        Threads to share the work.

    Returns
    -------
    ndarray
        Of the same type; a mean is rounded.
    """
    if data.ndim == 4:
        return np.stack([downsample(channel, steps, method, lead, pool) for channel in data])
    n_windows = max(1, _SLAB_VOXELS // max(1, data.shape[1] * data.shape[2] * steps[0]))
    starts = range(-lead[0], data.shape[0], n_windows * steps[0])
    slabs = [data[max(0, start) : start + n_windows * steps[0]] for start in starts]
    leads = [(lead[0] if k == 0 else 0, lead[1], lead[2]) for k in range(len(slabs))]
    reduce = partial(_reduce, steps=steps, method=method)
    return np.concatenate(list((pool.map if pool else map)(reduce, slabs, leads)))


def _reduce(data: np.ndarray, lead: tuple[int, int, int], steps: Shape, method: Method) -> np.ndarray:
    if method == "mean" and data.dtype not in (np.uint8, np.uint16):
        return _by_tensorstore(data, lead, steps, "mean")
    pad = [(a, -(a + n) % s) for a, n, s in zip(lead, data.shape, steps, strict=True)]
    if any(a or b for a, b in pad):
        # With two voxels a window, doubling the one that is there counts as it alone does.
        data = np.pad(data, pad, mode="edge")
    return (_mode if method == "mode" else _mean)(np.ascontiguousarray(data), steps)


def _by_tensorstore(data: np.ndarray, lead: Sequence[int], steps: Sequence[int], method: Method) -> np.ndarray:
    array = ts.array(np.ascontiguousarray(data))[ts.d[:].translate_to[list(lead)]]
    return np.asarray(ts.downsample(array, list(steps), method).read().result())


def _mean(data: np.ndarray, steps: Shape) -> np.ndarray:
    """Rounded means of uint8 and uint16, halves to the even number so that levels do not grow brighter."""
    n = steps[0] * steps[1] * steps[2]
    wide = np.uint16 if data.dtype == np.uint8 else np.uint32
    total: np.ndarray | None = None
    for row in _rows(_pairs(data, steps), steps):
        part = row.astype(wide) if steps[2] == 1 else (row & wide(_mask(data))) + (row >> wide(_bits(data)))
        total = part if total is None else np.add(total, part, out=total)
    assert total is not None
    if n > 1:
        shift = n.bit_length() - 1
        total += (total >> wide(shift)) & wide(1)
        total += wide(n // 2 - 1)
        total >>= wide(shift)
    return total.astype(data.dtype)


def _mode(data: np.ndarray, steps: Shape) -> np.ndarray:
    """Most frequent labels: most windows lie within one segment, so only the others are counted."""
    pairs = _pairs(data, steps)
    if pairs is not data or steps[2] == 1:
        first, *others = _rows(pairs, steps)
        result = first.astype(data.dtype)  # of a pair the lower half, which is the left one
        is_mixed = np.zeros(result.shape, bool)
        if pairs is not data:
            wide = pairs.dtype.type
            is_mixed = (first & wide(_mask(data))) != (first >> wide(_bits(data)))
    else:
        first, *others = [row for x in range(2) for row in _rows(data[..., x::2], steps)]
        result = np.ascontiguousarray(first)
        is_mixed = np.zeros(result.shape, bool)
    for other in others:
        is_mixed |= other != first
    mixed = np.nonzero(is_mixed)
    if len(mixed[0]):
        # Few windows: fetched one by one, which costs less than a mask over every view.
        corners = list(np.ndindex(*steps))
        start = np.ravel_multi_index([n * s for n, s in zip(mixed, steps, strict=True)], data.shape)
        offsets = [np.ravel_multi_index(corner, data.shape) for corner in corners]
        voxels = data.reshape(-1).take(start[:, None] + np.array(offsets))
        result[mixed] = _by_tensorstore(voxels, (0, 0), (1, len(corners)), "mode")[:, 0]
    return result


def _pairs(data: np.ndarray, steps: Shape) -> np.ndarray:
    """Neighbours along x as one number of twice the width, so that one operation takes both; else the data."""
    if steps[2] == 2 and data.dtype.kind == "u" and data.dtype.itemsize < 8:
        return data.view(f"<u{2 * data.dtype.itemsize}")
    return data


def _rows(data: np.ndarray, steps: Shape) -> list[np.ndarray]:
    """The rows along x that become one."""
    return [data[z :: steps[0], y :: steps[1]] for z in range(steps[0]) for y in range(steps[1])]


def _bits(data: np.ndarray) -> int:
    return 8 * data.dtype.itemsize


def _mask(data: np.ndarray) -> int:
    return (1 << _bits(data)) - 1
