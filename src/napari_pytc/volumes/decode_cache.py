"""A bounded memory of decoded pieces of files."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable

import numpy as np
import psutil

_MOST_BYTES = 512 * 2**20


class DecodeCache:
    """Least recently used arrays, up to a number of bytes; safe from several threads.

    Without it, reading a compressed section in small boxes would decode the whole section for every box. The newest
    array is kept whatever its size, so that this holds for sections larger than the bound too.

    Parameters
    ----------
    n_bytes : int, optional
        The bound; by default 512 MiB, or a sixteenth of the machine's memory where that is less.
    """

    def __init__(self, n_bytes: int | None = None) -> None:
        self._most = min(_MOST_BYTES, psutil.virtual_memory().total // 16) if n_bytes is None else n_bytes
        self._arrays: OrderedDict[Hashable, np.ndarray] = OrderedDict()
        self._lock = threading.Lock()
        self.n_bytes = 0

    def get(self, key: Hashable) -> np.ndarray | None:
        """The array of a key, none where it is not (or no longer) kept."""
        with self._lock:
            if key in self._arrays:
                self._arrays.move_to_end(key)
            return self._arrays.get(key)

    def put(self, key: Hashable, array: np.ndarray) -> None:
        """Keep an array, which the caller no longer writes to, and forget the oldest ones beyond the bound."""
        with self._lock:
            old = self._arrays.pop(key, None)
            self.n_bytes += array.nbytes - (old.nbytes if old is not None else 0)
            self._arrays[key] = array
            while self.n_bytes > self._most and len(self._arrays) > 1:
                self.n_bytes -= self._arrays.popitem(last=False)[1].nbytes
