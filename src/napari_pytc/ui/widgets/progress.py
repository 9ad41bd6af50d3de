"""Progress bars, and how far an import is."""

from __future__ import annotations

import threading

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QProgressBar, QPushButton, QVBoxLayout, QWidget

from napari_pytc.errors import PytcError
from napari_pytc.jobs.context import ProgressCallback
from napari_pytc.ui.widgets.labels import wrapped
from napari_pytc.ui.widgets.layout import row


class BusyBar(QProgressBar):
    """A progress bar that is painted with the rest of the window.

    Qt's own is painted within `setValue`, and the whole canvas with it: that takes 50 ms and more.
    """

    def setValue(self, value: int) -> None:
        """Show a value with the next painting."""
        self.setUpdatesEnabled(False)
        super().setValue(value)
        self.setUpdatesEnabled(True)

    def setRange(self, minimum: int, maximum: int) -> None:
        """Show a range with the next painting."""
        if (minimum, maximum) != (self.minimum(), self.maximum()):
            self.setUpdatesEnabled(False)
            super().setRange(minimum, maximum)
            self.setUpdatesEnabled(True)


class ImportCancelled(PytcError):
    """The user cancelled it."""


class ImportProgress(QWidget):
    """Progress of an import, and a button that cancels it; hidden while there is none."""

    _stepped = Signal(int, int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._given_up = threading.Event()
        self.text = wrapped(dim=True)
        self.bar = BusyBar()
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

    def begin(self, what: str, left: str = "What was taken over until then can be undone: Ctrl+Z.") -> ProgressCallback:
        """Show that an import begins; `left` is the remark shown once it was cancelled.

        Returns
        -------
        callable
            Takes the steps done and their total in any thread; raises `ImportCancelled` once the user cancelled.
        """
        given_up = self._given_up = threading.Event()
        self.text.setText(f"{what} …")
        self.cancel.setEnabled(True)
        self.bar.setRange(0, 0)
        self.show()

        def report(done: int, total: int) -> None:
            if given_up.is_set():
                raise ImportCancelled("The import was cancelled.", left)
            self._stepped.emit(done, total)

        return report

    def end(self) -> None:
        """Hide the progress of an import that is over."""
        self.hide()

    def _give_up(self) -> None:
        self._given_up.set()
        self.cancel.setEnabled(False)

    def _show(self, done: int, total: int) -> None:
        self.bar.setRange(0, max(1, total))
        self.bar.setValue(done)
