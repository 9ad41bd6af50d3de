"""What the voxels of a prediction's channel mean: its role, its activation, and what a stored number stands for.

A stored voxel v (0 to 255 of uint8, as a share of 0 to 1) stands for ``low + v * (high - low)`` of the role's `span`::

    role               span      own activation
    class              0 .. 1    softmax over all classes
    foreground         0 .. 1    sigmoid
    affinity           0 .. 1    sigmoid
    boundary           0 .. 1    sigmoid
    distance          -1 .. 1    tanh             times its reach
    semantic_distance -1 .. 1    tanh
    instance_distance -1 .. 1    tanh
    skeleton_distance -1 .. 1    tanh
    flow              -1 .. 1    tanh
    polarity           0 .. 1    sigmoid
    small_object       0 .. 1    sigmoid
    lsd                0 .. 1    sigmoid
    distance_level     0 .. 1    softmax over all levels

The logistic function with a slope s is the activation of all but softmax and none: s = 1 for sigmoid, 0.2 for
scaled_sigmoid, and 2 for tanh, because (tanh x + 1) / 2 is the logistic function of 2 x.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from napari_pytc.geometry import Shape

Activation = Literal["sigmoid", "scaled_sigmoid", "softmax", "tanh", "none"]
SLOPES: dict[str, float] = {"sigmoid": 1.0, "scaled_sigmoid": 0.2, "tanh": 2.0}
"""Slope of the logistic function for each activation that is one."""
BoundaryMode = Literal["thick", "inner", "outer"]
EdgeMode = Literal["seg-all", "seg-no-bg", "all"]
PolaritySide = Literal["pre", "post", "any"]

_Span = tuple[float, float]
_PROBABILITY: _Span = (0.0, 1.0)
_SIGNED: _Span = (-1.0, 1.0)
_EXCLUSIVE: Activation = "softmax"


class Role(BaseModel):
    """Base of all roles.

    Parameters
    ----------
    activation : str, optional
        The function from the network's output to the channel; by default the role's own.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    activation: Activation | None = None

    own_activation: ClassVar[Activation] = "sigmoid"
    span: ClassVar[_Span] = _PROBABILITY
    """What a stored 0 and the largest stored number stand for."""
    is_probability: ClassVar[bool] = True
    """Whether the channel is the probability of something; else it is a quantity."""

    @property
    def title(self) -> str:
        """Name of the channel for people; unlike that of any other channel of a prediction."""
        raise NotImplementedError(f"{type(self).__name__} has no title")

    @property
    def mirrored_axes(self) -> tuple[int, ...]:
        """Axes (0 to 2): where an image is mirrored along an odd number of them, the channel changes its sign."""
        return ()

    @property
    def is_scale_free(self) -> bool:
        """Whether the channel means the same on an image that is enlarged or made smaller."""
        return False

    def swapped(self) -> Self:
        """The role of the same channel, once y and x of the image are exchanged."""
        return self

    @property
    def activates(self) -> Activation:
        """The activation that counts."""
        return self.activation or self.own_activation

    @property
    def meaning(self) -> str:
        """What a stored uint8 value means, in one sentence."""
        low, high = self.span
        return f"0 to 255 stand for {low:g} to {high:g}{self._unit}."

    @property
    def _unit(self) -> str:
        return ", a probability" if self.is_probability else ""

    def value(self, stored: float) -> float:
        """What a stored number as a share of 0 to 1 stands for."""
        low, high = self.span
        return low + stored * (high - low)

    def stored(self, value: float) -> float:
        """The share of 0 to 1 that stands for a value; what lies beyond the span is cut."""
        low, high = self.span
        return min(max((value - low) / (high - low), 0.0), 1.0)

    def logit(self, stored: float) -> float:
        """The network's output that the activation makes a stored share of; infinite at 0 and 1.

        Raises
        ------
        ValueError
            For a softmax, which only knows an output up to a constant.
        """
        if self.activates == "softmax":
            raise ValueError("A softmax cannot be undone for one channel alone.")
        if self.activates == "none":
            return self.value(stored)
        if stored <= 0 or stored >= 1:
            return -math.inf if stored <= 0 else math.inf
        return math.log(stored / (1 - stored)) / SLOPES[self.activates]


