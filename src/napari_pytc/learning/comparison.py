"""A new model beside those that it is to beat, on the same held-out voxels."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_pytc.errors import PytcError
from napari_pytc.jobs.context import JobContext
from napari_pytc.learning.bootstrap import difference_interval, interval
from napari_pytc.learning.config import TrainPlan
from napari_pytc.learning.inference import Inferer
from napari_pytc.learning.model import TrainedModel
from napari_pytc.learning.scoring import Scorer
from napari_pytc.learning.verdicts import FEWEST_BLOCKS, Comparison, judge
from napari_pytc.volumes.channels import ChannelRole

_NAMES = ("comparison", "in_use")


def not_compared(baselines: Sequence[Path], reason: str) -> dict[str, Any]:
    """What is said of models that nothing can be compared on."""
    found = [Comparison(baseline=folder.name, verdict="unknown", reason=reason) for folder in baselines]
    return {name: one.model_dump(mode="json") for name, one in zip(_NAMES, found, strict=False)}


@dataclass(frozen=True)
class Standing:
    """The scores of a model, and what they were counted from.

    Parameters
    ----------
    scorer : Scorer
        What counted.
    counts : ndarray
        (blocks, ...).
    """

    scorer: Scorer
    counts: np.ndarray

    @classmethod
    def of(cls, scorer: Scorer, inferer: Inferer, check: Callable[[], None]) -> Standing:
        """Let a network be scored."""
        return cls(scorer, scorer.count(inferer, check))

    @property
    def mean(self) -> float:
        """The mean score; nan where nothing was scored."""
        return float(self.scorer.means(self.counts.sum(axis=0)[None])[0])

    @property
    def scores(self) -> dict[str, Any]:
        """The summary of the scorer, and the ``interval`` of its mean where there are blocks enough for one."""
        scores = self.scorer.summary(self.counts.sum(axis=0))
        known = interval(self.counts, self.scorer.means) if len(self.counts) >= FEWEST_BLOCKS else None
        return scores if known is None else {**scores, "interval": list(known)}

    def against(
        self, baselines: Sequence[Path], roles: Sequence[ChannelRole], plan: TrainPlan, ctx: JobContext
    ) -> dict[str, Any]:
        """Comparisons with models on disk, as `verdicts` describes them; one that cannot be asked is told.

        Parameters
        ----------
        baselines : sequence of Path
            Folders of the parent and of the model in use, in this order.
        roles : sequence of ChannelRole
            What the new model answers; models that answer something else are not compared.
        plan : TrainPlan
            Device and precision.
        """
        found = {}
        for name, folder in zip(_NAMES, baselines, strict=False):
            try:
                comparison = self._with(folder.name, TrainedModel.load(folder), roles, plan, ctx)
            except PytcError as error:
                reason = f"{folder.name} cannot be asked: {error.message.rstrip('.')}"
                comparison = Comparison(baseline=folder.name, verdict="unknown", reason=reason)
            found[name] = comparison.model_dump(mode="json")
        return found

    def _with(
        self, name: str, model: TrainedModel, roles: Sequence[ChannelRole], plan: TrainPlan, ctx: JobContext
    ) -> Comparison:
        if model.roles != tuple(roles):
            return Comparison(baseline=name, verdict="unknown", reason=f"{name} learnt {_listed(model.roles)}")
        ctx.report(plan.steps, plan.steps, f"comparing with {name}")
        device, arithmetic = model.place(plan.device, plan.precision)
        inferer = Inferer(model.network, model.limits, device, arithmetic, warn=ctx.warn, roles=model.roles)
        counts = self.scorer.count(inferer, ctx.check, model.normalisation)
        baseline = Standing(self.scorer, counts)
        known = {"mean": _number(self.mean), "baseline_mean": _number(baseline.mean), "n_blocks": len(counts)}
        limits = difference_interval(self.counts, counts, self.scorer.means)
        if len(counts) < FEWEST_BLOCKS or limits is None:
            reason = f"only {len(counts)} places of the held-out boxes are annotated, {FEWEST_BLOCKS} are needed"
            return Comparison(baseline=name, verdict="unknown", reason=reason, **known)
        difference, (low, high) = self.mean - baseline.mean, limits
        verdict = judge(difference, low, high)
        return Comparison(baseline=name, verdict=verdict, difference=difference, low=low, high=high, **known)


def _listed(roles: Sequence[ChannelRole]) -> str:
    titles = [role.title for role in roles]
    return ", ".join(titles[:4]) + (f" and {len(titles) - 4} more" if len(titles) > 4 else "")


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
