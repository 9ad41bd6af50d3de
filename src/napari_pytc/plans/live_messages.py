"""Messages between the window and live learning.

The job receives, where the newest of a topic replaces the others:

============== =========================================== ==============================================
topic          content                                     meaning
============== =========================================== ==============================================
painting       none                                        a stroke begins: be ready for it
annotations    ``revision``, ``box`` or None               strokes are on the disk: fit them
view           ``box``, ``generation``                     the view moved; tiles nearest its centre come first
suggest        ``n``, ``box`` or None                      suggest n boxes to paint next (within the box)
stop           none                                        keep the best model and finish
============== =========================================== ==============================================

It reports ``artifact("prediction", box)`` for every tile written, ``artifact("suggestions", box)`` once those are on
the disk, a status line, the metrics ``instant/score``, ``network/score`` and ``network/loss`` over the network's steps,
``shown`` (0 = instant model, 1 = network) whenever it changes, and ``generation`` (step: the revision of the strokes
that were fitted; value: the view's generation) when the whole view is predicted by the newest model.
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
"""Longest time that other work waits for a stroke to end."""


def painting_message() -> JobMessage:
    """Message that a stroke begins."""
    return JobMessage(topic=PAINTING)


def annotations_message(revision: int, box: Box | None = None) -> JobMessage:
    """Message that strokes were written."""
    return JobMessage(topic=ANNOTATIONS, content={"revision": revision, "box": _content(box)})


def view_message(box: Box, generation: int) -> JobMessage:
    """Message that the view moved; `generation` grows with every move."""
    return JobMessage(topic=VIEW, content={"box": _content(box), "generation": generation})


def suggest_message(n: int, box: Box | None = None) -> JobMessage:
    """Request for suggestions where to paint next."""
    return JobMessage(topic=SUGGEST, content={"n": n, "box": _content(box)})


def stop_message() -> JobMessage:
    """Request to write the best model and finish."""
    return JobMessage(topic=STOP)


@dataclass(frozen=True)
class LiveView:
    """The box in view."""

    box: Box
    generation: int


@dataclass(frozen=True)
class LiveRequest:
    """Request for a number of suggestions in a box."""

    n: int
    box: Box


class Inbox:
    """The newest messages.

    Parameters
    ----------
    ctx : JobContext
        Source of the messages; it receives a warning of each that is not understood.
    volume : Box
        Boxes are cut to it; messages with a box outside are ignored.
    """

    def __init__(self, ctx: JobContext, volume: Box) -> None:
        self._ctx, self._volume = ctx, volume
        self.view: LiveView | None = None
        self.request: LiveRequest | None = None
        self.stop = False
        self._stroke_until = 0.0

    @property
    def is_stroke_coming(self) -> bool:
        """Whether a stroke is being painted, so that no long work should begin."""
        return time.monotonic() < self._stroke_until

    def read_messages(self) -> None:
        """Read the messages that came since the last time."""
        for message in self._ctx.messages():
            try:
                self._handle(message)
            except (KeyError, TypeError, ValueError, AttributeError, InvalidInput) as error:
                self._ctx.warn(f"Live learning does not understand the message {message.topic!r}: {error!r}.")

    def pop_request(self) -> LiveRequest | None:
        """The request for suggestions; it is returned once."""
        request, self.request = self.request, None
        return request

    def _handle(self, message: JobMessage) -> None:
        content = message.content
        if message.topic == VIEW:
            box = self._box(content["box"])
            generation = int(content["generation"])
            if not box.is_empty and (self.view is None or generation >= self.view.generation):
                self.view = LiveView(box, generation)
        elif message.topic == SUGGEST:
            box = self._volume if content.get("box") is None else self._box(content["box"])
            if not box.is_empty:
                self.request = LiveRequest(max(1, int(content["n"])), box)
        elif message.topic == STOP:
            self.stop = True
        elif message.topic == PAINTING:
            self._stroke_until = time.monotonic() + _LONGEST_STROKE_S
        elif message.topic == ANNOTATIONS:  # the store's revision shows what is new
            self._stroke_until = 0.0
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
