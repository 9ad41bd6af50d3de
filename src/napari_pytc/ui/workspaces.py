"""One workspace for each viewer, with its controllers, made on first use."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from qtpy.QtCore import QEvent, QObject, QTimer
from qtpy.QtWidgets import QWidget

from napari_pytc.ui.canvas.viewer.viewer import NapariViewer
from napari_pytc.ui.commands import bind_keys
from napari_pytc.ui.controllers import Controllers
from napari_pytc.ui.tasks.activity import Activity
from napari_pytc.ui.workspace import Workspace

if TYPE_CHECKING:
    import napari.viewer

    from napari_pytc.jobs.runners.base import JobRunner

PLUGIN, WORKSPACE = "napari-pytc", "Workspace"
_PROJECTS = f"*.pytc{os.sep}"
_START_AFTER_MS = 300

_controllers: WeakKeyDictionary[Any, Controllers] = WeakKeyDictionary()


def start_worker() -> JobRunner:
    """The worker process, loading torch as it comes up."""
    from napari_pytc.jobs.runners.process import ProcessRunner

    return ProcessRunner(preload=("torch", "lightning.pytorch", "monai.networks.nets", "monai.losses"), warm=True)


def controllers_for(viewer: napari.viewer.Viewer) -> Controllers:
    """The workspace of a viewer with its controllers; its worker starts soon after their first use."""
    real = getattr(viewer, "__wrapped__", viewer)
    found = _controllers.get(real)
    if found is None:
        window = real.window._qt_window
        workspace = Workspace(NapariViewer(real), start_worker, parent=window)
        found = _controllers[real] = Controllers(workspace)
        Activity(workspace.jobs, window)
        _CloseWatcher(workspace, window)
        bind_keys(real, found, lambda: open_workspace_dock(real))
        _claim_projects()
        # Not before the window has drawn itself: the worker takes a core to load its libraries.
        later = QTimer(workspace)
        later.setSingleShot(True)
        later.timeout.connect(workspace.worker.begin)
        later.start(_START_AFTER_MS)
    return found


def has_workspace(viewer: napari.viewer.Viewer) -> bool:
    """Whether our workspace was opened in a viewer."""
    return getattr(viewer, "__wrapped__", viewer) in _controllers


def open_workspace_dock(viewer: napari.viewer.Viewer) -> QWidget:
    """Open the workspace's dock widget, or bring it to the front; returns its content."""
    real = getattr(viewer, "__wrapped__", viewer)
    dock, widget = real.window.add_plugin_dock_widget(PLUGIN, WORKSPACE)
    dock.show()
    dock.raise_()
    found: QWidget = widget
    return found


def _claim_projects() -> None:
    """Let napari open dropped projects with us: its own reader takes any folder, so a dialog would open each time."""
    from napari.settings import get_settings

    plugins = get_settings().plugins
    if _PROJECTS not in plugins.extension2reader:
        plugins.extension2reader = {**plugins.extension2reader, _PROJECTS: PLUGIN}


class _CloseWatcher(QObject):
    """Shuts a workspace down once its window has really closed; a close that the user took back changes nothing."""

    def __init__(self, workspace: Workspace, window: QWidget) -> None:
        super().__init__(window)
        self._workspace = workspace
        self._is_closing = False
        self._reset = QTimer(self)
        self._reset.setSingleShot(True)
        self._reset.timeout.connect(self._on_refused)
        window.installEventFilter(self)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Notice a close and the hiding that follows it where it was accepted."""
        assert event is not None
        if event.type() == QEvent.Type.Close:
            self._is_closing = True
            self._reset.start()
        elif event.type() == QEvent.Type.Hide and self._is_closing and not event.spontaneous():
            self._reset.stop()
            self._workspace.shutdown()
        return False

    def _on_refused(self) -> None:
        """The event loop went on: the close, which hides the window at once, was refused."""
        self._is_closing = False
