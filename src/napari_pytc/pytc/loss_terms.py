"""Losses of PyTorch Connectomics as terms of a plan."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from napari_pytc.errors import InvalidInput
from napari_pytc.pytc.channel_numbers import channel_numbers
from napari_pytc.pytc.heads import Head
from napari_pytc.pytc.keys import ForeignKeys, Options

_LOSSES = "model.loss.losses"
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
_SAME_ENTRY: dict[str, tuple[Any, ...]] = {
    "apply_deep_supervision": (True,),
    "call_kind": ("pred_target",),
    "call": ("pred_target",),
    "target_kind": ("dense",),
}
_WHY_NO_ENTRY = {
    "apply_deep_supervision": "supervised levels have every loss",
    **dict.fromkeys(("mask_slice", "mask"), "what is not annotated is left out of every loss"),
    **dict.fromkeys(("pred2_slice", "pred2", "pred2_head"), "no loss compares two predictions"),
}


def loss_settings(keys: ForeignKeys, n_channels: int, heads: Sequence[Head]) -> dict[str, Any]:
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
    for number, entry in enumerate(written):
        entry = {"function": entry} if isinstance(entry, str) else entry
        if not isinstance(entry, dict):
            raise InvalidInput(f"A loss of the configuration is a name or a mapping, got {entry!r}.")
        term, unused = _term(_LossEntry(keys, number, entry), n_channels, heads)
        if term is None:
            missing.append(str(entry.get("function")))
        else:
            terms.append(term)
            dropped += [f"{name} of {entry.get('function')}" for name in unused]
    terms = [term for term in terms if term["weight"] > 0]
    judged = {n for term in terms for n in channel_numbers(term.get("channels"), n_channels, _LOSSES)}
    if len(judged) < n_channels:
        why = f"{', '.join(missing) or 'what is written'} leaves channels without a loss that there is here"
        keys.changed(_LOSSES, "the losses that suit the target", why)
        return {}
    text = ", ".join(_term_text(term) for term in terms)
    if missing or dropped:
        keys.changed(_LOSSES, f"losses={text}", f"there is no {', '.join([*missing, *dropped])} here")
    else:
        keys.taken(_LOSSES, f"losses={text}")
    for companion in ("loss_weights", "loss_kwargs"):
        keys.taken(f"model.{companion}", f"losses={text}")
    return {"losses": terms, **_balancing(keys, len(terms)), **_supervision(keys)}


def _balancing(keys: ForeignKeys, n_terms: int) -> dict[str, Any]:
    """How the losses are weighed against each other."""
    where = "model.loss.loss_balancing"
    strategy = keys.get(f"{where}.strategy")
    is_balanced = strategy == "uncertainty" and n_terms > 1
    if is_balanced or strategy is None:
        keys.taken(f"{where}.strategy", f"loss_balancing={'uncertainty' if is_balanced else 'fixed'}")
    else:
        why = "there is a single loss" if strategy == "uncertainty" else "there is uncertainty alone"
        keys.changed(f"{where}.strategy", "loss_balancing=fixed", why)
    keys.left_out(where, "it is of gradnorm, which there is not here")
    return {"loss_balancing": "uncertainty"} if is_balanced else {}


def _supervision(keys: ForeignKeys) -> dict[str, Any]:
    """Weights of the levels under deep supervision."""
    key = "model.loss.deep_supervision_weights"
    weights = keys.numbers(key)
    if not weights:
        return {}
    keys.taken(key, f"supervision_weights={weights}")
    return {"supervision_weights": weights}


class _LossEntry:
    """A loss as it is written, with its place in the list."""

    def __init__(self, keys: ForeignKeys, number: int, entry: dict[str, Any]) -> None:
        self.function = str(entry.get("function"))
        self.options = Options(entry)
        self._keys, self._number = keys, number
        written = entry.get("kwargs") or {}
        if not isinstance(written, dict):
            raise InvalidInput(
                f"The kwargs of the loss {self.function} of the configuration are a mapping, got {written!r}."
            )
        self.kwargs = Options(written)

    def first(self, *names: str) -> Any:
        """The value of the first name that has one; each is of use then."""
        found = [self.options.get(name) for name in names]
        return next((one for one in found if one is not None), None)

    def head(self, heads: Sequence[Head]) -> Head | None:
        """The head that it judges, where the network has some."""
        name = self.options.get("pred_head") or self._keys.get("model.primary_head")
        return next((one for one in heads if one.name == name), heads[0] if len(heads) == 1 else None)

    def dropped(self, n_judged: int) -> list[str]:
        """Settings of its kwargs that were not asked for and would change the loss, as text; all others are noted."""
        same = {**_SAME_HERE, "include_background": (True, False)} if n_judged == 1 else _SAME_HERE
        found = []
        for name, value in self.kwargs.unused().items():
            is_same = value in same.get(name, ())
            self._note(f"kwargs.{name}", value, is_same, "there is no such setting")
            found += [] if is_same else [f"{name}={value}"]
        for name, value in self.options.unused().items():
            why = _WHY_NO_ENTRY.get(name, "a loss has no such setting here")
            self._note(name, value, value in _SAME_ENTRY.get(name, ()), why)
        return found

    def _note(self, name: str, value: Any, is_same: bool, why: str) -> None:
        part = f"{self._keys.name(_LOSSES)}[{self._number}].{name}"
        if is_same:
            self._keys.note_part(_LOSSES, part, value, "taken", "the same")
        else:
            self._keys.note_part(_LOSSES, part, value, "left out", "", why)


def _term(entry: _LossEntry, n_channels: int, heads: Sequence[Head]) -> tuple[dict[str, Any] | None, list[str]]:
    """A term of losses, None where there is no such loss, and the settings that have no counterpart."""
    make = _LOSS_KINDS.get(entry.function)
    if make is None:
        return None, []
    options = entry.options
    for name in ("function", "kwargs"):
        options.get(name)
    loss = make(entry.kwargs, options.get("pos_weight", entry.kwargs.get("pos_weight")))
    weight = entry.first("coefficient", "weight")
    term: dict[str, Any] = {"loss": loss, "weight": 1.0 if weight is None else float(weight)}
    numbers = _judged(entry, n_channels, heads)
    if len(numbers) < n_channels:
        term["channels"] = ",".join(map(str, numbers))
    return term, entry.dropped(len(numbers))


def _judged(entry: _LossEntry, n_channels: int, heads: Sequence[Head]) -> list[int]:
    """Numbers of the target's channels that a loss judges.

    Raises
    ------
    InvalidInput
        If it compares channels with others.
    """
    head = entry.head(heads)
    within = list(head.channels) if head is not None else list(range(n_channels))
    predicted, aimed = entry.first("pred_slice", "pred"), entry.first("target_slice", "target")
    found = [within[n] for n in channel_numbers(_as_slice(predicted), len(within), _LOSSES)]
    others = found if aimed is None else channel_numbers(_as_slice(aimed), n_channels, _LOSSES)
    if predicted is None and head is None:
        return others
    # Classes are a single channel of labels there, and a channel each of the prediction.
    if others != found and len(others) == len(found):
        raise InvalidInput(
            f"The loss {entry.function} of the configuration compares the channels {', '.join(map(str, found))} of the "
            f"prediction with {', '.join(map(str, others))} of the targets; here each is compared with its own.",
            "Write the targets in the order of the channels.",
        )
    return found


def _as_slice(selector: Any) -> Any:
    """First and last + 1 as a slice."""
    return f"{selector[0]}:{selector[1]}" if isinstance(selector, list) and len(selector) == 2 else selector


def _bce(kwargs: Options, pos_weight: Any) -> dict[str, Any]:
    kwargs.get("pos_weight")
    if pos_weight == "auto":
        return {"kind": "per_channel_bce"}
    return {"kind": "bce"} if pos_weight is None else {"kind": "bce", "pos_weight": _one(pos_weight)}


def _per_channel_bce(kwargs: Options, pos_weight: Any) -> dict[str, Any]:
    largest = kwargs.get("max_pos_weight")
    is_automatic = kwargs.get("auto_pos_weight", True) or pos_weight == "auto"
    if not is_automatic:
        return _bce(kwargs, pos_weight)
    return {"kind": "per_channel_bce", **({} if largest is None else {"largest_pos_weight": float(largest)})}


def _is_per_patch(kwargs: Options) -> bool:
    """Whether regions are compared a patch at a time, as theirs are but where ``batch`` is said."""
    return not kwargs.get("batch", False)


def _dice(kwargs: Options, pos_weight: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"kind": "dice", "per_patch": _is_per_patch(kwargs)}
    for theirs, ours in {"squared_pred": "squared", "jaccard": "jaccard"}.items():
        if kwargs.get(theirs):
            found[ours] = True
    return found


def _generalised_dice(kwargs: Options, pos_weight: Any) -> dict[str, Any]:
    weighting = str(kwargs.get("w_type", "square")).lower()
    return {"kind": "generalised_dice", "weighting": weighting, "per_patch": _is_per_patch(kwargs)}


def _cross_entropy(kwargs: Options, pos_weight: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"kind": "ce", **kwargs.numbers({"label_smoothing": "label_smoothing"})}
    weights = kwargs.get("weight", kwargs.get("class_weight"))
    if weights is None:
        return found
    return {**found, "class_weights": [float(n) for n in weights]}


def _focal(kwargs: Options, pos_weight: Any) -> dict[str, Any]:
    alpha = kwargs.get("alpha")
    found: dict[str, Any] = {"kind": "focal", "gamma": float(kwargs.get("gamma", 2.0))}
    return found if alpha is None else {**found, "alpha": float(alpha)}


def _tversky(kwargs: Options, pos_weight: Any) -> dict[str, Any]:
    own = {name: float(kwargs.get(name, 0.5)) for name in ("alpha", "beta")}
    return {"kind": "tversky", **own, "per_patch": _is_per_patch(kwargs)}


def _dice_ce(kwargs: Options, pos_weight: Any) -> dict[str, Any]:
    own = kwargs.numbers({"lambda_dice": "dice_weight", "lambda_ce": "ce_weight"})
    return {"kind": "dice_ce", **own, "per_patch": _is_per_patch(kwargs)}


def _dice_focal(kwargs: Options, pos_weight: Any) -> dict[str, Any]:
    own = kwargs.numbers({"lambda_dice": "dice_weight", "lambda_focal": "focal_weight", "gamma": "gamma"})
    return {"kind": "dice_focal", **own, "per_patch": _is_per_patch(kwargs)}


def _cldice(kwargs: Options, pos_weight: Any) -> dict[str, Any]:
    return {"kind": "soft_cldice", "iterations": int(kwargs.get("num_iters", 3))}


def _smooth_l1(kwargs: Options, pos_weight: Any) -> dict[str, Any]:
    return {"kind": "smooth_l1", "beta": float(kwargs.get("beta", 1.0))}


def _plain_loss(kind: str) -> Callable[[Options, Any], dict[str, Any]]:
    return lambda kwargs, pos_weight: {"kind": kind}


_LOSS_KINDS: dict[str, Callable[[Options, Any], dict[str, Any]]] = {
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


def _term_text(term: dict[str, Any]) -> str:
    where = f" of {term['channels']}" if "channels" in term else ""
    times = f" x {term['weight']:g}" if term["weight"] != 1 else ""
    return f"{term['loss']['kind']}{where}{times}"
