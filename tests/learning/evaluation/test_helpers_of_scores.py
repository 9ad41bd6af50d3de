"""Pure functions that scores are made of."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_pytc.geometry import Box
from napari_pytc.learning.evaluation.evaluation import difference_interval, interval
from napari_pytc.learning.evaluation.instance_scoring import group_of
from napari_pytc.learning.evaluation.scoring import chosen_boxes, hull_of_labels, mean_of_known
from napari_pytc.volumes.channels import AffinityRole, BoundaryRole, ClassRole, DistanceRole

values = hnp.arrays(
    float, hnp.array_shapes(min_dims=1, max_dims=2, max_side=5), elements=st.sampled_from([0.0, 0.25, 1.0, np.nan])
)


@given(values)
def test_the_mean_of_what_is_known_leaves_nan_out(array: np.ndarray) -> None:
    found = mean_of_known(array)
    for row, mean in zip(array.reshape(-1, array.shape[-1]), np.atleast_1d(found), strict=True):
        known = row[~np.isnan(row)]
        assert mean == pytest.approx(known.mean() if len(known) else np.nan, nan_ok=True)


@given(hnp.arrays(np.uint8, st.tuples(*[st.integers(1, 6)] * 3), elements=st.integers(0, 2)))
def test_the_hull_of_labels_is_the_smallest_box_around_them(labels: np.ndarray) -> None:
    labels.flat[0] = 1  # something is labelled
    box = Box.at((10, 20, 30), labels.shape)
    hull = hull_of_labels(labels, box)
    assert box.contains(hull)
    inside = hull.relative_to(box.start)
    assert np.count_nonzero(labels[inside.slices]) == np.count_nonzero(labels)
    part = labels[inside.slices]
    for axis in range(3):
        assert part.take(0, axis).any()
        assert part.take(-1, axis).any()


@settings(max_examples=50)
@given(
    st.lists(st.tuples(*[st.integers(1, 9)] * 3), min_size=1, max_size=8),
    st.integers(1, 600),
)
def test_boxes_are_chosen_up_to_so_many_voxels_and_always_the_same(shapes: list[tuple[int, ...]], most: int) -> None:
    boxes = [Box.at((0, 0, 20 * n), shape) for n, shape in enumerate(shapes)]
    chosen = chosen_boxes(boxes, most)
    assert chosen == chosen_boxes(boxes, most)
    assert len(chosen) >= 1
    assert all(any(box.contains(one) for box in boxes) for one in chosen)
    assert not any(a.overlaps(b) for n, a in enumerate(chosen) for b in chosen[:n])
    assert sum(box.size for box in chosen) <= most or len(chosen) == 1
    if sum(box.size for box in boxes) <= most:
        assert sorted(chosen) == sorted(boxes)


def test_a_box_that_is_too_large_is_cut_to_its_middle() -> None:
    (cut,) = chosen_boxes([Box((10, 10, 10), (30, 30, 30))], 1000)
    assert cut == Box((15, 15, 15), (25, 25, 25))


def mean_of(sums: np.ndarray) -> np.ndarray:
    """Right over all; nan where there is nothing."""
    return np.where(sums[:, 1] > 0, sums[:, 0] / np.maximum(sums[:, 1], 1), np.nan)


def test_blocks_that_all_say_the_same_have_an_interval_of_one_point() -> None:
    counts = np.tile([[3, 4]], (10, 1))
    low, high = interval(counts, mean_of)
    assert low == pytest.approx(0.75)
    assert high == pytest.approx(0.75)


@settings(max_examples=20)
@given(hnp.arrays(int, st.tuples(st.integers(2, 12), st.just(1)), elements=st.integers(0, 10)), st.integers(0, 5))
def test_an_interval_lies_around_the_mean_within_the_extremes(right: np.ndarray, seed: int) -> None:
    counts = np.concatenate([right, np.full_like(right, 10)], axis=1)
    low, high = interval(counts, mean_of, seed)
    whole = float(mean_of(counts.sum(axis=0)[None])[0])
    assert right.min() / 10 - 1e-9 <= low <= whole + 1e-9
    assert whole - 1e-9 <= high <= right.max() / 10 + 1e-9
    assert (low, high) == interval(counts, mean_of, seed)


def test_the_difference_of_a_model_and_itself_is_nothing_and_turns_its_sign() -> None:
    rng = np.random.default_rng(0)
    one = np.stack([rng.integers(0, 10, 12), np.full(12, 10)], axis=1)
    other = np.stack([rng.integers(0, 10, 12), np.full(12, 10)], axis=1)
    assert difference_interval(one, one, mean_of) == (0.0, 0.0)
    low, high = difference_interval(one, other, mean_of)
    turned = difference_interval(other, one, mean_of)
    assert turned == pytest.approx((-high, -low))


def test_where_nothing_can_be_scored_there_is_no_interval() -> None:
    nothing = np.zeros((5, 2))
    assert interval(nothing, mean_of) is None
    assert difference_interval(nothing, nothing, mean_of) is None


@pytest.mark.parametrize(
    ("role", "group"),
    [
        (AffinityRole(offset=(-1, 0, 0)), "near affinities"),
        (AffinityRole(offset=(0, 0, 1)), "near affinities"),
        (AffinityRole(offset=(0, -3, 0)), "far affinities"),
        (AffinityRole(offset=(0, 1, 1)), "far affinities"),
        (BoundaryRole(), "boundary"),
        (ClassRole(name="foreground"), "foreground"),
        (DistanceRole(reach_nm=5), "distance"),
    ],
)
def test_channels_are_scored_in_groups(role: AffinityRole, group: str) -> None:
    assert group_of(role) == group
