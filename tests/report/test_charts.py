"""Charts are well-formed SVG that show every value within their frame."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_pytc.report.charts import curves, scores

SVG = "{http://www.w3.org/2000/svg}"
numbers = st.floats(-1e6, 1e6)


def parsed(svg: str) -> ElementTree.Element:
    root = ElementTree.fromstring(svg)
    assert root.tag == f"{SVG}svg"
    return root


def size_of(root: ElementTree.Element) -> tuple[float, float]:
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    return width, height


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 1000), numbers), min_size=2, max_size=20))
def test_every_point_of_a_curve_lies_within_the_frame(points: list[tuple[int, float]]) -> None:
    root = parsed(curves("Loss", {"a": points}, "steps"))
    width, height = size_of(root)
    (line,) = root.iter(f"{SVG}polyline")
    places = [tuple(map(float, pair.split(","))) for pair in line.attrib["points"].split()]
    assert len(places) == len(points)
    for x, y in places:
        assert 0 <= x <= width
        assert 0 <= y <= height


@settings(max_examples=40)
@given(numbers, numbers)
def test_larger_values_stand_higher(low: float, high: float) -> None:
    low, high = sorted((low, high))
    root = parsed(curves("Loss", {"a": [(0, low), (1, high)]}, "steps"))
    (line,) = root.iter(f"{SVG}polyline")
    first, last = (tuple(map(float, pair.split(","))) for pair in line.attrib["points"].split())
    assert first[0] < last[0]
    assert first[1] >= last[1]


def test_names_titles_and_colours_are_shown() -> None:
    series = {"train & test": [(0, 1.0), (1, 2.0)], "<b>": [(0, 2.0), (1, 1.0)], "dot": [(0, 1.0)]}
    svg = curves("Loss < 1", series, "steps", {"<b>": "#123456"})
    root = parsed(svg)
    texts = [text.text for text in root.iter(f"{SVG}text")]
    assert {"Loss < 1", "steps", "train & test", "<b>"} <= set(texts)
    assert "dot" not in texts
    colours = [line.attrib["stroke"] for line in root.iter(f"{SVG}polyline")]
    assert len(colours) == len(set(colours)) == 2
    assert colours[1] == "#123456"


@pytest.mark.parametrize("series", [{}, {"a": []}, {"a": [(0, 1.0)]}])
def test_without_a_curve_there_is_no_chart(series: dict[str, list[tuple[float, float]]]) -> None:
    assert curves("Loss", series, "steps") == ""


@pytest.mark.parametrize("value", [0.0, 5.0, -3.0, 1e-9])
def test_a_flat_curve_has_a_frame_too(value: float) -> None:
    root = parsed(curves("Loss", {"a": [(3, value), (3, value)]}, "steps"))
    (line,) = root.iter(f"{SVG}polyline")
    assert not re.search("nan|inf", line.attrib["points"])


limits = st.none() | st.tuples(st.floats(0, 0.5), st.floats(0.5, 1))


@settings(max_examples=40)
@given(st.lists(st.tuples(st.text("ab<&", max_size=4), st.floats(0, 1), limits, st.booleans()), min_size=1, max_size=8))
def test_every_model_has_a_dot_and_an_interval_where_it_is_known(rows: list) -> None:
    root = parsed(scores("Scores", rows))
    dots = list(root.iter(f"{SVG}circle"))
    assert len(dots) == len(rows)
    across = [float(dot.attrib["cx"]) for dot in dots]
    assert across == sorted(across)
    for dot, (label, mean, _, is_refused) in zip(dots, rows, strict=True):
        assert (dot.attrib["fill"] == "#ffffff") == is_refused
        assert dot.find(f"{SVG}title").text == f"{label}: {mean:.3f}"
    bars = [line for line in root.iter(f"{SVG}line") if line.attrib["stroke"] == "#444"]
    assert len(bars) == 1 + 3 * sum(row[2] is not None for row in rows)


def test_no_scores_no_chart() -> None:
    assert scores("Scores", []) == ""


def test_the_axis_has_a_few_round_numbers() -> None:
    root = parsed(curves("Loss", {"a": [(0, 0.0), (10, 1.0)]}, "steps"))
    ticks = [t.text for t in root.iter(f"{SVG}text") if t.attrib.get("text-anchor") == "end" and t.text != "10"]
    assert ticks == ["0", "0.5", "1"] or ticks == ["0", "0.2", "0.4", "0.6", "0.8", "1"]
