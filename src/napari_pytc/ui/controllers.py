"""Controllers of a workspace's tabs, built once for each workspace, and the panels that show them."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from qtpy.QtWidgets import QWidget

from napari_pytc.ui.panels.data.controller import DataController
from napari_pytc.ui.panels.export.controller import ExportController
from napari_pytc.ui.panels.jobs.controller import JobsController
from napari_pytc.ui.panels.predict.controller import PredictController
from napari_pytc.ui.panels.proofread.actions import SegmentActions
from napari_pytc.ui.panels.proofread.canvas_tools import CanvasTools
from napari_pytc.ui.panels.proofread.editor import SegmentEditor
from napari_pytc.ui.panels.proofread.retraining_controller import RetrainingController
from napari_pytc.ui.panels.proofread.review_controller import ReviewController
from napari_pytc.ui.panels.proofread.skeletons import SkeletonLayer
from napari_pytc.ui.panels.proofread.undo import UndoHistory
from napari_pytc.ui.panels.segment.controller import SegmentController
from napari_pytc.ui.panels.train.controller import TrainController
from napari_pytc.ui.panels.train.live_controller import LiveController
from napari_pytc.ui.panels.train.suggestion_controller import SuggestionController
from napari_pytc.ui.workspace import Workspace


class Controllers:
    """The controllers of a workspace; panels, menus and keys share them.

    Parameters
    ----------
    workspace : Workspace
        The workspace of the controllers; also their Qt parent.
    """

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.data = DataController(workspace)
        self.live = LiveController(workspace)
        self.suggestions = SuggestionController(workspace, self.live)
        self.train = TrainController(workspace)
        self.predict = PredictController(workspace)
        self.segment = SegmentController(workspace)
        self.editor = SegmentEditor(workspace, workspace)
        self.tools = CanvasTools(workspace, self.editor)
        self.undo = UndoHistory(workspace, self.editor)
        self.review = ReviewController(workspace.segments, self.editor)
        self.skeletons = SkeletonLayer(workspace, self.editor)
        self.actions = SegmentActions(workspace, self.editor, self.tools, self.undo, self.review, self.skeletons)
        self.retraining = RetrainingController(workspace, self.editor, self.undo)
        self.export = ExportController(workspace)
        self.jobs = JobsController(workspace)


_PANELS: dict[str, tuple[str, Callable[[Controllers], tuple[Any, ...]]]] = {
    "Data": ("DataPanel", lambda c: (c.data,)),
    "Train": ("TrainPanel", lambda c: (c.train, c.live, c.suggestions)),
    "Predict": ("PredictPanel", lambda c: (c.predict,)),
    "Segment": ("SegmentPanel", lambda c: (c.segment,)),
    "Proofread": ("ProofreadPanel", lambda c: (c.workspace, c.actions, c.retraining)),
    "Export": ("ExportPanel", lambda c: (c.export,)),
    "Jobs": ("JobsPanel", lambda c: (c.jobs,)),
}
"""The class of a tab's panel, and which components it gets."""


def load_panels() -> None:
    """Import all panels; takes a while, so not in the window's thread."""
    for title in _PANELS:
        _panel_class(title)


def make_panel(title: str, controllers: Controllers) -> QWidget:
    """Make the panel of a tab."""
    found: QWidget = _panel_class(title)(*_PANELS[title][1](controllers))
    return found


def _panel_class(title: str) -> Any:
    return getattr(importlib.import_module(f"napari_pytc.ui.panels.{title.lower()}.panel"), _PANELS[title][0])
