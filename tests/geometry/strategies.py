"""Small random boxes and grids for hypothesis."""

from __future__ import annotations

from hypothesis import strategies as st

from napari_pytc.geometry import Box, TileGrid

points = st.tuples(*[st.integers(-12, 12)] * 3)
lengths = st.tuples(*[st.integers(1, 9)] * 3)
margins = st.tuples(*[st.integers(0, 4)] * 3)
boxes = st.builds(Box.at, points, st.tuples(*[st.integers(0, 9)] * 3))


@st.composite
def grids(draw: st.DrawFn) -> TileGrid:
    box = draw(boxes)
    bounds = draw(st.none() | st.builds(box.grow, margins))
    return TileGrid(box, draw(lengths), draw(margins), bounds, draw(st.tuples(*[st.integers(1, 4)] * 3)))
