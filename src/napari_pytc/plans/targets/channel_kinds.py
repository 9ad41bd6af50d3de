"""Kinds of channels that a target of channels is made of, with their settings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from napari_pytc.errors import InvalidInput
from napari_pytc.geometry import Shape, VoxelSpace
from napari_pytc.plans.losses import AnyLoss, CrossEntropyLoss, LossSettings
from napari_pytc.settings import Settings, setting
from napari_pytc.volumes.roles import (
    DESCRIPTORS,
    Activation,
    AffinityRole,
    BoundaryMode,
    BoundaryRole,
    ChannelRole,
    ClassRole,
    DescriptorRole,
    DistanceLevelRole,
    DistanceRole,
    EdgeMode,
    FlowRole,
    ForegroundRole,
    InstanceDistanceRole,
    PolarityRole,
    PolaritySide,
    SemanticDistanceRole,
    SkeletonDistanceRole,
    SmallObjectRole,
)

PROBABILITY: tuple[Activation, ...] = ("sigmoid", "scaled_sigmoid", "none")
"""Activations that suit a probability."""
QUANTITY: tuple[Activation, ...] = ("tanh", "sigmoid", "none")
"""Activations that suit a quantity."""
_PER_SECTION = "Whether each section is taken on its own."
_REACH_VOXELS, _INSIDE_VOXELS, _OUTSIDE_VOXELS = 12, 8, 50


class Channel(Settings):
    """Base of an entry of a target: one channel, or several that belong together."""

    activation: Activation | None = setting(
        None,
        "Activation",
        "From the network's output to the channel: sigmoid, scaled_sigmoid (slope 0.2), softmax, tanh, or none; by "
        "default the role's own.",
    )
    loss: AnyLoss | None = setting(
        None, "Loss", "Kind and settings of its loss; by default that of its role with dice_weight and class_balance."
    )
    weight: float = setting(1.0, "Weight", "Weight of its loss beside the others'.", gt=0)
    kept: bool = setting(True, "Kept", "Whether a prediction has it; otherwise it is learnt and then left out.")

    suits: ClassVar[tuple[Activation, ...]] = PROBABILITY
    from_strokes: ClassVar[bool] = False
    """Whether it is learnt from strokes of classes rather than from objects."""
    known: ClassVar[str] = ""
    """Where its target is known, for the documentation."""

    @property
    def is_exclusive(self) -> bool:
        """Whether its channels exclude one another and add up to 1."""
        return False

    @property
    def named_loss(self) -> LossSettings | None:
        """Its loss, where it has another than that of its role with `dice_weight` and `class_balance`."""
        return self.loss

    @model_validator(mode="after")
    def _check_activation(self) -> Channel:
        self._check_fits(self.suits)
        return self

    def _check_fits(self, suits: Sequence[Activation]) -> None:
        if self.activation is not None and self.activation not in suits:
            name = type(self).model_fields["role"].default
            if self.activation == "softmax":
                raise InvalidInput(
                    f"A softmax needs two channels or more that exclude one another, and {name} is one by itself.",
                    "Use sigmoid, or the role classes for channels that add up to 1.",
                )
            raise InvalidInput(
                f"The activation {self.activation} does not fit the role {name}.",
                f"It takes {', '.join(suits)}.",
            )

    def roles(self, classes: Sequence[str], space: VoxelSpace) -> tuple[ChannelRole, ...]:
        """The role of each of its channels; see `Target.roles`."""
        raise NotImplementedError(f"{type(self).__name__} has no roles")


class ClassChannels(Channel):
    """Semantic classes that add up to 1, from strokes: one channel a class."""

    role: Literal["classes"] = "classes"
    names: tuple[str, ...] | None = setting(
        None, "Classes", "The classes, in order; by default all of the project. Strokes of others are not learnt from."
    )

    suits: ClassVar[tuple[Activation, ...]] = ("softmax",)
    from_strokes: ClassVar[bool] = True
    known: ClassVar[str] = "where a class is painted"

    @field_validator("names")
    @classmethod
    def _check_names(cls, names: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if names is not None and (len(names) < 2 or len(set(names)) < len(names)):
            raise InvalidInput(
                f"A softmax needs two classes or more, all different, got {', '.join(names) or 'none'}.",
                "Name the classes, or leave names out for all of the project.",
            )
        return names

    @property
    def is_exclusive(self) -> bool:
        """Always."""
        return True

    def of_classes(self, classes: Sequence[str]) -> ClassChannels:
        """With the names of the classes; refuses names that the project does not have."""
        names = tuple(classes) if self.names is None else self.names
        missing = [name for name in names if name not in classes]
        if missing:
            raise InvalidInput(
                f"The target learns the class {missing[0]!r}, which the project does not have; it has "
                f"{', '.join(classes)}.",
                "Add the class, or change names.",
            )
        return self.model_copy(update={"names": self._check_names(names)})

    def roles(self, classes: Sequence[str], space: VoxelSpace) -> tuple[ChannelRole, ...]:
        """One a class."""
        names = tuple(classes) if self.names is None else self.names
        return tuple(ClassRole(name=name, activation="softmax") for name in names)


class ForegroundChannel(Channel):
    """Whether a voxel belongs to any object; with an erosion, to one that is alone in a window around the voxel."""

    role: Literal["foreground"] = "foreground"
    erosion: tuple[int, int, int] = setting(
        (0, 0, 0),
        "Erosion",
        "Half a window (z, y, x) in which a second object makes a voxel background; background itself erodes nothing.",
        "voxels",
    )

    known: ClassVar[str] = "where labelled; eroded, where the window or what was found in it decides"

    @field_validator("erosion")
    @classmethod
    def _check_erosion(cls, erosion: tuple[int, int, int]) -> tuple[int, int, int]:
        if min(erosion) < 0:
            raise InvalidInput(
                f"An erosion is no negative number of voxels, got {list(erosion)}.",
                "For example erosion: [0,1,1]; 0,0,0 erodes nothing.",
            )
        return erosion

    def roles(self, classes: Sequence[str], space: VoxelSpace) -> tuple[ChannelRole, ...]:
        """One."""
        return (ForegroundRole(erosion=self.erosion, activation=self.activation),)


class AffinityChannel(Channel):
    """Whether a voxel and one at an offset belong to one object."""

    role: Literal["affinity"] = "affinity"
    offset: tuple[int, int, int] = setting(..., "Offset", "From the voxel to its partner (z, y, x).", "voxels")
    convention: Literal["partner", "deepem", "banis"] = setting(
        "partner",
        "Convention",
        "partner: the channel's voxel is the one that the offset starts from; deepem: the offset leads to it, so that "
        "a pair is kept at its later voxel; banis: as partner, a pair is kept at its earlier voxel.",
    )

    known: ClassVar[str] = "where both voxels are labelled"

    @field_validator("offset")
    @classmethod
    def _check_offset(cls, offset: tuple[int, int, int]) -> tuple[int, int, int]:
        if not any(offset):
            raise InvalidInput("The offset of an affinity is not 0,0,0.", "A channel of the objects is foreground.")
        return offset

    @model_validator(mode="after")
    def _check_sign(self) -> AffinityChannel:
        if self.convention != "partner" and min(self.offset) < 0:
            raise InvalidInput(
                f"Offsets as {self.convention} has them are not negative, got {list(self.offset)}.",
                "Use convention=partner for offsets with a sign.",
            )
        return self

    @property
    def to_partner(self) -> Shape:
        """Offset from the voxel that the channel is stored at to its partner."""
        z, y, x = (-step if self.convention == "deepem" else step for step in self.offset)
        return (z, y, x)

    def roles(self, classes: Sequence[str], space: VoxelSpace) -> tuple[ChannelRole, ...]:
        """One."""
        return (AffinityRole(offset=self.to_partner, activation=self.activation),)


class BoundaryChannel(Channel):
    """Whether a voxel lies at the border of an object."""

    role: Literal["boundary"] = "boundary"
    mode: BoundaryMode = setting(
        "thick",
        "Mode",
        "thick: both sides of a border; inner: the objects' side; outer: the background's, and both between objects.",
    )
    edge_mode: EdgeMode = setting(
        "seg-all",
        "Edges",
        "Which borders count, as PyTC names them. seg-all: of every object; seg-no-bg: between two objects; all: the "
        "same as seg-all here, where background is a label like any other.",
    )
    thickness: int = setting(1, "Thickness", "Steps over faces within which the other side lies.", "voxels", ge=1, le=5)
    per_section: bool = setting(
        False, "Per section", f"{_PER_SECTION} It is anyway where sections are thicker than two pixels."
    )

    known: ClassVar[str] = "where a border was found, or everything within its thickness is labelled"

    def roles(self, classes: Sequence[str], space: VoxelSpace) -> tuple[ChannelRole, ...]:
        """One."""
        return (
            BoundaryRole(
                mode=self.mode,
                edge_mode=self.edge_mode,
                thickness=self.thickness,
                per_section=self.per_section,
                activation=self.activation,
            ),
        )


class DistanceChannel(Channel):
    """Signed distance to the object's boundary, positive inside, cut at its reach."""

    role: Literal["distance"] = "distance"
    reach_nm: float | None = setting(
        None, "Reach", "What is farther is cut; by default twelve of the finest voxels.", "nm", gt=0
    )

    suits: ClassVar[tuple[Activation, ...]] = QUANTITY
    known: ClassVar[str] = "where nothing unlabelled is nearer than the border"

    def roles(self, classes: Sequence[str], space: VoxelSpace) -> tuple[ChannelRole, ...]:
        """One."""
        reach_nm = self.reach_nm or _REACH_VOXELS * min(space.voxel_size_nm)
        return (DistanceRole(reach_nm=reach_nm, activation=self.activation),)


