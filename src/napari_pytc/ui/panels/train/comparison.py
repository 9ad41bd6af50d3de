"""Models compared: the verdict on the newest one, and two models side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt
from qtpy.QtGui import QIcon
from qtpy.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QFrame,
    QGridLayout,
    QHeaderView,
    QLabel,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_pytc.plans.model_scores import comparability, figures_of
from napari_pytc.session.records import ModelRecord
from napari_pytc.ui.panels.train.models_controller import ModelsController, read_curves, short_name
from napari_pytc.ui.widgets.buttons import allow
from napari_pytc.ui.widgets.curves import CurvesPlot
from napari_pytc.ui.widgets.labels import duration, wrapped
from napari_pytc.ui.widgets.layout import MARGIN, row
from napari_pytc.ui.widgets.notice import Notice
from napari_pytc.ui.widgets.series import series_of_run

if TYPE_CHECKING:
    from napari_pytc.plans.model_folder import ModelInfo
    from napari_pytc.ui.workspace import Workspace

ComparisonRow = tuple[str, str, str]


class ComparisonNote(QFrame):
    """The verdict on the newest model, the model that predicts, and a button for the other one.

    Hidden until a training ends in a model, and while there is nothing to compare it with.

    Parameters
    ----------
    controller : ModelsController
        The verdict, and what the buttons do.
    """

    def __init__(self, controller: ModelsController, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("verdictNote")
        self.setFrameShape(QFrame.Shape.StyledPanel)
        self._controller = controller
        self._mark = QLabel()
        self.text, self.state = wrapped(), wrapped(dim=True)
        self.text.setObjectName("verdictText")
        self.text.setToolTip(
            "Both were scored on the same annotated voxels of the held-out boxes, on the half by which no weights were "
            "chosen. The interval is how the difference varies when other places of them are drawn."
        )
        self.text.setAlignment(Qt.AlignmentFlag.AlignTop)  # beside its mark
        self.state.setObjectName("verdictState")
        self.use, self.back = QPushButton(), QPushButton()
        self.use.setObjectName("useModelButton")
        self.back.setObjectName("goBackButton")
        self.use.clicked.connect(lambda: self._activate(back=False))
        self.back.clicked.connect(lambda: self._activate(back=True))
        layout = QGridLayout(self)
        layout.setContentsMargins(MARGIN, MARGIN, MARGIN, MARGIN)
        layout.setColumnStretch(1, 1)
        layout.addWidget(self._mark, 0, 0, alignment=Qt.AlignmentFlag.AlignTop)
        layout.addWidget(self.text, 0, 1)
        layout.addWidget(self.state, 1, 1)
        layout.addLayout(row(self.use, self.back, 1), 2, 1)
        controller.verdict_changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the verdict as it is now."""
        verdict, session = self._controller.verdict, self._controller.workspace.session
        self.setVisible(verdict is not None)
        if verdict is None or session is None:
            return
        self._mark.setText(verdict.mark)
        self.text.setText(verdict.text)
        self.state.setText(verdict.state)
        for button, title, tip in (
            (self.use, verdict.use_title, "Predict with the new model from now on, whatever its score."),
            (self.back, verdict.back_title, "Predict with the former model again. The new one stays in the list."),
        ):
            button.setText(title)
            button.setVisible(bool(title))
            allow(button, session.project.read_only_reason, tip)

    def _activate(self, back: bool) -> None:
        verdict = self._controller.verdict
        if verdict is not None:
            self._controller.activate(verdict.former if back else verdict.model)


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
        self._colours = (
            {} if workspace.session is None else {c.name: c.colour for c in workspace.session.classes.records()}
        )
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
        from napari_pytc.plans.model_folder import read_model_info

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
            curves = {} if workspace.session is None else read_curves(workspace.session, record.id)
            series += series_of_run(curves, self._colours, name, dashed)
        self._no_curves.setVisible(not series)
        self.plot.setVisible(bool(series))
        self.plot.show_series(series)


def differences(first: ModelInfo, second: ModelInfo) -> list[ComparisonRow]:
    """List the settings that differ, by their dotted names; "—" where one model does not have it."""
    ours, theirs = _flat(first.plan.model_dump()), _flat(second.plan.model_dump())
    names = [*ours, *(name for name in theirs if name not in ours)]
    return [
        (name, _text(ours.get(name, "—")), _text(theirs.get(name, "—")))
        for name in names
        if ours.get(name, "—") != theirs.get(name, "—")
    ]


def scores(first: ModelInfo, second: ModelInfo) -> list[ComparisonRow]:
    """List held-out scores and effort."""
    figures = [{figure.key: figure for figure in figures_of(info.scores)} for info in (first, second)]
    titles = {key: figure.title for one in figures for key, figure in one.items()}
    texts = {key: [one[key].text if key in one else "—" for one in figures] for key in titles}
    rows = [(f"held-out {title}", *_both(texts[key])) for key, title in titles.items()]
    same = {"same": "yes", "other": "no: the numbers cannot be compared", "unknown": "not known"}
    if all(figures):
        rows.append(("scored on the same truth", same[comparability(first.scores, second.scores)], ""))
    for kind, title in (("dice", "Dice"), ("iou", "IoU")):
        ours, theirs = first.scores.get(kind) or {}, second.scores.get(kind) or {}
        names = dict.fromkeys([*ours, *theirs])
        rows += [(f"{title} of {name}", _score(ours.get(name)), _score(theirs.get(name))) for name in names]
    rows.append(("steps taken", str(first.steps), str(second.steps)))
    rows.append(("time", duration(first.seconds), duration(second.seconds)))
    painted = [f"{sum(info.n_annotated.values()):,}" for info in (first, second)]
    rows.append(("annotated voxels", painted[0], painted[1]))
    return rows


def _both(texts: list[str]) -> tuple[str, str]:
    first, second = texts
    return first, second


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
