"""Held-out voxels in two halves, and intervals from their blocks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_pytc.geometry import Box, VoxelSpace
from napari_pytc.learning.evaluation.evaluation import difference_interval, interval
from napari_pytc.learning.evaluation.held_out_blocks import HeldOutBlocks
from tests.support.learning import space


def blocks_of(labels: np.ndarray, boxes: list[Box] | None = None, n_labels: int = 2, **where: float) -> HeldOutBlocks:
    boxes = [Box.of_shape(labels.shape)] if boxes is None else boxes
    return HeldOutBlocks(boxes, lambda box: labels[box.slices], n_labels, space(**where))


def parts_of(blocks: HeldOutBlocks, box: Box) -> tuple[np.ndarray, np.ndarray]:
    """Masks of what is watched and of what is scored."""
    numbers = blocks.numbers(box)
    return tuple((numbers >= 0) & blocks.of_part(part)[numbers] for part in ("watched", "scored"))  # type: ignore[return-value,arg-type]


@given(st.integers(0, 1000), st.sampled_from([(1, 40, 70), (9, 33, 50), (30, 64, 64)]), st.integers(1, 300))
def test_every_annotated_voxel_is_in_one_half(seed: int, shape: tuple[int, int, int], n: int) -> None:
    rng = np.random.default_rng(seed)
    labels = np.zeros(shape, np.uint8)
    labels.flat[rng.integers(0, labels.size, n)] = rng.integers(1, 3, n)
    blocks = blocks_of(labels)
    watched, scored = parts_of(blocks, Box.of_shape(shape))
    assert not (watched & scored).any()
    assert (watched | scored)[labels > 0].all()
    assert scored.any()
    assert (
        blocks.of_part("all").sum() == len(blocks) == blocks.of_part("watched").sum() + blocks.of_part("scored").sum()
    )
    for label in np.unique(labels[labels > 0]):
        assert (labels[scored] == label).any()
    if len(blocks) >= 4:
        assert watched.any()


@pytest.mark.slow
def test_blocks_are_large_where_much_is_annotated_and_as_thick_in_nm() -> None:
    assert blocks_of(np.ones((8, 24, 24), np.uint8)).shape == (8, 8, 8)
    assert blocks_of(np.ones((64, 256, 256), np.uint8)).shape == (32, 32, 32)
    assert blocks_of(np.ones((16, 512, 512), np.uint8), anisotropy=8.0).shape == (8, 64, 64)
    assert blocks_of(np.ones((1, 640, 640), np.uint8)).shape == (64, 64, 64)


def test_a_block_stays_on_its_side_when_more_is_painted() -> None:
    labels = np.zeros((1, 600, 600), np.uint8)
    labels[0, :, ::40] = 1
    before = blocks_of(labels)
    labels[0, 300:] = 2
    after = blocks_of(labels)
    assert before.shape == after.shape == (64, 64, 64)
    assert len(after) > len(before)
    whole = Box.of_shape(labels.shape)
    for part, later in zip(parts_of(before, whole), parts_of(after, whole), strict=True):
        assert later[part].all()


def test_so_little_that_it_only_scores() -> None:
    labels = np.zeros((1, 64, 64), np.uint8)
    labels[0, 3, 3:20] = 1
    blocks = blocks_of(labels)
    assert len(blocks) == 3
    assert not blocks.of_part("watched").any()
    assert blocks.of_part("scored").all()


def test_a_rare_class_is_scored_rather_than_watched() -> None:
    labels = np.ones((1, 128, 128), np.uint8)
    for corner in ((0, 40), (40, 0), (100, 4)):
        rare = labels.copy()
        rare[0, corner[0], corner[1]] = 2
        blocks = blocks_of(rare)
        _, scored = parts_of(blocks, Box.of_shape(rare.shape))
        assert (rare[scored] == 2).any()


def test_strokes_on_one_colour_of_the_board_are_divided_all_the_same() -> None:
    labels = np.zeros((1, 160, 160), np.uint8)
    for k in range(10):
        labels[0, 16 * k, 16 * k] = 1  # blocks (k, k) of the smallest: the sum of their places is even
    blocks = blocks_of(labels)
    assert len(blocks) == 10
    assert blocks.of_part("watched").sum() == 5


def test_labels_of_classes_that_are_unknown_count_nowhere() -> None:
    labels = np.full((1, 64, 64), 3, np.uint8)
    assert len(blocks_of(labels)) == 0
    assert len(HeldOutBlocks([], lambda box: labels[box.slices], 2, VoxelSpace((1.0, 1.0, 1.0)))) == 0


# ---- intervals


def mean(sums: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        return sums[..., 0] / np.where(sums[..., 1] > 0, sums[..., 1], np.nan)


@pytest.mark.slow
def test_an_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    n_held = 0
    for k in range(200):
        rates = np.clip(rng.normal(0.7, 0.1, 30), 0, 1)
        counts = np.stack([rng.binomial(50, rates), np.full(30, 50)], axis=1)
        low, high = interval(counts, mean, seed=k) or (1, 0)
        n_held += low <= 0.7 <= high
    assert 0.88 <= n_held / 200 <= 0.99


def test_a_pair_is_compared_on_the_same_draws() -> None:
    rng = np.random.default_rng(1)
    hardness = rng.uniform(0.3, 0.9, 40)
    one = np.stack([100 * hardness, np.full(40, 100.0)], axis=1)
    two = one + np.array([5.0, 0.0])  # better by 0.05 in every block, however hard
    low, high = difference_interval(two, one, mean) or (1, 0)
    assert low == pytest.approx(0.05, abs=1e-9)
    assert high == pytest.approx(0.05, abs=1e-9)
    alone = interval(one, mean)
    assert alone is not None
    assert alone[1] - alone[0] > 0.05


def test_what_holds_nothing_to_score_has_no_interval() -> None:
    assert interval(np.zeros((6, 2)), mean) is None
