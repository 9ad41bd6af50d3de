"""The Data panel: the volume, its project, its classes, and the boxes held out of training."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtWidgets import QFileDialog, QPushButton, QVBoxLayout, QWidget

from napari_pytc.ui.panels.data.controller import DataController
from napari_pytc.ui.panels.data.new_project import NewProjectForm
from napari_pytc.ui.panels.data.project_page import ProjectPage
from napari_pytc.ui.widgets.buttons import ElidedButton
from napari_pytc.ui.widgets.labels import wrapped
from napari_pytc.ui.widgets.layout import clear, column, section


class DataPanel(QWidget):
    """Opens or makes a project while there is none; shows the one that is open.

    Parameters
    ----------
    controller : DataController
        The controller of the panel.
    """

    def __init__(self, controller: DataController, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("dataPanel")
        self._workspace = workspace = controller.workspace
        self.busy = wrapped()
        self.busy.setObjectName("busy")
        self.busy.hide()
        self.start = StartPage(controller)
        self.project = ProjectPage(controller)
        column(self, self.busy, self.start, self.project)
        workspace.session_changed.connect(self._on_session)
        workspace.busy_changed.connect(self._on_busy)
        self._on_session()
        self._on_busy(workspace.busy)

    def _on_session(self) -> None:
        is_open = self._workspace.session is not None
        self.start.setVisible(not is_open)
        self.project.setVisible(is_open)
        self.project.refresh()
        if not is_open:
            self.start.refresh()

    def _on_busy(self, what: str) -> None:
        self.busy.setText(what)
        self.busy.setVisible(bool(what))
        self.start.setEnabled(not what)
        if not what and self._workspace.session is None:
            self.start.refresh()  # one of those listed may be gone


class StartPage(QWidget):
    """First page without a project: open a volume, or a project that is there already."""

    def __init__(self, controller: DataController, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._controller = controller
        self._open_project = controller.workspace.open_project
        self.form = NewProjectForm(controller.workspace)
        self.form.open_requested.connect(self._open_project)
        box, inside = section("Open a project")
        self.open = QPushButton("Open project …")
        self.open.setObjectName("openProject")
        self.open.setToolTip(
            "Choose the folder of a project; its name ends in .pytc. You can also drop it on the window."
        )
        self.open.clicked.connect(self._choose)
        inside.addWidget(self.open)
        self.sample = QPushButton("Try it with the sample")
        self.sample.setObjectName("openSample")
        self.sample.setToolTip(
            "Neurites of a fruit fly, a small volume that comes with the program. Its project goes into your documents."
        )
        self.sample.clicked.connect(controller.open_sample)
        inside.addWidget(self.sample)
        self._recent_title = wrapped("Opened lately", dim=True)
        inside.addWidget(self._recent_title)
        self._recent = QVBoxLayout()
        self._recent.setSpacing(1)
        inside.addLayout(self._recent)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.form)
        layout.addWidget(box)
        self._show_recent([])

    def refresh(self) -> None:
        """Look for layers and recent projects again."""
        self.form.refresh_layers()
        self._controller.find_recent(self._show_recent)

    def _show_recent(self, folders: list[Path]) -> None:
        clear(self._recent)
        self._recent_title.setVisible(bool(folders))
        for folder in folders:
            button = ElidedButton(f"{folder.stem}   {folder.parent}")
            button.setFlat(True)
            button.setToolTip(f"Open {folder}")
            button.clicked.connect(lambda checked=False, folder=folder: self._open_project(folder))
            self._recent.addWidget(button)

    def _choose(self) -> None:
        path = QFileDialog.getExistingDirectory(self, "Open a project (a folder whose name ends in .pytc)")
        if path:
            self._open_project(path)
