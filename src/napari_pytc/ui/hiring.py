"""The worker of a workspace: hired in the helper thread, because starting a process takes a while."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal

from napari_pytc.errors import PytcError
from napari_pytc.ui.background import Background

if TYPE_CHECKING:
    from napari_pytc.jobs.runners.base import JobRunner


class Hiring(QObject):
    """At most one runner, and those who wait for it.

    Parameters
    ----------
    hire : callable
        Makes the runner.
    background : Background
        Whose thread makes it.
    """

    changed = Signal()
    """The runner is there, or could not be hired."""
    failed = Signal(object)
    """Why it could not, where nobody waited for it."""

    def __init__(self, hire: Callable[[], JobRunner], background: Background, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.runner: JobRunner | None = None
        self._hire, self._background = hire, background
        self._is_hiring = self._is_closed = False
        self._waiting: list[tuple[Callable[[], None], Callable[[PytcError], None]]] = []

    @property
    def is_warm(self) -> bool:
        """Whether a job would start at once."""
        return bool(getattr(self.runner, "is_warm", self.runner is not None))

    def begin(self) -> None:
        """Hire, if nobody is hired yet; returns at once."""
        if self.runner is None and not self._is_hiring and not self._is_closed:
            self._is_hiring = True
            self._background.run(self._hire, self._hired, self._not_hired, discard=lambda runner: runner.close())

    def when_hired(self, start: Callable[[], None], refuse: Callable[[PytcError], None]) -> None:
        """Call `start` once the runner is there, at once if it is; `refuse` if it cannot be hired."""
        if self.runner is not None:
            start()
        else:
            self._waiting.append((start, refuse))
            self.begin()

    def close(self) -> None:
        """End the worker."""
        self._is_closed = True
        if self.runner is not None:
            self.runner.close()

    def _hired(self, runner: JobRunner) -> None:
        self._is_hiring = False
        if self._is_closed:
            runner.close()
            return
        self.runner = runner
        self.changed.emit()
        waiting, self._waiting = self._waiting, []
        for start, _ in waiting:
            start()

    def _not_hired(self, error: PytcError) -> None:
        self._is_hiring = False
        self.changed.emit()
        waiting, self._waiting = self._waiting, []
        for _, refuse in waiting:
            refuse(error)
        if not waiting:
            self.failed.emit(error)
