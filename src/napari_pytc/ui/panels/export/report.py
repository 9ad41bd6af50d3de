"""A page about the project, written from the Export panel."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import QUrl
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import QFileDialog, QPushButton, QVBoxLayout, QWidget

from napari_pytc.ui.panels.export.controller import ExportController
from napari_pytc.ui.widgets.buttons import allow
from napari_pytc.ui.widgets.labels import size, wrapped
from napari_pytc.ui.widgets.layout import row, section

_TIP = (
    "Write one HTML file that stands alone: data, annotation effort, models with their scores, edits, pictures, a "
    "methods paragraph, settings and versions."
)


class ReportSection(QWidget):
    """A button that opens a file dialog and writes the report to the file; hidden without a project."""

    def __init__(self, controller: ExportController, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._controller = controller
        self._path: Path | None = None
        self._is_writing = False
        self.button, self.open_button = QPushButton("Write report …"), QPushButton("Open it")
        self.button.setObjectName("writeReportButton")
        self.open_button.setObjectName("openReportButton")
        self.open_button.setToolTip("Show the page in the browser.")
        self.button.clicked.connect(self._ask)
        self.open_button.clicked.connect(self._open)
        self.text = wrapped(dim=True)
        self.text.setObjectName("reportText")
        box, inside = section("Report")
        inside.addWidget(self.text)
        inside.addLayout(row(self.button, self.open_button, 1))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(box)
        controller.session_changed.connect(self._on_session)
        self._on_session()

    def write(self, path: Path) -> None:
        """Write the report; a page that is there is replaced."""
        if self._is_writing or not self._controller.has_project:
            return
        self._is_writing, self._path = True, None
        self._show("Writing the report …")

        def end(n_bytes: int | None) -> None:
            self._is_writing = False
            self._path = None if n_bytes is None else path
            self._show("" if n_bytes is None else f"✓ {size(n_bytes)} in {path}")

        self._controller.write_report(path, end, self)

    def _ask(self) -> None:
        suggested = self._controller.suggested_report
        if suggested is None:
            return
        path, _ = QFileDialog.getSaveFileName(self, "Write the report to", str(suggested), "Page (*.html)")
        if path:
            self.write(Path(path) if Path(path).suffix.lower() in (".html", ".htm") else Path(f"{path}.html"))

    def _open(self) -> None:
        if self._path is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(self._path)))

    def _on_session(self) -> None:
        self._is_writing, self._path = False, None
        self.setVisible(self._controller.has_project)
        self._show("")

    def _show(self, text: str) -> None:
        self.text.setText(text or "A page with all that a methods section needs.")
        self.open_button.setVisible(self._path is not None)
        allow(self.button, "it is being written." if self._is_writing else "", _TIP)
