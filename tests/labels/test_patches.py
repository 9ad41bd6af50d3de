from __future__ import annotations

import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_pytc.errors import InvalidInput, ProjectError
from napari_pytc.geometry import Box
from napari_pytc.labels.patches import LabelPatch

BOX = Box((2, 3, 4), (5, 9, 11))


def two_arrays(seed: int, density: float, n_labels: int = 4, dtype: str = "uint32") -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    before = rng.integers(0, n_labels, BOX.shape).astype(dtype)
    after = np.where(rng.random(BOX.shape) < density, rng.integers(0, n_labels, BOX.shape), before).astype(dtype)
    return before, after


@given(st.integers(0, 1000), st.floats(0, 1), st.sampled_from(["uint8", "uint16", "uint32", "int64"]))
def test_a_patch_and_its_bytes_lead_there_and_back(seed: int, density: float, dtype: str):
    before, after = two_arrays(seed, density, dtype=dtype)
    patch = LabelPatch.between(BOX, before, after)
    if patch is None:
        assert np.array_equal(before, after)
        return
    assert patch.n_voxels == np.count_nonzero(before != after)
    again = LabelPatch.from_bytes(patch.to_bytes())
    assert again.before.dtype == again.after.dtype == np.dtype(dtype)
    for found in (patch, again):
        labels = before.copy()
        found.apply_to(labels, BOX.start)
        assert np.array_equal(labels, after)
        found.inverse().apply_to(labels, BOX.start)
        assert np.array_equal(labels, before)


def test_its_box_is_as_small_as_can_be():
    before, after = np.zeros(BOX.shape, np.uint8), np.zeros(BOX.shape, np.uint8)
    after[1, 2, 3] = after[1, 4, 5] = 7
    patch = LabelPatch.between(BOX, before, after)
    assert patch is not None
    assert patch.box == Box((3, 5, 7), (4, 8, 10))
    assert LabelPatch.between(BOX, before, before) is None


@given(st.integers(0, 200), st.tuples(*[st.integers(-6, 14)] * 3), st.tuples(*[st.integers(1, 8)] * 3))
def test_what_lies_outside_of_an_array_is_left_out(seed: int, origin: tuple[int, ...], shape: tuple[int, ...]):
    before, after = two_arrays(seed, 0.5)
    patch = LabelPatch.between(BOX, before, after)
    assert patch is not None
    volume = np.zeros((30, 30, 30), np.uint32)
    volume[Box.of_shape((30, 30, 30)).relative_to((-8, -8, -8)).intersect(BOX.shift((8, 8, 8))).slices] = before
    expected = volume.copy()
    patch.apply_to(expected, (-8, -8, -8))
    window = Box.at(origin, shape)
    inside = window.shift((8, 8, 8)).slices
    part = volume[inside].copy()
    patch.apply_to(part, window.start)
    assert np.array_equal(part, expected[inside])


@pytest.mark.parametrize("case", ["scattered", "line", "full", "noise"])
def test_its_bytes_follow_the_changed_voxels(case: str):
    rng = np.random.default_rng(1)
    box = Box.at((0, 0, 0), (16, 200, 200))
    before = rng.integers(1, 2**31, box.shape).astype(np.uint32) if case == "noise" else np.ones(box.shape, np.uint32)
    after = before.copy()
    if case == "line":
        after[8, np.arange(200), np.arange(200)] = 5
    elif case == "full":
        after[:] = 6
    else:
        chosen = rng.random(box.shape) < 0.001
        after[chosen] = rng.integers(1, 2**31, np.count_nonzero(chosen))
    patch = LabelPatch.between(box, before, after)
    assert patch is not None
    assert len(_content(patch)) <= 16 * patch.n_voxels + 100
    again = LabelPatch.from_bytes(patch.to_bytes())
    assert np.array_equal(again.mask, patch.mask)
    assert np.array_equal(again.after, patch.after)


def _content(patch: LabelPatch) -> bytes:
    data = patch.to_bytes()
    start = data.index(b"\x78\x01", 50)  # where the deflated part begins
    return zlib.decompress(data[start:])


def test_what_does_not_fit_together_is_refused():
    mask = np.ones((1, 1, 2), bool)
    with pytest.raises(InvalidInput, match="needs a mask of shape"):
        LabelPatch(Box((0, 0, 0), (1, 1, 2)), mask, np.zeros(1, np.uint8), np.zeros(2, np.uint8))
    with pytest.raises(InvalidInput, match="one type"):
        LabelPatch(Box((0, 0, 0), (1, 1, 2)), mask, np.zeros(2, np.uint8), np.zeros(2, np.uint16))


def test_damage_is_an_error_in_a_sentence():
    before, after = two_arrays(0, 0.5)
    patch = LabelPatch.between(BOX, before, after)
    assert patch is not None
    data = patch.to_bytes()
    for broken in (b"", data[:30], b"XX" + data[2:], data[:-5], data[:70] + b"\0" * (len(data) - 70)):
        with pytest.raises(ProjectError, match="damaged"):
            LabelPatch.from_bytes(broken)
