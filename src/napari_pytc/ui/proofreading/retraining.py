"""Retraining from corrections as a part of the panel: what it learns from, how far it is, and what came of it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QListWidget, QListWidgetItem, QPushButton, QSpinBox, QVBoxLayout, QWidget

from napari_pytc.geometry import Box
from napari_pytc.ui.controls import Bar
from napari_pytc.ui.parts import Notice, allow, row, wrapped
from napari_pytc.ui.proofreading.acts import Acts
from napari_pytc.ui.proofreading.retrainer import Retrainer
from napari_pytc.ui.proofreading.reviewing import AROUND_UM

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_pytc.proofreading.entries import Entry
    from napari_pytc.proofreading.transfer import CarriedEdit

_PARTS, _N_STEPS, _ROWS = 200, 7, 6
_WORDS = {
    "merge": ("merge", "merges"),
    "split": ("split", "splits"),
    "split_line": ("split", "splits"),
    "lock": ("locked segment", "locked segments"),
    "delete": ("deleted segment", "deleted segments"),
    "paint": ("painted place", "painted places"),
    "new_segment": ("painted place", "painted places"),
    "fill_holes": ("painted place", "painted places"),
    "import_labels": ("import", "imports"),
}


class RetrainingBox(QWidget):
    """A button, a bar, the verdict, and the list of edits that no longer apply.

    Parameters
    ----------
    acts : Acts
        Fly to a place.
    retrainer : Retrainer
        What the buttons do.
    """

    def __init__(self, acts: Acts, retrainer: Retrainer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._acts, self._retrainer = acts, retrainer
        self.text = wrapped()
        self.text.setObjectName("retrainingText")
        self.minutes = QSpinBox()
        self.minutes.setObjectName("retrainingMinutes")
        self.minutes.setRange(1, 600)
        self.minutes.setValue(5)
        self.minutes.setSuffix(" min")
        self.minutes.setToolTip("Train for so long at most; predicting and segmenting come on top of it.")
        self.begin = self._button(
            "Retrain from corrections", "beginRetraining", lambda: retrainer.begin(self.minutes.value())
        )
        self.bar = Bar()
        self.bar.setObjectName("retrainingBar")
        self.bar.setRange(0, _PARTS)
        self.bar.setFormat("%p %")
        self.stop = self._button("Stop", "stopRetraining", retrainer.stop)
        self.go_on = self._button("Go on", "goOnRetraining", retrainer.go_on)
        self.insist = self._button("Use it all the same", "insistRetraining", retrainer.insist)
        self.discard = self._button("Discard", "discardRetraining", retrainer.discard)
        self.notice = Notice()
        self.notice.setObjectName("retrainingNotice")
        self.lost_text = wrapped()
        self.lost_text.setObjectName("lostText")
        self.lost = QListWidget()
        self.lost.setObjectName("lostEdits")
        self.lost.setToolTip("Edits of the former segments that no longer apply. A click flies to the place.")
        self.lost.setWordWrap(True)
        self.lost.setSpacing(2)
        self.lost.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.lost.itemClicked.connect(self._visit)
        self.lost.itemActivated.connect(self._visit)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.text)
        layout.addLayout(row(self.begin, self.minutes, 1))
        layout.addWidget(self.bar)
        layout.addLayout(row(self.stop, self.go_on, self.insist, self.discard, 1))
        for widget in (self.notice, self.lost_text, self.lost):
            layout.addWidget(widget)
        self._shown: tuple[object, object] = (None, None)
        retrainer.changed.connect(self.refresh)
        acts.past.changed.connect(self.refresh)
        acts.desk.changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show how it stands."""
        retrainer, phase = self._retrainer, self._retrainer.phase
        learns = sentence_of(self._entries())
        free = phase in ("idle", "over")
        self.text.setText(self._told(learns))
        for widget in (self.begin, self.minutes):
            widget.setVisible(free)
        why_not = self._acts.desk.locked_reason or ("" if learns else "nothing was edited yet.")
        allow(
            self.begin,
            why_not,
            "Learn from these edits, predict again, segment what changed, and carry all edits over. The segments stay "
            "as they are until the end, and undo leads back.",
        )
        self.bar.setVisible(phase == "running")
        if phase == "running" and retrainer.task is not None:
            done = retrainer.task.number - 1 + (retrainer.share or 0.0)
            self.bar.setValue(round(_PARTS * min(done / _N_STEPS, 1.0)))
        self.stop.setVisible(phase == "running")
        stopping = "it ends as soon as it can." if retrainer.is_stopping else ""
        allow(self.stop, stopping, "Stop for now. Nothing was changed yet, and it can be gone on with, also tomorrow.")
        self.go_on.setVisible(phase == "stopped")
        allow(self.go_on, "", "Go on where it stopped.")
        self.insist.setVisible(phase == "asking")
        allow(self.insist, "", "Go on with the new model although it scored worse.")
        self.discard.setVisible(phase in ("stopped", "asking"))
        self.discard.setText("Keep the present model" if phase == "asking" else "Discard")
        allow(self.discard, "", "Give it up: the new model and what it made go; everything else is as it was.")
        self._show_problem()
        self._show_lost()

    # ---- what follows is ours

    def _button(self, text: str, name: str, call: object) -> QPushButton:
        button = QPushButton(text)
        button.setObjectName(name)
        button.clicked.connect(lambda: call())  # type: ignore[operator]
        return button

    def _entries(self) -> list[Entry]:
        """Edits of the current segmentation that are in effect."""
        document = self._acts.desk.document
        if document is None:
            return []
        return [
            entry
            for entry in self._acts.past.entries
            if not entry.is_undone and entry.target == "segments" and entry.segmentation == document.id
        ]

    def _told(self, learns: str) -> str:
        retrainer, phase = self._retrainer, self._retrainer.phase
        if phase == "running" and retrainer.task is not None:
            if retrainer.is_stopping:
                return "Stopping …"
            part = "" if retrainer.share is None else f" · {100 * retrainer.share:.0f} %"
            return (
                f"Step {retrainer.task.number} of {_N_STEPS}: {retrainer.task.title}{part}. You can go on proofreading."
            )
        if phase == "asking":
            return f"The new model was found worse. {retrainer.verdict} The segments are as they were."
        if phase == "stopped":
            return "A retraining was begun and is not over. The segments are as they were."
        if phase == "over" and retrainer.outcome is not None:
            return _outcome(retrainer.outcome)
        return f"Learns from {learns}." if learns else "Every edit teaches: merge, split, paint or lock segments first."

    def _show_problem(self) -> None:
        problem = self._retrainer.problem
        if problem is self._shown[0]:
            return
        self._shown = (problem, self._shown[1])
        if problem is None:
            self.notice.hide()
        else:
            self.notice.show_error(problem)

    def _show_lost(self) -> None:
        carried = self._retrainer.carried
        lost = [] if carried is None else carried.lost
        self.lost_text.setVisible(bool(lost))
        self.lost.setVisible(bool(lost))
        if carried is self._shown[1]:
            return
        self._shown = (self._shown[0], carried)
        self.lost.clear()
        n = len(lost)
        self.lost_text.setText(
            f"{n} edit{' no longer applies' if n == 1 else 's no longer apply'}; look at them again:"
        )
        for edit in lost:
            item = QListWidgetItem(f"{edit.title}: {edit.reason}")
            item.setToolTip(f"{edit.title}\n{edit.reason}\nVoxel {', '.join(map(str, edit.place))}")
            item.setData(Qt.ItemDataRole.UserRole, edit)
            self.lost.addItem(item)
        line = self.lost.fontMetrics().height()
        self.lost.setFixedHeight(min(max(n, 1), _ROWS) * 2 * (line + 3) + 8)

    def _visit(self, item: QListWidgetItem) -> None:
        edit: CarriedEdit = item.data(Qt.ItemDataRole.UserRole)
        document = self._acts.desk.document
        if document is not None:
            half = [max(1, round(1000 * AROUND_UM / size)) for size in document.space.voxel_size_nm]
            around = Box.at(edit.place, (1, 1, 1)).grow(half).intersect(Box.of_shape(document.shape))
            self._acts.desk.go_to(around, edit.place)


def sentence_of(entries: Sequence[Entry]) -> str:
    """What there is to learn from: "3 merges, 1 split"; empty for nothing."""
    counts: Counter[tuple[str, str]] = Counter(_WORDS[entry.kind] for entry in entries if entry.kind in _WORDS)
    return ", ".join(f"{n} {words[n > 1]}" for words, n in counts.items())


def _outcome(outcome: dict[str, object]) -> str:
    if outcome["unchanged"]:
        return "Done. The new model predicts the same, so the segments stay as they are."
    edits = outcome["edits"]
    assert isinstance(edits, dict)
    verdict = f"{outcome['verdict']} " if outcome["verdict"] else ""
    return (
        f"Done. {verdict}Your edits: {edits['carried']} carried over, {edits['holds']} held already, "
        f"{edits['lost']} given up. To go back, jump to “Before retraining” in the history."
    )
