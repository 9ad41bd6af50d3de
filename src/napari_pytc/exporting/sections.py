"""Slabs of sections in the order of files that are written from the first to the last section."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from napari_pytc.exporting.base import ArrayReader, voxel_bytes
from napari_pytc.geometry import Box
from napari_pytc.jobs.context import JobContext


def n_sections(array: ArrayReader) -> int:
    """Number of sections of all channels."""
    return max(1, len(array.channels)) * array.shape[0]


def sections(array: ArrayReader, block_bytes: int, ctx: JobContext) -> Iterator[np.ndarray]:
    """All sections (y, x), channel after channel; a few are read at a time, and each is reported."""
    for channel in range(max(1, len(array.channels))):
        for z, slab in slabs(array, channel, block_bytes, ctx):
            for i, section in enumerate(slab):
                ctx.check()
                ctx.report(channel * array.shape[0] + z + i, n_sections(array), "sections")
                yield np.ascontiguousarray(section)


def slabs(array: ArrayReader, channel: int, block_bytes: int, ctx: JobContext) -> Iterator[tuple[int, np.ndarray]]:
    """Sections of one channel, a few at a time that fit into a block (or one), with the number of the first."""
    n_z, n_y, n_x = array.shape
    n_slab = max(1, block_bytes // (n_y * n_x * voxel_bytes(array)))
    for z in range(0, n_z, n_slab):
        ctx.check()
        block = array.read(Box((z, 0, 0), (min(z + n_slab, n_z), n_y, n_x)))
        yield z, block[channel] if array.channels else block
