"""Pyramids: smaller copies of a volume, made block by block in as few passes over the data as fit into memory."""

from __future__ import annotations

import ctypes
import math
import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from napari_pytc.exporting.base import ArrayReader, block_of_chunks, voxel_bytes
from napari_pytc.exporting.downsampling import Method, downsample
from napari_pytc.geometry import Box, Shape, TileGrid, VoxelSpace
from napari_pytc.jobs.context import JobContext

SMALLEST = 256
"""A level whose edges are all at most this long has no smaller copy: a screen shows it whole."""
# An axis is halved while its voxels are at most this much longer than the shortest: then halving the others brings the
# voxel nearer to a cube than halving all.
_NEARLY_ISOTROPIC = math.sqrt(2)


@dataclass(frozen=True)
class PyramidLevel:
    """A level of a pyramid.

    ::

        level 0   |.|a b|c d|e f|     offset 3, steps 2: windows begin at even voxels of the whole, and the first is
        level 1   | A | B | C | D |   half outside (lead 1), so that the levels lie over one another exactly

    Parameters
    ----------
    shape : Shape
        Lengths along z, y, x.
    offset : tuple of int
        Place of its first voxel, in voxels of the level.
    factors : Shape
        Voxels of level 0 along each edge of one of its voxels.
    steps : Shape
        The same, of the level below.
    lead : Shape
        Voxels of the level below that are missing in front of the first window, 0 or 1.
    """

    shape: Shape
    offset: tuple[int, int, int]
    factors: Shape
    steps: Shape
    lead: Shape


class LevelSink(ArrayReader, Protocol):
    """A level on disk, which is read back to make the next ones."""

    @property
    def chunk_shape(self) -> Shape:
        """Shape of the pieces on disk."""

    def write(self, box: Box, data: np.ndarray) -> None:
        """Store the voxels of a box."""


def pyramid_levels(shape: Shape, space: VoxelSpace, offset: Sequence[int] = (0, 0, 0)) -> tuple[PyramidLevel, ...]:
    """The levels of a volume, the full resolution first.

    The axes of the smallest voxel edges are halved until voxels are nearly cubes, then all axes; an axis of length 1
    stays. The last level is at most `SMALLEST` long along each axis.
    """
    one: Shape = (1, 1, 1)
    levels = [PyramidLevel(shape, (offset[0], offset[1], offset[2]), one, one, (0, 0, 0))]
    while max(levels[-1].shape) > SMALLEST:
        levels.append(_next_level(levels[-1], space))
    return tuple(levels)


