"""Checkpoints as PyTorch Connectomics writes them, made of networks of this program."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from napari_pytc.geometry import VoxelSpace
from napari_pytc.learning.networks.network import Network, build_network
from napari_pytc.pytc.translate import ImportedConfig

TINY: dict[str, str] = {
    "monai_unet": "{arch: {type: monai_unet}, monai: {filters: [4, 8], num_res_units: 1}}",
    "monai_basic_unet3d": "{arch: {type: monai_basic_unet3d}, monai: {filters: [2, 2, 2, 2, 4, 2], norm: instance}}",
    "mednext_custom": (
        "{arch: {type: mednext_custom}, mednext: {base_channels: 2, exp_r: 2, block_counts: "
        "[1, 1, 1, 1, 1, 1, 1, 1, 1]}, loss: {deep_supervision: true}}"
    ),
    "rsunet": "{arch: {type: rsunet}, rsunet: {width: [2, 4], norm: group, num_groups: 2}}",
}
"""Sections ``model`` of the smallest networks, by architecture."""


def write_config(folder: Path, architecture: str = "monai_unet", more: str = "") -> Path:
    """A configuration of a tiny network for a foreground and a boundary."""
    path = folder / f"{architecture}.yaml"
    model = TINY[architecture].removesuffix("}") + ", out_channels: 2}"
    text = (
        f"default:\n  model: {model}\n"
        "  data:\n    dataloader: {patch_size: [16, 32, 32], batch_size: 1}\n"
        "    label_transform: {targets: [{name: binary}, {name: instance_boundary}]}\n"
    )
    path.write_text(text + more)
    return path


def random_network(config: ImportedConfig, seed: int = 0) -> Network:
    """The network of a configuration with random weights, also of its norms."""
    space = VoxelSpace(config.plan.voxel_size_nm or (1.0, 1.0, 1.0))
    n_outputs = len(config.plan.target.roles(config.classes, space))
    torch.manual_seed(seed)
    network = build_network(config.plan.network, n_outputs, space, config.n_inputs).eval()
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if name.endswith("running_var"):
                tensor.add_(torch.rand(tensor.shape))
            elif tensor.dtype.is_floating_point and not name.endswith("up.weight"):
                tensor.add_(0.1 * torch.randn(tensor.shape))
    return network


def foreign_names(kind: str, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights by the names that they have there, below the first ``model.``."""
    if kind.startswith("mednext"):
        renamed = {
            re.sub(r"^(enc_block|down|up|dec_block|out)\.(\d)", r"\1_\2", name): t for name, t in weights.items()
        }
        heads = {re.sub(r"^(out_\d)\.", r"\1.conv_out.", name): tensor for name, tensor in renamed.items()}
        return {"model.dummy_tensor": torch.ones(1), **{f"model.{name}": t for name, t in heads.items()}}
    wrapped = "" if kind == "rsunet" else "model."
    return {f"{wrapped}{name}": tensor for name, tensor in weights.items()}


def write_checkpoint(path: Path, config: ImportedConfig, network: Network, **changes: Any) -> Path:
    """A checkpoint of Lightning whose last weights are all 0, and whose moving average is the network."""
    average = foreign_names(config.plan.network.kind, network.state_dict())
    last = {f"model.{name}": torch.zeros_like(tensor) for name, tensor in average.items()}
    content = {
        "epoch": 3,
        "global_step": 77,
        "pytorch-lightning_version": "2.5.0",
        "state_dict": {**last, "loss_functions.0.pos_weight": torch.ones(1)},
        "callbacks": {"EMAWeightsCallback": {"ema_state": average}},
        "optimizer_states": [],
        "pytc_metadata": {"format_version": 1, "config_embedded": False, "config_hash": "abcd1234"},
        **changes,
    }
    torch.save({name: value for name, value in content.items() if value is not None}, path)
    return path
