"""The two former dialects, brought into that of stages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from napari_pytc.errors import InvalidInput
from napari_pytc.plans.interpolations import refuse_growth
from napari_pytc.pytc.config_file import ConfigFile, merged
from napari_pytc.pytc.keys import CompanionKey, ForeignKeys, ImportedKey, KeyOrigins, leaves, put
from napari_pytc.pytc.profiles import STAGES, with_profiles
from napari_pytc.pytc.yacs import from_yacs

_LOSSES = "model.loss.losses"
_LOSS_LISTS = ("model.loss_functions", "model.loss_weights", "model.loss_kwargs")
_INFERENCE = ("inference", "decoding", "evaluation")

_FLAT_NAMES = {
    "model.architecture": "model.arch.type",
    "model.deep_supervision": "model.loss.deep_supervision",
    "model.deep_supervision_weights": "model.loss.deep_supervision_weights",
    "model.loss_balancing": "model.loss.loss_balancing",
    "model.filters": "model.monai.filters",
    "model.num_res_units": "model.monai.num_res_units",
    "model.kernel_size": "model.monai.kernel_size",
    "model.norm": "model.monai.norm",
    "model.num_groups": "model.monai.num_groups",
    "model.dropout": "model.monai.dropout",
    "model.activation": "model.monai.activation",
    "model.upsample_mode": "model.monai.upsample_mode",
    "model.mednext_size": "model.mednext.size",
    "model.mednext_kernel_size": "model.mednext.kernel_size",
    "model.mednext_base_channels": "model.mednext.base_channels",
    "model.mednext_exp_r": "model.mednext.exp_r",
    "model.mednext_do_res": "model.mednext.do_res",
    "model.mednext_do_res_up_down": "model.mednext.do_res_up_down",
    "model.mednext_block_counts": "model.mednext.block_counts",
    "model.mednext_checkpoint_style": "model.mednext.checkpoint_style",
    "model.mednext_norm": "model.mednext.norm",
    "model.mednext_dim": "model.mednext.dim",
    "model.mednext_grn": "model.mednext.grn",
    "model.rsunet_norm": "model.rsunet.norm",
    "model.rsunet_activation": "model.rsunet.activation",
    "model.rsunet_num_groups": "model.rsunet.num_groups",
    "model.rsunet_down_factors": "model.rsunet.down_factors",
    "model.rsunet_depth_2d": "model.rsunet.depth_2d",
    "model.rsunet_kernel_2d": "model.rsunet.kernel_2d",
    "model.feature_size": "model.transformer.feature_size",
    "model.hidden_size": "model.transformer.hidden_size",
    "model.mlp_dim": "model.transformer.mlp_dim",
    "model.num_heads": "model.transformer.num_heads",
    "data.patch_size": "data.dataloader.patch_size",
    "data.batch_size": "data.dataloader.batch_size",
    "data.iter_num_per_epoch": "optimization.n_steps_per_epoch",
    "data.train_image": "data.train.image",
    "data.train_label": "data.train.label",
    "data.train_mask": "data.train.mask",
    "data.train_resolution": "data.train.resolution",
    "data.val_image": "data.val.image",
    "data.val_label": "data.val.label",
    "data.pad_size": "data.data_transform.pad_size",
    "system.training.batch_size": "data.dataloader.batch_size",
    "inference.sliding_window": "inference.window",
    "inference.overlap": "inference.window.overlap",
    "inference.window_size": "inference.window.window_size",
    "inference.test_time_augmentation.channel_activations": "inference.model.channel_activations",
    "inference.test_time_augmentation.select_channel": "inference.model.select_channel",
    "inference.data": "test.data",
    "inference.test_image": "test.data.test.image",
    "inference.test_label": "test.data.test.label",
    "optimizer": "optimization.optimizer",
    "scheduler": "optimization.scheduler",
    "training": "optimization",
    "augmentation": "data.augmentation",
    "checkpoint": "monitor.checkpoint",
    "early_stopping": "monitor.early_stopping",
}
"""Keys and sections of the flat dialect, and where they are now."""


def foreign_keys(config: ConfigFile) -> ForeignKeys:
    """The keys of a configuration of any dialect.

    Raises
    ------
    InvalidInput
        If a profile is not defined, or a value refers to one that there is not.
    """
    if config.dialect == "yacs":
        return from_yacs(config.values)
    if config.is_embedded:
        values, settled = _without_references(config.values)
        if config.dialect == "flat":
            return _from_flat(values, settled)
        return ForeignKeys(values, KeyOrigins(settled=settled))
    written, chosen = with_profiles(config.values)
    profiles = [
        ImportedKey(key=key, value=name, outcome="taken", became="its settings, filled in")
        for key, name in chosen.items()
    ]
    staged = _with_stages(written)
    profile = staged.get("arch_profile")
    if isinstance(profile, str):
        raise InvalidInput(
            f"The configuration {config.path.name} chooses arch_profile={profile} as it was written for some days in "
            "March 2026, which is not read.",
            "Write model.arch.type and its settings, as model.monai or model.mednext.",
        )
    values = _without_stages(_interpolated(staged, config))
    if config.dialect == "flat":
        return _from_flat(values, profiles)
    return ForeignKeys(values, KeyOrigins(settled=profiles))


def _without_references(values: dict[str, Any]) -> tuple[dict[str, Any], list[ImportedKey]]:
    """Sections of a configuration in a checkpoint, and what became of the keys that are not in them.

    Its stages and profiles are in its sections already; a value that refers to another is not followed.
    """
    found: dict[str, Any] = {}
    settled: list[ImportedKey] = []

    def leave(key: str, value: Any, why: str) -> None:
        settled.append(ImportedKey(key=key, value=str(value)[:120], outcome="left out", why=why))

    for key, value in leaves({name: value for name, value in values.items() if name not in STAGES}):
        if isinstance(value, str) and "${" in value:
            leave(key, value, "it refers to another value, which is not followed in a checkpoint")
        elif key.endswith("profile") and isinstance(value, str):
            leave(key, value, "its settings are filled in")
        else:
            put(found, key, value)
    for name in STAGES:
        if name in values:
            leave(name, f"{len(list(leaves({name: values[name]})))} keys", "the stage of the training is filled in")
    return found, settled


def _with_stages(values: dict[str, Any]) -> dict[str, Any]:
    """Sections as a training sees them, those of predictions as a test does; and the stages as they are."""
    parts = _stages(values)
    found = dict(values)
    for name in ("shared", "default"):
        found = merged(found, {key: value for key, value in parts[name].items() if key not in STAGES})
    train = {key: value for key, value in parts["train"].items() if key not in _INFERENCE}
    test = {key: value for key, value in parts["test"].items() if key in _INFERENCE}
    return cast("dict[str, Any]", merged(merged(found, train), test))


def _without_stages(values: dict[str, Any]) -> dict[str, Any]:
    """With only what is not read of the stages, so that the account of keys has it."""
    parts = _stages(values)
    rest = {
        **{name: {key: parts[name][key] for key in parts[name] if key in STAGES} for name in ("shared", "default")},
        "train": {key: value for key, value in parts["train"].items() if key in _INFERENCE},
        "test": {key: value for key, value in parts["test"].items() if key not in _INFERENCE},
        "tune": parts["tune"],
    }
    empty = {name: values[name] for name in STAGES if name in values and not parts[name]}
    found = {name: value for name, value in values.items() if name not in STAGES}
    return {**found, **{name: part for name, part in rest.items() if part}, **empty}


def _stages(values: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Each of the stages; empty where it is missing or no section."""
    stages = {name: values.get(name) for name in STAGES}
    return {name: stage if isinstance(stage, dict) else {} for name, stage in stages.items()}


