from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest

from napari_pytc.labels.segmentation import Segmentation
from napari_pytc.proofreading.journal.journal import Journal
from napari_pytc.proofreading.journal.replay import replay
from tests.support.random_edits import folder_in_memory, state_of
from tests.support.segmentations import FolderDocuments, make_project
from tests.support.waiting import PATIENCE_S

N_KILLS = 40


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="the editing process forks")
def test_killed_at_random_instants_it_loses_at_most_the_edit_on_its_way():
    rng = np.random.default_rng(0)
    with folder_in_memory() as folder:
        make_project(folder, shape=(8, 40, 40), n_cells=12)
        np.save(folder / "labels.npy", rng.integers(0, 3, (1, 4, 5)).astype(np.uint8))
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.editing_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        n_logged, n_acknowledged = 0, 0
        try:
            for kill in range(N_KILLS):
                process.stdin.write(f"{folder} {kill}\n")
                process.stdin.flush()
                editor = int(process.stdout.readline())
                # Every other one is not killed before it has made an edit, however long it takes to begin.
                lines = [process.stdout.readline()] if kill % 2 else []
                assert lines != ["gone\n"], "it ended by itself"
                timer = threading.Timer(rng.uniform(0.0, 0.3), os.kill, (editor, signal.SIGKILL))
                timer.start()
                while (line := process.stdout.readline()) != "gone\n":
                    # What the kill cut short has no end of line and runs into the next.
                    lines.append(line)
                timer.join()
                complete = [line.split() for line in lines if line.endswith("\n") and len(line.split()) == 2]
                checksum = None
                if complete:
                    n_logged, checksum = int(complete[-1][0]), complete[-1][1]
                n_acknowledged += len(complete)
                journal = Journal(folder / "journal.sqlite", FolderDocuments(folder))
                assert n_logged <= journal.n_logged <= n_logged + 1
                if journal.document is not None:
                    now, _ = state_of(journal)
                    assert now == journal.stored_checksum("first")
                    if checksum is not None and journal.n_logged == n_logged:
                        assert now == checksum
                n_logged = journal.n_logged
                if kill % 10 == 9:
                    found = replay(journal, Segmentation.open(folder / "segments" / "first"))
                    assert found.agrees
                journal.close()
        finally:
            process.stdin.close()
            process.wait(timeout=PATIENCE_S)
            process.stdout.close()
        assert n_acknowledged >= N_KILLS // 2
