"""Suggestions are ranked by expected errors and drawn so that they differ."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_pytc.geometry import Box, VoxelSpace
from napari_pytc.learning.live.suggestions import SuggestionBox, SuggestionFinder, SuggestionGrid, draw_diverse, rank
from napari_pytc.plans.live_messages import LiveRequest

SPACE = VoxelSpace((40, 10, 10))
WITHIN = Box((0, 0, 0), (6, 400, 400))


def make_box(
    number: int, shares: list[float], errors: list[float], appearance: float = 0.0, disagreement: float | None = None
) -> SuggestionBox:
    box = Box.at((0, 0, 10 * number), (1, 10, 10))
    return SuggestionBox(box, 0.1, 1.0, np.array([appearance, 0.0]), np.array(shares), np.array(errors), disagreement)


def columns(found: list[SuggestionBox]) -> list[int]:
    return [c.box.start[2] // 10 for c in found]


def test_errors_of_a_rare_class_count_as_much_as_those_of_a_frequent_one() -> None:
    frequent = make_box(0, [1.0, 0.0], [0.2, 0.0])
    rare = make_box(1, [0.9, 0.1], [0.0, 0.05])
    sure = make_box(2, [1.0, 0.0], [0.01, 0.0])

    found = rank([frequent, rare, sure])

    assert columns(found) == [1, 0, 2]
    assert sum(c.gain for c in found) == pytest.approx(1)


def test_a_class_that_is_hardly_predicted_anywhere_does_not_decide_alone() -> None:
    speck = make_box(0, [1.0, 1e-9], [0.0, 1e-9])
    doubtful = make_box(1, [1.0, 0.0], [0.2, 0.0])

    assert columns(rank([speck, doubtful])) == [1, 0]


def test_disagreement_of_the_models_moves_a_box_up() -> None:
    agreed, disputed = make_box(0, [1.0], [0.1]), make_box(1, [1.0], [0.1], disagreement=0.3)

    assert columns(rank([agreed, disputed])) == [1, 0]


def test_boxes_are_drawn_unlike_one_another() -> None:
    found = rank([make_box(n, [1.0], [0.5], value) for n, value in enumerate([0.0] * 18 + [100.0] * 2)])

    for seed in range(20):
        assert sorted(c.appearance[0] for c in draw_diverse(found, 2, np.random.default_rng(seed))) == [0.0, 100.0]


def test_boxes_with_many_expected_errors_are_drawn_more_often() -> None:
    found = rank([make_box(n, [1.0], [0.9 if n < 10 else 0.1], float(n % 10)) for n in range(20)])

    times = np.bincount(
        [n for seed in range(200) for n in columns(draw_diverse(found, 2, np.random.default_rng(seed)))]
    )

    assert times[:10].sum() > 2 * times[10:].sum() > 0


def test_boxes_that_look_alike_are_drawn_once_each() -> None:
    found = rank([make_box(n, [1.0], [0.1]) for n in range(20)])

    assert len(set(columns(draw_diverse(found, 8, np.random.default_rng(0))))) == 8


def test_few_boxes_are_all_suggested_best_first() -> None:
    found = rank([make_box(n, [1.0], [0.1 * n]) for n in range(3)])

    assert columns(draw_diverse(found, 8, np.random.default_rng(0))) == [2, 1, 0]
    assert draw_diverse(rank([]), 8, np.random.default_rng(0)) == []


def find(network: bool, seed: int = 0) -> SuggestionGrid:
    """Suggestions in a volume of noise; the network, if there is one, predicts the opposite."""

    def features(box: Box) -> torch.Tensor:
        noise = np.random.default_rng(list(box.start)).random((int(np.prod(box.shape)), 2))
        return torch.from_numpy(noise.astype(np.float32))

    def instant(rows: torch.Tensor) -> torch.Tensor:
        return rows.T.softmax(0)

    def opposite(box: Box) -> torch.Tensor:
        return (1 - instant(features(box))).reshape(2, *box.shape)

    finder = SuggestionFinder(SPACE, (), features, instant, opposite if network else None, seed)
    suggestions = list(finder.find(LiveRequest(4, WITHIN), []))[-1]
    assert suggestions is not None
    return suggestions


@pytest.mark.slow
def test_every_suggestion_has_the_disagreement_of_the_network() -> None:
    assert [c.disagreement for c in find(network=True).candidates] == [1.0] * 4
    assert [c.disagreement for c in find(network=False).candidates] == [None] * 4


@pytest.mark.slow
def test_the_seed_decides_the_suggestions() -> None:
    first, again, other = (find(network=False, seed=seed) for seed in (0, 0, 1))

    assert [c.box for c in first.candidates] == [c.box for c in again.candidates]
    assert [c.box for c in first.candidates] != [c.box for c in other.candidates]
