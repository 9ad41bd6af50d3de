"""What keys, buttons and menus do with the selected segments: one place for all three."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject
from qtpy.QtWidgets import QApplication

from napari_pytc.ui.proofreading import orders
from napari_pytc.ui.proofreading.desk import Desk
from napari_pytc.ui.proofreading.past import Past, past_of
from napari_pytc.ui.proofreading.pencil import Pencil, pencil_of
from napari_pytc.ui.proofreading.reviewing import Review, review_of
from napari_pytc.ui.proofreading.tools import ACTIONS, TOOLS, action

if TYPE_CHECKING:
    from napari_pytc.annotations.importing import Report
    from napari_pytc.proofreading.edits import Edit
    from napari_pytc.ui.workspace import Workspace

_ON_SELECTION = frozenset({"lock", "delete", "restore", "class", "fill", "smooth", "islands", "go"})
_ON_ONE = frozenset({"fill", "smooth", "islands"})
_ELSEWHERE = frozenset({"undo", "redo"})
"""Keys of all layers of a project, which bind them themselves."""


class Acts(QObject):
    """Does the actions of `tools.ACTIONS` on a workspace's segments, or says why not.

    Parameters
    ----------
    workspace : Workspace
        Whose segments they are.
    """

    def __init__(self, workspace: Workspace, pencil: Pencil, desk: Desk, past: Past, review: Review) -> None:
        super().__init__(desk)
        self._workspace = workspace
        self.pencil, self.desk, self.past, self.review = pencil, desk, past, review
        self._calls: dict[str, Callable[[], object]] = {
            "commit": desk.commit,
            "drop": desk.drop,
            "colour": pencil.next_colour,
            "smaller": lambda: pencil.step_brush(-1),
            "larger": lambda: pencil.step_brush(1),
            "lock": self._lock,
            "delete": self._delete,
            "restore": self._restore,
            "class": self._set_class,
            "fill": self._fill,
            "smooth": self._smooth,
            "islands": self._islands,
            "go": self._go,
            "undo": past.undo,
            "redo": past.redo,
            "next": review.fly,
            "merge": lambda: review.accept("merge"),
            "leave": lambda: review.accept("leave"),
            "skip": review.skip,
        }
        pencil.bind(self.keys())
        workspace.session_changed.connect(self._on_session)
        self._on_session()

    def keys(self) -> dict[str, Callable[[], object]]:
        """What is bound on the layers of segments."""
        keys: dict[str, Callable[[], object]] = {}
        for tool in TOOLS:
            keys[tool.key] = partial(self.desk.choose_tool, tool.name)
        for found in ACTIONS:
            if found.name not in _ELSEWHERE:
                keys[found.key] = partial(self.run, found.name)
        return keys

    def run(self, name: str) -> None:
        """Do an action of `tools.ACTIONS`, or say why it cannot be done."""
        reason = self.why_not(name)
        if reason:
            self.desk.say(f"{action(name).title}: {reason}", refused=True)
        else:
            self._calls[name]()

    def why_not(self, name: str) -> str:
        """Why an action on the selection cannot be done; empty if it can, and for all other actions."""
        if name not in _ON_SELECTION:
            return ""
        selected = self.desk.selected
        if not selected:
            return "no segment is selected; click one with Look and select (Z)."
        if name == "go":
            return ""
        if self.desk.locked_reason:
            return self.desk.locked_reason
        locked = [one.segment for one in selected if one.state.locked]
        if locked and name != "lock":
            return f"segment {locked[0]} is locked as done; unlock it first (L)."
        deleted = [one for one in selected if one.state.deleted]
        if deleted and name != "restore":
            return f"segment {deleted[0].segment} is deleted; restore it first (R)."
        if name == "restore" and not deleted:
            return "it is not deleted."
        if name in _ON_ONE and len(selected) > 1:
            return "that is done with one segment at a time."
        document = self.desk.document
        if name == "class" and document is not None and not document.class_names:
            return "this segmentation knows no classes."
        return ""

    @property
    def class_names(self) -> tuple[str, ...]:
        """What "Set class" can set, from 1."""
        document = self.desk.document
        return () if document is None else document.class_names

    @property
    def would_unlock(self) -> bool:
        """Whether "Lock" unlocks: all that is selected is locked."""
        selected = self.desk.selected
        return bool(selected) and all(one.state.locked for one in selected)

    def split_here(self) -> None:
        """Begin to cut the selected segment."""
        self.desk.choose_tool("join")
        self.desk.say("Mark one part of the segment, then hold Shift and mark the other part.")

    def copy_ids(self) -> None:
        """Put the ids of what is selected on the clipboard."""
        clipboard = QApplication.clipboard()
        text = ", ".join(str(segment) for segment in self._ids)
        if clipboard is not None:
            clipboard.setText(text)
            self.desk.say(f"Copied {text}.")

    def import_labels(self, path: Path, report: Report, then: Callable[[], object]) -> None:
        """Make segments of the objects in a file; `then` is called when it is over, whatever came of it."""
        self.desk.apply(
            lambda document: orders.import_labels(path, report),
            f"Importing {path.name} …",
            lambda change: then(),
            then,
        )

    # ---- what follows is ours

    def _on_session(self) -> None:
        layers = self._workspace.layers
        if layers is not None:
            layers.undo_asked.connect(self.past.undo)
            layers.redo_asked.connect(self.past.redo)

    @property
    def _ids(self) -> tuple[int, ...]:
        return tuple(one.segment for one in self.desk.selected)

    def _apply(self, edit: Callable[[], Edit], doing: str) -> None:
        self.desk.apply(lambda document: edit(), doing)

    def _lock(self) -> None:
        ids, unlocks = self._ids, self.would_unlock
        self._apply(lambda: orders.lock(ids, not unlocks), "Unlocking …" if unlocks else "Locking …")

    def _delete(self) -> None:
        ids = self._ids
        self._apply(lambda: orders.delete(ids), "Deleting …")

    def _restore(self) -> None:
        ids = tuple(one.segment for one in self.desk.selected if one.state.deleted)
        self._apply(lambda: orders.restore(ids), "Restoring …")

    def _set_class(self) -> None:
        ids, number = self._ids, self.desk.class_id
        self._apply(lambda: orders.set_class(ids, number), "Setting the class …")

    def _fill(self) -> None:
        one = self.desk.selected[0]
        self.desk.propose(lambda document: orders.fill_holes(document, one.segment, one.voxel), "Looking for holes …")

    def _smooth(self) -> None:
        one = self.desk.selected[0]
        self.desk.propose(lambda document: orders.smooth(document, one.segment, one.voxel), "Smoothing …")

    def _islands(self) -> None:
        one = self.desk.selected[0]
        self.desk.propose(
            lambda document: orders.remove_islands(document, one.segment, one.voxel), "Looking for islands …"
        )

    def _go(self) -> None:
        found = self.desk.selected[0]
        self.desk.go_to(found.box, found.voxel)


def acts_of(workspace: Workspace) -> Acts:
    """The acts of a workspace, made when first asked for; all panels, menus and keys share them."""
    pencil = pencil_of(workspace)
    desk = pencil.desk
    past, review = past_of(workspace, desk), review_of(workspace, desk)
    return desk.findChild(Acts) or Acts(workspace, pencil, desk, past, review)
