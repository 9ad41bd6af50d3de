"""What the scores say of the model that was trained last, and the way to overrule them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFrame, QGridLayout, QLabel, QPushButton, QWidget

from napari_pytc.jobs.job import JobState
from napari_pytc.session.records import ModelRecord
from napari_pytc.ui.bridge import JobView
from napari_pytc.ui.models import short_date, short_name
from napari_pytc.ui.parts import MARGIN, allow, row, wrapped

if TYPE_CHECKING:
    from napari_pytc.ui.workspace import Workspace

_MARKS = {"better": "▲", "no different": "≈", "worse": "▼", "unknown": "?"}


class VerdictNote(QFrame):
    """Whether the newest model beats the one it was to beat, which of them predicts, and a button for the other.

    Hidden until a training ends in a model, and while there is nothing to compare it with.

    Parameters
    ----------
    workspace : Workspace
        Its jobs make the models.
    """

    def __init__(self, workspace: Workspace, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("verdictNote")
        self.setFrameShape(QFrame.Shape.StyledPanel)
        self._workspace = workspace
        self._model = ""
        self._mark = QLabel()
        self.text, self.state = wrapped(), wrapped(dim=True)
        self.text.setObjectName("verdictText")
        self.text.setAlignment(Qt.AlignmentFlag.AlignTop)  # beside its mark
        self.state.setObjectName("verdictState")
        self.use, self.back = QPushButton(), QPushButton()
        self.use.setObjectName("useModelButton")
        self.back.setObjectName("goBackButton")
        self.use.clicked.connect(lambda: self._activate(self._model))
        self.back.clicked.connect(lambda: self._activate(self._former))
        self._former = ""
        self._names: dict[str, str] = {}
        layout = QGridLayout(self)
        layout.setContentsMargins(MARGIN, MARGIN, MARGIN, MARGIN)
        layout.setColumnStretch(1, 1)
        layout.addWidget(self._mark, 0, 0, alignment=Qt.AlignmentFlag.AlignTop)
        layout.addWidget(self.text, 0, 1)
        layout.addWidget(self.state, 1, 1)
        layout.addLayout(row(self.use, self.back, 1), 2, 1)
        workspace.jobs.ended.connect(self._on_ended)
        workspace.session_changed.connect(self.forget)
        workspace.models_changed.connect(self.refresh)
        self.hide()

    def show_model(self, model: str) -> None:
        """Tell of a model by its id."""
        self._model = model
        self.refresh()

    def forget(self) -> None:
        """Tell of none."""
        self._model = ""
        self.hide()

    def refresh(self) -> None:
        """Read again which model predicts; hidden where the one told of is gone."""
        session = self._workspace.session
        records = {record.id: record for record in ([] if session is None else session.models())}
        record = records.get(self._model)
        if session is None or record is None or not record.comparisons:
            self.hide()
            return
        self._names = names_of(records.values())
        refusal = record.refusal
        weighty = refusal or record.comparisons[0]
        self._mark.setText(_MARKS[weighty.verdict])
        told = [refusal] if refusal is not None else record.comparisons
        self.text.setText("\n".join(one.told(f"“{self._names.get(one.baseline, one.baseline)}”") for one in told))
        self.text.setToolTip(
            "Both were scored on the same annotated voxels of the held-out boxes, on the half by which no weights were "
            "chosen. The interval is how the difference varies when other places of them are drawn."
        )
        used = next((one for one in records.values() if one.active), None)
        # Back to what was in use before, which is the last that was compared.
        self._former = next((one.baseline for one in reversed(record.comparisons) if one.baseline in records), "")
        self._show_state(record, "" if used is None else self._names[used.id])
        reason = session.read_only_reason
        allow(self.use, reason, "Predict with the new model from now on, whatever its score.")
        allow(self.back, reason, "Predict with the former model again. The new one stays in the list.")
        self.show()

    def _show_state(self, record: ModelRecord, used: str) -> None:
        if record.active:
            self.state.setText("The new model predicts from now on.")
        elif record.refusal is not None:
            self.state.setText(f"It is not put to use: “{used}” goes on predicting.")
        else:
            self.state.setText(f"“{used}” goes on predicting, as it was chosen.")
        self.use.setText("Use it all the same" if record.refusal is not None else "Use the new model")
        self.use.setVisible(not record.active)
        self.back.setText(f"Go back to {self._names.get(self._former, '')}")
        self.back.setVisible(record.active and bool(self._former))

    def _activate(self, model: str) -> None:
        session = self._workspace.session
        if session is not None and model:
            self._workspace.attempt(lambda: session.activate_model(model))
            self._workspace.models_changed.emit()

    def _on_ended(self, job: JobView) -> None:
        if job.kind in ("train", "live") and job.state is JobState.FINISHED and job.result.get("model"):
            self.show_model(str(job.result["model"]))
        elif job.kind == "train":
            self.forget()


def names_of(records: Collection[ModelRecord]) -> dict[str, str]:
    """Short names of models by id; those that are alike with the time of training."""
    names = {record.id: short_name(record) for record in records}
    n_alike = Counter(names.values())
    return {
        record.id: f"{names[record.id]} of {short_date(record.created)}"
        if n_alike[names[record.id]] > 1
        else names[record.id]
        for record in records
    }
