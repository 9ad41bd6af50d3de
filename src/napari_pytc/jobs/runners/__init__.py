"""Runners of jobs: in this thread, or in a worker process."""

from napari_pytc.jobs.runners.base import JobHandle, JobRunner
from napari_pytc.jobs.runners.inline import InlineRunner
from napari_pytc.jobs.runners.process import ProcessRunner

__all__ = ["InlineRunner", "JobHandle", "JobRunner", "ProcessRunner"]
