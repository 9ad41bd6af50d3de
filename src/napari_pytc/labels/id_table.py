"""Values by id: a dense table that may be memory-mapped, and the few ids that came after it."""

from __future__ import annotations

import numpy as np


class IdTable:
    """Table of one value, or one row of values, per id.

    A base that is mapped from a file stays there: it is mapped anew, copy-on-write, so that only pages with a changed
    value take memory. Any other array is copied. Ids beyond the base are kept sorted beside it, so that a few ids near
    the end of uint32 cost a few bytes.

    Parameters
    ----------
    base : ndarray
        Values of ids 0, 1, ...; shape (n + 1, ...). Ids beyond it hold 0 until they are set.
    """

    def __init__(self, base: np.ndarray) -> None:
        self._base = _changeable(base)
        self._is_changed: np.ndarray | None = None
        self._ids = np.zeros(0, np.uint32)
        self._values = np.zeros((0, *base.shape[1:]), base.dtype)

    @property
    def ids_beyond(self) -> np.ndarray:
        """The ids beyond the base that were set, sorted, uint32."""
        return self._ids

    @property
    def base(self) -> np.ndarray:
        """Present values of the ids of the base; not to be written to."""
        return self._base

    @property
    def values_beyond(self) -> np.ndarray:
        """Present values of `ids_beyond`."""
        return self._values

    def get(self, ids: np.ndarray) -> np.ndarray:
        """Values of ids; shape ``ids.shape + base.shape[1:]``."""
        ids = np.asarray(ids)
        if not ids.size or int(ids.max()) < len(self._base):
            return np.take(self._base, ids, axis=0, mode="clip")
        found = np.take(self._base, np.minimum(ids, len(self._base) - 1), axis=0, mode="clip")
        beyond = ids >= len(self._base)
        found[beyond] = self._get_beyond(ids[beyond])
        return found

    def set(self, ids: np.ndarray, values: np.ndarray) -> None:
        """Set the values of ids, each of which is named once."""
        ids = np.asarray(ids, np.uint32)
        inside = ids < len(self._base)
        if inside.any():
            self._base[ids[inside]] = values[inside]
            if self._is_changed is None:
                self._is_changed = np.zeros(len(self._base), bool)
            self._is_changed[ids[inside]] = True
        if not inside.all():
            self._set_beyond(ids[~inside], values[~inside])

    def overrides(self) -> tuple[np.ndarray, np.ndarray]:
        """All ids that were ever set, sorted, and their values."""
        inside = np.zeros(0, np.uint32)
        if self._is_changed is not None:
            inside = np.flatnonzero(self._is_changed).astype(np.uint32)
        return np.concatenate([inside, self._ids]), np.concatenate([self._base[inside], self._values])

    def _get_beyond(self, ids: np.ndarray) -> np.ndarray:
        found = np.zeros((len(ids), *self._base.shape[1:]), self._base.dtype)
        if len(self._ids):
            at = np.minimum(np.searchsorted(self._ids, ids), len(self._ids) - 1)
            known = self._ids[at] == ids
            found[known] = self._values[at[known]]
        return found

    def _set_beyond(self, ids: np.ndarray, values: np.ndarray) -> None:
        new = np.setdiff1d(ids, self._ids)
        if len(new):
            places = np.searchsorted(self._ids, new)
            self._ids = np.insert(self._ids, places, new)
            self._values = np.insert(self._values, places, 0, axis=0)
        self._values[np.searchsorted(self._ids, ids)] = values


def _changeable(base: np.ndarray) -> np.ndarray:
    """The same values to change in memory; the file of a mapped array stays as it is."""
    if isinstance(base, np.memmap) and base.filename is not None and base.flags.c_contiguous:
        return np.memmap(base.filename, base.dtype, "c", base.offset, base.shape).view(np.ndarray)
    return np.array(base)
