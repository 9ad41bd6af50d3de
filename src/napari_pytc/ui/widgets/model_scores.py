"""The held-out scores of a model, beside the place where one is chosen."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QGridLayout, QLabel, QVBoxLayout, QWidget

from napari_pytc.plans.model_scores import comparability_note, figures_of, measured_on
from napari_pytc.session.records import ModelRecord
from napari_pytc.ui.widgets.labels import wrapped
from napari_pytc.ui.widgets.layout import clear
from napari_pytc.ui.widgets.record_text import short_date, short_name

_N_COLUMNS = 2
"""Side by side as the narrowest panel has room for."""


class HeldOutScores(QWidget):
    """Figures of a model, each with a tooltip that says what it is; below them the data that they are of.

    Where another model is named whose scores are of another truth, a sentence says so.
    """

    def __init__(self, name: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName(name)
        self._figures = QWidget()
        self._grid = QGridLayout(self._figures)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setHorizontalSpacing(12)
        self._grid.setVerticalSpacing(2)
        self._grid.setColumnStretch(_N_COLUMNS - 1, 1)
        self._of, self._not_comparable = wrapped(dim=True), wrapped()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        for widget in (self._figures, self._of, self._not_comparable):
            layout.addWidget(widget)
        self.show_model(None)

    def show_model(self, model: ModelRecord | None, other: ModelRecord | None = None) -> None:
        """Show the scores of a model, or nothing.

        Parameters
        ----------
        other : ModelRecord, optional
            The model that it is chosen instead of, or is seen beside.
        """
        self.setVisible(model is not None and not model.problem)
        clear(self._grid)
        if model is None:
            return
        figures = figures_of(model.scores)
        for number, figure in enumerate(figures):
            label = QLabel(f"{figure.title} <b>{figure.text}</b>")
            label.setObjectName(f"score-{figure.key}")
            label.setTextFormat(Qt.TextFormat.RichText)
            label.setToolTip(figure.tip)
            self._grid.addWidget(label, *divmod(number, _N_COLUMNS))
        self._figures.setVisible(bool(figures))
        when = f"measured {short_date(model.created)}" if short_date(model.created) else ""
        self._of.setText(measured_on(model.scores, when))
        is_another = other is not None and other.id != model.id
        note = (
            comparability_note(model.scores, other.scores, f"“{short_name(other.name)}”")
            if is_another and other
            else ""
        )
        self._not_comparable.setText(note)
        self._not_comparable.setVisible(bool(note))


def titled_score(model: ModelRecord) -> str:
    """The name of a model with the score that decides, for a combo box: "fast · Dice 0.91"."""
    mean = model.scores.get("mean")
    return model.name if mean is None else f"{model.name} · Dice {mean:.2f}"


def scores_tip(model: ModelRecord) -> str:
    """The scores of a model and the data that they are of, as lines of a tooltip."""
    figures = ", ".join(f"{figure.title} {figure.text}" for figure in figures_of(model.scores))
    return "\n".join(filter(None, (figures, measured_on(model.scores))))
