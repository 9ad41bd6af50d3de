"""The segmentations of a project as a list: which is current, how many segments, how it was made."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QHeaderView, QPushButton, QTreeWidget, QTreeWidgetItem, QVBoxLayout, QWidget

from napari_pytc.session.records import SegmentationInfo
from napari_pytc.ui.parts import allow, duration, row, wrapped
from napari_pytc.ui.prediction_list import when, where

_MOST_ROWS = 6


class SegmentationList(QWidget):
    """Segmentations, the newest first, with buttons for the one that is selected."""

    activate_asked = Signal(str)
    """Id of the one to make current."""
    delete_asked = Signal(object)
    """A `SegmentationInfo`."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.tree = QTreeWidget()
        self.tree.setObjectName("segmentationList")
        self.tree.setColumnCount(3)
        self.tree.setHeaderLabels(["Made", "By", "Segments"])
        self.tree.setRootIsDecorated(False)
        self.tree.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.tree.setToolTip("The segmentations of this project, the newest first; the current one is bold.")
        header = self.tree.header()
        assert header is not None
        header.setStretchLastSection(False)
        header.setMinimumSectionSize(40)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(1, QHeaderView.ResizeMode.Stretch)
        header.setSectionResizeMode(2, QHeaderView.ResizeMode.ResizeToContents)
        self.none = wrapped("None yet.", dim=True)
        self.activate_button = QPushButton("Use")
        self.activate_button.setObjectName("activateSegmentationButton")
        self.delete_button = QPushButton("Delete …")
        self.delete_button.setObjectName("deleteSegmentationButton")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.none)
        layout.addWidget(self.tree)
        layout.addLayout(row(self.activate_button, self.delete_button))
        self.tree.itemSelectionChanged.connect(self._allow)
        self.tree.itemDoubleClicked.connect(lambda item, column: self._activate())
        self.activate_button.clicked.connect(self._activate)
        self.delete_button.clicked.connect(lambda: self.delete_asked.emit(self.selected))
        self._locked = ""
        self._allow()

    @property
    def selected(self) -> SegmentationInfo | None:
        """The one that the buttons are for."""
        items = self.tree.selectedItems()
        return items[0].data(0, Qt.ItemDataRole.UserRole) if items else None

    def put(self, segmentations: Sequence[SegmentationInfo], titles: dict[str, str], locked: str) -> None:
        """Show these.

        Parameters
        ----------
        titles : dict
            Names of decoders by kind.
        locked : str
            Why none may be changed; empty if they may.
        """
        before = self.selected
        # Who had the current one selected goes along when another becomes it.
        follows = before is None or before.active
        chosen = None if before is None or follows else before.id
        self._locked = locked
        self.tree.clear()
        for info in reversed(segmentations):
            kind = str(info.decoder.get("kind", ""))
            n = "damaged" if info.problem else f"{info.n_segments:,}".replace(",", "\u2009")
            item = QTreeWidgetItem([_short(info.created), titles.get(kind, kind), n])
            item.setTextAlignment(2, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            item.setData(0, Qt.ItemDataRole.UserRole, info)
            for column in range(3):
                item.setToolTip(column, _about(info))
                font = item.font(column)
                font.setBold(info.active)
                item.setFont(column, font)
            self.tree.addTopLevelItem(item)
            if info.id == chosen or (follows and info.active):
                item.setSelected(True)
        if not self.tree.selectedItems() and self.tree.topLevelItemCount():
            first = self.tree.topLevelItem(0)
            assert first is not None
            first.setSelected(True)
        self.none.setVisible(not segmentations)
        self.tree.setVisible(bool(segmentations))
        n_rows = min(max(len(segmentations), 2), _MOST_ROWS)
        self.tree.setFixedHeight((n_rows + 1) * (self.tree.fontMetrics().height() + 5) + 6)
        for button in (self.activate_button, self.delete_button):
            button.setVisible(bool(segmentations))
        self._allow()

    def _activate(self) -> None:
        info = self.selected
        if info is not None and self.activate_button.isEnabled():
            self.activate_asked.emit(info.id)

    def _allow(self) -> None:
        info = self.selected
        reason = self._locked if info is not None else "no segmentation is selected."
        current = "it is the current one." if info is not None and info.active else ""
        damaged = info.problem if info is not None else ""
        allow(
            self.activate_button,
            reason or damaged or current,
            "Show it, proofread it and export it from now on; undo brings the former one back.",
        )
        allow(self.delete_button, reason, "Delete it from the disk with all edits, after a question.")


def _short(created: str) -> str:
    """Day and time; the year is in the tooltip."""
    return datetime.fromisoformat(created).astimezone().strftime("%d %b %H:%M") if created else "?"


def _about(info: SegmentationInfo) -> str:
    if info.problem:
        return f"{info.id}\n{info.problem}"
    lines = [
        info.id,
        when(info.created),
        f"{info.n_segments} segments of {info.n_supervoxels} supervoxels when it was made",
    ]
    lines.append("The whole volume" if info.box is None else f"Voxels {info.box}, {where(info.box)}")
    lines.append(f"Prediction {info.prediction}, in {duration(info.seconds)}")
    settings = ", ".join(f"{name} {value}" for name, value in info.decoder.items() if name != "kind" and value != "")
    if settings:
        lines.append(settings)
    if info.active:
        lines.append("The current one")
    return "\n".join(lines)
