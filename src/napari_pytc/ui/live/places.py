"""Where to paint next: asked of live learning, flown to and outlined in the window."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal

from napari_pytc.errors import ProjectError
from napari_pytc.geometry import Box
from napari_pytc.learning.live.messages import suggest_message
from napari_pytc.ui.bridge import JobView
from napari_pytc.ui.live.controller import LiveController, LiveState, live_of
from napari_pytc.ui.live.words import missing_strokes
from napari_pytc.ui.predictions import once

if TYPE_CHECKING:
    from napari_pytc.session.live import Suggestions
    from napari_pytc.ui.workspace import Workspace

N_PLACES = 8
_AFTER_STROKE_MS = 2000
"""Places are looked for anew when the painting rests."""


class Places(QObject):
    """The places where painting is expected to help most, the best first.

    Parameters
    ----------
    workspace : Workspace
        Whose canvas is flown over.
    live : LiveController
        Knows them while it learns.
    """

    changed = Signal()

    def __init__(self, workspace: Workspace, live: LiveController) -> None:
        super().__init__(live)
        self._workspace, self._live = workspace, live
        self.found: Suggestions | None = None
        """None before they were asked for."""
        self.at: int | None = None
        """Number of the one that was flown to."""
        self.is_looking = False
        self.is_followed = False
        """Whether somebody looks at the list, so that it is kept up to date."""
        self._ask_timer = once(self, _AFTER_STROKE_MS, self.ask)
        workspace.jobs.noticed.connect(self._on_noticed)
        workspace.strokes_changed.connect(self._on_strokes)
        workspace.session_changed.connect(self.forget)
        live.reached.connect(self._on_reached)
        live.changed.connect(self._on_live)

    def why_not(self) -> str:
        """Why none can be looked for; empty if they can."""
        if self._live.state is not LiveState.LEARNING:
            return "Live is not learning; switch it on first."
        return missing_strokes(self._live.painted)

    def ask(self) -> None:
        """Look for places, if there are strokes to learn from; the answer comes with `changed`."""
        if not self.why_not() and self._live.tell(suggest_message(N_PLACES)):
            self.is_looking = True
            self.changed.emit()

    def follow(self, followed: bool) -> None:
        """Keep the list up to date from now on, or no longer."""
        self.is_followed = followed
        if followed and not self.is_looking:
            self.ask()

    def fly_to(self, number: int) -> None:
        """Look at a place of the list."""
        layers, found = self._workspace.layers, self.found
        if layers is None or found is None or not 0 <= number < len(found.boxes):
            return
        box = found.boxes[number].box
        self.at = number
        self._outline(box)
        middle = [round(centre - 0.5) for centre in box.centre]
        self._workspace.viewer.fly_to(layers.image, middle, box)
        self.changed.emit()

    def fly_on(self) -> None:
        """Fly to the best place, then to the next one with each call.

        Raises
        ------
        ProjectError
            If no place is known; they are looked for then.
        """
        if self.found is None or not self.found.boxes:
            reason = self.why_not()
            if reason:
                raise ProjectError("No place to paint next is known.", reason)
            self.ask()
            self._workspace.viewer.show_status("Looking for places where painting helps most …")
        else:
            self.fly_to(0 if self.at is None else (self.at + 1) % len(self.found.boxes))

    def forget(self) -> None:
        """Know none, and take the outline away."""
        self.found = self.at = None
        self.is_looking = False
        self._ask_timer.stop()
        self._outline(None)
        self.changed.emit()

    # ---- what follows is ours

    def _outline(self, box: Box | None) -> None:
        if self._workspace.layers is not None:
            self._workspace.layers.outline.show([] if box is None else [box])

    def _on_noticed(self, job: JobView, kind: str) -> None:
        session = self._workspace.session
        if kind == "suggestions" and job.kind == "live" and session is not None:
            self._workspace.background.run(session.suggestions, self._take, self._workspace.failed.emit, receiver=self)

    def _take(self, found: Any) -> None:
        if self._live.state is LiveState.OFF:
            return
        self.found, self.at, self.is_looking = found, None, False
        self._outline(None)
        self.changed.emit()

    def _on_strokes(self) -> None:
        if self.is_followed and self._live.state is LiveState.LEARNING:
            self._ask_timer.start()

    def _on_reached(self) -> None:
        if self.is_followed:
            self.ask()

    def _on_live(self) -> None:
        if self._live.state is LiveState.OFF and (self.found is not None or self.is_looking):
            self.forget()
        elif self._live.state is not LiveState.LEARNING:
            self.is_looking = False


def places_of(workspace: Workspace) -> Places:
    """The places of a workspace, made when first asked for."""
    live = live_of(workspace)
    return live.findChild(Places) or Places(workspace, live)


def describe(box: Box) -> str:
    """Where the middle of a box is, and all its sections where they are several."""
    z, y, x = (round(centre - 0.5) for centre in box.centre)
    sections = f"{z}" if box.shape[0] == 1 else f"{box.start[0]}–{box.stop[0] - 1}"
    return f"{sections}, {y}, {x}"
