"""The decoders of PyTorch Connectomics: what stands here for each, with its settings."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from napari_pytc.errors import InvalidInput
from napari_pytc.pytc.keys import ForeignKeys
from napari_pytc.volumes.roles import ChannelRole, PolarityRole

VoxelSize = tuple[float, float, float]

STEPS = "decoding.steps"
_ASSUMED_NM: VoxelSize = (10.0, 10.0, 10.0)
"""The size of voxels for which sizes are reckoned where it is not known, as decoders do."""
_BY_ROLES = "channels are found by what they mean"
_BYTES = "predictions are stored in bytes, and scores are counted in 256 steps"
_PROOFREADING = "merge, split and the review queue of the Proofread panel are nearest"
_NEAREST = {
    "seg_2d": "agglomeration or multicut with sections=each flood each section on its own and join them afterwards",
    "branch_link": _PROOFREADING,
    "branch_split": _PROOFREADING,
    "branch_merge": _PROOFREADING,
    "branch_extend": _PROOFREADING,
    "longrange_guided_split": "the mutex watershed, which lets far affinities forbid merges, is nearest",
    "segmentation_grow": "agglomeration and the watershed give boundary voxels to the objects (fill) themselves",
    "segmentation_merge": _PROOFREADING,
    "shape_smooth": "no object is smoothed; smallest sizes and boundary_threshold are nearest",
    "combine_split": "two segmentations are not combined; segment --mask-class restricts one by another prediction",
    "select_channels": _BY_ROLES,
    "channel_gate": "segment --mask-class, which keeps objects within a class, is nearest",
    "nucleus_anchor": _PROOFREADING,
}
"""What is nearest to steps that have no counterpart."""


class DecodingStep:
    """One step with its settings; those that are never asked for are left out.

    Parameters
    ----------
    voxel_size_nm : tuple of float, optional
        z, y, x; sizes there are in voxels.
    roles : sequence of ChannelRole
        The channels of predictions.
    """

    def __init__(
        self,
        name: str,
        values: Mapping[str, Any],
        keys: ForeignKeys,
        place: str,
        voxel_size_nm: VoxelSize | None,
        roles: Sequence[ChannelRole],
    ) -> None:
        self.name, self.values, self.roles = name, dict(values), roles
        self._keys, self._place = keys, place
        self._size = voxel_size_nm or _ASSUMED_NM
        self.decoder: dict[str, Any] = {}

    def number(self, key: str, default: float) -> float:
        """A number; of several the last, as decode_waterz gives the last threshold's objects."""
        value = self._get(key, default)
        value = value[-1] if isinstance(value, list) and value else value
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise InvalidInput(f"The configuration's {key} of {self.name} is a number, got {value!r}.")
        return float(value)

    def pair(self, key: str, default: tuple[float, float]) -> tuple[float, float] | None:
        """Two numbers, for seeds and for objects; None where it is null."""
        if key in self.values and self.values[key] is None:
            return None
        value = self._get(key, list(default))
        if not isinstance(value, list) or len(value) != 2 or any(type(one) not in (int, float) for one in value):
            raise InvalidInput(f"The configuration's {key} of {self.name} is two numbers, got {value!r}.")
        return float(value[0]), float(value[1])

    def set(self, key: str, default: Any, /, **settings: Any) -> None:
        """Take settings of the decoder that a key stands for; `default` is what there is without the key."""
        self.decoder |= settings
        self._note(key, default, "taken", _words(settings))

    def change(self, key: str, default: Any, why: str, /, **settings: Any) -> None:
        """Take settings that stand for a key in another way."""
        self.decoder |= settings
        self._note(key, default, "changed", _words(settings), why)

    def leave_out(self, why: str, *keys: str) -> None:
        """Say why keys have no counterpart, where they are there."""
        for key in keys:
            if key in self.values:
                self._note(key, None, "left out", "", why)

    def sizes(self, n_voxels: float) -> dict[str, float]:
        """The smallest object of so many voxels, as a volume and as an area of sections."""
        z, y, x = self._size
        counted = max(0.0, n_voxels - 0.5)  # halfway to the next lower number: no rounding drops one of just this size
        return {
            "smallest_um3": float(f"{counted * z * y * x * 1e-9:.6g}"),
            "smallest_um2": float(f"{counted * y * x * 1e-6:.6g}"),
        }

    def finish(self) -> None:
        """Leave out all keys that were not asked for."""
        for key in self.values:
            self._note(key, None, "left out", "", "there is no counterpart")

    def _get(self, key: str, default: Any) -> Any:
        found = self.values.get(key)
        return default if found is None else found

    def _note(self, key: str, default: Any, outcome: Any, became: str, why: str = "") -> None:
        if key in self.values:
            self._keys.note_part(STEPS, f"{self._place}.{key}", self.values[key], outcome, became, why)
        elif default is not None:
            self._keys.note_part(STEPS, f"{self._place}.{key}", f"{default} (by default)", outcome, became, why)


