"""The instant model in live learning: fitted to the strokes of all volumes as they change, and validated by a copy."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from napari_pytc.learning.live.instant import InstantModel
from napari_pytc.learning.live.labelled_features import Examples, LabelledFeatures
from napari_pytc.learning.live.other_volumes import OtherVolumes
from napari_pytc.learning.live.persistence import InstantState
from napari_pytc.learning.live.scores import ScoredRegion, Scoring, choose_regions
from napari_pytc.learning.live.stroke_split import StrokeSnapshot, StrokeSplit
from napari_pytc.learning.machine.devices import one_thread
from napari_pytc.plans.live_spec import LiveJob


class InstantLearner:
    """Strokes, the instant model that is fitted to all of them, and its copy that is not fitted to validation strokes.

    Parameters
    ----------
    split : StrokeSplit
        The strokes of the volume in view.
    others : OtherVolumes
        Those of all others.
    labelled : LabelledFeatures
        Features of the strokes in view.
    is_resumed : bool
        Whether weights of an earlier session may be taken over; else the split of the strokes may change, and the copy
        must not be trained on it.
    """

    def __init__(
        self,
        job: LiveJob,
        split: StrokeSplit,
        others: OtherVolumes,
        instant: InstantModel,
        validation_copy: InstantModel,
        labelled: LabelledFeatures,
        is_resumed: bool,
    ) -> None:
        self._job, self._split, self._others = job, split, others
        self._instant, self.validation_copy, self._labelled = instant, validation_copy, labelled
        self._state = InstantState(job, instant, validation_copy)
        if is_resumed:
            self._state.restore(self._snapshot())
        self._region_features: dict[Any, Tensor] = {}
        self.examples: Examples | None = None
        """Training examples of all volumes, once there are strokes of two classes."""
        self.revision = -1
        """Revision of the strokes in view that the model was fitted to, or was not for want of classes."""
        self.regions: list[ScoredRegion] = []
        """What models are scored on: validation strokes."""
        self.scores: dict[str, Any] = {}
        """Of the copy, on these."""

    def refresh(self) -> bool:
        """Read strokes that changed, in all volumes; whether the model is to be fitted."""
        self._split.refresh()
        return self._others.refresh() or self._split.revision != self.revision

    def fit(self) -> bool:
        """Fit the model; False where there are not strokes of two classes."""
        self.revision = self._split.revision
        if np.count_nonzero(self.counts) < 2:
            return False
        with one_thread():
            training, validation = self._labelled.gather(self._split.chunks.values())
            self.examples = sum(self._others.examples(), training)
            # Validation strokes are training data of the model in view, too: users want to see their effect.
            self._state.update(self._instant, self.examples + validation, self._snapshot())
        return True

    def validate(self) -> None:
        """Fit the copy without validation strokes, and score it on those."""
        assert self.examples is not None
        self.regions = choose_regions(self._split.chunks.values(), self._job.plan.seed)
        with one_thread():
            self._state.update(self.validation_copy, self.examples, self._snapshot())
            scoring = Scoring(self.regions, self._predict_region)
            while not scoring.is_over:
                scoring.score_next()
        self.scores = scoring.result(self._job.classes)

    @property
    def counts(self) -> np.ndarray:
        """Training voxels of each class, in all volumes."""
        found: np.ndarray = self._split.counts + self._others.counts
        return found

    def save(self) -> None:
        """Write the weights for the next session."""
        self._state.save()

    def _snapshot(self) -> StrokeSnapshot:
        """The strokes of all volumes as they are now."""
        return self._split.snapshot().with_others(self._others.snapshots())

    def _predict_region(self, region: ScoredRegion) -> Any:
        known = self._region_features.get(region.key)
        if known is None:
            known = self._labelled.features(region.where, unmasked=self._split.has_held_out_strokes)
            self._region_features[region.key] = known
        return (self.validation_copy.probabilities(known).argmax(0) + 1).numpy()
