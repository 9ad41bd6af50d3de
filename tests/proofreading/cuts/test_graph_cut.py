import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from napari_pytc.proofreading.cuts.graph_cut import Pieces, adopt_orphans, cut


def chain(scores: list[float], contacts: list[int] | None = None) -> Pieces:
    """Pieces in a row."""
    n = len(scores) + 1
    edges = np.column_stack([np.arange(n - 1), np.arange(1, n)])
    return Pieces(n, edges, np.array(scores), np.array(contacts or [10] * (n - 1)))


def test_two_colours_are_cut_where_it_looks_most_like_a_boundary() -> None:
    seeds = np.array([1, 0, 0, 0, 2])
    assert cut(chain([0.9, 0.8, 0.1, 0.9]), seeds).tolist() == [1, 1, 1, 2, 2]


def test_of_equal_scores_the_smaller_contact_is_cut() -> None:
    seeds = np.array([1, 0, 0, 2])
    assert cut(chain([0.9, 0.9, 0.9], [50, 3, 50]), seeds).tolist() == [1, 1, 2, 2]


def test_more_than_two_colours_are_all_kept_apart() -> None:
    seeds = np.array([3, 0, 0, 1, 0, 0, 7])
    assert cut(chain([0.9, 0.1, 0.9, 0.9, 0.2, 0.9]), seeds).tolist() == [3, 3, 1, 1, 1, 7, 7]


def test_colours_that_touch_nothing_of_one_another_need_no_cut() -> None:
    pieces = Pieces(4, np.array([[0, 1], [2, 3]]), np.array([0.1, 0.1]), np.array([5, 5]))
    assert cut(pieces, np.array([1, 0, 0, 2])).tolist() == [1, 1, 2, 2]


def test_what_no_seed_reaches_has_no_colour() -> None:
    pieces = Pieces(5, np.array([[0, 1], [2, 3]]), np.array([0.5, 0.5]), np.array([5, 5]))
    assert cut(pieces, np.array([1, 2, 0, 0, 0])).tolist() == [1, 2, 0, 0, 0]


def test_without_edges_only_seeds_have_a_colour() -> None:
    pieces = Pieces(3, np.zeros((0, 2), int), np.zeros(0), np.zeros(0, int))
    assert cut(pieces, np.array([1, 2, 0])).tolist() == [1, 2, 0]


def test_an_orphan_goes_with_what_it_touches_most() -> None:
    #  1 - 0 - 2 and 3 behind 0: pieces 2 and 3 hold no seed of their colour
    pieces = Pieces(4, np.array([[0, 1], [0, 2], [1, 2], [2, 3]]), np.ones(4), np.array([1, 9, 4, 2]))
    assert adopt_orphans(pieces, np.array([1, 2, 5, 5]), np.array([1, 2, 0, 0])).tolist() == [1, 2, 1, 1]


@given(st.integers(0, 10_000), st.integers(2, 5))
def test_seeds_keep_their_colour_and_every_group_holds_one(number: int, n_colours: int) -> None:
    rng = np.random.default_rng(number)
    n = int(rng.integers(n_colours, 40))
    edges = np.unique(np.sort(rng.integers(0, n, (3 * n, 2)), axis=1), axis=0)
    edges = edges[edges[:, 0] != edges[:, 1]]
    pieces = Pieces(n, edges, rng.random(len(edges)), rng.integers(1, 100, len(edges)))
    seeds = np.zeros(n, int)
    seeds[rng.permutation(n)[:n_colours]] = np.arange(1, n_colours + 1)
    colours = cut(pieces, seeds)
    assert (colours[seeds > 0] == seeds[seeds > 0]).all()
    same = edges[colours[edges[:, 0]] == colours[edges[:, 1]]]
    reached = seeds > 0
    for _ in range(n):
        reached[same[reached[same[:, 0]], 1]] = True
        reached[same[reached[same[:, 1]], 0]] = True
    assert reached[colours > 0].all()
