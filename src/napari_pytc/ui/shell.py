"""The workspace's dock widget: all panels under one roof."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QSize, Qt
from qtpy.QtWidgets import QTabWidget, QVBoxLayout, QWidget

from napari_pytc.errors import PytcError
from napari_pytc.ui.bridge import JobView
from napari_pytc.ui.panels.data import DataPanel
from napari_pytc.ui.panels.export import ExportPanel
from napari_pytc.ui.panels.jobs import JobsPanel
from napari_pytc.ui.panels.predict import PredictPanel
from napari_pytc.ui.panels.train import TrainPanel
from napari_pytc.ui.parts import Notice, Scrolled
from napari_pytc.ui.plugin import workspace_of

if TYPE_CHECKING:
    import napari.viewer

_TABS = (
    ("Data", DataPanel, "The volume, its classes, and what is held out of training."),
    ("Train", TrainPanel, "Teach a model what you painted."),
    ("Predict", PredictPanel, "Let a model paint the rest."),
    ("Export", ExportPanel, "Write the result to a file."),
    ("Jobs", JobsPanel, "What runs, what waits, and what came of it."),
)


class WorkspaceWidget(QWidget):
    """Data, Train, Predict, Export and Jobs as tabs, with one place for messages above them.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        The viewer it belongs to.
    """

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self.setObjectName("pytcWorkspace")
        self.workspace = workspace_of(viewer)
        self.notice = Notice()
        self.tabs = QTabWidget()
        self.tabs.setDocumentMode(True)
        self.tabs.setUsesScrollButtons(False)
        self.tabs.setElideMode(Qt.TextElideMode.ElideNone)
        self._panels: dict[str, QWidget] = {}
        for title, kind, tip in _TABS:
            panel = self._panels[title] = kind(self.workspace)
            index = self.tabs.addTab(Scrolled(panel), title)
            self.tabs.setTabToolTip(index, tip)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(2, 2, 2, 2)
        layout.addWidget(self.notice)
        layout.addWidget(self.tabs, 1)
        self.workspace.failed.connect(self._tell)
        self.workspace.session_changed.connect(self._on_session)
        self.workspace.jobs.added.connect(self._count)
        self.workspace.jobs.changed.connect(self._count)

    def panel(self, title: str) -> QWidget:
        """A panel by the title of its tab."""
        return self._panels[title]

    def show_panel(self, title: str) -> None:
        """Bring a tab to the front."""
        self.tabs.setCurrentIndex([entry[0] for entry in _TABS].index(title))

    def sizeHint(self) -> QSize:
        """Wide enough for every panel, and no wider than a laptop's window can spare."""
        return QSize(360, 640)

    def _tell(self, error: PytcError) -> None:
        self.notice.show_error(error)

    def _on_session(self) -> None:
        self.notice.clear()

    def _count(self, job: JobView) -> None:
        n_running = len(self.workspace.jobs.running)
        self.tabs.setTabText(len(_TABS) - 1, f"Jobs ({n_running})" if n_running else "Jobs")
