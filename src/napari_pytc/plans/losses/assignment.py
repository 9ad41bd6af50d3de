"""Which channels of a target each term of the losses judges, and whether it can."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from napari_pytc.errors import InvalidInput
from napari_pytc.plans.losses.base import Activation, LossSettings, LossTerm
from napari_pytc.volumes.roles import ChannelRole
from napari_pytc.volumes.roles import activations_of as roles_activations


class AssignedLoss(NamedTuple):
    """A term with its channels.

    Parameters
    ----------
    channels : tuple of int
        The channels that it is called with: all classes, where they add up to 1.
    kept : tuple of int
        Positions among these of the channels that count.
    """

    term: LossTerm
    activation: Activation
    channels: tuple[int, ...]
    kept: tuple[int, ...]


def activations_of(roles: Sequence[ChannelRole]) -> tuple[Activation, ...]:
    """The activation of each channel, as losses see it: the slope of a logistic function is left to predictions."""
    return tuple("sigmoid" if name == "scaled_sigmoid" else name for name in roles_activations(roles))


def assign_losses(
    terms: Sequence[LossTerm], roles: Sequence[ChannelRole], single_voxels: bool = False
) -> tuple[AssignedLoss, ...]:
    """Give each term its channels.

    Parameters
    ----------
    single_voxels : bool
        Whether the network learns from single voxels rather than patches.

    Raises
    ------
    InvalidInput
        If a term names channels that there are not, a loss cannot judge a channel, or a channel has no loss.
    """
    activations = activations_of(roles)
    found = [_assigned(term, roles, activations, single_voxels) for term in terms]
    judged = {one.channels[position] for one in found for position in one.kept}
    missing = [number for number in range(len(roles)) if number not in judged]
    if terms and missing:
        names = ", ".join(f"{number} ({roles[number].title})" for number in missing)
        what = f"channel {names} has" if len(missing) == 1 else f"channels {names} have"
        raise InvalidInput(
            f"No term of losses judges every channel: {what} none and would learn nothing.",
            "Add a term for it, or leave the channel out of the target.",
        )
    return tuple(found)


def assign_loss(term: LossTerm, roles: Sequence[ChannelRole]) -> AssignedLoss:
    """Give a term alone its channels, be there others without a loss.

    Raises
    ------
    InvalidInput
        As `assign_losses`.
    """
    return _assigned(term, roles, activations_of(roles), single_voxels=False)


def _assigned(
    term: LossTerm, roles: Sequence[ChannelRole], activations: Sequence[Activation], single_voxels: bool
) -> AssignedLoss:
    if single_voxels and term.loss.is_spatial:
        raise InvalidInput(
            f"The loss {term.loss.kind!r} compares neighbouring voxels; this network learns from single ones.",
            "Choose another loss, or a network that sees patches, as network.kind=unet.",
        )
    wanted = _heads(term, roles) if term.heads else list(term.positions(len(roles)))
    for number in wanted:
        if activations[number] not in term.loss.suits:
            raise InvalidInput(*_misfit(term, number, roles, activations))
    kinds = sorted({activations[number] for number in wanted})
    if len(kinds) > 1:
        raise InvalidInput(
            f"The loss {term.title!r} is to judge channels of different kinds: {' and '.join(kinds)}.",
            "Give each kind a term of its own with channels=.",
        )
    (activation,) = kinds
    whole = [n for n, one in enumerate(activations) if one == "softmax"] if activation == "softmax" else wanted
    if activation == "softmax" and term.loss.needs_all_classes and whole != wanted:
        raise InvalidInput(
            f"The loss {term.loss.kind!r} judges all classes at once, got channels {wanted} of {len(whole)}.",
            "Leave channels out, or choose dice or focal for some of the classes.",
        )
    for name in ("pos_weight", "class_weights"):
        _check_count(term.loss, name, len(wanted))
    return AssignedLoss(term, activation, tuple(whole), tuple(whole.index(number) for number in wanted))


def _heads(term: LossTerm, roles: Sequence[ChannelRole]) -> list[int]:
    """Numbers of the channels that heads name."""
    names = [{role.title, role.role} for role in roles]
    known = sorted({name for both in names for name in both})
    for head in term.heads:
        if head not in known:
            raise InvalidInput(
                f"The loss {term.loss.kind!r} is to judge the head {head!r}, which the target does not have.",
                f"It has {', '.join(known)}.",
            )
    return [number for number, both in enumerate(names) if both & set(term.heads)]


def _misfit(
    term: LossTerm, number: int, roles: Sequence[ChannelRole], activations: Sequence[Activation]
) -> tuple[str, str]:
    what = {
        "softmax": "a class of several that exclude one another",
        "sigmoid": "a probability by itself",
        "tanh": "a number from -1 to 1",
        "none": "any number",
    }[activations[number]]
    fitting = sorted(kind for kind, one in LossSettings.variants().items() if activations[number] in one.suits)
    hint = f"For this channel there are {', '.join(fitting)}."
    others = [n for n, one in enumerate(activations) if one in term.loss.suits]
    if others and term.channels is None and not term.heads:
        hint += f" {term.loss.kind} fits channels={','.join(map(str, others))}."
    return f"The loss {term.loss.kind!r} does not fit channel {number} ({roles[number].title}): it is {what}.", hint


def _check_count(loss: LossSettings, name: str, n_channels: int) -> None:
    values = dict(loss).get(name)
    if isinstance(values, tuple) and len(values) != n_channels:
        raise InvalidInput(
            f"The loss {loss.kind!r} has {len(values)} values of {name} for {n_channels} channels.",
            f"Give {n_channels} numbers.",
        )
