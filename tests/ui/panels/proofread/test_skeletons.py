from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtWidgets import QPushButton

from napari_pytc.ui.panels.proofread import skeletons
from tests.support.viewers import FakeLayer
from tests.ui.panels.proofread.proofreading_bench import SHAPE, Bench

NAME = "Skeletons"


@pytest.fixture
def bench(qtbot: QtBot, tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(qtbot, tmp_path)
    yield bench
    bench.close()


def layers(bench: Bench) -> list[FakeLayer]:
    return [layer for layer in bench.viewer.layers if layer.name == NAME]


def segments_of_lines(bench: Bench) -> set[int]:
    """The segments on which the ends of all lines lie."""
    (layer,) = layers(bench)
    ends = np.rint(layer.data.reshape(-1, 3)).astype(int)
    assert ((ends >= 0) & (ends < SHAPE)).all()
    return {bench.segment_at(voxel) for voxel in ends.tolist()}


def test_skeletons_follow_the_selection_until_they_are_hidden(bench: Bench) -> None:
    one, other = bench.neighbours()
    button = bench.panel.findChild(QPushButton, "act-skeleton")
    assert button is not None
    assert not button.isEnabled()
    bench.click(one)
    bench.press(QPushButton, "act-skeleton")
    bench.until(lambda: layers(bench))
    assert segments_of_lines(bench) == {bench.segment_at(one)}
    assert bench.message.startswith(f"Skeleton of {bench.segment_at(one)}: ")
    assert " µm of path, " in bench.message
    bench.click(other, keys=["Shift"])
    bench.until(lambda: segments_of_lines(bench) == {bench.segment_at(one), bench.segment_at(other)})
    assert set(layers(bench)[0].style.colours.values()) == {"#ffffff", "#ffea00"}  # type: ignore[union-attr]
    assert bench.message.startswith("2 skeletons: ")
    bench.editor.select([])
    assert layers(bench) == []
    bench.click(one)
    bench.until(lambda: layers(bench))
    bench.key("T")
    assert layers(bench) == []
    assert not bench.actions.skeletons.is_on


def test_skeletons_follow_edits(bench: Bench) -> None:
    one, other = bench.neighbours()
    bench.click(one)
    bench.click(other, keys=["Shift"])
    bench.key("T")
    bench.until(lambda: layers(bench))
    before = len(layers(bench)[0].data)
    bench.key("D")
    bench.until(lambda: not layers(bench))
    bench.key("R")
    bench.until(lambda: layers(bench) and len(layers(bench)[0].data) == before)


def test_a_segment_that_is_too_large_is_refused(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(skeletons, "MOST_VOXELS", 10)
    one, _ = bench.neighbours()
    bench.click(one)
    bench.key("T")
    assert "too much for a skeleton in the window" in bench.refusal
    assert "Export panel" in bench.refusal
    assert layers(bench) == []


def test_segments_that_are_too_large_together_are_refused(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = bench.neighbours()
    bench.click(one)
    first = bench.editor.selected[0].box.size
    bench.click(other, keys=["Shift"])
    largest = max(first, *(chosen.box.size for chosen in bench.editor.selected))
    monkeypatch.setattr(skeletons, "MOST_VOXELS", largest)
    bench.key("T")
    assert "The 2 segments lie in boxes" in bench.refusal
    assert layers(bench) == []


def test_masks_that_are_not_wanted_any_more_are_not_read_to_the_end(bench: Bench) -> None:
    one, other = bench.neighbours()
    bench.click(one)
    bench.click(other, keys=["Shift"])
    document = bench.editor.document
    assert document is not None
    chosen = [(segment.segment, segment.box) for segment in bench.editor.selected]
    found = skeletons.read_masks(document, chosen, lambda: True)
    assert found is not None
    assert [(mask.segment, mask.start) for mask in found] == [(segment, box.start) for segment, box in chosen]
    assert all(mask.mask.any() for mask in found)
    answers = iter([True, False])
    assert skeletons.read_masks(document, chosen, lambda: next(answers)) is None


def test_another_selection_gives_up_what_is_being_made(bench: Bench) -> None:
    one, other = bench.neighbours()
    layer = bench.controllers.skeletons
    bench.click(one)
    bench.key("T")
    bench.until(lambda: layer.is_busy or bool(layers(bench)))
    bench.click(other)
    bench.until(lambda: segments_of_lines(bench) == {bench.segment_at(other)} if layers(bench) else False)
    assert bench.message.startswith(f"Skeleton of {bench.segment_at(other)}: ")


def test_hiding_gives_up_what_is_being_made(bench: Bench) -> None:
    one, _ = bench.neighbours()
    layer = bench.controllers.skeletons
    bench.click(one)
    bench.key("T", wait=False)
    bench.key("T", wait=False)
    bench.idle()
    assert not layer.is_busy
    assert layers(bench) == []


def test_lines_are_drawn_anew_for_another_section(bench: Bench) -> None:
    one, _ = bench.neighbours()
    bench.click(one)
    bench.key("T")
    bench.until(lambda: layers(bench))
    (layer,) = layers(bench)
    before, layer.data = layer.data, np.zeros((0, 2, 3))
    bench.viewer.show_3d(True)
    bench.until(lambda: len(layer.data) == len(before))
