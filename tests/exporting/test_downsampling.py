from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_pytc.exporting.downsampling import downsample


def by_hand(data: np.ndarray, steps, lead, method: str) -> np.ndarray:
    """Window by window, with nothing but Python."""
    n = [-(-(a + b) // s) for a, b, s in zip(lead, data.shape, steps, strict=True)]
    result = np.zeros(n, data.dtype)
    for where in np.ndindex(*n):
        starts = [max(0, w * s - a) for w, s, a in zip(where, steps, lead, strict=True)]
        stops = [(w + 1) * s - a for w, s, a in zip(where, steps, lead, strict=True)]
        window = data[tuple(slice(a, b) for a, b in zip(starts, stops, strict=True))].ravel().tolist()
        if method == "mean":
            result[where] = np.round(np.mean(window)) if data.dtype.kind in "iu" else np.mean(window)
        else:
            counts = Counter(window)
            result[where] = min(k for k, c in counts.items() if c == max(counts.values()))
    return result


shapes = st.tuples(st.integers(1, 5), st.integers(1, 7), st.integers(1, 7))
pairs = st.tuples(*[st.integers(1, 2)] * 3)


@given(st.data(), shapes, pairs, pairs, st.sampled_from(["uint8", "uint32", "uint64"]))
def test_the_mode_is_the_most_frequent_label_and_the_smallest_of_several(data, shape, steps, leads, dtype) -> None:
    lead = [min(a - 1, s - 1) for a, s in zip(leads, steps, strict=True)]
    labels = data.draw(hnp.arrays(dtype, shape, elements=st.integers(0, 3)))
    np.testing.assert_array_equal(downsample(labels, steps, "mode", lead), by_hand(labels, steps, lead, "mode"))


@given(st.data(), shapes, pairs, pairs, st.sampled_from(["uint8", "uint16", "int16"]))
def test_the_mean_counts_the_voxels_that_there_are(data, shape, steps, leads, dtype) -> None:
    lead = [min(a - 1, s - 1) for a, s in zip(leads, steps, strict=True)]
    image = data.draw(hnp.arrays(dtype, shape, elements=st.integers(0, 100)))
    np.testing.assert_array_equal(downsample(image, steps, "mean", lead), by_hand(image, steps, lead, "mean"))


def test_ids_near_the_end_of_uint64_stay_themselves() -> None:
    labels = np.full((2, 2, 4), 2**64 - 3, np.uint64)
    labels[0, 0, 0] = 5
    assert downsample(labels, (2, 2, 2), "mode").tolist() == [[[2**64 - 3, 2**64 - 3]]]


@pytest.mark.parametrize("method", ["mean", "mode"])
def test_threads_and_channels_change_nothing(method: str) -> None:
    data = np.random.default_rng(0).integers(0, 5, (2, 9, 900, 700)).astype(np.uint8)
    with ThreadPoolExecutor(2) as pool:
        together = downsample(data, (2, 2, 2), method, (1, 0, 1), pool)
    assert together.shape == (2, 5, 450, 351)
    for channel, one in zip(together, data, strict=True):
        np.testing.assert_array_equal(channel, downsample(one, (2, 2, 2), method, (1, 0, 1)))


def test_floats_keep_their_type_and_their_mean() -> None:
    image = np.arange(8, dtype=np.float32).reshape(2, 2, 2)
    found = downsample(image, (2, 2, 2), "mean")
    assert (found.dtype, found.item()) == (np.float32, 3.5)
