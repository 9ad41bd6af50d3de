"""The contract of `Network`: every architecture, and modules from elsewhere."""

from __future__ import annotations

import copy
import hashlib
import json

import pytest
import torch
from torch import Tensor, nn

from napari_pytc.errors import InvalidInput
from napari_pytc.geometry import Box, VoxelSpace
from napari_pytc.learning.networks.network import adapt, build_network, has_same_features
from napari_pytc.plans.networks import (
    DynUNetNetwork,
    FilterBankNetwork,
    FilterUNetNetwork,
    LeanUNetNetwork,
    NetworkLimits,
    NetworkSettings,
    SectionUNetNetwork,
    UNetNetwork,
)
from tests.support.learning import space

SMALL: list[NetworkSettings] = [
    UNetNetwork(channels=(4, 8)),
    DynUNetNetwork(channels=(4, 8, 8)),
    LeanUNetNetwork(channels=(4, 8)),
    SectionUNetNetwork(channels=(4, 8)),
    FilterBankNetwork(sigmas=(0.7, 1.6), hidden=(8,)),
    FilterUNetNetwork(sigmas=(0.7, 1.6), hidden=(8,), channels=(4, 8)),
]
WEIGHTS_OF_BEFORE = {
    "unet": "3c30d342e29819d3",
    "dynunet": "2c1db9e2d426a896",
    "lean_unet": "b28654409f397a57",
    "filter_bank": "d49aa21b4792f30d",
    "filter_unet": "7a27ab7f55de6ed7",
}
"""Digests of the names and shapes of all weights as version 0.1 saved them."""


def image(*shape: int) -> Tensor:
    return torch.randn(1, 1, *shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    "settings",
    [
        UNetNetwork(),
        DynUNetNetwork(),
        LeanUNetNetwork(),
        FilterBankNetwork(starter=True),
        FilterUNetNetwork(starter=True),
    ],
    ids=lambda settings: settings.kind,
)
def test_weights_have_the_names_of_models_on_disk(settings: NetworkSettings) -> None:
    state = build_network(settings, 2, VoxelSpace((40, 10, 10))).state_dict()
    names = [[name, list(tensor.shape)] for name, tensor in state.items()]

    assert hashlib.sha256(json.dumps(names).encode()).hexdigest()[:16] == WEIGHTS_OF_BEFORE[settings.kind]


@pytest.mark.parametrize("settings", SMALL, ids=lambda settings: settings.kind)
def test_a_box_is_that_of_the_whole(settings: NetworkSettings) -> None:
    torch.manual_seed(0)
    network = build_network(settings, 2, space()).eval()
    shown, inner = image(16, 32, 32), Box((3, 8, 5), (11, 20, 32))

    with torch.no_grad():
        found, whole = network.forward_inner(shown, inner), network(shown)

    assert torch.allclose(found, whole[(..., *inner.slices)], atol=1e-4)


@pytest.mark.parametrize("settings", SMALL, ids=lambda settings: settings.kind)
def test_it_answers_what_a_training_asks(settings: NetworkSettings) -> None:
    torch.manual_seed(0)
    network = build_network(settings, 3, space()).train()

    logits = network.training_logits(image(16, 32, 32))

    assert len(logits) == (2 if settings.kind == "dynunet" else 1)
    z, y, x = settings.training_margin
    assert {level.shape for level in logits} == {(1, 3, 16 - 2 * z, 32 - 2 * y, 32 - 2 * x)}
    assert network.is_float32_only == (settings.kind == "filter_bank")
    assert (network.feature_bank is None) == (not settings.kind.startswith("filter"))
    copy.deepcopy(network)


def test_logits_of_features_are_those_of_the_image() -> None:
    torch.manual_seed(0)
    network = build_network(SMALL[-1], 2, space()).eval()
    bank = network.feature_bank
    assert bank is not None

    with torch.no_grad():
        found = network.logits_of_features(bank.features(image(8, 16, 16)))

        assert torch.allclose(found, network(image(8, 16, 16)), atol=1e-4)
        bank_alone = copy.deepcopy(network)
        bank_alone.load_state_dict({**network.state_dict(), **network.bank_alone()})
        assert torch.allclose(bank_alone(image(8, 16, 16)), bank(image(8, 16, 16)), atol=1e-4)


