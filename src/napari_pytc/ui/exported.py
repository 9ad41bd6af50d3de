"""What was exported last: where it is, how large, and two ways to look at it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QUrl
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import QFrame, QPushButton, QVBoxLayout, QWidget

from napari_pytc.ui.bridge import JobView
from napari_pytc.ui.parts import MARGIN, row, size, wrapped
from napari_pytc.ui.port import Look
from napari_pytc.volumes.source import VolumeSource

if TYPE_CHECKING:
    from napari_pytc.ui.workspace import Workspace


class Exported(QFrame):
    """Hidden until an export is finished.

    Parameters
    ----------
    workspace : Workspace
        Whose viewer shows the file.
    """

    def __init__(self, workspace: Workspace, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setFrameShape(QFrame.Shape.StyledPanel)
        self._workspace = workspace
        self._job: JobView | None = None
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

    @property
    def output(self) -> Path:
        """The file that was written."""
        assert self._job is not None
        return Path(self._job.result["output"])

    def is_of(self, path: str) -> bool:
        """Whether this file was written last."""
        return self._job is not None and Path(path).expanduser().absolute() == self.output

    def show_result(self, job: JobView) -> None:
        """Tell what a finished export wrote."""
        self._job = job
        self.label.setText(f"✓ {size(job.result['bytes'])} in {job.result['output']}")
        self.layer_button.setVisible("shape" in job.result)  # a table is none
        self.show()

    def forget(self) -> None:
        """Say nothing."""
        self._job = None
        self.hide()

    def _open_folder(self) -> None:
        QDesktopServices.openUrl(QUrl.fromLocalFile(str(self.output.parent)))

    def _show_layers(self) -> None:
        job, workspace = self._job, self._workspace
        if job is None:
            return
        spec, path = job.spec, self.output
        dataset = getattr(spec, "dataset", "main") if path.suffix.lower() in (".h5", ".hdf5", ".hdf") else ""
        where = f"{path}:{dataset}" if dataset else str(path)
        shape = job.result["shape"]
        channels: list[int | None] = [None] if len(shape) == 3 else list(range(shape[0]))

        def open_file() -> list[VolumeSource]:
            from napari_pytc.volumes.opening import open_volume

            return [open_volume(where, channel=channel) for channel in channels]

        def put(sources: list[VolumeSource]) -> None:
            from napari_pytc.ui.readers import FileArray

            for channel, source in zip(channels, sources, strict=True):
                array = FileArray(source)
                if channel is None:
                    by_id = getattr(spec, "what", "") == "segments"
                    look = Look(path.name, "export", opacity=0.5, by_id=by_id)
                    workspace.viewer.add_labels(array, source.space, look)
                else:
                    look = Look(
                        f"{path.name} [{channel}]", "export", visible=channel == 0, contrast_limits=(0.0, 255.0)
                    )
                    workspace.viewer.add_image(array, source.space, look)

        workspace.background.run(open_file, put, workspace.failed.emit)
