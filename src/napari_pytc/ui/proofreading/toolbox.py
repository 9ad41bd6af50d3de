"""Buttons for the tools, the colour of the next mark, and the size of the brush."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QButtonGroup,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QSpinBox,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_pytc.ui.parts import allow, wrapped
from napari_pytc.ui.proofreading.acts import Acts
from napari_pytc.ui.proofreading.pencil import BRUSHES
from napari_pytc.ui.proofreading.tools import COLOURS, TOOLS, Tool, action, key_text

_COLUMNS = 2


class KeyButton(QPushButton):
    """A button with its key at the right end; a click leaves the keyboard to the canvas.

    Parameters
    ----------
    title, key : str
        What it does, and the key that does it too.
    """

    def __init__(self, title: str, key: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.title = QLabel(title)
        self.key = QLabel(key_text(key))
        self.key.setStyleSheet("QLabel { font-family: monospace; }")
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName(title)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(8, 0, 8, 0)
        layout.addWidget(self.title, 1)
        layout.addWidget(self.key)
        for label in (self.title, self.key):
            label.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setMinimumHeight(28)

    def say(self, title: str) -> None:
        """Bear another title."""
        self.title.setText(title)
        self.setAccessibleName(title)


class Toolbox(QWidget):
    """Which tool the mouse is, in which colour it marks and how thick it paints.

    Parameters
    ----------
    acts : Acts
        What is steered.
    """

    def __init__(self, acts: Acts, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._acts, self._desk, self._pencil = acts, acts.desk, acts.pencil
        self.group = QButtonGroup(self)
        self.group.setExclusive(True)
        grid = QGridLayout()
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(3)
        self.buttons: dict[str, KeyButton] = {}
        for number, tool in enumerate(TOOLS):
            button = self.buttons[tool.name] = self._button(tool)
            self.group.addButton(button, number)
            grid.addWidget(button, number // _COLUMNS, number % _COLUMNS)
        for column in range(_COLUMNS):
            grid.setColumnStretch(column, 1)
        self.marking = QWidget()
        self._chips = [self._chip(number) for number in range(len(COLOURS))]
        marking = QHBoxLayout(self.marking)
        marking.setContentsMargins(0, 0, 0, 0)
        marking.setSpacing(3)
        marking.addWidget(QLabel("Colour"))
        for chip in self._chips:
            marking.addWidget(chip)
        self._said_colour = wrapped(dim=True)
        marking.addWidget(self._said_colour, 1)
        self.painting = QWidget()
        self.diameter = QSpinBox()
        self.diameter.setObjectName("brushSize")
        self.diameter.setRange(BRUSHES[0], BRUSHES[-1])
        self.diameter.setSuffix(" voxels")
        self.diameter.setToolTip("Diameter of the brush. Keys: [ and ].")
        self.diameter.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.diameter.valueChanged.connect(self._pencil.choose_brush)
        painting = QHBoxLayout(self.painting)
        painting.setContentsMargins(0, 0, 0, 0)
        painting.addWidget(QLabel("Brush"))
        painting.addWidget(self.diameter)
        painting.addWidget(wrapped("[ and ] change it", dim=True), 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(grid)
        layout.addWidget(self.marking)
        layout.addWidget(self.painting)
        self.group.idClicked.connect(lambda number: self._desk.choose_tool(TOOLS[number].name))
        self._desk.changed.connect(self.refresh)
        self._pencil.changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show tool, colour and brush as they are."""
        tool = self._desk.tool
        reason = self._desk.locked_reason
        for known in TOOLS:
            button = self.buttons[known.name]
            button.setChecked(known is tool)
            allow(button, "" if known.name == "look" else reason, f"{known.tip}\n\nKey: {key_text(known.key)}")
        self.marking.setVisible(tool.name == "join")
        self.painting.setVisible(tool.paints)
        for number, chip in enumerate(self._chips):
            chip.setChecked(number == self._pencil.colour)
            chip.setText("●" if number == self._pencil.colour else "")
        self._said_colour.setText(("X: the next", "merges", "cuts")[min(len(self._pencil.seeds), 2)])
        if self.diameter.value() != self._pencil.brush:
            self.diameter.blockSignals(True)
            self.diameter.setValue(self._pencil.brush)
            self.diameter.blockSignals(False)

    def _button(self, tool: Tool) -> KeyButton:
        button = KeyButton(tool.title, tool.key)
        button.setObjectName(f"tool-{tool.name}")
        button.setCheckable(True)
        return button

    def _chip(self, number: int) -> QToolButton:
        chip = QToolButton()
        chip.setObjectName(f"colour-{number}")
        chip.setCheckable(True)
        chip.setFixedSize(22, 22)
        chip.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        chip.setStyleSheet(f"QToolButton {{ background: {COLOURS[number]}; color: black; border-radius: 3px; }}")
        chip.setToolTip(f"Mark in this colour: part {number + 1}. {action('colour').tip}\n\nKey: X")
        chip.clicked.connect(lambda checked=False: self._pencil.choose_colour(number))
        return chip
