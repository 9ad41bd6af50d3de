"""Slabs of sections, as they are written to files from the first to the last one."""

from __future__ import annotations

import numpy as np
import pytest

from napari_pytc.exporting.sections import n_sections, sections, slabs
from napari_pytc.geometry import Box
from napari_pytc.jobs.context import JobCancelled
from tests.support.arrays import FakeArray
from tests.support.contexts import RecordingContext

SHAPE = (5, 6, 7)


class Noting(FakeArray):
    """An array that notes how many sections each read had."""

    def read(self, box: Box) -> np.ndarray:
        self.lengths = [*getattr(self, "lengths", []), box.shape[0]]
        return super().read(box)


def plain() -> Noting:
    return Noting(np.arange(np.prod(SHAPE), dtype=np.uint16).reshape(SHAPE))


def of_channels() -> Noting:
    return Noting(np.arange(2 * np.prod(SHAPE), dtype=np.uint8).reshape(2, *SHAPE), channels=("a", "b"))


@pytest.mark.parametrize("block_bytes", [1, 2 * 42 * 2, 10**6])
def test_all_sections_come_in_order_whatever_the_block(block_bytes: int) -> None:
    array = plain()
    found = list(sections(array, block_bytes, RecordingContext()))
    assert np.array_equal(np.stack(found), array.data)
    assert all(section.flags.c_contiguous for section in found)


def test_channels_come_one_after_the_other() -> None:
    array = of_channels()
    assert n_sections(array) == 10
    found = np.stack(list(sections(array, 10**6, RecordingContext())))
    assert np.array_equal(found, array.data.reshape(10, 6, 7))


def test_a_block_holds_as_many_sections_as_fit_and_one_at_least() -> None:
    array = plain()
    bytes_of_section = 6 * 7 * 2
    assert [z for z, _ in slabs(array, 0, 2 * bytes_of_section, RecordingContext())] == [0, 2, 4]
    assert array.lengths == [2, 2, 1]
    small = plain()
    list(slabs(small, 0, 1, RecordingContext()))
    assert small.lengths == [1] * 5


def test_all_channels_are_counted_into_a_block() -> None:
    array = of_channels()
    bytes_of_section = 2 * 6 * 7
    list(slabs(array, 1, 2 * bytes_of_section, RecordingContext()))
    assert array.lengths == [2, 2, 1]


def test_each_section_is_reported() -> None:
    ctx = RecordingContext()
    list(sections(of_channels(), 10**6, ctx))
    assert [done for done, *_ in ctx.progress] == list(range(10))


def test_a_cancel_ends_it_at_the_next_section() -> None:
    found = sections(plain(), 10**6, RecordingContext(cancel_after=3))
    next(found)
    with pytest.raises(JobCancelled):
        list(found)
