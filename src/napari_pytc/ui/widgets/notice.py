"""Messages of a panel: errors, remarks, and the next step while there is nothing to show."""

from __future__ import annotations

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QFrame, QGridLayout, QLabel, QPlainTextEdit, QToolButton, QVBoxLayout, QWidget

from napari_pytc.errors import PytcError
from napari_pytc.ui.widgets.buttons import GoTo
from napari_pytc.ui.widgets.fold import Fold
from napari_pytc.ui.widgets.labels import wrapped
from napari_pytc.ui.widgets.layout import MARGIN


class EmptyState(QFrame):
    """Text of an empty panel: the next step, and a link to the panel where it is done."""

    def __init__(self, text: str = "", panel: str = "", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        layout = QVBoxLayout(self)
        self.label = wrapped()
        self.label.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.link = GoTo(panel)
        layout.addWidget(self.label)
        layout.addWidget(self.link, alignment=Qt.AlignmentFlag.AlignCenter)
        self.show_text(text, panel)

    def show_text(self, text: str, panel: str = "") -> None:
        """Show a text, with a link to a panel or without."""
        self.label.setText(text)
        self.link.aim(panel)
        self.link.setVisible(bool(panel))

    def show_no_project(self) -> None:
        """Show that no project is open."""
        self.show_text("No project is open. Open one in the Data panel.", "Data")


class Notice(QFrame):
    """An error or a remark in one sentence, with a hint, and a fold with the log; hidden while there is none."""

    closed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("pytcNotice")
        self.setFrameShape(QFrame.Shape.StyledPanel)
        self._mark = QLabel()
        self._message, self._hint = wrapped(), wrapped(dim=True)
        self._message.setAlignment(Qt.AlignmentFlag.AlignTop)  # beside its mark
        self._log = QPlainTextEdit()
        self._log.setReadOnly(True)
        self._log.setFixedHeight(130)
        self._fold = Fold("What the worker printed", self._log)
        self._fold.toggleButton().setToolTip("For a report of the problem, or for who knows Python.")
        self._close = QToolButton()
        self._close.setText("✕")
        self._close.setToolTip("Hide this message.")
        self._close.setStyleSheet("QToolButton { border: none; }")
        self._close.clicked.connect(self.clear)
        layout = QGridLayout(self)
        layout.setContentsMargins(MARGIN, MARGIN, MARGIN, MARGIN)
        layout.setColumnStretch(1, 1)
        layout.addWidget(self._mark, 0, 0, alignment=Qt.AlignmentFlag.AlignTop)
        layout.addWidget(self._message, 0, 1)
        layout.addWidget(self._close, 0, 2, alignment=Qt.AlignmentFlag.AlignTop)
        layout.addWidget(self._hint, 1, 1, 1, 2)
        layout.addWidget(self._fold, 2, 0, 1, 3)
        self.hide()

    @property
    def text(self) -> str:
        """Text of the message."""
        return self._message.text()

    def show_error(self, error: PytcError, log: str = "") -> None:
        """Show an error."""
        self._say("⚠", error.message, error.hint, log)

    def show_remark(self, message: str, hint: str = "") -> None:
        """Show a remark that is no error."""
        self._say("ℹ", message, hint, "")

    def clear(self) -> None:
        """Hide the message."""
        self.hide()
        self.closed.emit()

    def _say(self, mark: str, message: str, hint: str, log: str) -> None:
        self._mark.setText(mark)
        self._message.setText(message)
        self._hint.setText(hint)
        self._hint.setVisible(bool(hint))
        self._log.setPlainText(log)
        self._fold.setVisible(bool(log.strip()))
        self._fold.toggleButton().setChecked(False)
        self.show()
