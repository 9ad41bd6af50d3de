"""What live learning is told while it runs, and how it listens; without torch.

Told, newest first where one replaces another:

============== =========================================== ==============================================
topic          content                                     meaning
============== =========================================== ==============================================
painting       none                                        a stroke begins: be ready for it
annotations    ``revision``, ``box`` or None               strokes are on the disk: look at them now
view           ``box``, ``generation``                     this is looked at; tiles nearest its centre come first
suggest        ``n``, ``box`` or None                      look for the n places to paint next (in the box)
stop           none                                        keep the best model and finish
============== =========================================== ==============================================

It tells ``artifact("prediction", box)`` for every tile written, ``artifact("suggestions", box)`` once those are on the
disk, a status line with every report, and the curves ``instant/score``, ``network/score`` and ``network/loss`` over the
network's steps, ``shown`` (0 = instant model, 1 = network) whenever it changes, and ``generation`` (step: the revision
of the strokes that were learnt; value: the view's generation) when all that is in view was predicted anew.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from napari_pytc.errors import InvalidInput
from napari_pytc.geometry import Box
from napari_pytc.jobs.context import JobContext, JobMessage

PAINTING, ANNOTATIONS, VIEW, SUGGEST, STOP = "painting", "annotations", "view", "suggest", "stop"
_LONGEST_STROKE_S = 4.0
"""So long at most a stroke is waited for; a longer one is learnt all the same, only not at once."""


def painting_message() -> JobMessage:
    """A stroke begins."""
    return JobMessage(topic=PAINTING)


def annotations_message(revision: int, box: Box | None = None) -> JobMessage:
    """Strokes were written."""
    return JobMessage(topic=ANNOTATIONS, content={"revision": revision, "box": _content(box)})


def view_message(box: Box, generation: int) -> JobMessage:
    """Something else is looked at; `generation` grows with every move."""
    return JobMessage(topic=VIEW, content={"box": _content(box), "generation": generation})


def suggest_message(n: int, box: Box | None = None) -> JobMessage:
    """The places to paint next are wanted."""
    return JobMessage(topic=SUGGEST, content={"n": n, "box": _content(box)})


def stop_message() -> JobMessage:
    """It is enough: keep the best model."""
    return JobMessage(topic=STOP)


@dataclass(frozen=True)
class View:
    """What is looked at."""

    box: Box
    generation: int


@dataclass(frozen=True)
class Wish:
    """How many suggestions are wanted, and where."""

    n: int
    box: Box


class Inbox:
    """The newest of what was told.

    Parameters
    ----------
    ctx : JobContext
        Its messages are read; it is told of those that mean nothing.
    volume : Box
        Boxes are cut to it; one that lies outside counts as not told.
    """

    def __init__(self, ctx: JobContext, volume: Box) -> None:
        self._ctx, self._volume = ctx, volume
        self.view: View | None = None
        self.wish: Wish | None = None
        self.stop = False
        self._awaited_until = 0.0

    @property
    def is_stroke_coming(self) -> bool:
        """Whether somebody paints right now: nothing that takes long should be begun."""
        return time.monotonic() < self._awaited_until

    def listen(self) -> None:
        """Take in what was told since the last time."""
        for message in self._ctx.messages():
            try:
                self._take(message)
            except (KeyError, TypeError, ValueError, InvalidInput) as error:
                self._ctx.warn(f"Live learning does not understand the message {message.topic!r}: {error!r}.")

    def take_wish(self) -> Wish | None:
        """The suggestions that are wanted, once."""
        wish, self.wish = self.wish, None
        return wish

    def _take(self, message: JobMessage) -> None:
        content = message.content
        if message.topic == VIEW:
            box = self._box(content["box"])
            generation = int(content["generation"])
            if not box.is_empty and (self.view is None or generation >= self.view.generation):
                self.view = View(box, generation)
        elif message.topic == SUGGEST:
            box = self._volume if content.get("box") is None else self._box(content["box"])
            if not box.is_empty:
                self.wish = Wish(max(1, int(content["n"])), box)
        elif message.topic == STOP:
            self.stop = True
        elif message.topic == PAINTING:
            self._awaited_until = time.monotonic() + _LONGEST_STROKE_S
        elif message.topic == ANNOTATIONS:  # what is new is found by the store's revision
            self._awaited_until = 0.0
        else:
            raise InvalidInput(f"no topic is called {message.topic!r}")

    def _box(self, content: dict[str, Any] | str | Box) -> Box:
        if isinstance(content, dict):
            content = Box(tuple(content["start"]), tuple(content["stop"]))
        elif isinstance(content, str):
            content = Box.parse(content)
        return content.intersect(self._volume)


def _content(box: Box | None) -> dict[str, list[int]] | None:
    return None if box is None else {"start": list(box.start), "stop": list(box.stop)}
