"""Two models side by side: what they differ in, and how they were trained."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtGui import QIcon
from qtpy.QtWidgets import QDialog, QDialogButtonBox, QHeaderView, QTableWidget, QTableWidgetItem, QVBoxLayout, QWidget

from napari_pytc.session.records import ModelRecord
from napari_pytc.ui.models import short_name
from napari_pytc.ui.parts import Notice, duration, wrapped
from napari_pytc.ui.plots import CurvesPlot, Points, series_of_run

if TYPE_CHECKING:
    from napari_pytc.learning.model_folder import ModelInfo
    from napari_pytc.session.session import Session
    from napari_pytc.ui.workspace import Workspace

Row = tuple[str, str, str]


class ComparisonDialog(QDialog):
    """Settings that differ, scores, and the curves of both trainings.

    Parameters
    ----------
    first, second : ModelRecord
        The older one first; its curves are solid, the other's dashed.
    """

    def __init__(
        self, workspace: Workspace, first: ModelRecord, second: ModelRecord, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle(f"{first.name} and {second.name}")
        self.resize(560, 620)
        self._records = (first, second)
        self._colours = {} if workspace.session is None else {c.name: c.colour for c in workspace.session.classes}
        self.notice = Notice()
        self.table = QTableWidget(0, 3)
        self.table.setObjectName("comparisonTable")
        self.table.setHorizontalHeaderLabels(["", first.name, second.name])
        self.table.setEditTriggers(QTableWidget.EditTrigger.NoEditTriggers)
        header, rows = self.table.horizontalHeader(), self.table.verticalHeader()
        assert header is not None
        assert rows is not None
        header.setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        rows.hide()
        rows.setDefaultSectionSize(self.fontMetrics().height() + 6)
        self.table.setMinimumHeight(220)
        self.plot = CurvesPlot(workspace.background)
        self._no_curves = wrapped("The project has no curves of these trainings.", dim=True)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.rejected.connect(self.reject)
        close = buttons.button(QDialogButtonBox.StandardButton.Close)
        assert close is not None
        close.setIcon(QIcon())  # the system's is black on black in the dark theme
        layout = QVBoxLayout(self)
        layout.addWidget(self.notice)
        layout.addWidget(self.table, 1)
        layout.addWidget(self._no_curves)
        layout.addWidget(self.plot)
        layout.addWidget(buttons)
        self._show_curves(workspace)
        workspace.background.run(self._read, self._show_rows, self.notice.show_error)

    def _read(self) -> tuple[ModelInfo, ModelInfo]:
        from napari_pytc.learning.model_folder import read_model_info

        first, second = self._records
        return read_model_info(first.folder), read_model_info(second.folder)

    def _show_rows(self, infos: tuple[ModelInfo, ModelInfo]) -> None:
        rows = [*scores(*infos), *differences(*infos)]
        self.table.setRowCount(len(rows))
        for number, texts in enumerate(rows):
            for column, text in enumerate(texts):
                item = QTableWidgetItem(text)
                item.setToolTip(text)
                self.table.setItem(number, column, item)

    def _show_curves(self, workspace: Workspace) -> None:
        series = []
        names = [short_name(record) for record in self._records]
        if names[0] == names[1]:
            names = [record.name for record in self._records]
        for record, name, dashed in zip(self._records, names, (False, True), strict=True):
            curves = {} if workspace.session is None else curves_of(workspace.session, record.id)
            series += series_of_run(curves, self._colours, name, dashed)
        self._no_curves.setVisible(not series)
        self.plot.setVisible(bool(series))
        self.plot.show_series(series)


def curves_of(session: Session, model: str) -> dict[str, Points]:
    """The curves of the training that made a model; empty if the project has none."""
    runs = [run for run in session.runs() if run.kind == "train" and run.subject == model]
    curves: dict[str, list[tuple[int, float]]] = {}
    for run in runs:
        # A resumed training has several runs, whose steps go on.
        for point in session.metrics(run.id):
            curves.setdefault(point.name, []).append((point.step, point.value))
    return {name: sorted(points) for name, points in curves.items()}


def differences(first: ModelInfo, second: ModelInfo) -> list[Row]:
    """Settings that differ, by their dotted names; "—" where one does not have it."""
    ours, theirs = _flat(first.plan.model_dump()), _flat(second.plan.model_dump())
    names = [*ours, *(name for name in theirs if name not in ours)]
    return [
        (name, _text(ours.get(name, "—")), _text(theirs.get(name, "—")))
        for name in names
        if ours.get(name, "—") != theirs.get(name, "—")
    ]


def scores(first: ModelInfo, second: ModelInfo) -> list[Row]:
    """Held-out scores and effort."""
    rows = [("mean held-out Dice", _score(first.scores.get("mean")), _score(second.scores.get("mean")))]
    for kind, title in (("dice", "Dice"), ("iou", "IoU")):
        ours, theirs = first.scores.get(kind) or {}, second.scores.get(kind) or {}
        names = dict.fromkeys([*ours, *theirs])
        rows += [(f"{title} of {name}", _score(ours.get(name)), _score(theirs.get(name))) for name in names]
    rows.append(("steps taken", str(first.steps), str(second.steps)))
    rows.append(("time", duration(first.seconds), duration(second.seconds)))
    painted = [f"{sum(info.n_annotated.values()):,}" for info in (first, second)]
    rows.append(("annotated voxels", painted[0], painted[1]))
    return rows


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            found.update(_flat(value, f"{prefix}{name}."))
        else:
            found[f"{prefix}{name}"] = value
    return found


def _text(value: Any) -> str:
    if isinstance(value, tuple | list):
        return ", ".join(map(str, value))
    if value is None:
        return "automatic"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def _score(value: float | None) -> str:
    return "—" if value is None else f"{value:.3f}"
