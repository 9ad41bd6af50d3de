"""Predictions of mirrored and turned copies of an image: which channel tells of which, and their combination."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from napari_pytc.geometry import Box, Orientation, Shape
from napari_pytc.learning.prediction.activations import OutputActivation
from napari_pytc.plans.networks import NetworkLimits
from napari_pytc.plans.test_time import Combination
from napari_pytc.volumes.roles import AffinityRole, Role

_NOWHERE: Shape = (0, 0, 0)
Slices = tuple[slice, slice, slice]


class ChannelSource(NamedTuple):
    """The channel of a copy's prediction that replaces a channel, and the offset of its voxel.

    Where it `turns` its sign, a number of 0 to 1 is replaced by what is missing to 1.
    """

    channel: int
    at: Shape
    turns: bool = False


def oriented(values: Tensor, orientation: Orientation) -> Tensor:
    """The copy of an image (..., z, y, x); itself, where `Tensor.flip` would copy it."""
    found = values.flip([axis - 3 for axis in orientation.mirrored]) if orientation.mirrored else values
    return found.transpose(-1, -2) if orientation.swapped else found


def brought_back(values: Tensor, orientation: Orientation) -> Tensor:
    """What was predicted of a copy, (..., z, y, x), as it lies in the image."""
    found = values.transpose(-1, -2) if orientation.swapped else values
    return found.flip([axis - 3 for axis in orientation.mirrored]) if orientation.mirrored else found


def is_directed(roles: Sequence[Role], orientations: Sequence[Orientation]) -> bool:
    """Whether a channel of some copy, brought back, is not the same channel of the image at the same voxel."""
    in_place = [ChannelSource(channel, _NOWHERE) for channel in range(len(roles))]
    return any(channel_sources(roles, orientation) != in_place for orientation in orientations)


def with_reach(limits: NetworkLimits, roles: Sequence[Role], orientations: Sequence[Orientation]) -> NetworkLimits:
    """The limits of a network whose copies are read at their offsets, and turned."""
    halo, alignment = limits.halo, limits.alignment
    if any(one.swapped for one in orientations):
        longest, multiple = max(halo[1:]), math.lcm(*alignment[1:])
        halo, alignment = (halo[0], longest, longest), (alignment[0], multiple, multiple)
    offsets = [role.offset for role in roles if isinstance(role, AffinityRole)]
    if any(any(offset) for offset in offsets) and len(orientations) > 1:
        reach = [max(abs(offset[axis]) for offset in offsets) for axis in range(3)]
        z, y, x = (h + math.ceil(r / a) * a for h, r, a in zip(halo, reach, alignment, strict=True))
        halo = (z, y, x)
    return NetworkLimits(halo=halo, alignment=alignment)


def channel_sources(roles: Sequence[Role], orientation: Orientation) -> list[ChannelSource | None]:
    """For each channel, its source once the prediction of a copy was brought back.

    ::

        wanted:     affinity of v and v + o
        copy:       a channel p has become that of v and v + p', where p' is the step in the image that p is in the copy
        p' = o      it is read at v
        p' = -o     it is read at v + o, whose partner is v

    None where there is none, as for a diagonal that is mirrored along one of its axes, or an offset along y without one
    along x in a quarter turn. A component of a vector is that of the other axis in a quarter turn, and turns its sign
    where its axis was mirrored.
    """
    return [_source(roles, channel, orientation) for channel in range(len(roles))]


def _source(roles: Sequence[Role], channel: int, orientation: Orientation) -> ChannelSource | None:
    role = roles[channel]
    if isinstance(role, AffinityRole):
        if not any(role.offset):
            return ChannelSource(channel, _NOWHERE)
        back = tuple(-n for n in role.offset)
        steps = [orientation.step_of_image(one.offset) if isinstance(one, AffinityRole) else None for one in roles]
        if role.offset in steps:
            return ChannelSource(steps.index(role.offset), _NOWHERE)
        return ChannelSource(steps.index(back), role.offset) if back in steps else None
    wanted = role.swapped() if orientation.swapped else role
    if wanted != role and wanted not in roles:
        return None
    n_mirrored = sum(axis in orientation.mirrored for axis in role.mirrored_axes)
    found = channel if wanted == role else list(roles).index(wanted)
    return ChannelSource(found, _NOWHERE, n_mirrored % 2 == 1)


def notes_on_sources(roles: Sequence[Role], kept: Sequence[int], orientations: Sequence[Orientation]) -> list[str]:
    """A sentence on channels that some copies do not tell of."""
    per_copy = [channel_sources(roles, orientation) for orientation in orientations]
    partly = {channel: sum(sources[channel] is not None for sources in per_copy) for channel in kept}
    few = {channel: n for channel, n in partly.items() if n < len(orientations)}
    if not few:
        return []
    listed = ", ".join(f"{roles[channel].title} ({n})" for channel, n in few.items())
    return [
        f"Not all of the {len(orientations)} mirrored and turned copies tell of each channel, because the network does "
        f"not learn what it is there: {listed}. These are combined from so many copies."
    ]


class Accumulator:
    """Combines predictions (..., c, z, y, x) one after the other, each channel in its way.

    Parameters
    ----------
    modes : sequence of str
        Of each channel; a single one is for all.
    """

    def __init__(self, modes: Sequence[Combination]) -> None:
        self._groups = [(mode, [n for n, one in enumerate(modes) if one == mode]) for mode in dict.fromkeys(modes)]
        self._total: Tensor | None = None
        self._n = 0

    def add(self, values: Tensor) -> None:
        """Take a prediction into account; it may be changed."""
        self._n += 1
        if self._total is None:
            self._total = values
            return
        for mode, channels in self._groups:
            if len(self._groups) == 1:
                _take(mode, self._total, values)
            else:
                for channel in channels:
                    _take(mode, self._total.select(-4, channel), values.select(-4, channel))

    @property
    def result(self) -> Tensor:
        """The combination."""
        assert self._total is not None
        if self._n == 1:
            return self._total
        if len(self._groups) == 1:
            return self._total / self._n if self._groups[0][0] == "mean" else self._total
        for mode, channels in self._groups:
            for channel in channels if mode == "mean" else ():
                self._total.select(-4, channel).div_(self._n)
        return self._total


def _take(mode: Combination, total: Tensor, values: Tensor) -> None:
    if mode == "mean":
        total.add_(values)
    else:
        (torch.minimum if mode == "min" else torch.maximum)(total, values, out=total)


def combine(values: Tensor, is_valid: Tensor | None, modes: Sequence[Combination]) -> Tensor:
    """The combination (c, z, y, x) of the predictions (n, c, z, y, x) of n copies.

    Parameters
    ----------
    is_valid : Tensor, optional
        (n, c, z, y, x), where a copy tells of a voxel; one does for every voxel of the volume.
    modes : sequence of str
        Of each channel; a single one is for all.
    """
    found = torch.empty_like(values[0])
    for channel in range(values.shape[1]):
        mode = modes[channel % len(modes)]
        here = values[:, channel]
        told = None if is_valid is None else is_valid[:, channel]
        if mode == "mean":
            n = len(here) if told is None else told.sum(0).clamp(min=1)
            found[channel] = (here if told is None else here * told).sum(0) / n
            continue
        if told is not None:
            here = here.masked_fill(~told, math.inf if mode == "min" else -math.inf)
        found[channel] = here.amin(0) if mode == "min" else here.amax(0)
    return found if is_valid is None else found.masked_fill_(~is_valid.any(0), 0)


class DirectedCopies:
    """Combines the predictions of copies of a block whose channels each come from their source.

    Parameters
    ----------
    activation : OutputActivation
        Roles of the channels.
    inner : Box
        The voxels that are kept, in the block.
    shown : Box
        The voxels of the block that show the volume; others only fill it up.
    modes : sequence of str
        Of each channel; a single one is for all.
    of_logits : bool
        Whether predictions are logits, without their activation.
    """

    def __init__(
        self, activation: OutputActivation, inner: Box, shown: Box, modes: Sequence[Combination], of_logits: bool
    ) -> None:
        self._activation, self._inner, self._shown, self._modes = activation, inner, shown, modes
        self._of_logits = of_logits
        self._total: Tensor | None = None
        self._n: Tensor | None = None

    def add(self, whole: Tensor, orientation: Orientation) -> None:
        """Take a copy's prediction (c, z, y, x) of the whole block, brought back, into account."""
        if self._total is None or self._n is None:
            shape = (whole.shape[0], *self._inner.shape)
            self._total, self._n = whole.new_zeros(shape), whole.new_zeros(shape)
            for channel, total in enumerate(self._total):
                total.fill_({"mean": 0.0, "min": math.inf, "max": -math.inf}[self._modes[channel % len(self._modes)]])
        for channel, here, values in self.told(whole, orientation):
            _take(self._modes[channel % len(self._modes)], self._total[(channel, *here)], values)
            self._n[(channel, *here)] += 1

    def told(self, whole: Tensor, orientation: Orientation) -> Iterator[tuple[int, Slices, Tensor]]:
        """What a copy tells of each channel, and of which of the voxels that are kept."""
        for channel, source in enumerate(channel_sources(self._activation.roles, orientation)):
            if source is None:
                continue
            there = self._inner.shift(source.at).intersect(self._shown)  # beyond the volume there is no partner
            if there.is_empty:
                continue
            here = there.shift([-n for n in source.at]).relative_to(self._inner.start)
            values = whole[(source.channel, *there.slices)]
            if source.turns:
                values = self._activation.turned(source.channel, values, self._of_logits)
            yield channel, here.slices, values

    @property
    def result(self) -> Tensor:
        """The combination; the image as it is counts at every voxel that shows the volume, others are 0."""
        assert self._total is not None
        assert self._n is not None
        for channel, total in enumerate(self._total):
            if self._modes[channel % len(self._modes)] == "mean":
                total /= self._n[channel].clamp(min=1)
        return self._total.masked_fill_(self._n == 0, 0)
