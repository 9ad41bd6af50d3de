"""One contract for every kind of network: shapes, inputs, gradients, weights on disk, tiles."""

from __future__ import annotations

import copy
import math
from typing import cast

import pytest
import torch
from torch import Tensor

from napari_pytc.geometry import Shape
from napari_pytc.learning.machine.weights import load_exactly
from napari_pytc.learning.networks.network import Network, build_network
from napari_pytc.plans.networks import NetworkSettings
from tests.support.learning import space
from tests.support.networks import SMALL

VARIANTS: dict[str, dict[str, object]] = {
    "mednext_custom in sections": {
        "kind": "mednext_custom",
        "channels": 4,
        "blocks": [1, 1, 1],
        "dimensions": "2d",
        "norm": "layer",
        "residual": False,
        "residual_resampling": False,
        "kernel_size": 5,
    },
    "mednext_custom without supervision": {
        "kind": "mednext_custom",
        "channels": 4,
        "blocks": [1, 1, 1],
        "strides": "voxels",
        "deep_supervision": False,
    },
    "monai_unet in sections": {"kind": "monai_unet", "channels": [4, 8, 8], "dimensions": "2d", "dropout": 0.1},
    "monai_unet with groups": {"kind": "monai_unet", "channels": [8, 16], "norm": "group", "residual_units": 0},
    "monai_unetr of a shape": {
        "kind": "monai_unetr",
        "image_shape": [16, 48, 32],
        "feature_size": 4,
        "hidden_size": 12,
        "mlp_size": 16,
        "heads": 2,
    },
    "efficientnet in 3d": {
        "kind": "monai_flexible_unet",
        "backbone": "efficientnet-b0",
        "dimensions": "3d",
        "decoder_channels": [8, 8, 8, 8, 8],
    },
    "rsunet of groups": {
        "kind": "rsunet",
        "channels": [4, 8],
        "norm": "group",
        "activation": "elu",
        "strides": "voxels",
    },
    "rsunet without norm": {
        "kind": "rsunet",
        "channels": [4, 8],
        "norm": "none",
        "activation": "elu",
        "flat_levels": 1,
    },
    **{
        f"unet_3d of {block}": {
            "kind": "unet_3d",
            "channels": [8, 16],
            "block": block,
            "norm": norm,
            "pooling": pooling,
        }
        for block, norm, pooling in [
            ("residual_pa", "batch", True),
            ("residual_se", "group", False),
            ("residual_se_pa", "instance", True),
            ("dense", "none", True),
            ("plain", "batch", False),
        ]
    },
    "unet_3d with a non-local block": {"kind": "unet_3d", "channels": [8, 8, 16], "non_local": True, "pooling": False},
    "unet_2d with a non-local block": {"kind": "unet_2d", "channels": [16, 16], "non_local": True, "norm": "batch"},
    "unet_2d of se": {"kind": "unet_2d", "channels": [16, 32], "block": "residual_se", "pooling": True},
    "mednext_custom with heads": {
        "kind": "mednext_custom",
        "channels": 4,
        "blocks": [1, 1, 1],
        "expansion": [2],
        "deep_supervision": False,
        "heads": [{"name": "near", "channels": 2, "blocks": 1, "features": 2}, {"name": "far"}],
    },
    "fpn_3d of se": {"kind": "fpn_3d", "channels": [8, 8], "block": "residual_se", "blocks": [1], "dropout": 0.1},
}


def settings_of(name: str, **changes: object) -> NetworkSettings:
    described = VARIANTS[name] if name in VARIANTS else {"kind": name, **SMALL[name]}
    return cast(NetworkSettings, NetworkSettings.parse({**described, **changes}))


def built(settings: NetworkSettings, n_inputs: int = 1) -> Network:
    torch.manual_seed(0)
    return build_network(settings, 3, space(), n_inputs)


