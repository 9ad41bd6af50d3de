"""Architectures of PyTorch Connectomics as settings of networks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from napari_pytc.errors import InvalidInput
from napari_pytc.pytc.heads import Head
from napari_pytc.pytc.keys import ForeignKeys

_KNOWN_NORMS = ("batch", "instance", "group")


def network_settings(keys: ForeignKeys, heads: Sequence[Head] = ()) -> dict[str, Any]:
    """The settings of the network that a configuration describes, with its kind and its heads.

    Raises
    ------
    InvalidInput
        For an architecture, or an option of it, that there is not: the network would compute something else.
    """
    name = str(keys.get("model.arch.type", "monai_basic_unet3d"))
    make = _ARCHITECTURES.get(name)
    if make is None:
        why = _WHY_NOT.get(name, "")
        raise InvalidInput(
            f"The configuration's {keys.name('model.arch.type')} is {name!r}, which is not among the networks here"
            f"{f': {why}' if why else ''}.",
            f"Networks that are: {', '.join(_ARCHITECTURES)}.",
        )
    found = make(keys)
    if heads:
        found["heads"] = _heads(keys, name, heads)
    keys.taken("model.arch.type", f"network.kind={found['kind']}", "monai_basic_unet3d")
    keys.left_out("model.arch.profile", "no profile has that name")
    for section in ("monai", "mednext", "rsunet", "transformer", "nnunet", "legacy"):
        keys.left_out(f"model.{section}", f"the architecture {name} does not use it")
    return found


def _heads(keys: ForeignKeys, name: str, heads: Sequence[Head]) -> list[dict[str, Any]]:
    if name not in ("mednext", "mednext_custom"):
        raise InvalidInput(
            f"The configuration has heads for the network {name}; only mednext and mednext_custom have some, as there.",
            "Leave model.heads out.",
        )
    if keys.flag("model.loss.deep_supervision"):
        raise InvalidInput(
            "The configuration has heads and deep supervision, which do not go together, as there.",
            "Set model.loss.deep_supervision to false.",
        )
    settings = []
    for head in heads:
        own: dict[str, Any] = {"name": head.name, "channels": len(head.channels), "blocks": head.blocks}
        settings.append(own if head.features is None else {**own, "features": head.features})
    return settings


def _mednext(keys: ForeignKeys) -> dict[str, Any]:
    size = str(keys.get("model.mednext.size", "S"))
    kernel = int(keys.number("model.mednext.kernel_size", 3))
    keys.taken("model.mednext.size", f"network.size={size}", "S")
    keys.taken("model.mednext.kernel_size", f"network.kernel_size={kernel}")
    if str(keys.get("model.mednext.dim", "3d")) != "3d":
        keys.left_out("model.mednext.dim", "the sizes S to L are 3D there, whatever this says")
    keys.taken("model.mednext.dim", "network.kind=mednext")
    style = keys.get("model.mednext.checkpoint_style")
    recomputes = "on" if style else "auto"
    keys.taken("model.mednext.checkpoint_style", f"network.checkpointing={recomputes}")
    return {
        "kind": "mednext",
        "size": size,
        "kernel_size": kernel,
        "deep_supervision": _deep_supervision(keys),
        "checkpointing": recomputes,
    }


def _mednext_custom(keys: ForeignKeys) -> dict[str, Any]:
    expansion = keys.get("model.mednext.exp_r", 4)
    found = {
        "kind": "mednext_custom",
        "channels": int(keys.number("model.mednext.base_channels", 32)),
        "blocks": keys.get("model.mednext.block_counts", [2] * 9),
        "expansion": expansion if isinstance(expansion, list) else [expansion],
        "kernel_size": int(keys.number("model.mednext.kernel_size", 3)),
        "dimensions": str(keys.get("model.mednext.dim", "3d")),
        "norm": str(keys.get("model.mednext.norm", "group")),
        "residual": keys.flag("model.mednext.do_res", True),
        "residual_resampling": keys.flag("model.mednext.do_res_up_down", True),
        "grn": keys.flag("model.mednext.grn"),
        "checkpointing": bool(keys.get("model.mednext.checkpoint_style")),
        "deep_supervision": _deep_supervision(keys),
    }
    for theirs, ours in {
        "base_channels": "channels",
        "block_counts": "blocks",
        "exp_r": "expansion",
        "kernel_size": "kernel_size",
        "dim": "dimensions",
        "norm": "norm",
        "do_res": "residual",
        "do_res_up_down": "residual_resampling",
        "grn": "grn",
        "checkpoint_style": "checkpointing",
    }.items():
        keys.taken(f"model.mednext.{theirs}", f"network.{ours}={_text(found[ours])}")
    return found


def _basic_unet(keys: ForeignKeys) -> dict[str, Any]:
    _refuse_2d(keys, "monai_basic_unet3d")
    filters = _integers(keys, "model.monai.filters", [32, 64, 128, 256, 512])
    channels = (filters + [filters[-1]] * 6)[:6]
    activation = str(keys.get("model.monai.activation", "relu")).lower()
    if activation not in ("relu", "prelu", "elu", "gelu", "swish"):
        raise _missing(keys, "model.monai.activation", "relu, prelu, elu, gelu and swish")
    upsample = str(keys.get("model.monai.upsample_mode", "deconv"))
    if upsample not in ("deconv", "nontrainable", "pixelshuffle"):
        raise _missing(keys, "model.monai.upsample_mode", "deconv, nontrainable and pixelshuffle")
    found = {
        "kind": "monai_basic_unet3d",
        "channels": channels,
        "norm": _norm(keys, channels),
        "activation": activation,
        "dropout": keys.number("model.monai.dropout", 0.0),
        "upsample": upsample,
    }
    keys.taken("model.monai.filters", f"network.channels={_text(channels)}", filters)
    for name in ("norm", "activation", "dropout"):
        keys.taken(f"model.monai.{name}", f"network.{name}={_text(found[name])}")
    keys.taken("model.monai.upsample_mode", f"network.upsample={upsample}")
    return found


def _monai_unet(keys: ForeignKeys) -> dict[str, Any]:
    channels = _integers(keys, "model.monai.filters", [32, 64, 128, 256, 512])
    if str(keys.get("model.monai.upsample_mode", "deconv")) != "deconv":
        raise _missing(keys, "model.monai.upsample_mode", "deconv for monai_unet")
    is_2d = _is_2d(keys)
    found = {
        "kind": "monai_unet",
        "channels": channels,
        "residual_units": int(keys.number("model.monai.num_res_units", 2)),
        "kernel_size": int(keys.number("model.monai.kernel_size", 3)),
        "norm": _norm(keys, [*channels, int(keys.number("model.out_channels", 1))]),
        "dropout": keys.number("model.monai.dropout", 0.0),
        "dimensions": "2d" if is_2d else "3d",
    }
    keys.taken("model.monai.filters", f"network.channels={_text(channels)}", channels)
    keys.taken("model.monai.num_res_units", f"network.residual_units={found['residual_units']}")
    for name in ("kernel_size", "norm", "dropout"):
        keys.taken(f"model.monai.{name}", f"network.{name}={_text(found[name])}")
    keys.taken("model.monai.upsample_mode", "network.kind=monai_unet")
    keys.taken("model.monai.spatial_dims", f"network.dimensions={found['dimensions']}")
    keys.left_out("model.monai.strides", "strides are 2 between all levels there, whatever this says")
    return found


def _rsunet(keys: ForeignKeys, is_isotropic: bool = False) -> dict[str, Any]:
    widths = _integers(keys, "model.rsunet.width", [16, 32, 64, 128])
    activation = str(keys.get("model.rsunet.activation", "relu"))
    if activation == "leakyrelu" and keys.number("model.rsunet.act_negative_slope", 0.01) != 0.01:
        raise _missing(keys, "model.rsunet.act_negative_slope", "0.01")
    strides: Any = keys.get("model.rsunet.down_factors") or "sections"
    flat = int(keys.number("model.rsunet.depth_2d", 0))
    if is_isotropic:
        strides, flat = "isotropic", 0
    if flat and list(keys.get("model.rsunet.kernel_2d", [1, 3, 3])) != [1, 3, 3]:
        raise _missing(keys, "model.rsunet.kernel_2d", "[1, 3, 3]")
    found = {
        "kind": "rsunet",
        "channels": widths,
        "norm": str(keys.get("model.rsunet.norm", "batch")),
        "groups": int(keys.number("model.rsunet.num_groups", 8)),
        "activation": activation,
        "strides": strides,
        "flat_levels": flat,
        "deep_supervision": _deep_supervision(keys),
    }
    for theirs, ours in {
        "width": "channels",
        "norm": "norm",
        "num_groups": "groups",
        "activation": "activation",
        "down_factors": "strides",
        "depth_2d": "flat_levels",
        "kernel_2d": "flat_levels",
    }.items():
        keys.taken(f"model.rsunet.{theirs}", f"network.{ours}={_text(found[ours])}")
    if activation == "leakyrelu":
        keys.taken("model.rsunet.act_negative_slope", "network.activation=leakyrelu")
    keys.left_out("model.rsunet.act_negative_slope", f"the activation {activation} has no fixed slope")
    keys.left_out("model.rsunet.act_init", "slopes that are learnt begin at 0.25")
    return found


def _rsunet_isotropic(keys: ForeignKeys) -> dict[str, Any]:
    return _rsunet(keys, is_isotropic=True)


def _unetr(keys: ForeignKeys) -> dict[str, Any]:
    found = {
        "kind": "monai_unetr",
        "image_shape": _integers(keys, "model.input_size", [128, 128, 128]),
        "feature_size": int(keys.number("model.transformer.feature_size", 16)),
        "hidden_size": int(keys.number("model.transformer.hidden_size", 768)),
        "mlp_size": int(keys.number("model.transformer.mlp_dim", 3072)),
        "heads": int(keys.number("model.transformer.num_heads", 12)),
        "norm": str(keys.get("model.transformer.norm", "instance")),
        "dropout": keys.number("model.transformer.dropout", 0.0),
    }
    for theirs, ours in {"mlp_dim": "mlp_size", "num_heads": "heads"}.items():
        keys.taken(f"model.transformer.{theirs}", f"network.{ours}={found[ours]}")
    for name in ("feature_size", "hidden_size", "norm", "dropout"):
        keys.taken(f"model.transformer.{name}", f"network.{name}={found[name]}")
    keys.taken("model.input_size", f"network.image_shape={_text(found['image_shape'])}")
    return found


def _swin_unetr(keys: ForeignKeys) -> dict[str, Any]:
    found = {
        "kind": "monai_swin_unetr",
        "feature_size": int(keys.number("model.transformer.feature_size", 48)),
        "dropout": keys.number("model.transformer.dropout", 0.0),
        "attention_dropout": keys.number("model.transformer.attn_drop_rate", 0.0),
        "path_dropout": keys.number("model.transformer.dropout_path_rate", 0.0),
        "checkpointing": keys.flag("model.transformer.use_checkpoint"),
    }
    for theirs, ours in {
        "feature_size": "feature_size",
        "dropout": "dropout",
        "attn_drop_rate": "attention_dropout",
        "dropout_path_rate": "path_dropout",
        "use_checkpoint": "checkpointing",
    }.items():
        keys.taken(f"model.transformer.{theirs}", f"network.{ours}={_text(found[ours])}")
    return found


def _unet_2d(keys: ForeignKeys, is_plus: bool = False) -> dict[str, Any]:
    found = _legacy(keys, takes_sections=True)
    del found["isotropic"]
    block = str(keys.get("model.legacy.block", "residual"))
    if block not in ("residual", "residual_se"):
        raise _missing(keys, "model.legacy.block", "residual and residual_se for unet_2d")
    found |= {"kind": "unet_2d", "block": block, "pooling": bool(keys.get("model.legacy.pooling", False))}
    keys.taken("model.legacy.block", f"network.block={block}")
    keys.taken("model.legacy.pooling", f"network.pooling={_text(found['pooling'])}")
    keys.taken("data.train.do_2d", "network.kind=unet_2d")
    return {**found, "non_local": is_plus}


def _unet_plus_2d(keys: ForeignKeys) -> dict[str, Any]:
    return _unet_2d(keys, is_plus=True)


def _unet_plus_3d(keys: ForeignKeys) -> dict[str, Any]:
    return {**_unet_3d(keys), "non_local": True}


def _unet_3d(keys: ForeignKeys) -> dict[str, Any]:
    found = {"kind": "unet_3d", **_legacy(keys), "pooling": bool(keys.get("model.legacy.pooling", False))}
    block = str(keys.get("model.legacy.block", "residual"))
    if block not in ("residual", "residual_pa", "residual_se", "residual_se_pa"):
        raise _missing(keys, "model.legacy.block", "residual, residual_pa, residual_se and residual_se_pa")
    keys.taken("model.legacy.block", f"network.block={block}")
    keys.taken("model.legacy.pooling", f"network.pooling={_text(found['pooling'])}")
    return {**found, "block": block}


def _fpn_3d(keys: ForeignKeys) -> dict[str, Any]:
    if str(keys.get("model.legacy.backbone", "resnet")) != "resnet":
        raise _missing(keys, "model.legacy.backbone", "resnet")
    block = str(keys.get("model.legacy.block", "residual"))
    if block not in ("residual", "residual_se"):
        raise _missing(keys, "model.legacy.block", "residual and residual_se for fpn_3d")
    found = {"kind": "fpn_3d", **_legacy(keys), "block": block}
    found["blocks"] = _integers(keys, "model.legacy.blocks", [2])
    keys.taken("model.legacy.backbone", "network.kind=fpn_3d")
    keys.taken("model.legacy.block", f"network.block={block}")
    keys.taken("model.legacy.blocks", f"network.blocks={_text(found['blocks'])}")
    return found


def _legacy(keys: ForeignKeys, takes_sections: bool = False) -> dict[str, Any]:
    """What the networks of version 1.0 have in common."""
    norms = {"bn": "batch", "sync_bn": "batch", "gn": "group", "in": "instance", "none": "none"}
    norm = norms.get(str(keys.get("model.legacy.norm", "bn")))
    if norm is None:
        raise _missing(keys, "model.legacy.norm", ", ".join(norms))
    activation = str(keys.get("model.legacy.activation", "elu"))
    if activation not in ("elu", "relu", "leaky_relu", "gelu", "none"):
        raise _missing(keys, "model.legacy.activation", "elu, relu, leaky_relu, gelu and none")
    padding = str(keys.get("model.legacy.padding", "replicate"))
    if padding not in ("replicate", "zeros", "reflect", "circular"):
        raise _missing(keys, "model.legacy.padding", "replicate, zeros, reflect and circular")
    if bool(keys.get("data.train.do_2d", False)) and not takes_sections:
        raise _missing(keys, "data.train.do_2d", "false for networks of version 1.0 in 3D")
    channels = _integers(keys, "model.legacy.filters", [28, 36, 48, 64, 80])
    isotropic = keys.get("model.legacy.isotropy", [False, False, False, True, True])
    found = {
        "channels": channels,
        "isotropic": isotropic,
        "norm": norm,
        "activation": activation,
        "padding": padding,
    }
    keys.taken("model.legacy.filters", f"network.channels={_text(channels)}")
    if not takes_sections:
        keys.taken("model.legacy.isotropy", f"network.isotropic={_text(isotropic)}")
    for name in ("norm", "activation", "padding"):
        keys.taken(f"model.legacy.{name}", f"network.{name}={found[name]}")
    return found


_ARCHITECTURES: dict[str, Callable[[ForeignKeys], dict[str, Any]]] = {
    "mednext": _mednext,
    "mednext_custom": _mednext_custom,
    "monai_basic_unet3d": _basic_unet,
    "monai_unet": _monai_unet,
    "monai_unetr": _unetr,
    "monai_swin_unetr": _swin_unetr,
    "rsunet": _rsunet,
    "rsunet_iso": _rsunet_isotropic,
    "unet_3d": _unet_3d,
    "unet_plus_3d": _unet_plus_3d,
    "unet_2d": _unet_2d,
    "unet_plus_2d": _unet_plus_2d,
    "fpn_3d": _fpn_3d,
}


_WHY_NOT = {
    "nnunet": "it is made of the plans of nnU-Net that lie beside a checkpoint of nnU-Net, not of this configuration",
    **dict.fromkeys(
        ("deeplabv3a", "deeplabv3b", "deeplabv3c"), "its dilated backbone in 2D has no counterpart; try unet_2d"
    ),
    "unetr": "its blocks were changed in MONAI since; monai_unetr is today's",
    "swinunetr": "its blocks were changed in MONAI since; monai_swin_unetr is today's",
}


def _deep_supervision(keys: ForeignKeys) -> bool:
    found = keys.flag("model.loss.deep_supervision")
    keys.taken("model.loss.deep_supervision", f"network.deep_supervision={_text(found)}")
    return found


def _norm(keys: ForeignKeys, channels: Sequence[int]) -> str:
    norm = str(keys.get("model.monai.norm", "batch")).lower()
    if norm not in _KNOWN_NORMS:
        raise _missing(keys, "model.monai.norm", "batch, instance and group")
    if norm == "group":
        ours = next(n for n in range(8, 0, -1) if all(one % n == 0 for one in channels))
        if int(keys.number("model.monai.num_groups", 8)) != ours:
            raise _missing(keys, "model.monai.num_groups", f"{ours} for these channels")
        keys.taken("model.monai.num_groups", "network.norm=group")
    return norm


def _is_2d(keys: ForeignKeys) -> bool:
    shape = keys.get("model.input_size") or []
    return len(shape) == 2 or (not shape and keys.get("model.monai.spatial_dims") == 2)


def _refuse_2d(keys: ForeignKeys, name: str) -> None:
    if _is_2d(keys):
        raise InvalidInput(
            f"The configuration has the network {name} in 2D; here it is 3D alone.",
            "Networks that take sections are monai_unet and mednext_custom.",
        )


def _integers(keys: ForeignKeys, key: str, default: list[int]) -> list[int]:
    found = keys.numbers(key) or default
    return [int(n) for n in found]


def _missing(keys: ForeignKeys, key: str, there: str) -> InvalidInput:
    return InvalidInput(
        f"The configuration's {keys.name(key)}={_text(keys.get(key))} is not among what the network takes here.",
        f"There is {there}.",
    )


def _text(value: Any) -> str:
    """A value as a recipe has it."""
    return str(value).lower() if isinstance(value, bool) else str(value).replace(" ", "")
