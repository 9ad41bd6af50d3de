"""The dialect of version 1.0 and before (YACS), brought into that of stages."""

from __future__ import annotations

from ast import literal_eval
from collections.abc import Sequence
from typing import Any

from napari_pytc.errors import InvalidInput
from napari_pytc.pytc.keys import CompanionKey, ForeignKeys, KeyOrigins, leaves
from napari_pytc.pytc.keys import put as put_key

_DEFAULTS: dict[str, Any] = {
    "MODEL.ARCHITECTURE": "unet_3d",
    "MODEL.BLOCK_TYPE": "residual",
    "MODEL.BACKBONE": "resnet",
    "MODEL.FILTERS": [28, 36, 48, 64, 80],
    "MODEL.BLOCKS": [2, 2, 2, 2],
    "MODEL.ISOTROPY": [False, False, False, True, True],
    "MODEL.PAD_MODE": "replicate",
    "MODEL.NORM_MODE": "bn",
    "MODEL.ACT_MODE": "elu",
    "MODEL.POOLING_LAYER": False,
    "MODEL.IN_PLANES": 1,
    "MODEL.OUT_PLANES": 1,
    "MODEL.INPUT_SIZE": [8, 256, 256],
    "MODEL.TARGET_OPT": ["0"],
    "MODEL.LOSS_OPTION": [["WeightedBCE"]],
    "MODEL.LOSS_WEIGHT": [[1.0]],
    "DATASET.MEAN": 0.5,
    "DATASET.STD": 0.5,
    "SOLVER.NAME": "SGD",
    "SOLVER.LR_SCHEDULER_NAME": "MultiStepLR",
    "SOLVER.ITERATION_TOTAL": 40000,
    "SOLVER.ITERATION_VAL": 5000,
    "SOLVER.ITERATION_SAVE": 5000,
    "SOLVER.BASE_LR": 0.001,
    "SOLVER.MOMENTUM": 0.9,
    "SOLVER.BETAS": [0.9, 0.999],
    "SOLVER.WEIGHT_DECAY": 0.0001,
    "SOLVER.GAMMA": 0.1,
    "SOLVER.STEPS": [30000, 35000],
    "SOLVER.WARMUP_ITERS": 1000,
    "SOLVER.SAMPLES_PER_BATCH": 2,
    "INFERENCE.OUTPUT_ACT": ["sigmoid"],
    "INFERENCE.BLENDING": "gaussian",
}
"""What version 1.0 assumes where a file is silent, as far as it matters here."""

