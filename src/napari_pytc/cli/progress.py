"""Progress of a job as a bar on a terminal, or as a few lines in a log file."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from napari_pytc.jobs.events import JobEvent, Measured, Progressed, Warned

Clock = Callable[[], float]


class Estimate:
    """Estimate of a job's fraction done and of the time left, at the speed since it began.

    Pieces that were finished when it began are no measure of speed. Where a job has a time limit, the end comes with
    the last piece or at the limit, whichever is earlier.
    """

    def __init__(self, limit_s: float | None = None, clock: Clock = time.monotonic) -> None:
        self._limit_s, self._clock = limit_s, clock
        self._started: float | None = None
        self._first = self._latest = Progressed(job="", done=0, total=0)

    def update(self, event: Progressed) -> None:
        """Add a report; the clock starts anew where the total changes."""
        if self._started is None or event.total != self._first.total:
            self._started, self._first = self._clock(), event
        self._latest = event

    @property
    def share(self) -> float:
        """Fraction done, 0 to 1."""
        done, total = self._latest.done, self._latest.total
        by_pieces = done / total if total > 0 else 0.0
        if self._limit_s is None or self._started is None or not done:
            return by_pieces
        return min(1.0, max(by_pieces, (self._clock() - self._started) / self._limit_s))

    @property
    def left_s(self) -> float | None:
        """Seconds left; None while they cannot be estimated."""
        n_done = self._latest.done - self._first.done
        if self._started is None or n_done <= 0:
            return None
        passed = self._clock() - self._started
        by_pieces = passed / n_done * (self._latest.total - self._latest.done)
        return by_pieces if self._limit_s is None else max(0.0, min(by_pieces, self._limit_s - passed))


class ProgressView:
    """Base of the views of progress on a terminal and in a log file."""

    def __init__(self, console: Console, title: str, limit_s: float | None, clock: Clock) -> None:
        self._console, self._title = console, title
        self._estimate = Estimate(limit_s, clock)
        self._numbers: dict[str, float] = {}

    def show(self, event: JobEvent, warn: Callable[[str], None]) -> None:
        """Show an event."""
        if isinstance(event, Warned):
            warn(event.message)
        elif isinstance(event, Measured):
            self._numbers[event.name] = event.value
        elif isinstance(event, Progressed):
            self._estimate.update(event)
            self.draw(event)

    def draw(self, event: Progressed) -> None:
        """Show the job's progress."""

    def close(self) -> None:
        """Leave the terminal as it was."""

    def _describe(self, event: Progressed) -> str:
        return f"{self._title}: {event.note}" if event.note and event.note != self._title else self._title

    def _latest(self) -> str:
        shown = {name: value for name, value in self._numbers.items() if "/" not in name}
        return "  ".join(f"{name} {value:.3g}" for name, value in shown.items())

    def _left(self) -> str:
        seconds = self._estimate.left_s
        return "" if seconds is None else f"{duration(seconds)} left"


class _BarBelow(Progress):
    """A bar below something else that is drawn anew with it."""

    def __init__(self, above: RenderableType | None, *columns: Any, **options: Any) -> None:
        self._above = above
        super().__init__(*columns, **options)

    def get_renderables(self) -> Iterable[RenderableType]:
        """What is drawn, from top to bottom."""
        if self._above is not None:
            yield self._above
        yield from super().get_renderables()


class ProgressBar(ProgressView):
    """A bar with what is done, the time left and the latest numbers; `above` is drawn over it."""

    def __init__(
        self,
        console: Console,
        title: str,
        limit_s: float | None = None,
        clock: Clock = time.monotonic,
        above: RenderableType | None = None,
    ) -> None:
        super().__init__(console, title, limit_s, clock)
        self._progress = _BarBelow(
            above,
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}", markup=False),
            TextColumn("{task.fields[numbers]}", style="dim", markup=False),
            console=console,
            transient=True,
        )
        self._task = self._progress.add_task(title, total=None, left="", numbers="")
        self._progress.start()

    def draw(self, event: Progressed) -> None:
        """Show the job's progress."""
        has_begun = event.done > 0 and event.total > 0
        self._progress.update(
            self._task,
            description=self._describe(event),
            total=1.0 if has_begun else None,
            completed=self._estimate.share,
            left=self._left(),
            numbers=self._latest(),
        )

    def close(self) -> None:
        """Take the bar away."""
        self._progress.stop()


class ProgressLines(ProgressView):
    """A line now and then, for the logs of a cluster."""

    every_s: ClassVar[float] = 15.0

    def __init__(
        self, console: Console, title: str, limit_s: float | None = None, clock: Clock = time.monotonic
    ) -> None:
        super().__init__(console, title, limit_s, clock)
        self._clock, self._last = clock, clock()

    def draw(self, event: Progressed) -> None:
        """Write a line, unless the last one is recent."""
        now = self._clock()
        if now - self._last < self.every_s:
            return
        self._last = now
        parts = (self._describe(event), f"{self._estimate.share:.0%}", self._left(), self._latest())
        self._console.print(", ".join(part for part in parts if part), soft_wrap=True)


def duration(seconds: float) -> str:
    """A time for people."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
