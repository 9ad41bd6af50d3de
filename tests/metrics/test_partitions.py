from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.metrics import adapted_rand_error, variation_of_information

from napari_pytc.errors import InvalidInput
from napari_pytc.metrics import ContingencyTable, partitions


def table_of(predicted: np.ndarray, truth: np.ndarray) -> ContingencyTable:
    table = ContingencyTable()
    table.add(predicted, truth)
    return table


@settings(max_examples=100, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    shape=st.tuples(st.integers(1, 5), st.integers(2, 6), st.integers(2, 9)),
    n_predicted=st.integers(1, 8),
    n_truth=st.integers(1, 8),
    ignore=st.sampled_from([None, 0, 1, 3]),
)
def test_equal_to_skimage(seed: int, shape: tuple[int, ...], n_predicted: int, n_truth: int, ignore: int | None):
    rng = np.random.default_rng(seed)
    predicted, truth = rng.integers(0, n_predicted, shape), rng.integers(0, n_truth, shape)
    left_out = [] if ignore is None else [ignore]
    if np.isin(truth, left_out).all():
        truth.flat[:2] = 7
    table = table_of(predicted, truth)
    # skimage: image0 is the truth (ignore_labels are its ids), and H(image1 | image0) comes first.
    assert table.variation_of_information(ignore) == pytest.approx(
        tuple(variation_of_information(truth, predicted, ignore_labels=left_out)), abs=1e-9
    )
    kept = ~np.isin(truth, left_out)
    with np.errstate(invalid="ignore"):
        expected = adapted_rand_error(truth, predicted, ignore_labels=left_out)[0] if kept.sum() > 1 else 0.0
    if math.isnan(expected):  # skimage divides 0 by 0 where every segment is one voxel
        expected = 0.0
    assert table.adapted_rand_error(ignore) == pytest.approx(expected, abs=1e-9)


def test_split_and_merge_are_scored_apart():
    truth = np.array([1, 1, 1, 1])
    cut = np.array([1, 1, 2, 2])
    assert table_of(cut, truth).variation_of_information() == pytest.approx((1.0, 0.0))
    assert table_of(truth, cut).variation_of_information() == pytest.approx((0.0, 1.0))


def test_renaming_segments_changes_nothing():
    truth = np.repeat(np.arange(4), 5)
    renamed = np.array([2**63, 7, 2**40, 0], np.uint64)[truth]
    table = table_of(renamed, truth)
    assert table.variation_of_information() == (0.0, 0.0)
    assert table.adapted_rand_error(None) == pytest.approx(0.0)


def test_ignoring_all_there_is_gives_nan():
    table = table_of(np.array([1, 2]), np.array([0, 0]))
    assert all(math.isnan(v) for v in table.variation_of_information(0))
    assert math.isnan(table.adapted_rand_error(0))


def test_every_voxel_its_own_segment_in_both_is_perfect():
    assert table_of(np.arange(5), np.arange(5)).adapted_rand_error(None) == 0.0


def test_blocks_add_up_and_the_table_is_merged_meanwhile(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(partitions, "_MERGE_AT", 20)
    rng = np.random.default_rng(0)
    truth, predicted = rng.integers(0, 6, (2, 30, 5, 10))
    parts = ContingencyTable()
    for z in range(30):
        parts.add(predicted[z], truth[z])
        assert sum(len(part.count) for part in parts._parts) <= 2 * 36 + 20 + 36
    for ours, whole in zip(parts.overlaps(), table_of(predicted, truth).overlaps(), strict=True):
        assert np.array_equal(ours, whole)


def test_empty_blocks_add_nothing():
    table = table_of(np.zeros((0, 3), int), np.zeros((0, 3), int))
    assert math.isnan(table.variation_of_information()[0])


@pytest.mark.parametrize("bad", [np.array([0.5, 1.0]), np.array([-1, 1]), np.array([1])])
def test_what_is_no_label_volume_is_refused(bad: np.ndarray):
    with pytest.raises(InvalidInput):
        ContingencyTable().add(bad, np.array([1, 1]))


def test_overlaps_that_were_counted_before_count_as_their_voxels() -> None:
    rng = np.random.default_rng(0)
    pieces, truth = rng.integers(0, 9, (4, 8, 8)), rng.integers(0, 4, (4, 8, 8))
    segments = np.array([0, 1, 1, 3, 3, 3, 6, 6, 8])
    whole, counted, merged = ContingencyTable(), ContingencyTable(), ContingencyTable()
    whole.add(segments[pieces], truth)
    counted.add(pieces, truth)
    predicted, true, count = counted.overlaps()
    merged.add_overlaps(segments[predicted.astype(int)], true, count)
    for found, expected in zip(merged.overlaps(), whole.overlaps(), strict=True):
        np.testing.assert_array_equal(found, expected)
