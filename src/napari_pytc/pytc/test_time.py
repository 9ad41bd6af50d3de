"""Test-time augmentation of PyTorch Connectomics as settings of predictions.

Today's configurations name mirrored copies (``flip_axes``), quarter turns (``rotation90_axes``, ``rotate90_k``) and how
copies are combined (``ensemble_mode``), each after its activation. Version 1.0 counts copies (``AUG_NUM``): 4 are those
mirrored in the plane, 8 with y and x exchanged, too, 16 mirrored along z as well.
"""

from __future__ import annotations

from itertools import combinations
from typing import Any

from napari_pytc.errors import InvalidInput
from napari_pytc.plans.windows import Average
from napari_pytc.pytc.keys import ForeignKeys

_WHERE = "inference.test_time_augmentation"
_PLANE = [1, 2]
_MODES = ("mean", "min", "max")
_NUMBER, _MODE = "legacy.INFERENCE.AUG_NUM", "legacy.INFERENCE.AUG_MODE"
_OF_NUMBER: dict[int, dict[str, Any]] = {
    4: {"flips": "plane"},
    8: {"flips": "plane", "turns": True},
    16: {"flips": "all", "turns": True},
}


def augmentation_of_predictions(keys: ForeignKeys, average: Average) -> dict[str, Any]:
    """Settings of a `PredictPlan`: ``flips`` and ``tta``.

    Parameters
    ----------
    average : str
        What overlapping windows are averaged of.
    """
    found = _of_version_1(keys) if keys.has(_NUMBER) or keys.has(_MODE) else _of_today(keys)
    if not found:
        return {"flips": False}
    if average == "logits":
        found["average"] = "probabilities"
    if found.get("flips") == "all":
        return {"flips": True, "tta": {name: value for name, value in found.items() if name != "flips"}}
    return {"flips": False, "tta": found}


def _of_version_1(keys: ForeignKeys) -> dict[str, Any]:
    number, mode = keys.get(_NUMBER), keys.get(_MODE, "mean")
    if number in (None, "None", 0):
        keys.taken(_NUMBER, "tta.flips=none")
        keys.left_out(_MODE, "there are no copies to combine")
        return {}
    if number not in _OF_NUMBER:
        raise InvalidInput(f"The configuration's {keys.name(_NUMBER)} is 4, 8 or 16, got {number!r}.")
    found = {**_OF_NUMBER[number], **_one_mode(keys, _MODE, mode)}
    keys.taken(_NUMBER, _words({name: found[name] for name in ("flips", "turns") if name in found}))
    if mode == "mean":
        keys.taken(_MODE, "tta.combine=mean")
    keys.changed(_MODE, f"tta.combine={mode}", "copies are combined after windows are blended, there before")
    return found


def _of_today(keys: ForeignKeys) -> dict[str, Any]:
    is_on = keys.get(f"{_WHERE}.enabled", keys.get(_WHERE, False)) is True
    for key in (f"{_WHERE}.enabled", _WHERE):
        keys.taken(key, "test-time augmentation" if is_on else "flips=false")
    if not is_on:
        keys.left_out(_WHERE, "test-time augmentation is off")
        return {}
    found = {**_flips(keys), **_turns(keys), **_combination(keys)}
    for key, why in {
        "flip_combinations": "it has no effect there either",
        "transforms": "there are mirrored and turned copies alone",
        "apply_mask": "predictions are not masked",
    }.items():
        keys.left_out(f"{_WHERE}.{key}", why)
    return {} if set(found) <= {"combine", "exceptions"} else found


def _flips(keys: ForeignKeys) -> dict[str, Any]:
    key = f"{_WHERE}.flip_axes"
    if keys.has(key) and keys.get(key) is None:
        keys.taken(key, "tta.flips=none")
        return {}
    written = keys.get(key, "all")
    if written in ("all", []):
        flips: Any = "all"
    elif isinstance(written, str) and written.lower() == "none":
        flips = "none"
    else:
        entries = written if isinstance(written, list) else [written]
        flips = [_axes(keys, key, entry) for entry in entries]
        flips = [one for one in flips if one] or "none"
    keys.taken(key, f"tta.flips={_text(flips)}", "all")
    return {} if flips == "none" else {"flips": flips}