def test_a_bank_is_taken_over_where_it_fits() -> None:
    torch.manual_seed(0)
    network = build_network(SMALL[-1], 2, space())
    same = build_network(FilterBankNetwork(sigmas=(0.7, 1.6), hidden=(8,)), 2, space())
    other = build_network(FilterBankNetwork(sigmas=(0.7, 1.6), hidden=(4,)), 2, space())
    assert network.feature_bank is not None
    before = copy.deepcopy(network.feature_bank.state_dict())

    assert not network.load_bank(other.state_dict())
    assert all(torch.equal(before[name], tensor) for name, tensor in network.feature_bank.state_dict().items())
    assert network.load_bank(same.state_dict())
    assert all(torch.equal(same.state_dict()[n], tensor) for n, tensor in network.feature_bank.state_dict().items())
    assert not build_network(SMALL[0], 2, space()).load_bank(same.state_dict())
    assert has_same_features(network, same)
    assert not has_same_features(network, build_network(SMALL[0], 2, space()))


class Doubled(nn.Module):
    """A module as another package would write it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv3d(1, 2, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        return 2 * self.conv(image)


def test_what_is_no_module_is_refused_in_a_sentence() -> None:
    with pytest.raises(InvalidInput, match=r"must be a torch.nn.Module, got a tuple"):
        adapt((1, 2))  # type: ignore[arg-type]


def test_a_module_from_elsewhere_is_adapted_and_keeps_its_weights() -> None:
    module = Doubled()
    shown, expected = image(4, 8, 8), None
    with torch.no_grad():
        expected = module(shown)
    names = list(module.state_dict())

    network = adapt(module)

    assert adapt(network) is network
    assert list(network.state_dict()) == names == ["conv.weight", "conv.bias"]
    assert network.limits() == NetworkLimits(halo=(1, 1, 1), alignment=(1, 1, 1))
    assert network.tile_memory(network.limits(), 2).computed >= 4 + 8 * 2
    for one in (network, copy.deepcopy(network)):
        with torch.no_grad():
            assert torch.equal(one(shown), expected)
            assert torch.equal(one.forward_inner(shown, Box((1, 2, 3), (2, 4, 8))), expected[..., 1:2, 2:4, 3:8])
    with pytest.raises(NotImplementedError, match="Doubled has no fixed features"):
        network.logits_of_features(shown)


@pytest.mark.parametrize("settings", SMALL, ids=lambda settings: settings.kind)
def test_an_image_of_several_channels_is_taken_whole(settings: NetworkSettings) -> None:
    torch.manual_seed(0)
    network = build_network(settings, 2, space(), n_inputs=3).eval()
    shown = torch.randn(2, 3, 16, 32, 32, generator=torch.Generator().manual_seed(0))
    inner = Box((3, 8, 5), (11, 20, 32))

    with torch.no_grad():
        whole, found = network(shown), network.forward_inner(shown, inner)
        others = [network(_changed(shown, channel)) for channel in range(3)]

    assert network.n_inputs == copy.deepcopy(network).n_inputs == 3
    assert whole.shape == (2, 2, 16, 32, 32)
    assert torch.allclose(found, whole[(..., *inner.slices)], atol=1e-4)
    assert all(not torch.allclose(other, whole, atol=1e-4) for other in others)
    limits = network.limits()
    assert limits == build_network(settings, 2, space()).eval().limits()
    memory, alone = (one.tile_memory(limits, 2) for one in (network, build_network(settings, 2, space())))
    assert memory.computed > alone.computed
    assert memory.read == 3 * alone.read


def _changed(image: Tensor, channel: int) -> Tensor:
    other = image.clone()
    other[:, channel] += 1.0 + torch.arange(image.shape[-1]) % 3
    return other


def test_the_filters_of_each_channel_are_concatenated_and_the_starter_sees_the_first() -> None:
    settings = FilterBankNetwork(sigmas=(0.7, 1.6, 3.5), hidden=(8,), starter=True)
    bank = build_network(settings, 2, space(), n_inputs=2).feature_bank
    alone = build_network(settings, 2, space()).feature_bank
    assert bank is not None
    assert alone is not None
    shown = torch.randn(1, 2, 16, 32, 32, generator=torch.Generator().manual_seed(0))
    n_starter = 16
    n_filters = alone.n_features - n_starter

    both, first, second = bank.features(shown), alone.features(shown[:, :1]), alone.features(shown[:, 1:])

    assert bank.n_features == 2 * n_filters + n_starter
    assert torch.equal(both[:, :n_filters], first[:, :n_filters])
    assert torch.equal(both[:, n_filters : 2 * n_filters], second[:, :n_filters])
    assert torch.equal(both[:, 2 * n_filters :], first[:, n_filters:])
    assert not bank.has_features_of(alone)
    with torch.no_grad():
        logits = bank.classify(both[0].flatten(1).T).T.reshape(2, 16, 32, 32)
        assert torch.allclose(bank(shown)[0], logits, atol=1e-4)
