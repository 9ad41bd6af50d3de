"""Tiles: boxes to read and to write, and lazy grids of them."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from napari_pytc.errors import InvalidInput
from napari_pytc.geometry.box import Box, Shape


@dataclass(frozen=True, slots=True)
class Tile:
    """One piece of work on a volume.

    ::

        +--------------- read ---------------+    read:  what the network sees (write + halo, cut at the bounds)
        |  halo                              |    write: the voxels this tile provides
        |     +-------- write --------+      |    inner: the same voxels, in coordinates of the block read
        |     |                       |      |
        |     +-----------------------+      |
        +------------------------------------+
    """

    index: int
    read: Box
    write: Box
    inner: Box


@dataclass(frozen=True, slots=True)
class TileGrid:
    """A lazy partition of a box into tiles.

    The write boxes partition `box` exactly; a tile is computed from its index in constant time, so a grid over
    terabytes costs nothing.

    Parameters
    ----------
    box : Box
        The voxels to cover.
    tile_shape : tuple of int
        Shape of a write box; those at the far faces may be smaller.
    halo : tuple of int
        Context read on every side of a write box.
    bounds : Box, optional
        Box in which reading is possible, `box` if not given; read boxes are cut there.
    alignment : tuple of int
        Read boxes start and stop at multiples of this from the origin (except where the bounds cut them), as networks
        with strides need for tiled = whole.
    """

    box: Box
    tile_shape: Shape
    halo: Shape = (0, 0, 0)
    bounds: Box | None = None
    alignment: Shape = (1, 1, 1)

    def __post_init__(self) -> None:
        if any(t < 1 for t in self.tile_shape) or any(h < 0 for h in self.halo) or any(a < 1 for a in self.alignment):
            raise InvalidInput(
                f"A tile grid needs tile shapes and alignments of at least 1 and halos of at least 0, got tiles "
                f"{self.tile_shape}, halo {self.halo}, alignment {self.alignment}."
            )
        if self.bounds is not None and not self.bounds.contains(self.box):
            raise InvalidInput(f"Tiles of {self.box} cannot be read within {self.bounds}.")

    @property
    def counts(self) -> Shape:
        """Number of tiles along z, y, x."""
        if self.box.is_empty:
            return (0, 0, 0)
        return tuple(-(-n // t) for n, t in zip(self.box.shape, self.tile_shape, strict=True))  # type: ignore[return-value]

    def __len__(self) -> int:
        return math.prod(self.counts)

    def __getitem__(self, index: int) -> Tile:
        if not 0 <= index < len(self):
            raise IndexError(f"tile {index} of {len(self)}")
        _, ny, nx = self.counts
        where = (index // (ny * nx), index // nx % ny, index % nx)
        start = tuple(b + w * t for b, w, t in zip(self.box.start, where, self.tile_shape, strict=True))
        write = Box.at(start, self.tile_shape).intersect(self.box)
        read = write.grow(self.halo).aligned(self.alignment).intersect(self.bounds or self.box)
        return Tile(index, read, write, write.relative_to(read.start))

    def __iter__(self) -> Iterator[Tile]:
        return (self[index] for index in range(len(self)))

    def overlapping(self, box: Box) -> Iterator[int]:
        """Indices of the tiles that write into a box, in order of index."""
        common = box.intersect(self.box)
        if common.is_empty:
            return
        _, ny, nx = self.counts
        low = [(c - b) // t for c, b, t in zip(common.start, self.box.start, self.tile_shape, strict=True)]
        high = [(c - 1 - b) // t + 1 for c, b, t in zip(common.stop, self.box.start, self.tile_shape, strict=True)]
        for z in range(low[0], high[0]):
            for y in range(low[1], high[1]):
                for x in range(low[2], high[2]):
                    yield (z * ny + y) * nx + x

    def nearest_first(self, focus: Sequence[float], scale: Sequence[float] = (1, 1, 1)) -> Iterator[int]:
        """Every index once, by growing distance of the tile's centre from a point.

        Tiles cut at the far faces count as if they were whole, so that the tile around the point is always the first.
        A best-first search over neighbours, so that the first tiles of a huge grid come at once.

        Parameters
        ----------
        focus : sequence of float
            A point in voxels (z, y, x), inside the box or not.
        scale : sequence of float
            Length of a voxel along each axis, to measure distance in nm.
        """
        counts = self.counts
        if not len(self):
            return
        _, ny, nx = counts

        def distance(where: Shape) -> float:
            return sum(
                ((b + (w + 0.5) * t - f) * s) ** 2
                for b, w, t, f, s in zip(self.box.start, where, self.tile_shape, focus, scale, strict=True)
            )

        first: Shape = tuple(  # type: ignore[assignment]
            min(max(int((f - b) // t), 0), n - 1)
            for f, b, t, n in zip(focus, self.box.start, self.tile_shape, counts, strict=True)
        )
        queue, seen = [(distance(first), first)], {first}
        while queue:
            _, where = heapq.heappop(queue)
            yield (where[0] * ny + where[1]) * nx + where[2]
            for axis in range(3):
                for step in (-1, 1):
                    near: Shape = tuple(w + step * (a == axis) for a, w in enumerate(where))  # type: ignore[assignment]
                    if 0 <= near[axis] < counts[axis] and near not in seen:
                        seen.add(near)
                        heapq.heappush(queue, (distance(near), near))


def cells(box: Box, shape: Sequence[int]) -> list[Box]:
    """The parts of a box in the cells of a grid that is counted from the origin, such as the chunks of an array."""
    return [tile.write.intersect(box) for tile in TileGrid(box.aligned(shape), tuple(shape))]  # type: ignore[arg-type]