class ClassRole(Role):
    """Probability of a semantic class; the classes of a prediction add up to 1.

    One that is learnt beside channels of objects has no activation of its own, and is a sigmoid.
    """

    role: Literal["class"] = "class"
    name: str

    @property
    def is_scale_free(self) -> bool:
        """Whether the channel means the same on an image that is enlarged or made smaller."""
        return True

    @property
    def title(self) -> str:
        """Name of the channel for people."""
        return self.name


class ForegroundRole(Role):
    """Probability that a voxel belongs to any object, without a margin towards other objects where they are eroded."""

    role: Literal["foreground"] = "foreground"
    erosion: Shape = (0, 0, 0)
    """Half the window (z, y, x), in voxels, in which another object makes a voxel one of no object."""

    @property
    def is_scale_free(self) -> bool:
        """Whether the channel means the same on an image that is enlarged or made smaller."""
        return not any(self.erosion)

    def swapped(self) -> Self:
        """The role of the same channel, once y and x of the image are exchanged."""
        z, y, x = self.erosion
        return self.model_copy(update={"erosion": (z, x, y)})

    @property
    def title(self) -> str:
        """Name of the channel for people."""
        return f"foreground eroded {_commas(self.erosion)}" if any(self.erosion) else "foreground"


class AffinityRole(Role):
    """Probability that a voxel and the one at ``voxel + offset`` (z, y, x) belong to one object."""

    role: Literal["affinity"] = "affinity"
    offset: tuple[int, int, int]

    def swapped(self) -> Self:
        """The role of the same channel, once y and x of the image are exchanged."""
        z, y, x = self.offset
        return self.model_copy(update={"offset": (z, x, y)})

    @property
    def is_near(self) -> bool:
        """Whether the two voxels are face neighbours."""
        return sum(abs(step) for step in self.offset) == 1

    @property
    def title(self) -> str:
        """Name of the channel for people."""
        return "affinity " + ",".join(f"{step:+d}" if step else "0" for step in self.offset)


class BoundaryRole(Role):
    """Probability that a voxel touches another object or the background.

    Parameters
    ----------
    mode : str
        thick: voxels on both sides; inner: those of objects; outer: those of the background, and both sides where two
        objects touch.
    edge_mode : str
        seg-all: around every object; seg-no-bg: between two objects only; all: the same as seg-all.
    thickness : int
        Number of steps from face to face within which the other side lies.
    per_section : bool
        Each section on its own. By default so only where sections are more than twice as thick as pixels are long.
    """

    role: Literal["boundary"] = "boundary"
    mode: BoundaryMode = "thick"
    edge_mode: EdgeMode = "seg-all"
    thickness: int = Field(1, ge=1)
    per_section: bool = False

    @property
    def is_scale_free(self) -> bool:
        """Whether the channel means the same on an image that is enlarged or made smaller."""
        return True

    @property
    def title(self) -> str:
        """Name of the channel for people."""
        words: list[str] = [self.mode] if self.mode != "thick" else []
        words += [f"{self.thickness} wide"] if self.thickness > 1 else []
        words += ["between objects"] if self.edge_mode == "seg-no-bg" else ["all"] if self.edge_mode == "all" else []
        words += ["per section"] if self.per_section else []
        return " ".join(["boundary", *words])


class DistanceRole(Role):
    """Signed distance to the object's boundary, positive inside.

    A stored value v in 0 to 1 stands for ``(2 v - 1) * reach_nm``; what is farther is cut.
    """

    role: Literal["distance"] = "distance"
    reach_nm: float = Field(gt=0)

    own_activation: ClassVar[Activation] = "tanh"
    span: ClassVar[_Span] = _SIGNED
    is_probability: ClassVar[bool] = False

    @property
    def title(self) -> str:
        """Name of the channel for people."""
        return "distance"

    @property
    def _unit(self) -> str:
        return f" times {self.reach_nm:g} nm, positive inside of objects"


