"""Small widgets that all panels share, so that they look and speak alike."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import QEvent, QSize, Qt, Signal
from qtpy.QtGui import QColor, QPalette, QShowEvent
from qtpy.QtWidgets import (
    QAbstractButton,
    QColorDialog,
    QFormLayout,
    QFrame,
    QGridLayout,
    QGroupBox,
    QHBoxLayout,
    QLabel,
    QPlainTextEdit,
    QScrollArea,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_pytc.errors import PytcError
from napari_pytc.ui.controls import GoTo

MARGIN = 6


def allow(button: QAbstractButton, reason: str, tooltip: str) -> None:
    """Enable a button, or disable it and let its tooltip say why.

    Parameters
    ----------
    reason : str
        Why it cannot be used now; empty if it can.
    tooltip : str
        What it does.
    """
    button.setEnabled(not reason)
    button.setToolTip(f"{tooltip}\n\nNot now: {reason}" if reason else tooltip)


def wrapped(text: str = "", dim: bool = False) -> QLabel:
    """A label that breaks its lines instead of widening the panel; `dim` for what is said in passing."""
    label = _Dim(text) if dim else QLabel(text)
    label.setWordWrap(True)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    policy = QSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
    policy.setHeightForWidth(True)  # Qt's own word for it is lost with every new policy, until another text comes
    label.setSizePolicy(policy)
    return label


def faint(palette: QPalette) -> QColor:
    """The colour of what is said in passing: between text and background, in any theme."""
    text, back = palette.color(QPalette.ColorRole.WindowText), palette.color(QPalette.ColorRole.Window)
    red, green, blue = (round(0.62 * a + 0.38 * b) for a, b in zip(text.getRgb()[:3], back.getRgb()[:3], strict=True))
    return QColor(red, green, blue)


class _Dim(QLabel):
    """A label in a faint colour that follows the theme, which napari's style sheet brings into the palette."""

    def changeEvent(self, event: QEvent | None) -> None:
        """Take the colour of the widget around it, fainter."""
        super().changeEvent(event)
        if event is not None and event.type() in (QEvent.Type.PaletteChange, QEvent.Type.ParentChange):
            self._fade()

    def showEvent(self, event: QShowEvent | None) -> None:
        """As it is polished only now."""
        super().showEvent(event)
        self._fade()

    def _fade(self) -> None:
        around = self.parentWidget()
        if around is not None:
            sheet = f"QLabel {{ color: {faint(around.palette()).name()}; }}"
            if sheet != self.styleSheet():
                self.setStyleSheet(sheet)


def section(title: str) -> tuple[QGroupBox, QVBoxLayout]:
    """A titled group and its layout."""
    box = QGroupBox(title)
    layout = QVBoxLayout(box)
    layout.setContentsMargins(MARGIN, MARGIN, MARGIN, MARGIN)
    layout.setSpacing(4)
    return box, layout


def row(*widgets: QWidget | int) -> QHBoxLayout:
    """Widgets side by side; an int is a stretch."""
    layout = QHBoxLayout()
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(4)
    for widget in widgets:
        if isinstance(widget, int):
            layout.addStretch(widget)
        else:
            layout.addWidget(widget)
    return layout


def line_up(*forms: QFormLayout) -> None:
    """Let the fields of several forms, one below the other, begin at the same place; to be called when they are shown.

    Before that nobody knows the theme's font, nor how wide the labels are in it.
    """
    labels = [
        label
        for form in forms
        for number in range(form.rowCount())
        if (item := form.itemAt(number, QFormLayout.ItemRole.LabelRole)) is not None
        and (label := item.widget()) is not None
    ]
    for label in labels:
        label.ensurePolished()
    width = max((label.sizeHint().width() for label in labels), default=0)
    for label in labels:
        label.setMinimumWidth(width)