def _axes(keys: ForeignKeys, key: str, entry: Any) -> str:
    """The axes of one mirrored copy as letters."""
    axes = entry if isinstance(entry, list) else [entry]
    if not all(type(axis) is int and 0 <= axis <= 2 for axis in axes):
        raise InvalidInput(
            f"The configuration's {keys.name(key)} has axes from 0 for z to 2 for x, or lists of them, got {entry!r}."
        )
    return "".join("zyx"[axis] for axis in sorted(set(axes)))


def _turns(keys: ForeignKeys) -> dict[str, Any]:
    key, of_number = f"{_WHERE}.rotation90_axes", f"{_WHERE}.rotate90_k"
    written = keys.get(key)
    if written is None or (isinstance(written, str) and written.lower() == "none"):
        keys.taken(key, "tta.turns=false")
        keys.left_out(of_number, "there are no quarter turns")
        return {}
    planes = [list(pair) for pair in combinations(range(3), 2)] if written == "all" else written
    if not isinstance(planes, list) or not all(isinstance(one, list) and len(one) == 2 for one in planes):
        raise InvalidInput(f"The configuration's {keys.name(key)} is all, none or pairs of axes, got {written!r}.")
    is_turned = any(sorted(plane) == _PLANE for plane in planes)
    became = f"tta.turns={_text(is_turned)}"
    if any(sorted(plane) != _PLANE for plane in planes):
        keys.changed(key, became, "images are turned in the plane of y and x alone")
    keys.taken(key, became)
    if not is_turned:
        return {}
    numbers = keys.get(of_number)
    if isinstance(numbers, list) and {n % 4 for n in numbers if isinstance(n, int)} != {0, 1, 2, 3}:
        keys.changed(of_number, "tta.turns=true", "all quarter turns are taken")
    keys.taken(of_number, "tta.turns=true")
    return {"turns": True}


def _combination(keys: ForeignKeys) -> dict[str, Any]:
    key = f"{_WHERE}.ensemble_mode"
    written = keys.get(key, "mean")
    if isinstance(written, list) and len(written) == 1 and isinstance(written[0], str):
        written = written[0]
    if isinstance(written, str):
        found = _one_mode(keys, key, written)
        keys.taken(key, f"tta.combine={written}")
        return found
    if not isinstance(written, list) or not all(isinstance(one, list) and len(one) == 2 for one in written):
        raise InvalidInput(
            f"The configuration's {keys.name(key)} is mean, min, max or pairs of channels and one of them, got "
            f"{written!r}."
        )
    for _, mode in written:
        _one_mode(keys, key, mode)
    if any("-" in str(channels) for channels, _ in written):
        keys.changed(key, "tta.combine=mean", "channels are counted from the first one alone")
        return {}
    exceptions = [{"channels": str(channels), "combine": mode} for channels, mode in written]
    listed = ", ".join(f"{channels}: {mode}" for channels, mode in written)
    keys.taken(key, f"tta.exceptions of {listed}")
    return {"exceptions": exceptions}


def _one_mode(keys: ForeignKeys, key: str, mode: Any) -> dict[str, Any]:
    if mode not in _MODES:
        raise InvalidInput(f"The configuration's {keys.name(key)} is mean, min or max, got {mode!r}.")
    return {} if mode == "mean" else {"combine": mode}


def _words(settings: dict[str, Any]) -> str:
    return " ".join(f"tta.{name}={_text(value)}" for name, value in settings.items())


def _text(value: Any) -> str:
    if isinstance(value, list):
        return f"[{','.join(value)}]"
    return str(value).lower() if isinstance(value, bool) else str(value)
