"""Suggestions where to paint next: requested from live learning, shown on the canvas."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal

from napari_pytc.errors import ProjectError
from napari_pytc.geometry import Box
from napari_pytc.plans.live_messages import suggest_message
from napari_pytc.ui.panels.train.live_controller import LiveController, LiveState
from napari_pytc.ui.panels.train.live_status import missing_strokes
from napari_pytc.ui.tasks.job_board import JobModel
from napari_pytc.ui.tasks.timers import single_shot

if TYPE_CHECKING:
    from napari_pytc.session.live import Suggestions
    from napari_pytc.ui.workspace import Workspace

N_SUGGESTIONS = 8
_AFTER_STROKE_MS = 2000
"""Time after the last stroke until new suggestions are requested."""


class SuggestionController(QObject):
    """Boxes where painting is expected to help most, the best first.

    Parameters
    ----------
    workspace : Workspace
        Its canvas shows them.
    live : LiveController
        Finds them while it learns.
    """

    changed = Signal()

    def __init__(self, workspace: Workspace, live: LiveController) -> None:
        super().__init__(live)
        self._workspace, self._live = workspace, live
        self.found: Suggestions | None = None
        """The suggestions; None before the first ones came."""
        self.current: int | None = None
        """Number of the one on the canvas."""
        self.is_searching = False
        self._is_followed = False
        """Whether they are requested again after strokes, because the list is visible."""
        self._ask_timer = single_shot(self, _AFTER_STROKE_MS, self.request)
        workspace.jobs.noticed.connect(self._on_noticed)
        workspace.strokes_changed.connect(self._on_strokes)
        workspace.session_changed.connect(self.clear)
        live.begun.connect(self._on_begun)
        live.changed.connect(self._on_live)

    def why_not(self) -> str:
        """Reason why no suggestions can be requested; empty if they can."""
        if self._live.state is not LiveState.LEARNING:
            return "Live is not learning; switch it on first."
        return missing_strokes(self._live.painted_classes)

    def request(self) -> None:
        """Request suggestions, if there are strokes to learn from; `changed` is emitted with the reply."""
        if not self.why_not() and self._live.send(suggest_message(N_SUGGESTIONS)):
            self.is_searching = True
            self.changed.emit()

    def set_followed(self, is_followed: bool) -> None:
        """Set whether suggestions are requested again after strokes."""
        self._is_followed = is_followed
        if is_followed and not self.is_searching:
            self.request()

    def fly_to(self, number: int) -> None:
        """Show a suggestion on the canvas."""
        layers, found = self._workspace.layers, self.found
        if layers is None or found is None or not 0 <= number < len(found.boxes):
            return
        box = found.boxes[number].box
        self.current = number
        self._outline(box)
        middle = [round(centre - 0.5) for centre in box.centre]
        self._workspace.viewer.fly_to(layers.image, middle, box)
        self.changed.emit()

    def fly_to_next(self) -> None:
        """Show the best suggestion, then the next one with each call.

        Raises
        ------
        ProjectError
            If there is none and none can be requested.
        """
        if self.found is None or not self.found.boxes:
            reason = self.why_not()
            if reason:
                raise ProjectError("No place to paint next is known.", reason)
            self.request()
            self._workspace.viewer.show_status("Looking for places where painting helps most …")
        else:
            self.fly_to(0 if self.current is None else (self.current + 1) % len(self.found.boxes))

    def clear(self) -> None:
        """Drop all suggestions and their outline."""
        self.found = self.current = None
        self.is_searching = False
        self._ask_timer.stop()
        self._outline(None)
        self.changed.emit()

    # ---- private

    def _outline(self, box: Box | None) -> None:
        if self._workspace.layers is not None:
            self._workspace.layers.outline.show([] if box is None else [box])

    def _on_noticed(self, job: JobModel, kind: str) -> None:
        session = self._workspace.session
        if kind == "suggestions" and job.kind == "live" and session is not None:
            self._workspace.background.run(
                session.live.suggestions, self._on_found, self._workspace.failed.emit, receiver=self
            )

    def _on_found(self, found: Any) -> None:
        if self._live.state is LiveState.OFF:
            return
        self.found, self.current, self.is_searching = found, None, False
        self._outline(None)
        self.changed.emit()

    def _on_strokes(self) -> None:
        if self._is_followed and self._live.state is LiveState.LEARNING:
            self._ask_timer.start()

    def _on_begun(self) -> None:
        if self._is_followed:
            self.request()

    def _on_live(self) -> None:
        if self._live.state is LiveState.OFF and (self.found is not None or self.is_searching):
            self.clear()
        elif self._live.state is not LiveState.LEARNING:
            self.is_searching = False


def describe(box: Box) -> str:
    """The middle of a box, and all its sections where there are several."""
    z, y, x = (round(centre - 0.5) for centre in box.centre)
    sections = f"{z}" if box.shape[0] == 1 else f"{box.start[0]}–{box.stop[0] - 1}"
    return f"{sections}, {y}, {x}"
