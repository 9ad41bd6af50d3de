"""Where napari meets us: one workspace a viewer, and what the plugin's menus and commands call."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from weakref import WeakKeyDictionary

from qtpy.QtCore import QEvent, QObject, QSize, QTimer
from qtpy.QtWidgets import QVBoxLayout, QWidget

if TYPE_CHECKING:
    import napari.viewer

    from napari_pytc.jobs.runners.base import JobRunner
    from napari_pytc.ui.shell import WorkspaceWidget
    from napari_pytc.ui.workspace import Workspace

PLUGIN, WORKSPACE = "napari-pytc", "Workspace"
_PROJECTS = f"*.pytc{os.sep}"
_HIRE_AFTER_MS = 300

_workspaces: WeakKeyDictionary[Any, Workspace] = WeakKeyDictionary()


def hire_worker() -> JobRunner:
    """The worker process, loading torch as it comes up."""
    from napari_pytc.jobs.runners.process import ProcessRunner

    return ProcessRunner(preload=("torch", "lightning.pytorch", "monai.networks.nets", "monai.losses"), warm=True)


def workspace_of(viewer: napari.viewer.Viewer) -> Workspace:
    """The workspace of a viewer, made when first asked for; its worker starts at once."""
    real = getattr(viewer, "__wrapped__", viewer)
    found = _workspaces.get(real)
    if found is None:
        # Here and not above: napari imports this module when it starts, also for those who never open the workspace.
        from napari_pytc.ui.activity import Activity
        from napari_pytc.ui.keys import bind_keys
        from napari_pytc.ui.viewer import NapariViewer
        from napari_pytc.ui.workspace import Workspace

        window = real.window._qt_window
        found = _workspaces[real] = Workspace(NapariViewer(real), hire_worker, parent=window)
        Activity(found, window)
        _Closing(found, window)
        bind_keys(real, found)
        # Not before the window has drawn itself: the worker takes a core to load its libraries.
        _claim_projects()
        later = QTimer(found)
        later.setSingleShot(True)
        later.timeout.connect(found.warm_up)
        later.start(_HIRE_AFTER_MS)
    return found


def _claim_projects() -> None:
    """Let napari open dropped projects with us; it would ask each time, because its own reader takes any folder."""
    from napari.settings import get_settings

    plugins = get_settings().plugins
    if _PROJECTS not in plugins.extension2reader:
        plugins.extension2reader = {**plugins.extension2reader, _PROJECTS: PLUGIN}


def has_workspace(viewer: napari.viewer.Viewer) -> bool:
    """Whether our workspace was opened in a viewer."""
    return getattr(viewer, "__wrapped__", viewer) in _workspaces


def show_workspace(viewer: napari.viewer.Viewer) -> WorkspaceWidget:
    """Open the workspace's dock widget, or bring it to the front."""
    from napari_pytc.ui.shell import WorkspaceWidget

    real = getattr(viewer, "__wrapped__", viewer)
    dock, _ = real.window.add_plugin_dock_widget(PLUGIN, WORKSPACE)
    dock.show()
    dock.raise_()
    return cast("WorkspaceWidget", dock.findChild(WorkspaceWidget))


def open_project_in(viewer: napari.viewer.Viewer, folder: str | Path) -> None:
    """Open a project in a viewer's workspace, as a drop on its canvas does."""
    show_workspace(viewer)
    workspace_of(viewer).open_project(folder)


class _Closing(QObject):
    """Shuts a workspace down once its window has really closed; a close that the user took back changes nothing."""

    def __init__(self, workspace: Workspace, window: QWidget) -> None:
        super().__init__(window)
        self._workspace = workspace
        self._close_asked = False
        self._forget = QTimer(self)
        self._forget.setSingleShot(True)
        self._forget.timeout.connect(self._take_back)
        window.installEventFilter(self)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Notice a close and the hiding that follows it where it was accepted."""
        assert event is not None
        if event.type() == QEvent.Type.Close:
            self._close_asked = True
            self._forget.start()
        elif event.type() == QEvent.Type.Hide and self._close_asked and not event.spontaneous():
            self._forget.stop()
            self._workspace.shutdown()
        return False

    def _take_back(self) -> None:
        """The event loop went on: the close, which hides the window at once, was refused."""
        self._close_asked = False


class _PanelDock(QWidget):
    """A panel of the workspace as a dock widget of its own, with messages above it."""

    def __init__(self, viewer: napari.viewer.Viewer, make: Callable[[Workspace], QWidget]) -> None:
        super().__init__()
        from napari_pytc.ui.parts import Notice, Scrolled

        workspace, self.notice = workspace_of(viewer), Notice()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.notice)
        layout.addWidget(Scrolled(make(workspace)), 1)
        workspace.failed.connect(self.notice.show_error)

    def sizeHint(self) -> QSize:
        """Room for a panel, also while it is empty."""
        return QSize(340, 480)


class DataDock(_PanelDock):
    """Data alone."""

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        from napari_pytc.ui.panels.data import DataPanel

        super().__init__(viewer, DataPanel)


class TrainDock(_PanelDock):
    """Train alone."""

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        from napari_pytc.ui.panels.train import TrainPanel

        super().__init__(viewer, TrainPanel)


class PredictDock(_PanelDock):
    """Predict alone."""

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        from napari_pytc.ui.panels.predict import PredictPanel

        super().__init__(viewer, PredictPanel)


class SegmentDock(_PanelDock):
    """Segment alone."""

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        from napari_pytc.ui.panels.segment import SegmentPanel

        super().__init__(viewer, SegmentPanel)


class ProofreadDock(_PanelDock):
    """Proofread alone."""

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        from napari_pytc.ui.panels.proofread import ProofreadPanel

        super().__init__(viewer, ProofreadPanel)


class ExportDock(_PanelDock):
    """Export alone."""

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        from napari_pytc.ui.panels.export import ExportPanel

        super().__init__(viewer, ExportPanel)


class JobsDock(_PanelDock):
    """Jobs alone."""

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        from napari_pytc.ui.panels.jobs import JobsPanel

        super().__init__(viewer, JobsPanel)
