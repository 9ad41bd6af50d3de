"""Steps over the blocks of a volume: several blocks at a time, with progress, cancel, and a ledger to resume by."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

import numpy as np

from napari_pytc.decoding.blocks.block_results import BlockResults
from napari_pytc.geometry import TileGrid
from napari_pytc.jobs.context import JobContext
from napari_pytc.jobs.ledger import Ledger
from napari_pytc.labels.segmentation import SegmentationWriter, digest_of


class BlockSteps:
    """Runs steps over all blocks; each step's result must not depend on the order of blocks.

    Parameters
    ----------
    workers : int
        Blocks at a time.
    n_steps : int
        Number of steps, for the progress.
    """

    def __init__(self, grid: TileGrid, results: BlockResults, workers: int, ctx: JobContext, n_steps: int = 4) -> None:
        self._grid, self._results, self._workers, self._ctx = grid, results, workers, ctx
        self._done, self._total = 0, n_steps * len(grid)

    def report(self, note: str) -> None:
        """Report the progress with a note on what comes next."""
        self._ctx.report(self._done, self._total, note)

    def run_once(self, step: str, work: Callable[[int], None], note: str) -> None:
        """Do a step of every block that an earlier run has not done."""
        with Ledger(self._results.folder / f"{step}.ledger", self._results.work) as ledger:
            before = ledger.done()
            self._done += len(before)

            def work_and_mark(index: int) -> None:
                work(index)
                ledger.mark(index)

            self._run([index for index in range(len(self._grid)) if index not in before], work_and_mark, note)

    def run(self, work: Callable[[int], None], note: str) -> None:
        """Do a step of every block."""
        self._run(range(len(self._grid)), work, note)

    def write(self, writer: SegmentationWriter, final: np.ndarray) -> int:
        """Write the final ids of every block; returns their digest.

        Parameters
        ----------
        final : ndarray of uint32
            The supervoxel of each label of `BlockResults.read`.
        """
        digests: dict[int, int] = {}
        shape = writer.supervoxels.shape

        def write(index: int) -> None:
            box = self._grid[index].write
            labels = final[self._results.read(box, self._grid)]
            writer.supervoxels.write(box, labels)
            digests[index] = digest_of(labels, box.start, shape)

        self.run(write, "writing")
        return sum(digests.values())

    def _run(self, indices: Iterable[int], work: Callable[[int], None], note: str) -> None:
        stop = threading.Event()

        def guarded(index: int) -> None:
            if not stop.is_set():
                self._ctx.check()
                work(index)

        self.report(note)
        waiting: set[Future[None]] = set()
        with ThreadPoolExecutor(self._workers, "segment") as pool:
            try:
                for index in indices:
                    waiting.add(pool.submit(guarded, index))
                    if len(waiting) > self._workers:
                        waiting = self._collect(waiting, note)
                while waiting:
                    waiting = self._collect(waiting, note)
            finally:
                stop.set()  # after an error or a cancel, no further block begins

    def _collect(self, waiting: set[Future[None]], note: str) -> set[Future[None]]:
        ready, left = wait(waiting, return_when=FIRST_COMPLETED)
        for future in ready:
            future.result()
            self._done += 1
            self.report(note)
        return left
