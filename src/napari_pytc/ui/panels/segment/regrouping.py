"""Another grouping of the current segmentation's supervoxels: tried on the canvas, kept as a new segmentation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QObject, Signal

from napari_pytc.errors import PytcError
from napari_pytc.ui.panels.segment.sources import RegroupedSource
from napari_pytc.ui.tasks.latest import Latest

if TYPE_CHECKING:
    from napari_pytc.decoding.base import DecoderSettings
    from napari_pytc.proofreading.document import LabelDocument
    from napari_pytc.ui.workspace import Workspace


class Regrouping(QObject):
    """Groups the current segmentation's supervoxels by another value of its decoder's slider.

    Parameters
    ----------
    workspace : Workspace
        The workspace of the current segmentation.
    """

    began = Signal()
    """Another value is tried: another preview has to go."""
    changed = Signal()
    """Another value is tried, or could not be."""
    was_reset = Signal()
    """The slider is at the current segmentation's own value: nothing is tried, or another segmentation is current."""

    def __init__(self, workspace: Workspace, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._workspace = workspace
        self._latest = Latest(self)
        self._document: LabelDocument | None = None
        self._source: RegroupedSource | None = None
        self._tried: DecoderSettings | None = None
        self.decoder: DecoderSettings | None = None
        """The current segmentation's; None where it has none with a slider."""
        self.problem: PytcError | None = None
        """Error of the last value that could not be tried."""
        workspace.segments.document_changed.connect(self._on_document_changed)
        workspace.jobs.closed.connect(self._latest.close)
        self._on_document_changed()

    @property
    def is_trying(self) -> bool:
        """Whether the canvas shows another grouping than the current one."""
        return self._source is not None

    @property
    def n_segments(self) -> int | None:
        """Number of segments of the grouping on the canvas; None while nothing is tried."""
        return None if self._source is None else self._source.n_segments

    @property
    def locked_reason(self) -> str:
        """Reason why no grouping can be kept; empty if it can."""
        return self._workspace.locked_reason

    def try_value(self, value: float) -> None:
        """Show the segments that another value of the slider makes."""
        document, decoder = self._document, self.decoder
        if document is None or decoder is None or decoder.slider is None:
            return
        self.began.emit()
        tried = self._tried = decoder.model_copy(update={decoder.slider: value})

        def group() -> np.ndarray:
            from napari_pytc.decoding.regrouping import group_again

            return group_again(document.segmentation, tried)[0]

        def on_result(table: np.ndarray) -> None:
            layers = self._workspace.layers
            if document is not self._document or layers is None:
                return
            self.problem = None
            if self._source is None:
                self._source = RegroupedSource(document, table)
                layers.show_trial(self._source)
            else:
                self._source.table = table
                layers.segments.refresh()
            self.changed.emit()

        def on_error(error: PytcError) -> None:
            self.problem = error
            self.changed.emit()

        self._latest.run(group, on_result, on_error)

    def drop(self) -> None:
        """Show the current segmentation as it is."""
        self._latest.drop()
        was_trying, self._source = self.is_trying, None
        if was_trying and self._workspace.layers is not None:
            self._workspace.layers.show_trial(None)
        self._reset()

    def keep(self) -> None:
        """Make a new segmentation with the segments that are tried, off the window's thread."""
        session, document, tried = self._workspace.session, self._document, self._tried
        if session is None or document is None or tried is None:
            return
        from napari_pytc.session.regrouping import regroup

        self._workspace.segments.do(lambda proofreader: regroup(session.segmentations, document.id, tried))

    # ---- private

    def _on_document_changed(self) -> None:
        """Read the decoder of the segmentation that is current now; it is in memory."""
        if self._document is not None:
            self.drop()
        self._document = self._workspace.segments.document
        self.decoder = None
        if self._document is not None:
            from napari_pytc.decoding.base import DecoderSettings

            try:
                found = DecoderSettings.parse(dict(self._document.segmentation.record.decoder))
            except (PytcError, ValueError):  # made by a decoder that is not installed, or of another version
                found = None
            self.decoder = found if getattr(found, "slider", None) else None
        self._reset()

    def _reset(self) -> None:
        self._tried = self.problem = None
        self.was_reset.emit()
        self.changed.emit()
