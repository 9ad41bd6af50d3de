"""Tests of the drawn box."""

from __future__ import annotations

import pytest

from napari_pytc.errors import InvalidInput
from napari_pytc.geometry import Box
from napari_pytc.ui.canvas.drawn_box import DrawnBox, deepened
from tests.support.viewers import FakeViewer
from tests.support.workspaces import FakeLayers


def test_a_box_is_as_deep_as_it_is_meant() -> None:
    layers = FakeLayers(FakeViewer())
    drawn = DrawnBox(lambda: layers)
    assert drawn.find() is None
    layers.drawn = Box.at((3, 4, 5), (1, 10, 20))
    assert drawn.find() == Box.at((3, 4, 5), (1, 10, 20))
    drawn.set_depth(4)
    assert drawn.require() == Box.at((2, 4, 5), (4, 10, 20))


def test_without_a_rectangle_it_says_how_to_draw_one() -> None:
    for layers in (None, FakeLayers(FakeViewer())):
        with pytest.raises(InvalidInput, match="No box is drawn"):
            DrawnBox(lambda layers=layers: layers).require()  # type: ignore[misc]


@pytest.mark.parametrize(
    ("start", "n_sections", "expected"),
    [(0, 3, (0, 3)), (11, 3, (9, 12)), (5, 1, (5, 6)), (5, 100, (0, 12))],
)
def test_a_deep_box_stays_within_the_volume(start: int, n_sections: int, expected: tuple[int, int]) -> None:
    found = deepened(Box.at((start, 0, 0), (1, 4, 4)), n_sections, (12, 48, 40))
    assert (found.start[0], found.stop[0]) == expected
