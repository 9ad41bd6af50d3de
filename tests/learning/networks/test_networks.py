"""Networks: what they return, and how far they look."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import nn
from torch.nn import functional

from napari_pytc.errors import InvalidInput, ModelError
from napari_pytc.geometry import Box, Shape, VoxelSpace
from napari_pytc.learning.networks.limits import measure_limits
from napari_pytc.learning.networks.network import Network, build_network
from napari_pytc.plans.networks import (
    DynUNetNetwork,
    FilterBankNetwork,
    FilterUNetNetwork,
    LeanUNetNetwork,
    MonaiBasicUNetNetwork,
    NetworkLimits,
    NetworkSettings,
    SectionUNetNetwork,
    UNetNetwork,
)
from napari_pytc.plans.networks.base import patch_of_budget, strides_and_kernels, total_stride
from napari_pytc.plans.plan import TrainPlan
from napari_pytc.settings import resolve
from tests.support.learning import space

NETWORKS: dict[str, NetworkSettings] = {
    "unet": UNetNetwork(channels=(4, 8)),
    "unet of three levels": UNetNetwork(channels=(4, 8, 8)),
    "unet at full resolution": UNetNetwork(channels=(4, 8), full_resolution=True),
    "plain unet": UNetNetwork(channels=(4, 8), residual_units=0),
    "dynunet": DynUNetNetwork(channels=(4, 8, 8)),
    "dynunet without supervision": DynUNetNetwork(channels=(4, 8, 8), deep_supervision=0, residual=False),
    "lean unet": LeanUNetNetwork(channels=(4, 8)),
    "lean unet of three levels": LeanUNetNetwork(channels=(4, 8, 8), convolutions=1),
    "lean unet of wide blocks": LeanUNetNetwork(channels=(4, 8), convolutions=1, block_nm=40),
    "section unet": SectionUNetNetwork(channels=(4, 8), context_sections=1),
    "section unet of wide pixels": SectionUNetNetwork(channels=(4, 8, 8), pixel_nm=20),
    "filter bank": FilterBankNetwork(sigmas=(0.7, 1.6, 3.5), hidden=(8,)),
    "filter unet": FilterUNetNetwork(sigmas=(0.7, 1.6), hidden=(8,), channels=(4, 8)),
    "flat filter unet": FilterUNetNetwork(sigmas=(0.7, 1.6), hidden=(8,), channels=(4, 8), flat=True),
}


def built(name: str, anisotropy: float, n_classes: int = 2) -> Network:
    torch.manual_seed(0)
    network = build_network(NETWORKS[name], n_classes, space(anisotropy)).eval()
    for buffer_name, buffer in network.named_buffers():  # running statistics that are not 0 and 1
        if buffer.is_floating_point() and buffer.dim() == 1:
            buffer.uniform_(0.5, 1.5) if "mean" in buffer_name else buffer.uniform_(0.8, 1.2)
    return network


@pytest.mark.slow
@pytest.mark.parametrize("anisotropy", [1.0, 2.0, 5.0, 10.0])
@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_keeps_the_shape_of_its_patch(name: str, anisotropy: float) -> None:
    network, limits = built(name, anisotropy, 3), built(name, anisotropy, 3).limits()
    patch = NETWORKS[name].patch_shape(space(anisotropy))
    if NETWORKS[name].learns_from == "patches":
        assert all(length % a == 0 for length, a in zip(patch, limits.alignment, strict=True))
        assert NETWORKS[name].window_multiple(space(anisotropy)) == limits.alignment
        if name in ("unet", "lean unet of wide blocks", "section unet of wide pixels"):  # as it is measured without
            assert measure_limits(network).alignment == limits.alignment
        # What a network in wide blocks sees is more, what it computes is not; and the margin is only seen.
        computed = np.prod(np.subtract(patch, np.multiply(2, NETWORKS[name].training_margin)))
        assert 15_000 < computed / (8 if "wide" in name else 1) < 400_000
    with torch.no_grad():
        assert network(torch.zeros(2, 1, *[2 * a for a in limits.alignment])).shape == (
            2,
            3,
            *[2 * a for a in limits.alignment],
        )


@pytest.mark.slow
@pytest.mark.parametrize("anisotropy", [1.0, 5.0])
@pytest.mark.parametrize("name", NETWORKS)
def test_nothing_beyond_the_halo_is_looked_at_and_its_last_voxel_is(name: str, anisotropy: float) -> None:
    network = built(name, anisotropy)
    limits = network.limits()
    network.double()  # the farthest voxels matter very little
    for axis in range(3):
        halo, block = limits.halo[axis], limits.alignment[axis]
        reach = -(-halo // block) * block
        start = reach + block
        shape = [2 * a for a in limits.alignment]
        shape[axis] = 2 * start + block
        image = torch.randn(1, 1, *shape, generator=torch.Generator().manual_seed(3)).double()
        dim = axis + 2

        def changed(where: int, image: torch.Tensor = image, dim: int = dim, at: int = start, n: int = block) -> float:
            other = image.clone()
            other.narrow(dim, where, 1).add_(3.0)
            with torch.no_grad():
                difference = network(other) - network(image)
            return float(difference.narrow(dim, at, n).abs().max())

        assert changed(start - reach - 1) < 1e-12
        assert changed(start + block + reach) < 1e-12
        assert changed(start) > 1e-8  # in double precision, of small networks with random statistics
        # Not twice what is needed: within the halo, rounded up to a block, something matters.
        near = range(start - reach, start - reach + max(block, 1)) if reach else [start]
        if name != "filter bank":  # whose own figure is an upper bound
            assert max(changed(where) for where in near) > 0


class Strided(nn.Module):
    """Down by a stride and up again, padding what does not fit if told to."""

    def __init__(self, stride: Shape, pads: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.down = nn.Conv3d(1, 4, stride, stride)
        self.up = nn.ConvTranspose3d(4, 2, stride, stride)
        self._stride, self._pads = stride, pads

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        if self._pads:
            missing = [-n % s for n, s in zip(image.shape[2:], self._stride, strict=True)]
            z, y, x = image.shape[2:]
            padded = functional.pad(image, [0, missing[2], 0, missing[1], 0, missing[0]])
            return self.up(torch.relu(self.down(padded)))[..., :z, :y, :x]
        return self.up(torch.relu(self.down(image)))


@pytest.mark.parametrize("pads", [False, True])
@pytest.mark.parametrize("stride", [(1, 2, 2), (1, 4, 4), (3, 3, 3), (2, 6, 8), (1, 1, 16)])
def test_strides_are_found_also_where_the_network_pads(stride: Shape, pads: bool) -> None:
    assert measure_limits(Strided(stride, pads)) == NetworkLimits(halo=(0, 0, 0), alignment=stride)


def test_the_halo_is_whole_blocks_for_tiles_that_begin_within_one() -> None:
    network = nn.Sequential(nn.Conv3d(1, 1, 3, padding=1), Strided((1, 4, 4)))
    assert measure_limits(network) == NetworkLimits(halo=(1, 4, 4), alignment=(1, 4, 4))


class Scaled(nn.Module):
    """An image and what a far-sighted convolution adds to it, times a scale that is 0 at the start."""

    def __init__(self) -> None:
        super().__init__()
        self.far = nn.Conv3d(1, 1, 5, padding=2)
        self.scale = nn.Parameter(torch.zeros(1))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return image + self.scale * self.far(image)


@pytest.mark.parametrize(
    ("network", "reach"),
    [
        (nn.MaxPool3d(17, stride=1, padding=8), 8),
        (nn.Sequential(nn.ZeroPad3d(4), nn.MaxPool3d(3, stride=1, dilation=4)), 4),
        (nn.Sequential(nn.Conv3d(1, 1, 17, padding=8), nn.MaxPool3d(33, stride=1, padding=16)), 24),
        (Scaled(), 2),
    ],
    ids=["maximum", "dilated maximum", "convolution and maximum", "scale of 0"],
)
def test_the_halo_holds_for_every_image_and_not_for_a_random_one_alone(network: nn.Module, reach: int) -> None:
    """Of a window the gradient at a random image reaches one voxel, which need not be at the window's edge."""
    torch.manual_seed(0)
    network = nn.Sequential(network, nn.Conv3d(1, 1, 1))
    assert measure_limits(network) == NetworkLimits(halo=(reach,) * 3, alignment=(1, 1, 1))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["rsunet", "unet_3d"])
