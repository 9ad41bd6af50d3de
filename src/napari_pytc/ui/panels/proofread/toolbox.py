"""Buttons with keys: the tools, the colour of the next mark, the size of the brush."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import QSize, Qt
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

from napari_pytc.ui.panels.proofread.actions import SegmentActions
from napari_pytc.ui.panels.proofread.canvas_tools import BRUSHES, CanvasTools
from napari_pytc.ui.panels.proofread.editor import SegmentEditor
from napari_pytc.ui.panels.proofread.tools import COLOURS, TOOLS, Tool, action, key_text
from napari_pytc.ui.widgets.buttons import allow
from napari_pytc.ui.widgets.labels import wrapped

_COLUMNS = 2
_HEIGHT = 28


class KeyButton(QPushButton):
    """A button with its key at the right end; a click leaves the keyboard to the canvas.

    Parameters
    ----------
    title, key : str
        Title of the tool or action, and its key.
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
        layout.setContentsMargins(6, 0, 6, 0)
        layout.addWidget(self.title, 1)
        layout.addWidget(self.key)
        for label in (self.title, self.key):
            label.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setMinimumHeight(_HEIGHT)

    def show_title(self, title: str) -> None:
        """Show another title."""
        self.title.setText(title)
        self.setAccessibleName(title)
        self.updateGeometry()

    def sizeHint(self) -> QSize:
        """Wide enough for title and key: Qt looks at a button's own text, and this one has none."""
        layout = self.layout()
        return super().sizeHint() if layout is None else layout.sizeHint().expandedTo(QSize(0, _HEIGHT))

    def minimumSizeHint(self) -> QSize:
        """As wide as `sizeHint`: a panel that is too narrow would clip the title."""
        return self.sizeHint()


def action_grid(actions: SegmentActions, names: Sequence[str], prefix: str) -> tuple[dict[str, KeyButton], QGridLayout]:
    """Buttons for actions by their names, and their layout in two columns.

    Parameters
    ----------
    prefix : str
        Of the names of the Qt objects.
    """
    buttons, grid = {}, QGridLayout()
    grid.setContentsMargins(0, 0, 0, 0)
    grid.setSpacing(3)
    for number, name in enumerate(names):
        buttons[name] = button = action_button(actions, name, f"{prefix}-{name}")
        grid.addWidget(button, number // _COLUMNS, number % _COLUMNS)
    for column in range(_COLUMNS):
        grid.setColumnStretch(column, 1)
    return buttons, grid


def action_button(actions: SegmentActions, name: str, object_name: str) -> KeyButton:
    """A button that does an action."""
    found = action(name)
    button = KeyButton(found.title, found.key)
    button.setObjectName(object_name)
    button.clicked.connect(lambda: actions.run(name))
    return button


class Toolbox(QWidget):
    """The tool of the mouse, the colour of marks and the size of the brush.

    Parameters
    ----------
    editor : SegmentEditor
        Holds the tool.
    canvas_tools : CanvasTools
        Holds colour and brush.
    """

    def __init__(self, editor: SegmentEditor, canvas_tools: CanvasTools, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._editor, self._canvas_tools = editor, canvas_tools
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
        self._colour_hint = wrapped(dim=True)
        marking.addWidget(self._colour_hint, 1)
        self.painting = QWidget()
        self.diameter = QSpinBox()
        self.diameter.setObjectName("brushSize")
        self.diameter.setRange(BRUSHES[0], BRUSHES[-1])
        self.diameter.setSuffix(" voxels")
        self.diameter.setToolTip("Diameter of the brush. Keys: [ and ].")
        self.diameter.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.diameter.valueChanged.connect(self._canvas_tools.choose_brush)
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
        self.group.idClicked.connect(lambda number: self._editor.choose_tool(TOOLS[number].name))
        self._editor.changed.connect(self.refresh)
        self._canvas_tools.changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show tool, colour and brush as they are."""
        tool = self._editor.tool
        reason = self._editor.locked_reason
        for known in TOOLS:
            button = self.buttons[known.name]
            button.setChecked(known is tool)
            allow(button, "" if known.name == "look" else reason, f"{known.tip}\n\nKey: {key_text(known.key)}")
        self.marking.setVisible(tool.name == "join")
        self.painting.setVisible(tool.paints)
        for number, chip in enumerate(self._chips):
            chip.setChecked(number == self._canvas_tools.colour)
            chip.setText("●" if number == self._canvas_tools.colour else "")
        self._colour_hint.setText(("X: the next", "merges", "cuts")[min(len(self._canvas_tools.seeds), 2)])
        if self.diameter.value() != self._canvas_tools.brush:
            self.diameter.blockSignals(True)
            self.diameter.setValue(self._canvas_tools.brush)
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
        chip.clicked.connect(lambda checked=False: self._canvas_tools.choose_colour(number))
        return chip
