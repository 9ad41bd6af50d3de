"""What a prediction says of itself in the attributes of its Zarr: written by learning, read by decoding.

::

    napari_pytc
        channels         role of each channel (`ChannelRole`)
        decoder          kind and settings of the decoder that the model's recipe names; empty where it names none
        classes          names of the semantic classes, in the order of their numbers
        boundary_class   the class that keeps objects apart; null where the model's training did not say
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from napari_pytc.errors import VolumeError
from napari_pytc.geometry import Shape
from napari_pytc.volumes.roles import AffinityRole, BoundaryRole, ChannelRole, ClassRole, DistanceRole, Role

__all__ = [
    "KEY",
    "NOTE",
    "AffinityRole",
    "BoundaryRole",
    "ChannelRole",
    "ClassRole",
    "DistanceRole",
    "PredictionRecipe",
    "axis_offset",
    "class_numbers",
    "on_other_voxels",
    "other_classes_note",
    "prediction_attributes",
    "recipe_of",
    "roles_of",
    "roles_to_json",
]

NOTE = "napari_pytc"
"""Name of what this program keeps among the attributes of an array."""
KEY = "channels"
"""Name of the list of roles among a prediction's ``napari_pytc`` attributes."""


class PredictionRecipe(BaseModel):
    """What the recipe of a prediction's model says of decoding and of classes.

    Parameters
    ----------
    decoder : dict
        Kind and settings of a decoder; empty where the recipe names none.
    classes : tuple of str
        Names of the semantic classes; the k-th stands for label k.
    boundary_class : str, optional
        The class that keeps objects apart.
    """

    model_config = ConfigDict(frozen=True)

    decoder: dict[str, Any] = {}
    classes: tuple[str, ...] = ()
    boundary_class: str | None = None


_ROLES: TypeAdapter[tuple[ChannelRole, ...]] = TypeAdapter(tuple[ChannelRole, ...])


def roles_to_json(roles: Sequence[Role]) -> list[dict[str, Any]]:
    """Roles as the JSON that `roles_of` reads; what is as it is by default is left out."""
    return [
        {"role": type(role).model_fields["role"].default, **role.model_dump(mode="json", exclude_defaults=True)}
        for role in roles
    ]


def roles_of(attributes: Mapping[str, Any], names: Sequence[str]) -> tuple[ChannelRole, ...]:
    """The role of each channel of a prediction.

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
    note = attributes.get(NOTE, {})
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


def recipe_of(attributes: Mapping[str, Any]) -> PredictionRecipe | None:
    """What a prediction's attributes say of its model's recipe; None where they do not, as before version 0.3.

    Raises
    ------
    VolumeError
        If it is damaged.
    """
    note = attributes.get(NOTE, {})
    if not isinstance(note, Mapping) or "decoder" not in note:
        return None
    try:
        return PredictionRecipe.model_validate({key: note[key] for key in PredictionRecipe.model_fields if key in note})
    except ValidationError as error:
        raise VolumeError("What the prediction says of its decoder cannot be read.", "Predict again.") from error


def prediction_attributes(
    roles: Sequence[ChannelRole], decoder: Mapping[str, Any], boundary_class: str | None = None
) -> dict[str, Any]:
    """The ``napari_pytc`` attributes that `roles_of` and `recipe_of` read."""
    classes = tuple(role.name for role in roles if isinstance(role, ClassRole))
    recipe = PredictionRecipe(decoder=dict(decoder), classes=classes, boundary_class=boundary_class)
    return {KEY: roles_to_json(roles), **recipe.model_dump(mode="json")}


def on_other_voxels(role: ChannelRole, factors: Sequence[float]) -> ChannelRole:
    """The role of a channel that was interpolated to voxels of another size.

    An affinity's offset is the nearest in voxels; that of face neighbours stays one voxel, others at least two.

    Parameters
    ----------
    factors : sequence of float
        Length of a former voxel in voxels now, along z, y, x.
    """
    if not isinstance(role, AffinityRole) or role.is_near:
        return role
    is_straight = sum(step != 0 for step in role.offset) == 1
    least = 2 if is_straight else 1  # a straight one of a single voxel would be that of face neighbours
    lengths = [max(least, round(abs(step) * f)) if step else 0 for step, f in zip(role.offset, factors, strict=True)]
    z, y, x = (length if step > 0 else -length for length, step in zip(lengths, role.offset, strict=True))
    return AffinityRole(offset=(z, y, x))


def class_numbers(names: Sequence[str], known: Sequence[str]) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Numbers of classes by their names.

    Parameters
    ----------
    names : sequence of str
        Names of the channels of a prediction.
    known : sequence of str
        Names of a project's classes, the first of which is number 1.

    Returns
    -------
    numbers : tuple of int
        The number of each channel's class; classes that the project does not have follow after its own.
    all_names : tuple of str
        The names of classes 1, 2, ...

    Examples
    --------
    >>> class_numbers(("inside", "glia", "membrane"), ("membrane", "inside"))
    ((2, 3, 1), ('membrane', 'inside', 'glia'))
    """
    all_names = [*known, *(name for name in names if name not in known)]
    return tuple(all_names.index(name) + 1 for name in names), tuple(all_names)


def other_classes_note(subject: str, names: Sequence[str], known: Sequence[str]) -> str | None:
    """A sentence on the classes of a model or prediction that a project does not have; None where it has all."""
    others = [name for name in names if name not in known]
    if not others:
        return None
    which, come = ("the class", "its number comes") if len(others) == 1 else ("the classes", "their numbers come")
    return (
        f"{subject} has {which} {', '.join(others)}, which the project does not have (it has {', '.join(known)}): "
        f"numbers follow names, and {come} after the project's."
    )


def axis_offset(axis: int, step: int) -> Shape:
    """The offset of so many voxels along one axis."""
    z, y, x = (step if a == axis else 0 for a in range(3))
    return (z, y, x)