class SemanticDistanceRole(Role):
    """Distance to the border of the foreground: tanh of that inside over `inside_nm`, or of minus that outside."""

    role: Literal["semantic_distance"] = "semantic_distance"
    inside_nm: float = Field(gt=0)
    outside_nm: float = Field(gt=0)
    per_section: bool = False

    own_activation: ClassVar[Activation] = "tanh"
    span: ClassVar[_Span] = _SIGNED
    is_probability: ClassVar[bool] = False

    @property
    def title(self) -> str:
        """Name of the channel for people."""
        if self.inside_nm == self.outside_nm:
            return f"signed distance {self.inside_nm:g} nm{_sections(self.per_section)}"
        return f"semantic distance {self.inside_nm:g}, {self.outside_nm:g} nm{_sections(self.per_section)}"

    @property
    def _unit(self) -> str:
        return f", the tanh of nm over {self.inside_nm:g} inside and {self.outside_nm:g} outside of objects"


class InstanceDistanceRole(Role):
    """Distance to the own object's border over the largest in that object, 0 to 1; -1 in the background."""

    role: Literal["instance_distance"] = "instance_distance"
    per_section: bool = False

    own_activation: ClassVar[Activation] = "tanh"
    span: ClassVar[_Span] = _SIGNED
    is_probability: ClassVar[bool] = False

    @property
    def is_scale_free(self) -> bool:
        """Whether the channel means the same on an image that is enlarged or made smaller."""
        return True

    @property
    def title(self) -> str:
        """Name of the channel for people."""
        return f"instance distance{_sections(self.per_section)}"

    @property
    def _unit(self) -> str:
        return ", 1 amid an object and -1 in the background"


class SkeletonDistanceRole(Role):
    """Distance to the border, b, against that to the object's skeleton, s: (b / (b + s)) ** power; -1 outside."""

    role: Literal["skeleton_distance"] = "skeleton_distance"
    power: float = Field(0.8, gt=0)
    per_section: bool = False

    own_activation: ClassVar[Activation] = "tanh"
    span: ClassVar[_Span] = _SIGNED
    is_probability: ClassVar[bool] = False

    @property
    def is_scale_free(self) -> bool:
        """Whether the channel means the same on an image that is enlarged or made smaller."""
        return True

    @property
    def title(self) -> str:
        """Name of the channel for people."""
        return f"skeleton distance{_sections(self.per_section)}"

    @property
    def _unit(self) -> str:
        return ", 1 on an object's skeleton and -1 in the background"


class FlowRole(Role):
    """Component of the unit vector (in nm) along which heat from an object's centre came to a voxel; 0 outside."""

    role: Literal["flow"] = "flow"
    axis: Literal[0, 1, 2]
    per_section: bool = False

    own_activation: ClassVar[Activation] = "tanh"
    span: ClassVar[_Span] = _SIGNED
    is_probability: ClassVar[bool] = False

    def swapped(self) -> Self:
        """The role of the same channel, once y and x of the image are exchanged."""
        return self.model_copy(update={"axis": _SWAPPED_AXES[self.axis]})

    @property
    def title(self) -> str:
        """Name of the channel for people."""
        return f"flow {'zyx'[self.axis]}{_sections(self.per_section)}"

    @property
    def mirrored_axes(self) -> tuple[int, ...]:
        """The axis of the component."""
        return (self.axis,)


class PolarityRole(Role):
    """Probability of the presynaptic or the postsynaptic side of a synapse, or of either."""

    role: Literal["polarity"] = "polarity"
    side: PolaritySide

    @property
    def is_scale_free(self) -> bool:
        """Whether the channel means the same on an image that is enlarged or made smaller."""
        return True

    @property
    def title(self) -> str:
        """Name of the channel for people."""
        return {"pre": "presynaptic", "post": "postsynaptic", "any": "synapse"}[self.side]


class SmallObjectRole(Role):
    """Probability that a voxel belongs to an object of at most so large a volume."""

    role: Literal["small_object"] = "small_object"
    at_most_um3: float = Field(gt=0)

    @property
    def title(self) -> str:
        """Name of the channel for people."""
        return f"small object {self.at_most_um3:g} µm³"