class Scrolled(QScrollArea):
    """A panel that scrolls up and down, never sideways."""

    def __init__(self, inside: QWidget, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setWidget(inside)

    def minimumSizeHint(self) -> QSize:
        """As wide as what is inside asks for, and low."""
        inside = self.widget()
        width = inside.minimumSizeHint().width() if inside is not None else 0
        bar = self.verticalScrollBar()
        return QSize(width + (0 if bar is None else bar.sizeHint().width()), 120)


class EmptyState(QFrame):
    """What a panel shows when there is nothing yet: what to do next, and a way to the panel where that is done."""

    def __init__(self, text: str = "", panel: str = "", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        layout = QVBoxLayout(self)
        self.label = wrapped()
        self.label.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.link = GoTo(panel)
        layout.addWidget(self.label)
        layout.addWidget(self.link, alignment=Qt.AlignmentFlag.AlignCenter)
        self.say(text, panel)

    def say(self, text: str, panel: str = "") -> None:
        """Say something else, and lead to another panel or to none."""
        self.label.setText(text)
        self.link.aim(panel)
        self.link.setVisible(bool(panel))


class Fold(QWidget):
    """A line that opens what is below it."""

    def __init__(self, title: str, inside: QWidget, is_open: bool = False, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.button = QToolButton()
        self.button.setText(title)
        self.button.setCheckable(True)
        self.button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.button.setStyleSheet("QToolButton { border: none; padding: 2px; }")
        self.inside = inside
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self.button)
        layout.addWidget(inside)
        self.button.toggled.connect(self._show)
        self.button.setChecked(is_open)
        self._show(is_open)

    def _show(self, is_open: bool) -> None:
        self.button.setArrowType(Qt.ArrowType.DownArrow if is_open else Qt.ArrowType.RightArrow)
        self.inside.setVisible(is_open)


class Notice(QFrame):
    """An error or a remark in one sentence, with what to do, and a fold with the log; hidden while there is none."""

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
        self._fold.button.setToolTip("For a report of the problem, or for who knows Python.")
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
        """What it says."""
        return self._message.text()

    def show_error(self, error: PytcError, log: str = "") -> None:
        """Say what went wrong."""
        self._say("⚠", error.message, error.hint, log)

    def show_remark(self, message: str, hint: str = "") -> None:
        """Say something that is no error."""
        self._say("ℹ", message, hint, "")

    def clear(self) -> None:
        """Say nothing any more."""
        self.hide()
        self.closed.emit()

    def _say(self, mark: str, message: str, hint: str, log: str) -> None:
        self._mark.setText(mark)
        self._message.setText(message)
        self._hint.setText(hint)
        self._hint.setVisible(bool(hint))
        self._log.setPlainText(log)
        self._fold.setVisible(bool(log.strip()))
        self._fold.button.setChecked(False)
        self.show()


class ColourButton(QToolButton):
    """A square of a colour; a click chooses another."""

    picked = Signal(str)

    def __init__(self, colour: str, name: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._colour, self._name = colour, name
        self.setFixedSize(22, 22)
        self.setToolTip(f"Colour of {name}; click to choose another.")
        self.set_colour(colour)
        self.clicked.connect(self._choose)

    @property
    def colour(self) -> str:
        """As #rrggbb."""
        return self._colour

    def set_colour(self, colour: str) -> None:
        """Show a colour without telling anybody."""
        self._colour = colour
        self.setStyleSheet(f"QToolButton {{ background: {colour}; border: 1px solid palette(mid); }}")

    def _choose(self) -> None:
        found = QColorDialog.getColor(QColor(self._colour), self.window(), f"Colour of {self._name}")
        if found.isValid():
            self.set_colour(found.name())
            self.picked.emit(found.name())


def duration(seconds: float) -> str:
    """Seconds as people say them: "8 s", "2 min 05 s", "1 h 20 min"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def size(n_bytes: float) -> str:
    """Bytes as people say them: "3.4 MB"."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if n_bytes < 1000:
            return f"{n_bytes:.0f} {unit}" if unit == "bytes" else f"{n_bytes:.1f} {unit}"
        n_bytes /= 1000
    return f"{n_bytes:.1f} TB"


def voxels(shape: Sequence[int]) -> str:
    """A shape as people say it: "1 × 512 × 512 voxels"."""
    return " × ".join(f"{n}" for n in shape) + " voxels"
