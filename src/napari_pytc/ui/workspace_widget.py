"""The workspace's dock widget: all panels under one roof."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from qtpy.QtCore import QSize, Qt, QTimer
from qtpy.QtWidgets import QTabWidget, QVBoxLayout, QWidget

from napari_pytc.errors import PytcError
from napari_pytc.jobs.job import JobState
from napari_pytc.ui.canvas.viewer.viewer import load_units
from napari_pytc.ui.controllers import load_panels, make_panel
from napari_pytc.ui.tasks.job_board import JobModel
from napari_pytc.ui.widgets.layout import Scrolled
from napari_pytc.ui.widgets.notice import EmptyState, Notice
from napari_pytc.ui.workspaces import controllers_for

if TYPE_CHECKING:
    import napari.viewer

_TABS = {
    "Data": "The volume, its classes, and what is held out of training.",
    "Train": "Train a model on what you painted.",
    "Predict": "Let a model paint the rest.",
    "Segment": "Tell the objects of a prediction apart.",
    "Proofread": "Mend what the segmentation got wrong.",
    "Export": "Write the result to a file.",
    "Jobs": "What runs, what waits, and what came of it.",
}

_SHOWN_IN = {"live": "Train"}
"""Tabs that show jobs which are not called like them."""

_OF_NAPARI = ("scipy.ndimage", "pandas", "skimage.color.colorconv", "skimage.exposure")
"""Modules that napari imports with the first layers: seconds on a slow disk, and the window would stand still."""

_TAB_STYLE = "QTabBar { padding: 0px; border: 0px; } QTabBar::tab { padding: 4px 3px; }"
"""Napari's own leaves so much room beside the words that seven tabs need 20 pixels more than a narrow dock has."""


class WorkspaceWidget(QWidget):
    """All panels as tabs, in the order of the work, with one place for messages above them.

    It is there at once; the panels come one after another as soon as the helper thread has imported them, so that
    opening it does not stop the window. Whoever needs a panel earlier gets it from `panel`.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        The viewer it belongs to.
    """

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self.setObjectName("pytcWorkspace")
        self.controllers = controllers_for(viewer)
        self.workspace = self.controllers.workspace
        self.notice = Notice()
        self.tabs = QTabWidget()
        self.tabs.setDocumentMode(True)
        self.tabs.setUsesScrollButtons(False)
        self.tabs.setElideMode(Qt.TextElideMode.ElideNone)
        bar = self.tabs.tabBar()
        assert bar is not None
        bar.setStyleSheet(_TAB_STYLE)
        bar.setExpanding(True)
        self._panels: dict[str, QWidget] = {}
        self._places: dict[str, QVBoxLayout] = {}
        for title, tip in _TABS.items():
            page = QWidget()
            place = self._places[title] = QVBoxLayout(page)
            place.setContentsMargins(0, 0, 0, 0)
            place.addWidget(EmptyState("One moment …"))
            self.tabs.setTabToolTip(self.tabs.addTab(page, title), tip)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(2, 2, 2, 2)
        layout.addWidget(self.notice)
        layout.addWidget(self.tabs, 1)
        # One panel in two turns of the event loop, made in the one and styled in the other: each takes milliseconds.
        self._made: dict[str, QWidget] = {}
        self._furnishing = QTimer(self)
        self._furnishing.timeout.connect(self._furnish_next)
        workspace = self.workspace
        workspace.failed.connect(self.notice.show_error)
        workspace.session_changed.connect(self._on_session)
        workspace.jobs.added.connect(self._count)
        workspace.jobs.changed.connect(self._count)
        workspace.jobs.ended.connect(self._on_ended)
        workspace.background.run(_load_tabs, self._furnish)
        workspace.background.run(_load_for_layers)

    def panel(self, title: str) -> QWidget:
        """A panel by the title of its tab, made now if it is not there yet."""
        if title not in self._panels:
            panel = self._panels[title] = (
                self._made.pop(title) if title in self._made else make_panel(title, self.controllers)
            )
            place = self._places[title]
            while (item := place.takeAt(0)) is not None:
                if (widget := item.widget()) is not None:
                    widget.deleteLater()
            place.addWidget(Scrolled(panel))
        return self._panels[title]

    def show_panel(self, title: str) -> None:
        """Bring a tab to the front."""
        self.panel(title)
        self.tabs.setCurrentIndex(list(_TABS).index(title))

    @property
    def is_furnished(self) -> bool:
        """Whether all panels are there."""
        return len(self._panels) == len(_TABS)

    def sizeHint(self) -> QSize:
        """Wide enough for every panel, and no wider than a laptop's window can spare."""
        return QSize(360, 640)

    def _furnish(self, loaded: object) -> None:
        self._furnishing.start()

    def _furnish_next(self) -> None:
        missing = [title for title in _TABS if title not in self._panels]
        if not missing:
            self._furnishing.stop()
        elif missing[0] in self._made:
            self.panel(missing[0])
        else:
            self._made[missing[0]] = make_panel(missing[0], self.controllers)

    def _on_ended(self, job: JobModel) -> None:
        """Report a job that failed, unless its own panel, which reports it too, is in front."""
        in_front = list(_TABS)[self.tabs.currentIndex()]
        if job.state is JobState.FAILED and in_front not in (_SHOWN_IN.get(job.kind, job.kind.capitalize()), "Jobs"):
            self.notice.show_error(PytcError(f"{job.title}: {job.message}", job.hint), job.trace)

    def _on_session(self) -> None:
        self.notice.clear()

    def _count(self, job: JobModel) -> None:
        n_running = len(self.workspace.jobs.running)
        self.tabs.setTabText(len(_TABS) - 1, f"Jobs ({n_running})" if n_running else "Jobs")


def _load_tabs() -> None:
    """Import the panels and their dependencies in the helper thread."""
    load_panels()
    for name in ("ui.canvas.project_layers", "decoding", "session.retraining"):
        importlib.import_module(f"napari_pytc.{name}")


def _load_for_layers() -> None:
    """Import napari's modules for the first layers, and read its table of units, which takes as long."""
    for name in _OF_NAPARI:
        importlib.import_module(name)
    load_units()
