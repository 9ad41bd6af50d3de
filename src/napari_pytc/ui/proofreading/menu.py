"""The menu of the right mouse button on a segment."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtGui import QCursor
from qtpy.QtWidgets import QMenu, QWidget

from napari_pytc.ui.proofreading.acts import Acts
from napari_pytc.ui.proofreading.picking import Picked
from napari_pytc.ui.proofreading.selection import volume
from napari_pytc.ui.proofreading.tools import action, key_text


def segment_menu(acts: Acts, picked: Picked, parent: QWidget | None = None) -> QMenu:
    """What can be done with the selected segments, of which one was clicked."""
    menu = QMenu(parent)
    menu.setObjectName("segmentMenu")
    menu.setToolTipsVisible(True)
    n = len(acts.desk.selected)
    title = f"Segment {picked.segment} · {volume(picked)}" if n < 2 else f"{n} segments"
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
        add(text or found.title, lambda: acts.run(name), acts.why_not(name), found.key, found.tip)

    add_act("lock", "Unlock" if acts.would_unlock else "Lock as done")
    if picked.state.deleted:
        add_act("restore")
    else:
        add_act("delete")
    _add_classes(menu, acts)
    menu.addSeparator()
    locked = acts.why_not("fill") if n < 2 else "that is done with one segment at a time."
    add("Split here …", acts.split_here, locked, tip="Mark the parts of this segment in two colours.")
    add("Paint with it", lambda: acts.desk.choose_tool("paint"), locked, "P", "Add voxels to this segment.")
    add_act("fill")
    add_act("smooth")
    add_act("islands")
    menu.addSeparator()
    add_act("go")
    add("Copy id" if n < 2 else "Copy ids", acts.copy_ids)
    return menu


def show_menu(acts: Acts, picked: Picked, parent: QWidget | None = None) -> QMenu:
    """Open the menu at the pointer; it deletes itself."""
    menu = segment_menu(acts, picked, parent)
    menu.aboutToHide.connect(menu.deleteLater)
    menu.popup(QCursor.pos())
    return menu


def _add_classes(menu: QMenu, acts: Acts) -> None:
    reason = acts.why_not("class")
    inside = menu.addMenu("Class")
    assert inside is not None
    inside.setEnabled(not reason)
    for number, name in enumerate(("none", *acts.class_names)):

        def choose(checked: bool = False, number: int = number) -> None:
            acts.desk.class_id = number
            acts.run("class")

        entry = inside.addAction(name)
        assert entry is not None
        entry.triggered.connect(choose)
