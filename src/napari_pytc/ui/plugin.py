"""Entry points of napari's menus: the panels as dock widgets, and the workspace of a viewer.

Napari imports this module when it starts, also for those who never open the workspace: all else is imported later.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

from qtpy.QtCore import QSize
from qtpy.QtWidgets import QVBoxLayout, QWidget

if TYPE_CHECKING:
    import napari.viewer

    from napari_pytc.ui.workspace_widget import WorkspaceWidget


def show_workspace(viewer: napari.viewer.Viewer) -> WorkspaceWidget:
    """Open the workspace's dock widget, or bring it to the front."""
    from napari_pytc.ui.workspaces import open_workspace_dock

    return cast("WorkspaceWidget", open_workspace_dock(viewer))


def open_project_in(viewer: napari.viewer.Viewer, folder: str | Path) -> None:
    """Open a project in a viewer's workspace, as a drop on its canvas does."""
    show_workspace(viewer).workspace.open_project(folder)


class PanelDock(QWidget):
    """A panel of the workspace as a dock widget of its own, with messages above it."""

    title = ""
    """Title of the panel."""

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        from napari_pytc.ui.controllers import make_panel
        from napari_pytc.ui.widgets.layout import Scrolled
        from napari_pytc.ui.widgets.notice import Notice
        from napari_pytc.ui.workspaces import controllers_for

        controllers, self.notice = controllers_for(viewer), Notice()
        self.panel = make_panel(self.title, controllers)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.notice)
        layout.addWidget(Scrolled(self.panel), 1)
        controllers.workspace.failed.connect(self.notice.show_error)

    def sizeHint(self) -> QSize:
        """Room for a panel, also while it is empty."""
        return QSize(340, 480)


class DataDock(PanelDock):
    """Data alone."""

    title = "Data"


class TrainDock(PanelDock):
    """Train alone."""

    title = "Train"


class PredictDock(PanelDock):
    """Predict alone."""

    title = "Predict"


class SegmentDock(PanelDock):
    """Segment alone."""

    title = "Segment"


class ProofreadDock(PanelDock):
    """Proofread alone."""

    title = "Proofread"


class ExportDock(PanelDock):
    """Export alone."""

    title = "Export"


class JobsDock(PanelDock):
    """Jobs alone."""

    title = "Jobs"
