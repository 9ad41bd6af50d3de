"""Scores of a model with bootstrap intervals, and its comparison with the models that it is to beat.

Voxels of one object share its luck, so that an interval from single voxels would be far too narrow: whole blocks are
drawn (Efron and Tibshirani 1993, An Introduction to the Bootstrap). Two models are compared on the same draws, which
takes out how hard a block is for both.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_pytc.errors import PytcError
from napari_pytc.jobs.context import JobContext
from napari_pytc.learning.evaluation.volume_scores import Scorer
from napari_pytc.learning.prediction.model import TrainedModel
from napari_pytc.learning.prediction.predictor import BoxInferer
from napari_pytc.plans.model_comparison import FEWEST_BLOCKS, ModelComparison, judge
from napari_pytc.plans.plan import TrainPlan
from napari_pytc.volumes.channels import ChannelRole
from napari_pytc.volumes.resampling import VoxelSize, differs, size_text

_NAMES = ("comparison", "in_use")


def not_compared(baselines: Sequence[Path], reason: str) -> dict[str, Any]:
    """Comparisons with models, where nothing can be compared."""
    found = [ModelComparison(baseline=folder.name, verdict="unknown", reason=reason) for folder in baselines]
    return {name: one.model_dump(mode="json") for name, one in zip(_NAMES, found, strict=False)}


@dataclass(frozen=True)
class ScoredModel:
    """The scores of a model, and the counts that they are made of.

    Parameters
    ----------
    scorer : Scorer
        The scorer of the counts.
    counts : ndarray
        (blocks, ...).
    voxel_size_nm : tuple of float, optional
        Voxel size of the network, where it is known; models of another are not compared.
    """

    scorer: Scorer
    counts: np.ndarray
    voxel_size_nm: VoxelSize | None
    truth: str = ""
    """Digest of what was scored; empty where it is not known."""

    @classmethod
    def of(
        cls,
        scorer: Scorer,
        inferer: BoxInferer,
        check: Callable[[], None],
        voxel_size_nm: VoxelSize | None,
    ) -> ScoredModel:
        """Score a network."""
        return cls(scorer, scorer.count(inferer, check), voxel_size_nm, scorer.truth_digest())

    @property
    def mean(self) -> float:
        """The mean score; nan where nothing was scored."""
        return float(self.scorer.means(self.counts.sum(axis=0)[None])[0])

    @property
    def scores(self) -> dict[str, Any]:
        """The summary of the scorer, and the ``interval`` of its mean where there are blocks enough for one.

        Of several volumes each has its own summary in ``volumes``, by name. ``truth`` is a digest of what was scored.
        """
        scores = self.scorer.summary(self.counts.sum(axis=0))
        if self.truth:
            scores = {**scores, "truth": self.truth}
        if volumes := self.scorer.by_volume(self.counts):
            scores = {**scores, "volumes": volumes}
        known = interval(self.counts, self.scorer.means) if len(self.counts) >= FEWEST_BLOCKS else None
        return scores if known is None else {**scores, "interval": list(known)}

    def compare_with(
        self, baselines: Sequence[Path], roles: Sequence[ChannelRole], plan: TrainPlan, ctx: JobContext
    ) -> dict[str, Any]:
        """Comparisons with models on disk, as `model_comparison` describes them; one that cannot be read is reported.

        Parameters
        ----------
        baselines : sequence of Path
            Folders of the parent and of the model in use, in this order.
        roles : sequence of ChannelRole
            Channels of the new model; models of other channels are not compared.
        plan : TrainPlan
            Device and precision.
        """
        found = {}
        for name, folder in zip(_NAMES, baselines, strict=False):
            try:
                comparison = self._with(folder.name, TrainedModel.load(folder), roles, plan, ctx)
            except PytcError as error:
                reason = f"{folder.name} cannot be compared: {error.message.rstrip('.')}"
                comparison = ModelComparison(baseline=folder.name, verdict="unknown", reason=reason)
            found[name] = comparison.model_dump(mode="json")
        return found

    def _with(
        self, name: str, model: TrainedModel, roles: Sequence[ChannelRole], plan: TrainPlan, ctx: JobContext
    ) -> ModelComparison:
        if model.roles != tuple(roles):
            return ModelComparison(baseline=name, verdict="unknown", reason=f"{name} learnt {_listed(model.roles)}")
        if model.info.n_inputs != len(self.scorer.volumes[0].normalisation.channels):
            reason = f"{name} takes images of {model.info.n_inputs} channel(s)"
            return ModelComparison(baseline=name, verdict="unknown", reason=reason)
        size = model.info.known_voxel_size_nm
        if size is not None and self.voxel_size_nm is not None and differs(size, self.voxel_size_nm):
            reason = f"{name} learnt voxels of {size_text(size)} nm"
            return ModelComparison(baseline=name, verdict="unknown", reason=reason)
        if model.info.plan.normalisation != plan.normalisation and not all(
            model.normalisation_of(one.digest) for one in self.scorer.volumes
        ):
            reason = f"{name} learnt intensities that were scaled otherwise"
            return ModelComparison(baseline=name, verdict="unknown", reason=reason)
        ctx.report(plan.steps, plan.steps, f"comparing with {name}")
        device, precision = model.place(plan.device, plan.precision, ctx)
        inferer = model.inferer(device, precision, ctx.warn)
        normalisations = [
            model.normalisation_of(one.digest) or model.known_channels(one.normalisation) for one in self.scorer.volumes
        ]
        counts = self.scorer.count(inferer, ctx.check, normalisations)
        baseline = ScoredModel(self.scorer, counts, self.voxel_size_nm)
        known = {"mean": _number(self.mean), "baseline_mean": _number(baseline.mean), "n_blocks": len(counts)}
        limits = difference_interval(self.counts, counts, self.scorer.means)
        if len(counts) < FEWEST_BLOCKS or limits is None:
            reason = f"only {len(counts)} places of the held-out boxes are annotated, {FEWEST_BLOCKS} are needed"
            return ModelComparison(baseline=name, verdict="unknown", reason=reason, **known)
        difference, (low, high) = self.mean - baseline.mean, limits
        verdict = judge(difference, low, high)
        return ModelComparison(baseline=name, verdict=verdict, difference=difference, low=low, high=high, **known)


def _listed(roles: Sequence[ChannelRole]) -> str:
    titles = [role.title for role in roles]
    return ", ".join(titles[:4]) + (f" and {len(titles) - 4} more" if len(titles) > 4 else "")


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


N_DRAWS = 2000
_LEVEL = (2.5, 97.5)

Mean = Callable[[np.ndarray], np.ndarray]
"""From sums of counts (n, ...) to mean scores (n,); nan where a sum holds nothing to score."""


def interval(counts: np.ndarray, mean: Mean, seed: int = 0) -> tuple[float, float] | None:
    """The percentile interval (95 %) of a score.

    Parameters
    ----------
    counts : ndarray
        (blocks, ...), what was counted in each block; counts of several blocks add up.
    mean : callable
        The score of such sums.

    Returns
    -------
    tuple of float or None
        Low and high; None where no draw holds anything to score.
    """
    return _percentiles(mean(_draws(counts, _weights(len(counts), seed))))


def difference_interval(
    counts: np.ndarray, baseline: np.ndarray, mean: Mean, seed: int = 0
) -> tuple[float, float] | None:
    """The interval of the score of `counts` less that of `baseline`, both of the same blocks; as `interval`."""
    weights = _weights(len(counts), seed)
    return _percentiles(mean(_draws(counts, weights)) - mean(_draws(baseline, weights)))


def _weights(n_blocks: int, seed: int) -> np.ndarray:
    """Number of times that each draw took each block, (draws, blocks)."""
    return np.random.default_rng(seed).multinomial(n_blocks, np.full(n_blocks, 1 / n_blocks), N_DRAWS).astype(float)


def _draws(counts: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return np.tensordot(weights, counts.astype(float), axes=1)


def _percentiles(values: np.ndarray) -> tuple[float, float] | None:
    known = values[np.isfinite(values)]
    if not len(known):
        return None
    low, high = np.percentile(known, _LEVEL)
    return float(low), float(high)
