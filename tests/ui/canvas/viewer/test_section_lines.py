"""The parts of lines in a section and near it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_pytc.ui.canvas.viewer.planes import Plane
from napari_pytc.ui.canvas.viewer.section_lines import FAINTEST, lines_near

coordinates = st.floats(-9, 9, allow_nan=False)
ends = st.lists(st.tuples(st.tuples(*[coordinates] * 3), st.tuples(*[coordinates] * 3)), max_size=6)


@settings(max_examples=100)
@given(ends, st.integers(0, 2), st.floats(-5, 5), st.floats(0, 4))
def test_the_parts_are_those_at_most_so_far_away(lines, axis: int, at: float, reach: float) -> None:
    array = np.array(lines, float).reshape(-1, 2, 3)
    displayed = tuple(other for other in range(3) if other != axis)
    point = tuple(at if other == axis else 0.0 for other in range(3))
    found = lines_near(array, Plane(displayed, point), reach, 0.0)
    seen = max(reach, 0.5)
    assert (found.lines[:, :, axis] == at).all()
    assert ((found.opacity >= FAINTEST - 1e-9) & (found.opacity <= 1)).all()
    assert list(found.opacity) == sorted(found.opacity)
    for number, (first, last) in enumerate(array):
        places = first + np.linspace(0, 1, 401)[:, None] * (last - first)
        inside = places[np.abs(places[:, axis] - at) <= seen - 1e-6]
        parts = found.lines[found.numbers == number]
        assert len(parts) <= 1
        if len(inside):
            (part,) = parts
            low, high = part[:, displayed].min(axis=0), part[:, displayed].max(axis=0)
            assert (inside[:, displayed] >= low - 1e-6).all()
            assert (inside[:, displayed] <= high + 1e-6).all()


def test_a_line_across_the_section_is_as_long_as_it_must_be_to_be_seen() -> None:
    found = lines_near(np.array([[[0, 4, 5], [9, 4, 5]]], float), Plane((1, 2), (3, 0, 0)), 1, 2.0)
    assert found.lines.tolist() == [[[3, 4, 4], [3, 4, 6]]]


def test_all_lines_are_shown_where_three_axes_are() -> None:
    lines = np.array([[[0, 4, 5], [9, 4, 5]]], float)
    found = lines_near(lines, Plane((0, 1, 2), (3, 0, 0)), 1, 2.0)
    assert found.lines.tolist() == lines.tolist()
    assert found.opacity.tolist() == [1]


@pytest.mark.parametrize(("z", "opacity"), [(0.5, 1), (2, FAINTEST), (1.25, (1 + FAINTEST) / 2)])
def test_lines_fade_with_their_distance(z: float, opacity: float) -> None:
    level = np.array([[[z, 0, 0], [z, 0, 9]]])
    assert lines_near(level, Plane((1, 2), (0, 0, 0)), 2, 0).opacity == pytest.approx([opacity])
