"""What to export, and of which prediction or segmentation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import QComboBox, QFormLayout, QWidget

from napari_pytc.geometry import Box
from napari_pytc.session.records import PredictionRecord, SegmentationInfo
from napari_pytc.ui.controls import Combo, elastic
from napari_pytc.ui.models import short_date
from napari_pytc.ui.prediction_list import meant, short_text, when, where

if TYPE_CHECKING:
    from napari_pytc.ui.export_outlook import What

_WHATS: tuple[tuple[str, What, str], ...] = (
    ("Classes", "classes", "The most probable class of each voxel, 1, 2, …; 0 = not predicted."),
    ("Probabilities", "probabilities", "One channel a class, or whatever was predicted, from 0 to 255 for 0 to 1."),
    ("Segments", "segments", "The id of each voxel's segment with all edits; 0 = none, or deleted."),
    ("Table of segments", "table", "A row for each segment: id, size, box, centroid, class, whether it is locked."),
)
OF_SEGMENTS = ("segments", "table")


class ExportSource(QWidget):
    """What, and which one; of segments the current segmentation is offered first."""

    changed = Signal()
    """Something else is to be written."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.what = elastic(Combo())
        self.what.setObjectName("exportWhat")
        for number, (title, value, tip) in enumerate(_WHATS):
            self.what.addItem(title, value)
            self.what.setItemData(number, tip, Qt.ItemDataRole.ToolTipRole)
        self.what.setToolTip("\n".join(f"{title}: {tip}" for title, _, tip in _WHATS))
        self.prediction = elastic(Combo())
        self.prediction.setObjectName("exportPrediction")
        self.prediction.setToolTip("Which prediction to write.")
        self.segmentation = elastic(Combo())
        self.segmentation.setObjectName("exportSegmentation")
        self.segmentation.setToolTip("Which segmentation to write, with all its edits; ● is the current one.")
        self.fields = QFormLayout(self)
        self.fields.setContentsMargins(0, 0, 0, 0)
        self.fields.setRowWrapPolicy(QFormLayout.RowWrapPolicy.DontWrapRows)
        self.fields.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
        self.fields.addRow("What", self.what)
        self.fields.addRow("Prediction", self.prediction)
        self.fields.addRow("Segmentation", self.segmentation)
        self._is_chosen = False
        self._picked = ""
        self.prediction.activated.connect(self._on_picked)
        self.what.activated.connect(self._on_activated)
        self.what.currentIndexChanged.connect(self._on_what)
        for combo in (self.prediction, self.segmentation):
            combo.currentIndexChanged.connect(self.changed)
        self._show_rows()

    @property
    def kind(self) -> What:
        """What is written."""
        found: What = self.what.currentData()
        return found

    @property
    def is_of_segments(self) -> bool:
        """Whether a segmentation is meant, and no prediction."""
        return self.kind in OF_SEGMENTS

    @property
    def record(self) -> PredictionRecord | SegmentationInfo | None:
        """The one that is meant; None where there is none."""
        return (self.segmentation if self.is_of_segments else self.prediction).currentData()

    @property
    def box(self) -> Box | None:
        """The part of the volume that it is of; None for all of it."""
        record = self.record
        return None if record is None else record.box

    def put_predictions(self, records: Sequence[PredictionRecord]) -> None:
        """Offer predictions, the newest first."""
        offered = list(reversed(records))
        self._fill(
            self.prediction,
            [(short_text(one), one, f"{one.id}\n{when(one.created)}, {one.state}") for one in offered],
        )
        with QSignalBlocker(self.prediction):
            self.prediction.setCurrentIndex(meant(offered, self._picked))
        self.changed.emit()

    def put_segmentations(self, infos: Sequence[SegmentationInfo]) -> None:
        """Offer segmentations, the current one first, then the newest; once there are any, segments are meant."""
        sound = [info for info in reversed(infos) if not info.problem]
        entries = [
            (
                f"{'● ' if info.active else ''}{short_date(info.created)}, {where(info.box)}",
                info,
                f"{info.id}\n{info.n_segments} segments when it was made",
            )
            for info in sorted(sound, key=lambda info: not info.active)
        ]
        current = self.segmentation.currentData()
        self._fill(self.segmentation, entries)
        if current is None or current.active:
            with QSignalBlocker(self.segmentation):
                self.segmentation.setCurrentIndex(0 if entries else -1)
        if not self._is_chosen:
            wanted = "segments" if any(info.active for info in sound) else "classes"
            self.what.setCurrentIndex(self.what.findData(wanted))
        self.changed.emit()

    def forget(self) -> None:
        """Another project: nothing was chosen yet."""
        self._is_chosen, self._picked = False, ""
        for combo in (self.prediction, self.segmentation):
            with QSignalBlocker(combo):
                combo.clear()

    # ---- what follows is ours

    def _fill(self, combo: QComboBox, entries: Sequence[tuple[str, PredictionRecord | SegmentationInfo, str]]) -> None:
        chosen = combo.currentData()
        with QSignalBlocker(combo):
            combo.clear()
            for text, record, about in entries:
                combo.addItem(text, record)
                combo.setItemData(combo.count() - 1, about, Qt.ItemDataRole.ToolTipRole)
                if chosen is not None and record.id == chosen.id:
                    combo.setCurrentIndex(combo.count() - 1)

    def _on_picked(self) -> None:
        record = self.prediction.currentData()
        self._picked = "" if record is None else record.id

    def _on_activated(self) -> None:
        self._is_chosen = True

    def _on_what(self) -> None:
        self._show_rows()
        self.changed.emit()

    def _show_rows(self) -> None:
        self.fields.setRowVisible(self.prediction, not self.is_of_segments)
        self.fields.setRowVisible(self.segmentation, self.is_of_segments)
