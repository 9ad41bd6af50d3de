"""Training batches of single objects: augmented first, so that offsets and distances are those of what is seen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from napari_pytc.geometry import Box, Shape, VoxelSpace
from napari_pytc.learning.augmentation import Augmenter
from napari_pytc.learning.config import TrainPlan
from napari_pytc.learning.data import TrainingImage, pad_to
from napari_pytc.learning.instance_targets import instance_targets
from napari_pytc.learning.objects import ObjectLabels
from napari_pytc.learning.sampling import AnnotationSampler, Batch
from napari_pytc.volumes.channels import ChannelRole


class ObjectBatches:
    """Augmented patches around labelled voxels, and what each channel should answer for them.

    Parameters
    ----------
    sources : sequence of (ObjectLabels, float)
        Labels, blank in hidden boxes, and the share of patches that is drawn from each.
    roles : sequence of ChannelRole
        The channels of the network.
    """

    def __init__(
        self,
        sources: Sequence[tuple[ObjectLabels, float]],
        image: TrainingImage,
        roles: Sequence[ChannelRole],
        space: VoxelSpace,
        plan: TrainPlan,
        batch_size: int,
        shape: Shape,
    ) -> None:
        # Of corrections half of the patches are drawn at borders: else most would only say that an object is one.
        balances = [plan.class_balance, *[1.0] * (len(sources) - 1)]
        self._sources = [
            (labels, AnnotationSampler(labels, balance, plan.recent))
            for (labels, _), balance in zip(sources, balances, strict=True)
        ]
        self._shares = np.cumsum([share for _, share in sources])
        self._image = image
        self._roles = roles
        self._space = space
        self._augment = Augmenter(plan.augmentation, space.anisotropy)
        self._seed = plan.seed
        self._batch_size = batch_size
        self._shape = shape

    def batch(self, step: int) -> Batch:
        """The patches of a step."""
        drawn = [self._patch(np.random.default_rng([self._seed, step, n])) for n in range(self._batch_size)]
        images, targets = np.stack([image for image, _ in drawn]), np.stack([target for _, target in drawn])
        return Batch(torch.from_numpy(images), torch.from_numpy(targets))

    def _patch(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        objects, sampler = self._sources[self._draw(rng)]
        box = self._around(sampler.draw(rng), rng)
        inside = box.intersect(self._image.whole)
        numbers, apart = objects.numbered(inside)
        image, labels = self._augment(self._image.read(box)[None], pad_to(numbers, inside, box, "zero"), rng)
        return image, instance_targets(labels, self._roles, self._space, apart)

    def _draw(self, rng: np.random.Generator) -> int:
        if len(self._sources) == 1:
            return 0
        drawn = np.searchsorted(self._shares, rng.random() * self._shares[-1], side="right")
        return int(min(drawn, len(self._sources) - 1))

    def _around(self, centre: Sequence[int], rng: np.random.Generator) -> Box:
        """A patch with a voxel near its middle, within the volume where that is large enough."""
        start = []
        for at, length, whole in zip(centre, self._shape, self._image.whole.shape, strict=True):
            wanted = at - length // 2 + int(rng.integers(-(length // 4), length // 4 + 1))
            start.append(min(max(wanted, 0), whole - length) if whole >= length else (whole - length) // 2)
        return Box.at(start, self._shape)