class SignedDistanceChannel(Channel):
    """Distance to the border of the foreground, positive inside, as its tanh."""

    role: Literal["signed_distance"] = "signed_distance"
    alpha_nm: float | None = setting(
        None, "Scale", "The tanh of the distance over this; by default eight of the finest voxels.", "nm", gt=0
    )
    per_section: bool = setting(False, "Per section", _PER_SECTION)

    suits: ClassVar[tuple[Activation, ...]] = QUANTITY
    known: ClassVar[str] = "where nothing unlabelled is nearer than the border"

    def roles(self, classes: Sequence[str], space: VoxelSpace) -> tuple[ChannelRole, ...]:
        """One."""
        alpha_nm = self.alpha_nm or _INSIDE_VOXELS * min(space.voxel_size_nm)
        return (
            SemanticDistanceRole(
                inside_nm=alpha_nm, outside_nm=alpha_nm, per_section=self.per_section, activation=self.activation
            ),
        )


class SemanticDistanceChannel(Channel):
    """As signed_distance, with scales of its own inside and outside."""

    role: Literal["semantic_distance"] = "semantic_distance"
    inside_nm: float | None = setting(None, "Scale inside", "By default eight of the finest voxels.", "nm", gt=0)
    outside_nm: float | None = setting(None, "Scale outside", "By default fifty of the finest voxels.", "nm", gt=0)
    per_section: bool = setting(False, "Per section", _PER_SECTION)

    suits: ClassVar[tuple[Activation, ...]] = QUANTITY
    known: ClassVar[str] = "where nothing unlabelled is nearer than the border"

    def roles(self, classes: Sequence[str], space: VoxelSpace) -> tuple[ChannelRole, ...]:
        """One."""
        finest = min(space.voxel_size_nm)
        return (
            SemanticDistanceRole(
                inside_nm=self.inside_nm or _INSIDE_VOXELS * finest,
                outside_nm=self.outside_nm or _OUTSIDE_VOXELS * finest,
                per_section=self.per_section,
                activation=self.activation,
            ),
        )


