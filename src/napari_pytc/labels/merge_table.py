"""The merge table: supervoxel to segment."""

from __future__ import annotations

import numpy as np

from napari_pytc.labels.id_table import IdTable


class MergeTable:
    """Supervoxel -> segment, and back; a merge or a split of whole supervoxels rewrites no voxel.

    ::

        supervoxel  0  1  2  3  4  5            move 4 and 5 to segment 1
        segment     0  1  1  3  4  4    ->      0  1  1  3  1  1

    A change takes time in proportion to the supervoxels moved, whatever the size of table and volume. The way back,
    `members`, needs an index of the table, which is made with the first use and then kept.

    Parameters
    ----------
    segments : ndarray of uint32
        Segment of supervoxels 0, 1, ... (the first is 0); mapped from a file it takes memory only where it changes.
    """

    def __init__(self, segments: np.ndarray) -> None:
        self._table = IdTable(segments)
        self._index: tuple[np.ndarray, np.ndarray] | None = None
        self._joined: dict[int, list[np.ndarray]] = {}
        self._gained: dict[int, int] = {}

    def lookup(self, supervoxels: np.ndarray) -> np.ndarray:
        """Segments of an array of supervoxels, uint32 of the same shape."""
        return self._table.get(supervoxels)

    def members(self, segment: int) -> np.ndarray:
        """The supervoxels of a segment, sorted, uint32; none for 0 and for a segment that does not exist."""
        if segment == 0:
            return np.zeros(0, np.uint32)
        found = self._indexed(segment)
        joined = self._joined.get(segment)
        if joined:
            found = np.unique(np.concatenate([found, *joined]))
        return found[self._table.get(found) == segment]

    def n_members(self, segment: int) -> int:
        """Number of supervoxels of a segment, without listing them."""
        return 0 if segment == 0 else len(self._indexed(segment)) + self._gained.get(segment, 0)

    def segments(self) -> np.ndarray:
        """All segments that have a supervoxel, sorted, uint32."""
        found = np.unique(np.concatenate([np.unique(self._table.base), self._table.values_beyond]))
        return found[found != 0].astype(np.uint32)

    def supervoxels(self) -> tuple[np.ndarray, np.ndarray]:
        """All supervoxels that belong to a segment, sorted, and their segments."""
        inside = np.flatnonzero(self._table.base).astype(np.uint32)
        beyond = self._table.values_beyond != 0
        return (
            np.concatenate([inside, self._table.ids_beyond[beyond]]),
            np.concatenate([self._table.base[inside], self._table.values_beyond[beyond]]),
        )

    def move(self, supervoxels: np.ndarray, after: np.ndarray) -> None:
        """Give supervoxels, each named once, their new segments; doing it twice is the same as once."""
        supervoxels, after = np.asarray(supervoxels, np.uint32), np.asarray(after, np.uint32)
        before = self._table.get(supervoxels)
        self._table.set(supervoxels, after)
        if self._index is None:
            return
        changed = before != after
        for segments, sign in ((before[changed], -1), (after[changed], 1)):
            for segment, n in zip(*np.unique(segments, return_counts=True), strict=True):
                self._gained[int(segment)] = self._gained.get(int(segment), 0) + sign * int(n)
        for segment in np.unique(after[changed]).tolist():
            if segment:
                self._joined.setdefault(segment, []).append(supervoxels[changed & (after == segment)])
                self._compact(segment)

    def overrides(self) -> tuple[np.ndarray, np.ndarray]:
        """The supervoxels that were ever moved, sorted, and their segments, for saving."""
        return self._table.overrides()

    def load_overrides(self, supervoxels: np.ndarray, segments: np.ndarray) -> None:
        """Take over the result of `overrides`."""
        self.move(supervoxels, segments)

    def _indexed(self, segment: int) -> np.ndarray:
        """Supervoxels of a segment at the time the index was made."""
        if self._index is None:
            supervoxels, segments = self.supervoxels()
            order = np.argsort(segments, kind="stable")
            self._index = (segments[order], supervoxels[order])
        segments, supervoxels = self._index
        first, last = np.searchsorted(segments, [segment, segment + 1])
        return supervoxels[first:last]

    def _compact(self, segment: int) -> None:
        """Forget supervoxels that left again; otherwise undoing and redoing one edit would take ever more memory."""
        joined = self._joined[segment]
        n = sum(map(len, joined))
        if len(joined) > 64 and n > 2 * self.n_members(segment) + 1024:
            self._joined[segment] = [self.members(segment)]
