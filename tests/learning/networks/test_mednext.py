"""MedNeXt equals the published network: number of weights, names of weights, outputs; and kernels are enlarged."""

from __future__ import annotations

import re

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from napari_pytc.learning.machine.weights import load_matching
from napari_pytc.learning.networks.mednext_module import MedNeXt, build_mednext, from_published
from napari_pytc.plans.networks import MedNeXtCustomNetwork, MedNeXtNetwork
from napari_pytc.plans.networks.mednext import Kernel, Size
from tests.support.learning import space

PUBLISHED_WEIGHTS: dict[Size, tuple[int, int, int]] = {
    "S": (5_553_839, 5_983_471, 6_939_183),
    "B": (10_529_231, 10_958_863, 11_914_575),
    "M": (17_551_887, 18_263_759, 19_847_311),
    "L": (61_782_191, 62_995_823, 65_695_535),
}
"""Weights of the published code (MIC-DKFZ/MedNeXt) for one channel, three classes and kernels of 3, 5 and 7, with deep
supervision and without its unused `dummy_tensor`."""

PUBLISHED_OUTPUT = {
    (False, 3): [
        (0.3544, 0.184053, 0.234625, 0.699334),
        (-0.342547, 0.275144, -0.355958, -0.097529),
        (1.361871, 0.64249, 0.543553, 2.954383),
        (-0.10663, 0.68183, -0.274177, -0.938613),
        (-1.114305, 1.413928, -2.568102, 0.298023),
    ],
    (True, 5): [
        (-0.040886, 0.459641, -0.23366, 0.630512),
        (-1.92743, 1.308854, -0.59637, -0.962654),
        (1.282208, 2.561763, -1.011007, 7.507916),
        (-4.2208, 4.546371, -2.810424, -13.332341),
        (-6.798683, 0.579764, -6.301027, -6.61912),
    ],
}
"""Mean, standard deviation, first and last value of the five levels of the published code, with and without response
norm, for the weights and the image of `numbers`."""


def numbers(n: int, *, scale: float, step: float, start: float) -> Tensor:
    return (scale * torch.sin(step * torch.arange(n, dtype=torch.float64) + start)).float()


def published_name(name: str) -> str:
    if name.startswith("out."):
        return re.sub(r"^out\.(\d)\.", r"out_\1.conv_out.", name)
    return re.sub(r"^(enc_block|down|up|dec_block)\.(\d)\.", r"\1_\2.", name)


def published_state(network: MedNeXt) -> dict[str, Tensor]:
    """Weights as the published network names them, made of sines."""
    names = {published_name(name): tensor.shape for name, tensor in network.state_dict().items()}
    state = {
        name: numbers(shape.numel(), scale=0.3, step=1.0, start=len(name)).reshape(shape)
        for name, shape in names.items()
    }
    return {**state, "dummy_tensor": torch.ones(1)}


@pytest.mark.parametrize("size", PUBLISHED_WEIGHTS)
def test_sizes_have_the_published_number_of_weights(size: Size) -> None:
    kernels: tuple[Kernel, ...] = (3, 5, 7)
    with torch.device("meta"):
        networks = [build_mednext(MedNeXtNetwork(size=size, kernel_size=kernel), 3, space()) for kernel in kernels]

    assert tuple(sum(p.numel() for p in n.parameters()) for n in networks) == PUBLISHED_WEIGHTS[size]


@pytest.mark.parametrize(("grn", "kernel"), PUBLISHED_OUTPUT)
def test_published_weights_give_the_published_output(grn: bool, kernel: Kernel) -> None:
    settings = MedNeXtCustomNetwork(
        channels=4,
        expansion=(2, 3, 2, 2, 4, 2, 2, 3, 2),
        blocks=(1, 2, 1, 1, 1, 1, 1, 1, 1),
        kernel_size=kernel,
        grn=grn,
    )
    network = build_mednext(settings, 2, space())
    network.load_state_dict(from_published(published_state(network)))
    image = numbers(32**3, scale=1.0, step=0.7, start=torch.pi / 2).reshape(1, 1, 32, 32, 32)

    with torch.no_grad():
        levels = network.training_logits(image)

    assert [level.shape[2] for level in levels] == [32, 16, 8, 4, 2]
    for level, expected in zip(levels, PUBLISHED_OUTPUT[grn, kernel], strict=True):
        found = torch.stack([level.mean(), level.std(), level.flatten()[0], level.flatten()[-1]])
        assert torch.allclose(found, torch.tensor(expected), rtol=1e-4, atol=2e-5)


def test_published_names_map_one_to_one() -> None:
    network = build_mednext(MedNeXtCustomNetwork(channels=2, blocks=(1,) * 9, grn=True), 2, space())
    state = published_state(network)

    assert {"stem.weight", "enc_block_0.0.conv1.weight", "down_1.grn_beta", "up_3.res_conv.bias"} <= state.keys()
    assert "down_0.grn_beta" not in state
    assert from_published(state).keys() == network.state_dict().keys()


def test_strides_that_follow_the_voxels_need_the_same_weights() -> None:
    one, other = (
        build_mednext(MedNeXtCustomNetwork(channels=2, blocks=(1, 1, 1, 1, 1), strides=strides), 2, space(5.0)).eval()
        for strides in ("isotropic", "voxels")
    )
    other.load_state_dict(one.state_dict())

    with torch.no_grad():
        assert other(torch.zeros(1, 1, 3, 16, 16)).shape == (1, 2, 3, 16, 16)


def small(kernel: Kernel, **changes: object) -> MedNeXt:
    settings = MedNeXtCustomNetwork(channels=2, blocks=(1, 1, 1), kernel_size=kernel)
    return build_mednext(settings.model_copy(update=changes), 2, space())


def test_smaller_kernels_of_a_parent_are_enlarged() -> None:
    torch.manual_seed(0)
    parent, child = small(3).state_dict(), small(5)

    report = load_matching(child, child.weights_from(parent))

    assert not report.reinitialised
    name = "down.0.conv1.weight"
    expected = functional.interpolate(parent[name], size=(5, 5, 5), mode="trilinear")
    assert torch.equal(child.state_dict()[name], expected)
    assert torch.equal(child.state_dict()["stem.weight"], parent["stem.weight"])


def test_kernels_are_learnt_anew_where_that_is_wanted_or_where_they_are_larger() -> None:
    anew, shrunk = small(5, upkern=False), small(3)

    assert load_matching(anew, anew.weights_from(small(3).state_dict())).reinitialised
    assert load_matching(shrunk, shrunk.weights_from(small(5).state_dict())).reinitialised
    assert small(3).weights_from(parent := small(3).state_dict()).keys() == parent.keys()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"blocks": [1, 1, 1, 1]}, "odd length, got 4"),
        ({"blocks": [1, 1, 1], "expansion": [2, 3]}, "one for each of the 3 stages of blocks, got 2"),
        ({"blocks": [1, 0, 1]}, "at least one block"),
        ({"kernel_size": 4}, "3, 5 or 7"),
    ],
)
def test_numbers_that_make_no_network_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MedNeXtCustomNetwork.model_validate(changes)