DESCRIPTORS = (
    *(f"offset {axis}" for axis in "zyx"),
    *(f"variance {axis}" for axis in "zyx"),
    *(f"correlation {pair}" for pair in ("zy", "zx", "yx")),
    "size",
)
"""Names of the ten local shape descriptors (Sheridan et al. 2023), in their order."""
_SWAPPED_AXES: tuple[Literal[0, 1, 2], ...] = (0, 2, 1)
_SWAPPED_COMPONENTS = (0, 2, 1, 3, 5, 4, 7, 6, 8, 9)
"""The descriptor that each becomes where y and x are exchanged."""
_DESCRIPTOR_AXES = ((0,), (1,), (2,), (), (), (), (0, 1), (0, 2), (1, 2), ())


class DescriptorRole(Role):
    """One of the ten local shape descriptors of the own object in a Gaussian window.

    Offsets stand for -1 to 1 `sigma_nm`, variances for 0 to 1 `sigma_nm` squared, correlations for -1 to 1, and the
    size for 0 to 1 of the window, all stored as 0 to 1.
    """

    role: Literal["lsd"] = "lsd"
    component: int = Field(ge=0, le=9)
    sigma_nm: float = Field(gt=0)

    is_probability: ClassVar[bool] = False

    def swapped(self) -> Self:
        """The role of the same channel, once y and x of the image are exchanged."""
        return self.model_copy(update={"component": _SWAPPED_COMPONENTS[self.component]})

    @property
    def title(self) -> str:
        """Name of the channel for people."""
        return f"lsd {DESCRIPTORS[self.component]}"

    @property
    def mirrored_axes(self) -> tuple[int, ...]:
        """The axis of an offset, both of a correlation."""
        return _DESCRIPTOR_AXES[self.component]

    @property
    def _unit(self) -> str:
        signed = bool(self.mirrored_axes)
        return f", the middle for none and more for a positive {DESCRIPTORS[self.component]}" if signed else ""


class DistanceLevelRole(Role):
    """Probability of a level of a distance that is learnt in classes; level 0 is the background (`distance_levels`)."""

    role: Literal["distance_level"] = "distance_level"
    of: Literal["instance", "skeleton"]
    level: int = Field(ge=0)
    n_levels: int = Field(ge=2)
    """Number of levels above that of the background."""
    power: float = Field(0.8, gt=0)
    """Of the skeleton distance; see `SkeletonDistanceRole`."""
    per_section: bool = False

    own_activation: ClassVar[Activation] = "softmax"

    @property
    def is_scale_free(self) -> bool:
        """Whether the channel means the same on an image that is enlarged or made smaller."""
        return True

    @property
    def distance(self) -> InstanceDistanceRole | SkeletonDistanceRole:
        """The distance that is quantised."""
        if self.of == "instance":
            return InstanceDistanceRole(per_section=self.per_section)
        return SkeletonDistanceRole(power=self.power, per_section=self.per_section)

    @property
    def title(self) -> str:
        """Name of the channel for people."""
        return f"{self.distance.title} level {self.level} of {self.n_levels}"


ChannelRole = Annotated[
    ClassRole
    | ForegroundRole
    | AffinityRole
    | BoundaryRole
    | DistanceRole
    | SemanticDistanceRole
    | InstanceDistanceRole
    | SkeletonDistanceRole
    | FlowRole
    | PolarityRole
    | SmallObjectRole
    | DescriptorRole
    | DistanceLevelRole,
    Field(discriminator="role"),
]
"""Any role of a prediction's channel, told apart by `role`."""


def activations_of(roles: Sequence[Role]) -> tuple[Activation, ...]:
    """The activation of each channel of a network; classes alone, which name none, exclude one another."""
    if len(roles) > 1 and all(isinstance(role, ClassRole) and role.activation is None for role in roles):
        return (_EXCLUSIVE,) * len(roles)
    return tuple(role.activates for role in roles)


def _sections(per_section: bool) -> str:
    return " per section" if per_section else ""


def _commas(numbers: Shape) -> str:
    return ",".join(map(str, numbers))
