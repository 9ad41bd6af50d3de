"""A project whose segments are edited, without a window: the session is real, edits are made at once."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from qtpy.QtCore import QObject, Signal

from napari_pytc.geometry import Box, Shape
from napari_pytc.proofreading.document import LabelDocument
from napari_pytc.session.session import Session
from napari_pytc.ui.canvas.viewer.port import LayerStyle
from tests.support.proofreading import make_segmented_project
from tests.support.viewers import FakeViewer
from tests.support.workspaces import FakeWorkspace

SHAPE: Shape = (12, 64, 64)
Z = 6


class EditingLayers(QObject):
    """Layers of a project that remember what they were told to show."""

    undo_requested = Signal()
    redo_requested = Signal()

    def __init__(self, viewer: FakeViewer, document: LabelDocument) -> None:
        super().__init__()
        style = LayerStyle("Image", "image")
        self.image = viewer.add_image(np.zeros(document.shape, np.uint8), document.space, style)
        self.strokes = viewer.add_labels(np.zeros(document.shape, np.uint8), document.space, LayerStyle("Strokes", ""))
        self.shown_strokes: list[Any] = []
        self.highlighted: list[int] = []
        self.preview: Box | None = None
        self.contact: tuple[Box, np.ndarray] | None = None
        self.segments = SimpleNamespace(
            highlight=self._highlight,
            mark_contact=self._mark_contact,
            preview=self._show_preview,
            clear_preview=self._clear_preview,
        )

    def view_box(self) -> Box:
        return Box((Z, 0, 0), (Z + 1, *SHAPE[1:]))

    def focus(self) -> tuple[float, float, float]:
        return (float(Z), 32.0, 32.0)

    def show_strokes(self, patches: Any) -> None:
        self.shown_strokes.append(patches)

    def flush(self, then: Any, refuse: Any) -> None:
        then()

    def _highlight(self, segments: list[int]) -> None:
        self.highlighted, self.contact = segments, None

    def _mark_contact(self, box: Box, voxels: np.ndarray) -> None:
        self.contact = (box, voxels)

    def _show_preview(self, box: Box, labels: np.ndarray, colours: Any, outline: bool) -> None:
        self.preview = box

    def _clear_preview(self) -> None:
        self.preview = None


class EditingWorkspace(FakeWorkspace):
    """A workspace with the segmented project ``cells``; ask for it with `open_segments`."""

    def open_segments(self, folder: Path, undecided: bool = False, **options: Any) -> LabelDocument:
        """Make a project with segments and open it.

        Parameters
        ----------
        undecided : bool
            Whether contacts are in doubt, so that there is something to review.
        """
        made = {"shape": SHAPE, "n_cells": 10} | options
        make_segmented_project(folder, **made)
        if undecided:
            scores = folder / "cells.pytc/volumes/v1/segments/first/scores.npy"
            np.save(scores, np.random.default_rng(0).uniform(0.5, 0.8, np.load(scores).shape).astype(np.float32))
        self.session = Session.open(folder / "cells.pytc")
        proofreader = self.session.proofreader
        proofreader.changed.connect(self.segments.edited.emit)
        proofreader.history_changed.connect(self.segments.history_changed.emit)
        document = proofreader.document
        assert document is not None
        self.segments.proofreader, self.segments.document = proofreader, document
        self.layers = EditingLayers(self.viewer, document)
        self.session_changed.emit()
        self.segments.opened.emit()
        self.segments.document_changed.emit()
        return document

    def shutdown(self) -> None:
        super().shutdown()
        if self.session is not None:
            self.session.close()


def neighbours(document: LabelDocument) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """Voxels of two segments that touch along x in the section `Z`."""
    section = document.segments(Box((Z, 0, 0), (Z + 1, *document.shape[1:])))[0]
    y, x = np.argwhere((section[:, :-1] != section[:, 1:]) & (section[:, :-1] > 0) & (section[:, 1:] > 0))[0]
    return (Z, int(y), int(x)), (Z, int(y), int(x) + 1)