def _next_level(below: PyramidLevel, space: VoxelSpace) -> PyramidLevel:
    voxel = space.voxel_size_nm if space.known else (1.0, 1.0, 1.0)
    size = [v * f for v, f in zip(voxel, below.factors, strict=True)]
    shortest = min(s for s, n in zip(size, below.shape, strict=True) if n > 1)
    steps = [2 if n > 1 and s <= _NEARLY_ISOTROPIC * shortest else 1 for s, n in zip(size, below.shape, strict=True)]
    shape, offset, factors, lead = [], [], [], []
    for n, start, factor, step in zip(below.shape, below.offset, below.factors, steps, strict=True):
        first = start // step
        shape.append(-(-(start + n) // step) - first)
        offset.append(first)
        factors.append(factor * step)
        lead.append(start - first * step)
    return PyramidLevel(*((a[0], a[1], a[2]) for a in (shape, offset, factors, steps, lead)))


def write_pyramid(
    array: ArrayReader,
    sinks: Sequence[LevelSink],
    levels: Sequence[PyramidLevel],
    method: Method,
    block_bytes: int,
    ctx: JobContext,
) -> None:
    """Write an array and its smaller copies.

    Parameters
    ----------
    sinks : sequence of LevelSink
        One a level.
    method : "mean" or "mode"
        Of the voxels that become one.
    block_bytes : int
        About how many bytes are held at once; at least a chunk is.
    """
    # One block is read and made smaller while the one before it is written.
    n_voxels = block_bytes // 2 // voxel_bytes(array)
    passes = list(_passes(levels, [sink.chunk_shape for sink in sinks], n_voxels))
    total = sum(len(one.grid) for one in passes)
    done = 0
    with ThreadPoolExecutor(os.cpu_count() or 1, "pyramid") as pool, ThreadPoolExecutor(1, "write") as writer:
        for one in passes:
            source = array if one.first == 0 else sinks[one.first - 1]
            writing: Future[None] | None = None
            for tile in one.grid:
                ctx.check()
                ctx.report(done, total, "blocks")
                blocks = _make_blocks(source, levels, one, tile.write, method, pool, ctx)
                if writing is not None:
                    writing.result()
                writing = writer.submit(_write_blocks, [sinks[n] for n in range(one.first, one.last + 1)], blocks)
                done += 1
                _return_freed_memory()
            if writing is not None:
                writing.result()  # the next pass reads it
    ctx.check()
    ctx.report(total, total, "blocks")


def _return_freed_memory() -> None:
    """Return freed memory to the system, where the C library can be told to (glibc).

    It keeps what was freed for each thread apart: an export of 8 GB then held a third more than one of 1 GB.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)


@dataclass(frozen=True)
class _Pass:
    """Levels `first` to `last`, made from the one below `first`, in the blocks of `first`."""

    first: int
    last: int
    grid: TileGrid


def _passes(levels: Sequence[PyramidLevel], chunks: Sequence[Shape], n_voxels: int) -> Iterator[_Pass]:
    """As many levels at once as have a block of whole chunks of the last one in memory.

    Windows that begin outside of their level (`lead`) straddle blocks of chunks, so such a level begins a pass.
    """
    first = 0
    while first < len(levels):
        last, unit = first, chunks[first]
        # The block that is read is larger than the one that is written, where the pass does not begin with a copy.
        budget = max(1, n_voxels // math.prod(levels[first].steps))
        while last + 1 < len(levels) and not any(levels[last + 1].lead):
            ratio = [a // b for a, b in zip(levels[last + 1].factors, levels[first].factors, strict=True)]
            z, y, x = (math.lcm(n, c * r) for n, c, r in zip(unit, chunks[last + 1], ratio, strict=True))
            # A volume that is shorter than its blocks costs no more than itself.
            if math.prod(min(a, n) for a, n in zip((z, y, x), levels[first].shape, strict=True)) > budget:
                break
            last, unit = last + 1, (z, y, x)
        block = block_of_chunks(levels[first].shape, unit, budget)
        yield _Pass(first, last, TileGrid(Box.of_shape(levels[first].shape), block))
        first = last + 1


def _make_blocks(
    source: ArrayReader,
    levels: Sequence[PyramidLevel],
    one: _Pass,
    box: Box,
    method: Method,
    pool: ThreadPoolExecutor,
    ctx: JobContext,
) -> list[tuple[Box, np.ndarray]]:
    """A block of the pass's first level, and what lies over it in the others."""
    if one.first == 0:
        data = source.read(box)
    else:
        level = levels[one.first]
        below = Box.of_shape(levels[one.first - 1].shape)
        starts = [b * s - lead for b, s, lead in zip(box.start, level.steps, level.lead, strict=True)]
        stops = [b * s - lead for b, s, lead in zip(box.stop, level.steps, level.lead, strict=True)]
        window = Box(
            tuple(max(0, s) for s in starts),  # type: ignore[arg-type]
            tuple(min(s, n) for s, n in zip(stops, below.stop, strict=True)),  # type: ignore[arg-type]
        )
        lead = [w - s for w, s in zip(window.start, starts, strict=True)]
        data = downsample(source.read(window), level.steps, method, lead, pool)
    blocks = [(box, data)]
    for number in range(one.first + 1, one.last + 1):
        ctx.check()
        steps = levels[number].steps
        data = downsample(data, steps, method, (0, 0, 0), pool)
        box = Box.at([b // s for b, s in zip(box.start, steps, strict=True)], data.shape[-3:])
        blocks.append((box, data))
    return blocks


def _write_blocks(sinks: Sequence[LevelSink], blocks: Sequence[tuple[Box, np.ndarray]]) -> None:
    for sink, (box, data) in zip(sinks, blocks, strict=True):
        sink.write(box, data)