def test_tiles_of_a_network_with_pooling_are_exact_for_an_image_of_single_bright_voxels(kind: str) -> None:
    changes = {"deep_supervision": False, "norm": "none" if kind == "rsunet" else "batch"}
    settings = NetworkSettings.parse({"kind": kind, "channels": [4, 8], **changes})
    torch.manual_seed(0)
    network = build_network(settings, 2, space(1)).eval().double()
    limits = network.limits()
    (halo, _, _), (block, _, _) = limits.halo, limits.alignment
    image = torch.zeros(1, 1, 2 * halo + 5 * block, 16, 16).double()
    start = halo + 2 * block
    with torch.no_grad():
        before = network(image)[:, :, start : start + block]
        for where in range(start - halo):
            image[:, :, where] = 50.0
        assert torch.equal(network(image)[:, :, start : start + block], before)


def test_a_network_that_takes_no_multiple_is_refused() -> None:
    with pytest.raises(ModelError, match="no multiple"):
        measure_limits(nn.Conv3d(1, 1, 3))


def test_a_network_that_looks_at_the_whole_image_is_refused() -> None:
    network = nn.Sequential(nn.InstanceNorm3d(1), nn.Conv3d(1, 1, 1))
    with pytest.raises(ModelError, match="whole image"):
        measure_limits(network)


