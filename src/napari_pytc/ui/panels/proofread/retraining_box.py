"""Retraining from corrections in the panel: its training data, its progress, and its result."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QListWidget, QListWidgetItem, QPushButton, QSpinBox, QVBoxLayout, QWidget

from napari_pytc.ui.panels.proofread.editor import SegmentEditor
from napari_pytc.ui.panels.proofread.retraining_controller import RetrainingController
from napari_pytc.ui.widgets.buttons import allow
from napari_pytc.ui.widgets.labels import wrapped
from napari_pytc.ui.widgets.layout import row
from napari_pytc.ui.widgets.notice import Notice
from napari_pytc.ui.widgets.progress import BusyBar

if TYPE_CHECKING:
    from napari_pytc.proofreading.constraints.edit_transfer import TransferredEdit

_PARTS, _ROWS = 200, 6


class RetrainingBox(QWidget):
    """Buttons, a progress bar, the verdict, and the list of edits that no longer apply.

    Parameters
    ----------
    editor : SegmentEditor
        Flies to a place.
    retraining : RetrainingController
        Controller of the retraining that is shown.
    """

    def __init__(self, editor: SegmentEditor, retraining: RetrainingController, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._editor, self._retraining = editor, retraining
        self.text = wrapped()
        self.text.setObjectName("retrainingText")
        self.minutes = QSpinBox()
        self.minutes.setObjectName("retrainingMinutes")
        self.minutes.setRange(1, 600)
        self.minutes.setValue(5)
        self.minutes.setSuffix(" min")
        self.minutes.setToolTip("Train for so long at most; predicting and segmenting come on top of it.")
        self.begin = self._button(
            "Retrain from corrections", "beginRetraining", lambda: retraining.begin(self.minutes.value())
        )
        self.bar = BusyBar()
        self.bar.setObjectName("retrainingBar")
        self.bar.setRange(0, _PARTS)
        self.bar.setFormat("%p %")
        self.stop = self._button("Stop", "stopRetraining", retraining.stop)
        self.go_on = self._button("Go on", "goOnRetraining", retraining.go_on)
        self.insist = self._button("Use it all the same", "insistRetraining", retraining.insist)
        self.discard = self._button("Discard", "discardRetraining", retraining.discard)
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
        self.lost.itemClicked.connect(self._go_to)
        self.lost.itemActivated.connect(self._go_to)
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
        retraining.changed.connect(self.refresh)
        editor.changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the retraining as it is now."""
        retraining, phase = self._retraining, self._retraining.phase
        free = phase in ("idle", "over")
        self.text.setText(retraining.status)
        for widget in (self.begin, self.minutes):
            widget.setVisible(free)
        allow(
            self.begin,
            retraining.why_not_begin,
            "Learn from these edits, predict again, segment what changed, and carry all edits over. The segments stay "
            "as they are until the end, and undo leads back.",
        )
        self.bar.setVisible(phase == "running")
        self.bar.setValue(round(_PARTS * retraining.fraction))
        self.stop.setVisible(phase == "running")
        stopping = "it ends as soon as it can." if retraining.is_stopping else ""
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

    # ---- private

    def _button(self, text: str, name: str, call: object) -> QPushButton:
        button = QPushButton(text)
        button.setObjectName(name)
        button.clicked.connect(lambda: call())  # type: ignore[operator]
        return button

    def _show_problem(self) -> None:
        problem = self._retraining.problem
        if problem is self._shown[0]:
            return
        self._shown = (problem, self._shown[1])
        if problem is None:
            self.notice.hide()
        else:
            self.notice.show_error(problem)

    def _show_lost(self) -> None:
        transfer = self._retraining.transfer
        lost = [] if transfer is None else transfer.lost
        self.lost_text.setVisible(bool(lost))
        self.lost.setVisible(bool(lost))
        if transfer is self._shown[1]:
            return
        self._shown = (self._shown[0], transfer)
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

    def _go_to(self, item: QListWidgetItem) -> None:
        edit: TransferredEdit = item.data(Qt.ItemDataRole.UserRole)
        self._editor.go_around(edit.place)
