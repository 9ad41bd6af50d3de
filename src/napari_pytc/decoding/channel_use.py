"""Which channels of a prediction decoders use, and as what, by their roles.

::

    class                                  a class; the one that is called like a boundary may stand for it
    foreground, polarity, small_object     what objects can be restricted to, by its title, as object_class=foreground
    affinity                               an affinity
    boundary                               the boundary: the first that is not between objects alone
    distance, instance_distance,           the distance, positive inside of objects: the first of them in this order
    skeleton_distance, semantic_distance
    flow, lsd                              nothing: no decoder uses them
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from napari_pytc.volumes.roles import (
    AffinityRole,
    BoundaryRole,
    ChannelRole,
    ClassRole,
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
    affinities, classes, masks, unused : tuple of int
        The channels that are such; those of `unused` have no use.
    """

    boundary: int | None
    distance: int | None
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
        affinities, classes, masks = (
            tuple(n for n, role in enumerate(roles) if isinstance(role, kind))
            for kind in (AffinityRole, ClassRole, _MASKS)
        )
        used = {boundary, distance, *affinities, *classes, *masks}
        unused = tuple(n for n in range(len(roles)) if n not in used)
        return cls(boundary, distance, affinities, classes, masks, unused)
