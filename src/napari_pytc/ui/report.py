"""A page about the project, written from the Export panel."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QUrl
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import QFileDialog, QPushButton, QVBoxLayout, QWidget

from napari_pytc.errors import PytcError
from napari_pytc.session.session import Session
from napari_pytc.ui.parts import allow, row, section, size, wrapped

if TYPE_CHECKING:
    from napari_pytc.ui.workspace import Workspace

_TIP = (
    "Write one HTML file that stands alone: data, annotation effort, models with their scores, edits, pictures, a "
    "methods paragraph, settings and versions."
)


class ReportSection(QWidget):
    """A button that asks for a file and writes the report there; hidden without a project.

    Parameters
    ----------
    workspace : Workspace
        Its session is reported on.
    """

    def __init__(self, workspace: Workspace, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._workspace = workspace
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
        workspace.session_changed.connect(self._on_session)
        self._on_session()

    def write(self, path: Path) -> None:
        """Write the report in the helper thread; a page that is there is replaced."""
        session = self._workspace.session
        if session is None or self._is_writing:
            return
        self._is_writing, self._path = True, None

        def work() -> int:
            from napari_pytc.session.report import write_report

            write_report(session, path, overwrite=True)
            return path.stat().st_size

        def succeed(n_bytes: int) -> None:
            self._end(session, path, f"✓ {size(n_bytes)} in {path}")

        def fail(error: PytcError) -> None:
            self._end(session, None, "")
            self._workspace.failed.emit(error)

        self._show("Writing the report …")
        self._workspace.background.run(work, succeed, fail, receiver=self)

    def _ask(self) -> None:
        session = self._workspace.session
        if session is None:
            return
        suggested = session.folder.parent / f"{session.folder.stem}-report.html"
        path, _ = QFileDialog.getSaveFileName(self, "Write the report to", str(suggested), "Page (*.html)")
        if path:
            self.write(Path(path) if Path(path).suffix.lower() in (".html", ".htm") else Path(f"{path}.html"))

    def _open(self) -> None:
        if self._path is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(self._path)))

    def _end(self, session: Session, path: Path | None, text: str) -> None:
        if self._workspace.session is session:
            self._is_writing, self._path = False, path
            self._show(text)

    def _on_session(self, *_: Any) -> None:
        self._is_writing, self._path = False, None
        self.setVisible(self._workspace.session is not None)
        self._show("")

    def _show(self, text: str) -> None:
        self.text.setText(text or "A page with all that a methods section needs.")
        self.open_button.setVisible(self._path is not None)
        allow(self.button, "it is being written." if self._is_writing else "", _TIP)
