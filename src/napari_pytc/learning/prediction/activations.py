"""Activations of a network's channels, and the channels of mirrored predictions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from napari_pytc.geometry import Box, Shape
from napari_pytc.plans.networks import NetworkLimits
from napari_pytc.volumes.roles import SLOPES, AffinityRole, ChannelRole, activations_of

_LEAST = 1 / 255
"""The least value of a channel: a stored voxel whose channels are all 0 counts as not predicted."""


class FlipSource(NamedTuple):
    """The channel of a mirrored prediction that replaces a channel, and the offset of its voxel.

    Where it `turns` its sign, a number of 0 to 1 is replaced by what is missing to 1.
    """

    channel: int
    at: Shape
    turns: bool = False


class OutputActivation:
    """Activation of each channel of a network, by its role.

    Parameters
    ----------
    roles : sequence of ChannelRole
        Roles of the channels; none for classes.
    kept : sequence of int, optional
        Numbers of the channels that a prediction has, by default all.
    """

    def __init__(self, roles: Sequence[ChannelRole] = (), kept: Sequence[int] | None = None) -> None:
        self._roles = tuple(roles)
        self._kept = None if kept is None or len(kept) == len(roles) else list(kept)
        names = activations_of(roles)
        self._are_classes = all(name == "softmax" for name in names)
        self._exclusive = [channel for channel, name in enumerate(names) if name == "softmax"]
        self._plain = [channel for channel, name in enumerate(names) if name == "none"]
        self._offsets = [role.offset if isinstance(role, AffinityRole) else (0, 0, 0) for role in roles]
        self._slopes = [SLOPES.get(name, 1.0) for name in names]
        self._turned_about = [
            sum(role.span) if name == "none" else 0.0 for role, name in zip(roles, names, strict=True)
        ]

    def probabilities(self, logits: Tensor) -> Tensor:
        """Logits (..., c, z, y, x) as float32 from 0 to 1: classes add up to 1, a distance of 0 becomes 1/2."""
        if self._are_classes:
            return logits.float().softmax(-4)
        # (tanh x + 1) / 2 is the logistic function of 2 x.
        slopes = torch.tensor(self._slopes, device=logits.device)[:, None, None, None]
        found = (logits.float() * slopes).sigmoid_()
        if self._exclusive:
            exclusive = (..., self._exclusive, slice(None), slice(None), slice(None))
            found[exclusive] = logits[exclusive].float().softmax(-4)
        for channel in self._plain:
            low, high = self._roles[channel].span
            found.select(-4, channel).copy_((logits.select(-4, channel).float() - low) / (high - low))
        endless = [logits.select(-4, channel).isinf() for channel in self._plain]
        found.clamp_(_LEAST, 1)
        for channel, where in zip(self._plain, endless, strict=True):  # no limit, as it is for the other activations
            found.select(-4, channel).masked_fill_(where, math.nan)
        return found

    def turned(self, channel: int, values: Tensor, of_logits: bool = False) -> Tensor:
        """Probabilities, or logits, of a channel whose axis was mirrored."""
        return self._turned_about[channel] - values if of_logits else (1 - values).clamp_(min=_LEAST)

    def kept(self, values: Tensor) -> Tensor:
        """The channels of (..., c, z, y, x) that a prediction has."""
        return values if self._kept is None else values[..., self._kept, :, :, :]

    @property
    def is_directed(self) -> bool:
        """Whether mirroring an image changes the meaning of a channel."""
        return any(any(offset) for offset in self._offsets) or any(role.mirrored_axes for role in self._roles)

    def with_reach(self, limits: NetworkLimits) -> NetworkLimits:
        """The limits of a network whose mirrored channels are read at their offsets."""
        if not any(any(offset) for offset in self._offsets):
            return limits
        reach = [max(abs(offset[axis]) for offset in self._offsets) for axis in range(3)]
        z, y, x = (h + math.ceil(r / a) * a for h, r, a in zip(limits.halo, reach, limits.alignment, strict=True))
        return NetworkLimits(halo=(z, y, x), alignment=limits.alignment)

    def mirrored(self, axes: Sequence[int]) -> list[FlipSource | None]:
        """For each channel, its source once a prediction of the mirrored image was mirrored back.

        ::

            wanted:     affinity of v and v + o
            mirrored:   a channel p has become that of v and v + p', where p' is p mirrored
            p' = o      it is read at v
            p' = -o     it is read at v + o, whose partner is v

        None where there is none, as for a diagonal that is mirrored along one of its axes. A component of a vector is
        its own source, and turns its sign where its axis was mirrored.

        Parameters
        ----------
        axes : sequence of int
            The axes (0 to 2) along which the image was mirrored.
        """
        turned = [tuple(-n if axis in axes else n for axis, n in enumerate(offset)) for offset in self._offsets]
        found: list[FlipSource | None] = []
        for channel, offset in enumerate(self._offsets):
            if not any(offset):
                n_mirrored = sum(axis in axes for axis in self._roles[channel].mirrored_axes)
                found.append(FlipSource(channel, (0, 0, 0), n_mirrored % 2 == 1))
                continue
            back = tuple(-n for n in offset)
            same = next((p for p, t in enumerate(turned) if t == offset), None)
            other = next((p for p, t in enumerate(turned) if t == back), None)
            if same is not None:
                found.append(FlipSource(same, (0, 0, 0)))
            elif other is not None:
                found.append(FlipSource(other, offset))
            else:
                found.append(None)
        return found


class FlipMean:
    """The mean over mirrored predictions of a block, each channel from its source.

    Parameters
    ----------
    activation : OutputActivation
        Roles of the channels.
    inner : Box
        The voxels that are kept, in the block.
    shown : Box
        The voxels of the block that show the volume; others only fill it up.
    of_logits : bool
        Whether predictions are logits, without their activation.
    """

    def __init__(self, activation: OutputActivation, inner: Box, shown: Box, of_logits: bool = False) -> None:
        self._activation, self._of_logits = activation, of_logits
        self._inner = inner
        self._shown = shown
        self._total: Tensor | None = None
        self._n: Tensor | None = None

    def add(self, whole: Tensor, axes: Sequence[int]) -> None:
        """Take a prediction (c, z, y, x) of the whole block, mirrored back, into the mean."""
        if self._total is None or self._n is None:
            shape = (whole.shape[0], *self._inner.shape)
            self._total, self._n = whole.new_zeros(shape), whole.new_zeros(shape)
        for channel, source in enumerate(self._activation.mirrored(axes)):
            if source is None:
                continue
            there = self._inner.shift(source.at).intersect(self._shown)  # beyond the volume there is no partner
            here = there.shift([-n for n in source.at]).relative_to(self._inner.start)
            if not there.is_empty:
                values = whole[(source.channel, *there.slices)]
                if source.turns:
                    values = self._activation.turned(source.channel, values, self._of_logits)
                self._total[(channel, *here.slices)] += values
                self._n[(channel, *here.slices)] += 1

    @property
    def mean(self) -> Tensor:
        """The mean of all predictions; the one that was not mirrored counts at every voxel."""
        assert self._total is not None
        assert self._n is not None
        return self._total / self._n.clamp(min=1)  # 0 where a window reaches beyond the volume
