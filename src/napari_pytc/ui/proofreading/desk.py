"""What is selected, proposed and done with segments: the state that panel, canvas, keys and menus share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal

from napari_pytc.errors import InvalidEdit, PytcError
from napari_pytc.geometry import Box
from napari_pytc.ui.importing import GivenUp
from napari_pytc.ui.proofreading.orders import NotYet
from napari_pytc.ui.proofreading.picking import Picked, Place, describe
from napari_pytc.ui.proofreading.tools import TOOLS, Tool, key_text, tool

if TYPE_CHECKING:
    from napari_pytc.proofreading.changes import Change
    from napari_pytc.proofreading.document import LabelDocument
    from napari_pytc.proofreading.edits import Edit
    from napari_pytc.session.proofreading import Proofreader
    from napari_pytc.ui.proofreading.outlook import Outlook
    from napari_pytc.ui.workspace import Workspace

Plan = Callable[["LabelDocument"], "Edit"]
"""Makes an edit, in the thread of edits; raises a `PytcError` where it is none."""

_MOST_SELECTED = 8


@dataclass(frozen=True)
class Saying:
    """One line for the user, and what to do; `refused` if it is why something was not done."""

    text: str = ""
    hint: str = ""
    refused: bool = False


@dataclass(frozen=True, eq=False)
class Proposal:
    """An edit that was worked out and not made yet."""

    edit: Edit
    change: Change
    outlook: Outlook | None


class Desk(QObject):
    """The workplace of a proofreader; all methods belong to the Qt thread, none waits.

    Edits are worked out and made in the thread of `workspace.segments`, in the order in which they were asked for.
    Of proposals only the last one asked for is shown: each has a number, and what comes late is dropped.

    Parameters
    ----------
    workspace : Workspace
        Whose segments they are.
    """

    changed = Signal()
    """Tool, selection, proposal or what can be done is another one."""
    said = Signal(object)
    """A `Saying`: what is going on, or why something was refused."""
    dropped = Signal()
    """Marks are to be forgotten: the edit was made, or was not wanted."""
    tool_changed = Signal()
    tool_chosen = Signal()
    """The user took a tool, perhaps the one that was taken already."""
    selection_changed = Signal()

    def __init__(self, workspace: Workspace) -> None:
        super().__init__(workspace)
        self._workspace = workspace
        self.tool: Tool = tool("look")
        self.selected: tuple[Picked, ...] = ()
        self.proposal: Proposal | None = None
        self.class_id = 1
        """What "Set class" sets."""
        self.n_marks = 0
        """How many there are on the canvas; kept by who keeps the marks."""
        self.saying = Saying()
        self._number = 0
        self._is_planning = False
        self._commit_is_due = False
        segments = workspace.segments
        segments.document_changed.connect(self._on_document)
        segments.edited.connect(self._on_edited)
        segments.busy_changed.connect(self.changed)

    # ---- what there is

    @property
    def document(self) -> LabelDocument | None:
        """The current segmentation; None where there is none."""
        return self._workspace.segments.document

    @property
    def is_busy(self) -> bool:
        """Whether something is worked out or made."""
        return self._workspace.segments.is_busy

    @property
    def is_planning(self) -> bool:
        """Whether a proposal is on its way."""
        return self._is_planning

    @property
    def locked_reason(self) -> str:
        """Why nothing can be changed; empty if it can."""
        if self._workspace.session is None:
            return "no project is open."
        if not self._workspace.is_changeable:
            return "this project is open for reading only."
        if self.document is None:
            return "there is no segmentation yet."
        return ""

    def say(self, text: str = "", hint: str = "", refused: bool = False) -> None:
        """Tell the user something, in the panel and in the window's status bar."""
        self.saying = Saying(text, hint, refused)
        self.said.emit(self.saying)
        if text:
            self._workspace.viewer.show_status(f"{text} {hint}".rstrip())

    def refuse(self, error: PytcError) -> None:
        """Say why something is not done."""
        self.say(error.message, error.hint, refused=not isinstance(error, (NotYet, GivenUp)))
        self.changed.emit()

    # ---- tools

    def choose_tool(self, name: str) -> None:
        """Take a tool; what was proposed is dropped."""
        if self.locked_reason and name != "look":
            self.say(f"Nothing can be edited: {self.locked_reason}", refused=True)
            return
        self.forget()
        self.tool = tool(name)
        self.say(self.tool.hint)
        self.tool_changed.emit()
        self.tool_chosen.emit()
        self.changed.emit()

    # ---- selection

    def select(self, picked: Sequence[Picked]) -> None:
        """Select segments, none to select nothing."""
        found: dict[int, Picked] = {one.segment: one for one in picked}
        self.selected = tuple(found.values())
        self._highlight(list(found))
        self.selection_changed.emit()
        self.changed.emit()

    def select_ids(self, segments: Sequence[int], then: Callable[[], object] = lambda: None) -> None:
        """Select segments by their ids, as far as they are there; in another segmentation ids are of others."""
        wanted, meant = list(segments), None if self.document is None else self.document.id

        def look(proofreader: Proofreader) -> list[Picked] | None:
            document = proofreader.document
            if document is None or document.id != meant:
                return None
            return [p for s in wanted if (p := describe(document, s)) is not None]

        def take(found: list[Picked] | None) -> None:
            if found is not None and self.document is not None and self.document.id == meant:
                self.select(found)
                then()

        self._workspace.segments.do(look, take, self.refuse, receiver=self)

    def ask(self, question: Callable[[LabelDocument], Any], then: Callable[[Any], object]) -> None:
        """Ask the document something, in the thread of edits."""

        def look(proofreader: Proofreader) -> Any:
            document = proofreader.document
            return None if document is None else question(document)

        self._workspace.segments.do(look, then, self.refuse, receiver=self)

    def go_to(self, box: Box, place: Sequence[float] | None = None) -> None:
        """Bring a place to the canvas."""
        layers = self._workspace.layers
        if layers is not None:
            self._workspace.viewer.fly_to(layers.image, box.centre if place is None else place, box)

    # ---- proposals

    def propose(self, plan: Plan, doing: str, seeds: Mapping[int, Sequence[Place]] | None = None) -> None:
        """Work an edit out and show what it would come to; `commit` makes it, `drop` forgets it."""
        layers = self._workspace.layers
        if layers is None or self._refuses():
            return
        self._number += 1
        number, focus, axis = self._number, layers.focus(), self.axis
        self._set_proposal(None)
        self._is_planning, self._commit_is_due = True, False
        self.say(doing)

        def work(proofreader: Proofreader) -> Proposal | None:
            from napari_pytc.ui.proofreading.outlook import outlook

            document = proofreader.document
            if number != self._number or document is None:  # a later one was asked for meanwhile
                return None
            edit = plan(document)
            change = proofreader.preview(edit)
            return Proposal(edit, change, outlook(document, change, focus, seeds, axis))

        def take(found: Proposal | None) -> None:
            if number == self._number:
                self._is_planning = False
                if found is not None:
                    self._set_proposal(found)
                    self.say(f"{found.change.title}?", f"{key_text('Enter')} applies it, Esc drops it.")
                    if self._commit_is_due:
                        self.commit()

        def fail(error: PytcError) -> None:
            if number == self._number:
                self._is_planning = False
                self.refuse(error)

        self._workspace.segments.do(work, take, fail, receiver=self)
        self.changed.emit()

    def commit(self) -> None:
        """Make the edit that is proposed, as soon as it is worked out."""
        if self._is_planning:
            self._commit_is_due = True
            return
        proposal = self.proposal
        if proposal is None:
            self.say("There is nothing to apply.", "Mark segments first.", refused=True)
            return
        self.forget()
        self.apply(lambda document: proposal.edit, f"{proposal.change.title} …", self._select_what_is_left)

    def drop(self) -> None:
        """Forget what is proposed and marked; where nothing is, put the tool away."""
        had_something = self.proposal is not None or self._is_planning or self.n_marks > 0
        self.forget()
        if had_something:
            self.say("Dropped. Nothing was changed.")
        elif self.tool.name != "look":
            self.choose_tool("look")
        elif self.selected:
            self.select(())

    def forget(self) -> None:
        """Forget marks and proposal without a word."""
        self._number += 1
        self._is_planning = self._commit_is_due = False
        self._set_proposal(None)
        self.dropped.emit()

    def apply(
        self,
        plan: Plan,
        doing: str,
        then: Callable[[Change], object] = lambda change: None,
        otherwise: Callable[[], object] = lambda: None,
    ) -> None:
        """Make an edit at once, then call `then`, or `otherwise` if it is refused."""
        if self._refuses():
            otherwise()
            return
        self.say(doing)

        def work(proofreader: Proofreader) -> Change:
            document = proofreader.document
            if document is None:
                raise InvalidEdit("There is no segmentation to edit.", "Make one in the Segment panel.")
            return proofreader.apply(plan(document))

        def take(change: Change) -> None:
            self.say(f"{change.title}: done.", f"{key_text('Control-Z')} takes it back.")
            then(change)

        def fail(error: PytcError) -> None:
            otherwise()
            self.refuse(error)

        self._workspace.segments.do(work, take, fail, receiver=self)
        self.changed.emit()

    @property
    def axis(self) -> int:
        """Across the sections that are looked at."""
        layers = self._workspace.layers
        shape = (1, 0, 0) if layers is None else layers.view_box().shape
        return min(range(3), key=lambda k: shape[k])

    # ---- what follows is ours

    def _select_what_is_left(self, change: Change) -> None:
        """Of the segments of an edit, so that they can be locked at once."""
        self.select_ids(change.segments[:_MOST_SELECTED])

    def _refuses(self) -> bool:
        reason = self.locked_reason
        if reason:
            self.say(f"Nothing can be edited: {reason}", refused=True)
        return bool(reason)

    def _set_proposal(self, proposal: Proposal | None) -> None:
        if proposal is self.proposal:
            return
        self.proposal = proposal
        layers = self._workspace.layers
        if layers is not None:
            seen = None if proposal is None else proposal.outlook
            if seen is None:
                layers.segments.clear_preview()
            else:
                layers.segments.preview(seen.box, seen.labels, seen.colours, outline=True)
        self.changed.emit()

    def _highlight(self, segments: Sequence[int]) -> None:
        layers = self._workspace.layers
        if layers is not None:
            layers.segments.highlight(segments)

    def _on_document(self) -> None:
        self.forget()
        self.selected = ()
        if self.document is None and self.tool.name != "look":
            self.tool = TOOLS[0]
        self.tool_changed.emit()
        self.selection_changed.emit()
        self.changed.emit()

    def _on_edited(self, change: Change) -> None:
        layers = self._workspace.layers
        if change.target != "segments":
            if layers is not None:
                shown = layers.show_strokes if change.target == "annotations" else layers.objects.show_changed
                shown(change.patches)
            return
        if self.proposal is not None:  # of a state that is no more
            self.forget()
        if self.selected:
            self.select_ids([one.segment for one in self.selected])


def desk_of(workspace: Workspace) -> Desk:
    """The one desk of a workspace."""
    return workspace.findChild(Desk) or Desk(workspace)