class RelativeDistanceChannel(Channel):
    """Base of the distances that are 0 to 1 in every object, which can be learnt in classes."""

    levels: int | None = setting(
        None,
        "Levels",
        "Learn the distance in so many equal steps, and the background, as classes with cross entropy (PyTC's "
        "energy_quantize has 10); the mean of the steps by their probabilities is what decoders see. By default as a "
        "number.",
        ge=2,
        le=100,
    )
    per_section: bool = setting(False, "Per section", _PER_SECTION)

    suits: ClassVar[tuple[Activation, ...]] = QUANTITY
    known: ClassVar[str] = "in the background, and in objects that do not reach the end of what is known"

    @property
    def is_exclusive(self) -> bool:
        """Where it is in levels."""
        return self.levels is not None

    @property
    def named_loss(self) -> LossSettings | None:
        """See `Channel`; levels have cross entropy."""
        return CrossEntropyLoss() if self.loss is None and self.levels is not None else self.loss

    @model_validator(mode="after")
    def _check_activation(self) -> RelativeDistanceChannel:
        self._check_fits(self.suits if self.levels is None else ("softmax",))
        return self


class InstanceDistanceChannel(RelativeDistanceChannel):
    """Distance to the own object's border over the largest in that object; -1 in the background."""

    role: Literal["instance_distance"] = "instance_distance"

    def roles(self, classes: Sequence[str], space: VoxelSpace) -> tuple[ChannelRole, ...]:
        """One, or one a level."""
        if self.levels is not None:
            return tuple(
                DistanceLevelRole(of="instance", level=level, n_levels=self.levels, per_section=self.per_section)
                for level in range(self.levels + 1)
            )
        return (InstanceDistanceRole(per_section=self.per_section, activation=self.activation),)


class SkeletonDistanceChannel(RelativeDistanceChannel):
    """Distance to the border against that to the object's skeleton (Lin et al. 2023); -1 in the background."""

    role: Literal["skeleton_distance"] = "skeleton_distance"
    power: float = setting(0.8, "Power", "Power of the share: higher is thinner.", gt=0)

    def roles(self, classes: Sequence[str], space: VoxelSpace) -> tuple[ChannelRole, ...]:
        """One, or one a level."""
        if self.levels is not None:
            return tuple(
                DistanceLevelRole(
                    of="skeleton",
                    level=level,
                    n_levels=self.levels,
                    power=self.power,
                    per_section=self.per_section,
                )
                for level in range(self.levels + 1)
            )
        return (SkeletonDistanceRole(power=self.power, per_section=self.per_section, activation=self.activation),)


