from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from napari_pytc.cli.progress import Estimate, ProgressBar, ProgressLines, duration
from napari_pytc.jobs.events import Measured, Progressed, Warned


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def progressed(done: int, total: int = 100, note: str = "tiles") -> Progressed:
    return Progressed(job="a", done=done, total=total, note=note)


def test_time_left_leaves_out_what_was_finished_before():
    clock = Clock()
    estimate = Estimate(clock=clock)
    assert estimate.left_s is None
    estimate.update(progressed(60))
    assert estimate.left_s is None
    clock.now = 10
    estimate.update(progressed(80))
    assert estimate.left_s == pytest.approx(10)
    assert estimate.share == pytest.approx(0.8)


def test_the_clock_starts_anew_with_another_total():
    clock = Clock()
    estimate = Estimate(clock=clock)
    estimate.update(progressed(0, total=1))
    clock.now = 100
    estimate.update(progressed(0))
    clock.now = 110
    estimate.update(progressed(50))
    assert estimate.left_s == pytest.approx(10)


def test_a_time_limit_ends_earlier_than_the_pieces():
    clock = Clock()
    estimate = Estimate(limit_s=60, clock=clock)
    estimate.update(progressed(0, total=1_000_000))
    clock.now = 15
    estimate.update(progressed(10, total=1_000_000))
    assert estimate.share == pytest.approx(0.25)
    assert estimate.left_s == pytest.approx(45)
    clock.now = 90
    assert (estimate.share, estimate.left_s) == (1.0, 0.0)


def test_lines_come_now_and_then():
    clock, text, warned = Clock(), StringIO(), []
    lines = ProgressLines(Console(file=text, width=200), "predict", clock=clock)
    for second in range(40):
        clock.now = second
        lines.show(progressed(second), warned.append)
        lines.show(Measured(job="a", name="loss", step=second, value=0.5), warned.append)
    lines.show(Warned(job="a", message="a doubt"), warned.append)
    lines.close()
    told = text.getvalue().splitlines()
    assert len(told) == 2
    assert told[0] == "predict: tiles, 15%, 1 min 25 s left, loss 0.5"
    assert warned == ["a doubt"]


def test_a_bar_shows_what_is_left_and_goes_away():
    clock, text = Clock(), StringIO()
    console = Console(file=text, width=160, force_terminal=True)
    bar = ProgressBar(console, "predict", clock=clock)
    bar.show(progressed(0), [].append)
    clock.now = 30
    bar.show(progressed(50), [].append)
    bar.show(Measured(job="a", name="dice/inside", step=1, value=0.9), [].append)
    bar.close()
    assert "predict: tiles" in text.getvalue()
    assert "30 s left" in text.getvalue()
    assert text.getvalue().endswith("\x1b[2K") or "\x1b[?25h" in text.getvalue()


def test_durations():
    assert [duration(s) for s in (4.4, 75, 3700)] == ["4 s", "1 min 15 s", "1 h 1 min"]
