"""What the channels of a prediction mean: written by learning, read by decoding, kept in the Zarr's attributes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from napari_pytc.errors import VolumeError
from napari_pytc.geometry import Shape

KEY = "channels"
"""Name of the list of roles among a prediction's ``napari_pytc`` attributes."""


class _Role(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ClassRole(_Role):
    """Probability of a semantic class; the classes of a prediction add up to 1."""

    role: Literal["class"] = "class"
    name: str

    @property
    def title(self) -> str:
        """What people call the channel."""
        return self.name


class AffinityRole(_Role):
    """Probability that a voxel and the one at ``voxel + offset`` (z, y, x) belong to one object."""

    role: Literal["affinity"] = "affinity"
    offset: tuple[int, int, int]

    @property
    def is_near(self) -> bool:
        """Whether the two voxels are face neighbours."""
        return sum(abs(step) for step in self.offset) == 1

    @property
    def title(self) -> str:
        """What people call the channel."""
        return "affinity " + ",".join(f"{step:+d}" if step else "0" for step in self.offset)


class BoundaryRole(_Role):
    """Probability that a voxel touches another object or the background."""

    role: Literal["boundary"] = "boundary"

    @property
    def title(self) -> str:
        """What people call the channel."""
        return "boundary"


class DistanceRole(_Role):
    """Signed distance to the object's boundary, positive inside.

    A stored value v in 0 to 1 stands for ``(2 v - 1) * reach_nm``; what is farther is cut.
    """

    role: Literal["distance"] = "distance"
    reach_nm: float = Field(gt=0)

    @property
    def title(self) -> str:
        """What people call the channel."""
        return "distance"


ChannelRole = Annotated[ClassRole | AffinityRole | BoundaryRole | DistanceRole, Field(discriminator="role")]
_ROLES: TypeAdapter[tuple[ChannelRole, ...]] = TypeAdapter(tuple[ChannelRole, ...])


def roles_to_json(roles: Sequence[ChannelRole]) -> list[dict[str, Any]]:
    """Roles as the JSON that `roles_of` reads."""
    return [role.model_dump(mode="json") for role in roles]


def roles_of(attributes: Mapping[str, Any], names: Sequence[str]) -> tuple[ChannelRole, ...]:
    """What each channel of a prediction means.

    Parameters
    ----------
    attributes : mapping
        The prediction's own attributes; one without roles is a prediction of classes.
    names : sequence of str
        Names of its channels.

    Raises
    ------
    VolumeError
        If the roles are damaged or are not as many as the channels.
    """
    note = attributes.get("napari_pytc", {})
    written = note.get(KEY) if isinstance(note, Mapping) else None
    if written is None:
        return tuple(ClassRole(name=name) for name in names)
    try:
        roles = _ROLES.validate_python(written)
    except ValidationError as error:
        raise VolumeError("What the prediction's channels mean cannot be read.", "Predict again.") from error
    if len(roles) != len(names):
        raise VolumeError(
            f"The prediction has {len(names)} channels but says what {len(roles)} of them mean.", "Predict again."
        )
    return roles


def axis_offset(axis: int, step: int) -> Shape:
    """The offset of so many voxels along one axis."""
    z, y, x = (step if a == axis else 0 for a in range(3))
    return (z, y, x)
