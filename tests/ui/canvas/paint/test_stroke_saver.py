"""Strokes on their way to the disk: soon, whole, once, and not lost when the disk refuses or the process dies."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from napari_pytc.annotations.paint_store import PaintStore
from napari_pytc.errors import VolumeError
from napari_pytc.geometry import Box, VoxelSpace
from napari_pytc.labels.patches import LabelPatch
from napari_pytc.ui.canvas.paint.paint_array import PaintArray
from napari_pytc.ui.canvas.paint.stroke_saver import StrokeSaver
from tests.support.waiting import PATIENCE_S, wait_until

SHAPE = (20, 200, 300)


class Disk:
    """Writes to a store; full or slow where the test says so."""

    def __init__(self, folder: Path) -> None:
        self.store = PaintStore.create(folder, SHAPE, VoxelSpace())
        self.is_full = False
        self.gate = threading.Event()
        self.gate.set()
        self.begun = threading.Event()
        self.threads: set[int] = set()
        self.written: list[Sequence[LabelPatch]] = []

    def write(self, patches: Sequence[LabelPatch]) -> None:
        self.begun.set()
        assert self.gate.wait(PATIENCE_S)
        if self.is_full:
            raise VolumeError("The disk is full.", "Free space.")
        self.store.apply(patches)
        self.threads.add(threading.get_ident())
        self.written.append(patches)


def boxes(disk: Disk) -> list[Box]:
    """Of the strokes that were written, all of one patch."""
    return [patch.box for (patch,) in disk.written]


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path / "strokes.zarr")


@pytest.fixture
def array(disk: Disk) -> PaintArray:
    return PaintArray(disk.store)


@pytest.fixture
def saver(qtbot: Any, disk: Disk, array: PaintArray) -> Iterator[StrokeSaver]:
    saver = StrokeSaver(array, disk.write)
    array._on_change = saver.touch
    yield saver
    disk.gate.set()
    saver.close()


def test_a_stroke_is_saved_when_the_brush_rests(qtbot: Any, disk: Disk, array: PaintArray, saver: StrokeSaver) -> None:
    disk.gate.clear()
    with qtbot.waitSignal(saver.saved):
        array[3, 100:110, 100] = 2
        assert disk.store.counts() == {}
        disk.gate.set()
    assert disk.store.counts() == {2: 10}
    assert array.is_saved
    assert disk.threads == {saver.thread_id}


@pytest.mark.slow
def test_a_long_stroke_is_saved_while_it_goes_on(qtbot: Any, disk: Disk, array: PaintArray, saver: StrokeSaver) -> None:
    def paint_on() -> bool:
        array[3, next(rows) % 200, 100] = next(labels)
        return bool(disk.written)

    rows, labels = itertools.count(), itertools.cycle((1, 2, 3))
    qtbot.waitUntil(paint_on)  # it looks every 10 ms
    qtbot.waitUntil(lambda: array.is_saved)


def test_what_is_painted_between_press_and_release_is_written_at_once(
    qtbot: Any, disk: Disk, array: PaintArray, saver: StrokeSaver
) -> None:
    array[3, 10, 10] = 1  # by something else than the mouse
    saver.press()
    for k in range(110):
        array[3, 60 + k // 2, 40 + k] = 2  # over several chunks, longer than a pause
        if k % 10 == 0:
            qtbot.wait(10)
    qtbot.wait(300)
    assert boxes(disk) in ([], [Box((3, 10, 10), (4, 11, 11))])
    saver.release()
    saver.press()  # the next one follows before the disk is done
    array[3, 60, 40] = 0
    saver.release()
    qtbot.waitUntil(lambda: array.is_saved)
    assert boxes(disk) == [
        Box((3, 10, 10), (4, 11, 11)),
        Box((3, 60, 40), (4, 115, 150)),
        Box((3, 60, 40), (4, 61, 41)),
    ]
    assert disk.written[1][0].after[0] == 2, "each stroke as it was when it ended"
    assert disk.store.counts() == {1: 1, 2: 109}


def test_a_stroke_that_reaches_far_has_several_patches(
    qtbot: Any, monkeypatch: pytest.MonkeyPatch, disk: Disk, array: PaintArray, saver: StrokeSaver
) -> None:
    monkeypatch.setattr("napari_pytc.ui.canvas.paint.paint_array.MOST_STROKE", 1000)
    saver.press()
    array[0, 0, 0] = array[19, 199, 299] = 1
    saver.release()
    qtbot.waitUntil(lambda: array.is_saved)
    assert [len(patches) for patches in disk.written] == [2]
    assert disk.store.counts() == {1: 2}


def test_strokes_painted_while_others_are_saved(qtbot: Any, disk: Disk, array: PaintArray, saver: StrokeSaver) -> None:
    disk.gate.clear()
    array[3, 0:50, 100] = 1
    qtbot.waitUntil(disk.begun.is_set)
    array[3, 25:75, 100] = 2
    array[3, 0:10, 100] = 0
    disk.gate.set()
    qtbot.waitUntil(lambda: array.is_saved)
    assert disk.store.counts() == {1: 15, 2: 50}


def test_flush_calls_back_at_once_or_when_all_is_on_disk(
    qtbot: Any, disk: Disk, array: PaintArray, saver: StrokeSaver
) -> None:
    seen: list[Any] = []
    saver.flush(lambda: seen.append("nothing to do"))
    assert seen == ["nothing to do"]
    disk.gate.clear()
    array[3, 100:110, 100] = 2
    saver.flush(lambda: seen.append((disk.store.counts(), threading.current_thread() is threading.main_thread())))
    assert len(seen) == 1
    disk.gate.set()
    qtbot.waitUntil(lambda: len(seen) == 2)
    assert seen[1] == ({2: 10}, True)


@pytest.mark.slow
def test_a_full_disk_is_reported_once_and_tried_again_with_the_next_stroke(
    qtbot: Any, disk: Disk, array: PaintArray, saver: StrokeSaver
) -> None:
    received: list[VolumeError] = []
    saver.failed.connect(received.append)
    disk.is_full = True
    with qtbot.waitSignal(saver.failed):
        array[3, 100, 100] = 2
    disk.begun.clear()
    array[3, 100, 101] = 2
    qtbot.waitUntil(disk.begun.is_set)
    qtbot.wait(100)
    assert [error.message for error in received] == ["The disk is full."]
    assert not array.is_saved
    disk.is_full = False
    with qtbot.waitSignal(saver.saved):
        array[3, 100, 102] = 2
    assert disk.store.counts() == {2: 3}
    disk.is_full = True
    with qtbot.waitSignal(saver.failed):  # it is a new fault
        array[3, 100, 103] = 2


def test_flush_onto_a_full_disk_does_not_say_that_all_is_well(
    qtbot: Any, disk: Disk, array: PaintArray, saver: StrokeSaver
) -> None:
    seen: list[Any] = []
    disk.is_full = True
    array[3, 100, 100] = 2
    saver.flush(lambda: seen.append("saved"), seen.append)
    qtbot.waitUntil(lambda: bool(seen))
    assert isinstance(seen[0], VolumeError)
    with qtbot.waitSignal(saver.failed):
        saver.flush(lambda: seen.append("saved"))
    assert len(seen) == 1


def test_close_saves_what_was_just_painted(qtbot: Any, disk: Disk, array: PaintArray) -> None:
    saver = StrokeSaver(array, disk.write)
    array[3, 100, 100] = 2
    assert saver.close()
    assert disk.store.counts() == {2: 1}


def test_close_says_if_it_could_not(qtbot: Any, disk: Disk, array: PaintArray) -> None:
    saver = StrokeSaver(array, disk.write)
    disk.is_full = True
    array[3, 100, 100] = 2
    assert not saver.close()


_PAINTER = """
import sys, time
from qtpy.QtCore import QCoreApplication
from napari_pytc.annotations.paint_store import PaintStore
from napari_pytc.ui.canvas.paint.paint_array import PaintArray
from napari_pytc.ui.canvas.paint.stroke_saver import StrokeSaver

