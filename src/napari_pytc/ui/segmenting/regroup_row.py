"""More or fewer merges of the current segmentation, seen at once and kept as a new one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QPushButton, QVBoxLayout, QWidget

from napari_pytc.errors import PytcError
from napari_pytc.geometry import Box, Shape
from napari_pytc.proofreading.changes import SegmentState
from napari_pytc.ui.parts import Notice, allow, row, wrapped
from napari_pytc.ui.segmenting.latest import Latest
from napari_pytc.ui.segmenting.merge_slider import MergeSlider

if TYPE_CHECKING:
    from napari_pytc.decoding.base import DecoderSettings
    from napari_pytc.proofreading.document import LabelDocument
    from napari_pytc.ui.workspace import Workspace

_NOTHING = SegmentState()


class RegroupedSource:
    """A `SegmentSource`: the supervoxels of a document under another table; those that edits made are left out.

    Parameters
    ----------
    segments : ndarray of uint32, shape (n + 1,)
        The segment of each supervoxel as decoded.
    """

    def __init__(self, document: LabelDocument, segments: np.ndarray) -> None:
        self._document, self.table = document, segments
        self.shape: Shape = document.shape

    def segments(self, box: Box) -> np.ndarray:
        """Segments of a box."""
        supervoxels = self._document.supervoxels(box)
        table = self.table
        return np.asarray(table[np.where(supervoxels < len(table), supervoxels, 0)])

    def segment_at(self, voxel: Shape) -> int:
        """The segment of a voxel."""
        return int(self.segments(Box.at(voxel, (1, 1, 1)))[0, 0, 0])

    def state(self, segment: int) -> SegmentState:
        """Nobody has said anything of them."""
        return _NOTHING

    def noted_segments(self) -> tuple[int, ...]:
        """None."""
        return ()


class RegroupRow(QWidget):
    """The slider of the current segmentation's decoder; hidden where that has none."""

    began = Signal()
    """The slider was moved: another preview has to go."""
    keep_asked = Signal(object)
    """A `DecoderSettings`: the current segmentation's, with the slider's value."""

    def __init__(self, workspace: Workspace, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._workspace = workspace
        self._latest = Latest(self)
        self._document: LabelDocument | None = None
        self._decoder: DecoderSettings | None = None
        self._source: RegroupedSource | None = None
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
        self.slider.moved.connect(self._on_moved)
        self.keep_button.clicked.connect(self._keep)
        self.back_button.clicked.connect(self.drop)
        workspace.segments.document_changed.connect(self._on_document)
        workspace.jobs.closed.connect(self._latest.close)
        self._on_document()

    @property
    def is_trying(self) -> bool:
        """Whether the canvas shows another grouping than the current one."""
        return self._source is not None

    def drop(self) -> None:
        """Show the current segmentation as it is."""
        self._latest.drop()
        was_trying, self._source = self.is_trying, None
        if was_trying and self._workspace.layers is not None:
            self._workspace.layers.show_trial(None)
        self._aim()

    # ---- what follows is ours

    def _on_document(self) -> None:
        """Another segmentation is current; its settings are read off what is in memory."""
        if self._document is not None:
            self.drop()
        self._document = self._workspace.segments.document
        self._decoder = None
        if self._document is not None:
            from napari_pytc.decoding.base import parse_decoder

            try:
                found = parse_decoder(dict(self._document.segmentation.record.decoder))
            except (PytcError, ValueError):  # made by a decoder that is not installed, or of another version
                found = None
            self._decoder = found if getattr(found, "slider", None) else None
        self.setVisible(self._decoder is not None)
        self._aim()

    def _aim(self) -> None:
        decoder = self._decoder
        if decoder is not None and decoder.slider is not None:
            self.slider.aim(type(decoder), decoder.slider, getattr(decoder, decoder.slider))
        self.notice.hide()
        self._tell()

    def _tell(self) -> None:
        n = None if self._source is None else int(np.count_nonzero(np.bincount(self._source.table)[1:]))
        self.status.setText("" if n is None else f"{n} segments; nothing is kept yet.")
        self.status.setVisible(n is not None)
        for button in (self.keep_button, self.back_button):
            button.setVisible(n is not None)
        locked = "" if self._workspace.is_changeable else "this project is open for reading only."
        tip = "A new segmentation with these segments becomes current. The one before stays, with its edits."
        allow(self.keep_button, locked, tip)

    def _on_moved(self, value: float) -> None:
        document, decoder = self._document, self._decoder
        if document is None or decoder is None or decoder.slider is None:
            return
        self.began.emit()
        wanted = decoder.model_copy(update={decoder.slider: value})

        def group() -> np.ndarray:
            segmentation = document.segmentation
            return np.asarray(wanted.partition(segmentation.graph, segmentation.sizes, segmentation.space), np.uint32)

        def take(table: np.ndarray) -> None:
            layers = self._workspace.layers
            if document is not self._document or layers is None:
                return
            if self._source is None:
                self._source = RegroupedSource(document, table)
                layers.show_trial(self._source)
            else:
                self._source.table = table
                layers.segments.refresh()
            self._tell()

        self._latest.run(group, take, self.notice.show_error)

    def _keep(self) -> None:
        decoder = self._decoder
        if decoder is not None and decoder.slider is not None:
            self.keep_asked.emit(decoder.model_copy(update={decoder.slider: self.slider.value}))
