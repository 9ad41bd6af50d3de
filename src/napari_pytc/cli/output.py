"""Output of commands: rich text for people, or one JSON document on stdout and everything else on stderr."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from napari_pytc.jobs.events import JobEvent

PIPE_WIDTH = 140
"""Columns where the text goes to a file or another program, so that tables are not folded at 80."""


@dataclass(frozen=True)
class Reply:
    """The reply of a command that is done.

    Parameters
    ----------
    document : dict
        The JSON document of ``--json``.
    text : str or rich renderable, optional
        The same for people.
    exit_code : int
        0 unless the reply itself is a failure, as that of `doctor` may be.
    """

    document: dict[str, Any]
    text: RenderableType = ""
    exit_code: int = field(default=0)


class Output:
    """The streams of one command.

    Parameters
    ----------
    as_json : bool
        Whether stdout is kept for the one JSON document.
    debug : bool
        Whether errors are shown with their trace.
    command : str
        Name of the command, whose help is the hint of an error without one.
    """

    def __init__(self, as_json: bool = False, debug: bool = False, command: str = "napari-pytc") -> None:
        self.as_json = as_json
        self.debug = debug
        self.command = command
        self._stdout = sys.stdout
        self.notes = _console(sys.stderr)
        self.console = self.notes if as_json else _console(sys.stdout)

    def print(self, *things: RenderableType) -> None:
        """Print for people; not part of the JSON document."""
        for thing in things:
            self.console.print(thing, highlight=False, markup=False)

    def warn(self, message: str) -> None:
        """Print a problem that did not stop the command."""
        self.notes.print(Text.assemble(("Note: ", "yellow"), message), highlight=False, soft_wrap=True)

    def answer(self, answer: Reply) -> None:
        """Print the reply of the command."""
        if self.as_json:
            self._write(answer.document)
        elif answer.text != "":
            self.print(answer.text)

    def error(self, message: str, hint: str = "") -> None:
        """Print the reason of a failure in one line, and the hint in another."""
        message, hint = _one_line(message), _one_line(hint) or f"`{self.command} --help` shows what it takes."
        if self.as_json:
            self._write({"error": message, "hint": hint})
            return
        self.notes.print(Text.assemble(("Error: ", "bold red"), message), highlight=False, soft_wrap=True)
        self.notes.print(Text.assemble(("Hint: ", "cyan"), hint), highlight=False, soft_wrap=True)

    @contextmanager
    def progress(
        self, title: str, limit_s: float | None = None, above: RenderableType | None = None
    ) -> Iterator[Callable[[JobEvent], None]]:
        """Show a job's events while it runs.

        Parameters
        ----------
        title : str
            Title of the job.
        limit_s : float, optional
            Seconds after which the job ends by itself, whatever pieces are left.
        above : rich renderable, optional
            Drawn over the bar while the job runs, on a terminal.

        Yields
        ------
        callable
            The sink to hand to a runner.
        """
        from napari_pytc.cli.progress import ProgressBar, ProgressLines

        shown: ProgressBar | ProgressLines = ProgressLines(self.notes, title, limit_s)
        if self.notes.is_terminal:
            shown = ProgressBar(self.notes, title, limit_s, above=above)
        try:
            yield lambda event: shown.show(event, self.warn)
        finally:
            shown.close()

    @contextmanager
    def counting(self, title: str) -> Iterator[Callable[[int, int], None]]:
        """Show the progress of work that is no job.

        Yields
        ------
        callable
            Takes the number of pieces done and their total.
        """
        from napari_pytc.jobs.events import Progressed

        with self.progress(title) as sink:
            yield lambda done, total: sink(Progressed(job=title, done=done, total=total))

    def _write(self, document: dict[str, Any]) -> None:
        self._stdout.write(json.dumps(_plain(document), allow_nan=False) + "\n")
        self._stdout.flush()


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> Table:
    """A table whose numbers stand to the right; an entry that is None shows as a dash."""
    shown = Table(title=title or None, title_justify="left", title_style="bold", header_style="bold", expand=False)
    for index, name in enumerate(columns):
        numbers = all(isinstance(row[index], int | float) or row[index] is None for row in rows) and bool(rows)
        shown.add_column(name, justify="right" if numbers else "left", overflow="fold")
    for row in rows:
        shown.add_row(*(Text(_cell(entry)) for entry in row))
    return shown


def shape_text(shape: Sequence[int]) -> str:
    """Lengths of a volume for people."""
    return " x ".join(str(n) for n in shape)


def channels_text(channels: Sequence[dict[str, Any]]) -> str:
    """The channels of an image for people, from the document of them."""
    shown = [f"{one['number']} {one['name']}".strip() for one in channels]
    return f"channel{'s' if len(shown) > 1 else ''} {', '.join(shown)}"


def bytes_text(n_bytes: float) -> str:
    """A size of a file for people, in powers of 1000."""
    for unit in ("B", "kB", "MB", "GB"):
        if n_bytes < 1000:
            return f"{n_bytes:.0f} {unit}" if unit == "B" else f"{n_bytes:.1f} {unit}"
        n_bytes /= 1000
    return f"{n_bytes:.1f} TB"


def voxel_text(voxel_size_nm: Sequence[float] | None) -> str:
    """A voxel size for people."""
    return "not known" if voxel_size_nm is None else " x ".join(f"{v:g}" for v in voxel_size_nm) + " nm"


def _console(stream: Any) -> Console:
    console = Console(file=stream, markup=False, highlight=False)
    return console if console.is_terminal else Console(file=stream, markup=False, highlight=False, width=PIPE_WIDTH)


def _cell(entry: Any) -> str:
    if entry is None:
        return "-"
    return f"{entry:.3f}" if isinstance(entry, float) else str(entry)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _plain(value: Any) -> Any:
    """A value as JSON has it: paths and boxes as text, NumPy numbers as numbers, nan and inf as null."""
    if isinstance(value, dict):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, str | int) else str(value)
