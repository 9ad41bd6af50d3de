"""From logits to probabilities, and flips of channels that have a direction."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from napari_pytc.errors import ModelError
from napari_pytc.geometry import Box, Orientation, VoxelSpace
from napari_pytc.learning.data.instance_targets import instance_targets, pair_slices
from napari_pytc.learning.machine.precision import Precision
from napari_pytc.learning.networks.network import Network
from napari_pytc.learning.prediction.activations import OutputActivation
from napari_pytc.learning.prediction.copies import channel_sources
from napari_pytc.learning.prediction.inference import Inferer
from napari_pytc.learning.prediction.window_inferer import WindowInferer
from napari_pytc.plans.networks import LeanUNetNetwork, NetworkLimits
from napari_pytc.plans.windows import Windows
from napari_pytc.volumes.roles import (
    Activation,
    AffinityRole,
    BoundaryRole,
    ClassRole,
    DescriptorRole,
    DistanceRole,
    FlowRole,
    ForegroundRole,
    InstanceDistanceRole,
)
from tests.learning.data.targets.tissue import blob
from tests.support.learning import space, tta_of

CPU = torch.device("cpu")
OFFSETS = [(-1, 0, 0), (0, -1, 0), (0, 0, 3), (0, -2, 2), (0, 2, 2), (1, -1, 0)]
ROLES = [*(AffinityRole(offset=offset) for offset in OFFSETS), BoundaryRole()]


class Pairs(Network):
    """The mean of the two voxels of each pair, which a flip must find again; the voxel itself without a partner."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        channels = []
        for offset in [*OFFSETS, (0, 0, 0)]:
            channel = image[:, 0].clone()
            voxel, partner = pair_slices(image.shape[2:], offset)
            channel[(slice(None), *voxel)] = (
                image[:, 0][(slice(None), *voxel)] + image[:, 0][(slice(None), *partner)]
            ) / 2
            channels.append(channel)
        return torch.stack(channels, dim=1)


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(1, *shape)).astype(np.float32)


def inferer(flips: bool) -> Inferer:
    limits = NetworkLimits(halo=(1, 2, 3), alignment=(1, 1, 1))
    return Inferer(Pairs(), limits, CPU, Precision(), tta=tta_of(flips), roles=ROLES)


def test_classes_add_up_to_one_and_other_channels_are_each_their_own() -> None:
    logits = torch.randn(2, 3, 4, 5).clamp(-2, 2)
    two = [ClassRole(name="a"), ClassRole(name="b")]
    assert torch.equal(OutputActivation().probabilities(logits), logits.softmax(0))
    assert torch.equal(OutputActivation(two).probabilities(logits), logits.softmax(0))
    mixed = OutputActivation([BoundaryRole(), DistanceRole(reach_nm=5)]).probabilities(logits)
    assert torch.allclose(mixed[0], logits[0].sigmoid())
    assert torch.allclose(mixed[1], (logits[1].tanh() + 1) / 2, atol=1e-6)
    assert torch.allclose(
        OutputActivation([ClassRole(name="foreground")]).probabilities(logits[:1]), logits[:1].sigmoid()
    )


def test_each_channel_has_the_activation_of_its_role() -> None:
    logits = torch.randn(6, 3, 4, 5).clamp(-2, 2)
    roles = [
        ClassRole(name="a", activation="softmax"),
        ForegroundRole(),
        ForegroundRole(erosion=(0, 1, 1), activation="scaled_sigmoid"),
        InstanceDistanceRole(activation="none"),
        ClassRole(name="b", activation="softmax"),
        BoundaryRole(activation="none"),
    ]
    found = OutputActivation(roles).probabilities(logits)
    assert torch.allclose(found[[0, 4]], logits[[0, 4]].softmax(0).clamp(min=1 / 255))
    assert torch.allclose(found[1], logits[1].sigmoid())
    assert torch.allclose(found[2], (0.2 * logits[2]).sigmoid())
    assert torch.allclose(found[3], ((logits[3] + 1) / 2).clamp(1 / 255, 1))
    assert torch.allclose(found[5], logits[5].clamp(1 / 255, 1))
    for channel in (1, 2):
        stored = float(found[channel, 0, 0, 0])
        assert roles[channel].logit(stored) == pytest.approx(float(logits[channel, 0, 0, 0]), abs=1e-4)


