"""How PyTorch Connectomics trains, as settings of a plan."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from napari_pytc.errors import InvalidInput
from napari_pytc.pytc.keys import ForeignKeys, Options

ASSUMED_STEPS_AN_EPOCH = 1000
"""Where a configuration leaves it to the size of the data."""
_LONGEST_WITHOUT_CHECKPOINT = 1000


class _Defaults(NamedTuple):
    """What a dialect assumes where a file is silent, as far as the dialects differ."""

    max_epochs: int
    precision: str
    plateau_factor: float


_DEFAULTS = _Defaults(200, "16-mixed", 0.1)
_FLAT_DEFAULTS = _Defaults(100, "32", 0.5)
"""From October 2025 to March 2026."""
_SCHEDULES = {
    "cosineannealinglr": "cosine",
    "cosineannealingwarmrestarts": "restarts",
    "cosinewarmrestarts": "restarts",
    "warmupcosinelr": "warmed cosine",
    "warmupcosine": "warmed cosine",
    "steplr": "step",
    "multisteplr": "multi_step",
    "reducelronplateau": "plateau",
    "constantlr": "constant",
    "constant": "constant",
}
"""By the names that PyTorch Connectomics has for them, in small letters; every other name is a cosine there."""


def optimisation_settings(keys: ForeignKeys, is_flat: bool = False) -> dict[str, Any]:
    """Steps, optimiser, schedule, gradients, averaging, validation and numbers.

    Parameters
    ----------
    is_flat : bool
        Whether the configuration is of the flat dialect, which left lengths to Lightning.
    """
    defaults = _FLAT_DEFAULTS if is_flat else _DEFAULTS
    epoch, steps = _lengths(keys, is_flat, defaults)
    rate = _above_0(keys, "optimization.optimizer.lr", keys.number("optimization.optimizer.lr", 1e-3))
    found = {
        "steps": steps,
        "learning_rate": rate,
        "weight_decay": keys.number("optimization.optimizer.weight_decay", 0.01),
        "optimiser": _optimiser(keys),
        "schedule": _schedule(keys, steps, epoch, rate, defaults),
        **_gradients(keys),
        **_averaging(keys),
        **_watching(keys, epoch, steps, is_flat),
        **_numbers(keys, defaults),
    }
    keys.taken("optimization.optimizer.lr", f"learning_rate={rate:g}", 1e-3)
    keys.taken("optimization.optimizer.weight_decay", f"weight_decay={found['weight_decay']:g}", 0.01)
    keys.left_out("optimization.profile", "no profile has that name")
    return found


def _note_reading(keys: ForeignKeys, key: str, text: str) -> None:
    """Tell how a key is read whose meaning changed while files of the flat dialect were written."""
    name = keys.name(key)
    if not name.startswith("training."):  # that section is of October 2025, before the change
        keys.notes.append(
            f"The configuration does not say its version: {name} {text}. Change that setting if it is newer."
        )


def _above_0(keys: ForeignKeys, key: str, value: float) -> float:
    if not 0 < value < math.inf:
        raise InvalidInput(f"The configuration's {keys.name(key)} is a number above 0, got {value!r}.")
    return value


def _lengths(keys: ForeignKeys, is_flat: bool, defaults: _Defaults) -> tuple[int, int]:
    """Steps an epoch, and all steps."""
    written = int(keys.number("optimization.n_steps_per_epoch", -1))
    epoch = written if written > 0 else ASSUMED_STEPS_AN_EPOCH
    most = int(keys.number("optimization.max_steps", 0))
    n_epochs = int(keys.number("optimization.max_epochs", defaults.max_epochs))
    steps = most if most > 0 else max(1, n_epochs) * epoch
    if is_flat and most > 0 and n_epochs > 0 and keys.has("optimization.max_epochs"):
        if written > 0 and n_epochs * epoch < most:
            steps = n_epochs * epoch
            keys.changed("optimization.max_steps", f"steps={steps}", "max_epochs ends the training before")
            keys.taken("optimization.max_epochs", f"steps={steps}")
            keys.taken("optimization.n_steps_per_epoch", f"steps={steps}")
        elif written <= 0:
            why = "max_steps is taken; whether epochs end the training before follows the data there"
            keys.left_out("optimization.max_epochs", why)
        _note_reading(
            keys,
            "optimization.max_steps",
            f"and {keys.name('optimization.max_epochs')} were both limits until January 2026, and it alone since then; "
            f"it is read as before: steps={steps}",
        )
    keys.taken("optimization.max_steps", f"steps={steps}")
    why = "" if written > 0 else f"{ASSUMED_STEPS_AN_EPOCH} steps an epoch are assumed, which there follow the data"
    if most > 0:
        keys.left_out("optimization.max_epochs", "max_steps ends the training")
        keys.left_out("optimization.n_steps_per_epoch", "max_steps ends the training")
    elif why:
        keys.changed("optimization.max_epochs", f"steps={steps}", why, defaults.max_epochs)
    else:
        keys.taken("optimization.max_epochs", f"steps={steps}", defaults.max_epochs)
        keys.taken("optimization.n_steps_per_epoch", f"steps={steps}")
    return epoch, steps


def _optimiser(keys: ForeignKeys) -> dict[str, Any]:
    name = str(keys.get("optimization.optimizer.name", "AdamW"))
    kind = name.lower()
    if kind not in ("adamw", "adam", "sgd"):
        raise InvalidInput(
            f"The configuration's {keys.name('optimization.optimizer.name')} is {name}, which there is not here.",
            "There are AdamW, Adam and SGD.",
        )
    found: dict[str, Any] = {"kind": kind, "decays_norms": False}
    keys.taken("optimization.optimizer.name", f"optimiser.kind={kind}, optimiser.decays_norms=false", "AdamW")
    if kind == "sgd":
        found |= {"momentum": keys.number("optimization.optimizer.momentum", 0.9), "nesterov": False}
        keys.taken("optimization.optimizer.momentum", f"optimiser.momentum={found['momentum']:g}")
        keys.left_out("optimization.optimizer.betas", "SGD has none")
    else:
        betas = keys.numbers("optimization.optimizer.betas") or [0.9, 0.999]
        found["betas"] = betas
        keys.taken("optimization.optimizer.betas", f"optimiser.betas={betas}")
        keys.left_out("optimization.optimizer.momentum", f"{name} has none")
    if keys.number("optimization.optimizer.eps", 1e-8) == 1e-8:
        keys.taken("optimization.optimizer.eps", "the same")
    else:
        keys.changed("optimization.optimizer.eps", "1e-8", "it is no setting here")
    return found


def _schedule(keys: ForeignKeys, steps: int, epoch: int, rate: float, defaults: _Defaults) -> dict[str, Any]:
    """The schedule; its lengths as shares of the training, so that other lengths of it keep its shape."""
    where = "optimization.scheduler"
    name = str(keys.get(f"{where}.name", "CosineAnnealingLR"))
    written = keys.get(f"{where}.params", {})
    params = Options(written if isinstance(written, dict) else {})
    used: set[str] = set()

    def value(key: str, default: Any) -> Any:
        used.add(key)
        return params.get(key, keys.get(f"{where}.{key}", default))

    kind = _SCHEDULES.get(name.lower(), "cosine")
    each = 1 if value("interval", "epoch") == "step" else epoch
    found = _shape_of_schedule(keys, kind, value, steps, each, rate, defaults)
    warm = keys.get(f"{where}.warmup_steps")
    used.add("warmup_steps")
    if warm is None and kind == "warmed cosine":
        warm = float(value("warmup_epochs", 10)) * each
    if warm:
        found["warm_up"] = _share(float(warm) / steps)
    note = f"schedule.kind={found['kind']}"
    length = {"cosine": "t_max", "warmed cosine": "max_iter"}.get(kind, "")
    if length and float(value(length, steps / each) or steps / each) * each != steps:
        keys.changed(f"{where}.params", note, f"the cosine ends with the training, not after {length}")
    if kind == "plateau":
        keys.changed(f"{where}.patience", f"schedule.patience={found['patience']}", "counted in scores")
    if name.lower() not in _SCHEDULES:
        keys.changed(f"{where}.name", note, f"{name} is a name that stands for CosineAnnealingLR there, as all unknown")
    keys.taken(f"{where}.name", note, "CosineAnnealingLR")
    for key in ("params", *used):
        keys.taken(f"{where}.{key}", note)
    why = f"the schedule of {name} has no such setting here"
    for key, unused in params.unused().items():
        keys.note_part(f"{where}.params", f"{keys.name(f'{where}.params')}.{key}", unused, "left out", "", why)
    keys.left_out(f"{where}.profile", "no profile has that name")
    keys.left_out(where, why)
    return found


def _shape_of_schedule(
    keys: ForeignKeys,
    kind: str,
    value: Callable[[str, Any], Any],
    steps: int,
    each: int,
    rate: float,
    defaults: _Defaults,
) -> dict[str, Any]:
    """The schedule without its warm-up.

    Parameters
    ----------
    kind : str
        One of `_SCHEDULES`.
    value : callable
        The value of a setting of the schedule, or a default.
    each : int
        Steps of the training in one step of the schedule.
    """
    where = "optimization.scheduler"
    if kind == "constant":
        return {"kind": "constant", "warm_up": 0.0}
    if kind in ("step", "multi_step"):
        return _steps_down(kind, value, steps, each)
    found: dict[str, Any] = {"warm_up": 0.0, "floor": min(1.0, float(value("min_lr", 1e-5) or 0.0) / rate)}
    if kind == "restarts":
        first = _above_0(keys, f"{where}.params", float(value("T_0", value("t_0", 200)))) * each
        return {**found, "kind": "cosine", "restarts": min(100, max(0, round(steps / first) - 1))}
    if kind == "plateau":
        lengths = {
            "factor_each": float(value("factor", defaults.plateau_factor)),
            "patience": int(value("patience", 10)),
        }
        return {**found, "kind": "plateau", **lengths}
    return {**found, "kind": "cosine"}


def _steps_down(kind: str, value: Callable[[str, Any], Any], steps: int, each: int) -> dict[str, Any]:
    """A schedule that lowers the learning rate from time to time; a constant one where it never does."""
    constant = {"kind": "constant", "warm_up": 0.0}
    gamma = float(value("gamma", 0.1))
    if gamma >= 1:
        return constant
    lower = {"warm_up": 0.0, "factor_each": gamma, "floor": 0.0}
    if kind == "step":
        every = min(1.0, float(value("step_size", 30)) * each / steps)
        return {**lower, "kind": "step", "every": _share(every)}
    shares = [_share(float(n) * each / steps) for n in value("milestones", [30, 60, 90])]
    inside = sorted({share for share in shares if share < 1})
    return {**lower, "kind": "multi_step", "milestones": inside} if inside else constant


def _share(share: float) -> float:
    """A share of the training that is below 1, from which on it would count steps."""
    return min(0.999, max(1e-6, round(share, 6)))


def _gradients(keys: ForeignKeys) -> dict[str, Any]:
    clip = keys.number("optimization.gradient_clip_val", 1.0)
    by = str(keys.get("optimization.clip_by", "norm"))
    each = int(keys.number("optimization.accumulate_grad_batches", 1))
    keys.taken("optimization.gradient_clip_val", f"gradients.clip={clip or 'null'}", 1.0)
    keys.taken("optimization.clip_by", f"gradients.clip_by={by}")
    keys.taken("optimization.accumulate_grad_batches", f"gradients.accumulate={each}")
    return {"gradients": {"clip": clip or None, "clip_by": by, "accumulate": each}}


def _averaging(keys: ForeignKeys) -> dict[str, Any]:
    is_on = keys.flag("optimization.ema.enabled")
    decay = keys.number("optimization.ema.decay", 0.999) if is_on else 0.0
    keys.taken("optimization.ema.enabled", f"ema_decay={decay:g}", False)
    keys.taken("optimization.ema.decay", f"ema_decay={decay:g}")
    keys.left_out("optimization.ema", "the average warms up by itself")
    return {"ema_decay": decay}


def _watching(keys: ForeignKeys, epoch: int, steps: int, is_flat: bool) -> dict[str, Any]:
    interval = keys.get("optimization.val_check_interval", 1.0)
    unit = str(keys.get("optimization.val_check_interval_unit", "epoch"))
    if isinstance(interval, bool) or not isinstance(interval, int | float) or interval <= 0:
        raise InvalidInput(
            f"The configuration's {keys.name('optimization.val_check_interval')} is a number above 0, got {interval!r}."
        )
    # In the flat dialect Lightning takes whole numbers for batches and others for shares of an epoch.
    is_of_batches = is_flat and isinstance(interval, int)
    every = min(max(1, round(interval * (1 if unit == "step" or is_of_batches else epoch))), steps)
    if is_of_batches:
        key = "optimization.val_check_interval"
        keys.changed(key, f"validate_every={every}", "a whole number counts batches, as there until February 2026")
        _note_reading(
            keys,
            key,
            f"counted batches until February 2026, and epochs since then; it is read as before: validate_every={every}",
        )
    keys.taken("optimization.val_check_interval", f"validate_every={every}", 1.0)
    keys.taken("optimization.val_check_interval_unit", f"validate_every={every}")
    saved = int(keys.number("monitor.checkpoint.save_every_n_steps", 0))
    saved = saved or int(keys.number("monitor.checkpoint.save_every_n_epochs", 1)) * epoch
    kept = max(1, min(saved, _LONGEST_WITHOUT_CHECKPOINT, steps))
    for key in ("save_every_n_steps", "save_every_n_epochs", "every_n_epochs"):
        keys.changed(f"monitor.checkpoint.{key}", f"checkpoint_every={kept}", "at most 1000 steps are ever lost")
    best = max(0, int(keys.number("monitor.checkpoint.save_top_k", 0)))
    monitor = str(keys.get("monitor.checkpoint.monitor", "val_loss"))
    score = "loss" if monitor.startswith("train") else "mean"
    keys.taken("monitor.checkpoint.save_top_k", f"watching.keep_best={best}")
    why = "here the mean Dice of held-out boxes stands for a validation loss"
    if score == "mean":
        keys.changed("monitor.checkpoint.monitor", "watching.score=mean", why)
    keys.taken("monitor.checkpoint.monitor", f"watching.score={score}")
    keys.left_out("monitor.checkpoint.mode", "each score knows whether more is better")
    return {
        "validate_every": every,
        "checkpoint_every": kept,
        "patience": _patience(keys),
        "watching": {"score": score, "keep_best": min(50, best)},
    }


def _patience(keys: ForeignKeys) -> int:
    if not keys.flag("monitor.early_stopping.enabled"):
        keys.taken("monitor.early_stopping.enabled", "patience=0", False)
        keys.left_out("monitor.early_stopping", "it is not enabled")
        return 0
    found = int(keys.number("monitor.early_stopping.patience", 100))
    keys.taken("monitor.early_stopping.enabled", f"patience={found}")
    keys.taken("monitor.early_stopping.patience", f"patience={found}")
    keys.left_out("monitor.early_stopping", "scores here are Dice from 0 to 1, not losses")
    return found


def _numbers(keys: ForeignKeys, defaults: _Defaults) -> dict[str, Any]:
    found: dict[str, Any] = {}
    precision = str(keys.get("optimization.precision", defaults.precision))
    if precision in ("32", "32-true"):
        found["precision"] = "float32"
        keys.taken("optimization.precision", "precision=float32", defaults.precision)
    else:
        found["precision"] = "auto"
        keys.changed(
            "optimization.precision", "precision=auto", "what the machine does best is measured", defaults.precision
        )
    seed = keys.get("system.seed")
    if seed is not None:
        found["seed"] = int(keys.number("system.seed", 0))
        keys.taken("system.seed", f"seed={found['seed']}")
    if keys.get("optimization.deterministic"):
        found["execution"] = {"deterministic": True}
    keys.taken("optimization.deterministic", "execution.deterministic")
    return found


_SECTION_FAULTS = {
    "misaligned_section": ("slice_shift", "slice_shift_z", "misalignment"),
    "missing_section": ("slice_drop", "slice_drop_z", "missing_section"),
    "blur": ("motion_blur",),
    "cut_out": ("missing_parts",),
    "cut_blur": ("cut_blur",),
    "cut_noise": ("cut_noise",),
    "stripes": ("stripe",),
    "mixup": ("mixup",),
    "copy_paste": ("copy_paste",),
    "affine": ("affine",),
    "elastic": ("elastic",),
}
_KNOWN_CHANGES = frozenset(
    {name for names in _SECTION_FAULTS.values() for name in names}
    | {"flip", "rotate", "rotate90_all", "axis_permute", "intensity", "enabled", "defect_mutex"}
)
_EXCLUSIVE = ("misaligned_section", "missing_section", "blur")
_DEFECTS = ("slice_shift_z", "misalignment", "slice_drop_z", "missing_section", "lost_section", "motion_blur")


def augmentation_settings(keys: ForeignKeys) -> dict[str, Any]:
    """Frequencies of random changes; how strong they are is fixed here."""
    where = "data.augmentation"
    found: dict[str, Any] = {"contrast": 0.0, "noise": 0.0, "affine": 0.0}
    n_defects = sum(_is_on(keys, name) for name in _DEFECTS)
    is_exclusive = keys.flag(f"{where}.defect_mutex") and n_defects > 1
    for ours, theirs in _SECTION_FAULTS.items():
        on = [name for name in theirs if _is_on(keys, name)]
        probability = max((keys.number(f"{where}.{name}.prob", 0.5) for name in on), default=0.0)
        if is_exclusive and ours in _EXCLUSIVE:
            probability /= n_defects
        found[ours] = round(min(1.0, max(0.0, probability)), 4)
        for name in theirs:
            if is_exclusive and ours in _EXCLUSIVE and name in on:
                why = f"one of {n_defects} defects at a time"
                keys.changed(f"{where}.{name}.prob", f"augmentation.{ours}={found[ours]:g}", why)
            keys.taken(f"{where}.{name}.enabled", f"augmentation.{ours}={found[ours]:g}")
            keys.taken(f"{where}.{name}.prob", f"augmentation.{ours}={found[ours]:g}")
    keys.taken(f"{where}.defect_mutex", "shares of augmentation.missing_section and its kin")
    found["flips"] = _is_on(keys, "flip")
    turns = [name for name in ("rotate", "rotate90_all", "axis_permute") if _is_on(keys, name)]
    found["turns"] = "always" if turns else "never"
    keys.taken(f"{where}.flip.enabled", f"augmentation.flips={str(found['flips']).lower()}", False)
    for name in ("rotate", "rotate90_all", "axis_permute"):
        keys.taken(f"{where}.{name}.enabled", f"augmentation.turns={found['turns']}")
    if _is_on(keys, "intensity"):
        contrast = ("contrast_prob", "shift_intensity_prob", "mul_add_prob")
        found["contrast"] = max(keys.number(f"{where}.intensity.{name}", 0.0) for name in contrast)
        found["noise"] = keys.number(f"{where}.intensity.gaussian_noise_prob", 0.5)
    keys.taken(f"{where}.intensity.enabled", "augmentation.contrast and noise")
    for name in ("contrast_prob", "shift_intensity_prob", "mul_add_prob"):
        keys.taken(f"{where}.intensity.{name}", f"augmentation.contrast={found['contrast']:g}")
    keys.taken(f"{where}.intensity.gaussian_noise_prob", f"augmentation.noise={found['noise']:g}")
    for name in sorted({name.split(".")[0] for name in keys.section(where)} - _KNOWN_CHANGES):
        keys.left_out(f"{where}.{name}", "there is no such change here")
    keys.left_out(where, "how strong a change is, and along which axes, is fixed here")
    return found


def _is_on(keys: ForeignKeys, name: str) -> bool:
    is_on = keys.get("data.augmentation.enabled", True)
    return bool(is_on) and bool(keys.get(f"data.augmentation.{name}.enabled", False))
