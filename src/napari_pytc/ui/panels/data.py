"""The Data panel: which volume, where its project is, its classes, and what is held out of training."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtWidgets import QFileDialog, QPushButton, QVBoxLayout, QWidget

from napari_pytc.errors import PytcError
from napari_pytc.ui.background import readable
from napari_pytc.ui.elided import ElidedButton
from napari_pytc.ui.new_project import NewProjectForm
from napari_pytc.ui.parts import MARGIN, section, wrapped
from napari_pytc.ui.project_page import ProjectPage
from napari_pytc.ui.workspace import Workspace


class DataPanel(QWidget):
    """Opens or makes a project while there is none; shows the one that is open.

    Parameters
    ----------
    workspace : Workspace
        What the panel shows and changes.
    """

    def __init__(self, workspace: Workspace, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("dataPanel")
        self._workspace = workspace
        self.busy = wrapped()
        self.busy.setObjectName("busy")
        self.busy.hide()
        self.start = StartPage(workspace)
        self.project = ProjectPage(workspace)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(MARGIN, MARGIN, MARGIN, MARGIN)
        layout.addWidget(self.busy)
        layout.addWidget(self.start)
        layout.addWidget(self.project)
        layout.addStretch(1)
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
            self.start.refresh()  # one that was asked for may be gone


class StartPage(QWidget):
    """What to do first: open a volume, or a project that is there already."""

    def __init__(self, workspace: Workspace, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._workspace = workspace
        self.form = NewProjectForm(workspace)
        self.form.open_asked.connect(workspace.open_project)
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
        self.sample.clicked.connect(self._open_sample)
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
        self._workspace.background.run(self._workspace.recent.folders, self._show_recent)

    def _show_recent(self, folders: list[Path]) -> None:
        while (item := self._recent.takeAt(0)) is not None:
            if (widget := item.widget()) is not None:
                widget.hide()
                widget.deleteLater()
        self._recent_title.setVisible(bool(folders))
        for folder in folders:
            button = ElidedButton(f"{folder.stem}   {folder.parent}")
            button.setFlat(True)
            button.setToolTip(f"Open {folder}")
            button.clicked.connect(lambda checked=False, folder=folder: self._workspace.open_project(folder))
            self._recent.addWidget(button)

    def _open_sample(self) -> None:
        from napari_pytc.ui import demo

        try:
            demo.open_sample_in(self._workspace, demo.default_folder())
        except (PytcError, OSError) as error:
            self._workspace.failed.emit(readable(error))

    def _choose(self) -> None:
        path = QFileDialog.getExistingDirectory(self, "Open a project (a folder whose name ends in .pytc)")
        if path:
            self._workspace.open_project(path)
