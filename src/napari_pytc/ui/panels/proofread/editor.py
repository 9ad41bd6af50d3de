"""The segment editor: tool, selection, proposed edit and message, shared by panel, canvas, keys and menus."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from qtpy.QtCore import QObject, Signal, SignalInstance

from napari_pytc.errors import InvalidEdit, PytcError
from napari_pytc.geometry import Box, Voxel
from napari_pytc.ui.panels.proofread.edit_plans import IncompleteGesture
from napari_pytc.ui.panels.proofread.picking import PickedSegment, describe
from napari_pytc.ui.panels.proofread.tools import TOOLS, Tool, key_text, tool
from napari_pytc.ui.widgets.progress import ImportCancelled

if TYPE_CHECKING:
    import numpy as np

    from napari_pytc.proofreading.changes import Change
    from napari_pytc.proofreading.document import LabelDocument
    from napari_pytc.proofreading.edits import Edit
    from napari_pytc.session.proofreading.proofreader import Proofreader
    from napari_pytc.ui.canvas.project_layers import ProjectLayers
    from napari_pytc.ui.canvas.viewer.port import ViewerPort
    from napari_pytc.ui.panels.proofread.edit_preview import EditPreview
    from napari_pytc.ui.tasks.current_segments import CurrentSegments
    from napari_pytc.ui.tasks.job_board import JobBoard

EditPlan = Callable[["LabelDocument"], "Edit"]
"""Makes an edit, in the thread of edits; raises a `PytcError` where there is none to make."""

MOST_SELECTED = 8
"""Most segments of an edit that are selected."""
_AROUND_UM = 1.0
"""Half the length of the box in view around a position, so that its surroundings are seen."""


class EditedProject(Protocol):
    """The project whose segments are edited; a `Workspace` is one."""

    viewer: ViewerPort
    segments: CurrentSegments
    jobs: JobBoard
    session_changed: SignalInstance

    @property
    def layers(self) -> ProjectLayers | None:
        """Its layers; None while no project is open."""

    @property
    def locked_reason(self) -> str:
        """Reason why nothing can be changed, as the rest of a sentence; empty if it can."""


@dataclass(frozen=True)
class Message:
    """One line for the user, and a hint; `refused` if it is the reason for a refusal."""

    text: str = ""
    hint: str = ""
    refused: bool = False


@dataclass(frozen=True, eq=False)
class Proposal:
    """An edit that was worked out and not made yet."""

    edit: Edit
    change: Change
    preview: EditPreview | None


class SegmentEditor(QObject):
    """Plans and makes edits of the current segmentation; all methods belong to the Qt thread, none waits.

    Edits are worked out and made in the thread of `CurrentSegments`, in the order in which they were requested. Of
    proposals only the last one is shown: each has a number, and one that comes late is dropped.

    Parameters
    ----------
    project : EditedProject
        The project of the segments.
    """

    changed = Signal()
    """Tool, selection, proposal or the possible actions are others."""
    message_changed = Signal(object)
    """A `Message`: the present step, or the reason for a refusal."""
    dropped = Signal()
    """Marks are to be removed: the edit was made, or was not wanted."""
    tool_changed = Signal()
    tool_chosen = Signal()
    """The user chose a tool, perhaps the one that was chosen already."""
    selection_changed = Signal()

    def __init__(self, project: EditedProject, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._project = project
        self.tool: Tool = tool("look")
        self.selected: tuple[PickedSegment, ...] = ()
        self.proposal: Proposal | None = None
        self.class_id = 1
        """Id of the class that "Set class" sets."""
        self.n_marks = 0
        """Number of marks on the canvas; kept by `CanvasTools`."""
        self.message = Message()
        self._number = 0
        self._is_planning = False
        self._commit_is_due = False
        segments = project.segments
        segments.document_changed.connect(self._on_document_changed)
        segments.edited.connect(self._on_edited)
        segments.busy_changed.connect(self.changed)

    # ---- state

    @property
    def document(self) -> LabelDocument | None:
        """The current segmentation; None where there is none."""
        return self._project.segments.document

    @property
    def selected_ids(self) -> tuple[int, ...]:
        """Ids of the selected segments."""
        return tuple(one.segment for one in self.selected)

    @property
    def is_busy(self) -> bool:
        """Whether something is worked out or made."""
        return self._project.segments.is_busy

    @property
    def is_planning(self) -> bool:
        """Whether a proposal is being worked out."""
        return self._is_planning

    @property
    def has_pending(self) -> bool:
        """Whether there is something to apply or drop: marks, or a proposal that is there or on its way."""
        return self.has_plan or self.n_marks > 0

    @property
    def has_plan(self) -> bool:
        """Whether a proposal is there or on its way."""
        return self.proposal is not None or self._is_planning

    @property
    def axis(self) -> int:
        """The axis across the sections in view."""
        layers = self._project.layers
        shape = (1, 0, 0) if layers is None else layers.view_box().shape
        return min(range(3), key=lambda k: shape[k])

    @property
    def locked_reason(self) -> str:
        """Reason why nothing can be changed; empty if it can."""
        nothing = "" if self.document is not None else "there is no segmentation yet."
        return self._project.locked_reason or nothing

    # ---- messages

    def show_message(self, text: str = "", hint: str = "", refused: bool = False) -> None:
        """Show the user a message, in the panel and in the window's status bar."""
        self.message = Message(text, hint, refused)
        self.message_changed.emit(self.message)
        if text:
            self._project.viewer.show_status(f"{text} {hint}".rstrip())

    def show_error(self, error: PytcError) -> None:
        """Show the reason for a refusal."""
        self.show_message(
            error.message, error.hint, refused=not isinstance(error, (IncompleteGesture, ImportCancelled))
        )
        self.changed.emit()

    # ---- tools

    def choose_tool(self, name: str) -> None:
        """Choose a tool; a proposal is dropped."""
        if self.locked_reason and name != "look":
            self._refuse_if_locked()
            return
        self.discard()
        self.tool = tool(name)
        self.show_message(self.tool.hint)
        self.tool_changed.emit()
        self.tool_chosen.emit()
        self.changed.emit()

    # ---- selection

    def select(self, picked: Sequence[PickedSegment]) -> None:
        """Select segments, none to select nothing."""
        self.selected = tuple({one.segment: one for one in picked}.values())
        layers = self._project.layers
        if layers is not None:
            layers.segments.highlight(list(self.selected_ids))
        self.selection_changed.emit()
        self.changed.emit()

    def select_ids(self, segments: Sequence[int], then: Callable[[], object] = lambda: None) -> None:
        """Select segments by their ids, as far as they are there; in another segmentation ids are of others."""
        wanted, segmentation = list(segments), None if self.document is None else self.document.id

        def find(proofreader: Proofreader) -> list[PickedSegment] | None:
            document = proofreader.document
            if document is None or document.id != segmentation:
                return None
            return [p for s in wanted if (p := describe(document, s)) is not None]

        def on_result(found: list[PickedSegment] | None) -> None:
            if found is not None and self.document is not None and self.document.id == segmentation:
                self.select(found)
                then()

        self._project.segments.do(find, on_result, self.show_error, receiver=self)

    def query(self, question: Callable[[LabelDocument], Any], then: Callable[[Any], object]) -> None:
        """Call `question` with the document in the thread of edits, then `then` with its answer in this one."""

        def read(proofreader: Proofreader) -> Any:
            document = proofreader.document
            return None if document is None else question(document)

        self._project.segments.do(read, then, self.show_error, receiver=self)

    def go_to(self, box: Box, place: Sequence[float] | None = None, close: bool = False) -> None:
        """Bring a place to the canvas; with `close` also zoom in until the box is seen well."""
        layers = self._project.layers
        if layers is not None:
            self._project.viewer.fly_to(layers.image, box.centre if place is None else place, box, close)

    def mark_contact(self, box: Box, voxels: np.ndarray) -> None:
        """Mark the voxels by which the selected segments touch, until others are selected."""
        layers = self._project.layers
        if layers is not None:
            layers.segments.mark_contact(box, voxels)

    def go_around(self, place: Sequence[float]) -> None:
        """Bring a voxel to the canvas, with its surroundings in view."""
        document = self.document
        if document is not None:
            voxel = tuple(int(v) for v in place)
            half = [max(1, round(1000 * _AROUND_UM / size)) for size in document.space.voxel_size_nm]
            self.go_to(Box.at(voxel, (1, 1, 1)).grow(half).intersect(Box.of_shape(document.shape)), voxel)

    # ---- proposals

    def propose(self, plan: EditPlan, doing: str, seeds: Mapping[int, Sequence[Voxel]] | None = None) -> None:
        """Work an edit out and show its preview; `commit` makes the edit, `drop` does not."""
        layers = self._project.layers
        if layers is None or self._refuse_if_locked():
            return
        self._number += 1
        number, focus, axis = self._number, layers.focus(), self.axis
        self._set_proposal(None)
        self._is_planning, self._commit_is_due = True, False
        self.show_message(doing)

        def work(proofreader: Proofreader) -> Proposal | None:
            from napari_pytc.ui.panels.proofread.edit_preview import preview_edit

            document = proofreader.document
            if number != self._number or document is None:  # a later one was requested meanwhile
                return None
            edit = plan(document)
            change = proofreader.preview(edit)
            return Proposal(edit, change, preview_edit(document, change, focus, seeds, axis))

        def on_result(found: Proposal | None) -> None:
            if number == self._number:
                self._is_planning = False
                if found is not None:
                    self._set_proposal(found)
                    self.show_message(f"{found.change.title}?", f"{key_text('Enter')} applies it, Esc drops it.")
                    if self._commit_is_due:
                        self.commit()

        def on_error(error: PytcError) -> None:
            if number == self._number:
                self._is_planning = False
                self.show_error(error)

        self._project.segments.do(work, on_result, on_error, receiver=self)
        self.changed.emit()

    def commit(self) -> None:
        """Make the edit that is proposed, as soon as it is worked out."""
        if self._is_planning:
            self._commit_is_due = True
            return
        proposal = self.proposal
        if proposal is None:
            self.show_message("There is nothing to apply.", "Mark segments first.", refused=True)
            return
        self.discard()
        # What is left of the segments is selected, so that it can be locked at once.
        self.apply(
            lambda document: proposal.edit,
            f"{proposal.change.title} …",
            lambda change: self.select_ids(change.segments[:MOST_SELECTED]),
        )

    def drop(self) -> None:
        """Drop proposal and marks; where there are none, put the tool away, then the selection."""
        had_something = self.has_pending
        self.discard()
        if had_something:
            self.show_message("Dropped. Nothing was changed.")
        elif self.tool.name != "look":
            self.choose_tool("look")
        elif self.selected:
            self.select(())

    def discard(self) -> None:
        """Drop marks and proposal without a message."""
        self._number += 1
        self._is_planning = self._commit_is_due = False
        self._set_proposal(None)
        self.dropped.emit()

    def apply(
        self,
        plan: EditPlan,
        doing: str,
        then: Callable[[Change], object] = lambda change: None,
        otherwise: Callable[[], object] = lambda: None,
    ) -> None:
        """Make an edit at once, then call `then`, or `otherwise` if it is refused."""
        if self._refuse_if_locked():
            otherwise()
            return
        self.show_message(doing)

        def work(proofreader: Proofreader) -> Change:
            document = proofreader.document
            if document is None:
                raise InvalidEdit("There is no segmentation to edit.", "Make one in the Segment panel.")
            return proofreader.apply(plan(document))

        def on_result(change: Change) -> None:
            told = " ".join([f"{change.title}: done.", *change.remarks])
            self.show_message(told, f"{key_text('Control-Z')} takes it back.")
            then(change)

        def on_error(error: PytcError) -> None:
            otherwise()
            self.show_error(error)

        self._project.segments.do(work, on_result, on_error, receiver=self)
        self.changed.emit()

    # ---- private

    def _refuse_if_locked(self) -> bool:
        reason = self.locked_reason
        if reason:
            self.show_message(f"Nothing can be edited: {reason}", refused=True)
        return bool(reason)

    def _set_proposal(self, proposal: Proposal | None) -> None:
        if proposal is self.proposal:
            return
        self.proposal = proposal
        layers = self._project.layers
        if layers is not None:
            preview = None if proposal is None else proposal.preview
            if preview is None:
                layers.segments.clear_preview()
            else:
                layers.segments.preview(preview.box, preview.labels, preview.colours, outline=True)
        self.changed.emit()

    def _on_document_changed(self) -> None:
        self.discard()
        self.selected = ()
        if self.document is None and self.tool.name != "look":
            self.tool = TOOLS[0]
        self.tool_changed.emit()
        self.selection_changed.emit()
        self.changed.emit()

    def _on_edited(self, change: Change) -> None:
        layers = self._project.layers
        if change.target != "segments":
            if layers is not None:
                show = layers.show_strokes if change.target == "annotations" else layers.objects.show_changed
                show(change.patches)
            return
        if self.proposal is not None:  # it was worked out for another state
            self.discard()
        if self.selected:
            self.select_ids(self.selected_ids)
