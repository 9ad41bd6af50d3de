"""Ids that the segments of an imported segmentation have in the file that it came from."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from napari_pytc.errors import InvalidInput, VolumeError
from napari_pytc.files import atomic_write

FILE = "original_ids.npy"
"""Name of the table in the folder of a segmentation."""
_ROOM = 2**32
"""As many new ids there may be: segments are uint32."""


class OriginalIds:
    """Table from our segments to the ids of the imported file, uint64; exports write the latter.

    ::

        segment   0   1    2       3    4 (made by a split)
        original  0  17  900  70 001    70 002

    Segments beyond the table, which edits made, get ids that the file does not have: those above its highest id, or,
    where there is no room, those of the first gap that is large enough.

    Parameters
    ----------
    table : ndarray of uint64, shape (n + 1,)
        The original id of segments 0, 1, ..., n; the first is 0, the others differ from one another.
    """

    def __init__(self, table: np.ndarray) -> None:
        table = np.ascontiguousarray(table, np.uint64)
        ids = np.unique(table)
        if table.ndim != 1 or not len(table) or table[0] != 0 or len(ids) != len(table):
            raise InvalidInput(
                f"Original ids are a table that begins with 0 and names no id twice, got {len(table)} entries with "
                f"{len(ids)} different ids."
            )
        self.table = table
        self.first_new = _first_free(ids)
        """The original id of the first segment beyond the table."""

    @classmethod
    def load(cls, folder: str | Path) -> OriginalIds | None:
        """The table of a segmentation's folder; None where it was not imported.

        Raises
        ------
        VolumeError
            If it is damaged.
        """
        path = Path(folder) / FILE
        if not path.is_file():
            return None
        try:
            return cls(np.load(path, allow_pickle=False))
        except (OSError, ValueError, InvalidInput) as error:
            raise VolumeError(
                f"The table of original ids {path} is damaged: {error}",
                "Import the segmentation again; without the file, exports write the ids that the window shows.",
            ) from error

    def save(self, folder: str | Path) -> None:
        """Write the table to a segmentation's folder, whole or not at all."""
        with atomic_write(Path(folder) / FILE) as aside:
            np.save(aside, self.table)

    def lookup(self, segments: np.ndarray) -> np.ndarray:
        """Original ids of an array of segments; uint64 of the same shape."""
        segments = np.asarray(segments)
        n = len(self.table)
        found = np.take(self.table, segments, mode="clip")
        if segments.size and int(segments.max()) >= n:
            beyond = segments >= n
            found[beyond] = segments[beyond].astype(np.uint64) - np.uint64(n) + np.uint64(self.first_new)
        return found

    def is_new(self, segments: np.ndarray) -> np.ndarray:
        """Mask of the segments that the file does not have."""
        return np.asarray(segments) >= len(self.table)


def _first_free(ids: np.ndarray) -> int:
    """The first of 2**32 consecutive ids that are not among sorted ones."""
    highest = int(ids[-1])
    if highest + _ROOM < 2**64:
        return highest + 1
    gaps = np.diff(ids)
    return int(ids[int(np.flatnonzero(gaps > np.uint64(_ROOM))[0])]) + 1
