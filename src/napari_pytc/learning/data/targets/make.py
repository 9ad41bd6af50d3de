"""Targets of all channels of a patch, by their roles."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np

from napari_pytc.learning.data.targets.distances import boundary_distance, foreground_distance
from napari_pytc.learning.data.targets.encoding import IGNORED, ONE, ZERO, LabelledPatch
from napari_pytc.learning.data.targets.flows import flows
from napari_pytc.learning.data.targets.object_distances import distance_levels, object_distance
from napari_pytc.learning.data.targets.objects import foreground, polarity, small_objects
from napari_pytc.learning.data.targets.pairs import affinity, boundary
from napari_pytc.learning.data.targets.shape_descriptors import shape_descriptors
from napari_pytc.volumes.roles import (
    AffinityRole,
    BoundaryRole,
    ChannelRole,
    ClassRole,
    DescriptorRole,
    DistanceLevelRole,
    DistanceRole,
    FlowRole,
    ForegroundRole,
    InstanceDistanceRole,
    PolarityRole,
    SemanticDistanceRole,
    SkeletonDistanceRole,
    SmallObjectRole,
)

_MAKERS: dict[type, Callable[[LabelledPatch, Any], np.ndarray]] = {
    AffinityRole: lambda patch, role: affinity(patch, role.offset),
    BoundaryRole: boundary,
    ClassRole: lambda patch, role: foreground(patch, ForegroundRole()),
    DistanceRole: lambda patch, role: boundary_distance(patch, role.reach_nm),
    ForegroundRole: foreground,
    InstanceDistanceRole: object_distance,
    PolarityRole: polarity,
    SemanticDistanceRole: foreground_distance,
    SkeletonDistanceRole: object_distance,
    SmallObjectRole: lambda patch, role: small_objects(patch, role.at_most_um3),
}


def object_targets(patch: LabelledPatch, roles: Sequence[ChannelRole]) -> np.ndarray:
    """Targets of all channels that are learnt from objects.

    ::

        labels        2 2 2 3 3 . . 1 1 ? ? 4      (. unlabelled, 1 background, ? something else than the objects)
        affinity -1   . 1 1 0 1 . . . 0 0 . 0      (to the left neighbour)
        boundary      . 0 1 1 . . . . . . 1 1
        foreground    1 1 1 1 1 . . 0 0 . . 1

    What lies beyond the patch is not labelled. Where two labels are not known to be different objects, a pair of them
    is as if one were not labelled. Each function says where its targets are known.

    Parameters
    ----------
    roles : sequence of ChannelRole
        The channels; a class stands for the foreground.

    Returns
    -------
    ndarray
        (c, z, y, x) uint8: `IGNORED`, or `ZERO` to `ONE`.
    """
    found = np.empty((len(roles), *patch.labels.shape), np.uint8)
    flows_of = cache(lambda per_section: flows(patch, per_section))
    levels_of = cache(lambda first: distance_levels(patch, first))
    described: dict[float, dict[int, np.ndarray]] = {}
    for channel, role in zip(found, roles, strict=True):
        if isinstance(role, FlowRole):
            channel[...] = flows_of(role.per_section)[role.axis]
        elif isinstance(role, DescriptorRole):
            if role.sigma_nm not in described:
                wanted = {
                    one.component for one in roles if isinstance(one, DescriptorRole) and one.sigma_nm == role.sigma_nm
                }
                described[role.sigma_nm] = shape_descriptors(patch, role.sigma_nm, wanted)
            channel[...] = described[role.sigma_nm][role.component]
        elif isinstance(role, DistanceLevelRole):
            levels = levels_of(role.model_copy(update={"level": 0}))
            channel[...] = np.where(levels == role.level, ONE, np.where(levels < 0, IGNORED, ZERO))
        else:
            channel[...] = _MAKERS[type(role)](patch, role)
    return found


def class_targets(labels: np.ndarray, n_classes: int, learnt: Sequence[int]) -> np.ndarray:
    """Targets of classes that exclude one another.

    Parameters
    ----------
    labels : ndarray
        (z, y, x): 0 = not annotated, k = k-th class, 2 n + k = any but the k-th class.
    n_classes : int
        Number n of the classes that the labels tell apart.
    learnt : sequence of int
        The class, from 1, of each channel; voxels of others are not learnt from.

    Returns
    -------
    ndarray
        (c, z, y, x) uint8: `ONE` for the class and `ZERO` for the others; of a voxel of any but a class, `ZERO` for it
        alone and `IGNORED` for the others.
    """
    is_learnt = np.isin(labels, learnt)
    found = np.empty((len(learnt), *labels.shape), np.uint8)
    for channel, number in zip(found, learnt, strict=True):
        channel[...] = np.where(labels == number, ONE, np.where(is_learnt, ZERO, IGNORED))
        channel[labels == 2 * n_classes + number] = ZERO
    return found