_NAMES = {
    "MODEL.ARCHITECTURE": "model.arch.type",
    "MODEL.BLOCK_TYPE": "model.legacy.block",
    "MODEL.BACKBONE": "model.legacy.backbone",
    "MODEL.FILTERS": "model.legacy.filters",
    "MODEL.BLOCKS": "model.legacy.blocks",
    "MODEL.ISOTROPY": "model.legacy.isotropy",
    "MODEL.PAD_MODE": "model.legacy.padding",
    "MODEL.NORM_MODE": "model.legacy.norm",
    "MODEL.ACT_MODE": "model.legacy.activation",
    "MODEL.POOLING_LAYER": "model.legacy.pooling",
    "MODEL.IN_PLANES": "model.in_channels",
    "MODEL.OUT_PLANES": "model.out_channels",
    "MODEL.INPUT_SIZE": "data.dataloader.patch_size",
    "MODEL.LABEL_EROSION": "data.label_transform.erosion",
    "MODEL.LABEL_DILATION": "data.label_transform.dilation",
    "DATASET.DO_2D": "data.train.do_2d",
    "DATASET.MEAN": "data.image_transform.mean",
    "DATASET.STD": "data.image_transform.std",
    "DATASET.NORMALIZE_RANGE": "data.image_transform.normalize_range",
    "DATASET.IMAGE_NAME": "data.train.image",
    "DATASET.LABEL_NAME": "data.train.label",
    "SOLVER.NAME": "optimization.optimizer.name",
    "SOLVER.BASE_LR": "optimization.optimizer.lr",
    "SOLVER.MOMENTUM": "optimization.optimizer.momentum",
    "SOLVER.BETAS": "optimization.optimizer.betas",
    "SOLVER.WEIGHT_DECAY": "optimization.optimizer.weight_decay",
    "SOLVER.ITERATION_TOTAL": "optimization.max_steps",
    "SOLVER.ITERATION_VAL": "optimization.val_check_interval",
    "SOLVER.ITERATION_SAVE": "monitor.checkpoint.save_every_n_steps",
    "SOLVER.ITERATION_STEP": "optimization.accumulate_grad_batches",
    "SOLVER.SAMPLES_PER_BATCH": "data.dataloader.batch_size",
    "INFERENCE.INPUT_SIZE": "inference.window.window_size",
    "INFERENCE.BLENDING": "inference.window.blending",
    "INFERENCE.SAMPLES_PER_BATCH": "inference.window.sw_batch_size",
    "INFERENCE.IMAGE_NAME": "test.data.test.image",
}
_COMPANIONS = {
    "MODEL.LOSS_WEIGHT": "model.loss.losses",
    "SOLVER.GAMMA": "optimization.scheduler.params",
    "SOLVER.CLIP_GRADIENTS.ENABLED": "optimization.gradient_clip_val",
    "AUGMENTOR.ENABLED": "data.augmentation.flip.enabled",
}
"""Keys that say one thing together with another, in the dialect of stages."""
READ_AS_LISTS = ("MODEL.TARGET_OPT", "MODEL.LOSS_OPTION", "MODEL.LOSS_WEIGHT", "SOLVER.STEPS", "INFERENCE.OUTPUT_ACT")
"""Keys that are lists."""
_CHANGES = {
    "ROTATE": "rotate",
    "RESCALE": "affine",
    "FLIP": "flip",
    "ELASTIC": "elastic",
    "GRAYSCALE": "intensity",
    "MISSINGPARTS": "missing_parts",
    "MISSINGSECTION": "missing_section",
    "MISALIGNMENT": "misalignment",
    "MOTIONBLUR": "motion_blur",
    "CUTBLUR": "cut_blur",
    "CUTNOISE": "cut_noise",
    "COPYPASTE": "copy_paste",
}
_PROBABILITIES = {
    **{"ROTATE": 1.0, "RESCALE": 0.5, "FLIP": 1.0, "ELASTIC": 0.75, "GRAYSCALE": 0.75, "MISSINGPARTS": 0.9},
    **{"MISSINGSECTION": 0.5, "MISALIGNMENT": 0.5, "MOTIONBLUR": 0.5, "CUTBLUR": 0.5, "CUTNOISE": 0.75},
    "COPYPASTE": 0.8,
}
_LOSSES = {"WeightedBCE": "BCELoss", "WeightedMSE": "WeightedMSELoss", "WeightedMAE": "WeightedMAELoss"}
_SCHEDULES = {
    "MultiStepLR": "MultiStepLR",
    "WarmupMultiStepLR": "MultiStepLR",
    "WarmupCosineLR": "WarmupCosineLR",
    "ReduceLROnPlateau": "ReduceLROnPlateau",
}
_PLATEAU_STEPS = 1000
"""How many steps without a better loss version 1.0 waits before it lowers the rate."""


def from_yacs(values: dict[str, Any]) -> ForeignKeys:
    """The keys of today, with the names that they had.

    Raises
    ------
    InvalidInput
        If a section is no mapping, or a target is written as none is.
    """
    given: dict[str, Any] = {}
    for section, content in values.items():
        if not isinstance(content, dict):
            raise InvalidInput(f"The section {section} of the configuration is a mapping, got {content!r}.")
        given.update({f"{section}.{key}": _plain(value) for key, value in content.items()})
    every = {**_DEFAULTS, **given}
    for key in READ_AS_LISTS:
        if not isinstance(every[key], list):
            raise InvalidInput(f"The configuration's {key} is a list, got {every[key]!r}.")
    found: dict[str, Any] = {}
    names: dict[str, str] = {}
    companions: list[CompanionKey] = []
    implied: list[str] = []
    written = dict(leaves(given))

    def put(new: str, value: Any, old: str = "") -> None:
        """A key of today with the one that it is of; of none where another implies it."""
        put_key(found, new, value)
        if old:
            names[new] = old
        else:
            implied.append(new)

    for old, new in _NAMES.items():
        if every.get(old) is not None:
            put(new, every[old], old)
    is_2d = bool(given.get("DATASET.DO_2D"))
    targets = [target for option in every["MODEL.TARGET_OPT"] for target in [_target(str(option), is_2d)]]
    put("data.label_transform.targets", targets, "MODEL.TARGET_OPT")
    put("model.loss.losses", _losses(every, targets), "MODEL.LOSS_OPTION")
    put("inference.model.channel_activations", _activations(every, targets), "INFERENCE.OUTPUT_ACT")
    put("data.image_transform.normalize", "mean-std")
    put("optimization.val_check_interval_unit", "step")
    clip = given.get("SOLVER.CLIP_GRADIENTS") or {}
    is_clipped = isinstance(clip, dict) and bool(clip.get("ENABLED"))
    clip_value = clip.get("CLIP_VALUE", 1.0) if is_clipped else 0.0
    put("optimization.gradient_clip_val", clip_value, "SOLVER.CLIP_GRADIENTS.CLIP_VALUE")
    clip_by = clip.get("CLIP_TYPE", "value") if is_clipped else "value"
    put("optimization.clip_by", clip_by, "SOLVER.CLIP_GRADIENTS.CLIP_TYPE")
    half = bool(given.get("MODEL.MIXED_PRECESION"))
    put("optimization.precision", "16-mixed" if half else "32", "MODEL.MIXED_PRECESION")
    _put_schedule(put, every)
    _put_augmentation(put, given)
    present = dict(leaves(found))
    for old, new in _COMPANIONS.items():
        if old in written and new in present:
            companions.append(CompanionKey(old, written[old], new))
    # What nothing stands for keeps its own name.
    handled = {*names.values(), *(one.name for one in companions)}
    for old, value in written.items():
        if old not in handled:
            put(f"legacy.{old}", value, old)
    assumed = [new for new, old in names.items() if old not in written and old not in given]
    keys = ForeignKeys(found, KeyOrigins(names, companions, implied=implied, assumed=assumed, written=written))
    if every["SOLVER.LR_SCHEDULER_NAME"] == "ReduceLROnPlateau":
        keys.notes.append(
            f"ReduceLROnPlateau of version 1.0 waits for a better loss over {_PLATEAU_STEPS} steps of the training; "
            "here it waits for as many steps, but for a better score of a validation: schedule.patience counts scores."
        )
    return keys


