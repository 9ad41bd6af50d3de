"""The process that makes skeletons for the window: work that is not wanted any more is ended with it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, QProcess, QProcessEnvironment

from napari_pytc.errors import PytcError
from napari_pytc.jobs.runners.worker_process import worker_environment

if TYPE_CHECKING:
    import numpy as np

    from napari_pytc.geometry import Shape, VoxelSpace
    from napari_pytc.skeletons.skeleton import Skeleton

_END_MS = 2000


@dataclass(frozen=True, eq=False)
class SegmentMask:
    """The voxels of a segment in its box, which begins at a voxel of the volume."""

    segment: int
    mask: np.ndarray
    start: Shape


class SkeletonProcess(QObject):
    """Makes skeletons of masks, one after another, in a process that stays for the next ones.

    Qt reads and writes its pipes, so that no thread waits for it.
    """

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._process: QProcess | None = None
        self._waiting: list[int] = []
        self._found: list[Skeleton] = []
        self._received = b""
        self._on_result: Callable[[list[Skeleton]], object] | None = None
        self._on_error: Callable[[PytcError], object] | None = None

    @property
    def is_busy(self) -> bool:
        """Whether a skeleton is being made."""
        return bool(self._waiting)

    def warm_up(self) -> None:
        """Start the process, if there is none."""
        if self._process is not None:
            return
        process = QProcess(self)
        environment = QProcessEnvironment()
        for name, value in worker_environment(os.environ, 1).items():
            environment.insert(name, value)
        process.setProcessEnvironment(environment)
        process.setProcessChannelMode(QProcess.ProcessChannelMode.SeparateChannels)
        process.readyReadStandardOutput.connect(lambda: self._read(process))
        process.readyReadStandardError.connect(process.readAllStandardError)
        process.finished.connect(lambda *_: self._on_end(process))
        process.errorOccurred.connect(lambda _: self._on_end(process))
        self._process = process
        process.start(sys.executable, ["-P", "-m", "napari_pytc.skeletons.teasar_process"])

    def run(
        self,
        masks: Sequence[SegmentMask],
        space: VoxelSpace,
        on_result: Callable[[list[Skeleton]], object],
        on_error: Callable[[PytcError], object],
    ) -> None:
        """Make the skeletons of masks in place of those that are being made.

        Parameters
        ----------
        on_result, on_error : callable
            Called in this thread; neither after `stop` or another `run`.
        """
        from napari_pytc.skeletons.teasar_process import request_of

        if self.is_busy:
            self.stop()
        self.warm_up()
        assert self._process is not None
        self._waiting, self._found = [one.segment for one in masks], []
        self._on_result, self._on_error = on_result, on_error
        for one in masks:
            self._process.write(request_of(one.mask, one.segment, space, one.start))

    def stop(self) -> None:
        """End the process, and with it what it works at."""
        process, self._process = self._process, None
        self._forget()
        if process is not None:
            process.kill()
            process.waitForFinished(_END_MS)
            process.deleteLater()

    # ---- private

    def _forget(self) -> None:
        self._waiting, self._found, self._received = [], [], b""
        self._on_result = self._on_error = None

    def _read(self, process: QProcess) -> None:
        from napari_pytc.skeletons.teasar_process import read_reply

        if process is not self._process:
            return
        self._received += bytes(process.readAllStandardOutput().data())
        try:
            while self._waiting and (reply := read_reply(self._received, self._waiting[0])) is not None:
                skeleton, self._received = reply
                self._waiting.pop(0)
                self._found.append(skeleton)
        except PytcError as error:
            self._fail(error)
            return
        if not self._waiting and self._on_result is not None:
            found, on_result = self._found, self._on_result
            self._forget()
            on_result(found)

    def _on_end(self, process: QProcess) -> None:
        """It crashed, was ended from outside, or could not be started."""
        if process is self._process and process.state() == QProcess.ProcessState.NotRunning:
            self._fail(
                PytcError(
                    "The process that makes skeletons ended before it was done, perhaps for want of memory.",
                    "Close other programs, or export the skeletons: “Skeletons” in the Export panel.",
                )
            )

    def _fail(self, error: PytcError) -> None:
        on_error = self._on_error
        self.stop()
        if on_error is not None:
            on_error(error)
