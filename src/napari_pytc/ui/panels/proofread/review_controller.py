"""The review queue in the window: the candidate in view, decisions, progress."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from qtpy.QtCore import QObject, Signal

from napari_pytc.errors import PytcError
from napari_pytc.ui.panels.proofread.contact import Contact, find_contact
from napari_pytc.ui.panels.proofread.editor import SegmentEditor

if TYPE_CHECKING:
    from napari_pytc.proofreading.review.queue import ReviewItem, ReviewQueue
    from napari_pytc.session.proofreading.proofreader import Proofreader
    from napari_pytc.ui.tasks.current_segments import CurrentSegments

Decision = Literal["merge", "leave"]


@dataclass(frozen=True)
class ReviewProgress:
    """Progress of the review.

    Parameters
    ----------
    item : ReviewItem, optional
        The candidate that is next; None when nothing is left.
    """

    item: ReviewItem | None
    n_done: int
    n_total: int
    seconds_left: float | None

    @classmethod
    def of(cls, queue: ReviewQueue) -> ReviewProgress:
        """The progress of a queue; called in the thread of edits."""
        return cls(queue.next(), queue.n_done, queue.n_total, queue.seconds_left)


class ReviewController(QObject):
    """Leads from one candidate to the next. Nothing here waits: the queue is read in the thread of edits.

    Parameters
    ----------
    segments : CurrentSegments
        The segmentation that is reviewed.
    editor : SegmentEditor
        Selects the segments, and shows what came of it.
    """

    changed = Signal()
    """`progress`, `is_looking` or `is_settled` is another one."""

    def __init__(self, segments: CurrentSegments, editor: SegmentEditor) -> None:
        super().__init__(editor)
        self._segments, self._editor = segments, editor
        self.progress: ReviewProgress | None = None
        """None before the review was begun."""
        self.is_looking = False
        """Whether the queue is being read."""
        self.contact: Contact | None = None
        """The contact of the candidate in view, where it is of two segments."""
        self.is_settled = False
        """Whether an edit by hand settled the candidate. The view stays where the user works."""
        segments.document_changed.connect(self.stop)
        segments.edited.connect(self._on_edited)

    @property
    def item(self) -> ReviewItem | None:
        """The candidate in view; None also where an edit settled it, until `show_next` shows the next one."""
        return None if self.progress is None or self.is_settled else self.progress.item

    def why_not(self, name: str) -> str:
        """Reason why an action of the review, "next", "merge", "leave" or "skip", cannot be done; empty if it can."""
        if self._editor.locked_reason:
            return self._editor.locked_reason
        if self.is_looking:
            return "one moment."
        if name == "next":
            return ""
        if self.item is None:
            return "nothing is looked at; begin with Start (J)."
        return "there is only one segment here." if name == "merge" and len(self.item.segments) < 2 else ""

    def show_next(self) -> None:
        """Fly to the candidate again, or to the next one where it is decided."""
        if self.item is None:
            self._advance(lambda queue, proofreader: None, "Looking for places to review …")
        else:
            self._show()

    def accept(self, decision: Decision) -> None:
        """Decide the candidate in view, and go on to the next."""
        item = self.item
        if item is None:
            self._refuse_to_begin()
            return
        if decision == "merge" and len(item.segments) < 2:
            hint = "Leave it (U), or edit it and go on."
            self._editor.show_message("There is nothing to merge here.", hint, refused=True)
            return

        def decide(queue: ReviewQueue, proofreader: Proofreader) -> None:
            edit = queue.accept(decision)
            if edit is not None:
                proofreader.apply(edit)

        self._advance(decide, "Merging …" if decision == "merge" else "")

    def skip(self) -> None:
        """Go on to the next candidate; this one comes again at the end."""
        if self.item is None:
            self._refuse_to_begin()
        else:
            self._advance(lambda queue, proofreader: queue.skip(), "")

    def stop(self) -> None:
        """End the review."""
        self.progress, self.contact, self.is_looking, self.is_settled = None, None, False, False
        self.changed.emit()

    # ---- private

    def _refuse_to_begin(self) -> None:
        self._editor.show_message("Nothing is being reviewed.", "Begin with Next place (J).", refused=True)

    def _advance(self, decide: Callable[[ReviewQueue, Proofreader], object], doing: str) -> None:
        """Decide a candidate, then read and show the next one."""
        if self.is_looking:
            return
        if self._editor.locked_reason:
            self._editor.show_message(f"Nothing can be reviewed: {self._editor.locked_reason}", refused=True)
            return
        self._editor.discard()
        if doing:
            self._editor.show_message(doing)
        self._set_looking(True)

        def work(proofreader: Proofreader) -> ReviewProgress:
            queue = proofreader.queue()
            decide(queue, proofreader)
            return ReviewProgress.of(queue)

        def on_result(found: ReviewProgress) -> None:
            self.progress, self.is_settled = found, False
            self._set_looking(False)
            self._show()

        def on_error(error: PytcError) -> None:
            self._set_looking(False)
            self._editor.show_error(error)

        self._segments.do(work, on_result, on_error, receiver=self)

    def _set_looking(self, is_looking: bool) -> None:
        self.is_looking = is_looking
        self.changed.emit()

    def _show(self) -> None:
        item = self.item
        if self._editor.document is None:
            return
        if item is None:
            self._editor.select(())
            self._editor.show_message("Nothing is left to review.")
            return
        self._editor.show_message(item.text)
        self.contact = None
        if len(item.segments) < 2:
            self._editor.select_ids(item.segments)
            self._editor.go_around(item.place)
            return
        axis = self._editor.axis
        self._editor.query(
            lambda document: find_contact(document, item.segments, item.place, axis),
            lambda contact: self._show_contact(item, contact),
        )

    def _show_contact(self, item: ReviewItem, contact: Contact | None) -> None:
        """Fly to a contact, zoom until it is seen, and mark its voxels."""
        if self.item != item:  # it was answered meanwhile
            return
        self.contact = contact
        self.changed.emit()
        if contact is None:
            self._editor.go_around(item.place)
            self._editor.select_ids(item.segments)
            return
        self._editor.go_to(contact.view, contact.place, close=True)
        self._editor.select_ids(item.segments, lambda: self._editor.mark_contact(contact.box, contact.voxels))

    def _on_edited(self, change: object) -> None:
        """Notice that an edit by hand settled the candidate."""
        self.contact = None  # it may be another one now, and its mark went with the selection
        if self.progress is None or self.is_looking:
            return

        def on_result(found: ReviewProgress) -> None:
            if self.progress is not None and not self.is_looking:
                self.is_settled = self.is_settled or found.item != self.progress.item
                self.progress = found
                self.changed.emit()

        self._segments.do(
            lambda proofreader: ReviewProgress.of(proofreader.queue()),
            on_result,
            self._editor.show_error,
            receiver=self,
        )
