"""Targets of PyTorch Connectomics, and activations of predictions, as channels of a target."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from napari_pytc.errors import InvalidInput
from napari_pytc.pytc.channel_numbers import channel_numbers
from napari_pytc.pytc.heads import Head, decodes_more, predicted_channels, read_heads
from napari_pytc.pytc.keys import ForeignKeys, Options
from napari_pytc.pytc.target_kinds import TARGET_KINDS, TargetEntry, unused_setting
from napari_pytc.pytc.yacs import class_names

_TARGETS = "data.label_transform.targets"
_RESOLUTION = "data.label_transform.resolution"
_ENTRY_KEYS = frozenset({"name", "task", "type", "kwargs", "n_channels", "option"})
"""Of an entry of the targets; the last two are this program's own notes on targets of version 1.0."""
_LOSSES = "model.loss.losses"
_ACTIVATIONS = "inference.model.channel_activations"
_ONE_ACTIVATION = ("inference.output_act", "inference.test_time_augmentation.act")
_RAW = "PyTC writes raw outputs"
_ACTIVATION_NAMES = {
    "sigmoid": "sigmoid",
    "softmax": "softmax",
    "tanh": "tanh",
    "none": "none",
    "identity": "none",
    "linear": "none",
    "scale_sigmoid": "scaled_sigmoid",
    "scale_sigmoid:0.2": "scaled_sigmoid",
}
_OWN_ACTIVATIONS = {
    **dict.fromkeys(("classes",), "softmax"),
    **dict.fromkeys(("foreground", "affinity", "boundary", "polarity", "small_object", "lsd"), "sigmoid"),
    **dict.fromkeys(("signed_distance", "semantic_distance", "instance_distance", "skeleton_distance", "flow"), "tanh"),
}


def target_settings(
    keys: ForeignKeys, voxel_size_nm: Sequence[float] | None
) -> tuple[dict[str, Any], int, tuple[Head, ...]]:
    """The target of a configuration, the number of its channels, and the heads of the network that predict them.

    Raises
    ------
    InvalidInput
        For a target, or an activation of its channels, that there is not.
    """
    written = keys.get(_TARGETS) or []
    if not isinstance(written, list):
        raise InvalidInput(f"The configuration's {keys.name(_TARGETS)} is a list, got {written!r}.")
    n_channels = int(keys.number("model.out_channels", 1))
    if written:
        entries = [entry for number, one in enumerate(written) for entry in _entries(keys, number, one, voxel_size_nm)]
    else:
        entries = _without_targets(keys, n_channels)
    n_found = sum(entry.n for entry in entries)
    heads = read_heads(keys, n_found)
    if n_found != n_channels and (keys.has("model.out_channels") or not written) and not heads:
        raise InvalidInput(
            f"The configuration's targets make {n_found} channels, but its {keys.name('model.out_channels')} is "
            f"{n_channels}.",
            "Correct either in the configuration.",
        )
    predicted = predicted_channels(keys, heads, n_found)
    _activate(keys, entries, predicted)
    _keep(keys, entries, range(n_found) if heads and decodes_more(keys, predicted) else predicted)
    titles = ", ".join(_title(entry.settings) for entry in entries)
    changes = "; ".join(dict.fromkeys(entry.why_changed for entry in entries if entry.why_changed))
    if changes:
        keys.changed(_TARGETS, f"target.channels={titles}", changes)
    keys.taken(_TARGETS, f"target.channels={titles}", "the labels as they are")
    if heads and n_found != n_channels:
        keys.left_out("model.out_channels", "the heads say how many channels there are")
    keys.taken("model.out_channels", f"{n_found} channels of the target", 1)
    return {"kind": "channels", "channels": [entry.settings for entry in entries]}, n_found, heads


def _entries(keys: ForeignKeys, number: int, entry: Any, voxel_size_nm: Sequence[float] | None) -> list[TargetEntry]:
    """The entries that a target of theirs becomes; its settings without a counterpart are noted."""
    if isinstance(entry, str):
        entry = {"name": entry}
    if not isinstance(entry, dict):
        raise InvalidInput(f"A target of the configuration is a name or a mapping, got {entry!r}.")
    name = str(entry.get("name") or entry.get("task") or entry.get("type"))
    kwargs = entry.get("kwargs") or {}
    if not isinstance(kwargs, dict):
        raise InvalidInput(f"The kwargs of the target {name!r} of the configuration are a mapping, got {kwargs!r}.")
    make = TARGET_KINDS.get(name)
    if make is None:
        raise InvalidInput(
            f"The configuration has the target {name!r}, which is not known here.",
            f"Known are {', '.join(TARGET_KINDS)}.",
        )
    finest = min(voxel_size_nm) if voxel_size_nm else 1.0
    forwarded = {"resolution": keys.get(_RESOLUTION)} if name == "semantic_edt" and isinstance(entry, dict) else {}
    options = Options({**forwarded, **kwargs})
    found = make(options, finest)
    unused = {f"kwargs.{name}": value for name, value in options.unused().items() if name in kwargs}
    unused |= {name: value for name, value in entry.items() if name not in _ENTRY_KEYS and value is not None}
    for setting, value in unused.items():
        part = f"{keys.name(_TARGETS)}[{number}].{setting}"
        keys.note_part(_TARGETS, part, value, *unused_setting(setting.removeprefix("kwargs."), value))
    return found


