"""The selected segments in the panel, and the menu of the right mouse button on them."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import Qt
from qtpy.QtGui import QCursor
from qtpy.QtWidgets import QMenu, QVBoxLayout, QWidget

from napari_pytc.ui.panels.proofread.actions import SegmentActions
from napari_pytc.ui.panels.proofread.picking import PickedSegment, describe_selection, size_text
from napari_pytc.ui.panels.proofread.toolbox import action_button, action_grid
from napari_pytc.ui.panels.proofread.tools import action, key_text
from napari_pytc.ui.widgets.buttons import allow
from napari_pytc.ui.widgets.choices import Combo
from napari_pytc.ui.widgets.labels import wrapped
from napari_pytc.ui.widgets.layout import row

_BUTTONS = ("lock", "go", "delete", "restore", "fill", "smooth", "islands", "skeleton")


class SelectionBox(QWidget):
    """The selected segments in words, with buttons.

    Parameters
    ----------
    actions : SegmentActions
        The actions of the buttons.
    """

    def __init__(self, actions: SegmentActions, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._actions = actions
        self.about = wrapped()
        self.about.setObjectName("selectionText")
        self.buttons, grid = action_grid(actions, _BUTTONS, "act")
        self.classes = Combo()
        self.classes.setObjectName("classCombo")
        self.classes.setToolTip("The class that “Set class” gives.")
        self.classes.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.classes.activated.connect(self._choose_class)
        self.buttons["class"] = action_button(actions, "class", "act-class")
        self.class_row = QWidget()
        inside = row(self.classes, self.buttons["class"])
        inside.setStretch(0, 1)
        inside.setStretch(1, 1)
        self.class_row.setLayout(inside)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.about)
        layout.addLayout(grid)
        layout.addWidget(self.class_row)
        actions.editor.changed.connect(self.refresh)
        actions.skeletons.changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the selection as it is."""
        actions = self._actions
        self.about.setText(describe_selection(actions.editor.selected))
        names = ("none", *actions.class_names)
        if [self.classes.itemText(k) for k in range(self.classes.count())] != list(names):
            self.classes.clear()
            self.classes.addItems(list(names))
        self.classes.setCurrentIndex(min(actions.editor.class_id, len(names) - 1))
        self.class_row.setVisible(bool(actions.class_names))
        for name, button in self.buttons.items():
            found = action(name)
            allow(button, actions.why_not(name), f"{found.tip}\n\nKey: {key_text(found.key)}")
        self.buttons["lock"].show_title("Unlock" if actions.would_unlock else "Lock as done")
        self.buttons["skeleton"].show_title("Hide skeleton" if actions.skeletons.is_on else "Skeleton")

    def _choose_class(self, number: int) -> None:
        self._actions.editor.class_id = number


def segment_menu(actions: SegmentActions, picked: PickedSegment, parent: QWidget | None = None) -> QMenu:
    """Make the menu of the selected segments, of which one was clicked."""
    menu = QMenu(parent)
    menu.setObjectName("segmentMenu")
    menu.setToolTipsVisible(True)
    n = len(actions.editor.selected)
    title = f"Segment {picked.segment} · {size_text(picked)}" if n < 2 else f"{n} segments"
    heading = menu.addAction(title)
    assert heading is not None
    heading.setEnabled(False)
    menu.addSeparator()

    def add(text: str, call: Callable[[], object], reason: str = "", key: str = "", tip: str = "") -> None:
        entry = menu.addAction(f"{text}\t{key_text(key)}" if key else text)
        assert entry is not None
        entry.setEnabled(not reason)
        entry.setToolTip(f"Not now: {reason}" if reason else tip)
        entry.triggered.connect(lambda checked=False: call())

    def add_act(name: str, text: str = "") -> None:
        found = action(name)
        add(text or found.title, lambda: actions.run(name), actions.why_not(name), found.key, found.tip)

    add_act("lock", "Unlock" if actions.would_unlock else "Lock as done")
    if picked.state.deleted:
        add_act("restore")
    else:
        add_act("delete")
    _add_classes(menu, actions)
    menu.addSeparator()
    locked = actions.why_not("fill") if n < 2 else "that is done with one segment at a time."
    add("Split here …", actions.split_here, locked, tip="Mark the parts of this segment in two colours.")
    add("Paint with it", lambda: actions.editor.choose_tool("paint"), locked, "P", "Add voxels to this segment.")
    add_act("fill")
    add_act("smooth")
    add_act("islands")
    menu.addSeparator()
    add_act("go")
    add_act("skeleton", "Hide skeleton" if actions.skeletons.is_on else "")
    add("Copy id" if n < 2 else "Copy ids", actions.copy_ids)
    return menu


def show_menu(actions: SegmentActions, picked: PickedSegment, parent: QWidget | None = None) -> QMenu:
    """Open the menu at the pointer; it deletes itself."""
    menu = segment_menu(actions, picked, parent)
    menu.aboutToHide.connect(menu.deleteLater)
    menu.popup(QCursor.pos())
    return menu


def _add_classes(menu: QMenu, actions: SegmentActions) -> None:
    reason = actions.why_not("class")
    inside = menu.addMenu("Class")
    assert inside is not None
    inside.setEnabled(not reason)
    for number, name in enumerate(("none", *actions.class_names)):

        def choose(checked: bool = False, number: int = number) -> None:
            actions.editor.class_id = number
            actions.run("class")

        entry = inside.addAction(name)
        assert entry is not None
        entry.triggered.connect(choose)