def _interpolated(values: dict[str, Any], config: ConfigFile) -> dict[str, Any]:
    """With ``${model.out_channels}`` and its kin filled in."""
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    refuse_growth(values, f"The configuration {config.path.name}")
    try:
        found = OmegaConf.to_container(OmegaConf.create(values), resolve=True)
    except (OmegaConfBaseException, ValueError, TypeError, RecursionError) as error:
        raise InvalidInput(
            f"A value of the configuration {config.path.name} cannot be filled in: {str(error).splitlines()[0]}.",
            "Write the value itself.",
        ) from error
    assert isinstance(found, dict)
    return {str(key): value for key, value in found.items()}


def _from_flat(values: dict[str, Any], settled: Sequence[ImportedKey]) -> ForeignKeys:
    """The keys of today, with the former names of them."""
    names: dict[str, str] = {}
    found: dict[str, Any] = {}
    said_twice: list[ImportedKey] = []
    is_rsunet = _get(values, "model.architecture") in ("rsunet", "rsunet_iso")
    for key, value in leaves(values):
        new = _new_name(key, is_rsunet)
        if new in names:
            why = f"{key} says it, too, and is later"
            said_twice.append(ImportedKey(key=names[new], value=str(_get(found, new)), outcome="left out", why=why))
        names[new] = key
        put(found, new, value)
    companions = _put_losses(found, names, values)
    kept, written = dict(leaves(found)), dict(leaves(values))
    hidden = [
        ImportedKey(key=old, value=str(written[old]), outcome="left out", why="another key stands for its section")
        for new, old in names.items()
        if new not in kept and old in written and old not in _LOSS_LISTS
    ]
    return ForeignKeys(found, KeyOrigins(names, companions, [*settled, *said_twice, *hidden], written=written))


def _new_name(key: str, is_rsunet: bool) -> str:
    if is_rsunet and key == "model.filters":
        return "model.rsunet.width"
    fitting = [old for old in _FLAT_NAMES if key == old or key.startswith(f"{old}.")]
    if not fitting:
        return key
    old = max(fitting, key=len)
    return f"{_FLAT_NAMES[old]}{key[len(old) :]}"


def _put_losses(found: dict[str, Any], names: dict[str, str], values: Mapping[str, Any]) -> list[CompanionKey]:
    """The losses, which stood in three lists side by side; the keys of two of them."""
    model = values.get("model")
    functions = model.get("loss_functions") if isinstance(model, dict) else None
    if not isinstance(model, dict) or functions is None:
        return []
    weights, settings = model.get("loss_weights") or [], model.get("loss_kwargs") or []
    if not isinstance(functions, list) or not isinstance(weights, list) or not isinstance(settings, list):
        raise InvalidInput(
            f"The configuration's model.loss_functions, loss_weights and loss_kwargs are lists, got {functions!r}, "
            f"{weights!r} and {settings!r}."
        )
    losses = [
        {
            "function": function,
            "weight": weights[number] if number < len(weights) else 1.0,
            "kwargs": (settings[number] or {}) if number < len(settings) else {},
        }
        for number, function in enumerate(functions)
    ]
    for old in _LOSS_LISTS:
        found.get("model", {}).pop(old.removeprefix("model."), None)
    put(found, _LOSSES, losses)
    names[_LOSSES] = "model.loss_functions"
    return [
        CompanionKey(key, _get(values, key), _LOSSES) for key in _LOSS_LISTS[1:] if key.removeprefix("model.") in model
    ]


def _get(values: Any, key: str) -> Any:
    for part in key.split("."):
        values = values.get(part) if isinstance(values, dict) else None
    return values
