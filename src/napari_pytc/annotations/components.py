"""Connected parts of each id of a label volume of any size, found block by block."""

from __future__ import annotations

from itertools import product

import cc3d
import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from napari_pytc.geometry import Box, Tile, TileGrid

_CONNECTIVITY = 26


class BlockComponents:
    """Connected parts of each id; voxels of one id that touch over faces, edges or corners are one part.

    `add` takes the blocks in their order and numbers the parts of each anew; `join` connects those that continue over
    a face. Memory is that of a block, of 16 bytes a part and, where there are several layers of blocks, of two sections
    of the whole box as uint32.

    ::

        below: last section of the        row: last line of        column: last column of
        blocks under this layer           the blocks before        the block to the left

    Parameters
    ----------
    grid : TileGrid
        The blocks, without halo.
    """

    def __init__(self, grid: TileGrid) -> None:
        _, n_y, n_x = grid.box.shape
        self._grid = grid
        # A single layer of blocks, as an image of one section, has nothing below; its sections may be very large.
        self._has_layers = grid.counts[0] > 1
        plane = (n_y, n_x) if self._has_layers else (0, 0)
        self._first = [0]  # the number of the last part before each block
        self._ids: list[np.ndarray] = [np.zeros(1, np.uint64)]
        self._pairs: list[np.ndarray] = []
        self._below, self._top = np.zeros(plane, np.uint32), np.zeros(plane, np.uint32)
        self._row = np.zeros((grid.tile_shape[0], n_x), np.uint32)
        self._next_row = np.zeros_like(self._row)
        self._column = np.zeros(grid.tile_shape[:2], np.uint32)
        self._roots: np.ndarray | None = None

    def add(self, tile: Tile, ids: np.ndarray) -> None:
        """Find the parts in a block; blocks come in the order of their index.

        Parameters
        ----------
        ids : ndarray of unsigned int
            Ids of the block, 0 for none.
        """
        parts, n_parts = _parts(ids)
        first = self._first[-1]
        of_part = np.zeros(n_parts + 1, np.uint64)
        of_part[parts.ravel()] = ids.ravel()
        self._ids.append(of_part[1:])
        self._first.append(first + n_parts)
        np.add(parts, np.uint32(first), out=parts, where=parts > 0)
        self._connect(tile.write.relative_to(self._grid.box.start), parts)

    def join(self) -> None:
        """Connect the parts of all blocks, once the last was added."""
        n = self._first[-1] + 1
        pairs = np.concatenate([np.zeros((0, 2), np.uint32), *self._pairs])
        ids = np.concatenate(self._ids)
        pairs = pairs[ids[pairs[:, 0]] == ids[pairs[:, 1]]]
        graph = coo_array((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
        # Roots are numbered by their first part, so that 0, which has none, stays 0.
        _, roots = connected_components(graph, directed=False)
        self._roots = roots.astype(np.uint32)
        self._pairs, self._ids = [], [ids]

    @property
    def ids(self) -> np.ndarray:
        """The id of each connected part, from part 1, uint64."""
        ids = np.zeros(int(self._joined.max(initial=0)) + 1, np.uint64)
        ids[self._joined] = self._ids[0]
        return ids[1:]

    def read(self, tile: Tile, ids: np.ndarray) -> np.ndarray:
        """Numbers of the connected parts in a block that was added, from 1, uint32; parameters as of `add`."""
        parts, n_parts = _parts(ids)
        first = self._first[tile.index]
        joined = np.concatenate([np.zeros(1, np.uint32), self._joined[first + 1 : first + n_parts + 1]])
        return np.asarray(joined[parts])

    @property
    def _joined(self) -> np.ndarray:
        assert self._roots is not None, "join comes before"
        return self._roots

    def _connect(self, box: Box, parts: np.ndarray) -> None:
        """Note which parts touch those of earlier blocks, and keep this block's far faces for later ones."""
        (z0, y0, x0), (_, y1, x1) = box.start, box.stop
        n_z, n_y, _ = parts.shape
        if y0 == 0 and x0 == 0:  # a new layer
            self._below, self._top = self._top, self._below
            self._row[:] = 0
        if x0 == 0:  # a new line of blocks
            if y0 > 0:
                self._row, self._next_row = self._next_row, self._row
            self._column[:] = 0
        self._pairs += _touching(self._below, slice(y0, y1), slice(x0, x1), parts[0]) if z0 else []
        self._pairs += _touching(self._row[:n_z], slice(0, n_z), slice(x0, x1), parts[:, 0])
        self._pairs += _touching(self._column[:n_z, :n_y], slice(0, n_z), slice(0, n_y), parts[:, :, 0])
        if self._has_layers:
            self._top[y0:y1, x0:x1] = parts[-1]
        self._next_row[:n_z, x0:x1] = parts[:, -1]
        self._column[:n_z, :n_y] = parts[:, :, -1]


def _parts(ids: np.ndarray) -> tuple[np.ndarray, int]:
    """Parts of a block from 1, uint32, and their number."""
    if not ids.any():
        return np.zeros(ids.shape, np.uint32), 0
    parts, n_parts = cc3d.connected_components(np.ascontiguousarray(ids), connectivity=_CONNECTIVITY, return_N=True)
    return parts.astype(np.uint32, copy=False), int(n_parts)


def _touching(far: np.ndarray, rows: slice, columns: slice, near: np.ndarray) -> list[np.ndarray]:
    """Pairs of parts on both sides of a face, over corners too: a plane before it, of which a window lies opposite."""
    if not near.any():
        return []
    found = []
    for dy, dx in product((-1, 0, 1), repeat=2):
        y0, y1 = max(rows.start + dy, 0), min(rows.stop + dy, far.shape[0])
        x0, x1 = max(columns.start + dx, 0), min(columns.stop + dx, far.shape[1])
        there = far[y0:y1, x0:x1]
        here = near[y0 - dy - rows.start : y1 - dy - rows.start, x0 - dx - columns.start : x1 - dx - columns.start]
        both = (there > 0) & (here > 0)
        if both.any():
            keys = np.unique(there[both].astype(np.uint64) << np.uint64(32) | here[both])
            found.append(np.stack([keys >> np.uint64(32), keys & np.uint64(2**32 - 1)], axis=1).astype(np.uint32))
    return found
