"""The worker of a workspace, started in the helper thread because starting a process takes a while."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal

from napari_pytc.errors import PytcError
from napari_pytc.ui.tasks.background import Background

if TYPE_CHECKING:
    from napari_pytc.jobs.runners.base import JobRunner


class WorkerHandle(QObject):
    """At most one runner, and the callers that wait for it.

    Parameters
    ----------
    make_runner : callable
        Makes the runner.
    background : Background
        The helper thread that makes it.
    """

    changed = Signal()
    """The runner is there, or could not be started."""
    failed = Signal(object)
    """The error of a runner that could not be started, where nobody waited for it."""

    def __init__(
        self, make_runner: Callable[[], JobRunner], background: Background, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self.runner: JobRunner | None = None
        self._make_runner, self._background = make_runner, background
        self._is_starting = self._is_closed = False
        self._waiting: list[tuple[Callable[[], None], Callable[[PytcError], None]]] = []

    @property
    def is_warm(self) -> bool:
        """Whether a job would start at once."""
        return bool(getattr(self.runner, "is_warm", self.runner is not None))

    def begin(self) -> None:
        """Start the runner, if none is there or on its way; returns at once."""
        if self.runner is None and not self._is_starting and not self._is_closed:
            self._is_starting = True
            self._background.run(
                self._make_runner, self._on_started, self._on_failed, discard=lambda runner: runner.close()
            )

    def when_ready(self, start: Callable[[], None], refuse: Callable[[PytcError], None]) -> None:
        """Call `start` once the runner is there, at once if it is; `refuse` if it cannot be started."""
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

    def _on_started(self, runner: JobRunner) -> None:
        self._is_starting = False
        if self._is_closed:
            runner.close()
            return
        self.runner = runner
        self.changed.emit()
        waiting, self._waiting = self._waiting, []
        for start, _ in waiting:
            start()

    def _on_failed(self, error: PytcError) -> None:
        self._is_starting = False
        self.changed.emit()
        waiting, self._waiting = self._waiting, []
        for _, refuse in waiting:
            refuse(error)
        if not waiting:
            self.failed.emit(error)
