"""A runner that tells prepared events instead of running anything."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

from napari_pytc.jobs.events import Finished, JobEvent, Started
from napari_pytc.jobs.spec import JobSpec


class ScriptedRunner:
    """Tells `Started`, the events given, and an end; from another thread where asked.

    Parameters
    ----------
    events : sequence of JobEvent
        The last one must be terminal; by default the job finishes with an empty result.
    before : callable, optional
        Called with the job before the first event, to make on disk what the job would have made.
    """

    def __init__(
        self,
        events: Sequence[JobEvent] = (Finished(job="j1"),),
        before: Callable[[Any], None] | None = None,
        in_thread: bool = False,
    ) -> None:
        self.events, self.before, self.in_thread = events, before, in_thread
        self.jobs: list[JobSpec] = []

    def unfinished(self) -> list[Any]:
        """Every job is over when `start` returns."""
        return []

    def start(self, spec: JobSpec, sink: Callable[[JobEvent], None]) -> str:
        self.jobs.append(spec)
        # Through JSON, as a worker gets it.
        spec = type(spec).model_validate_json(spec.model_dump_json())

        def tell() -> None:
            if self.before is not None:
                self.before(spec)
            sink(Started(job=self.events[-1].job))
            for event in self.events:
                sink(event)

        if self.in_thread:
            thread = threading.Thread(target=tell)
            thread.start()
            thread.join()
        else:
            tell()
        return self.events[-1].job
