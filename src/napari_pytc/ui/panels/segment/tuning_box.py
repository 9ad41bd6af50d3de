"""The part of the Segment panel that tunes the decoder on held-out truth, with a live table of its trials."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QSignalBlocker, Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QPushButton,
    QSpinBox,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_pytc.ui.panels.segment.choices import SegmentChoices
from napari_pytc.ui.panels.segment.tuning_controller import FIRST_TRIALS, TuningController
from napari_pytc.ui.widgets.buttons import allow
from napari_pytc.ui.widgets.job_row import JobRows
from napari_pytc.ui.widgets.labels import wrapped
from napari_pytc.ui.widgets.layout import order_tabs, row
from napari_pytc.ui.widgets.notes import NoteList
from napari_pytc.ui.widgets.notice import Notice

if TYPE_CHECKING:
    from napari_pytc.tuning.records import TunedTrial, TuningRecord

_MOST_TRIALS, _MOST_ROWS, _SHOWN_ROWS = 10_000, 50, 6
_SCORES = {"voi": "VOI", "adapted_rand": "Rand error", "ap50": "AP50", "ap": "AP"}
_ABOUT = {
    "voi": "Variation of information in bits, split and merge: lower is better.",
    "adapted_rand": "Adapted Rand error: lower is better.",
    "ap50": "Average precision at an overlap (IoU) of 0.5: higher is better.",
    "ap": "Mean average precision at overlaps of 0.5 to 0.95: higher is better.",
}
_TIP = (
    "Try other settings of this decoder on the objects that are labelled in held-out boxes, and list which score best. "
    "Tuning again goes on with the trials of before."
)


class TrialTable(QTableWidget):
    """The trials of a tuning, the best on top; it is as high as its first few rows and scrolls through the others."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(0, 0, parent)
        self.setObjectName("trialTable")
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setTabKeyNavigation(False)  # Tab goes on to the buttons; the arrow keys choose a row
        self.setWordWrap(False)
        header, numbers = self.horizontalHeader(), self.verticalHeader()
        assert header is not None
        assert numbers is not None
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setHighlightSections(False)
        numbers.hide()
        bar = self.horizontalScrollBar()
        assert bar is not None
        bar.rangeChanged.connect(self._fit)

    @property
    def chosen(self) -> int | None:
        """Number of the trial that is chosen; None where there is none."""
        item = self.item(max(0, self.currentRow()), 0)
        return None if item is None else int(item.data(Qt.ItemDataRole.UserRole))

    def show_trials(self, record: TuningRecord) -> None:
        """Show the trials of a record; the best is chosen, unless the user chose another one."""
        trials = record.ranked[:_MOST_ROWS]
        if record.trials and record.trials[0] not in trials:
            trials.append(record.trials[0])
        titles = _setting_titles(record)
        wanted = self.chosen if self.currentRow() > 0 else None
        with QSignalBlocker(self):
            self.setColumnCount(2 + len(titles))
            self.setHorizontalHeaderLabels(["Trial", _SCORES[record.score], *(title for title, _ in titles.values())])
            tips = ["", _ABOUT[record.score], *(f"{about}\n\n{name}" for name, (_, about) in titles.items())]
            for column, tip in enumerate(tips):
                item = self.horizontalHeaderItem(column)
                assert item is not None
                item.setToolTip(tip)
            self.setRowCount(len(trials))
            for place, trial in enumerate(trials):
                self._show_row(place, trial, list(titles))
            numbers = [trial.number for trial in trials]
            self.selectRow(numbers.index(wanted) if wanted in numbers else 0)
        self._fit()

    def _show_row(self, place: int, trial: TunedTrial, names: list[str]) -> None:
        number = f"{trial.number}, default" if trial.number == 0 else str(trial.number)
        texts = [number, _text(trial.score), *(_text(trial.decoder.get(name)) for name in names)]
        scores = ", ".join(f"{name} {_text(value)}" for name, value in trial.scores.items() if value is not None)
        for column, text in enumerate(texts):
            item = QTableWidgetItem(text)
            item.setToolTip(scores)
            item.setData(Qt.ItemDataRole.UserRole, trial.number)
            if place == 0:
                font = item.font()
                font.setBold(True)
                item.setFont(font)
            self.setItem(place, column, item)

    def _fit(self) -> None:
        header, bar, n_rows = self.horizontalHeader(), self.horizontalScrollBar(), self.rowCount()
        assert header is not None
        assert bar is not None
        height = self.rowHeight(0) if n_rows else header.sizeHint().height()
        bar_height = bar.sizeHint().height() if bar.maximum() else 0
        self.setFixedHeight(header.sizeHint().height() + min(max(1, n_rows), _SHOWN_ROWS) * height + bar_height + 6)


