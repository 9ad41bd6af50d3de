"""A process that edits a project until it is killed.

Started with ``python -m``. For each line ``<folder> <seed>`` on standard input it forks, so that imports are paid once;
the fork opens the project and makes random edits, undoes and redoes, and tells after each the number of steps in the
log and the checksum. The first line it tells is its process id.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np

from napari_pytc.proofreading.edits import SwitchSegmentation
from napari_pytc.proofreading.edits.base import variants
from napari_pytc.proofreading.journal.journal import Journal
from tests.support.random_edits import random_step
from tests.support.segmentations import FolderDocuments


def edit(folder: Path, seed: int) -> None:
    def tell(*words: object) -> None:
        os.write(1, (" ".join(map(str, words)) + "\n").encode())

    tell(os.getpid())
    rng = np.random.default_rng(seed)
    journal = Journal(folder / "journal.sqlite", FolderDocuments(folder), flush_bytes=50_000)
    if journal.segmentation is None:
        journal.apply(SwitchSegmentation(after="first"))
    while True:
        chance = rng.random()
        if chance < 0.2 and journal.position > 1:
            journal.undo()
        elif chance < 0.35:
            journal.redo()
        elif chance < 0.4:
            journal.flush()
        else:
            random_step(journal, rng, folder / "labels.npy")
        tell(journal.n_logged, journal.document.present_checksum())


def main() -> None:
    variants()
    for line in sys.stdin:
        folder, seed = line.split()
        child = os.fork()
        if child == 0:
            edit(Path(folder), int(seed))
        os.waitpid(child, 0)
        os.write(1, b"gone\n")


if __name__ == "__main__":
    main()
