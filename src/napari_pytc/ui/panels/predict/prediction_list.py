"""The predictions of a project as a list."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QWidget

from napari_pytc.errors import InvalidInput
from napari_pytc.session.records import PredictionRecord
from napari_pytc.ui.widgets.buttons import allow
from napari_pytc.ui.widgets.record_list import Column, Line, RecordList
from napari_pytc.ui.widgets.record_text import long_date, region_text

_STATES = {"interrupted": "cut short", "cancelled": "in part", "failed": "failed", "running": "running"}


class PredictionList(RecordList):
    """Predictions, the newest first, with buttons for the one that is selected."""

    show_requested = Signal(object)
    """A `PredictionRecord`, or None to show none."""
    resume_requested = Signal(object)
    """A `PredictionRecord`."""
    delete_requested = Signal(object)
    """A `PredictionRecord`."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(
            "predictionList",
            (Column("Model", stretches=True), Column("Where"), Column("State")),
            tip="The predictions of this project, the newest first; the one on the canvas is bold.",
            parent=parent,
        )
        self._shown: Path | None = None
        self._running: set[Path | None] = set()
        self._locked = ""
        self.show_button = self.add_button("Show", "showPredictionButton", self._show)
        self.resume_button = self.add_button(
            "Resume", "resumePredictionButton", lambda: self.resume_requested.emit(self.first_selected)
        )
        self.delete_button = self.add_button(
            "Delete …", "deletePredictionButton", lambda: self.delete_requested.emit(self.first_selected)
        )
        self.double_clicked.connect(self._show)
        self.selection_changed.connect(self._update_buttons)
        self._update_buttons()

    def show_predictions(
        self,
        predictions: Sequence[PredictionRecord],
        shown: Path | None,
        running: set[Path | None],
        locked: str,
    ) -> None:
        """Show these.

        Parameters
        ----------
        predictions : sequence of PredictionRecord
            The newest first.
        shown : Path, optional
            Folder of the one on the canvas.
        running : set of Path
            Folders of those that jobs write just now.
        locked : str
            Why none may be changed; empty if they may.
        """
        is_first = self.first_selected is None
        self._shown, self._running, self._locked = shown, running, locked
        on_canvas = [record.id for record in predictions if record.folder == shown]
        self.show_lines([self._line(record) for record in predictions], on_canvas if is_first else ())

    def _line(self, record: PredictionRecord) -> Line:
        is_shown = record.folder == self._shown
        state = "running" if record.folder in self._running else record.state
        texts = [record.model, region_text(record.box), _STATES.get(state, state)]
        return Line(record.id, record, texts, tip=_about(record, is_shown), bold=(0,) if is_shown else ())

    def _show(self) -> None:
        record = self.first_selected
        self.show_requested.emit(None if record is None or record.folder == self._shown else record)

    def _update_buttons(self) -> None:
        record = self.first_selected
        nothing = "" if record is not None else "no prediction is selected."
        is_shown = record is not None and record.folder == self._shown
        is_running = record is not None and record.folder in self._running
        busy = "it is being predicted." if is_running else ""
        self.show_button.setText("Hide" if is_shown else "Show")
        tip = "Take it off the canvas; it stays on the disk." if is_shown else "Show it on the canvas."
        allow(self.show_button, nothing, tip)
        done = "it is complete." if record is not None and record.state == "finished" else ""
        allow(
            self.resume_button,
            nothing or self._locked or busy or done,
            "Predict what is missing, with the same model; finished tiles are kept.",
        )
        allow(self.delete_button, nothing or self._locked or busy, "Delete it from the disk, after a question.")


def _about(record: PredictionRecord, is_shown: bool) -> str:
    lines = [f"Model {record.model}", long_date(record.created)]
    lines.append("The whole volume" if record.box is None else f"Voxels {record.box}")
    if record.tta:
        lines.append(_about_copies(record))
    elif record.flips:
        lines.append("Averaged over flips")
    if is_shown:
        lines.append("On the canvas now")
    return "\n".join(lines)


def _about_copies(record: PredictionRecord) -> str:
    from napari_pytc.plans.test_time import TtaSettings

    try:
        return f"Test-time augmentation: {TtaSettings.of_stamp(record.tta, record.flips)}"
    except InvalidInput:
        return "Test-time augmentation of another version"
