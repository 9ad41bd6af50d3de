"""The places to paint next, as a list to click."""

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

from napari_pytc.ui.live.places import Places, describe
from napari_pytc.ui.parts import allow, row, wrapped

if TYPE_CHECKING:
    from napari_pytc.session.live import Suggestion

_LOOK = "Look for places where painting is expected to help most, in the whole volume."
_EMPTY = "Switch Live on and paint a little; then the places where more strokes help most are listed here."
_QUESTION = "Does painting still help?"
_NONE = "No place stands out: paint where you see mistakes."


_COLUMNS = {
    "z, y, x": "The middle of the place.",
    "In doubt": "How undecided the instant model is there.",
    "Differ": "On how much of it the instant model and the network say different things.",
    "Away": "How far it is from the nearest stroke.",
}


class PlaceList(QWidget):
    """A line for each place, the best first; a click or Return flies there.

    Parameters
    ----------
    places : Places
        What is listed.
    """

    def __init__(self, places: Places, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._places = places
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
        self.look_button = QPushButton("Look again")
        self.look_button.setObjectName("lookForPlaces")
        self.next_button = QPushButton("Next place")
        self.next_button.setObjectName("nextPlace")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.remark)
        layout.addWidget(self.tree)
        layout.addLayout(row(self.next_button, self.look_button, 1))
        self.tree.itemClicked.connect(self._fly)
        self.tree.itemActivated.connect(self._fly)
        self.look_button.clicked.connect(places.ask)
        self.next_button.clicked.connect(places.fly_on)
        self._listed: object = self
        places.changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show what is known."""
        places, found = self._places, self._places.found
        reason = places.why_not()
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
                font.setBold(number == places.at)
                item.setFont(0, font)
        if places.at is not None:
            self.tree.setCurrentItem(self.tree.topLevelItem(places.at))
        allow(
            self.next_button, "" if n_places else "no place is known yet.", "Fly to the best place, then to the next."
        )
        allow(self.look_button, reason or ("they are being looked for." if places.is_looking else ""), _LOOK)

    # ---- what follows is ours

    def _remark(self, reason: str) -> str:
        found = self._places.found
        if self._places.is_looking and found is None:
            return "Looking …"
        if found is None:
            return _EMPTY if reason else ""
        if found.saturated:
            return f"✓ {found.text}"
        return f"{_QUESTION} {found.text}" if found.text else "" if found.boxes else _NONE

    def _list(self, places: tuple[Suggestion, ...]) -> None:
        self.tree.clear()
        for number, place in enumerate(places, start=1):
            item = QTreeWidgetItem(
                [
                    describe(place.box),
                    f"{100 * place.uncertainty:.0f} %",
                    "–" if place.disagreement is None else f"{100 * place.disagreement:.0f} %",
                    f"{place.distance_um:.2f} µm",
                ]
            )
            for column in range(len(_COLUMNS)):
                item.setToolTip(column, _about(number, place))
                if column:
                    item.setTextAlignment(column, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            self.tree.addTopLevelItem(item)
        line = max(self.tree.sizeHintForRow(0), self.tree.fontMetrics().height())
        header = self.tree.header()
        top = 0 if header is None else header.sizeHint().height()
        self.tree.setFixedHeight(top + max(2, len(places)) * line + 2 * self.tree.frameWidth())

    def _fly(self, item: QTreeWidgetItem) -> None:
        self._places.fly_to(self.tree.indexOfTopLevelItem(item))


def _about(number: int, place: Suggestion) -> str:
    lines = [
        f"{number}. {place.reason}",
        f"Expected gain {place.gain:.2f}, in relation to the others",
        f"Voxels {place.box}",
    ]
    return "\n".join(lines)
