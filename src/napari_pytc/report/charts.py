"""Charts of the report as inline SVG: curves and scores."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

_WIDTH, _HEIGHT = 420, 190
_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 8, 22, 30
_COLOURS = ("#0b62a4", "#c44e00", "#2c8a3d", "#8a3d8f", "#8a6d00", "#00808a", "#555555")

Points = Sequence[tuple[float, float]]
ScorePoint = tuple[str, float, tuple[float, float] | None, bool]
"""Label, mean, interval, and whether the model was refused."""


def curves(title: str, series: Mapping[str, Points], x_title: str, colours: Mapping[str, str] | None = None) -> str:
    """Lines over steps, with a legend.

    Parameters
    ----------
    series : mapping
        Points (x, y) by name; those of fewer than two are no curve and are left out.
    colours : mapping, optional
        Colours of the lines that have one, as #rrggbb.
    """
    shown = {name: points for name, points in series.items() if len(points) > 1}
    if not shown:
        return ""
    xs, ys = zip(*(point for points in shown.values() for point in points), strict=True)
    frame = _Frame(title, (min(xs), max(xs)), _room(ys), x_title)
    for number, (name, points) in enumerate(shown.items()):
        colour = (colours or {}).get(name) or _COLOURS[number % len(_COLOURS)]
        path = " ".join(f"{frame.x(x):.1f},{frame.y(y):.1f}" for x, y in points)
        frame.add(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.6"/>')
        at = _TOP + 12 + 14 * number
        frame.add(f'<rect x="{_WIDTH - 110}" y="{at - 8}" width="10" height="10" fill="{colour}"/>')
        frame.add(f'<text x="{_WIDTH - 96}" y="{at + 1}">{escape(name[:18])}</text>')
    return frame.svg


def scores(title: str, rows: Sequence[ScorePoint]) -> str:
    """Mean scores in a row with their intervals.

    Parameters
    ----------
    rows : sequence of ScorePoint
        Hollow where the model was refused.
    """
    if not rows:
        return ""
    ends = [value for _, mean, limits, _ in rows for value in (mean, *(limits or ()))]
    frame = _Frame(title, (0.5, len(rows) + 0.5), _room(ends), "models, the oldest first")
    for number, (label, mean, limits, is_refused) in enumerate(rows, start=1):
        x, y = frame.x(number), frame.y(mean)
        if limits is not None:
            low, high = frame.y(limits[0]), frame.y(limits[1])
            frame.add(f'<line x1="{x:.1f}" y1="{low:.1f}" x2="{x:.1f}" y2="{high:.1f}" stroke="#444"/>')
            for end in (low, high):
                frame.add(f'<line x1="{x - 4:.1f}" y1="{end:.1f}" x2="{x + 4:.1f}" y2="{end:.1f}" stroke="#444"/>')
        fill = "#ffffff" if is_refused else _COLOURS[0]
        frame.add(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{fill}" stroke="{_COLOURS[0]}">'
            f"<title>{escape(label)}: {mean:.3f}</title></circle>"
        )
    return frame.svg


class _Frame:
    """Axes of a chart and the drawing between them."""

    def __init__(self, title: str, x_limits: tuple[float, float], y_limits: tuple[float, float], x_title: str) -> None:
        self._x, self._y = x_limits, y_limits
        self._parts = [f'<text x="{_LEFT}" y="14" class="title">{escape(title)}</text>']
        for value in _ticks(*y_limits):
            at = self.y(value)
            self.add(f'<line x1="{_LEFT}" y1="{at:.1f}" x2="{_WIDTH - _RIGHT}" y2="{at:.1f}" stroke="#ddd"/>')
            self.add(f'<text x="{_LEFT - 5}" y="{at + 4:.1f}" text-anchor="end">{value:.4g}</text>')
        floor = _HEIGHT - _BOTTOM
        self.add(f'<line x1="{_LEFT}" y1="{floor}" x2="{_WIDTH - _RIGHT}" y2="{floor}" stroke="#444"/>')
        if float(x_limits[0]).is_integer():
            for value, anchor in ((x_limits[0], "start"), (x_limits[1], "end")):
                self.add(f'<text x="{self.x(value):.1f}" y="{floor + 13}" text-anchor="{anchor}">{value:g}</text>')
        self.add(f'<text x="{(_LEFT + _WIDTH) / 2}" y="{_HEIGHT - 4}" text-anchor="middle">{escape(x_title)}</text>')

    def x(self, value: float) -> float:
        """Position of a value from the left."""
        low, high = self._x
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * ((value - low) / (high - low) if high > low else 0.5)

    def y(self, value: float) -> float:
        """Position of a value from the top."""
        low, high = self._y
        return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * (value - low) / (high - low)

    def add(self, part: str) -> None:
        """Draw something more."""
        self._parts.append(part)

    @property
    def svg(self) -> str:
        """The picture."""
        inside = "".join(self._parts)
        size = f'viewBox="0 0 {_WIDTH} {_HEIGHT}" font-size="11"'
        return f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">{inside}</svg>'


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers between limits, about four."""
    step = 10 ** math.floor(math.log10((high - low) / 2))
    step *= next((factor for factor in (1, 2, 5) if (high - low) / (factor * step) <= 5), 10)
    return [round(k * step, 10) for k in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _room(values: Sequence[float]) -> tuple[float, float]:
    """Limits of an axis with a little room, and never of no length."""
    low, high = min(values), max(values)
    room = 0.08 * (high - low) or 0.05 * abs(high) or 0.5
    return low - room, high + room
