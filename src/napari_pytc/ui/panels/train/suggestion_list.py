"""The list of suggestions where to paint next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QPushButton,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_pytc.ui.panels.train.suggestion_controller import SuggestionController, describe
from napari_pytc.ui.widgets.buttons import allow
from napari_pytc.ui.widgets.labels import wrapped
from napari_pytc.ui.widgets.layout import row

if TYPE_CHECKING:
    from napari_pytc.session.live import Suggestion

_SEARCH = "Look for places where painting is expected to help most, in the whole volume."
_EMPTY = "Switch Live on and paint a little; then the places where more strokes help most are listed here."
_QUESTION = "Does painting still help?"
_NONE = "No place stands out: paint where you see mistakes."


_COLUMNS = {
    "z, y, x": "The middle of the place.",
    "In doubt": "How undecided the instant model is there.",
    "Differ": "On how much of it the instant model and the network say different things.",
    "Away": "How far it is from the nearest stroke.",
}


class SuggestionList(QWidget):
    """A line for each suggestion, the best first; a click or Return shows it on the canvas.

    Parameters
    ----------
    controller : SuggestionController
        Its suggestions are listed.
    """

    def __init__(self, controller: SuggestionController, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._controller = controller
        self.remark = wrapped()
        self.remark.setObjectName("placesRemark")
        self.tree = QTreeWidget()
        self.tree.setObjectName("placeList")
        self.tree.setColumnCount(len(_COLUMNS))
        self.tree.setHeaderLabels(list(_COLUMNS))
        self.tree.setRootIsDecorated(False)
        self.tree.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.tree.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.tree.setToolTip("Where painting is expected to help most, the best first. A click flies there.")
        header, titles = self.tree.header(), self.tree.headerItem()
        assert header is not None
        assert titles is not None
        header.setStretchLastSection(False)
        header.setMinimumSectionSize(30)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        for column, tip in enumerate(_COLUMNS.values()):
            titles.setToolTip(column, tip)
            if column:
                header.setSectionResizeMode(column, QHeaderView.ResizeMode.ResizeToContents)
        self.search_button = QPushButton("Look again")
        self.search_button.setObjectName("lookForPlaces")
        self.next_button = QPushButton("Next place")
        self.next_button.setObjectName("nextPlace")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.remark)
        layout.addWidget(self.tree)
        layout.addLayout(row(self.next_button, self.search_button, 1))
        self.tree.itemClicked.connect(self._fly)
        self.tree.itemActivated.connect(self._fly)
        self.search_button.clicked.connect(controller.request)
        self.next_button.clicked.connect(controller.fly_to_next)
        self._listed: object = self
        controller.changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the present suggestions."""
        controller, found = self._controller, self._controller.found
        reason = controller.why_not()
        self.remark.setText(self._remark(reason))
        self.remark.setVisible(bool(self.remark.text()))
        if found is not self._listed:
            self._listed = found
            self._list(() if found is None else found.boxes)
        n_places = 0 if found is None else len(found.boxes)
        self.tree.setVisible(bool(n_places))
        for number in range(n_places):
            item = self.tree.topLevelItem(number)
            if item is not None:
                font = item.font(0)
                font.setBold(number == controller.current)
                item.setFont(0, font)
        if controller.current is not None:
            self.tree.setCurrentItem(self.tree.topLevelItem(controller.current))
        allow(
            self.next_button, "" if n_places else "no place is known yet.", "Fly to the best place, then to the next."
        )
        allow(self.search_button, reason or ("they are being looked for." if controller.is_searching else ""), _SEARCH)

    # ---- private

    def _remark(self, reason: str) -> str:
        found = self._controller.found
        if self._controller.is_searching and found is None:
            return "Looking …"
        if found is None:
            return _EMPTY if reason else ""
        if found.saturated:
            return f"✓ {found.text}"
        return f"{_QUESTION} {found.text}" if found.text else "" if found.boxes else _NONE

    def _list(self, suggestions: tuple[Suggestion, ...]) -> None:
        self.tree.clear()
        for number, suggestion in enumerate(suggestions, start=1):
            item = QTreeWidgetItem(
                [
                    describe(suggestion.box),
                    f"{100 * suggestion.uncertainty:.0f} %",
                    "–" if suggestion.disagreement is None else f"{100 * suggestion.disagreement:.0f} %",
                    f"{suggestion.distance_um:.2f} µm",
                ]
            )
            for column in range(len(_COLUMNS)):
                item.setToolTip(column, _about(number, suggestion))
                if column:
                    item.setTextAlignment(column, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            self.tree.addTopLevelItem(item)
        line = max(self.tree.sizeHintForRow(0), self.tree.fontMetrics().height())
        header = self.tree.header()
        top = 0 if header is None else header.sizeHint().height()
        self.tree.setFixedHeight(top + max(2, len(suggestions)) * line + 2 * self.tree.frameWidth())

    def _fly(self, item: QTreeWidgetItem) -> None:
        self._controller.fly_to(self.tree.indexOfTopLevelItem(item))


def _about(number: int, suggestion: Suggestion) -> str:
    lines = [
        f"{number}. {suggestion.reason}",
        f"Expected gain {suggestion.gain:.2f}, in relation to the others",
        f"Voxels {suggestion.box}",
    ]
    return "\n".join(lines)
