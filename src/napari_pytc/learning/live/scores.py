"""Scores of both models on the same validation voxels, and of the model that live learning leaves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from napari_pytc.geometry import Box
from napari_pytc.jobs.context import JobContext
from napari_pytc.learning.data.volume_data import VolumeData
from napari_pytc.learning.evaluation.evaluation import ScoredModel, not_compared
from napari_pytc.learning.evaluation.scoring import HeldOutScorer
from napari_pytc.learning.evaluation.volume_scores import ScoredVolume, Scorer
from napari_pytc.learning.live.stroke_split import ChunkLabels
from napari_pytc.learning.prediction.model import TrainedModel
from napari_pytc.metrics.overlap import ClassCounts
from napari_pytc.plans.live_spec import LiveJob
from napari_pytc.plans.normalisation import ImageNormalisation

_CELL = np.array([8, 64, 64])
_MOST_REGIONS = 16
"""Regions that a network predicts for a score; with their context they cost a few seconds."""


@dataclass(frozen=True)
class ScoredRegion:
    """Validation voxels (n, 3), their classes (n,) uint8, and the box around them."""

    box: Box
    where: np.ndarray
    classes: np.ndarray

    @property
    def key(self) -> tuple[Box, bytes]:
        """Identifies the voxels, for a cache."""
        return self.box, self.where.tobytes()


def choose_regions(chunks: Iterable[ChunkLabels], seed: int) -> list[ScoredRegion]:
    """Choose at most 16 regions with validation voxels, all over the volume and of every class that has any.

    The choice depends on the regions alone, so that scores stay comparable while strokes are added elsewhere.
    """
    regions = [region for chunk in chunks for region in _regions_of(chunk)]
    ranks = [np.random.default_rng([seed, *region.box.start]).random() for region in regions]
    order = [regions[i] for i in np.argsort(ranks, kind="stable")]
    chosen: list[ScoredRegion] = []
    seen: set[int] = set()
    for region in order:  # first those with a class that none has yet
        classes = set(np.unique(region.classes).tolist())
        if not classes <= seen:
            chosen.append(region)
            seen |= classes
    chosen += [region for region in order if not any(region is other for other in chosen)]
    return chosen[:_MOST_REGIONS]


def _regions_of(chunk: ChunkLabels) -> list[ScoredRegion]:
    indices = np.flatnonzero(chunk.is_validation)
    if not len(indices):
        return []
    where, classes = chunk.where(indices), chunk.classes[indices]
    cells = np.unique((where - np.array(chunk.box.start)) // _CELL, axis=0, return_inverse=True)[1].ravel()
    found = []
    for cell in range(int(cells.max()) + 1):
        inside = cells == cell
        low, high = where[inside].min(axis=0), where[inside].max(axis=0) + 1
        found.append(ScoredRegion(Box(tuple(low), tuple(high)), where[inside], classes[inside]))
    return found


class Scoring:
    """A score, computed region by region.

    Parameters
    ----------
    predict : callable
        Gives the most probable class (n,), from 1, of the voxels of a region.
    """

    def __init__(self, regions: Iterable[ScoredRegion], predict: Callable[[ScoredRegion], np.ndarray]) -> None:
        self._todo, self._predict = list(regions), predict
        self._counts = ClassCounts(ignore=0)

    @property
    def is_over(self) -> bool:
        """Whether all regions are scored."""
        return not self._todo

    def score_next(self) -> None:
        """Score the next region."""
        region = self._todo.pop(0)
        self._counts.add(self._predict(region).astype(np.uint8), region.classes)

    def result(self, classes: tuple[str, ...]) -> dict[str, Any]:
        """``dice`` and ``iou`` by class, ``mean`` (of the Dice of classes in the truth) and ``n_voxels``."""
        ids = range(1, len(classes) + 1)
        dice, iou = self._counts.dice(ids), self._counts.iou(ids)
        present = [k for k in ids if self._counts.confusion[k].any()]
        return {
            "dice": {classes[k - 1]: _number(dice[k]) for k in ids},
            "iou": {classes[k - 1]: _number(iou[k]) for k in ids},
            "mean": float(np.mean([dice[k] for k in present])) if present else None,
            "n_voxels": self._counts.n_voxels,
        }


def most_probable(probabilities: torch.Tensor, region: ScoredRegion) -> np.ndarray:
    """Classes, from 1, of the voxels of a region, given the probabilities (k, *box.shape) of its box."""
    z, y, x = (region.where - np.array(region.box.start)).T
    return probabilities.argmax(0).numpy()[z, y, x] + 1


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


_MOST_VOXELS = 300_000
"""Live learning stops within seconds, so that it scores less than a training at its end."""


def score_finished_model(
    job: LiveJob, volumes: Sequence[tuple[VolumeData, ImageNormalisation]], model: TrainedModel, ctx: JobContext
) -> dict[str, Any]:
    """Score a model on held-out boxes, and compare it with its parent and the model in use; see `ScoredModel`.

    Without annotated voxels in held-out boxes the comparison is unknown.

    Parameters
    ----------
    volumes : sequence of (VolumeData, ImageNormalisation)
        The volume in view, then the others.
    """
    baselines, share = _baselines(job), _MOST_VOXELS // len(volumes)
    scorer = Scorer(
        [
            ScoredVolume(HeldOutScorer(data, own, share, "scored"), data.name or str(number), data.digest, own)
            for number, (data, own) in enumerate(volumes, 1)
        ]
    )
    if not scorer.n_boxes:
        return not_compared(baselines, "nothing annotated is held out")
    device, precision = model.place(model.info.plan.device, model.info.plan.precision, ctx)
    inferer = model.inferer(device, precision, ctx.warn)
    found = ScoredModel.of(scorer, inferer, ctx.check, model.info.known_voxel_size_nm)
    return {**found.scores, **found.compare_with(baselines, model.roles, model.info.plan, ctx)}


def _baselines(job: LiveJob) -> Sequence[Path]:
    """Folders of the models to compare with, without the last live model, which the new one replaces."""
    output = job.output
    found = [path for path in (output.parent, output.baseline) if path is not None and path != output.model_folder]
    return tuple(dict.fromkeys(found))
