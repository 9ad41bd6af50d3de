"""From what a network returns to probabilities, by what its channels mean; and how flips turn directed channels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from napari_pytc.geometry import Box, Shape
from napari_pytc.learning.networks import NetworkLimits
from napari_pytc.volumes.channels import AffinityRole, ChannelRole, ClassRole, DistanceRole

_LEAST = 1 / 255
"""What a channel says at least: a stored voxel whose channels are all 0 counts as not predicted."""


class Taken(NamedTuple):
    """Which channel of a mirrored prediction answers for a channel, and how far from the voxel it is found."""

    channel: int
    at: Shape


class Answers:
    """What the channels of a network mean for its output.

    Parameters
    ----------
    roles : sequence of ChannelRole
        What the channels mean; none for classes.
    """

    def __init__(self, roles: Sequence[ChannelRole] = ()) -> None:
        self._roles = tuple(roles)
        self._are_classes = all(isinstance(role, ClassRole) for role in roles) and len(roles) != 1
        self._offsets = [role.offset if isinstance(role, AffinityRole) else (0, 0, 0) for role in roles]
        self._slopes = [2.0 if isinstance(role, DistanceRole) else 1.0 for role in roles]

    def probabilities(self, logits: Tensor) -> Tensor:
        """Logits (c, z, y, x) as float32 from 0 to 1: classes add up to 1, a distance of 0 becomes 1/2."""
        if self._are_classes:
            return logits.float().softmax(0)
        # (tanh x + 1) / 2 is the logistic function of 2 x.
        slopes = torch.tensor(self._slopes, device=logits.device)[:, None, None, None]
        return (logits.float() * slopes).sigmoid_().clamp_(min=_LEAST)

    @property
    def is_directed(self) -> bool:
        """Whether mirroring an image changes what a channel is about."""
        return any(any(offset) for offset in self._offsets)

    def with_reach(self, limits: NetworkLimits) -> NetworkLimits:
        """The limits of a network whose mirrored answers are looked up at their offsets."""
        if not self.is_directed:
            return limits
        reach = [max(abs(offset[axis]) for offset in self._offsets) for axis in range(3)]
        z, y, x = (h + math.ceil(r / a) * a for h, r, a in zip(limits.halo, reach, limits.alignment, strict=True))
        return NetworkLimits(halo=(z, y, x), alignment=limits.alignment)

    def mirrored(self, axes: Sequence[int]) -> list[Taken | None]:
        """For each channel, what answers for it once a prediction of the mirrored image was mirrored back.

        ::

            asked:      affinity of v and v + o
            mirrored:   a channel p has become that of v and v + p', where p' is p mirrored
            p' = o      it answers at v
            p' = -o     it answers at v + o, whose partner is v

        None where no channel answers, as for a diagonal that is mirrored along one of its axes.

        Parameters
        ----------
        axes : sequence of int
            The axes (0 to 2) along which the image was mirrored.
        """
        turned = [tuple(-n if axis in axes else n for axis, n in enumerate(offset)) for offset in self._offsets]
        found: list[Taken | None] = []
        for channel, offset in enumerate(self._offsets):
            if not any(offset):
                found.append(Taken(channel, (0, 0, 0)))
                continue
            back = tuple(-n for n in offset)
            same = next((p for p, t in enumerate(turned) if t == offset), None)
            other = next((p for p, t in enumerate(turned) if t == back), None)
            if same is not None:
                found.append(Taken(same, (0, 0, 0)))
            elif other is not None:
                found.append(Taken(other, offset))
            else:
                found.append(None)
        return found


class FlipMean:
    """The mean over mirrored predictions of a block, each channel from where its answer is.

    Parameters
    ----------
    answers : Answers
        What the channels mean.
    inner : Box
        The voxels that are kept, in the block.
    shown : Box
        The voxels of the block that show the volume; others only fill it up.
    """

    def __init__(self, answers: Answers, inner: Box, shown: Box) -> None:
        self._answers = answers
        self._inner = inner
        self._shown = shown
        self._total: Tensor | None = None
        self._n: Tensor | None = None

    def add(self, whole: Tensor, axes: Sequence[int]) -> None:
        """Take a prediction (c, z, y, x) of the whole block, mirrored back, into the mean."""
        if self._total is None or self._n is None:
            shape = (whole.shape[0], *self._inner.shape)
            self._total, self._n = whole.new_zeros(shape), whole.new_zeros(shape)
        for channel, taken in enumerate(self._answers.mirrored(axes)):
            if taken is None:
                continue
            there = self._inner.shift(taken.at).intersect(self._shown)  # beyond the volume there is no partner to ask
            here = there.shift([-n for n in taken.at]).relative_to(self._inner.start)
            if not there.is_empty:
                self._total[(channel, *here.slices)] += whole[(taken.channel, *there.slices)]
                self._n[(channel, *here.slices)] += 1

    @property
    def mean(self) -> Tensor:
        """The mean of what was added; the prediction that was not mirrored answers for every voxel."""
        assert self._total is not None
        assert self._n is not None
        return self._total / self._n
