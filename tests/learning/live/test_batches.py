"""The thread that makes batches for the network behind."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace

import pytest

from napari_pytc.learning.live.batches import BatchesAhead, Doorkeeper


def wait_for(condition, seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.002)


def batch(step: int) -> SimpleNamespace:
    return SimpleNamespace(step=step)


def test_batches_come_in_order_two_ahead() -> None:
    made = []
    batches = BatchesAhead(lambda step: made.append(step) or batch(step), 5, Doorkeeper())
    wait_for(lambda: len(made) == 2)
    assert batches.is_ready
    assert [batches.take().step for _ in range(4)] == [5, 6, 7, 8]
    batches.close()


def test_nobody_has_to_wait_for_a_batch_that_is_not_there() -> None:
    door, asked = Doorkeeper(), threading.Event()

    def make(step: int) -> SimpleNamespace:
        asked.wait()
        door.wait()
        return batch(step)

    batches = BatchesAhead(make, 0, door)
    door.hold()
    asked.set()
    time.sleep(0.05)
    assert not batches.is_ready
    door.release()
    wait_for(lambda: batches.is_ready)
    assert batches.take().step == 0
    batches.close()


def test_a_thread_that_is_held_ends_with_its_batches() -> None:
    door, begun = Doorkeeper(), threading.Event()

    def make(step: int) -> SimpleNamespace:
        begun.wait()
        door.wait()
        return batch(step)

    batches = BatchesAhead(make, 0, door)
    door.hold()
    begun.set()
    closing = threading.Thread(target=batches.close)
    closing.start()
    closing.join(10)
    assert not closing.is_alive()


def test_a_thread_ends_between_two_pieces_and_another_begins() -> None:
    door, pieces, piece_over = Doorkeeper(), [], threading.Event()

    def make(step: int) -> SimpleNamespace:
        for piece in range(1000):
            door.wait()
            pieces.append(piece)
            piece_over.wait(0.01)
        return batch(step)

    batches = BatchesAhead(make, 0, door)
    wait_for(lambda: len(pieces) > 2)
    batches.close()
    assert len(pieces) < 900

    others = BatchesAhead(batch, 3, door)
    assert others.take().step == 3
    others.close()


def test_an_error_in_the_thread_is_raised_where_its_batch_is_taken() -> None:
    def make(step: int) -> SimpleNamespace:
        raise RuntimeError("out of memory")

    batches = BatchesAhead(make, 0, Doorkeeper())
    wait_for(lambda: batches.is_ready)
    with pytest.raises(RuntimeError, match="out of memory"):
        batches.take()
    batches.close()