def _put_schedule(put: Any, every: dict[str, Any]) -> None:
    """The schedule with the settings that version 1.0 gives it, and no others."""
    where, name = "optimization.scheduler", str(every["SOLVER.LR_SCHEDULER_NAME"])
    if name not in _SCHEDULES:
        raise InvalidInput(
            f"The configuration's SOLVER.LR_SCHEDULER_NAME is {name}, which there is not here.",
            f"Known are {', '.join(_SCHEDULES)}.",
        )
    put(f"{where}.name", _SCHEDULES[name], "SOLVER.LR_SCHEDULER_NAME")
    put(f"{where}.interval", "step")
    if name.startswith("Warmup"):
        put(f"{where}.warmup_steps", every["SOLVER.WARMUP_ITERS"], "SOLVER.WARMUP_ITERS")
    if name.endswith("MultiStepLR"):
        steps = {"milestones": list(every["SOLVER.STEPS"]), "gamma": every["SOLVER.GAMMA"]}
        put(f"{where}.params", steps, "SOLVER.STEPS")
    if name == "ReduceLROnPlateau":
        put(f"{where}.factor", every["SOLVER.GAMMA"], "SOLVER.GAMMA")
        between = every["SOLVER.ITERATION_VAL"]  # checked where validations are
        is_number = isinstance(between, int) and between > 0
        put(f"{where}.patience", max(1, round(_PLATEAU_STEPS / between)) if is_number else 1)
    put(f"{where}.min_lr", 1e-6 if name == "ReduceLROnPlateau" else 0.0)


def _put_augmentation(put: Any, given: dict[str, Any]) -> None:
    is_on = given.get("AUGMENTOR.ENABLED", True)
    for old, new in _CHANGES.items():
        own = given.get(f"AUGMENTOR.{old}") or {}
        own = own if isinstance(own, dict) else {"ENABLED": bool(own)}
        enabled = bool(is_on) and bool(own.get("ENABLED", old != "COPYPASTE"))
        put(f"data.augmentation.{new}.enabled", enabled, f"AUGMENTOR.{old}.ENABLED")
        probability = own.get("P", _PROBABILITIES[old])
        if new == "intensity":
            put("data.augmentation.intensity.contrast_prob", probability, "AUGMENTOR.GRAYSCALE.P")
            put("data.augmentation.intensity.gaussian_noise_prob", 0.0)
        else:
            put(f"data.augmentation.{new}.prob", probability, f"AUGMENTOR.{old}.P")


def _target(option: str, is_2d: bool) -> dict[str, Any]:
    """A target as it is named today, with the number of its channels."""
    kind, *rest = option.split("-")
    try:
        found = _targets(kind, rest, is_2d)
    except ValueError:
        found = None
    if found is None:
        raise InvalidInput(
            f"MODEL.TARGET_OPT has {option!r}, which is not known here.",
            "Known are 0 (foreground), 1 (polarity), 2 (affinities), 4 (boundary), 5 and 6 (distances), 7 (flow) and "
            "9-N (classes).",
        )
    name, kwargs, n_channels = found
    return {"name": name, "kwargs": kwargs, "n_channels": n_channels, "option": option}


