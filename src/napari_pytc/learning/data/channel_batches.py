"""Training batches of channels of objects and of classes, drawn around the labels of both."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from napari_pytc.geometry import Box, Shape, VoxelSpace
from napari_pytc.learning.data.augmentations.augmenter import Augmenter
from napari_pytc.learning.data.object_batches import CentredBatches, with_copies
from napari_pytc.learning.data.objects import NO_OBJECT, ObjectLabels, numbered_ids
from napari_pytc.learning.data.sampling import AnnotationSampler, RegionSource, TrainingVolume
from napari_pytc.learning.data.targets.patch_targets import JointLabels, PatchTargets
from napari_pytc.learning.data.training_image import pad_to
from napari_pytc.plans.plan import TrainPlan


class PatchVolume(NamedTuple):
    """A volume as patches of one source are drawn from it.

    Parameters
    ----------
    drawn : RegionSource
        Labels around which patches lie.
    volume : TrainingVolume
        Its image and its strokes.
    objects : ObjectLabels, optional
        The objects that a patch is learnt from, wherever it was drawn.
    """

    drawn: RegionSource
    volume: TrainingVolume
    objects: ObjectLabels | None


class PatchSource(NamedTuple):
    """Volumes with labels of one kind, the share of patches that is drawn from them, and how evenly.

    Parameters
    ----------
    balance : float
        0: kinds of voxels as often as they are labelled; 1: all the same.
    """

    volumes: Sequence[PatchVolume]
    share: float
    balance: float


class ChannelBatches(CentredBatches):
    """Augmented patches, and the targets of each channel of a target of channels.

    Parameters
    ----------
    sources : sequence of PatchSource
        Where patches are drawn.
    targets : PatchTargets
        Makes the targets, after augmentation, so that offsets and distances fit.
    """

    def __init__(
        self,
        sources: Sequence[PatchSource],
        targets: PatchTargets,
        space: VoxelSpace,
        plan: TrainPlan,
        batch_size: int,
        shape: Shape,
    ) -> None:
        super().__init__([source.share for source in sources], plan, batch_size, shape)
        self._sources = [
            (
                source.volumes,
                AnnotationSampler(
                    [one.drawn for one in source.volumes], source.balance, plan.recent, plan.volume_balance
                ),
            )
            for source in sources
        ]
        self._targets = targets
        n_classes = None if targets.learns_objects else targets.n_classes
        self._augment = Augmenter(plan.augmentation, space.anisotropy, n_classes)

    def _patch(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        volumes, sampler = self._sources[self._draw(rng)]
        drawn = sampler.draw(rng)
        _, volume, objects = volumes[drawn.volume]
        box = self._around(drawn.voxel, volume.image.whole.shape, rng)
        return volume.image.augment(box, lambda image: self._changed(image, volume, objects, box, rng))

    def _changed(
        self,
        image: np.ndarray,
        volume: TrainingVolume,
        objects: ObjectLabels | None,
        box: Box,
        rng: np.random.Generator,
    ) -> tuple[np.ndarray, np.ndarray]:
        """The image of a box after random changes, and the targets of each channel."""
        inside = box.intersect(volume.image.whole)
        numbers, ids, apart = _objects(objects, inside)
        if not self._targets.learns_classes:
            next_number = max(NO_OBJECT, int(numbers.max()) if apart is None else len(apart) - 2) + 1
            image, numbers = self._augment(image, pad_to(numbers, inside, box, "zero"), rng, next_number)
            if apart is not None:
                apart = with_copies(apart, int(numbers.max()) + 1 - next_number)
            return image, self._targets.make(self._targets.labelled(numbers, apart, ids), np.zeros_like(numbers))
        classes = volume.labels(inside).astype(np.int32)
        if not self._targets.learns_objects:
            image, classes = self._augment(image, pad_to(classes, inside, box, "zero"), rng)
            return image, self._targets.make(self._targets.labelled(np.zeros_like(classes)), classes)
        joint = JointLabels.of(numbers, classes)
        image, codes = self._augment(image, pad_to(joint.codes, inside, box, "zero"), rng)
        numbers, classes = joint.apart(codes)
        return image, self._targets.make(self._targets.labelled(numbers, apart, ids), classes)


def _objects(objects: ObjectLabels | None, box: Box) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Numbers of the objects of a box, the id of each number, and which are apart; none labelled without objects."""
    if objects is not None:
        return objects.ids_and_numbers(box)
    return *numbered_ids(np.zeros(box.shape, np.uint32)), None
