"""Windows: everywhere covered, at MONAI's places, found for any box."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_pytc.errors import InvalidInput
from napari_pytc.geometry import Box
from napari_pytc.geometry.windows import WindowGrid

LENGTHS = st.tuples(*(st.integers(1, 40),) * 3)
WINDOWS = st.tuples(*(st.integers(1, 16),) * 3)


@given(volume=LENGTHS, window=WINDOWS, overlap=st.sampled_from([0.0, 0.25, 0.5, 0.6, 0.9]))
def test_windows_cover_the_volume_and_lie_within_it_where_it_is_long_enough(volume, window, overlap) -> None:
    grid = WindowGrid.of(volume, window, overlap)
    for axis, (n, w) in enumerate(zip(volume, window, strict=True)):
        starts = [grid.start(axis, number) for number in range(grid.counts[axis])]
        assert starts == sorted(set(starts))
        assert {v for start in starts for v in range(max(start, 0), min(start + w, n))} == set(range(n))
        if n >= w:
            assert starts[0] == 0
            assert starts[-1] == n - w
        else:
            assert len(starts) == 1
            assert abs((starts[0] + w - n) + starts[0]) <= 1  # as much on one side as on the other


@given(n=st.integers(1, 60), w=st.integers(1, 16), overlap=st.sampled_from([0.0, 0.5, 0.75]), a=st.data())
def test_windows_over_a_range_are_those_that_hold_a_voxel_of_it(n: int, w: int, overlap: float, a) -> None:
    start = a.draw(st.integers(0, n - 1))
    stop = a.draw(st.integers(start, n))
    grid = WindowGrid.of((n, 1, 1), (w, 1, 1), overlap)
    expected = [
        number
        for number in range(grid.counts[0])
        if max(grid.start(0, number), start) < min(grid.start(0, number) + w, stop)
    ]
    assert list(grid.over(0, start, stop)) == expected


def test_places_are_those_of_monai() -> None:
    utils = pytest.importorskip("monai.data.utils")
    for volume, window, step in [((40, 33, 7), (16, 16, 7), (8, 6, 7)), ((20, 21, 22), (4, 5, 6), (3, 2, 6))]:
        grid = WindowGrid(volume, window, step)
        theirs = [tuple(s.start for s in one) for one in utils.dense_patch_slices(volume, window, step)]
        ours = [
            grid.box((z, y, x)).start
            for z in range(grid.counts[0])
            for y in range(grid.counts[1])
            for x in range(grid.counts[2])
        ]
        assert ours == theirs


def test_windows_over_a_box_are_counted() -> None:
    grid = WindowGrid.of((32, 32, 32), (8, 8, 8), 0.5)
    assert grid.counts == (7, 7, 7)
    assert len(grid) == 343
    assert grid.n_over(Box((0, 0, 0), (1, 5, 32))) == 1 * 2 * 7
    assert grid.n_over(Box((3, 3, 3), (3, 3, 3))) == 0


@pytest.mark.parametrize(("window", "step"), [((0, 1, 1), (1, 1, 1)), ((2, 2, 2), (3, 1, 1)), ((2, 2, 2), (0, 1, 1))])
def test_windows_that_leave_gaps_are_refused(window, step) -> None:
    with pytest.raises(InvalidInput):
        WindowGrid((8, 8, 8), window, step)
