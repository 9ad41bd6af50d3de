"""Targets, activations and losses of PyTorch Connectomics as channels of a target and terms of losses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from napari_pytc.errors import InvalidInput
from napari_pytc.pytc.keys import ForeignKeys
from napari_pytc.pytc.yacs import class_names

_TARGETS = "data.label_transform.targets"
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


_LEVELS = 10
"""Steps of a quantised distance, beside the background."""


@dataclass
class _Entry:
    """An entry of a target, with the number of its channels."""

    settings: dict[str, Any]
    n: int = 1
    why_changed: str = ""


class _Kwargs:
    """Settings of a loss by name, and which of them are of no use here."""

    def __init__(self, values: dict[str, Any]) -> None:
        self._values = values
        self._unused = dict(values)

    def get(self, name: str, default: Any = None) -> Any:
        """A setting, which is of use then; the default where it is missing or null."""
        self._unused.pop(name, None)
        found = self._values.get(name)
        return default if found is None else found

    def numbers(self, names: dict[str, str]) -> dict[str, float]:
        """Those of some settings that there are, by their names here."""
        found = {ours: self.get(theirs) for theirs, ours in names.items()}
        return {name: float(value) for name, value in found.items() if value is not None}

    def dropped(self, n_channels: int) -> list[str]:
        """Settings that were not asked for and would change the loss, as text."""
        same = dict(_SAME_HERE)
        if n_channels == 1:
            same["include_background"] = (True, False)  # MONAI keeps an only channel
        return [
            f"{name}={value}"
            for name, value in self._unused.items()
            if value is not None and value not in same.get(name, ())
        ]


_SAME_HERE: dict[str, tuple[Any, ...]] = {
    **dict.fromkeys(("sigmoid", "softmax", "use_softmax", "tanh", "include_background"), (True,)),
    "to_onehot_y": (True, False),
    "reduction": ("mean",),
    "smooth_nr": (1e-5,),
    "smooth_dr": (1e-5,),
    "ignore_index": (-100,),
    "label_smoothing": (0,),
}
"""Settings of losses that change nothing at these values: channels have the activations of their roles."""


def target_settings(keys: ForeignKeys, voxel_size_nm: Sequence[float] | None) -> tuple[dict[str, Any], int]:
    """The target of a configuration, and the number of its channels.

    Raises
    ------
    InvalidInput
        For a target, or an activation of its channels, that there is not.
    """
    written = keys.get(_TARGETS) or []
    if not isinstance(written, list):
        raise InvalidInput(f"The configuration's {keys.name(_TARGETS)} is a list, got {written!r}.")
    n_channels = int(keys.number("model.out_channels", 1))
    heads = keys.section("model.heads")
    if written:
        entries = [entry for one in written for entry in _entries(one, voxel_size_nm)]
    else:
        entries = _without_targets(keys, n_channels)
    n_found = sum(entry.n for entry in entries)
    if n_found != n_channels and (keys.has("model.out_channels") or not written) and not heads:
        raise InvalidInput(
            f"The configuration's targets make {n_found} channels, but its {keys.name('model.out_channels')} is "
            f"{n_channels}.",
            "Correct either in the configuration.",
        )
    _activate(keys, entries, n_found)
    _keep(keys, entries, n_found)
    titles = ", ".join(_title(entry.settings) for entry in entries)
    changes = "; ".join(dict.fromkeys(entry.why_changed for entry in entries if entry.why_changed))
    if changes:
        keys.changed(_TARGETS, f"target.channels={titles}", changes)
    keys.taken(_TARGETS, f"target.channels={titles}", "the labels as they are")
    keys.taken("model.out_channels", f"{n_found} channels of the target", 1)
    return {"kind": "channels", "channels": [entry.settings for entry in entries]}, n_found


def loss_settings(keys: ForeignKeys, target: dict[str, Any], n_channels: int) -> dict[str, Any]:
    """Settings of a plan for the losses of a configuration: those that have a counterpart, with their channels.

    Raises
    ------
    InvalidInput
        If a loss names channels that there are not.
    """
    written = keys.get(_LOSSES)
    if not written:
        keys.changed(_LOSSES, "the losses that suit the target", "PyTC would take Dice and binary cross entropy", [])
        return {}
    if not isinstance(written, list):
        raise InvalidInput(f"The configuration's {keys.name(_LOSSES)} is a list, got {written!r}.")
    terms: list[dict[str, Any]] = []
    missing: list[str] = []
    dropped: list[str] = []
    for entry in written:
        entry = {"function": entry} if isinstance(entry, str) else entry
        if not isinstance(entry, dict):
            raise InvalidInput(f"A loss of the configuration is a name or a mapping, got {entry!r}.")
        term, unused = _term(keys, entry, n_channels)
        if term is None:
            missing.append(str(entry.get("function")))
        else:
            terms.append(term)
            dropped += [f"{name} of {entry.get('function')}" for name in unused]
    terms = [term for term in terms if term["weight"] > 0]
    judged = {n for term in terms for n in _numbers(term.get("channels"), n_channels, _LOSSES)}
    if len(judged) < n_channels:
        why = f"{', '.join(missing) or 'what is written'} leaves channels without a loss that there is here"
        keys.changed(_LOSSES, "the losses that suit the target", why)
        return {}
    text = ", ".join(_term_text(term) for term in terms)
    if missing or dropped:
        keys.changed(_LOSSES, f"losses={text}", f"there is no {', '.join([*missing, *dropped])} here")
    else:
        keys.taken(_LOSSES, f"losses={text}")
    found: dict[str, Any] = {"losses": terms}
    strategy = keys.get("model.loss.loss_balancing.strategy")
    if strategy == "uncertainty" and len(terms) > 1:
        found["loss_balancing"] = "uncertainty"
        keys.taken("model.loss.loss_balancing.strategy", "loss_balancing=uncertainty")
    elif strategy is not None:
        keys.changed("model.loss.loss_balancing.strategy", "loss_balancing=fixed", "there is uncertainty alone")
    weights = keys.numbers("model.loss.deep_supervision_weights")
    if weights:
        found["supervision_weights"] = weights
        keys.taken("model.loss.deep_supervision_weights", f"supervision_weights={weights}")
    return found


def _entries(entry: Any, voxel_size_nm: Sequence[float] | None) -> list[_Entry]:
    """The entries that a target of theirs becomes."""
    if isinstance(entry, str):
        entry = {"name": entry}
    if not isinstance(entry, dict):
        raise InvalidInput(f"A target of the configuration is a name or a mapping, got {entry!r}.")
    name = str(entry.get("name") or entry.get("task") or entry.get("type"))
    kwargs = entry.get("kwargs") or {}
    if not isinstance(kwargs, dict):
        raise InvalidInput(f"The kwargs of the target {name!r} of the configuration are a mapping, got {kwargs!r}.")
    make = _KINDS.get(name)
    if make is None:
        raise InvalidInput(
            f"The configuration has the target {name!r}, which is not known here.", f"Known are {', '.join(_KINDS)}."
        )
    finest = min(voxel_size_nm) if voxel_size_nm else 1.0
    return make(kwargs, finest)


def _foreground(kwargs: dict[str, Any], finest: float) -> list[_Entry]:
    return [_Entry({"role": "foreground"})]


def _eroded(kwargs: dict[str, Any], finest: float) -> list[_Entry]:
    half = int(kwargs.get("tsz_h", 2))
    return [_Entry({"role": "foreground", "erosion": [half, half, half]})]


def _affinity(kwargs: dict[str, Any], finest: float) -> list[_Entry]:
    far = kwargs.get("long_range")
    # Before it was to be said, offsets were deepem's and the long range was BANIS's.
    mode = str(kwargs.get("affinity_mode") or ("deepem" if far is None else "banis"))
    if mode not in ("deepem", "banis"):
        raise InvalidInput(f"The configuration has affinities in the mode {mode!r}.", "There are deepem and banis.")
    if far is not None:
        offsets = [f"{a}-{b}-{c}" for n in (1, int(far)) for a, b, c in ((n, 0, 0), (0, n, 0), (0, 0, n))]
    else:
        offsets = kwargs.get("offsets") or ["1-0-0", "0-1-0", "0-0-1"]
    found = []
    for offset in offsets:
        parts = str(offset).split("-") if isinstance(offset, str) else [str(n) for n in offset]
        if len(parts) != 3 or not all(part.isdecimal() for part in parts):
            raise InvalidInput(f"An affinity's offset is written z-y-x, got {offset!r}.", "For example 1-0-0.")
        steps = [int(part) for part in parts]
        is_foreground = not any(steps)
        settings: dict[str, Any] = {"role": "affinity", "offset": steps, "convention": mode}
        found.append(_Entry({"role": "foreground"} if is_foreground else settings))
    return found


def _boundary(kwargs: dict[str, Any], finest: float) -> list[_Entry]:
    written = int(kwargs.get("thickness", 1))
    thickness = min(max(written, 1), 5)
    settings = {
        "role": "boundary",
        "thickness": thickness,
        "edge_mode": str(kwargs.get("edge_mode", "seg-all")),
        "per_section": _is_per_section(kwargs, "3d"),
    }
    changed = f"boundaries are 1 to 5 voxels thick here: {thickness} for {written}"
    return [_Entry(settings, why_changed="" if thickness == written else changed)]


def _instance_distance(kwargs: dict[str, Any], finest: float) -> list[_Entry]:
    settings: dict[str, Any] = {"role": "instance_distance", "per_section": _is_per_section(kwargs, "2d")}
    if kwargs.get("quantize"):
        return [_Entry({**settings, "levels": _LEVELS}, _LEVELS + 1)]
    return [_Entry(settings)]


def _skeleton_distance(kwargs: dict[str, Any], finest: float) -> list[_Entry]:
    if float(kwargs.get("weight_param", 0.0)) > 0:
        raise InvalidInput(
            "The configuration's skeleton_aware_edt has a second channel of weights (weight_param), which there is not "
            "here.",
            "Set weight_param to 0.",
        )
    return [_Entry({"role": "skeleton_distance", "power": float(kwargs.get("alpha", 0.8))})]


def _semantic_distance(kwargs: dict[str, Any], finest: float) -> list[_Entry]:
    settings = {
        "role": "semantic_distance",
        "inside_nm": float(kwargs.get("alpha_fore", 8.0)) * finest,
        "outside_nm": float(kwargs.get("alpha_back", 50.0)) * finest,
        "per_section": _is_per_section(kwargs, "2d"),
    }
    return [_Entry(settings)]


def _signed_distance(kwargs: dict[str, Any], finest: float) -> list[_Entry]:
    return [_Entry({"role": "signed_distance", "alpha_nm": float(kwargs.get("alpha", 8.0)) * finest})]


def _polarity(kwargs: dict[str, Any], finest: float) -> list[_Entry]:
    if kwargs.get("exclusive"):
        raise InvalidInput(
            "The configuration learns synaptic polarity as classes that exclude one another; here its channels do not.",
            "Set exclusive to false and train anew.",
        )
    return [_Entry({"role": "polarity", "side": side}) for side in ("pre", "post", "any")]


def _flow(kwargs: dict[str, Any], finest: float) -> list[_Entry]:
    return [_Entry({"role": "flow", "per_section": True}, 2)]


def _descriptors(kwargs: dict[str, Any], finest: float) -> list[_Entry]:
    sigma = kwargs.get("sigma")
    if sigma is None:
        raise InvalidInput("The configuration's lsd says no sigma.", "Write the sigma that it was trained with.")
    sizes = kwargs.get("voxel_size") or [finest]
    largest = max(float(n) for n in (sigma if isinstance(sigma, list) else [sigma]))
    settings: dict[str, Any] = {"role": "lsd", "sigma_nm": largest * (1.0 if kwargs.get("voxel_size") else min(sizes))}
    components = kwargs.get("components")
    if components:
        settings["components"] = [int(n) for n in str(components)]
    return [_Entry(settings, len(settings.get("components", range(10))))]


def _classes(kwargs: dict[str, Any], finest: float) -> list[_Entry]:
    names = [str(name) for name in kwargs.get("names") or class_names(int(kwargs.get("n", 2)))]
    return [_Entry({"role": "classes", "names": names}, len(names))]


_KINDS: dict[str, Callable[[dict[str, Any], float], list[_Entry]]] = {
    "binary": _foreground,
    "eroded_foreground": _eroded,
    "affinity": _affinity,
    "instance_boundary": _boundary,
    "instance_edt": _instance_distance,
    "skeleton_aware_edt": _skeleton_distance,
    "semantic_edt": _semantic_distance,
    "signed_distance": _signed_distance,
    "sdt": _signed_distance,
    "polarity": _polarity,
    "flow": _flow,
    "lsd": _descriptors,
    "classes": _classes,
}


def _without_targets(keys: ForeignKeys, n_channels: int) -> list[_Entry]:
    """Labels that are learnt as they are: a mask, or classes."""
    if n_channels == 1:
        return [_Entry({"role": "foreground"})]
    functions = [one.get("function") for one in keys.get(_LOSSES) or [] if isinstance(one, dict)]
    activations = str(keys.get(_ACTIVATIONS, ""))
    if "CrossEntropyLoss" in functions or "softmax" in activations:
        return [_Entry({"role": "classes", "names": class_names(n_channels)}, n_channels)]
    raise InvalidInput(
        f"The configuration has {n_channels} channels and does not say what they are ({keys.name(_TARGETS)}).",
        "Name the targets, or a cross entropy where they are classes.",
    )


def _is_per_section(kwargs: dict[str, Any], default: str) -> bool:
    return str(kwargs.get("mode", default)).lower() == "2d"


def _title(settings: dict[str, Any]) -> str:
    where = settings.get("offset") or settings.get("side")
    if where is None:
        return str(settings["role"])
    return f"{settings['role']} {','.join(map(str, where)) if isinstance(where, list) else where}"


def _activate(keys: ForeignKeys, entries: Sequence[_Entry], n_channels: int) -> None:
    """Give the entries the activations of predictions."""
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
        found.update(dict.fromkeys(_numbers(channels, n_channels, _ACTIVATIONS), _ACTIVATION_NAMES[name]))
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
    if len(found) < n_channels:
        keys.changed(_ACTIVATIONS, "target.channels' activation", f"of channels that are not named {_RAW}")
    keys.taken(_ACTIVATIONS, "target.channels' activation")


def _activation(entry: Any) -> tuple[Any, str]:
    """Channels and name of an activation, in either of the forms that it is written in."""
    if isinstance(entry, dict) and "activation" in entry:
        return entry.get("channels", ":"), str(entry["activation"])
    if isinstance(entry, list) and len(entry) == 3:
        return f"{entry[0]}:{entry[1]}", str(entry[2])
    raise InvalidInput(f"An activation of channels is written {{channels, activation}}, got {entry!r}.")


def _keep(keys: ForeignKeys, entries: Sequence[_Entry], n_channels: int) -> None:
    """Leave out of predictions what the configuration does not select."""
    key = "inference.model.select_channel"
    chosen = keys.get(key)
    if chosen is None or chosen == "all":
        keys.taken(key, "target.channels' kept")
        return
    numbers = set(_numbers(chosen, n_channels, key))
    first = 0
    for entry in entries:
        own = set(range(first, first + entry.n))
        if own & numbers and not own <= numbers:
            raise InvalidInput(
                f"The configuration selects some of the channels of {entry.settings['role']} alone; here they are kept "
                "together.",
                f"Leave {keys.name(key)} out.",
            )
        if not own & numbers:
            entry.settings["kept"] = False
        first += entry.n
    keys.taken(key, "target.channels' kept")


def _term(keys: ForeignKeys, entry: dict[str, Any], n_channels: int) -> tuple[dict[str, Any] | None, list[str]]:
    """A term of losses, None where there is no such loss, and the settings that have no counterpart."""
    function, written = str(entry.get("function")), entry.get("kwargs") or {}
    if not isinstance(written, dict):
        raise InvalidInput(f"The kwargs of the loss {function} of the configuration are a mapping, got {written!r}.")
    make = _LOSS_KINDS.get(function)
    if make is None:
        return None, []
    kwargs = _Kwargs(written)
    loss = make(kwargs, entry.get("pos_weight", written.get("pos_weight")))
    slices = entry.get("pred_slice")
    head = entry.get("pred_head")
    if slices is None and head is not None:
        slices = entry.get("target_slice") or keys.get(f"model.heads.{head}.target_slice")
    term: dict[str, Any] = {"loss": loss, "weight": float(entry.get("weight", 1.0))}
    n_judged = n_channels
    if slices is not None:
        if isinstance(slices, list) and len(slices) == 2:  # first and last + 1
            slices = f"{slices[0]}:{slices[1]}"
        numbers = _numbers(slices, n_channels, _LOSSES)
        n_judged = len(numbers)
        if n_judged < n_channels:
            term["channels"] = ",".join(map(str, numbers))
    return term, kwargs.dropped(n_judged)


def _bce(kwargs: _Kwargs, pos_weight: Any) -> dict[str, Any]:
    kwargs.get("pos_weight")
    if pos_weight == "auto":
        return {"kind": "per_channel_bce"}
    return {"kind": "bce"} if pos_weight is None else {"kind": "bce", "pos_weight": _one(pos_weight)}


def _per_channel_bce(kwargs: _Kwargs, pos_weight: Any) -> dict[str, Any]:
    largest = kwargs.get("max_pos_weight")
    is_automatic = kwargs.get("auto_pos_weight", True) or pos_weight == "auto"
    if not is_automatic:
        return _bce(kwargs, pos_weight)
    return {"kind": "per_channel_bce", **({} if largest is None else {"largest_pos_weight": float(largest)})}


def _is_per_patch(kwargs: _Kwargs) -> bool:
    """Whether regions are compared a patch at a time, as theirs are but where ``batch`` is said."""
    return not kwargs.get("batch", False)


def _dice(kwargs: _Kwargs, pos_weight: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"kind": "dice", "per_patch": _is_per_patch(kwargs)}
    for theirs, ours in {"squared_pred": "squared", "jaccard": "jaccard"}.items():
        if kwargs.get(theirs):
            found[ours] = True
    return found


def _generalised_dice(kwargs: _Kwargs, pos_weight: Any) -> dict[str, Any]:
    weighting = str(kwargs.get("w_type", "square")).lower()
    return {"kind": "generalised_dice", "weighting": weighting, "per_patch": _is_per_patch(kwargs)}


def _cross_entropy(kwargs: _Kwargs, pos_weight: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"kind": "ce", **kwargs.numbers({"label_smoothing": "label_smoothing"})}
    weights = kwargs.get("weight", kwargs.get("class_weight"))
    if weights is None:
        return found
    return {**found, "class_weights": [float(n) for n in weights]}


def _focal(kwargs: _Kwargs, pos_weight: Any) -> dict[str, Any]:
    alpha = kwargs.get("alpha")
    found: dict[str, Any] = {"kind": "focal", "gamma": float(kwargs.get("gamma", 2.0))}
    return found if alpha is None else {**found, "alpha": float(alpha)}


def _tversky(kwargs: _Kwargs, pos_weight: Any) -> dict[str, Any]:
    own = {name: float(kwargs.get(name, 0.5)) for name in ("alpha", "beta")}
    return {"kind": "tversky", **own, "per_patch": _is_per_patch(kwargs)}


def _dice_ce(kwargs: _Kwargs, pos_weight: Any) -> dict[str, Any]:
    own = kwargs.numbers({"lambda_dice": "dice_weight", "lambda_ce": "ce_weight"})
    return {"kind": "dice_ce", **own, "per_patch": _is_per_patch(kwargs)}


def _dice_focal(kwargs: _Kwargs, pos_weight: Any) -> dict[str, Any]:
    own = kwargs.numbers({"lambda_dice": "dice_weight", "lambda_focal": "focal_weight", "gamma": "gamma"})
    return {"kind": "dice_focal", **own, "per_patch": _is_per_patch(kwargs)}


def _cldice(kwargs: _Kwargs, pos_weight: Any) -> dict[str, Any]:
    return {"kind": "soft_cldice", "iterations": int(kwargs.get("num_iters", 3))}


def _smooth_l1(kwargs: _Kwargs, pos_weight: Any) -> dict[str, Any]:
    return {"kind": "smooth_l1", "beta": float(kwargs.get("beta", 1.0))}


def _plain_loss(kind: str) -> Callable[[_Kwargs, Any], dict[str, Any]]:
    return lambda kwargs, pos_weight: {"kind": kind}


_LOSS_KINDS: dict[str, Callable[[_Kwargs, Any], dict[str, Any]]] = {
    "DiceLoss": _dice,
    "WSDiceLoss": _dice,
    "DiceCELoss": _dice_ce,
    "DiceFocalLoss": _dice_focal,
    "GeneralizedDiceLoss": _generalised_dice,
    "FocalLoss": _focal,
    "WeightedBCEFocalLoss": _focal,
    "TverskyLoss": _tversky,
    "BCELoss": _bce,
    "BCEWithLogitsLoss": _bce,
    "WeightedBCEWithLogitsLoss": _bce,
    "PerChannelBCEWithLogitsLoss": _per_channel_bce,
    "CrossEntropyLoss": _cross_entropy,
    "WeightedCE": _cross_entropy,
    "MSELoss": _plain_loss("weighted_mse"),
    "WeightedMSELoss": _plain_loss("weighted_mse"),
    "L1Loss": _plain_loss("mae"),
    "WeightedMAELoss": _plain_loss("mae"),
    "SmoothL1Loss": _smooth_l1,
    "SoftClDiceLoss": _cldice,
}


def _one(value: Any) -> float:
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidInput(f"The weight of ones of a loss is a number or auto, got {value!r}.")
    return float(value)


def _numbers(selector: Any, n_channels: int, key: str) -> list[int]:
    """The channels that a selector names: a number, a slice as text, a pair of ends, or a list of numbers."""
    if selector is None:
        return list(range(n_channels))
    try:
        if isinstance(selector, str) and "," in selector:
            found = [n for part in selector.split(",") for n in _numbers(part.strip(), n_channels, key)]
        elif isinstance(selector, str) and ":" in selector:
            ends = [int(part) if part.strip() else None for part in selector.split(":")]
            found = list(range(n_channels))[slice(*ends)]
        elif isinstance(selector, list):
            found = [range(n_channels)[int(n)] for n in selector]
        else:
            found = [range(n_channels)[int(selector)]]
    except (ValueError, TypeError, IndexError) as error:
        raise InvalidInput(
            f"The configuration's {key} names channels by {selector!r}, which cannot be; there are {n_channels}."
        ) from error
    if not found:
        raise InvalidInput(f"The configuration's {key} names no channel by {selector!r}; there are {n_channels}.")
    return found


def _term_text(term: dict[str, Any]) -> str:
    where = f" of {term['channels']}" if "channels" in term else ""
    times = f" x {term['weight']:g}" if term["weight"] != 1 else ""
    return f"{term['loss']['kind']}{where}{times}"
