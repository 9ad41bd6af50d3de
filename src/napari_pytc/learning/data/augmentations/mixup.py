"""Batches whose patches are blended with one another (Zhang et al. 2018, arXiv:1710.09412).

A voxel of a blend is two voxels at once, and each is annotated or not by itself: the loss is that of the labels of
either patch, by its share in the blend, each where that patch is annotated. Labels are not blended.
"""

from __future__ import annotations

import numpy as np

from napari_pytc.learning.data.sampling import Batch, BatchSource
from napari_pytc.plans.plan import TrainPlan

_ALPHA = 0.4
"""Of the beta distribution of the share: mostly little of one patch, seldom halves."""
_STREAM = 7_919
"""Keeps the random numbers apart from those by which patches are drawn."""


class MixedBatches:
    """Batches of another source, some with each patch blended with the next one, of which it has at least a half.

    Parameters
    ----------
    probability : float
        Of a batch that is blended.
    seed : int
        Of all random numbers, with the step.
    """

    def __init__(self, source: BatchSource, probability: float, seed: int) -> None:
        self._source, self._probability, self._seed = source, probability, seed

    def batch(self, step: int) -> Batch:
        """See `BatchSource`."""
        batch = self._source.batch(step)
        rng = np.random.default_rng([self._seed, step, _STREAM])
        if rng.random() >= self._probability:
            return batch
        share = float(rng.beta(_ALPHA, _ALPHA))
        share = max(share, 1 - share)
        if len(batch.image) == 1:
            other = self._source.batch(2**32 + step)  # no step of the training
        else:
            other = Batch(batch.image.roll(1, 0), batch.labels.roll(1, 0))
        image = share * batch.image + (1 - share) * other.image
        return batch._replace(image=image, other_labels=other.labels, share=share)


def with_mixup(source: BatchSource, plan: TrainPlan) -> BatchSource:
    """Batches with mixup where a plan has it; else as they are."""
    probability = plan.augmentation.mixup
    return MixedBatches(source, probability, plan.seed) if probability else source
