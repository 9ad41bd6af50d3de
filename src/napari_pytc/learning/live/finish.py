"""The model that live learning leaves when it ends: the one in view, with its scores."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_pytc.jobs.context import JobContext
from napari_pytc.learning.data.volume_data import VolumeData
from napari_pytc.learning.live.model_selection import ModelSelector
from napari_pytc.learning.live.persistence import (
    FinishedModel,
    make_model_info,
    make_trained_model,
    write_finished_model,
)
from napari_pytc.learning.live.scores import score_finished_model
from napari_pytc.learning.live.trainer import NetworkTrainer, Weights
from napari_pytc.learning.prediction.image_statistics import input_names
from napari_pytc.plans.live_spec import LiveJob
from napari_pytc.plans.model_folder import TrainedVolume, read_model_info
from napari_pytc.plans.networks import NetworkLimits
from napari_pytc.plans.normalisation import ImageNormalisation

NOTHING: dict[str, Any] = {"model": None, "folder": None, "shown": "instant", "scores": {}, "steps": 0}
"""The result of a session in which nothing was learnt."""

LearntVolume = tuple[VolumeData, ImageNormalisation]


@dataclass(frozen=True)
class FinishedInstant:
    """The instant model at the end.

    Parameters
    ----------
    weights : dict
        Its weights.
    limits : NetworkLimits
        Halo and alignment of its filters.
    scores : dict
        Of its copy on validation strokes.
    """

    weights: Weights
    limits: NetworkLimits
    scores: dict[str, Any]


def keep_model(
    job: LiveJob,
    volumes: Sequence[LearntVolume],
    counts: np.ndarray,
    instant: FinishedInstant,
    trainer: NetworkTrainer,
    selector: ModelSelector,
    has_held_out_strokes: bool,
    started: float,
    ctx: JobContext,
) -> dict[str, Any]:
    """Score the model in view, write its folder, and return the result of the job.

    Parameters
    ----------
    volumes : sequence of (VolumeData, ImageNormalisation)
        The volume in view, then the others that were learnt from.
    counts : ndarray
        Training voxels of each class.
    has_held_out_strokes : bool
        Whether validation strokes lie in held-out boxes, so that scores on them are of held-out voxels.
    started : float
        When the session began, by `time.monotonic`.
    """
    is_network, plan = selector.shown == "network", job.plan
    scaling = plan.normalisation
    recipe, weights, limits, precision = (
        trainer.finished_parts() if is_network else (plan.instant, instant.weights, instant.limits, "float32")
    )
    (in_view, normalisation), *_ = volumes
    scores = _scores(job, trainer.scores if is_network else instant.scores, selector, has_held_out_strokes)
    model = FinishedModel(
        plan=recipe.model_copy(update={"normalisation": scaling}),
        weights=weights,
        limits=limits,
        normalisation=normalisation,
        steps=trainer.step if is_network else plan.instant.steps,
        seconds=time.monotonic() - started,
        precision=precision,
        n_annotated={name: int(n) for name, n in zip(job.classes, counts, strict=True)},
        volumes=tuple(_trained_volume(data, own) for data, own in volumes),
        scores=scores,
        input_names=input_names(in_view.source),
    )
    parent = read_model_info(job.output.parent).id if job.output.parent is not None and is_network else None
    info = make_model_info(job, model, parent)
    compared = score_finished_model(job, list(volumes), make_trained_model(info, model), ctx)
    info = info.model_copy(update={"scores": {**info.scores, **compared}})
    write_finished_model(job, info, model)
    return {
        "model": info.id,
        "folder": str(job.output.model_folder),
        "shown": selector.shown,
        "scores": info.scores,
        "steps": trainer.step,
    }


def _trained_volume(data: VolumeData, normalisation: ImageNormalisation) -> TrainedVolume:
    return TrainedVolume(
        name=data.name,
        digest=str(data.digest),
        voxel_size_nm=data.space.voxel_size_nm,
        normalisation=normalisation,
    )


def _scores(job: LiveJob, found: dict[str, Any], selector: ModelSelector, has_held_out_strokes: bool) -> dict[str, Any]:
    """Scores of the model in view; those of validation strokes have a name of their own."""
    both = {"instant": selector.instant, "network": selector.network}
    if found.get("mean") is None:
        return {}
    if has_held_out_strokes:
        return {**found, "boxes": [str(box) for box in job.in_view.held_out], "live": both}
    return {"live": {**both, "mean": found["mean"], "dice": found["dice"], "of": "strokes kept from learning"}}
