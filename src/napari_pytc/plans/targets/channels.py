"""A target that says each of its channels, in order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import field_validator, model_validator

from napari_pytc.errors import InvalidInput
from napari_pytc.geometry import Shape, VoxelSpace
from napari_pytc.plans.losses import AssignedLoss, LossTerm, assign_loss
from napari_pytc.plans.targets.base import Target, refuse_far_offset, shape_beyond
from napari_pytc.plans.targets.channel_kinds import (
    CHANNEL_KINDS,
    AffinityChannel,
    AnyChannel,
    ClassChannels,
    DescriptorChannels,
    FlowChannels,
    InstanceDistanceChannel,
    PolarityChannel,
    SkeletonDistanceChannel,
    SmallObjectChannel,
)
from napari_pytc.settings import setting
from napari_pytc.volumes.roles import ChannelRole, ClassRole

_ANY_SPACE = VoxelSpace((1.0, 1.0, 1.0))
_OF_WHOLES = (
    DescriptorChannels,
    FlowChannels,
    InstanceDistanceChannel,
    SkeletonDistanceChannel,
    SmallObjectChannel,
)
"""Channels that depend on the whole of an object."""


class ChannelsTarget(Target):
    """Channels in the order that is given, of objects and of classes, each with its activation, loss and weight."""

    kind: Literal["channels"] = "channels"
    channels: tuple[AnyChannel, ...] = setting(
        ..., "Channels", "Each with its role and settings, in the order of the network's output."
    )
    cut_objects: Literal["masked", "counted"] = setting(
        "masked",
        "Cut objects",
        "Of an object that the patch cuts, distances relative to the object, its skeleton, its flow and its size are "
        "not known. masked: they are not learnt there; counted: what lies in the patch is taken for the object.",
    )
    class_share: float = setting(
        0.5,
        "Share of classes",
        "Where both classes and objects are learnt: the share of patches drawn around strokes of classes.",
        ge=0,
        le=1,
    )
    small_object_weight: float = setting(
        1.0, "Weight of small objects", "How much a voxel of a small object counts beside the others.", ge=1
    )
    small_object_um3: float = setting(
        0.001, "Small objects", "Objects of at most this volume are small for that weight.", "µm³", gt=0
    )

    @field_validator("channels", mode="before")
    @classmethod
    def _accept_roles(cls, channels: Any) -> Any:
        """The name of a role alone is a channel with its default settings."""
        if not isinstance(channels, list | tuple):
            return channels
        found = [{"role": channel} if isinstance(channel, str) else channel for channel in channels]
        known = [str(kind.model_fields["role"].default) for kind in CHANNEL_KINDS]
        for channel in found:
            if isinstance(channel, dict) and channel.get("role") not in known:
                raise InvalidInput(
                    f"No channel has the role {channel.get('role')!r}.", f"Known are {', '.join(known)}."
                )
        return tuple(found)

    @field_validator("channels")
    @classmethod
    def _check_count(cls, channels: tuple[AnyChannel, ...]) -> tuple[AnyChannel, ...]:
        if not channels:
            raise InvalidInput(
                "A target of channels needs at least one channel, got none.",
                "For example target.channels=[{role: foreground},{role: boundary}].",
            )
        return channels

    @property
    def uncopied(self) -> str:
        """Why objects of a patch cannot be copied to other places of it; empty where they can."""
        if self.learns_classes and self.learns_objects:
            return "with classes and objects together a copy would have no class"
        if any(isinstance(channel, PolarityChannel) for channel in self.channels):
            return "a copy would have no id that is odd or even, as polarity needs it"
        return ""

    @property
    def has_losses(self) -> bool:
        """Whether an entry names a loss or a weight of its own."""
        return any(channel.loss is not None or channel.weight != 1 for channel in self.channels)

    @model_validator(mode="after")
    def _check_channels(self) -> ChannelsTarget:
        if sum(isinstance(channel, ClassChannels) for channel in self.channels) > 1:
            raise InvalidInput(
                "A target has its classes in one entry, got several of the role classes.", "Join their names in one."
            )
        exclusive = [one.role for one in self.channels if one.is_exclusive]
        if len(exclusive) > 1:
            raise InvalidInput(
                "A target has one group of channels that exclude one another, classes or a distance in levels, got "
                f"{' and '.join(exclusive)}.",
                "Leave levels out, so that the distance is learnt as a number.",
            )
        self._check_titles()
        objects = [channel for channel in self.channels if not channel.from_strokes]
        self.model_copy(update={"channels": tuple(objects)}).assigned_losses(
            [role for channel in objects for role in channel.roles((), _ANY_SPACE)]
        )
        if not any(channel.kept for channel in self.channels):
            raise InvalidInput(
                "No channel of the target is kept, so that a prediction would be empty.", "Set kept: true for one."
            )
        return self

    def _check_titles(self) -> None:
        titles = [role.title for role in self.roles(("a class", "another"), _ANY_SPACE)]
        twice = next((title for number, title in enumerate(titles) if title in titles[:number]), None)
        if twice is not None:
            raise InvalidInput(f"Two channels of the target are the same: {twice}.", "Leave one out, or change it.")

    @property
    def learns_classes(self) -> bool:
        """Whether classes are among the channels."""
        return any(channel.from_strokes for channel in self.channels)

    @property
    def learns_objects(self) -> bool:
        """Whether there are channels of objects."""
        return not all(channel.from_strokes for channel in self.channels)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Those of the entry of classes."""
        return next((one.names or () for one in self.channels if isinstance(one, ClassChannels)), ())

    def roles(self, classes: Sequence[str], space: VoxelSpace) -> tuple[ChannelRole, ...]:
        """Those of all entries, in order."""
        return tuple(role for channel in self.channels for role in channel.roles(classes, space))

    def entries(self, roles: Sequence[ChannelRole]) -> tuple[tuple[AnyChannel, slice], ...]:
        """Each entry with the numbers of its channels among these roles."""
        n_classes = sum(isinstance(role, ClassRole) for role in roles)
        found, first = [], 0
        for channel in self.channels:
            last = first + (n_classes if channel.from_strokes else len(channel.roles((), _ANY_SPACE)))
            found.append((channel, slice(first, last)))
            first = last
        return tuple(found)

    def kept(self, classes: Sequence[str], space: VoxelSpace) -> tuple[int, ...]:
        """Numbers of the channels whose entries are kept."""
        return tuple(
            number
            for channel, numbers in self.entries(self.roles(classes, space))
            if channel.kept
            for number in range(numbers.start, numbers.stop)
        )

    @property
    def uses_dice_weight(self) -> bool:
        """Whether a probability or classes name no loss of their own."""
        plain = [channel for channel in self.channels if channel.named_loss is None]
        roles = [role for channel in plain for role in channel.roles(("a", "b"), _ANY_SPACE)]
        return any(role.is_probability and role.activates != "none" for role in roles)

    def notes(self) -> list[str]:
        """See `Target`."""
        found = []
        if not (self.learns_classes and self.learns_objects) and "class_share" in self.changed_names:
            what = "classes" if self.learns_classes else "objects"
            found.append(f"target.class_share={self.class_share:g} has no effect: the target learns {what} alone.")
        if self.small_object_weight > 1 and not self.learns_objects:
            found.append(
                f"target.small_object_weight={self.small_object_weight:g} has no effect: the target learns classes "
                "alone."
            )
        if self.small_object_weight == 1 and "small_object_um3" in self.changed_names:
            found.append(
                f"target.small_object_um3={self.small_object_um3:g} has no effect: target.small_object_weight is 1."
            )
        if self.cut_objects == "counted" and not self._has_wholes:
            found.append("target.cut_objects=counted has no effect: no channel is relative to a whole object.")
        return found

    @property
    def _has_wholes(self) -> bool:
        """Whether something is learnt that an object which the patch cuts does not show."""
        weighs = self.small_object_weight > 1 and self.learns_objects
        return weighs or any(isinstance(channel, _OF_WHOLES) for channel in self.channels)

    def assigned_losses(self, roles: Sequence[ChannelRole]) -> tuple[AssignedLoss, ...]:
        """The losses that entries name, with their channels.

        Raises
        ------
        InvalidInput
            If a loss does not fit a channel.
        """
        return tuple(
            assign_loss(
                LossTerm(loss=channel.named_loss, weight=channel.weight, channels=f"{numbers.start}:{numbers.stop}"),
                roles,
            )
            for channel, numbers in self.entries(roles)
            if channel.named_loss is not None
        )

    def of_classes(self, classes: Sequence[str]) -> ChannelsTarget:
        """See `Target`.

        Raises
        ------
        InvalidInput
            If a class is named that is not among them, or there is but one.
        """
        channels = tuple(
            channel.of_classes(classes) if isinstance(channel, ClassChannels) else channel for channel in self.channels
        )
        found = self.model_copy(update={"channels": channels})
        found._check_titles()
        return found

    def least_patch(self, space: VoxelSpace) -> Shape:
        """See `Target`."""
        return shape_beyond([channel.offset for channel in self.channels if isinstance(channel, AffinityChannel)])

    def check_patch(self, shape: Shape) -> None:
        """Refuse affinities whose partner never lies in a patch of this shape.

        Raises
        ------
        InvalidInput
            If an offset is as long as the patch or longer.
        """
        for channel in self.channels:
            if isinstance(channel, AffinityChannel):
                refuse_far_offset(channel.offset, shape)