def class_names(n: int) -> list[str]:
    """Names of classes that have none."""
    return ["background", *(f"class {number}" for number in range(1, n))]


def _targets(kind: str, rest: Sequence[str], is_2d: bool) -> tuple[str, dict[str, Any], int] | None:
    if kind == "0":
        labels = [int(number) for number in rest]
        # What is foreground is a number of labels each; of none it is all but the background.
        return None if 0 in labels else ("binary", {"segment_id": labels} if labels else {}, 1)
    if kind == "1" and not rest:
        return "polarity", {}, 3
    if kind == "1" and list(rest) == ["1"]:
        return "classes", {"names": ["background", "presynaptic", "postsynaptic"]}, 3
    if kind == "2":
        return _affinities(rest, is_2d)
    if kind == "4" and len(rest) == 2:
        edges = "seg-all" if rest[1] == "1" else "seg-no-bg"
        return "instance_boundary", {"thickness": int(rest[0]), "edge_mode": edges, "mode": "2d"}, 1
    if kind == "5":
        return _instance_distance(rest)
    if kind == "6" and len(rest) in (0, 3):
        mode, inside, outside = rest if len(rest) == 3 else ("2d", "8", "50")
        return "semantic_edt", {"mode": mode, "alpha_fore": float(inside), "alpha_back": float(outside)}, 1
    if kind == "7" and not rest:
        return "flow", {}, 2
    if kind == "9" and len(rest) == 1 and rest[0].isdecimal():
        n = int(rest[0])
        return "classes", {"names": class_names(n)}, n
    return None


def _instance_distance(rest: Sequence[str]) -> tuple[str, dict[str, Any], int] | None:
    """The distance of ``5-mode-padding-quantised-z_resolution-erosion``; what changes nothing there is not said."""
    if len(rest) > 5 or (rest and rest[0] not in ("2d", "3d")):
        return None
    mode, padding, quantised, z_size, erosion = (*rest, *("2d", "0", "0", "5.0", "0")[len(rest) :])
    found: dict[str, Any] = {"mode": mode, "quantize": bool(int(quantised))}
    if int(padding):
        found["padding"] = True
    if int(erosion):
        found["erosion"] = int(erosion)
    if mode == "3d":
        found["resolution"] = [float(z_size), 1.0, 1.0]
    return "instance_edt", found, 11 if found["quantize"] else 1


def _affinities(rest: Sequence[str], is_2d: bool) -> tuple[str, dict[str, Any], int] | None:
    if not rest and is_2d:
        return "affinity", {"offsets": ["0-1-0", "0-0-1"], "affinity_mode": "deepem"}, 2
    if not rest:
        return "affinity", {"offsets": ["1-0-0", "0-1-0", "0-0-1"], "affinity_mode": "deepem"}, 3
    if len(rest) == 4 and rest[3] == "pni":
        z, y, x = rest[:3]
        return "affinity", {"offsets": [f"0-0-{x}", f"0-{y}-0", f"{z}-0-0"], "affinity_mode": "deepem"}, 3
    return None


def _losses(every: dict[str, Any], targets: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The losses of each target, with its channels."""
    found, first = [], 0
    options, weights = every["MODEL.LOSS_OPTION"], every["MODEL.LOSS_WEIGHT"]
    for number, target in enumerate(targets):
        last = first + target["n_channels"]
        own = options[number] if number < len(options) else []
        factors = weights[number] if number < len(weights) else []
        for place, function in enumerate(own):
            found.append(
                {
                    "function": _LOSSES.get(function, function),
                    "weight": factors[place] if place < len(factors) else 1.0,
                    "pred_slice": f"{first}:{last}",
                    "target_slice": f"{first}:{last}",
                }
            )
        first = last
    return found


def _activations(every: dict[str, Any], targets: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    found, first = [], 0
    for target, name in zip(targets, every["INFERENCE.OUTPUT_ACT"], strict=False):
        last = first + target["n_channels"]
        found.append({"channels": f"{first}:{last}", "activation": name})
        first = last
    return found


def _plain(value: Any) -> Any:
    """YACS reads the text None as nothing, and text such as (30000, 35000) as a list."""
    if value == "None":
        return None
    if isinstance(value, str) and value[:1] in ("(", "["):
        try:
            found = literal_eval(value)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return value
        return list(found) if isinstance(found, tuple) else found
    return value
