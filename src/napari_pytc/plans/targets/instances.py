"""Channels that separate objects, chosen by kind: the target of the recipes for neurites and organelles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import model_validator

from napari_pytc.errors import InvalidInput
from napari_pytc.geometry import Shape, VoxelSpace
from napari_pytc.plans.targets.base import Target, refuse_far_offset, shape_beyond
from napari_pytc.settings import setting
from napari_pytc.volumes.channels import axis_offset
from napari_pytc.volumes.roles import AffinityRole, BoundaryRole, ChannelRole, ClassRole, DistanceRole

FOREGROUND = "foreground"
"""Name of the channel for voxels that belong to any object."""

_REACH_VOXELS = 12


class InstancesTarget(Target):
    """Channels that separate objects of one kind, learnt from strokes or dense labels of single objects."""

    kind: Literal["instances"] = "instances"
    affinities: bool = setting(
        True, "Affinities", "Whether a voxel and one at an offset belong to one object: the most exact at thin walls."
    )
    long_range: tuple[int, ...] = setting(
        (3, 9),
        "Long range",
        "Lengths of affinities beyond the face neighbours, in the finest voxels; along thicker sections as many fewer "
        "voxels. They need strokes of different objects near one another.",
    )
    offsets: tuple[Shape, ...] | None = setting(
        None, "Offsets", "Every affinity's offset (z, y, x) in voxels; by default chosen from the voxel size."
    )
    boundary: bool = setting(False, "Boundary", "Whether a voxel touches another object or the background.")
    foreground: bool = setting(False, "Foreground", "Whether a voxel belongs to any object.")
    distance: bool = setting(
        False,
        "Distance",
        "How far inside of its object a voxel lies, or how far outside of all: learnt where labels are dense.",
    )
    reach_um: float | None = setting(
        None, "Reach of the distance", "What is farther is cut; by default twelve of the finest voxels.", "µm", gt=0
    )

    @model_validator(mode="after")
    def _check(self) -> InstancesTarget:
        if not (self.affinities or self.boundary or self.foreground or self.distance):
            raise InvalidInput(
                "A target of instances needs at least one of affinities, boundary, foreground and distance, got none.",
                "Set target.affinities=true.",
            )
        if any(length < 2 for length in self.long_range):
            raise InvalidInput(
                f"Long-range affinities are at least 2 voxels long, got {list(self.long_range)}.",
                "The face neighbours are learnt anyway; for example target.long_range=[3,9].",
            )
        if self.offsets is not None and (
            not self.offsets or len(set(self.offsets)) < len(self.offsets) or (0, 0, 0) in self.offsets
        ):
            raise InvalidInput(
                "The offsets of affinities must differ from one another and from 0,0,0.",
                "For example target.offsets=[[-1,0,0],[0,-1,0],[0,0,-1]].",
            )
        return self

    def roles(self, classes: Sequence[str], space: VoxelSpace) -> tuple[ChannelRole, ...]:
        """Affinities, nearest first, then boundary, foreground and distance, as far as they are wanted."""
        found: list[ChannelRole] = []
        found += [AffinityRole(offset=offset) for offset in self._offsets(space)]
        if self.boundary:
            found.append(BoundaryRole())
        if self.foreground:
            found.append(ClassRole(name=FOREGROUND))
        if self.distance:
            reach_nm = _REACH_VOXELS * min(space.voxel_size_nm) if self.reach_um is None else 1000 * self.reach_um
            found.append(DistanceRole(reach_nm=reach_nm))
        return tuple(found)

    def _offsets(self, space: VoxelSpace) -> tuple[Shape, ...]:
        """The offsets of all affinities; none where there are no affinities."""
        return (self.offsets or chosen_offsets(space, self.long_range)) if self.affinities else ()

    @property
    def uses_dice_weight(self) -> bool:
        """Whether there is a channel that is no distance."""
        return self.affinities or self.boundary or self.foreground

    def notes(self) -> list[str]:
        """See `Target`."""
        found = []
        if self.reach_um is not None and not self.distance:
            found.append(f"target.reach_um={self.reach_um:g} has no effect: target.distance is off.")
        if self.offsets is not None and not self.affinities:
            found.append("target.offsets has no effect: target.affinities is off.")
        if "long_range" in self.changed_names and (self.offsets is not None or not self.affinities):
            why = "target.offsets names every affinity" if self.affinities else "target.affinities is off"
            found.append(f"target.long_range={list(self.long_range)} has no effect: {why}.")
        return found

    def least_patch(self, space: VoxelSpace) -> Shape:
        """See `Target`."""
        return shape_beyond(self._offsets(space))

    def check_patch(self, shape: Shape) -> None:
        """Refuse offsets whose partner never lies in a patch of this shape.

        Raises
        ------
        InvalidInput
            If one is as long as the patch or longer.
        """
        for offset in self.offsets or () if self.affinities else ():
            refuse_far_offset(offset, shape)


def chosen_offsets(space: VoxelSpace, long_range: Sequence[int]) -> tuple[Shape, ...]:
    """The face neighbours, then longer offsets along each axis.

    ::

        voxels 10 x 10 x 10, long range 3 and 9      voxels 40 x 4 x 4, the same
        z  -1  -3  -9                                z  -1  -2
        y  -1  -3  -9                                y  -1  -3  -9
        x  -1  -3  -9                                x  -1  -3  -9

    A length is in the finest voxels. Along a thicker axis it is as many fewer voxels, and left out where that is one or
    none; the longest has two at least, so that every axis has an offset that can repel.
    """
    finest = min(space.voxel_size_nm)
    found = [axis_offset(axis, -1) for axis in range(3)]
    for length in sorted(set(long_range)):
        for axis, size in enumerate(space.voxel_size_nm):
            steps = round(length * finest / size)
            if length == max(long_range):
                steps = max(2, steps)
            offset = axis_offset(axis, -steps)
            if steps > 1 and offset not in found:
                found.append(offset)
    return tuple(found)
