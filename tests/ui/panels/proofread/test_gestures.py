"""What the mouse does to segments: merge, split, paint, select; in sections and in 3D."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtWidgets import QApplication

from napari_pytc.ui.panels.proofread.tools import COLOURS
from tests.ui.panels.proofread.proofreading_bench import Bench, Z

Make = Callable[..., Bench]


@pytest.fixture
def make(qtbot: Any, tmp_path: Path) -> Iterator[Make]:
    made: list[Bench] = []

    def build(**options: Any) -> Bench:
        made.append(Bench(qtbot, tmp_path, **options))
        return made[-1]

    yield build
    for bench in made:
        bench.close()


# ---- merge and split


def test_one_stroke_through_two_segments_joins_them(make: Make) -> None:
    bench = make()
    a, b = bench.neighbours()
    before = bench.document.present_checksum()
    bench.key("M")
    bench.draw([a, b])
    assert bench.proposed.startswith("Merge")
    assert bench.n_marked
    assert bench.is_shown("Edit preview")
    assert bench.document.present_checksum() == before, "nothing is changed before Enter"
    bench.key("Enter")
    assert bench.segment_at(a) == bench.segment_at(b)
    assert len(bench.titles) == 1
    assert not bench.n_marked
    assert not bench.is_shown("Edit preview")
    assert [one.segment for one in bench.editor.selected] == [bench.segment_at(a)], "it can be locked at once"


def test_two_clicks_join_and_one_alone_is_no_mistake(make: Make) -> None:
    bench = make()
    a, b = bench.neighbours()
    bench.key("M")
    bench.click(a)
    assert "is marked" in bench.message
    assert not bench.refusal
    assert bench.n_marked
    assert [one.segment for one in bench.editor.selected] == [bench.segment_at(a)], "keys act on it"
    bench.click(b)
    assert bench.proposed.startswith("Merge")
    bench.key("Escape")
    assert not bench.proposed
    assert not bench.n_marked
    assert bench.titles == []
    assert bench.editor.tool.name == "join", "the first Escape keeps the tool"
    bench.key("Escape")
    assert bench.editor.tool.name == "look"


@pytest.mark.slow
@pytest.mark.parametrize("how", ["key", "shift"])
def test_marks_of_two_colours_cut(make: Make, how: str) -> None:
    bench = make(merged=True)
    a, b = bench.two_cells()
    assert bench.segment_at(a) == bench.segment_at(b)
    bench.key("M")
    bench.click(a)
    if how == "key":
        bench.key("X")
        bench.click(b)
    else:
        bench.click(b, keys=["Shift"])
    assert bench.proposed.startswith("Split")
    proposal = bench.editor.proposal
    assert proposal is not None
    assert proposal.preview is not None
    assert set(proposal.preview.colours.values()) >= set(COLOURS[:2]), "each part is outlined in the colour of its mark"
    bench.key("Enter")
    assert bench.segment_at(a) != bench.segment_at(b)
    assert bench.actions.canvas_tools.colour == 0, "the next gesture begins with the first colour"


def test_enter_that_comes_before_the_outline_still_counts(make: Make) -> None:
    bench = make()
    a, b = bench.neighbours()
    bench.key("M")
    bench.draw([a, b], wait=False)
    bench.key("Enter", wait=False)
    bench.until(lambda: bench.titles)
    assert bench.segment_at(a) == bench.segment_at(b)


def test_of_two_proposals_only_the_later_is_shown(make: Make) -> None:
    bench = make()
    a, b = bench.neighbours()
    bench.key("M")
    bench.click(a)
    seen: list[str] = []
    bench.editor.changed.connect(lambda: seen.append(bench.proposed))
    bench.draw([a, b], wait=False)
    bench.key("Escape", wait=False)
    bench.idle()
    assert set(seen) == {""}
    assert bench.titles == []


def test_an_edit_by_others_drops_what_was_worked_out_before(make: Make) -> None:
    bench = make()
    a, b = bench.neighbours()
    bench.key("M")
    bench.draw([a, b])
    assert bench.proposed
    bench.session.proofreader.apply({"kind": "merge", "points": [a, b]})
    bench.until(lambda: not bench.proposed)


def test_a_line_across_a_segment_cuts_it(make: Make) -> None:
    bench = make(n_cells=4)
    y, x = next((y, x) for y in range(20, 44) for x in range(20, 44) if bench.is_inside((Z, y, x), 8))
    segment = bench.segment_at((Z, y, x))
    left, right = x, x
    while left > 0 and bench.segment_at((Z, y, left)) == segment:
        left -= 1
    while right < 63 and bench.segment_at((Z, y, right)) == segment:
        right += 1
    bench.key("K")
    bench.click((Z, y, x))
    assert "A click is no line" in bench.refusal
    bench.draw([(Z, y, left), (Z, y, right)])
    assert bench.proposed == f"Split {segment} into 2"
    bench.key("Enter")
    assert bench.segment_at((Z, y - 5, x)) != bench.segment_at((Z, y + 5, x))


def test_locked_segments_refuse_and_say_why(make: Make) -> None:
    bench = make()
    a, b = bench.neighbours()
    bench.click(a)
    bench.key("L")
    segment = bench.segment_at(a)
    assert bench.document.state(segment).locked
    bench.key("M")
    bench.draw([a, b])
    assert f"Segment {segment} is locked as done" in bench.refusal
    assert "Unlock it" in bench.refusal
    assert not bench.proposed
    bench.key("Escape")
    bench.key("D")
    assert "locked" in bench.refusal
    assert len(bench.titles) == 1
    bench.key("L")
    assert not bench.document.state(segment).locked


def test_a_mark_on_nothing_is_refused(make: Make) -> None:
    bench = make(membranes=True)
    y, x = np.argwhere(bench.section == 0)[0]
    bench.key("M")
    bench.click((Z, int(y), int(x)))
    assert "no segment" in bench.refusal


# ---- painting


def test_painting_adds_voxels_when_the_button_is_released(make: Make) -> None:
    bench = make()
    a, b = bench.neighbours()
    segment, other = bench.segment_at(a), bench.segment_at(b)
    bench.actions.canvas_tools.choose_brush(3)
    bench.key("P")
    assert bench.layer.holds_mouse
    assert bench.layer.brush == 3
    before = bench.section
    bench.draw([a, b])  # begins in the one that grows
    after = bench.section
    changed = before != after
    assert set(after[changed]) == {segment}
    assert bench.segment_at(b) == segment
    assert other in after
    assert bench.titles == [f"Paint {segment}"]
    bench.until(lambda: not bench.n_marked)
    bench.actions.history.undo()
    bench.idle()
    np.testing.assert_array_equal(bench.section, before)


def test_painting_goes_to_the_selected_segment_and_spares_locked_ones(make: Make) -> None:
    bench = make()
    a, b = bench.neighbours()
    bench.click(b)
    bench.key("L")
    bench.click(a)
    bench.key("P")
    locked = bench.section == bench.segment_at(b)
    bench.draw([a, b])
    assert (bench.section == bench.segment_at(b))[locked].all()
    bench.draw([b, (Z, b[1], b[2] + 1)])
    assert "locked" in bench.refusal, "where nothing else is left, it says why"


def test_erasing_takes_from_the_selected_segment_alone(make: Make) -> None:
    bench = make()
    a, b = bench.neighbours()
    bench.click(a)
    bench.key("E")
    bench.draw([a, b])
    assert bench.segment_at(a) == 0
    assert bench.segment_at(b) != 0
    bench.key("Escape")
    bench.key("Escape")
    assert bench.editor.selected == ()
    bench.key("E")
    bench.draw([b, (Z, b[1], b[2] + 1)])
    assert bench.segment_at(b) == 0


def test_a_new_segment_is_painted_and_then_grows(make: Make) -> None:
    bench = make()
    before = set(bench.document.segment_ids().tolist())
    bench.key("N")
    bench.draw([(Z, 10, 10), (Z, 10, 20)])
    bench.until(lambda: bench.editor.tool.name == "paint")
    (new,) = set(bench.document.segment_ids().tolist()) - before
    assert [one.segment for one in bench.editor.selected] == [new]
    bench.draw([(Z, 30, 30), (Z, 30, 32)])
    assert bench.segment_at((Z, 30, 31)) == new


def test_brushes_change_by_key(make: Make) -> None:
    bench = make()
    bench.key("P")
    before = bench.actions.canvas_tools.brush
    bench.key("]")
    assert bench.actions.canvas_tools.brush > before
    assert bench.layer.brush == bench.actions.canvas_tools.brush
    bench.key("[")
    bench.key("[")
    assert bench.actions.canvas_tools.brush < before


# ---- selecting, and 3D


def test_clicks_select_and_shift_selects_more(make: Make) -> None:
    bench = make()
    a, b = bench.neighbours()
    bench.click(a)
    assert [one.segment for one in bench.editor.selected] == [bench.segment_at(a)]
    assert bench.editor.selected[0].n_voxels == bench.document.size(bench.segment_at(a))
    bench.click(b, keys=["Shift"])
    assert len(bench.editor.selected) == 2
    bench.click(b, keys=["Shift"])
    assert len(bench.editor.selected) == 1
    bench.draw([a, b])  # moves the view
    assert len(bench.editor.selected) == 1
    bench.key("G")
    assert bench.viewer.flights[-1][1] == bench.document.box(bench.segment_at(a))


def test_in_3d_clicks_pick_along_the_line_of_sight(make: Make) -> None:
    bench = make()
    (_, y, x), (_, v, w) = a, b = bench.neighbours()
    bench.viewer.show_3d(True)
    first = bench.segment_at((0, y, x))
    bench.click((0, y, x), far=(11.0, float(y), float(x)), axis=-1)
    assert [one.segment for one in bench.editor.selected] == [first]
    bench.key("M")
    assert not bench.layer.holds_mouse, "dragging turns the view"
    bench.draw([a, b], wait=False)
    bench.click((0, y, x), far=(11.0, float(y), float(x)), axis=-1)
    other = (0, v, w) if bench.segment_at((0, v, w)) != first else (0, 60, 60)
    bench.click(other, far=(11.0, *(float(c) for c in other[1:])), axis=-1)
    assert bench.proposed.startswith("Merge")
    bench.key("P")
    bench.click((0, y, x), far=(11.0, float(y), float(x)), axis=-1)
    assert "in 2D" in bench.refusal
    bench.viewer.show_3d(False)
    assert bench.layer.holds_mouse


def test_the_right_button_opens_a_menu_on_the_segment_under_it(make: Make) -> None:
    bench = make(classes=("soma", "neurite"))
    a, _ = bench.neighbours()
    bench.click(a, button=2)
    menu = QApplication.activePopupWidget()
    assert menu is not None
    texts = [action.text().split("\t")[0] for action in menu.actions() if action.text()]  # type: ignore[attr-defined]
    assert texts[0].startswith(f"Segment {bench.segment_at(a)}")
    for wanted in ("Lock as done", "Delete", "Class", "Split here …", "Copy id", "Go to"):
        assert wanted in texts
    menu.close()
    assert [one.segment for one in bench.editor.selected] == [bench.segment_at(a)]
    bench.draw([a, (Z, a[1] + 6, a[2])], button=2)  # zooms
    assert QApplication.activePopupWidget() is None
