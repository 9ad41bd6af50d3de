"""How places to paint next are rated and drawn."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_pytc.geometry import Box, VoxelSpace
from napari_pytc.learning.live.messages import Wish
from napari_pytc.learning.live.suggesting import Candidate, PlaceFinder, Places, drawn, rated

SPACE = VoxelSpace((40, 10, 10))
WITHIN = Box((0, 0, 0), (6, 400, 400))


def place(
    number: int, shares: list[float], errors: list[float], look: float = 0.0, disagreement: float | None = None
) -> Candidate:
    box = Box.at((0, 0, 10 * number), (1, 10, 10))
    return Candidate(box, 0.1, 1.0, np.array([look, 0.0]), np.array(shares), np.array(errors), disagreement)


def columns(found: list[Candidate]) -> list[int]:
    return [c.box.start[2] // 10 for c in found]


def test_errors_of_a_rare_class_count_as_much_as_those_of_a_frequent_one() -> None:
    frequent = place(0, [1.0, 0.0], [0.2, 0.0])
    rare = place(1, [0.9, 0.1], [0.0, 0.05])
    sure = place(2, [1.0, 0.0], [0.01, 0.0])

    found = rated([frequent, rare, sure])

    assert columns(found) == [1, 0, 2]
    assert sum(c.gain for c in found) == pytest.approx(1)


def test_a_class_that_is_hardly_predicted_anywhere_does_not_decide_alone() -> None:
    speck = place(0, [1.0, 1e-9], [0.0, 1e-9])
    doubtful = place(1, [1.0, 0.0], [0.2, 0.0])

    assert columns(rated([speck, doubtful])) == [1, 0]


def test_a_place_where_the_models_disagree_comes_before_one_as_undecided() -> None:
    agreed, disputed = place(0, [1.0], [0.1]), place(1, [1.0], [0.1], disagreement=0.3)

    assert columns(rated([agreed, disputed])) == [1, 0]


def test_places_that_are_drawn_look_unlike_one_another() -> None:
    found = rated([place(n, [1.0], [0.5], look) for n, look in enumerate([0.0] * 18 + [100.0] * 2)])

    for seed in range(20):
        assert sorted(c.look[0] for c in drawn(found, 2, np.random.default_rng(seed))) == [0.0, 100.0]


def test_places_with_many_expected_errors_are_drawn_more_often() -> None:
    found = rated([place(n, [1.0], [0.9 if n < 10 else 0.1], float(n % 10)) for n in range(20)])

    times = np.bincount([n for seed in range(200) for n in columns(drawn(found, 2, np.random.default_rng(seed)))])

    assert times[:10].sum() > 2 * times[10:].sum() > 0


def test_places_that_look_all_the_same_are_drawn_once_each() -> None:
    found = rated([place(n, [1.0], [0.1]) for n in range(20)])

    assert len(set(columns(drawn(found, 8, np.random.default_rng(0))))) == 8


def test_where_there_are_few_places_all_are_suggested_the_best_first() -> None:
    found = rated([place(n, [1.0], [0.1 * n]) for n in range(3)])

    assert columns(drawn(found, 8, np.random.default_rng(0))) == [2, 1, 0]
    assert drawn(rated([]), 8, np.random.default_rng(0)) == []


def find(network: bool, seed: int = 0) -> Places:
    """Places of a volume of noise, where a network, if there is one, says the opposite."""

    def features(box: Box) -> torch.Tensor:
        noise = np.random.default_rng(list(box.start)).random((int(np.prod(box.shape)), 2))
        return torch.from_numpy(noise.astype(np.float32))

    def instant(rows: torch.Tensor) -> torch.Tensor:
        return rows.T.softmax(0)

    def opposite(box: Box) -> torch.Tensor:
        return (1 - instant(features(box))).reshape(2, *box.shape)

    finder = PlaceFinder(SPACE, (), features, instant, opposite if network else None, seed)
    places = list(finder.find(Wish(4, WITHIN), []))[-1]
    assert places is not None
    return places


def test_the_network_was_asked_about_every_place_that_is_suggested() -> None:
    assert [c.disagreement for c in find(network=True).candidates] == [1.0] * 4
    assert [c.disagreement for c in find(network=False).candidates] == [None] * 4


def test_the_same_seed_finds_the_same_places_and_another_others() -> None:
    first, again, other = (find(network=False, seed=seed) for seed in (0, 0, 1))

    assert [c.box for c in first.candidates] == [c.box for c in again.candidates]
    assert [c.box for c in first.candidates] != [c.box for c in other.candidates]