@pytest.mark.slow
def test_a_network_that_pads_short_images_is_measured() -> None:
    settings = MonaiBasicUNetNetwork(channels=(4, 4, 4, 4, 4, 4), norm="batch")
    limits = build_network(settings, 2, space(1)).limits()
    assert limits.alignment == (16, 16, 16)
    assert all(n % 16 == 0 and n >= 80 for n in limits.halo)


def test_networks_say_whether_tiles_are_exact() -> None:
    assert UNetNetwork().tiles() == "exact"
    assert MonaiBasicUNetNetwork(norm="batch").tiles() == "exact"
    assert MonaiBasicUNetNetwork().tiles() == MonaiBasicUNetNetwork(norm="group").tiles() == "windows"


@pytest.mark.parametrize("norm", ["batch", "instance", "group"])
@pytest.mark.parametrize("upsample", ["deconv", "pixelshuffle", "nontrainable"])
def test_a_basic_unet_takes_several_inputs(norm: str, upsample: str) -> None:
    settings = MonaiBasicUNetNetwork(channels=(4, 4, 8, 4, 4, 4), norm=norm, upsample=upsample)  # type: ignore[arg-type]
    network = resolve(settings.builds)(settings, 3, space(1), 2).eval()
    with torch.no_grad():
        assert network(torch.zeros(1, 2, 16, 16, 32)).shape == (1, 3, 16, 16, 32)


def test_measuring_leaves_the_network_as_it_was() -> None:
    network = UNetNetwork(channels=(4, 8)).build(2, space(2)).train()
    before = copy.deepcopy(network.state_dict())
    measure_limits(network)
    assert network.training
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    assert all(p.grad is None for p in network.parameters())


def test_dynunet_gives_levels_when_training_and_can_be_copied_after() -> None:
    network = DynUNetNetwork(channels=(4, 8, 8), deep_supervision=1).build(3, space(1)).train()
    fine, coarse = network.training_logits(torch.randn(1, 1, 8, 16, 16))
    assert fine.shape == coarse.shape == (1, 3, 8, 16, 16)
    (fine + coarse).sum().backward()
    copy.deepcopy(network)


@pytest.mark.parametrize(
    ("anisotropy", "strides", "first_kernel"),
    [
        (1.0, [(1, 1, 1), (2, 2, 2), (2, 2, 2)], (3, 3, 3)),
        (2.0, [(1, 1, 1), (1, 2, 2), (2, 2, 2)], (3, 3, 3)),
        (5.0, [(1, 1, 1), (1, 2, 2), (1, 2, 2)], (1, 3, 3)),
        (10.0, [(1, 1, 1), (1, 2, 2), (1, 2, 2)], (1, 3, 3)),
    ],
)
def test_strides_and_kernels_follow_the_voxels(anisotropy: float, strides: list[Shape], first_kernel: Shape) -> None:
    found, kernels = strides_and_kernels(space(anisotropy), 3)
    assert found == strides
    assert kernels[0] == first_kernel
    assert total_stride(found) == tuple(int(n) for n in np.prod(strides, axis=0))


def test_deep_levels_look_across_sections_once_they_are_isotropic() -> None:
    _, kernels = strides_and_kernels(VoxelSpace((40, 10, 10)), 3)
    assert kernels == [(1, 3, 3), (3, 3, 3), (3, 3, 3)]


def test_a_network_without_depth_learns_from_single_sections() -> None:
    assert patch_of_budget([(1, 3, 3)], (1, 4, 4), 10.0, 65_536) == (1, 256, 256)
    assert patch_of_budget([(3, 3, 3)], (2, 4, 4), 1.0, 65_536)[0] % 2 == 0


def test_a_name_and_settings_make_a_network() -> None:
    plan = TrainPlan(network={"kind": "dynunet", "channels": [4, 8, 16]})
    assert plan.network == DynUNetNetwork(channels=(4, 8, 16))
    assert TrainPlan.model_validate_json(plan.model_dump_json()) == plan


def test_an_unknown_network_is_named() -> None:
    with pytest.raises(InvalidInput, match="No network is called 'vgg'") as caught:
        TrainPlan(network={"kind": "vgg"})
    assert "unet" in caught.value.hint


def test_an_unknown_setting_of_a_network_is_an_error() -> None:
    with pytest.raises(ValidationError, match="chanels"):
        TrainPlan(network={"kind": "unet", "chanels": [4, 8]})


def test_box_of_a_filter_bank_equals_the_cut_out_whole() -> None:
    network = built("filter bank", 1.0)
    image = torch.randn(1, 1, 24, 40, 40, generator=torch.Generator().manual_seed(0))
    box = Box((8, 13, 14), (16, 21, 30))
    with torch.no_grad():
        assert torch.allclose(network(image, box), network(image)[(..., *box.slices)], atol=1e-4)
