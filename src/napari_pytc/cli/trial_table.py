"""The trials of a tuning as a table: alive while it runs, and at its end."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import RenderableType
from rich.text import Text

from napari_pytc.cli.output import table
from napari_pytc.errors import ProjectError

if TYPE_CHECKING:
    from napari_pytc.tuning.records import TuningRecord

MOST_ROWS = 10
_COLUMNS = {
    "voi": (("VOI", "voi"), ("split", "voi_split"), ("merge", "voi_merge")),
    "adapted_rand": (("adapted Rand", "adapted_rand"), ("VOI", "voi")),
    "ap50": (("AP50", "ap50"), ("AP", "ap")),
    "ap": (("AP", "ap"), ("AP50", "ap50")),
}


def trials_table(record: TuningRecord, most: int = MOST_ROWS) -> RenderableType:
    """The best trials of a tuning, and that of the default settings."""
    shown = record.ranked[:most]
    if record.trials and record.trials[0] not in shown:
        shown.append(record.trials[0])
    columns = _COLUMNS[record.score]
    rows = [
        (
            place + 1 if place < most else None,
            f"{trial.number} (default)" if trial.number == 0 else str(trial.number),
            *(trial.scores.get(name) for _, name in columns),
            settings_text(trial.decoder, record),
            f"{trial.seconds:.3g}",
        )
        for place, trial in enumerate(shown)
    ]
    titles = ("", "trial", *(title for title, _ in columns), "settings", "s")
    return table(f"Trials on {record.truth}: {len(record.trials)}", titles, rows)


def settings_text(decoder: dict[str, Any], record: TuningRecord) -> str:
    """The settings of a trial that are tried."""
    kind = str(decoder["kind"])
    words = [f"{name}={word(decoder[name])}" for name in record.tuned.get(kind, ()) if name in decoder]
    return " ".join([kind, *words])


def word(value: Any) -> str:
    """A value as the command line takes it."""
    return str(value).lower() if isinstance(value, bool) else f"{value:.6g}" if isinstance(value, float) else str(value)


class LiveTrials:
    """The table of a tuning that runs, read from its record when that changed.

    Parameters
    ----------
    path : Path
        The record.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read: tuple[int, RenderableType] = (0, Text(""))

    def __rich__(self) -> RenderableType:
        from napari_pytc.tuning.records import read_record

        try:
            changed = self._path.stat().st_mtime_ns
            if changed != self._read[0]:
                record = read_record(self._path)
                self._read = (changed, trials_table(record) if record.trials else Text(""))
        except (OSError, ProjectError):  # not written yet
            pass
        return self._read[1]


def command_words(settings: dict[str, Any], names: Sequence[str]) -> list[str]:
    """Settings as words of a command."""
    return [f"{name}={word(settings[name])}" for name in names if name in settings]