def fitting(settings: NetworkSettings) -> Shape:
    """A small image with more than one voxel on the deepest level."""
    z, y, x = (max(8, 2 * n) for n in settings.window_multiple(space()))
    return (z // 2 if z > 32 else z, y, x)


def image(shape: Shape, n_inputs: int = 1, n_batch: int = 1) -> Tensor:
    return torch.randn(n_batch, n_inputs, *shape, generator=torch.Generator().manual_seed(0))


EVERY = [*SMALL, *VARIANTS]
UNUSED = ("cross_attn", "encoder._conv_head", "encoder._bn1", "encoder._fc")
"""Parts of weights that MONAI's classes have for other uses."""


def test_every_kind_is_in_the_contract() -> None:
    ours = {kind for kind, cls in NetworkSettings.variants().items() if cls.__module__.startswith("napari_pytc.")}
    assert set(SMALL) == ours


@pytest.mark.parametrize("name", EVERY)
def test_logits_have_the_shape_of_an_image_of_several_channels(name: str) -> None:
    settings = settings_of(name)
    network, shape = built(settings, 2).eval(), fitting(settings)

    with torch.no_grad():
        assert network(image(shape, 2)).shape == (1, 3, *shape)
        assert network.n_inputs == 2


@pytest.mark.parametrize("name", EVERY)
def test_levels_have_the_aspect_of_the_image_and_all_weights_learn(name: str) -> None:
    settings = settings_of(name)
    network, shape = built(settings).train(), fitting(settings)

    if settings.learns_from == "voxels":
        return  # it learns from the features of single voxels
    levels = network.training_logits(image(shape, n_batch=2))
    sum(level.square().mean() for level in levels).backward()  # type: ignore[union-attr]

    assert levels[0].shape == (2, 3, *(n - 2 * m for n, m in zip(shape, settings.training_margin, strict=True)))
    assert all(level.shape[:2] == (2, 3) for level in levels)
    assert [math.prod(level.shape) for level in levels] == sorted((math.prod(n.shape) for n in levels), reverse=True)
    assert (len(levels) > 1) == bool(getattr(settings, "deep_supervision", False))
    without = [n for n, p in network.named_parameters() if p.requires_grad and p.grad is None]
    assert not [n for n in without if not any(part in n for part in UNUSED)]
    copy.deepcopy(network)


@pytest.mark.parametrize("name", EVERY)
def test_weights_of_one_fit_another_of_the_same_settings(name: str) -> None:
    settings = settings_of(name)
    one, shape = built(settings).eval(), image(fitting(settings))
    torch.manual_seed(1)
    other = build_network(NetworkSettings.parse(settings.model_dump(mode="json")), 3, space()).eval()

    load_exactly(other, one.state_dict())

    with torch.no_grad():
        assert torch.equal(one(shape), other(shape))


@pytest.mark.parametrize("name", EVERY)
def test_patches_suit_strides_and_voxels(name: str) -> None:
    settings = settings_of(name)
    for anisotropy in (1.0, 5.0):
        multiple, patch = (of(space(anisotropy)) for of in (settings.window_multiple, settings.patch_shape))
        assert all(n % m == 0 for n, m in zip(patch, multiple, strict=True))
        if max(multiple) > 1:
            assert math.prod(patch) > math.prod(multiple)
            assert math.prod(patch) < 600_000


EXACT = [n for n in EVERY if settings_of(n).tiles() == "exact" and settings_of(n).learns_from == "patches"]


def with_statistics(network: Network) -> Network:
    for name, buffer in network.named_buffers():  # running statistics that are not 0 and 1
        if buffer.is_floating_point() and buffer.dim() == 1:
            buffer.uniform_(0.5, 1.5) if "mean" in name else buffer.uniform_(0.8, 1.2)
    return network.eval()


@pytest.mark.slow
@pytest.mark.parametrize("name", EXACT)
def test_a_tile_with_its_halo_equals_the_whole(name: str) -> None:
    settings = settings_of(name)
    network = with_statistics(built(settings))
    limits = network.limits()
    for axis in range(3):
        halo, step = limits.halo[axis], limits.alignment[axis]
        lengths = [2 * n if n > 1 else 1 for n in limits.alignment]
        lengths[axis] = 2 * halo + 3 * step
        whole = image((lengths[0], lengths[1], lengths[2]))
        with torch.no_grad():
            expected = network(whole).narrow(axis + 2, halo + step, step)
            found = network(whole.narrow(axis + 2, step, 2 * halo + step)).narrow(axis + 2, halo, step)
        assert torch.allclose(found, expected, atol=1e-4, rtol=1e-4)


def test_networks_with_norms_of_the_whole_image_say_windows() -> None:
    windows = {name for name in EVERY if settings_of(name).tiles() == "windows"}

    assert windows >= {"mednext", "mednext_custom", "monai_unetr", "monai_swin_unetr", "fpn_3d", "efficientnet in 3d"}
    assert windows >= {"unet_3d of residual_se", "unet_3d of residual_se_pa", "monai_unet with groups"}
    assert not windows & {"monai_unet", "rsunet", "unet_3d", "unet_3d of dense", "monai_flexible_unet"}


RECOMPUTED = [
    name
    for name in EVERY
    if "checkpointing" in type(settings_of(name)).model_fields and getattr(settings_of(name), "dropout", 0) == 0
]


@pytest.mark.parametrize("name", RECOMPUTED)
def test_recomputing_changes_neither_gradients_nor_statistics(name: str) -> None:
    on = "on" if name == "mednext" else True
    plain, settings = built(settings_of(name)).train(), settings_of(name, checkpointing=on)
    recomputed = built(settings).train()
    recomputed.load_state_dict(plain.state_dict())

    for network in (plain, copy.deepcopy(recomputed), recomputed):
        torch.manual_seed(0)
        levels = network.training_logits(image(fitting(settings), n_batch=2))
        sum(level.square().mean() for level in levels).backward()  # type: ignore[union-attr]

    for (name_, one), other in zip(plain.named_parameters(), recomputed.parameters(), strict=True):
        assert (one.grad is None) == (other.grad is None), name_
        if one.grad is None or other.grad is None:
            continue
        assert torch.allclose(one.grad, other.grad, atol=1e-5, rtol=1e-3), name_
    for one, other in zip(plain.buffers(), recomputed.buffers(), strict=True):
        if one.is_floating_point():
            assert torch.allclose(one, other, atol=1e-6)
