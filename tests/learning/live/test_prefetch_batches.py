"""The thread that makes batches for the network."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace

import pytest

from napari_pytc.learning.live.prefetch_batches import PauseGate, PrefetchedBatches
from tests.support.waiting import PATIENCE_S


def wait_for(condition, seconds: float = PATIENCE_S) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.002)


def batch(step: int) -> SimpleNamespace:
    return SimpleNamespace(step=step)


def test_batches_come_in_order_two_ahead() -> None:
    made = []
    batches = PrefetchedBatches(lambda step: made.append(step) or batch(step), 5, PauseGate())
    wait_for(lambda: len(made) == 2)
    assert batches.is_ready
    assert [batches.take().step for _ in range(4)] == [5, 6, 7, 8]
    batches.close()


def test_whether_a_batch_is_ready_is_known_without_waiting() -> None:
    gate, begun = PauseGate(), threading.Event()

    def make(step: int) -> SimpleNamespace:
        begun.wait()
        gate.wait()
        return batch(step)

    batches = PrefetchedBatches(make, 0, gate)
    gate.pause()
    begun.set()
    time.sleep(0.05)
    assert not batches.is_ready
    gate.resume()
    wait_for(lambda: batches.is_ready)
    assert batches.take().step == 0
    batches.close()


def test_a_paused_thread_ends_with_its_batches() -> None:
    gate, begun = PauseGate(), threading.Event()

    def make(step: int) -> SimpleNamespace:
        begun.wait()
        gate.wait()
        return batch(step)

    batches = PrefetchedBatches(make, 0, gate)
    gate.pause()
    begun.set()
    closing = threading.Thread(target=batches.close)
    closing.start()
    closing.join(PATIENCE_S)
    assert not closing.is_alive()


def test_a_thread_ends_between_two_pieces_and_another_begins() -> None:
    gate, pieces, piece_over = PauseGate(), [], threading.Event()

    def make(step: int) -> SimpleNamespace:
        for piece in range(1000):
            gate.wait()
            pieces.append(piece)
            piece_over.wait(0.01)
        return batch(step)

    batches = PrefetchedBatches(make, 0, gate)
    wait_for(lambda: len(pieces) > 2)
    batches.close()
    assert len(pieces) < 900

    others = PrefetchedBatches(batch, 3, gate)
    assert others.take().step == 3
    others.close()


def test_an_error_in_the_thread_is_raised_where_its_batch_is_taken() -> None:
    def make(step: int) -> SimpleNamespace:
        raise RuntimeError("out of memory")

    batches = PrefetchedBatches(make, 0, PauseGate())
    wait_for(lambda: batches.is_ready)
    with pytest.raises(RuntimeError, match="out of memory"):
        batches.take()
    batches.close()
