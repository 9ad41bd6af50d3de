"""The model that live learning leaves, scored on held-out blocks beside the one in use before it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from napari_pytc.annotations.store import AnnotationStore
from napari_pytc.geometry import VoxelSpace
from napari_pytc.jobs.context import JobContext
from napari_pytc.learning.comparison import Standing, not_compared
from napari_pytc.learning.data import TrainingData
from napari_pytc.learning.inference import Inferer
from napari_pytc.learning.live.job import LiveJob
from napari_pytc.learning.model import TrainedModel
from napari_pytc.learning.scoring import HeldOutScorer
from napari_pytc.volumes.source import VolumeSource

_MOST_VOXELS = 300_000
"""Live learning is to stop within seconds, so less is scored than at the end of a training."""


def standing(
    job: LiveJob, source: VolumeSource, annotations: AnnotationStore, model: TrainedModel, ctx: JobContext
) -> dict[str, Any]:
    """Scores of a model, and its comparison with the one it began as and the one in use; see `Standing`.

    Without annotated voxels in held-out boxes only that the comparison is not known.
    """
    baselines = _others(job)
    space = VoxelSpace(job.voxel_size_nm, source.space.origin_nm)
    data = TrainingData(source, annotations, job.classes, job.held_out, space)
    scorer = HeldOutScorer(data, model.normalisation, _MOST_VOXELS, "scored")
    if not scorer.n_boxes:
        return not_compared(baselines, "nothing annotated is held out")
    device, arithmetic = model.place(model.info.plan.device, model.info.plan.precision)
    inferer = Inferer(model.network, model.limits, device, arithmetic, warn=ctx.warn, roles=model.roles)
    found = Standing.of(scorer, inferer, ctx.check)
    return {**found.scores, **found.against(baselines, model.roles, model.info.plan, ctx)}


def _others(job: LiveJob) -> Sequence[Path]:
    """The models to beat; the live model of the last time is none, because the new one takes its place."""
    found = [path for path in (job.parent, job.baseline) if path is not None and path != job.model_folder]
    return tuple(dict.fromkeys(found))
