"""The live preview: a small segmentation of the box in view, made by the worker while settings are tried."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, QTimer, Signal

from napari_pytc.errors import PytcError
from napari_pytc.geometry import Box, Shape
from napari_pytc.jobs.events import TERMINAL, Failed, Finished, JobEvent, Progressed, Started
from napari_pytc.ui.panels.segment.choices import SegmentChoices
from napari_pytc.ui.panels.segment.sources import PreviewSource
from napari_pytc.ui.tasks.background import readable
from napari_pytc.ui.tasks.latest import Latest

if TYPE_CHECKING:
    import numpy as np

    from napari_pytc.decoding.jobs import SegmentJob
    from napari_pytc.jobs.runners.base import JobHandle
    from napari_pytc.session.session import Session
    from napari_pytc.ui.workspace import Workspace

MOST_VOXELS = 1_500_000
"""Most voxels of a preview, around the middle of the view: a few seconds of the slowest decoder."""
FIRST_DEPTH = 5
_TRY_MS = 350
"""Delay of a preview after the last change of a setting; the slider does not wait."""
_FOLLOW_MS = 700
"""Interval of the checks whether the view has moved: the canvas has no signal for it."""


def preview_box(view: Box, sections: int, shape: Shape, most: int = MOST_VOXELS) -> Box:
    """The box to decode for a view: so many sections around it, and of a large view its middle.

    In a 3D view, which is several sections thick already, the middle of it.
    """
    lengths = list(view.shape)
    if 1 in lengths:
        axis = lengths.index(1)
        lengths[axis] = min(sections, shape[axis])
    else:
        axis = 0
    while lengths[0] * lengths[1] * lengths[2] > most:
        plane = [a for a in range(3) if a != axis]
        widest = max(plane, key=lambda a: lengths[a])
        lengths[widest] = lengths[widest] * 4 // 5
    start = [
        min(max(0, round(middle - n / 2)), whole - n)
        for middle, n, whole in zip(view.centre, lengths, shape, strict=True)
    ]
    return Box.at(start, lengths)


@dataclass(frozen=True)
class _Request:
    choices: SegmentChoices
    box: Box


class SegmentPreview(QObject):
    """Keeps a preview of the box in view up to date while it is on and a panel shows it.

    Of several requests that come while one is decoded only the newest is decoded next. Where the decoder's slider
    alone was moved, the supervoxels are grouped anew in a thread, and nothing is decoded.

    Parameters
    ----------
    workspace : Workspace
        The workspace whose worker decodes and whose canvas shows the preview.
    """

    changed = Signal()
    """The preview, its progress or its problem is another one."""
    switched_on = Signal()

    _received = Signal(object, object)

    def __init__(self, workspace: Workspace, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._workspace = workspace
        self._latest = Latest(self)
        self._choices: SegmentChoices | None = None
        self._running: _Request | None = None
        self._handle: JobHandle | None = None
        self._next: _Request | None = None
        self._shown: _Request | None = None
        self._source: PreviewSource | None = None
        self._began = 0.0
        self._has_begun = False
        self._watchers: list[object] = []
        self.is_on = False
        """Whether previews are made."""
        self.sections = FIRST_DEPTH
        """Number of sections that are decoded around the one in view."""
        self.choices_problem = ""
        """Problem with the settings; empty if there is none."""
        self.problem: PytcError | None = None
        """Error of the last attempt, if it failed."""
        self.seconds = 0.0
        """Seconds that the preview on the canvas took; of one that was grouped anew, those of the grouping."""
        self._try_timer = QTimer(self)
        self._try_timer.setSingleShot(True)
        self._try_timer.setInterval(_TRY_MS)
        self._try_timer.timeout.connect(self._try)
        self._follow_timer = QTimer(self)
        self._follow_timer.setInterval(_FOLLOW_MS)
        self._follow_timer.timeout.connect(self._follow)
        self._received.connect(self._on_event)
        workspace.session_changed.connect(self.clear)
        workspace.jobs.closed.connect(self.close)

    # ---- state

    @property
    def source(self) -> PreviewSource | None:
        """The segments that are shown."""
        return self._source

    @property
    def box(self) -> Box | None:
        """Box of the preview that is shown or under way."""
        request = self._next or self._running or self._shown
        return None if request is None else request.box

    @property
    def is_busy(self) -> bool:
        """Whether one is being decoded."""
        return self._running is not None

    @property
    def is_waiting(self) -> bool:
        """Whether the worker is still busy with something else."""
        return self._running is not None and not self._has_begun

    @property
    def waits_for(self) -> str:
        """Title of the job that has the worker; empty if none has."""
        running = [job.title for job in self._workspace.jobs.running]
        return running[0] if running else ""

    # ---- settings of the panel

    def switch(self, on: bool) -> None:
        """Make previews from now on, or take the one that is shown away and make no more."""
        if on == self.is_on:
            return
        self.is_on = on
        if on:
            self.switched_on.emit()
            self._try_soon()
        else:
            self._stop()
        self.changed.emit()

    def set_sections(self, sections: int) -> None:
        """Decode so many sections around the one in view."""
        self.sections = sections
        self._try_soon()
        self.changed.emit()

    @property
    def is_watched(self) -> bool:
        """Whether a panel is seen in which the preview is set."""
        return bool(self._watchers)

    def add_watcher(self, panel: object) -> None:
        """Make previews while a panel is seen."""
        if panel not in self._watchers:
            self._watchers.append(panel)
        self._try_soon()

    def remove_watcher(self, panel: object) -> None:
        """Remove the preview once the last panel is hidden."""
        if panel in self._watchers:
            self._watchers.remove(panel)
        if not self._watchers:
            self._stop()

    def set_choices(self, choices: SegmentChoices | None, problem: str, at_once: bool = False) -> None:
        """Try other settings after a moment.

        Parameters
        ----------
        problem : str
            What is wrong with the settings where there are none.
        at_once : bool
            Do not wait: grouping anew follows the hand. Without a preview that can be grouped it waits all the same.
        """
        self._choices, self.choices_problem = choices, problem if choices is None else ""
        if at_once and self._source is not None:
            self._try_timer.stop()
            self._try()
        else:
            self._try_soon()

    def show(self, choices: SegmentChoices, box: Box) -> None:
        """Show the segments that settings make of a box."""
        request = _Request(choices, box)
        if request in (self._next, self._running if self._next is None else None):
            return
        shown = self._shown
        if not self.is_busy and shown is not None and self._source is not None and shown.box == box:
            if shown == request and self.problem is None:
                return
            if shown.choices.supervoxels() == choices.supervoxels():
                self._group(request, self._source)
                return
        self._next = request
        if self._running is None:
            self._start()
        elif self._handle is not None:
            self._handle.cancel()
        self.changed.emit()

    def clear(self) -> None:
        """Remove the preview, and stop the one under way."""
        self._latest.drop()
        self._next = self._shown = self._source = self.problem = None
        if self._handle is not None:
            self._handle.cancel()
        if self._workspace.layers is not None:
            self._workspace.layers.show_trial(None)
        self.changed.emit()

    def close(self) -> None:
        """End the thread that groups; may be called twice."""
        self._next = None
        self._try_timer.stop()
        self._follow_timer.stop()
        self._latest.close()

    # ---- private

    def _try_soon(self) -> None:
        if self.is_on and self.is_watched:
            self._try_timer.start()
        else:
            self._try_timer.stop()

    def _try(self) -> None:
        box = self._box_in_view()
        if not self.is_on or not self.is_watched or box is None:
            return
        if self._choices is not None:
            self.show(self._choices, box)
            self._follow_timer.start()
        self.changed.emit()

    def _box_in_view(self) -> Box | None:
        session, layers = self._workspace.session, self._workspace.layers
        if session is None or layers is None:
            return None
        return preview_box(layers.view_box(), self.sections, session.strokes.store.shape)

    def _follow(self) -> None:
        """Make another preview where the view has left the one that is shown."""
        wanted, has, layers = self._box_in_view(), self.box, self._workspace.layers
        if wanted is None or has is None or layers is None or self.is_busy:
            return
        if not has.contains(layers.view_box().intersect(wanted)):
            self._try_soon()

    def _stop(self) -> None:
        self._follow_timer.stop()
        self._try_timer.stop()
        self.clear()

    def _start(self) -> None:
        request, self._next = self._next, None
        session = self._workspace.session
        if request is None or session is None:
            return
        self._running, self._handle, self._has_begun = request, None, False

        def refuse(error: PytcError) -> None:
            self._end(request, error)

        def run() -> None:
            runner = self._workspace.worker.runner
            if self._running is not request:
                return
            if self._workspace.session is not session or runner is None or self._next is not None:
                self._end(request, None)
                return
            try:
                job = session.jobs.preview_job(request.box, **request.choices.arguments())
                self._handle = session.jobs.run(job, runner, lambda event: self._receive((request, job), event))
            except (PytcError, OSError) as error:
                refuse(readable(error))

        self._workspace.launcher.give_way(lambda: self._workspace.worker.when_ready(run, refuse))

    def _receive(self, of: tuple[_Request, SegmentJob], event: JobEvent) -> None:
        """Take an event of the runner, in any of its threads."""
        if isinstance(event, (Started, Progressed, *TERMINAL)):
            try:
                self._received.emit(of, event)
            except RuntimeError:  # the window is gone
                return

    def _on_event(self, of: tuple[_Request, SegmentJob], event: JobEvent) -> None:
        request, job = of
        if isinstance(event, Started):
            self._has_begun, self._began = True, time.monotonic()
            self.changed.emit()
        elif isinstance(event, Finished):
            self._read(request, job)
        elif isinstance(event, TERMINAL):
            error = PytcError(event.message, event.hint) if isinstance(event, Failed) else None
            self._discard(job)
            self._end(request, error)

    def _read(self, request: _Request, job: SegmentJob) -> None:
        def on_result(source: PreviewSource) -> None:
            self._discard(job)
            if request is self._running and self._next is None and self._workspace.layers is not None:
                self._shown, self._source, self.problem = request, source, None
                self.seconds = time.monotonic() - self._began
                self._workspace.layers.show_trial(source)
            self._end(request, None)

        def on_error(error: PytcError) -> None:
            self._discard(job)
            self._end(request, error)

        self._workspace.background.run(
            lambda: PreviewSource.read(job.output, request.box), on_result, on_error, receiver=self
        )

    def _discard(self, job: SegmentJob) -> None:
        session = self._workspace.session
        if session is not None:
            self._workspace.background.run(lambda: _discard_folder(session, job))

    def _end(self, request: _Request, error: PytcError | None) -> None:
        if request is self._running:
            self._running = self._handle = None
            if error is not None and self._next is None:
                self.problem, self._shown, self._source = error, None, None
                if self._workspace.layers is not None:
                    self._workspace.layers.show_trial(None)
            if self._next is not None:
                self._start()
        self.changed.emit()

    def _group(self, request: _Request, source: PreviewSource) -> None:
        self._shown = request
        began = time.monotonic()

        def on_result(segments: np.ndarray) -> None:
            layers = self._workspace.layers
            if source is self._source and layers is not None:
                source.set_segments(segments)
                self.seconds, self.problem = time.monotonic() - began, None
                layers.segments.refresh(source.box)
                self.changed.emit()

        def on_error(error: PytcError) -> None:
            if source is self._source:
                self.problem = error
                self.changed.emit()

        self._latest.run(lambda: source.partition(request.choices.decoder), on_result, on_error)


def _discard_folder(session: Session, job: SegmentJob) -> None:
    """Delete a preview from the disk; where that fails it is swept away later."""
    try:
        session.segmentations.discard(job)
    except PytcError:
        return
    session.project.empty_trash()
