"""Faults to inject: a cancel or an error at a chosen moment, a disk that takes no more."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from napari_pytc.jobs.context import JobCancelled


class StepContext:
    """A context that raises at its n-th check, and remembers what was reported."""

    def __init__(self, fail_at: int | None = None, failure: type[BaseException] | OSError = JobCancelled) -> None:
        self.fail_at, self.failure = fail_at, failure
        self.n_checks = 0
        self.reports: list[tuple[int, int]] = []

    def report(self, done: int, total: int, note: str = "") -> None:
        self.reports.append((done, total))

    def check(self) -> None:
        self.n_checks += 1
        if self.n_checks == self.fail_at:
            raise self.failure


@contextmanager
def file_size_limit(n_bytes: int) -> Iterator[None]:
    """Let the operating system refuse every file larger than this, as a full disk would."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
