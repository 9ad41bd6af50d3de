"""Rows of the panel for trials on the canvas: the live preview, and another grouping of the current segmentation."""

from __future__ import annotations

from qtpy.QtCore import QSignalBlocker
from qtpy.QtWidgets import QCheckBox, QPushButton, QSpinBox, QVBoxLayout, QWidget

from napari_pytc.ui.panels.segment.fields import MergeSlider
from napari_pytc.ui.panels.segment.preview import SegmentPreview
from napari_pytc.ui.panels.segment.regrouping import Regrouping
from napari_pytc.ui.widgets.buttons import allow
from napari_pytc.ui.widgets.labels import voxels, wrapped
from napari_pytc.ui.widgets.layout import row
from napari_pytc.ui.widgets.notice import Notice
from napari_pytc.ui.widgets.progress import BusyBar

_MOST_DEPTH = 64


class PreviewRow(QWidget):
    """Row of the live preview: its switch, its depth and its state.

    Parameters
    ----------
    preview : SegmentPreview
        The preview that is shown and switched.
    """

    def __init__(self, preview: SegmentPreview, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._preview = preview
        self.check = QCheckBox("Live preview in view")
        self.check.setObjectName("livePreview")
        self.check.setToolTip(
            "Show what these settings make of what is in view, and again with every change. Nothing is kept of it."
        )
        self.sections = QSpinBox()
        self.sections.setObjectName("previewDepth")
        self.sections.setRange(1, _MOST_DEPTH)
        self.sections.setValue(preview.sections)
        self.sections.setSuffix(" sections")
        self.sections.setSpecialValueText("1 section")
        self.sections.setToolTip("How many sections are decoded around the one in view: more is slower, and more true.")
        self.bar = BusyBar()
        self.bar.setTextVisible(False)
        self.bar.setMaximumHeight(6)
        self.bar.setRange(0, 0)
        self.status = wrapped(dim=True)
        self.status.setObjectName("previewStatus")
        self.notice = Notice()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(3)
        layout.addLayout(row(self.check, 1, self.sections))
        for widget in (self.bar, self.status, self.notice):
            layout.addWidget(widget)
        self.check.toggled.connect(preview.switch)
        self.sections.valueChanged.connect(preview.set_sections)
        preview.changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the preview as it is now."""
        preview, problem = self._preview, self._preview.problem
        with QSignalBlocker(self.check), QSignalBlocker(self.sections):
            self.check.setChecked(preview.is_on)
            self.sections.setValue(preview.sections)
        self.bar.setVisible(preview.is_on and preview.is_busy)
        self.sections.setEnabled(preview.is_on)
        self.status.setText(describe_preview(preview) if preview.is_on else "")
        self.status.setVisible(bool(self.status.text()))
        if preview.is_on and problem is not None and not preview.is_busy:
            self.notice.show_error(problem)
        else:
            self.notice.hide()


def describe_preview(preview: SegmentPreview) -> str:
    """State of a preview that is on, or the reason why it shows nothing, in words."""
    source = preview.source
    if preview.choices_problem:
        return f"No preview: {preview.choices_problem}"
    if preview.is_waiting:
        reason = preview.waits_for
        return f"Waiting for the worker: {reason} is not over yet" if reason else "Waiting for the worker …"
    if preview.is_busy:
        return "Telling objects apart …"
    if source is None:
        return "" if preview.problem is None else "There is no preview."
    notes = "".join(f"\n⚠ {note}" for note in source.notes)
    if not source.n_supervoxels:
        return f"No object in {voxels(source.box.shape)}.{notes}"
    n, n_supervoxels, seconds = source.n_segments, source.n_supervoxels, preview.seconds
    parts = f" of {n_supervoxels} supervoxels" if n_supervoxels != n else ""
    took = f"{1000 * seconds:.0f} ms" if seconds < 0.2 else f"{seconds:.1f} s"
    return f"{n} segment{'s' * (n != 1)}{parts} in {voxels(source.box.shape)} · {took}{notes}"


class RegroupRow(QWidget):
    """The slider of the current segmentation's decoder; hidden where that has none.

    Parameters
    ----------
    regrouping : Regrouping
        The regrouping that is tried and kept.
    """

    def __init__(self, regrouping: Regrouping, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._regrouping = regrouping
        self.slider = MergeSlider()
        self.slider.setObjectName("regroupSlider")
        self.status = wrapped(dim=True)
        self.status.setObjectName("regroupStatus")
        self.keep_button = QPushButton("Keep as a new one")
        self.keep_button.setObjectName("keepRegroupedButton")
        self.back_button = QPushButton("Back")
        self.back_button.setObjectName("dropRegroupedButton")
        self.back_button.setToolTip("Show the current segmentation as it is.")
        self.notice = Notice()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(3)
        layout.addWidget(wrapped("Group the current one anew:", dim=True))
        layout.addWidget(self.slider)
        layout.addWidget(self.status)
        layout.addLayout(row(self.keep_button, self.back_button))
        layout.addWidget(self.notice)
        self.slider.moved.connect(regrouping.try_value)
        self.keep_button.clicked.connect(regrouping.keep)
        self.back_button.clicked.connect(regrouping.drop)
        regrouping.was_reset.connect(self._reset_slider)
        regrouping.changed.connect(self.refresh)
        self._reset_slider()
        self.refresh()

    def refresh(self) -> None:
        """Show the grouping that is tried."""
        n, problem = self._regrouping.n_segments, self._regrouping.problem
        self.setVisible(self._regrouping.decoder is not None)
        self.status.setText("" if n is None else f"{n} segments; nothing is kept yet.")
        for widget in (self.status, self.keep_button, self.back_button):
            widget.setVisible(n is not None)
        tip = "A new segmentation with these segments becomes current. The one before stays, with its edits."
        allow(self.keep_button, self._regrouping.locked_reason, tip)
        if problem is None:
            self.notice.hide()
        else:
            self.notice.show_error(problem)

    def _reset_slider(self) -> None:
        decoder = self._regrouping.decoder
        if decoder is not None and decoder.slider is not None:
            self.slider.show_field(type(decoder), decoder.slider, getattr(decoder, decoder.slider))