@pytest.mark.parametrize("endless", [math.inf, -math.inf])
def test_an_infinite_output_without_an_activation_is_an_error(endless: float) -> None:
    class Endless(Network):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            found = image.expand(-1, 2, -1, -1, -1).clone()
            found[0, 1, 1, 2, 3] = endless
            return found

    limits, image = NetworkLimits(halo=(0, 0, 0), alignment=(1, 1, 1)), noise(2, 3, 4)
    roles = [ForegroundRole(), InstanceDistanceRole(activation="none")]
    with pytest.raises(ModelError, match="not finite"):
        Inferer(Endless(), limits, CPU, Precision(), roles=roles)(image, Box.of_shape((2, 3, 4)))
    found = Inferer(Endless(), limits, CPU, Precision(), roles=roles[:1] * 2)(image, Box.of_shape((2, 3, 4)))
    assert found[1, 1, 2, 3] == (1 if endless > 0 else pytest.approx(1 / 255))  # the limit of a sigmoid


def test_channels_that_are_left_out_are_not_returned() -> None:
    limits = NetworkLimits(halo=(1, 2, 3), alignment=(1, 1, 1))
    image, whole = noise(5, 6, 7), Box((0, 0, 0), (5, 6, 7))
    for flips in (False, True):
        every = Inferer(Pairs(), limits, CPU, Precision(), tta=tta_of(flips), roles=ROLES)(image, whole)
        some = Inferer(Pairs(), limits, CPU, Precision(), tta=tta_of(flips), roles=ROLES, kept=[0, 4, 6])(image, whole)
        assert torch.equal(some, every[[0, 4, 6]])


VECTORS = [*(FlowRole(axis=axis) for axis in (0, 1, 2)), *(DescriptorRole(component=c, sigma_nm=80) for c in range(10))]


