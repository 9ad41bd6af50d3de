"""A live preview: a small segmentation in the worker, shown while settings are tried."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal

from napari_pytc.errors import PytcError
from napari_pytc.geometry import Box, Shape
from napari_pytc.jobs.events import TERMINAL, Failed, Finished, JobEvent, Progressed, Started
from napari_pytc.ui.background import readable
from napari_pytc.ui.segmenting.choices import SegmentChoices
from napari_pytc.ui.segmenting.latest import Latest
from napari_pytc.ui.segmenting.source import PreviewSource
from napari_pytc.ui.segmenting.work import discard

if TYPE_CHECKING:
    import numpy as np

    from napari_pytc.decoding.base import DecoderSettings
    from napari_pytc.decoding.jobs import SegmentJob
    from napari_pytc.jobs.runners.base import JobHandle
    from napari_pytc.ui.workspace import Workspace

MOST_VOXELS = 1_500_000
"""A preview is cut down to so many around its middle: a few seconds of the slowest decoder."""


def preview_box(view: Box, sections: int, shape: Shape, most: int = MOST_VOXELS) -> Box:
    """What to decode for a view: so many sections around it, and of a large view its middle.

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
    """Keeps a preview up to date: of several wishes that come while one is decoded only the newest is decoded next.

    Other settings of the decoder's slider alone only group the supervoxels anew, in a thread.

    Parameters
    ----------
    workspace : Workspace
        Whose worker decodes, and whose canvas shows it.
    """

    changed = Signal()
    """What is shown, or how far it is."""

    _told = Signal(object, object)

    def __init__(self, workspace: Workspace, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._workspace = workspace
        self._latest = Latest(self)
        self._running: _Request | None = None
        self._handle: JobHandle | None = None
        self._next: _Request | None = None
        self._shown: _Request | None = None
        self._source: PreviewSource | None = None
        self._began = 0.0
        self._has_begun = False
        self.problem: PytcError | None = None
        """Why there is none, if the last attempt failed."""
        self.seconds = 0.0
        """How long the one that is shown took; of one that was grouped anew, the grouping."""
        self._told.connect(self._on_event)
        workspace.session_changed.connect(self.clear)
        workspace.jobs.closed.connect(self.close)

    @property
    def source(self) -> PreviewSource | None:
        """The segments that are shown."""
        return self._source

    @property
    def box(self) -> Box | None:
        """Where the preview is, or will be."""
        request = self._next or self._running or self._shown
        return None if request is None else request.box

    @property
    def is_busy(self) -> bool:
        """Whether one is being decoded."""
        return self._running is not None

    @property
    def is_waiting(self) -> bool:
        """Whether the worker is at something else."""
        return self._running is not None and not self._has_begun

    def show(self, choices: SegmentChoices, box: Box) -> None:
        """Show what these settings make of a box."""
        request = _Request(choices, box)
        if request in (self._next, self._running if self._next is None else None):
            return
        shown = self._shown
        if not self.is_busy and shown is not None and self._source is not None and shown.box == box:
            if shown == request and self.problem is None:
                return
            if shown.choices.supervoxels() == choices.supervoxels():
                self._group(request)
                return
        self._next = request
        if self._running is None:
            self._start()
        elif self._handle is not None:
            self._handle.cancel()
        self.changed.emit()

    def clear(self) -> None:
        """Take the preview away, and stop what is under way."""
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
        self._latest.close()

    # ---- what follows is ours

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
                job = session.preview_job(request.box, **request.choices.arguments())
                self._handle = session.run(job, runner, lambda event: self._tell((request, job), event))
            except (PytcError, OSError) as error:
                refuse(readable(error))

        self._workspace.give_way(lambda: self._workspace.worker.when_hired(run, refuse))

    def _tell(self, of: tuple[_Request, SegmentJob], event: JobEvent) -> None:
        """Called by the runner's threads."""
        if isinstance(event, (Started, Progressed, *TERMINAL)):
            try:
                self._told.emit(of, event)
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
        def read() -> PreviewSource:
            return PreviewSource.read(job.output, request.box)

        def take(source: PreviewSource) -> None:
            self._discard(job)
            if request is self._running and self._next is None and self._workspace.layers is not None:
                self._shown, self._source, self.problem = request, source, None
                self.seconds = time.monotonic() - self._began
                self._workspace.layers.show_trial(source)
            self._end(request, None)

        def fail(error: PytcError) -> None:
            self._discard(job)
            self._end(request, error)

        self._workspace.background.run(read, take, fail, receiver=self)

    def _discard(self, job: SegmentJob) -> None:
        session = self._workspace.session
        if session is not None:
            self._workspace.background.run(partial(discard, session, job))

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

    def _group(self, request: _Request) -> None:
        source, decoder = self._source, request.choices.decoder
        assert source is not None
        self._shown = request
        began = time.monotonic()

        def take(segments: np.ndarray) -> None:
            layers = self._workspace.layers
            if source is self._source and layers is not None:
                source.take(segments)
                self.seconds, self.problem = time.monotonic() - began, None
                layers.segments.refresh(source.box)
                self.changed.emit()

        def fail(error: PytcError) -> None:
            if source is self._source:
                self.problem = error
                self.changed.emit()

        self._latest.run(_grouping(source, decoder), take, fail)


def _grouping(source: PreviewSource, decoder: DecoderSettings) -> Callable[[], Any]:
    return lambda: source.partitioned(decoder)
