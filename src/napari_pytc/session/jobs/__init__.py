"""The jobs of a project: each subject describes its own, and `JobRuns` runs and records them."""

from napari_pytc.session.jobs.jobs import Jobs
from napari_pytc.session.jobs.runs import JobSignals

__all__ = ["JobSignals", "Jobs"]
