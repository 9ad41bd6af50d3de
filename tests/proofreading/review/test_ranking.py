"""How likely a contact is a wrong cut, and how much a look at it is worth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_pytc.proofreading.review.ranking import ErrorProbability, information

SCORES = st.floats(0, 1)
ANSWERS = st.lists(st.tuples(SCORES, SCORES, st.booleans()), max_size=30)
SIZES = st.integers(1, 10**9)


def chance_after(answers: list[tuple[float, float, bool]]) -> ErrorProbability:
    chance = ErrorProbability()
    for score, share, merged in answers:
        chance.learn(score, share, merged)
    return chance


def at(chance: ErrorProbability, score: float, share: float) -> float:
    return float(chance.of(np.array([score]), np.array([share]))[0])


def bits(a: float, b: float) -> float:
    return float(information(np.array([a], float), np.array([b], float))[0])


@given(answers=ANSWERS, score=SCORES, share=SCORES)
def test_a_chance_lies_between_0_and_1_whatever_was_answered(
    answers: list[tuple[float, float, bool]], score: float, share: float
) -> None:
    assert 0 < at(chance_after(answers), score, share) < 1


@given(low=SCORES, high=SCORES, share=SCORES)
def test_without_answers_a_higher_score_or_share_is_a_higher_chance(low: float, high: float, share: float) -> None:
    low, high = sorted((low, high))
    assert at(ErrorProbability(), low, share) <= at(ErrorProbability(), high, share)
    assert at(ErrorProbability(), share, low) <= at(ErrorProbability(), share, high)


@given(score=SCORES, share=SCORES, n=st.integers(1, 40))
def test_answers_move_the_chance_towards_them_and_the_more_the_farther(score: float, share: float, n: int) -> None:
    before = at(ErrorProbability(), score, share)
    merged = [at(chance_after([(score, share, True)] * k), score, share) for k in (n, n + 1)]
    left = [at(chance_after([(score, share, False)] * k), score, share) for k in (n, n + 1)]
    assert left[1] < left[0] < before < merged[0] < merged[1]


@given(answers=st.permutations([(0.2, 0.3, True), (0.5, 0.1, False), (0.7, 0.9, True), (0.5, 0.5, False)]))
def test_the_order_of_the_answers_is_no_matter(answers: list[tuple[float, float, bool]]) -> None:
    scores, shares = np.linspace(0, 1, 30), np.full(30, 0.4)
    expected = chance_after(sorted(answers)).of(scores, shares)
    assert chance_after(answers).of(scores, shares) == pytest.approx(expected)


def test_many_answers_outweigh_what_was_measured_before() -> None:
    assert at(chance_after([(0.9, 0.5, False)] * 500), 0.9, 0.5) < 0.02
    assert at(chance_after([(0.2, 0.1, True)] * 500), 0.2, 0.1) > 0.98


@given(a=SIZES, b=SIZES)
def test_information_is_the_same_from_both_sides_and_never_less_than_nothing(a: int, b: int) -> None:
    assert bits(a, b) == pytest.approx(bits(b, a))
    assert bits(a, b) > 0


@given(a=SIZES, b=SIZES, factor=st.integers(2, 100))
def test_information_grows_in_proportion_to_the_sizes(a: int, b: int, factor: int) -> None:
    assert bits(factor * a, factor * b) == pytest.approx(factor * bits(a, b), rel=1e-4, abs=1)


def test_two_equal_halves_gain_a_bit_a_voxel() -> None:
    assert bits(500, 500) == pytest.approx(1000)


@given(a=st.integers(1, 10**6), b=st.integers(1, 10**6))
def test_a_larger_side_gains_more(a: int, b: int) -> None:
    assert bits(a + 1, b) > bits(a, b)


@given(small=st.integers(1, 1000), large=st.integers(1000, 10**6))
def test_the_smaller_side_counts_most(small: int, large: int) -> None:
    """Twice as much of the smaller side gains more than twice as much of the larger."""
    if small < large:
        assert bits(2 * small, large) > bits(small, 2 * large)
