from __future__ import annotations

import os
import time

from napari_pytc.jobs.runners.outbox import Outbox


def test_lines_keep_their_order_and_the_newest_of_a_slot_its_place() -> None:
    reading, writing = os.pipe()
    outbox = Outbox(writing, "test outbox")
    block = b"x" * (1 << 20)  # more than a pipe holds: the lines after it stay pending until somebody reads
    outbox.put(block)
    while outbox._lines:  # until its thread has taken the block
        time.sleep(0.001)
    for number in range(3):
        outbox.put(b"old %d" % number, slot="progress")
    outbox.put(b"between")
    outbox.put(b"newest", slot="progress")
    outbox.put(b"last")
    outbox.close()
    outbox.put(b"too late")
    with os.fdopen(reading, "rb") as pipe:
        assert pipe.read() == block + b"\nbetween\nnewest\nlast\n"
    outbox.join()


def test_a_reader_that_is_gone_ends_the_thread() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    outbox = Outbox(writing, "test outbox")
    outbox.put(b"nobody hears this")
    outbox.join(60)
    outbox.put(b"nor this")
    outbox.close()
