"""The recorder of a training: passes what it is told to all trackers, in a thread of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np

from napari_pytc.errors import PytcError
from napari_pytc.jobs.context import JobCancelled, JobContext, PassingContext
from napari_pytc.learning.tracking.tracker import TrackedTraining, Tracker, TrackerError, TrainingOutcome
from napari_pytc.plans.tracking import TrackerSettings, Tracking
from napari_pytc.settings import resolve

_MOST_WAITING = 2000
"""Messages that may wait for trackers; further ones are left out, so that a stuck disk takes no memory."""
_STOPPED_WAIT_S = 3.0
"""A cancelled job is killed soon: trackers that need longer are left behind."""
_CHECKED_EVERY_S = 0.2


_LEFT_BEHIND: list[threading.Thread] = []
"""Threads of records that a stopped training did not wait for; the next record begins after them."""


class Recorder:
    """Records a training by some trackers; with none, every call returns at once.

    The training never waits for trackers but at its end, and never fails by them: one that fails is left out from then
    on, which is told once.

    Parameters
    ----------
    tracking : Tracking
        The trackers.
    folder : Path
        Of the training; each tracker has a folder in it, named by its kind.
    warn : callable
        Gets sentences for the user; from another thread.
    """

    def __init__(self, tracking: Tracking, folder: Path, warn: Callable[[str], None]) -> None:
        self._settings, self._folder, self._warn = tracking.trackers, folder, warn
        self._trackers: dict[str, Tracker] = {}
        self._row: dict[str, float] = {}
        self._step = 0
        self._is_full = False
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self.notes: list[str] = []
        """What was told."""
        self.folders: dict[str, str] = {}
        """Folder of each tracker that began, by kind."""

    @property
    def is_on(self) -> bool:
        """Whether anything is recorded."""
        return bool(self._settings)

    @property
    def wants_pictures(self) -> bool:
        """Whether any tracker records pictures."""
        return any(one.pictures for one in self._settings)

    def begin(self, name: str, settings: dict[str, Any], provenance: dict[str, Any], first_step: int) -> None:
        """Open the trackers, or open them again for another attempt; what belongs to steps after the first is void."""
        if not self.is_on:
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="trackers", daemon=True)
            self._thread.start()
        self._row = {}
        training = TrackedTraining(name, self._folder, settings, provenance, first_step, self.tell)
        self._work.put(lambda: self._open(training))

    def scalar(self, name: str, step: int, value: float) -> None:
        """Record a number; those of one step are passed on together."""
        if self._thread is None:
            return
        if step != self._step:
            self._pass_row()
        self._step = step
        self._row[name] = value

    def pictures(self, step: int, pictures: Mapping[str, np.ndarray]) -> None:
        """Record pictures by title, each (y, x, 3) uint8."""
        if self._thread is None or not pictures:
            return
        self._pass_row()
        wanted = {one.kind for one in self._settings if one.pictures}
        self._put(lambda: self._each(lambda tracker: tracker.pictures(step, pictures), wanted))

    def finish(self, outcome: TrainingOutcome, check: Callable[[], None] = lambda: None) -> None:
        """End the record, and wait until it is written; not for long where the user stopped the training.

        Parameters
        ----------
        check : callable
            Called while waiting; raises `JobCancelled` to wait no longer, which ends the wait alone: the model of a
            finished training is there.
        """
        thread, self._thread = self._thread, None
        if thread is None:
            return
        row, step = self._row, self._step
        if row:
            self._work.put(lambda: self._each(lambda tracker: tracker.scalars(step, row)))
        self._work.put(lambda: self._finish(outcome))
        self._work.put(None)
        longest = sum(one.longest_wait_s for one in self._settings)
        started = time.monotonic()
        with suppress(JobCancelled):
            end = started + (longest if outcome.state == "finished" else min(longest, _STOPPED_WAIT_S))
            while thread.is_alive() and time.monotonic() < end:
                thread.join(min(_CHECKED_EVERY_S, longest))
                check()
        if thread.is_alive():
            _LEFT_BEHIND.append(thread)
        if thread.is_alive() and outcome.state == "finished":
            titles = " and ".join(one.title for one in self._settings)
            self.tell(
                f"{titles} did not end within {time.monotonic() - started:.0f} s, so the last of what was recorded may "
                f"be missing. What is on the disk is in {self._folder}."
            )

    def tell(self, sentence: str) -> None:
        """Tell the user a sentence, once; from any thread."""
        if sentence not in self.notes:
            self.notes.append(sentence)
            self._warn(sentence)

    # ---- private

    def _pass_row(self) -> None:
        if self._row:
            row, step, self._row = self._row, self._step, {}
            self._put(lambda: self._each(lambda tracker: tracker.scalars(step, row)))

    def _put(self, work: Callable[[], None]) -> None:
        if self._work.qsize() < _MOST_WAITING:
            self._work.put(work)
        elif not self._is_full:
            self._is_full = True
            self.tell("The trackers cannot keep up with the training: some of its steps are not recorded.")

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            work()

    def _open(self, training: TrackedTraining) -> None:
        self._each(lambda tracker: tracker.finish(TrainingOutcome("stopped")))
        self._trackers = {}
        while _LEFT_BEHIND:
            _LEFT_BEHIND.pop().join(max(one.longest_wait_s for one in self._settings))
        for settings in self._settings:
            try:
                folder = training.folder / settings.kind
                self._trackers[settings.kind] = _opened(settings, replace(training, folder=folder))
                self.folders[settings.kind] = str(folder)
            except Exception as error:  # the trackers' boundary: no fault of theirs may end a training
                self.tell(_not_begun(settings, error))

    def _each(self, call: Callable[[Tracker], None], kinds: set[str] | None = None) -> None:
        """Call all trackers; one that fails is left out from now on."""
        for kind, tracker in list(self._trackers.items()):
            if kinds is None or kind in kinds:
                try:
                    call(tracker)
                except Exception as error:  # as above
                    del self._trackers[kind]
                    with suppress(Exception):  # it gives back what it holds
                        tracker.finish(TrainingOutcome("failed"))
                    self.tell(_ended(self._title(kind), error))

    def _finish(self, outcome: TrainingOutcome) -> None:
        self._each(lambda tracker: tracker.finish(outcome))
        self._trackers = {}

    def _title(self, kind: str) -> str:
        return next(one.title for one in self._settings if one.kind == kind)


class RecordedContext(PassingContext):
    """A job's context whose metrics are recorded by trackers, too."""

    def __init__(self, ctx: JobContext, recorder: Recorder) -> None:
        super().__init__(ctx)
        self._recorder = recorder

    def metric(self, name: str, step: int, value: float) -> None:
        """See `JobContext`."""
        super().metric(name, step, value)
        self._recorder.scalar(name, step, value)


