"""Training batches of single objects; targets are made after augmentation, so that offsets and distances fit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from napari_pytc.geometry import Box, Shape, VoxelSpace
from napari_pytc.learning.data.augmentations.augmenter import Augmenter
from napari_pytc.learning.data.instance_targets import instance_targets
from napari_pytc.learning.data.objects import NO_OBJECT, ObjectLabels
from napari_pytc.learning.data.sampling import AnnotationSampler, Batch
from napari_pytc.learning.data.training_image import TrainingImage, pad_to
from napari_pytc.plans.plan import TrainPlan
from napari_pytc.volumes.channels import ChannelRole


class ObjectVolume(NamedTuple):
    """Labels of a volume's objects, blank in hidden boxes, and its image."""

    labels: ObjectLabels
    image: TrainingImage


class CentredBatches:
    """Patches with a drawn voxel near their middle, within the volume; subclasses make them.

    Parameters
    ----------
    shares : sequence of float
        Share of patches that is drawn from each of several sources.
    """

    def __init__(self, shares: Sequence[float], plan: TrainPlan, batch_size: int, shape: Shape) -> None:
        self._shares = np.cumsum(shares)
        self._seed = plan.seed
        self._batch_size = batch_size
        self._shape, self._margin = shape, plan.network.training_margin

    def batch(self, step: int) -> Batch:
        """The patches of a step."""
        drawn = [self._patch(np.random.default_rng([self._seed, step, n])) for n in range(self._batch_size)]
        images, targets = np.stack([image for image, _ in drawn]), np.stack([target for _, target in drawn])
        return Batch(torch.from_numpy(images), torch.from_numpy(targets))

    def _patch(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """An image (c, z, y, x) and its targets."""
        raise NotImplementedError(f"{type(self).__name__} makes no patches")

    def _draw(self, rng: np.random.Generator) -> int:
        """The number of a source."""
        if len(self._shares) == 1:
            return 0
        drawn = np.searchsorted(self._shares, rng.random() * self._shares[-1], side="right")
        return int(min(drawn, len(self._shares) - 1))

    def _around(self, centre: Sequence[int], volume: Shape, rng: np.random.Generator) -> Box:
        """A patch with a voxel near its middle; what is learnt of it lies within a volume that is large enough."""
        start = []
        for at, length, margin, whole in zip(centre, self._shape, self._margin, volume, strict=True):
            learnt = length - 2 * margin
            wanted = at - learnt // 2 + int(rng.integers(-(learnt // 4), learnt // 4 + 1))
            first = min(max(wanted, 0), whole - learnt) if whole >= learnt else (whole - learnt) // 2
            start.append(first - margin)
        return Box.at(start, self._shape)


class ObjectBatches(CentredBatches):
    """Augmented patches around labelled voxels, and the targets of each channel.

    Parameters
    ----------
    sources : sequence of (sequence of ObjectVolume, float)
        Labels of one kind in all volumes that have some, and the share of patches that is drawn from each kind.
    roles : sequence of ChannelRole
        The channels of the network.
    """

    def __init__(
        self,
        sources: Sequence[tuple[Sequence[ObjectVolume], float]],
        roles: Sequence[ChannelRole],
        space: VoxelSpace,
        plan: TrainPlan,
        batch_size: int,
        shape: Shape,
    ) -> None:
        super().__init__([share for _, share in sources], plan, batch_size, shape)
        # Of corrections half of the patches are drawn at borders: else most would only show that an object is one.
        balances = [plan.class_balance, *[1.0] * (len(sources) - 1)]
        self._sources = [
            (volumes, AnnotationSampler([v.labels for v in volumes], balance, plan.recent, plan.volume_balance))
            for (volumes, _), balance in zip(sources, balances, strict=True)
        ]
        self._roles = roles
        self._space = space
        self._augment = Augmenter(plan.augmentation, space.anisotropy)

    def _patch(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        volumes, sampler = self._sources[self._draw(rng)]
        drawn = sampler.draw(rng)
        objects, image_of = volumes[drawn.volume]
        box = self._around(drawn.voxel, image_of.whole.shape, rng)
        inside = box.intersect(image_of.whole)
        numbers, apart = objects.numbered(inside)
        next_number = max(NO_OBJECT, int(numbers.max()) if apart is None else len(apart) - 2) + 1
        labels = pad_to(numbers, inside, box, "zero")
        image, labels = image_of.augment(box, lambda image: self._augment(image, labels, rng, next_number))
        if apart is not None:
            apart = with_copies(apart, int(labels.max()) + 1 - next_number)
        return image, instance_targets(labels, self._roles, self._space, apart)


def with_copies(apart: np.ndarray, n_copies: int) -> np.ndarray:
    """Which numbers are known to be different objects, with those of copies of objects, which are none of the others.

    The last number is that of what is something else, as in `ObjectLabels.numbered`.
    """
    if n_copies <= 0:
        return apart
    n = len(apart) - 1
    place = np.r_[np.arange(n), n + n_copies]
    found = np.ones((n + 1 + n_copies,) * 2, apart.dtype)
    found[np.ix_(place, place)] = apart
    np.fill_diagonal(found, 0)
    found[0], found[:, 0] = 0, 0  # not annotated
    return found
