from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_pytc.geometry import Box
from napari_pytc.labels.segmentation import Segmentation
from napari_pytc.proofreading.edits import Paint, SwitchSegmentation
from napari_pytc.proofreading.edits.base import variants
from napari_pytc.proofreading.journal.journal import Journal
from napari_pytc.proofreading.journal.replay import replay
from tests.support.random_edits import folder_in_memory, random_step, state_of
from tests.support.segmentations import FolderDocuments, make_project

N_PIECES, N_EDITS = 5, 200
_USUAL = {"merge", "split", "split_line", "paint", "new_segment", "smooth", "scribble", "mark_objects", "import_labels",
          "delete", "restore", "lock", "unlock", "set_class"}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(N_PIECES))
def test_a_thousand_random_edits_there_and_back(seed: int):
    """Undone to the beginning and made again to the end, with restarts between: every state is the same to the bit."""
    with folder_in_memory() as folder:
        made = make_project(
            folder, shape=(8, 40, 40), n_cells=16, seed=seed, membranes=seed % 2 == 1, merged=seed % 3 == 0
        )
        labels = folder / "labels.npy"
        np.save(labels, np.random.default_rng(seed).integers(0, 3, (1, 4, 5)).astype(np.uint8))
        rng = np.random.default_rng(seed)

        def opened() -> Journal:
            # A bound that small flushes every few edits.
            documents = FolderDocuments(folder, made.boundary)
            return Journal(folder / "journal.sqlite", documents, flush_bytes=200_000)

        journal = opened()
        journal.apply(SwitchSegmentation(after="first"))
        states = [state_of(journal)]
        kinds = set()
        for k in range(N_EDITS):
            random_step(journal, rng, labels)
            states.append(state_of(journal))
            kinds.add(journal.entries()[-1].kind)
            if k % 67 == 66:
                journal.close()
                journal = opened()
                assert state_of(journal) == states[-1]
        assert kinds >= _USUAL & variants().keys()
        for k in range(N_EDITS, 0, -1):
            assert journal.undo() is not None
            assert state_of(journal) == states[k - 1]
        journal.close()
        journal = opened()
        for k in range(1, N_EDITS + 1):
            assert journal.redo() is not None
            assert state_of(journal) == states[k]
        assert journal.redo() is None
        first = journal.entries()[0].id
        for place in (0, N_EDITS // 2, 3, N_EDITS):
            journal.jump(first + place)
            assert state_of(journal) == states[place]
        found = replay(journal, Segmentation.open(folder / "segments" / "first"))
        assert found.checksum == found.stored == states[-1][0]
        journal.close()


def test_a_piece_of_history_in_bytes(tmp_path: Path):
    """The file grows with what changed: an edit's entry is the same size whatever the volume."""
    sizes = []
    for shape in ((8, 64, 64), (32, 128, 128)):
        folder = tmp_path / str(shape[0])
        make_project(folder, shape=shape, n_cells=12, seed=1)
        journal = Journal(folder / "journal.sqlite", FolderDocuments(folder))
        journal.apply(SwitchSegmentation(after="first"))
        document = journal.document
        assert document is not None
        box = Box((1, 5, 5), (3, 25, 25))
        journal.apply(Paint.of(box, np.ones(box.shape, bool), 0))
        rows = journal._file.rows("SELECT length(change) + length(edit) FROM entries WHERE kind = 'paint'")
        sizes.append(rows[0][0])
        assert rows[0][0] <= 16 * box.size
        journal.close()
    assert max(sizes) <= 1.5 * min(sizes)