class PolarityChannel(Channel):
    """One side of synapses: objects with odd ids are presynaptic, those with even ids postsynaptic."""

    role: Literal["polarity"] = "polarity"
    side: PolaritySide = setting(..., "Side", "pre, post, or any of both.")

    known: ClassVar[str] = "where labelled"

    def roles(self, classes: Sequence[str], space: VoxelSpace) -> tuple[ChannelRole, ...]:
        """One."""
        return (PolarityRole(side=self.side, activation=self.activation),)


class SmallObjectChannel(Channel):
    """Whether a voxel belongs to a connected object of at most so large a volume."""

    role: Literal["small_object"] = "small_object"
    at_most_um3: float = setting(0.001, "Largest", "Larger objects are not small.", "µm³", gt=0)

    known: ClassVar[str] = "where labelled, but in objects that are small as far as they are known and go on"

    def roles(self, classes: Sequence[str], space: VoxelSpace) -> tuple[ChannelRole, ...]:
        """One."""
        return (SmallObjectRole(at_most_um3=self.at_most_um3, activation=self.activation),)


class FlowChannels(Channel):
    """Unit vectors that lead to the middle of the own object (Stringer et al. 2021): z, y, x; 0 in the background."""

    role: Literal["flow"] = "flow"
    per_section: bool = setting(False, "Per section", f"{_PER_SECTION} Then the channels are y and x.")

    suits: ClassVar[tuple[Activation, ...]] = QUANTITY
    known: ClassVar[str] = "in the background, and in objects that do not reach the end of what is known"

    def roles(self, classes: Sequence[str], space: VoxelSpace) -> tuple[ChannelRole, ...]:
        """Two of a section, three otherwise."""
        if self.per_section:
            return tuple(FlowRole(axis=axis, per_section=True, activation=self.activation) for axis in (1, 2))
        return tuple(FlowRole(axis=axis, activation=self.activation) for axis in (0, 1, 2))


class DescriptorChannels(Channel):
    """Local shape descriptors (Sheridan et al. 2023): offset, variance, correlation and size of the own object."""

    role: Literal["lsd"] = "lsd"
    sigma_nm: float = setting(80.0, "Sigma", "Standard deviation of the Gaussian window, cut at three.", "nm", gt=0)
    components: tuple[int, ...] | None = setting(
        None, "Components", "Which of the ten, from 0: " + ", ".join(DESCRIPTORS) + "; by default all."
    )

    suits: ClassVar[tuple[Activation, ...]] = ("sigmoid", "tanh", "none")
    known: ClassVar[str] = "in the background, and where the window holds all of the object that it could hold"

    @field_validator("components")
    @classmethod
    def _check_components(cls, components: tuple[int, ...] | None) -> tuple[int, ...] | None:
        if components is not None and (
            not components or len(set(components)) < len(components) or not set(components) <= set(range(10))
        ):
            raise InvalidInput(
                f"Components of shape descriptors are different numbers from 0 to 9, got {list(components)}.",
                "For example components: [0,1,2] for the offsets, or leave it out for all.",
            )
        return components

    def roles(self, classes: Sequence[str], space: VoxelSpace) -> tuple[ChannelRole, ...]:
        """One a component."""
        return tuple(
            DescriptorRole(component=component, sigma_nm=self.sigma_nm, activation=self.activation)
            for component in (range(10) if self.components is None else self.components)
        )


CHANNEL_KINDS: tuple[type[Channel], ...] = (
    ClassChannels,
    ForegroundChannel,
    AffinityChannel,
    BoundaryChannel,
    DistanceChannel,
    SignedDistanceChannel,
    SemanticDistanceChannel,
    InstanceDistanceChannel,
    SkeletonDistanceChannel,
    PolarityChannel,
    SmallObjectChannel,
    FlowChannels,
    DescriptorChannels,
)
"""All kinds, in the order of the documentation."""

AnyChannel = Annotated[
    ClassChannels
    | ForegroundChannel
    | AffinityChannel
    | BoundaryChannel
    | DistanceChannel
    | SignedDistanceChannel
    | SemanticDistanceChannel
    | InstanceDistanceChannel
    | SkeletonDistanceChannel
    | PolarityChannel
    | SmallObjectChannel
    | FlowChannels
    | DescriptorChannels,
    Field(discriminator="role"),
]
