"""Jobs as frozen data: one JSON format for window, worker, project file and command line."""

from __future__ import annotations

from typing import Any, ClassVar

from napari_pytc.jobs.context import JobContext
from napari_pytc.settings import TaggedSettings, resolve


class JobSpec(TaggedSettings):
    """Everything a job needs to run in any process, as data.

    A subclass gives ``kind: Literal["..."] = "..."``, its inputs and settings as fields, and `runs`. The module that
    defines it is named in the entry-point group ``napari_pytc.jobs``, so that a worker finds it from the kind alone.
    """

    noun: ClassVar[str] = "job"
    entry_point_group: ClassVar[str] = "napari_pytc.jobs"
    runs: ClassVar[str]
    """The function that does the work, ``"package.module:function"``; it takes the spec and a `JobContext`."""

    def run(self, ctx: JobContext) -> dict[str, Any]:
        """Do the work in this thread; the function's module is imported first.

        Returns
        -------
        dict
            The result, for `Finished.result`: JSON values only; bulk data stays on disk.
        """
        ctx.report(0, 0, "loading the libraries")
        work = resolve(self.runs)
        ctx.check()
        result: dict[str, Any] = work(self, ctx)
        return result
