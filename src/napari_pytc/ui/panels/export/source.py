"""Fields for the kind of data to export, and the prediction or segmentation that it comes from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import QComboBox, QFormLayout, QWidget

from napari_pytc.exporting.options import OF_SEGMENTS, What
from napari_pytc.geometry import Box
from napari_pytc.session.records import PredictionRecord, SegmentationInfo
from napari_pytc.ui.widgets.choices import Combo
from napari_pytc.ui.widgets.flags import EXPORT
from napari_pytc.ui.widgets.layout import form
from napari_pytc.ui.widgets.record_text import (
    long_date,
    prediction_text,
    preferred_prediction,
    region_text,
    short_date,
)

_WHATS: tuple[tuple[str, What, str], ...] = (
    ("Classes", "classes", "The most probable class of each voxel, 1, 2, …; 0 = not predicted."),
    ("Probabilities", "probabilities", "One channel a class, or whatever was predicted, from 0 to 255 for 0 to 1."),
    ("Segments", "segments", "The id of each voxel's segment with all edits; 0 = none, or deleted."),
    ("Image", "image", "The image as it is, in another format."),
    ("Table of segments", "table", "A row for each segment: id, size, box, centroid, class, whether it is locked."),
    ("Skeletons", "skeletons", "The centre line of each segment, as SWC: nodes, radii and branches."),
)


class SourceChoice(QWidget):
    """Kind of data and its source; of segments the current segmentation is offered first."""

    changed = Signal()
    """Something else is to be written."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        about = "\n".join(f"{title}: {tip}" for title, _, tip in _WHATS)
        self.what = Combo("exportWhat", about)
        for number, (title, value, tip) in enumerate(_WHATS):
            self.what.addItem(title, value)
            self.what.setItemData(number, tip, Qt.ItemDataRole.ToolTipRole)
        self.prediction = Combo("exportPrediction", "Which prediction to write.")
        self.segmentation = Combo(
            "exportSegmentation", "Which segmentation to write, with all its edits; ● is the current one."
        )
        self.channel = Combo("exportChannel", "Which channels of the image to write; some formats hold one only.")
        self.fields = form(
            ("What", self.what),
            ("Prediction", self.prediction),
            ("Segmentation", self.segmentation),
            (EXPORT["--channel"], self.channel),
        )
        self.fields.setRowWrapPolicy(QFormLayout.RowWrapPolicy.DontWrapRows)
        self.setLayout(self.fields)
        self._is_chosen = False
        self._picked = ""
        self._has_segments = False
        self.prediction.activated.connect(self._on_picked)
        self.what.activated.connect(self._on_activated)
        self.what.currentIndexChanged.connect(self._on_what)
        for combo in (self.prediction, self.segmentation, self.channel):
            combo.currentIndexChanged.connect(self.changed)
        self._show_rows()

    @property
    def kind(self) -> What:
        """Kind of data to write."""
        found: What = self.what.currentData()
        return found

    @property
    def is_of_segments(self) -> bool:
        """Whether a segmentation is meant, and no prediction."""
        return self.kind in OF_SEGMENTS

    @property
    def record(self) -> PredictionRecord | SegmentationInfo | None:
        """The chosen prediction or segmentation; None where there is none."""
        if self.kind == "image":
            return None
        return (self.segmentation if self.is_of_segments else self.prediction).currentData()

    @property
    def box(self) -> Box | None:
        """The part of the volume that it is of; None for all of it."""
        record = self.record
        return None if record is None else record.box

    def show_predictions(self, records: Sequence[PredictionRecord]) -> None:
        """Offer predictions, the newest first."""
        offered = list(reversed(records))
        self._fill(
            self.prediction,
            [(prediction_text(one), one, f"{one.id}\n{long_date(one.created)}, {one.state}") for one in offered],
        )
        with QSignalBlocker(self.prediction):
            self.prediction.setCurrentIndex(preferred_prediction(offered, self._picked))
        self._prefer()
        self.changed.emit()

    def show_segmentations(self, infos: Sequence[SegmentationInfo]) -> None:
        """Offer segmentations, the current one first, then the newest; once there are any, segments are meant."""
        sound = [info for info in reversed(infos) if not info.problem]
        entries = [
            (
                f"{'● ' if info.active else ''}{short_date(info.created)}, {region_text(info.box)}",
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
        self._has_segments = any(info.active for info in sound)
        self._prefer()
        self.changed.emit()

    @property
    def options(self) -> dict[str, Any]:
        """Fields of an export that are about its source: the channel of the image, where one alone is chosen."""
        channel = self.channel.currentData()
        return {} if self.kind != "image" or channel is None else {"channel": channel}

    def show_channels(self, channels: Mapping[int, str]) -> None:
        """Offer the channels of the image, by their numbers in the file; none where it has one."""
        chosen = self.channel.currentData()
        with QSignalBlocker(self.channel):
            self.channel.clear()
            if len(channels) > 1:
                self.channel.addItem(f"all {len(channels)}", None)
                for number, title in channels.items():
                    self.channel.addItem(title, number)
                self.channel.setCurrentIndex(max(0, self.channel.findData(chosen)))
        self._show_rows()

    def forget(self) -> None:
        """Another project: nothing was chosen yet."""
        self._is_chosen, self._picked, self._has_segments = False, "", False
        for combo in (self.prediction, self.segmentation, self.channel):
            with QSignalBlocker(combo):
                combo.clear()

    # ---- private

    def _prefer(self) -> None:
        """Mean segments once there are some, else classes, or the image where nothing was predicted yet."""
        if not self._is_chosen:
            wanted = "segments" if self._has_segments else "classes" if self.prediction.count() else "image"
            self.what.setCurrentIndex(self.what.findData(wanted))

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
        self.fields.setRowVisible(self.prediction, self.kind in ("classes", "probabilities"))
        self.fields.setRowVisible(self.segmentation, self.is_of_segments)
        self.fields.setRowVisible(self.channel, self.kind == "image" and self.channel.count() > 0)
