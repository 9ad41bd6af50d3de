"""The process that makes skeletons for the window: one after another, given up, crashed."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QProcess

from napari_pytc.errors import PytcError
from napari_pytc.geometry import VoxelSpace
from napari_pytc.skeletons.skeleton import Skeleton
from napari_pytc.skeletons.teasar import skeletonise
from napari_pytc.ui.panels.proofread.skeleton_process import SegmentMask, SkeletonProcess
from tests.support.waiting import PATIENCE_S

pytestmark = pytest.mark.slow
PATIENCE_MS = int(1000 * PATIENCE_S)

SPACE = VoxelSpace((20.0, 10.0, 10.0))


class Asked:
    """What a process answered."""

    def __init__(self) -> None:
        self.found: list[list[Skeleton]] = []
        self.errors: list[PytcError] = []

    def run(self, process: SkeletonProcess, *masks: SegmentMask) -> None:
        process.run(masks, SPACE, self.found.append, self.errors.append)


def tube(segment: int, n: int = 40) -> SegmentMask:
    mask = np.zeros((5, 9, n), bool)
    mask[1:4, 2:7, 1 : n - 1] = True
    return SegmentMask(segment, mask, (0, 0, segment))


@pytest.fixture
def process(qtbot: QtBot) -> Iterator[SkeletonProcess]:
    process = SkeletonProcess()
    yield process
    process.stop()


def test_skeletons_of_several_masks_come_together(process: SkeletonProcess, qtbot: QtBot) -> None:
    asked = Asked()
    asked.run(process, tube(3), tube(5, 60))
    assert process.is_busy
    qtbot.waitUntil(lambda: bool(asked.found), timeout=PATIENCE_MS)
    assert not process.is_busy
    for found, mask in zip(asked.found[0], (tube(3), tube(5, 60)), strict=True):
        expected = skeletonise(mask.mask, mask.segment, SPACE, mask.start)
        assert found.segment == mask.segment
        assert found.nodes_nm.tolist() == expected.nodes_nm.tolist()
    asked.run(process, tube(7))  # the same process again
    qtbot.waitUntil(lambda: len(asked.found) == 2, timeout=PATIENCE_MS)
    assert [one.segment for one in asked.found[1]] == [7]
    assert asked.errors == []


def test_newer_work_takes_the_place_of_older(process: SkeletonProcess, qtbot: QtBot) -> None:
    older, newer = Asked(), Asked()
    older.run(process, tube(1), tube(2))
    newer.run(process, tube(3))
    qtbot.waitUntil(lambda: bool(newer.found), timeout=PATIENCE_MS)
    assert [one.segment for one in newer.found[0]] == [3]
    assert older.found == older.errors == []


def test_work_that_is_stopped_is_over_at_once(process: SkeletonProcess) -> None:
    asked = Asked()
    large = SegmentMask(1, np.ones((64, 256, 256), bool), (0, 0, 0))
    asked.run(process, large)
    running = process._process
    assert running is not None
    process.stop()
    assert running.state() == QProcess.ProcessState.NotRunning
    assert not process.is_busy
    assert asked.found == asked.errors == []
    process.stop()  # nothing runs


def test_a_process_that_dies_is_told_and_another_one_starts(process: SkeletonProcess, qtbot: QtBot) -> None:
    asked = Asked()
    asked.run(process, SegmentMask(1, np.ones((64, 256, 256), bool), (0, 0, 0)))
    assert process._process is not None
    process._process.kill()
    qtbot.waitUntil(lambda: bool(asked.errors), timeout=PATIENCE_MS)
    assert "ended before it was done" in str(asked.errors[0])
    asked.run(process, tube(2))
    qtbot.waitUntil(lambda: bool(asked.found), timeout=PATIENCE_MS)


def test_a_process_that_cannot_start_is_told(
    process: SkeletonProcess, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.executable", "/no/such/python")
    asked = Asked()
    asked.run(process, tube(2))
    qtbot.waitUntil(lambda: bool(asked.errors), timeout=PATIENCE_MS)
