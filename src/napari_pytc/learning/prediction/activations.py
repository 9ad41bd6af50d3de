"""Activations of a network's channels."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from napari_pytc.volumes.roles import SLOPES, ChannelRole, activations_of

_LEAST = 1 / 255
"""The least value of a channel: a stored voxel whose channels are all 0 counts as not predicted."""


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

    @property
    def roles(self) -> tuple[ChannelRole, ...]:
        """Roles of the channels; none for classes."""
        return self._roles

    @property
    def exclusive_kept(self) -> list[int]:
        """Positions among the predicted channels of those that add up to 1; none where one is left out."""
        kept = list(range(len(self._roles))) if self._kept is None else self._kept
        return [kept.index(one) for one in self._exclusive] if set(self._exclusive) <= set(kept) else []

    def turned(self, channel: int, values: Tensor, of_logits: bool = False) -> Tensor:
        """Probabilities, or logits, of a channel whose axis was mirrored."""
        return self._turned_about[channel] - values if of_logits else (1 - values).clamp_(min=_LEAST)

    def kept(self, values: Tensor) -> Tensor:
        """The channels of (..., c, z, y, x) that a prediction has."""
        return values if self._kept is None else values[..., self._kept, :, :, :]