def decoder_settings(
    keys: ForeignKeys, voxel_size_nm: VoxelSize | None, roles: Sequence[ChannelRole]
) -> dict[str, Any]:
    """The decoder that stands for the steps of a configuration, with its settings; empty where none does.

    The first step that makes objects of a prediction counts; each step, and each of its settings, is noted as taken,
    changed or left out.

    Raises
    ------
    InvalidInput
        If a step's setting is of the wrong kind.
    """
    steps = keys.get(STEPS) or []
    if not isinstance(steps, list):
        raise InvalidInput(f"The configuration's {keys.name(STEPS)} is a list of steps, got {steps!r}.")
    decoder: dict[str, Any] = {}
    for number, content in enumerate(steps):
        if not isinstance(content, dict):
            raise InvalidInput(f"A step of {keys.name(STEPS)} is a name and kwargs, got {content!r}.")
        name, values = str(content.get("name")), content.get("kwargs") or {}
        if not isinstance(values, dict):
            raise InvalidInput(f"The kwargs of the step {name} are settings with their values, got {values!r}.")
        place = f"{keys.name(STEPS)}[{number}]"
        if content.get("enabled") is False:
            keys.note_part(STEPS, f"{place}.name", name, "left out", "", "it is switched off")
            continue
        if name not in _DECODERS or decoder:
            why = "one decoder makes the objects" if name in _DECODERS else _NEAREST.get(name, "there is no such step")
            keys.note_part(STEPS, f"{place}.name", name, "left out", "", why)
            continue
        step = DecodingStep(name, values, keys, place, voxel_size_nm, roles)
        _DECODERS[name](step)
        step.finish()
        decoder = step.decoder
    if decoder:
        keys.taken(STEPS, f"decoder.kind={decoder['kind']}")
    return decoder


def _kind(step: DecodingStep, kind: str, why: str = "") -> None:
    step.decoder["kind"] = kind
    step.values.setdefault("name", step.name)
    if why:
        step.change("name", step.name, why, kind=kind)
    else:
        step.set("name", step.name, kind=kind)


def _affinity_components(step: DecodingStep) -> None:
    _kind(step, "affinity_components")
    step.set("threshold", 0.5, threshold=step.number("threshold", 0.5))
    backend = step.values.get("backend", "cc3d")
    if backend == "cc3d":
        step.change("backend", "cc3d", "voxels join over affinities above the threshold; cc3d joins all that touch")
    else:
        step.set("backend", "cc3d")
    step.leave_out(_BY_ROLES, "edge_offset", "affinity_channels")
    step.leave_out("voxels that nothing joins are background", "orphan_fill")
    step.decoder |= step.sizes(0)


def _bcd_watershed(step: DecodingStep) -> None:
    _kind(step, "bcd_watershed")
    asked = _asked(step)
    for key, name, default, nothing in (
        ("binary_threshold", "foreground", (0.9, 0.85), (0.0, 0.0)),
        ("contour_threshold", "contour", (0.8, 1.1), (1.1, 1.1)),
        ("distance_threshold", "distance", (0.5, 0.0), (-1.0, -1.0)),
    ):
        found = step.pair(key, default)
        seeds, objects = nothing if found is None or not asked[name] else found
        low, high = (-1.0, 1.0) if name == "distance" else (0.0, 1.1 if name == "contour" else 1.0)
        seeds, objects = min(max(seeds, low), high), min(max(objects, low), high)
        if step.values.get("mode") == "cc":  # the components of the objects' voxels: all of them are seeds
            seeds = objects
        settings = {f"seed_{name}": seeds, name: objects}
        if name == "distance" and not asked[name] and step.values.get("mode") != "cc":
            step.change(key, list(default), "seeds are not restricted to the measured depth", **settings)
        else:
            step.set(key, list(default), **settings)
    if not asked["distance"]:
        step.decoder["flooding"] = "measured"
    if step.values.get("mode") == "cc":
        step.set("mode", "watershed", smallest_seed=0)
    else:
        step.set("mode", "watershed", flooding=step.decoder.get("flooding", "predicted"))
        step.set("min_seed_size", 32, smallest_seed=int(step.number("min_seed_size", 32)))
    _smallest(step, 0)


