"""The last exported file: its path, its size, and two ways to look at it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from qtpy.QtCore import QUrl
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import QFrame, QPushButton, QVBoxLayout, QWidget

from napari_pytc.ui.tasks.job_board import JobModel
from napari_pytc.ui.widgets.labels import size, wrapped
from napari_pytc.ui.widgets.layout import MARGIN, row


class LastExport(QFrame):
    """Hidden until an export is finished.

    Parameters
    ----------
    show_file : callable
        Opens what a finished export wrote as layers.
    """

    def __init__(self, show_file: Callable[[JobModel], object], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setFrameShape(QFrame.Shape.StyledPanel)
        self._show_file = show_file
        self._job: JobModel | None = None
        self.label = wrapped()
        self.label.setObjectName("exportedLabel")
        self.folder_button = QPushButton("Open folder")
        self.folder_button.setObjectName("openFolderButton")
        self.folder_button.setToolTip("Show the folder with the file in the system's file manager.")
        self.folder_button.clicked.connect(self._open_folder)
        self.layer_button = QPushButton("Show as layer")
        self.layer_button.setObjectName("showExportButton")
        self.layer_button.setToolTip("Open the file itself as a layer, read where you look at it.")
        self.layer_button.clicked.connect(self._show_layers)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(MARGIN, MARGIN, MARGIN, MARGIN)
        layout.addWidget(self.label)
        layout.addLayout(row(self.folder_button, self.layer_button))
        self.hide()

    def is_of(self, path: str) -> bool:
        """Whether this file was written last."""
        return self._job is not None and Path(path).expanduser().absolute() == Path(self._job.result["output"])

    def show_result(self, job: JobModel) -> None:
        """Show size and path of the file that a finished export wrote."""
        self._job = job
        notes = "".join(f"\nNote: {note}" for note in job.result.get("notes", ()))
        self.label.setText(f"✓ {size(job.result['bytes'])} in {job.result['output']}{notes}")
        self.layer_button.setVisible("shape" in job.result)  # a table is none
        self.show()

    def forget(self) -> None:
        """Hide the last export."""
        self._job = None
        self.hide()

    def _open_folder(self) -> None:
        if self._job is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(Path(self._job.result["output"]).parent)))

    def _show_layers(self) -> None:
        if self._job is not None:
            self._show_file(self._job)
