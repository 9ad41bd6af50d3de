"""Pieces of objects on both sides of the faces between blocks, and which of them are one."""

from __future__ import annotations

import numpy as np

from napari_pytc.decoding.base import DecoderSettings
from napari_pytc.decoding.blocks.block_results import BlockResults
from napari_pytc.decoding.blocks.reuse import Reused
from napari_pytc.decoding.blocks.stitching import (
    both_sides,
    opposite,
    overlapping_pairs,
    shared_voxels,
    slabs,
    touching_pairs,
    unique_pairs,
)
from napari_pytc.decoding.evidence import EvidenceReader
from napari_pytc.geometry import Box, TileGrid


class BlockPieces:
    """Labels of decoded blocks, of which those that are one object are found by `DecoderSettings.stitching`.

    Parameters
    ----------
    reused : Reused
        Labels that are taken over, which join others only where they may.
    """

    def __init__(
        self, grid: TileGrid, results: BlockResults, reader: EvidenceReader, decoder: DecoderSettings, reused: Reused
    ) -> None:
        self._grid, self._results, self._reader, self._decoder, self._reused = grid, results, reader, decoder, reused

    def touching(self, index: int) -> np.ndarray:
        """Pairs of labels that touch, or whose faces the decoder joins, in and around a block: (m, 2)."""
        if self._decoder.stitching == "joined":
            return self._reused.allowed(self._joined(index))
        around = self._grid[index].write.grow((1, 1, 1)).intersect(self._grid.box)
        return self._reused.allowed(
            touching_pairs(self._results.read(around, self._grid), self._decoder.piece_connectivity)
        )

    def _joined(self, index: int) -> np.ndarray:
        """Pairs of labels whose faces the decoder joins, across the far faces of a block."""
        write = self._grid[index].write
        found = [np.zeros((0, 2), np.uint32)]
        for axis in range(3):
            if write.stop[axis] >= self._grid.box.stop[axis]:
                continue
            face = both_sides(write, axis)
            labels = self._results.read(face, self._grid)
            here, there = np.take(labels, 0, axis), np.take(labels, 1, axis)
            joined = np.take(self._decoder.joined_faces(self._reader.read(face))[axis], 0, axis)
            joined &= (here > 0) & (there > 0)
            found.append(unique_pairs(here[joined], there[joined]))
        return np.concatenate(found)

    def overlapping(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Pairs of labels that match across the far faces of a block, and those that touch there and may be joined.

        Returns
        -------
        pairs : ndarray of uint32, shape (m, 2)
        near : ndarray of int64, shape (k, 3)
            Two labels, and the number of voxels that both blocks give them.
        """
        found, near = [np.zeros((0, 2), np.uint32)], [np.zeros((0, 3), np.int64)]
        tile = self._grid[index]
        beyond = self._beyond(index)
        for name, above in slabs(tile, self._grid):
            axis = int(name[-1])
            if not name.startswith("high"):
                continue
            (other,) = self._grid.overlapping(above)
            theirs = self._beyond(other)[opposite(name)]
            below = Box.at(
                [s if a != axis else tile.write.stop[axis] - theirs.shape[axis] for a, s in enumerate(above.start)],
                theirs.shape,
            )
            here, there = self._results.read(below, self._grid), self._results.read(above, self._grid)
            contact = np.stack([here.take(-1, axis).ravel(), there.take(0, axis).ravel()], axis=1)
            low, high = np.concatenate([here, beyond[name]], axis), np.concatenate([theirs, there], axis)
            found.append(self._reused.allowed(overlapping_pairs(low, high, contact), contact))
            pairs, shared = shared_voxels(low, high, contact)
            may_join = self._reused.may_join(pairs)
            near.append(np.concatenate([pairs.astype(np.int64), shared[:, None]], axis=1)[may_join])
        return np.concatenate(found), np.concatenate(near)

    def _beyond(self, index: int) -> dict[str, np.ndarray]:
        """A block's labels of the voxels beyond its faces, with ids as `BlockResults.read` gives them."""
        stored = self._results.load("decode", index)
        start = np.uint32(self._results.starts[index])
        return {name: np.where(a > 0, a + start, 0).astype(np.uint32) for name, a in stored.items() if a.ndim == 3}