def _without_targets(keys: ForeignKeys, n_channels: int) -> list[TargetEntry]:
    """Labels that are learnt as they are: a mask, or classes."""
    if n_channels == 1:
        return [TargetEntry({"role": "foreground"})]
    functions = [one.get("function") for one in keys.get(_LOSSES) or [] if isinstance(one, dict)]
    activations = str(keys.get(_ACTIVATIONS, ""))
    if "CrossEntropyLoss" in functions or "softmax" in activations:
        return [TargetEntry({"role": "classes", "names": class_names(n_channels)}, n_channels)]
    raise InvalidInput(
        f"The configuration has {n_channels} channels and does not say what they are ({keys.name(_TARGETS)}).",
        "Name the targets, or a cross entropy where they are classes.",
    )


def _title(settings: dict[str, Any]) -> str:
    where = settings.get("offset") or settings.get("side")
    if where is None:
        return str(settings["role"])
    return f"{settings['role']} {','.join(map(str, where)) if isinstance(where, list) else where}"


def _activate(keys: ForeignKeys, entries: Sequence[TargetEntry], predicted: Sequence[int]) -> None:
    """Give the entries the activations of predictions, which have the channels `predicted` in this order."""
    written = keys.get(_ACTIVATIONS)
    own_ones = ", ".join(dict.fromkeys(_OWN_ACTIVATIONS[entry.settings["role"]] for entry in entries))
    if not written:
        why = "an activation of all channels is not read" if any(map(keys.has, _ONE_ACTIVATION)) else _RAW
        keys.changed(_ACTIVATIONS, f"those of the channels: {own_ones}", why, "none")
        return
    found: dict[int, str] = {}
    for one in written if isinstance(written, list) else [written]:
        channels, name = _activation(one)
        if name not in _ACTIVATION_NAMES:
            raise InvalidInput(
                f"The configuration activates channels by {name!r}, which there is not here.",
                f"There are {', '.join(_ACTIVATION_NAMES)}.",
            )
        numbers = channel_numbers(channels, len(predicted), _ACTIVATIONS)
        found.update(dict.fromkeys((predicted[n] for n in numbers), _ACTIVATION_NAMES[name]))
    first = 0
    for entry in entries:
        names = {found[n] for n in range(first, first + entry.n) if n in found}
        if len(names) > 1:
            raise InvalidInput(
                f"The configuration activates the channels of {entry.settings['role']} in different ways: "
                f"{', '.join(sorted(names))}.",
                "Give them one activation.",
            )
        own = _OWN_ACTIVATIONS[entry.settings["role"]]
        if own == "softmax" and names - {own}:
            keys.changed(_ACTIVATIONS, "softmax", "classes exclude one another here")
        elif names - {own}:
            entry.settings["activation"] = names.pop()
        first += entry.n
    if len(found) < len(predicted):
        keys.changed(_ACTIVATIONS, "target.channels' activation", f"of channels that are not named {_RAW}")
    keys.taken(_ACTIVATIONS, "target.channels' activation")


def _activation(entry: Any) -> tuple[Any, str]:
    """Channels and name of an activation, in either of the forms that it is written in."""
    if isinstance(entry, dict) and "activation" in entry:
        return entry.get("channels", ":"), str(entry["activation"])
    if isinstance(entry, list) and len(entry) == 3:
        return f"{entry[0]}:{entry[1]}", str(entry[2])
    raise InvalidInput(f"An activation of channels is written {{channels, activation}}, got {entry!r}.")


def _keep(keys: ForeignKeys, entries: Sequence[TargetEntry], predicted: Sequence[int]) -> None:
    """Leave out of predictions what the configuration does not select, and what other heads predict."""
    key = "inference.model.select_channel"
    chosen = keys.get(key)
    if chosen is None or chosen == "all":
        kept = set(predicted)
    else:
        kept = {predicted[n] for n in channel_numbers(chosen, len(predicted), key)}
    keys.taken(key, "target.channels' kept")
    first = 0
    for entry in entries:
        own = set(range(first, first + entry.n))
        if own & kept and not own <= kept:
            raise InvalidInput(
                f"The configuration selects some of the channels of {entry.settings['role']} alone; here they are kept "
                "together.",
                f"Leave {keys.name(key)} out.",
            )
        if not own & kept:
            entry.settings["kept"] = False
        first += entry.n
