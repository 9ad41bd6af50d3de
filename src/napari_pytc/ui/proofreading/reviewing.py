"""The review queue in the window: what is looked at now, what was decided, how far it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from qtpy.QtCore import QObject, Signal

from napari_pytc.errors import PytcError
from napari_pytc.geometry import Box
from napari_pytc.ui.proofreading.desk import Desk

if TYPE_CHECKING:
    from napari_pytc.proofreading.queue import ReviewItem, ReviewQueue
    from napari_pytc.session.proofreading import Proofreader
    from napari_pytc.ui.workspace import Workspace

Decision = Literal["merge", "leave"]

AROUND_UM = 1.0
"""Half of what is in view around a place, so that its surroundings are seen."""


@dataclass(frozen=True)
class Stand:
    """How far the review is.

    Parameters
    ----------
    item : ReviewItem, optional
        What is looked at; None when nothing is left.
    """

    item: ReviewItem | None
    n_done: int
    n_total: int
    seconds_left: float | None


class Review(QObject):
    """Leads from one place to the next. Nothing here waits: the queue is asked in the thread of edits.

    Parameters
    ----------
    workspace : Workspace
        Whose segmentation is reviewed.
    desk : Desk
        Highlights the segments, and tells what came of it.
    """

    changed = Signal()
    """`stand` or `is_looking` is another one."""

    def __init__(self, workspace: Workspace, desk: Desk) -> None:
        super().__init__(desk)
        self._workspace, self._desk = workspace, desk
        self.stand: Stand | None = None
        """None before the review was begun."""
        self.is_looking = False
        """Whether the queue is asked just now."""
        self.is_settled = False
        """Whether an edit by hand settled what was looked at. The view stays where the user works."""
        workspace.segments.document_changed.connect(self.stop)
        workspace.segments.edited.connect(self._on_edited)

    @property
    def item(self) -> ReviewItem | None:
        """What is looked at; None also where an edit settled it, until `fly` shows the next place."""
        return None if self.stand is None or self.is_settled else self.stand.item

    def fly(self) -> None:
        """Fly to the place that is looked at; begin with the first."""
        if self.item is None:
            self._ask(lambda queue, proofreader: None, "Looking for places to review …")
        else:
            self._show()

    def accept(self, decision: Decision) -> None:
        """Decide the place that is looked at, and go on to the next."""
        item = self.item
        if item is None:
            self._desk.say("Nothing is being reviewed.", "Begin with Next place (J).", refused=True)
            return
        if decision == "merge" and len(item.segments) < 2:
            self._desk.say("There is nothing to merge here.", "Leave it (U), or edit it and go on.", refused=True)
            return

        def decide(queue: ReviewQueue, proofreader: Proofreader) -> None:
            edit = queue.accept(decision)
            if edit is not None:
                proofreader.apply(edit)

        self._ask(decide, "Merging …" if decision == "merge" else "")

    def skip(self) -> None:
        """Look at it again at the end."""
        if self.item is None:
            self._desk.say("Nothing is being reviewed.", "Begin with Next place (J).", refused=True)
        else:
            self._ask(lambda queue, proofreader: queue.skip(), "")

    def stop(self) -> None:
        """Look at nothing."""
        self.stand, self.is_looking, self.is_settled = None, False, False
        self.changed.emit()

    # ---- what follows is ours

    def _ask(self, first: Callable[[ReviewQueue, Proofreader], object], doing: str) -> None:
        """Decide something, then find out what is next."""
        if self.is_looking:
            return
        if self._desk.locked_reason:
            self._desk.say(f"Nothing can be reviewed: {self._desk.locked_reason}", refused=True)
            return
        self._desk.forget()
        if doing:
            self._desk.say(doing)
        self._set_looking(True)

        def work(proofreader: Proofreader) -> Stand:
            queue = proofreader.queue()
            first(queue, proofreader)
            return _stand(queue)

        def take(found: Stand) -> None:
            self.stand, self.is_settled = found, False
            self._set_looking(False)
            self._show()

        def fail(error: PytcError) -> None:
            self._set_looking(False)
            self._desk.refuse(error)

        self._workspace.segments.do(work, take, fail, receiver=self)

    def _set_looking(self, is_looking: bool) -> None:
        self.is_looking = is_looking
        self.changed.emit()

    def _show(self) -> None:
        item, document = self.item, self._desk.document
        if document is None:
            return
        if item is None:
            self._desk.select(())
            self._desk.say("Nothing is left to review.")
            return
        self._desk.select_ids(item.segments)
        self._desk.say(item.text)
        half = [max(1, round(1000 * AROUND_UM / size)) for size in document.space.voxel_size_nm]
        place = tuple(int(v) for v in item.place)
        around = Box.at(place, (1, 1, 1)).grow(half).intersect(Box.of_shape(document.shape))
        self._desk.go_to(around, place)

    def _on_edited(self, change: object) -> None:
        """An edit by hand may have settled what is looked at."""
        if self.stand is None or self.is_looking:
            return

        def take(found: Stand) -> None:
            if self.stand is not None and not self.is_looking:
                self.is_settled = self.is_settled or found.item != self.stand.item
                self.stand = found
                self.changed.emit()

        self._workspace.segments.do(lambda p: _stand(p.queue()), take, self._desk.refuse, receiver=self)


def _stand(queue: ReviewQueue) -> Stand:
    item = queue.next()
    return Stand(item, queue.n_done, queue.n_total, queue.seconds_left)


def review_of(workspace: Workspace, desk: Desk) -> Review:
    """The one review of a workspace."""
    return desk.findChild(Review) or Review(workspace, desk)
