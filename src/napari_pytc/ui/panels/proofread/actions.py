"""Actions on the selected segments, as keys, buttons and menus run them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject
from qtpy.QtWidgets import QApplication

from napari_pytc.ui.panels.proofread import edit_plans
from napari_pytc.ui.panels.proofread.canvas_tools import CanvasTools
from napari_pytc.ui.panels.proofread.editor import EditedProject, SegmentEditor
from napari_pytc.ui.panels.proofread.review_controller import ReviewController
from napari_pytc.ui.panels.proofread.skeletons import SkeletonLayer
from napari_pytc.ui.panels.proofread.tools import ACTIONS, TOOLS, action
from napari_pytc.ui.panels.proofread.undo import UndoHistory

if TYPE_CHECKING:
    from napari_pytc.jobs.context import ProgressCallback

_ON_SELECTION = frozenset({"lock", "delete", "restore", "class", "fill", "smooth", "islands", "go", "skeleton"})
_ON_ONE = frozenset({"fill", "smooth", "islands"})
_ELSEWHERE = frozenset({"undo", "redo"})
"""Keys of all layers of a project, which bind them themselves."""


class SegmentActions(QObject):
    """Runs the actions of `tools.ACTIONS` on the segments of a project, or shows why not.

    Parameters
    ----------
    project : EditedProject
        The project of the segments.
    editor, canvas_tools, history, review, skeletons
        The controllers that run the actions.
    """

    def __init__(
        self,
        project: EditedProject,
        editor: SegmentEditor,
        canvas_tools: CanvasTools,
        history: UndoHistory,
        review: ReviewController,
        skeletons: SkeletonLayer,
    ) -> None:
        super().__init__(editor)
        self._project = project
        self.editor, self.canvas_tools, self.history, self.review = editor, canvas_tools, history, review
        self.skeletons = skeletons
        self._calls: dict[str, Callable[[], object]] = {
            "commit": editor.commit,
            "drop": editor.drop,
            "colour": canvas_tools.next_colour,
            "smaller": lambda: canvas_tools.step_brush(-1),
            "larger": lambda: canvas_tools.step_brush(1),
            "lock": self._lock,
            "delete": self._delete,
            "restore": self._restore,
            "class": self._set_class,
            "fill": self._fill,
            "smooth": self._smooth,
            "islands": self._islands,
            "go": self._go,
            "skeleton": skeletons.toggle,
            "undo": history.undo,
            "redo": history.redo,
            "next": review.show_next,
            "merge": lambda: review.accept("merge"),
            "leave": lambda: review.accept("leave"),
            "skip": review.skip,
        }
        canvas_tools.bind(self.keys())
        project.session_changed.connect(self._on_session_changed)
        self._on_session_changed()

    def keys(self) -> dict[str, Callable[[], object]]:
        """Calls by the keys that are bound on the layers of segments."""
        keys: dict[str, Callable[[], object]] = {}
        for tool in TOOLS:
            keys[tool.key] = partial(self.editor.choose_tool, tool.name)
        for found in ACTIONS:
            if found.name not in _ELSEWHERE:
                keys[found.key] = partial(self.run, found.name)
        return keys

    def run(self, name: str) -> None:
        """Run an action of `tools.ACTIONS`, or show why it cannot be done."""
        reason = self.why_not(name)
        if reason:
            self.editor.show_message(f"{action(name).title}: {reason}", refused=True)
        else:
            self._calls[name]()

    def why_not(self, name: str) -> str:
        """Reason why an action on the selection cannot be done; empty if it can, and for all other actions."""
        if name not in _ON_SELECTION or (name == "skeleton" and self.skeletons.is_on):
            return ""
        selected = self.editor.selected
        if not selected:
            return "no segment is selected; click one with Look and select (Z)."
        if name in ("go", "skeleton"):
            return ""
        if self.editor.locked_reason:
            return self.editor.locked_reason
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
        document = self.editor.document
        if name == "class" and document is not None and not document.class_names:
            return "this segmentation knows no classes."
        return ""

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes that "Set class" can set, from 1."""
        document = self.editor.document
        return () if document is None else document.class_names

    @property
    def would_unlock(self) -> bool:
        """Whether "Lock" unlocks: all that is selected is locked."""
        selected = self.editor.selected
        return bool(selected) and all(one.state.locked for one in selected)

    @property
    def why_not_import(self) -> str:
        """Reason why no labels can be imported; empty if they can."""
        return self.editor.locked_reason or ("an edit is under way." if self.editor.is_busy else "")

    def split_here(self) -> None:
        """Choose the tool that cuts the selected segment."""
        self.editor.choose_tool("join")
        self.editor.show_message("Mark one part of the segment, then hold Shift and mark the other part.")

    def copy_ids(self) -> None:
        """Copy the ids of the selected segments to the clipboard."""
        clipboard = QApplication.clipboard()
        text = ", ".join(map(str, self.editor.selected_ids))
        if clipboard is not None:
            clipboard.setText(text)
            self.editor.show_message(f"Copied {text}.")

    def import_labels(self, path: Path, report: ProgressCallback, then: Callable[[], object]) -> None:
        """Make segments of the objects in a file; `then` is called when it has ended, with or without success."""
        self.editor.apply(
            lambda document: edit_plans.import_labels(path, report),
            f"Importing {path.name} …",
            lambda change: then(),
            then,
        )

    # ---- private

    def _on_session_changed(self) -> None:
        layers = self._project.layers
        if layers is not None:
            layers.undo_requested.connect(self.history.undo)
            layers.redo_requested.connect(self.history.redo)

    def _lock(self) -> None:
        ids, unlocks = self.editor.selected_ids, self.would_unlock
        self.editor.apply(lambda document: edit_plans.lock(ids, not unlocks), "Unlocking …" if unlocks else "Locking …")

    def _delete(self) -> None:
        ids = self.editor.selected_ids
        self.editor.apply(lambda document: edit_plans.delete(ids), "Deleting …")

    def _restore(self) -> None:
        ids = tuple(one.segment for one in self.editor.selected if one.state.deleted)
        self.editor.apply(lambda document: edit_plans.restore(ids), "Restoring …")

    def _set_class(self) -> None:
        ids, number = self.editor.selected_ids, self.editor.class_id
        self.editor.apply(lambda document: edit_plans.set_class(ids, number), "Setting the class …")

    def _fill(self) -> None:
        one = self.editor.selected[0]
        self.editor.propose(
            lambda document: edit_plans.fill_holes(document, one.segment, one.voxel), "Looking for holes …"
        )

    def _smooth(self) -> None:
        one = self.editor.selected[0]
        self.editor.propose(lambda document: edit_plans.smooth(document, one.segment, one.voxel), "Smoothing …")

    def _islands(self) -> None:
        one = self.editor.selected[0]
        self.editor.propose(
            lambda document: edit_plans.remove_islands(document, one.segment, one.voxel), "Looking for islands …"
        )

    def _go(self) -> None:
        found = self.editor.selected[0]
        self.editor.go_to(found.box, found.voxel)