def _asked(step: DecodingStep) -> dict[str, bool]:
    """Which of foreground, contour and distance a step looks at; lists of several channels are told."""
    asked = {}
    for key, name in (("binary", "foreground"), ("contour", "contour"), ("distance", "distance")):
        channels = f"{key}_channels"
        asked[name] = step.values.get(channels, ()) is not None and step.values.get(f"{key}_threshold", ()) is not None
        if step.values.get(channels) is not None:
            step.change(channels, None, f"the channel is found by what it means: {name}")
    return asked


def _distance_watershed(step: DecodingStep) -> None:
    _kind(step, "bcd_watershed")
    found = step.pair("distance_threshold", (0.5, 0.0)) or (0.5, 0.0)
    seeds, objects = (min(max(one, -1.0), 1.0) for one in found)
    step.decoder |= {"flooding": "measured", "seed_foreground": 0.0, "foreground": 0.0}
    step.decoder |= {"seed_contour": 1.1, "contour": 1.1}
    step.set("distance_threshold", [0.5, 0], seed_distance=seeds, distance=objects)
    step.set("min_seed_size", 50, smallest_seed=int(step.number("min_seed_size", 50)))
    _smallest(step, 0)
    step.leave_out("the channel is found by what it means: distance", "distance_channels")
    step.leave_out("distances are measured in nm, in every voxel", "edt_anisotropy", "edt_downsample_factor")
    step.leave_out("it changes no result", "use_fast_edt", "edt_parallel")


def _waterz(step: DecodingStep) -> None:
    _kind(step, "agglomeration")
    threshold = step.number("thresholds", 0.3)
    why = "a score is the probability of one object, and not one minus it"
    step.change("thresholds", 0.3, why, threshold=round(min(max(1 - threshold, 0.0), 1.0), 6))
    score, told = merge_function(str(step.values.get("merge_function", "aff50_his256")))
    if told:
        step.change("merge_function", "aff50_his256", told, **score)
    else:
        step.set("merge_function", "aff50_his256", **score)
    _dust(step)
    step.leave_out(_BY_ROLES, "channel_order", "edge_offset")
    step.leave_out(_BYTES, "use_aff_uint8", "use_seg_uint32")
    step.leave_out(
        "supervoxels are those of a watershed of the boundaries: seed_distance_um, boundary_threshold",
        "aff_threshold", "compute_fragments", "seed_method", "fragments", "boundary_threshold",
    )  # fmt: skip


def merge_function(name: str) -> tuple[dict[str, Any], str]:
    """The score of a contact that a merge function of waterz is, and why it is another one; empty where it is not.

    Parameters
    ----------
    name : str
        As aff85_his256, affmean, max10, or the C++ type.
    """
    found = re.fullmatch(r"aff(\d+)_his\d+", name) or re.search(r"QuantileAffinity<[^,]*,\s*(\d+)", name)
    if found:
        return {"score": "quantile_of_maxima", "quantile": min(int(found[1]), 100) / 100}, ""
    if name == "affmean" or "MeanAffinity<" in name:
        return {"score": "mean"}, ""
    if "MaxAffinity<" in name:
        return {"score": "quantile_of_maxima", "quantile": 1.0}, ""
    return {"score": "mean"}, f"there is no score {name}: mean, and quantiles as aff85_his256, there are"