class Gradients(Network):
    """Gradients of the image, and their products: what turns with a mirror as flows and shape descriptors do."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        steps = [(image.roll(-1, axis) - image.roll(1, axis)) / 2 for axis in (2, 3, 4)]
        even = [step**2 for step in steps]
        products = [steps[a] * steps[b] for a, b in ((0, 1), (0, 2), (1, 2))]
        return torch.cat([*steps, *steps, *even, *products, image], dim=1)


def test_flips_turn_the_components_of_vectors() -> None:
    limits = NetworkLimits(halo=(1, 1, 1), alignment=(1, 1, 1))
    image, inner = noise(7, 9, 11), Box((1, 1, 1), (6, 8, 10))
    plain, flipped = (
        Inferer(Gradients(), limits, CPU, Precision(), tta=tta_of(f), roles=VECTORS) for f in (False, True)
    )
    assert torch.allclose(flipped(image, inner), plain(image, inner), atol=1e-6)
    assert flipped.limits == limits
    # A network that is told a wrong role is not the same in a mirror, so the test can fail.
    wrong = Inferer(Gradients(), limits, CPU, Precision(), tta=tta_of(True), roles=[BoundaryRole()] * len(VECTORS))
    assert not torch.allclose(wrong(image, inner)[:3], plain(image, inner)[:3], atol=1e-2)


@pytest.mark.parametrize("activation", ["tanh", "none"])
def test_flips_turn_the_logits_of_vectors(activation: Activation) -> None:
    roles = [FlowRole(axis=axis, activation=activation) for axis in (0, 1, 2)]

    class Steps(Gradients):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return super().forward(image)[:, :3] / 4

    windows, image = Windows(shape=(7, 9, 11), average="logits"), noise(7, 9, 11)
    plain, flipped = (
        WindowInferer(Steps(), windows, CPU, Precision(), tta=tta_of(flips), roles=roles).predict_box(
            lambda box: image[(slice(None), *box.slices)], Box((1, 1, 1), (6, 8, 10)), Box.of_shape((7, 9, 11))
        )
        for flips in (False, True)
    )
    assert torch.allclose(flipped, plain, atol=1e-6)
    assert plain.std() > 0.05


@pytest.mark.parametrize("axes", [[0], [1], [2], [0, 1], [0, 1, 2]])
def test_targets_of_a_mirrored_object_are_those_that_flips_expect(axes: list[int]) -> None:
    labels = np.ones((9, 12, 13), np.int32)
    labels[2:7, 2:9, 3:11] = np.where(blob((5, 7, 8)), 2, 1)
    voxels = VoxelSpace((12.0, 8.0, 8.0))
    found = instance_targets(labels, VECTORS, voxels)
    mirrored = np.flip(instance_targets(np.flip(labels, axes), VECTORS, voxels), [axis + 1 for axis in axes])
    # A flow starts at the voxel nearest to the median, of which the first counts: not the same in a mirror.
    sources = channel_sources(VECTORS, Orientation(tuple(axes)))
    for channel in range(3, len(VECTORS)):
        source = sources[channel]
        assert source is not None
        there = mirrored[channel].astype(int)
        expected = np.where(there > 0, 256 - there, 0) if source.turns else there
        assert np.abs(expected - found[channel]).max() <= 1


def test_what_was_predicted_is_never_stored_as_not_predicted() -> None:
    found = OutputActivation([BoundaryRole()]).probabilities(torch.full((1, 2, 2, 2), -50.0))
    assert (found * 255).round().min() == 1


def test_flips_of_a_symmetric_network_change_nothing() -> None:
    image, inner = noise(7, 9, 11), Box((1, 2, 3), (6, 9, 8))
    assert torch.allclose(inferer(True)(image, inner), inferer(False)(image, inner), atol=1e-6)


def test_at_the_volumes_edge_only_those_with_a_partner_count() -> None:
    image, whole = noise(5, 6, 7), Box((0, 0, 0), (5, 6, 7))
    plain, flipped = inferer(False)(image, whole), inferer(True)(image, whole)
    for channel, offset in enumerate(OFFSETS):
        voxel, _ = pair_slices(image.shape[1:], offset)
        assert torch.allclose(plain[(channel, *voxel)], flipped[(channel, *voxel)], atol=1e-6)
    assert torch.isfinite(flipped).all()


def test_the_halo_of_flips_holds_the_partners() -> None:
    assert inferer(True).limits.halo == (2, 4, 6)
    assert inferer(False).limits.halo == (1, 2, 3)


@pytest.mark.slow
@pytest.mark.parametrize("flips", [False, True])
def test_a_part_with_its_halo_is_as_in_the_whole(flips: bool) -> None:
    torch.manual_seed(0)
    network = LeanUNetNetwork(channels=(4, 8), convolutions=1).build(len(ROLES), space()).eval()
    wanted = Inferer(network, network.limits(), CPU, Precision(), tta=tta_of(flips), roles=ROLES)
    image, box = noise(48, 64, 64), Box((20, 24, 28), (25, 31, 33))
    whole = wanted(image, Box.of_shape(image.shape[1:]))
    limits = wanted.limits
    read = box.grow(limits.halo).aligned(limits.alignment).intersect(Box.of_shape(image.shape[1:]))
    part = wanted(np.ascontiguousarray(image[(slice(None), *read.slices)]), box.relative_to(read.start))
    assert read != Box.of_shape(image.shape[1:])
    assert torch.allclose(part, whole[(slice(None), *box.slices)], atol=1e-5)