@contextmanager
def recorded(recorder: Recorder) -> Iterator[None]:
    """End a record as stopped or failed where the block does not end it."""
    try:
        yield
    except JobCancelled:
        recorder.finish(TrainingOutcome("stopped"))
        raise
    except BaseException:
        recorder.finish(TrainingOutcome("failed"))
        raise


def _opened(settings: TrackerSettings, training: TrackedTraining) -> Tracker:
    if not settings.is_installed():
        raise TrackerError(f"{settings.package} is not installed.", f"Install it: {settings.install}.")
    training.folder.mkdir(parents=True, exist_ok=True)
    tracker: Tracker = resolve(settings.builds)(settings, training)
    return tracker


def _not_begun(settings: TrackerSettings, error: Exception) -> str:
    return _sentence(f"{settings.title} does not record this training", error, "The training goes on without.")


def _ended(title: str, error: Exception) -> str:
    return _sentence(f"{title} records no more of this training", error, "The training goes on without.")


def _sentence(what: str, error: Exception, then: str) -> str:
    if isinstance(error, PytcError):
        return " ".join(part for part in (f"{what}: {error.message}", error.hint, then) if part)
    if isinstance(error, OSError):
        place = f" ({error.filename})" if error.filename else ""
        return f"{what}: {error.strerror or error}{place}. {then} Free space on the disk or choose another folder."
    text = " ".join(str(error).split())[:300].rstrip(".")
    return f"{what}: {type(error).__name__}{f': {text}' if text else ''}. {then}"
