"""Heads of a network of PyTorch Connectomics, each of which predicts some channels of the target."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from napari_pytc.errors import InvalidInput
from napari_pytc.pytc.channel_numbers import channel_numbers
from napari_pytc.pytc.keys import ForeignKeys

_HEADS = "model.heads"
_LOSSES = "model.loss.losses"
_CHOSEN = "inference.model.head"
_PRIMARY = "model.primary_head"


class Head(NamedTuple):
    """A head, and the channels of the target that it predicts.

    Parameters
    ----------
    channels : tuple of int
        Numbers that follow one another.
    features : int or None
        Feature maps of its blocks, where they are not those of the network's finest level.
    """

    name: str
    channels: tuple[int, ...]
    blocks: int
    features: int | None


def read_heads(keys: ForeignKeys, n_channels: int) -> tuple[Head, ...]:
    """The heads of a configuration in the order of their channels; none where it has none.

    Raises
    ------
    InvalidInput
        If they do not share out the target's channels.
    """
    names = list(dict.fromkeys(name.split(".")[0] for name in keys.section(_HEADS)))
    heads = sorted((_head(keys, name, len(names), n_channels) for name in names), key=lambda head: head.channels)
    numbers = [number for head in heads for number in head.channels]
    if heads and numbers != list(range(n_channels)):
        shares = "; ".join(f"{head.name} has {', '.join(map(str, head.channels))}" for head in heads)
        raise InvalidInput(
            f"The heads of the configuration do not share out the {n_channels} channels of its targets: {shares}.",
            "Give each head a target_slice of its own, such that every channel is in one.",
        )
    return tuple(heads)


def predicted_channels(keys: ForeignKeys, heads: Sequence[Head], n_channels: int) -> list[int]:
    """Numbers of the channels that a prediction has: of all, or of the heads that it is made with.

    Raises
    ------
    InvalidInput
        If a head is named that there is not.
    """
    if not heads:
        return list(range(n_channels))
    key = _CHOSEN if keys.get(_CHOSEN) is not None else _PRIMARY
    written = keys.get(key)
    if written is None:
        return list(range(n_channels))
    by_name = {head.name: head for head in heads}
    names = [name.strip() for name in str(written).split(",") if name.strip()]
    missing = [name for name in names if name not in by_name]
    if missing or not names:
        raise InvalidInput(
            f"The configuration's {keys.name(key)} is {written!r}, and no head has that name.",
            f"There are {', '.join(by_name)}.",
        )
    found = [number for name in names for number in by_name[name].channels]
    rest = ", ".join(head.name for head in heads if head.name not in names)
    became = f"target.channels' kept: those of {', '.join(names)}"
    if decodes_more(keys, found):
        keys.changed(key, "target.channels' kept: all", f"decoding.steps name channels that only {rest} has")
    elif rest:
        keys.changed(key, became, f"{rest} is learnt and left out of predictions; kept=true brings it back")
    keys.taken(key, became)
    if key == _CHOSEN:
        keys.left_out(_PRIMARY, f"{_CHOSEN} names what is predicted, and each loss its head")
    return found


def decodes_more(keys: ForeignKeys, predicted: Sequence[int]) -> bool:
    """Whether the decoding names channels beyond those of the heads that are predicted; then all are kept."""
    steps = keys.get("decoding.steps")
    kwargs = [one.get("kwargs") for one in steps if isinstance(one, dict)] if isinstance(steps, list) else []
    lists = [
        value for one in kwargs if isinstance(one, dict) for name, value in one.items() if name.endswith("channels")
    ]
    numbers = [n for value in lists if isinstance(value, list) for n in value if isinstance(n, int)]
    return max(numbers, default=-1) >= len(predicted)


def _head(keys: ForeignKeys, name: str, n_heads: int, n_channels: int) -> Head:
    where = f"{_HEADS}.{name}"
    selector = keys.get(f"{where}.target_slice")
    if selector is None:
        selector = _slice_of_loss(keys, name)
    if selector is None and n_heads > 1:
        raise InvalidInput(
            f"The configuration does not say which channels the head {name} predicts.",
            f"Write {where}.target_slice, as 0:3.",
        )
    channels = channel_numbers(selector, n_channels, f"{where}.target_slice")
    written = int(keys.number(f"{where}.out_channels", len(channels)))
    if written != len(channels) or channels != list(range(channels[0], channels[0] + len(channels))):
        raise InvalidInput(
            f"The head {name} of the configuration has out_channels={written}, but its target_slice is {selector!r}.",
            "Correct either in the configuration.",
        )
    features = keys.get(f"{where}.hidden_channels")
    head = Head(
        name=name,
        channels=tuple(channels),
        blocks=int(keys.number(f"{where}.num_blocks", 0)),
        features=None if features is None else int(keys.number(f"{where}.hidden_channels", 0)),
    )
    for key in ("out_channels", "num_blocks", "hidden_channels", "target_slice"):
        keys.taken(f"{where}.{key}", f"network.heads: {name}")
    return head


def _slice_of_loss(keys: ForeignKeys, name: str) -> Any:
    """The channels of the first loss that a head has."""
    losses = keys.get(_LOSSES)
    entries = [one for one in losses if isinstance(one, dict)] if isinstance(losses, list) else []
    own = (one for one in entries if one.get("pred_head") == name)
    return next((one["target_slice"] for one in own if one.get("target_slice") is not None), None)
