"""Targets of PyTorch Connectomics, each as the channels of a target here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from napari_pytc.errors import InvalidInput
from napari_pytc.pytc.keys import Options, Outcome
from napari_pytc.pytc.yacs import class_names

_LEVELS = 10
"""Steps of a quantised distance, beside the background."""
_SAME_HERE: dict[str, Any] = {
    **{"erosion": 0, "relabel": False, "padding": False, "bg_value": -1, "smooth": False, "weight_param": 0},
    **{"semantic": False, "downsample": 1, "exclusive": False, "quantize": False, "mode": "gaussian", "segment_id": []},
}
"""Settings of targets that change nothing at these values."""
_WHY_UNUSED = {
    "erosion": "labels are taken as they are annotated",
    "relabel": "objects are what the annotations say",
    "padding": "what a patch does not decide is not learnt",
    "resolution": "distances are in voxels of the volume's own size",
    "smooth": "objects are taken as they are annotated",
    "smooth_skeleton_only": "objects are taken as they are annotated",
    "bg_value": "the background is -1",
    "w_base": "there is no second channel of weights",
    "segment_id": "every object counts: annotate those alone that should",
    "semantic": "objects that touch are told apart",
    "downsample": "descriptors are computed at every voxel",
    "mode": "the window is a Gaussian",
    "output_key": "the channels of all targets stand side by side",
}


@dataclass
class TargetEntry:
    """An entry of a target, with the number of its channels."""

    settings: dict[str, Any]
    n: int = 1
    why_changed: str = ""


def unused_setting(name: str, value: Any) -> tuple[Outcome, str, str]:
    """What becomes of a setting of a target that none of its channels has: the same anyway, or left out and why."""
    if name in _SAME_HERE and value == _SAME_HERE[name]:
        return "taken", "the same", ""
    return "left out", "", _WHY_UNUSED.get(name, "its target has no such setting here")


def _foreground(kwargs: Options, finest: float) -> list[TargetEntry]:
    return [TargetEntry({"role": "foreground"})]


def _eroded(kwargs: Options, finest: float) -> list[TargetEntry]:
    half = kwargs.get("tsz_h", 2)
    # A single number erodes each section on its own there.
    erosion = [int(n) for n in half] if isinstance(half, list) else [0, int(half), int(half)]
    return [TargetEntry({"role": "foreground", "erosion": erosion})]


def _affinity(kwargs: Options, finest: float) -> list[TargetEntry]:
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
        found.append(TargetEntry({"role": "foreground"} if is_foreground else settings))
    return found


def _boundary(kwargs: Options, finest: float) -> list[TargetEntry]:
    written = int(kwargs.get("thickness", 1))
    thickness = min(max(written, 1), 5)
    settings = {
        "role": "boundary",
        "thickness": thickness,
        "edge_mode": str(kwargs.get("edge_mode", "seg-all")),
        "per_section": _is_per_section(kwargs, "3d"),
    }
    changed = f"boundaries are 1 to 5 voxels thick here: {thickness} for {written}"
    return [TargetEntry(settings, why_changed="" if thickness == written else changed)]


def _instance_distance(kwargs: Options, finest: float) -> list[TargetEntry]:
    settings: dict[str, Any] = {"role": "instance_distance", "per_section": _is_per_section(kwargs, "2d")}
    if kwargs.get("quantize"):
        return [TargetEntry({**settings, "levels": _LEVELS}, _LEVELS + 1)]
    return [TargetEntry(settings)]


def _skeleton_distance(kwargs: Options, finest: float) -> list[TargetEntry]:
    if float(kwargs.get("weight_param", 0.0)) > 0:
        raise InvalidInput(
            "The configuration's skeleton_aware_edt has a second channel of weights (weight_param), which there is not "
            "here.",
            "Set weight_param to 0.",
        )
    return [TargetEntry({"role": "skeleton_distance", "power": float(kwargs.get("alpha", 0.8))})]


def _semantic_distance(kwargs: Options, finest: float) -> list[TargetEntry]:
    settings = {
        "role": "semantic_distance",
        "inside_nm": float(kwargs.get("alpha_fore", 8.0)) * _unit_nm(kwargs, finest),
        "outside_nm": float(kwargs.get("alpha_back", 50.0)) * _unit_nm(kwargs, finest),
        "per_section": _is_per_section(kwargs, "2d"),
    }
    return [TargetEntry(settings)]


def _signed_distance(kwargs: Options, finest: float) -> list[TargetEntry]:
    alpha_nm = float(kwargs.get("alpha", 8.0)) * _unit_nm(kwargs, finest)
    return [TargetEntry({"role": "signed_distance", "alpha_nm": alpha_nm})]


def _polarity(kwargs: Options, finest: float) -> list[TargetEntry]:
    if kwargs.get("exclusive"):
        raise InvalidInput(
            "The configuration learns synaptic polarity as classes that exclude one another; here its channels do not.",
            "Set exclusive to false and train anew.",
        )
    return [TargetEntry({"role": "polarity", "side": side}) for side in ("pre", "post", "any")]


def _flow(kwargs: Options, finest: float) -> list[TargetEntry]:
    return [TargetEntry({"role": "flow", "per_section": True}, 2)]


def _descriptors(kwargs: Options, finest: float) -> list[TargetEntry]:
    sigma = kwargs.get("sigma")
    if sigma is None:
        raise InvalidInput("The configuration's lsd says no sigma.", "Write the sigma that it was trained with.")
    unit_nm = 1.0 if kwargs.get("voxel_size") else finest
    largest = max(float(n) for n in (sigma if isinstance(sigma, list) else [sigma]))
    settings: dict[str, Any] = {"role": "lsd", "sigma_nm": largest * unit_nm}
    components = kwargs.get("components")
    if components:
        settings["components"] = [int(n) for n in str(components)]
    return [TargetEntry(settings, len(settings.get("components", range(10))))]


def _classes(kwargs: Options, finest: float) -> list[TargetEntry]:
    names = [str(name) for name in kwargs.get("names") or class_names(int(kwargs.get("n", 2)))]
    return [TargetEntry({"role": "classes", "names": names}, len(names))]


TARGET_KINDS: dict[str, Callable[[Options, float], list[TargetEntry]]] = {
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


def _unit_nm(kwargs: Options, finest: float) -> float:
    """Length of which distances are multiples there: 1 nm where a resolution is said, else a voxel."""
    return 1.0 if kwargs.get("resolution") else finest


def _is_per_section(kwargs: Options, default: str) -> bool:
    return str(kwargs.get("mode", default)).lower() == "2d"