def _dust(step: DecodingStep) -> None:
    """The rule for small segments: they join the best neighbour, and are dropped where there is none."""
    least, merged = step.number("min_instance_size", 0), step.number("dust_merge_size", 0)
    if not step.values.get("dust_merge", True) or merged <= 0:
        step.leave_out("nothing is merged for its size there", "dust_merge", "dust_merge_size", "dust_merge_affinity")
        step.leave_out("nothing is merged for its size there", "dust_remove_size")
        if least > 0:
            why = "no contact is sure enough for what is too small to join by"
            step.change("min_instance_size", 0, why, join_from=1.0, drop_below=1.0, **step.sizes(least))
        else:
            step.set("min_instance_size", 0, **step.sizes(0))
        return
    dropped = max(step.number("dust_remove_size", 0), least)
    step.set("dust_merge", True)
    step.set("dust_merge_size", 0, **step.sizes(merged))
    joins = step.number("dust_merge_affinity", 0.0)
    step.set("dust_merge_affinity", 0.0, join_from=min(max(joins, 0.0), 1.0))
    step.set("dust_remove_size", 0, drop_below=round(min(dropped / merged, 1.0), 4))
    if dropped > merged:
        step.change("min_instance_size", 0, "what is larger than dust_merge_size stays")
    else:
        step.set("min_instance_size", 0)


def _naive_waterz(step: DecodingStep) -> None:
    step.values |= {
        "thresholds": 0.4, "merge_function": "aff85_his256", "dust_merge_size": 1500, "dust_merge_affinity": 0.1,
        "dust_remove_size": 600,
    }  # fmt: skip
    _waterz(step)


def _abiss(step: DecodingStep) -> None:
    why = "ABISS is a program of its own: agglomeration by the mean is nearest, and its threshold is another one"
    _kind(step, "agglomeration", why)


def _mutex(step: DecodingStep) -> None:
    _kind(step, "mutex_watershed")
    strides = step.values.get("strides")
    if strides is not None:
        numbers = strides if isinstance(strides, list) and all(type(one) is int for one in strides) else [1]
        every = max(1, numbers[-1])
        if numbers == [1, every, every]:
            step.set("strides", None, repulsion_step=every)
        else:
            step.change("strides", None, "every so many-th voxel along y and x repels", repulsion_step=every)
    _smallest(step, 0)
    step.leave_out(_BY_ROLES, "offsets", "num_attractive", "invert_repulsive", "invert_attractive")
    step.leave_out("voxels repel on a fixed grid", "randomize_strides")
    step.leave_out("segment --mask-class restricts objects", "mask")


def _polarity(step: DecodingStep) -> None:
    sides = {role.side: role.title for role in step.roles if isinstance(role, PolarityRole)}
    name = sides.get("any") or next(iter(sides.values()), "synapse")
    why = "the pairs of both sides are not made: objects of either, or of one side with object_class, are nearest"
    _kind(step, "components", why)
    step.decoder["object_class"] = name
    step.set("thres", 0.5, threshold=step.number("thres", 0.5))
    step.set("thres_small", 128, **step.sizes(step.number("thres_small", 128)))
    step.leave_out("objects have the voxels of the prediction", "scale_factors", "dilate_sz")
    step.leave_out("export --what classes has classes", "semantic")
    step.leave_out(_BY_ROLES, "exclusive")


def _smallest(step: DecodingStep, default: int) -> None:
    step.set("min_instance_size", default, **step.sizes(step.number("min_instance_size", default)))


def _words(settings: Mapping[str, Any]) -> str:
    """Settings as they are named in a recipe."""
    return ", ".join(f"decoder.{name}={value:g}" if isinstance(value, float) else f"decoder.{name}={value}"
                     for name, value in settings.items())  # fmt: skip


_DECODERS: dict[str, Callable[[DecodingStep], None]] = {
    "decode_affinity_cc": _affinity_components,
    "decode_instance_binary_contour_distance": _bcd_watershed,
    "decode_binary_contour_distance_watershed": _bcd_watershed,
    "decode_distance_watershed": _distance_watershed,
    "decode_waterz": _waterz,
    "naive_waterz": _naive_waterz,
    "decode_abiss": _abiss,
    "decode_mutex_watershed": _mutex,
    "polarity2instance": _polarity,
}
NAMES = (*_DECODERS, *_NEAREST)
"""Names of all steps that are known."""
