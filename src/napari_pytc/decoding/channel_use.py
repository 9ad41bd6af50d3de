"""Which channels of a prediction decoders use, and as what, by their roles.

::

    class                                  a class; the one that is called like a boundary may stand for it
    foreground, polarity, small_object     what objects can be restricted to, by its title, as object_class=foreground
    affinity                               an affinity
    boundary                               the boundary: the first that is not between objects alone
    distance, instance_distance,           the distance, positive inside of objects: the first of them in this order
    skeleton_distance, semantic_distance
    distance_level                         the distance, by the mean of all levels, where there is no other
    flow, lsd                              nothing: no decoder uses them
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from napari_pytc.volumes.distance_levels import distance_of_levels
from napari_pytc.volumes.roles import (
    AffinityRole,
    BoundaryRole,
    ChannelRole,
    ClassRole,
    DistanceLevelRole,
    DistanceRole,
    ForegroundRole,
    InstanceDistanceRole,
    PolarityRole,
    SemanticDistanceRole,
    SkeletonDistanceRole,
    SmallObjectRole,
)

_DISTANCES = (DistanceRole, InstanceDistanceRole, SkeletonDistanceRole, SemanticDistanceRole)
_MASKS = (ForegroundRole, PolarityRole, SmallObjectRole)


@dataclass(frozen=True)
class ChannelUse:
    """Numbers of the channels of each use.

    Parameters
    ----------
    boundary, distance : int, optional
        The channel that is one.
    levels : tuple of int
        The levels of the distance, where no channel is one.
    affinities, classes, masks, unused : tuple of int
        The channels that are such; those of `unused` have no use.
    """

    boundary: int | None
    distance: int | None
    levels: tuple[int, ...]
    affinities: tuple[int, ...]
    classes: tuple[int, ...]
    masks: tuple[int, ...]
    unused: tuple[int, ...]

    @classmethod
    def of(cls, roles: Sequence[ChannelRole]) -> ChannelUse:
        """The use of each channel."""
        modes = {n: role.edge_mode for n, role in enumerate(roles) if isinstance(role, BoundaryRole)}
        around = [n for n, mode in modes.items() if mode != "seg-no-bg"]
        distances = [n for kind in _DISTANCES for n, role in enumerate(roles) if isinstance(role, kind)]
        boundary = next(iter(around or modes), None)
        distance = next(iter(distances), None)
        steps = tuple(n for n, role in enumerate(roles) if isinstance(role, DistanceLevelRole))
        levels = steps if distance is None else ()
        affinities, classes, masks = (
            tuple(n for n, role in enumerate(roles) if isinstance(role, kind))
            for kind in (AffinityRole, ClassRole, _MASKS)
        )
        used = {boundary, distance, *levels, *affinities, *classes, *masks}
        unused = tuple(n for n in range(len(roles)) if n not in used)
        return cls(boundary, distance, levels, affinities, classes, masks, unused)

    @property
    def has_distance(self) -> bool:
        """Whether there is a distance, be it in levels."""
        return self.distance is not None or bool(self.levels)

    def distances(self, values: np.ndarray) -> np.ndarray | None:
        """Distances from -1 to 1 (z, y, x) of channels (c, z, y, x) from 0 to 1; None where there are none."""
        if self.distance is not None:
            return np.asarray(2 * values[self.distance] - 1)
        return distance_of_levels(values[list(self.levels)]) if self.levels else None
