"""The jobs of a project: their descriptions, runs and results."""

from __future__ import annotations

from napari_pytc.session.jobs.export import ExportJobs
from napari_pytc.session.jobs.prediction import PredictionJobs
from napari_pytc.session.jobs.runs import JobRuns
from napari_pytc.session.jobs.segmentation import SegmentationJobs
from napari_pytc.session.jobs.training import TrainingJobs


class Jobs(JobRuns, TrainingJobs, PredictionJobs, SegmentationJobs, ExportJobs):
    """The jobs at a volume of a project.

    Its methods belong to the session's thread. The signals are emitted by the thread that delivers a job's events:
    connect to them with ``thread="main"``.
    """
