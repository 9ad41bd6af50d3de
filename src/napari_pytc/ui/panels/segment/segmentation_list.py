"""The segmentations of a project as a list: which is current, how many segments, how it was made."""

from __future__ import annotations

from datetime import datetime

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_pytc.session.records import SegmentationInfo
from napari_pytc.ui.panels.segment.controller import SegmentController
from napari_pytc.ui.widgets.buttons import allow
from napari_pytc.ui.widgets.flags import SEGMENTATION, in_window
from napari_pytc.ui.widgets.labels import duration, wrapped
from napari_pytc.ui.widgets.record_list import Column, Line, RecordList
from napari_pytc.ui.widgets.record_text import long_date, region_text

_COLUMNS = (Column("Made"), Column("By", stretches=True), Column("Segments", is_number=True))


class SegmentationList(QWidget):
    """Segmentations, the newest first, with buttons for the one that is selected.

    Parameters
    ----------
    controller : SegmentController
        Controller of the segmentations that are listed.
    """

    delete_requested = Signal(object)
    """A `SegmentationInfo`."""

    def __init__(self, controller: SegmentController, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._controller, self._locked = controller, ""
        self.records = RecordList(
            "segmentationList",
            _COLUMNS,
            "The segmentations of this project, the newest first; the current one is bold.",
            most_lines=6,
        )
        self.activate_button = self.records.add_button("Use", "activateSegmentationButton", self._activate)
        self.delete_button = self.records.add_button(
            "Delete …", "deleteSegmentationButton", lambda: self.delete_requested.emit(self.selected)
        )
        self.notes = wrapped()
        self.notes.setObjectName("segmentationNotes")
        self.notes.setToolTip("What was assumed, dropped or given away when the selected segmentation was made.")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.records)
        layout.addWidget(self.notes)
        self.records.selection_changed.connect(self._update_buttons)
        self.records.double_clicked.connect(self._activate)
        controller.segmentations_changed.connect(self.refresh)
        controller.facts_changed.connect(self.refresh)  # with them come the decoders' names
        self.refresh()

    @property
    def selected(self) -> SegmentationInfo | None:
        """The one that the buttons are for."""
        found: SegmentationInfo | None = self.records.first_selected
        return found

    def refresh(self) -> None:
        """Show the segmentations as they are now."""
        before, titles = self.selected, self._controller.decoder_titles
        self._locked = self._controller.locked_reason
        lines = [_line(info, titles) for info in reversed(self._controller.segmentations)]
        # Who had the current one selected goes along when another becomes it.
        follows = before is None or before.active
        self.records.show_lines(lines, [info.id for info in self._controller.segmentations if follows and info.active])

    def _activate(self) -> None:
        if self.selected is not None and self.activate_button.isEnabled():
            self._controller.activate(self.selected)

    def _update_buttons(self) -> None:
        info = self.selected
        self.notes.setText(
            "" if info is None else "\n".join(f"⚠ {in_window(note, SEGMENTATION)}" for note in info.notes)
        )
        self.notes.setVisible(bool(self.notes.text()))
        reason = self._locked if info is not None else "no segmentation is selected."
        current = "it is the current one." if info is not None and info.active else ""
        damaged = info.problem if info is not None else ""
        allow(
            self.activate_button,
            reason or damaged or current,
            "Show it, proofread it and export it from now on; undo brings the former one back.",
        )
        allow(self.delete_button, reason, "Delete it from the disk with all edits, after a question.")


def _line(info: SegmentationInfo, titles: dict[str, str]) -> Line:
    kind = str(info.decoder.get("kind", ""))
    number = "damaged" if info.problem else f"{info.n_segments:,}".replace(",", "\u2009")
    made = datetime.fromisoformat(info.created).astimezone().strftime("%d %b %H:%M") if info.created else "?"
    bold = range(len(_COLUMNS)) if info.active else ()
    return Line(info.id, info, (made, titles.get(kind, kind), number), _describe(info), bold)


def _describe(info: SegmentationInfo) -> str:
    if info.problem:
        return f"{info.id}\n{info.problem}"
    lines = [
        info.id,
        long_date(info.created),
        f"{info.n_segments} segments of {info.n_supervoxels} supervoxels when it was made",
    ]
    lines.append("The whole volume" if info.box is None else f"Voxels {info.box}, {region_text(info.box)}")
    lines.append(f"Prediction {info.prediction}, in {duration(info.seconds)}")
    settings = ", ".join(f"{name} {value}" for name, value in info.decoder.items() if name != "kind" and value != "")
    if settings:
        lines.append(settings)
    lines += [in_window(note, SEGMENTATION) for note in info.notes]
    if info.active:
        lines.append("The current one")
    return "\n".join(lines)
