"""Targets of a target of channels for a patch, from its objects and its strokes of classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import fastremap
import numpy as np

from napari_pytc.geometry import VoxelSpace
from napari_pytc.learning.data.objects import UNLABELLED
from napari_pytc.learning.data.targets.encoding import ONE, LabelledPatch
from napari_pytc.learning.data.targets.make import class_targets, object_targets
from napari_pytc.learning.data.targets.objects import small_objects
from napari_pytc.plans.targets import ChannelsTarget
from napari_pytc.volumes.roles import ChannelRole, ClassRole

NOT_SMALL, SMALL = 1, 2
"""In a channel after the last, where small objects count more: any voxel, and one of a small object."""


class PatchTargets:
    """Makes the targets of all channels of a target.

    Parameters
    ----------
    target : ChannelsTarget
        The target, with the names of its classes.
    roles : sequence of ChannelRole
        Its channels.
    classes : sequence of str
        Names of the project's classes, of which the k-th is label k.
    """

    def __init__(
        self, target: ChannelsTarget, roles: Sequence[ChannelRole], classes: Sequence[str], space: VoxelSpace
    ) -> None:
        self._target, self._space, self.n_classes = target, space, len(classes)
        self._class_channels = [n for n, role in enumerate(roles) if isinstance(role, ClassRole)]
        self._learnt = [list(classes).index(roles[n].title) + 1 for n in self._class_channels]
        self._object_channels = [n for n in range(len(roles)) if n not in self._class_channels]
        self._object_roles = [roles[n] for n in self._object_channels]
        self._n_channels = len(roles)

    @property
    def learns_classes(self) -> bool:
        """Whether classes are among the channels."""
        return bool(self._class_channels)

    @property
    def learns_objects(self) -> bool:
        """Whether channels of objects are."""
        return bool(self._object_channels)

    @property
    def has_weights(self) -> bool:
        """Whether a channel that tells voxels of small objects follows the last."""
        return self._target.small_object_weight > 1 and bool(self._object_channels)

    def make(self, objects: LabelledPatch, classes: np.ndarray) -> np.ndarray:
        """Targets (c, z, y, x), uint8, and after them which voxels are of small objects, where these count more.

        Parameters
        ----------
        objects : LabelledPatch
            The objects of the patch.
        classes : ndarray
            (z, y, x): 0 = not annotated, k = k-th class, 2 n + k = any but the k-th class.
        """
        found = np.empty((self._n_channels + self.has_weights, *classes.shape), np.uint8)
        if self._object_channels:
            found[self._object_channels] = object_targets(objects, self._object_roles)
        if self._class_channels:
            found[self._class_channels] = class_targets(classes, self.n_classes, self._learnt)
        if self.has_weights:
            is_small = small_objects(objects, self._target.small_object_um3) == ONE
            found[-1] = np.where(is_small, SMALL, NOT_SMALL)
        return found

    def labelled(
        self, labels: np.ndarray, apart: np.ndarray | None = None, ids: np.ndarray | None = None
    ) -> LabelledPatch:
        """Objects of a patch as the target takes them; see `LabelledPatch`."""
        return LabelledPatch(labels, self._space, apart, ids, self._target.cut_objects == "counted")


class JointLabels(NamedTuple):
    """Objects and classes of a patch as one number a voxel, so that both are turned and warped alike.

    Parameters
    ----------
    codes : ndarray of int32
        0 where neither is annotated.
    objects, classes : ndarray
        What each code stands for.
    """

    codes: np.ndarray
    objects: np.ndarray
    classes: np.ndarray

    @classmethod
    def of(cls, objects: np.ndarray, classes: np.ndarray) -> JointLabels:
        """Join the numbers of objects, from -1, and of classes, from 0."""
        n = int(classes.max(initial=0)) + 1
        pairs = (objects.astype(np.int64) + 1) * n + classes + 1
        pairs[(objects == UNLABELLED) & (classes == 0)] = 0
        codes, names = fastremap.renumber(pairs, start=1, preserve_zero=True)
        own = np.zeros(max(names.values(), default=0) + 1, np.int64)
        for pair, code in names.items():
            own[code] = pair
        own[0] = n + 1
        return cls(codes.astype(np.int32), ((own - 1) // n - 1).astype(np.int32), ((own - 1) % n).astype(np.int32))

    def apart(self, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The objects and the classes of codes, be they turned or warped."""
        return self.objects[codes], self.classes[codes]
