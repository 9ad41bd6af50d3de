"""What is selected, and what can be done with it."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QGridLayout, QVBoxLayout, QWidget

from napari_pytc.ui.controls import Combo, elastic
from napari_pytc.ui.parts import allow, row, wrapped
from napari_pytc.ui.proofreading.acts import Acts
from napari_pytc.ui.proofreading.picking import Picked
from napari_pytc.ui.proofreading.toolbox import KeyButton
from napari_pytc.ui.proofreading.tools import action, key_text

_BUTTONS = ("lock", "go", "delete", "restore", "fill", "smooth", "islands")
_MOST = 3


class SelectionBox(QWidget):
    """The selected segments in words, with buttons.

    Parameters
    ----------
    acts : Acts
        What the buttons do.
    """

    def __init__(self, acts: Acts, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._acts = acts
        self.about = wrapped()
        self.about.setObjectName("selectionText")
        grid = QGridLayout()
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(3)
        self.buttons: dict[str, KeyButton] = {}
        for number, name in enumerate(_BUTTONS):
            found = action(name)
            button = self.buttons[name] = KeyButton(found.title, found.key)
            button.setObjectName(f"act-{name}")
            button.clicked.connect(lambda checked=False, name=name: acts.run(name))
            grid.addWidget(button, number // 2, number % 2)
        for column in range(2):
            grid.setColumnStretch(column, 1)
        self.classes = elastic(Combo())
        self.classes.setObjectName("classCombo")
        self.classes.setToolTip("The class that “Set class” gives.")
        self.classes.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.classes.activated.connect(self._choose_class)
        self.set_class = self.buttons["class"] = KeyButton(action("class").title, action("class").key)
        self.set_class.setObjectName("act-class")
        self.set_class.clicked.connect(lambda: acts.run("class"))
        self.class_row = QWidget()
        inside = row(self.classes, self.set_class)
        inside.setStretch(0, 1)
        inside.setStretch(1, 1)
        self.class_row.setLayout(inside)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.about)
        layout.addLayout(grid)
        layout.addWidget(self.class_row)
        acts.desk.changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the selection as it is."""
        acts = self._acts
        self.about.setText(about(acts.desk.selected))
        names = ("none", *acts.class_names)
        if [self.classes.itemText(k) for k in range(self.classes.count())] != list(names):
            self.classes.clear()
            self.classes.addItems(list(names))
        self.classes.setCurrentIndex(min(acts.desk.class_id, len(names) - 1))
        self.class_row.setVisible(bool(acts.class_names))
        for name, button in self.buttons.items():
            found = action(name)
            allow(button, acts.why_not(name), f"{found.tip}\n\nKey: {key_text(found.key)}")
        self.buttons["lock"].say("Unlock" if acts.would_unlock else "Lock as done")

    def _choose_class(self, number: int) -> None:
        self._acts.desk.class_id = number


def about(selected: Sequence[Picked]) -> str:
    """Segments in words: "Segment 12 · 0.184 µm³ · mitochondrion · locked"."""
    if not selected:
        return "None. Click a segment on the canvas."
    lines = []
    for one in selected[:_MOST]:
        parts = [f"Segment {one.segment}", volume(one)]
        parts += [one.class_name] if one.class_name else []
        parts += ["locked"] if one.state.locked else []
        parts += ["deleted"] if one.state.deleted else []
        lines.append(" · ".join(parts))
    if len(selected) > _MOST:
        lines.append(f"and {len(selected) - _MOST} more")
    return "\n".join(lines)


def volume(one: Picked) -> str:
    """A size as people say it, in the unit that suits."""
    size = one.size_um3
    if size >= 1000:
        return f"{size:,.0f} µm³"
    return f"{size:.3g} µm³" if size >= 1e-4 else f"{one.n_voxels:,} voxels"
