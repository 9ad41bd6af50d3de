"""What stands between our batches and Lightning."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Generator, Iterator
from contextlib import contextmanager

from napari_pytc.learning.pipeline import work_ahead
from napari_pytc.learning.sampling import Batch, BatchSource


class Loader:
    """What Lightning iterates: the batches of the steps to come, made ahead in a thread."""

    def __init__(self, source: BatchSource, first: int, last: int) -> None:
        self._source, self._first, self._last = source, first, last
        self._running: Generator[Batch, None, None] | None = None

    def __iter__(self) -> Iterator[Batch]:
        self.close()
        self._running = work_ahead(self._source.batch, range(self._first, self._last), depth=3, name="batches")
        return self._running

    def close(self) -> None:
        """End the thread that makes batches."""
        if self._running is not None:
            self._running.close()
            self._running = None


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Keep Lightning's advice on loaders and loggers, which we chose, from users."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"lightning\..*")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
