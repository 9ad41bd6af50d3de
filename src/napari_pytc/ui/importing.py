"""Labels of a file into a project, in a helper thread, with progress and a way to give it up."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QPushButton, QVBoxLayout, QWidget

from napari_pytc.errors import PytcError
from napari_pytc.geometry import Box
from napari_pytc.ui.controls import Bar
from napari_pytc.ui.parts import row, wrapped

if TYPE_CHECKING:  # what reads volumes takes a while to import: the work that needs it does so
    from napari_pytc.annotations.importing import Report
    from napari_pytc.session.session import Session


class GivenUp(PytcError):
    """The user cancelled it."""


class ImportProgress(QWidget):
    """How far an import is, and a button that gives it up; hidden while there is none."""

    _stepped = Signal(int, int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._given_up = threading.Event()
        self.text = wrapped(dim=True)
        self.bar = Bar()
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(14)
        self.cancel = QPushButton("Cancel")
        self.cancel.setObjectName("cancelImport")
        self.cancel.setToolTip("Give the import up.")
        self.cancel.clicked.connect(self._give_up)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self.text)
        line = row(self.bar, self.cancel)
        line.setStretch(0, 1)
        layout.addLayout(line)
        self._stepped.connect(self._show)
        self.hide()

    def begin(self, what: str, left: str = "What was taken over until then can be undone: Ctrl+Z.") -> Report:
        """Show that an import begins; `left` says what is so once it was cancelled.

        Returns
        -------
        callable
            Takes the steps done and their total in any thread; raises `GivenUp` once the user cancelled.
        """
        given_up = self._given_up = threading.Event()
        self.text.setText(f"{what} …")
        self.cancel.setEnabled(True)
        self.bar.setRange(0, 0)
        self.show()

        def report(done: int, total: int) -> None:
            if given_up.is_set():
                raise GivenUp("The import was cancelled.", left)
            self._stepped.emit(done, total)

        return report

    def end(self) -> None:
        """It is over."""
        self.hide()

    def _give_up(self) -> None:
        self._given_up.set()
        self.cancel.setEnabled(False)

    def _show(self, done: int, total: int) -> None:
        self.bar.setRange(0, max(1, total))
        self.bar.setValue(done)


def stroke_importer(session: Session, where: str, report: Report) -> Callable[[], tuple[Box, str]]:
    """Work for a helper thread: reads labels from a file and adds them to a session's strokes.

    Parameters
    ----------
    where : str
        ``PATH[:DATASET]``: 0 = not annotated, k = k-th class; as large as the image.
    report : callable
        Called in the helper thread with the steps done and their total.

    Returns
    -------
    callable
        Gives the box that was looked at, and what came of it.
    """
    add = session.label_importer()

    def work() -> tuple[Box, str]:
        from napari_pytc.volumes.opening import open_volume

        labels = open_volume(where)
        n_voxels = sum(add(labels, (0, 0, 0), report).values())
        return Box.of_shape(labels.shape), f"{n_voxels:,} voxels were labelled."

    return work


def object_importer(session: Session, where: str, is_dense: bool, report: Report) -> Callable[[], tuple[Box, str]]:
    """The same for objects to learn from: 0 = not annotated, or with `is_dense` no object; else an object's id."""
    add = session.object_importer()

    def work() -> tuple[Box, str]:
        from napari_pytc.volumes.opening import open_volume

        labels = open_volume(where)
        added = add(labels, (0, 0, 0), is_dense, report)
        return Box.of_shape(labels.shape), f"{added['objects']:,} objects of {added['voxels']:,} voxels were marked."

    return work