application = QCoreApplication([])
store = PaintStore.open(sys.argv[1])
array = PaintArray(store)
saver = StrokeSaver(array, store.apply)
array._on_change = saver.touch
for k in range(120, 140):
    array[3, k, 120:140] = 2
    time.sleep(0.01)
sys.stdout.write("painted\\n")
sys.stdout.flush()
{after}
"""


def paint_elsewhere(folder: Path, after: str) -> subprocess.Popen[str]:
    code = _PAINTER.replace("{after}", after)
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen"}
    return subprocess.Popen(
        [sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE, text=True, env=environment
    )


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="kill -9 is of POSIX")
def test_a_kill_soon_after_a_stroke_loses_nothing(disk: Disk) -> None:
    painter = paint_elsewhere(disk.store.folder, "time.sleep(600)")
    try:
        assert painter.stdout is not None
        assert painter.stdout.readline() == "painted\n"
        wait_until(lambda: PaintStore.open(disk.store.folder).counts() == {2: 400})  # nobody asks it to save
    finally:
        os.kill(painter.pid, signal.SIGKILL)
        painter.communicate()
    assert disk.store.counts() == {2: 400}


@pytest.mark.slow
def test_a_program_that_ends_without_closing_saves_and_does_not_hang(disk: Disk) -> None:
    painter = paint_elsewhere(disk.store.folder, "")
    painter.communicate(timeout=PATIENCE_S)
    assert painter.returncode == 0
    assert disk.store.counts() == {2: 400}


def test_painting_costs_no_waiting(qtbot: Any, disk: Disk, array: PaintArray, saver: StrokeSaver) -> None:
    """The thread that paints goes on while the disk hangs."""
    disk.gate.clear()
    array[3, 0, 100] = 1
    qtbot.waitUntil(disk.begun.is_set)
    done = threading.Event()

    def paint(finished: Callable[[], None]) -> None:
        for k in range(100):
            array[3, k, 100] = 2
        finished()

    painter = threading.Thread(target=paint, args=(done.set,))
    painter.start()
    painter.join(PATIENCE_S)
    assert done.is_set()
