"""A stroke from the array that is painted, through the journal, to the disk: one patch all the way."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from napari_pytc.annotations.paint_store import PaintStore
from napari_pytc.geometry import Box
from napari_pytc.labels.patches import LabelPatch
from napari_pytc.labels.store import LabelStore
from napari_pytc.session.session import Session
from napari_pytc.ui.canvas.paint.paint_array import PaintArray

SHAPE = (8, 160, 160)
WHOLE = Box.of_shape(SHAPE)


class Canvas:
    """An array that is painted, and the store behind it; `release` ends a stroke as the mouse does."""

    def __init__(self, store: PaintStore, write: Callable[[Sequence[LabelPatch]], None]) -> None:
        self.store, self.write = store, write
        self.array = PaintArray(store, dtype=store.dtype)

    def release(self) -> tuple[LabelPatch, ...]:
        stroke = self.array.cut()
        assert stroke is not None
        self.write(stroke.patches)
        self.array.mark_saved(stroke)
        return stroke.patches


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    np.save(tmp_path / "image.npy", np.zeros(SHAPE, np.uint8))
    with Session.create(tmp_path / "p.pytc", tmp_path / "image.npy", ["a", "b"], (10.0, 10.0, 10.0)) as opened:
        yield opened


@pytest.fixture(params=["strokes", "objects"])
def canvas(request: pytest.FixtureRequest, session: Session) -> Canvas:
    painted = session.strokes if request.param == "strokes" else session.objects
    return Canvas(painted.store, painted.writer())


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Box]:
    """The boxes that are read of stores on the disk."""
    found: list[Box] = []
    real = LabelStore.read
    monkeypatch.setattr(LabelStore, "read", lambda labels, box: found.append(box) or real(labels, box))
    return found


def test_a_stroke_reads_no_chunk_twice(canvas: Canvas, reads: list[Box]) -> None:
    canvas.array[3, 100:150, 100] = 1  # over two chunks of a volume without any label
    canvas.release()
    assert len(reads) <= 2
    reads.clear()
    canvas.array[3, 100:150, 102] = 2
    canvas.array[3, 100:150, 104] = 2
    canvas.release()
    assert reads == [], "the array has the labels before the stroke, the store the chunks of the last one"
    np.testing.assert_array_equal(canvas.store.read(WHOLE), np.asarray(canvas.array))


def test_the_same_patch_is_painted_journalled_and_stored(
    session: Session, canvas: Canvas, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored: list[LabelPatch] = []
    real = PaintStore.apply
    monkeypatch.setattr(PaintStore, "apply", lambda store, patches: stored.extend(patches) or real(store, patches))
    canvas.array[3, 100:150, 100] = 1
    (patch,) = canvas.release()
    assert stored == [patch]
    journal = session.proofreader.journal
    assert journal is not None
    (row,) = journal._file.entries()
    (journalled,) = journal._file.change(row).patches
    assert journalled.to_bytes() == patch.to_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_undo_restores_every_stroke_exactly(session: Session, canvas: Canvas, seed: int) -> None:
    rng = np.random.default_rng(seed)
    states = [canvas.store.read(WHOLE)]
    for _ in range(12):
        for _ in range(int(rng.integers(1, 4))):
            z, y, x = (int(rng.integers(0, n - 5)) for n in SHAPE)
            canvas.array[z : z + 2, y : y + int(rng.integers(1, 40)), x : x + 5] = int(rng.integers(0, 3))
        if canvas.release():
            states.append(canvas.store.read(WHOLE))
            np.testing.assert_array_equal(states[-1], np.asarray(canvas.array))
    proofreader = session.proofreader
    assert len(proofreader.entries()) == len(states) - 1
    for state in reversed(states[:-1]):
        proofreader.undo()
        np.testing.assert_array_equal(canvas.store.read(WHOLE), state)
    for state in states[1:]:
        proofreader.redo()
        np.testing.assert_array_equal(canvas.store.read(WHOLE), state)


def test_a_stroke_over_what_an_undo_changed_meanwhile(session: Session, canvas: Canvas) -> None:
    """The array still shows what the undo took back: the stroke brings none of it, and can be undone itself."""
    canvas.array[3, 10:20, 10:20] = 1
    canvas.release()
    session.proofreader.undo()
    canvas.array[3, 15:25, 10:20] = 2
    (patch,) = canvas.release()
    assert set(patch.before.tolist()) == {0, 1}
    expected = np.zeros(SHAPE, canvas.store.dtype)
    expected[3, 15:25, 10:20] = 2
    np.testing.assert_array_equal(canvas.store.read(WHOLE), expected)
    canvas.array.forget()
    np.testing.assert_array_equal(np.asarray(canvas.array), expected)
    session.proofreader.undo()
    assert not canvas.store.read(WHOLE).any()
    session.proofreader.redo()
    np.testing.assert_array_equal(canvas.store.read(WHOLE), expected)


def test_a_stroke_over_what_an_import_changed_meanwhile(session: Session) -> None:
    canvas = Canvas(session.strokes.store, session.strokes.writer())
    assert not np.asarray(canvas.array).any()
    session.strokes.add(np.full((1, 10, 10), 1, np.uint8), (3, 10, 10))
    canvas.array[3, 15:25, 10:20] = 2
    canvas.release()
    expected = np.zeros(SHAPE, np.uint8)
    expected[3, 10:20, 10:20] = 1
    before = expected.copy()
    expected[3, 15:25, 10:20] = 2
    np.testing.assert_array_equal(canvas.store.read(WHOLE), expected)
    session.proofreader.undo()
    np.testing.assert_array_equal(canvas.store.read(WHOLE), before)


def test_a_stroke_that_is_on_the_disk_already_is_no_entry(session: Session) -> None:
    canvas = Canvas(session.strokes.store, session.strokes.writer())
    np.asarray(canvas.array)
    session.strokes.paint(Box((3, 10, 10), (4, 20, 20)), 1)
    canvas.array[3, 12:14, 12:14] = 1
    assert canvas.release()
    assert len(session.proofreader.entries()) == 1