class TuningBox(QWidget):
    """Button, number of trials, progress and table of a tuning.

    Parameters
    ----------
    controller : TuningController
        The tuning that is shown.
    choices : callable
        Gives the settings of the panel; None while something is wrong with them.
    """

    def __init__(
        self,
        controller: TuningController,
        choices: Callable[[], SegmentChoices | None],
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._controller, self._choices = controller, choices
        self._problem = ""
        self.button = QPushButton("Tune on held-out truth")
        self.button.setObjectName("tuneButton")
        self.trials = QSpinBox()
        self.trials.setObjectName("tuneTrials")
        self.trials.setRange(1, _MOST_TRIALS)
        self.trials.setValue(FIRST_TRIALS)
        self.trials.setSuffix(" trials")
        self.trials.setToolTip("Trials in all, with those of before. The first one is today's default settings.")
        self.reason = wrapped(dim=True)
        self.reason.setObjectName("tuneReason")
        self.rows = JobRows()
        self.result = wrapped()
        self.result.setObjectName("tuneResult")
        self.notes = NoteList("tuneNotes")
        self.table = TrialTable()
        self.use_button = QPushButton("Use these settings")
        self.use_button.setObjectName("useTunedButton")
        self.use_button.setToolTip("Put the settings of the chosen trial into the form above.")
        self.notice = Notice()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(row(self.button, 1, self.trials))
        parts: tuple[QWidget, ...] = (
            self.reason,
            self.rows,
            self.result,
            self.table,
            self.use_button,
            self.notes,
            self.notice,
        )
        for widget in parts:
            layout.addWidget(widget)
        self.button.clicked.connect(self._start)
        self.use_button.clicked.connect(self._use)
        controller.changed.connect(self.refresh)
        self.refresh()

    def show_problem(self, problem: str) -> None:
        """Take note of a problem with the settings of the panel; empty if there is none."""
        self._problem = problem
        self._show_button()

    def refresh(self) -> None:
        """Show the tuning as it is now."""
        controller, record = self._controller, self._controller.record
        job = controller.job
        self.rows.keep([] if job is None else [job])
        if job is not None:
            self.rows.add(job)
            self.rows.refresh(job)
        is_known = record is not None and bool(record.ranked)
        for widget in (self.result, self.table, self.use_button):
            widget.setVisible(is_known)
        if record is not None and is_known:
            self.result.setText(_result_text(record))
            self.table.show_trials(record)
        self.notes.show_notes([] if record is None else record.notes)
        if controller.problem is None:
            self.notice.hide()
        else:
            self.notice.show_error(controller.problem)
        self._show_button()
        order_tabs(self)

    def _show_button(self) -> None:
        reason = self._controller.why_not(self._problem)
        allow(self.button, reason, _TIP)
        self.trials.setEnabled(not reason)
        self.reason.setText(f"No tuning: {reason}")
        self.reason.setVisible(bool(reason) and not self._controller.is_tuning)

    def _start(self) -> None:
        choices = self._choices()
        if choices is not None:
            self._controller.start(choices, self.trials.value())

    def _use(self) -> None:
        number = self.table.chosen
        if number is not None:
            self._controller.use(number)


def _result_text(record: TuningRecord) -> str:
    """The best trial beside the default settings, in a sentence."""
    name, best, default = _SCORES[record.score], record.best, record.default
    if best.number == 0:
        n = len(record.trials)
        return f"{name} {_text(default.score)} by default: " + (
            "no trial yet is better." if n > 1 else "other settings are being tried."
        )
    return f"{name} {_text(best.score)} with trial {best.number}, {_text(default.score)} by default."


def _setting_titles(record: TuningRecord) -> dict[str, tuple[str, str]]:
    """Titles and descriptions of the settings that are tried, by name."""
    from napari_pytc.decoding.base import DecoderSettings

    variants, found = DecoderSettings.variants(), dict[str, tuple[str, str]]()
    for kind, names in record.tuned.items():
        for name in names:
            field = variants[kind].model_fields.get(name) if kind in variants else None
            title = name if field is None or field.title is None else field.title
            found.setdefault(name, (title, "" if field is None else field.description or ""))
    return found


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 0.1 else f"{value:.3f}"
    return "" if value is None else str(value)
