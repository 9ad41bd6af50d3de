"""From logits to probabilities, and flips of channels that have a direction."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from napari_pytc.geometry import Box
from napari_pytc.learning.answers import Answers, Taken
from napari_pytc.learning.arithmetic import Arithmetic
from napari_pytc.learning.inference import Inferer
from napari_pytc.learning.instance_targets import pair_slices
from napari_pytc.learning.networks import LeanUNetNetwork, NetworkLimits
from napari_pytc.learning.networks.limits import measure_limits
from napari_pytc.volumes.channels import AffinityRole, BoundaryRole, ClassRole, DistanceRole
from tests.support.learning import space

CPU = torch.device("cpu")
OFFSETS = [(-1, 0, 0), (0, -1, 0), (0, 0, 3), (0, -2, 2), (0, 2, 2), (1, -1, 0)]
ROLES = [*(AffinityRole(offset=offset) for offset in OFFSETS), BoundaryRole()]


class Pairs(nn.Module):
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
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def inferer(flips: bool) -> Inferer:
    limits = NetworkLimits(halo=(1, 2, 3), alignment=(1, 1, 1))
    return Inferer(Pairs(), limits, CPU, Arithmetic(), flips=flips, roles=ROLES)


def test_classes_add_up_to_one_and_other_channels_are_each_their_own() -> None:
    logits = torch.randn(2, 3, 4, 5).clamp(-2, 2)
    two = [ClassRole(name="a"), ClassRole(name="b")]
    assert torch.equal(Answers().probabilities(logits), logits.softmax(0))
    assert torch.equal(Answers(two).probabilities(logits), logits.softmax(0))
    mixed = Answers([BoundaryRole(), DistanceRole(reach_nm=5)]).probabilities(logits)
    assert torch.allclose(mixed[0], logits[0].sigmoid())
    assert torch.allclose(mixed[1], (logits[1].tanh() + 1) / 2, atol=1e-6)
    assert torch.allclose(Answers([ClassRole(name="foreground")]).probabilities(logits[:1]), logits[:1].sigmoid())


def test_what_was_predicted_is_never_stored_as_not_predicted() -> None:
    found = Answers([BoundaryRole()]).probabilities(torch.full((1, 2, 2, 2), -50.0))
    assert (found * 255).round().min() == 1


def test_a_mirrored_channel_answers_at_its_partner() -> None:
    taken = Answers(ROLES).mirrored([0])
    assert taken[0] == Taken(0, (-1, 0, 0))
    assert taken[1:5] == [Taken(n, (0, 0, 0)) for n in range(1, 5)]
    assert taken[5] is None  # its mirror image is no channel
    assert taken[6] == Taken(6, (0, 0, 0))


def test_a_diagonal_finds_the_one_that_it_becomes() -> None:
    taken = Answers(ROLES).mirrored([1])
    assert taken[3] == Taken(4, (0, 0, 0))
    assert taken[4] == Taken(3, (0, 0, 0))
    taken = Answers(ROLES).mirrored([2])
    assert taken[3] == Taken(4, (0, -2, 2))
    assert taken[4] == Taken(3, (0, 2, 2))
    assert Answers(ROLES).mirrored([1, 2])[4] == Taken(4, (0, 2, 2))


def test_flips_of_a_symmetric_network_change_nothing() -> None:
    image, inner = noise(7, 9, 11), Box((1, 2, 3), (6, 9, 8))
    assert torch.allclose(inferer(True)(image, inner), inferer(False)(image, inner), atol=1e-6)


def test_at_the_volumes_edge_only_those_with_a_partner_are_asked() -> None:
    image, whole = noise(5, 6, 7), Box((0, 0, 0), (5, 6, 7))
    plain, flipped = inferer(False)(image, whole), inferer(True)(image, whole)
    for channel, offset in enumerate(OFFSETS):
        voxel, _ = pair_slices(image.shape, offset)
        assert torch.allclose(plain[(channel, *voxel)], flipped[(channel, *voxel)], atol=1e-6)
    assert torch.isfinite(flipped).all()


def test_the_halo_of_flips_holds_the_partners() -> None:
    assert inferer(True).limits.halo == (2, 4, 6)
    assert inferer(False).limits.halo == (1, 2, 3)
    limits = NetworkLimits(halo=(4, 8, 8), alignment=(2, 8, 8))
    assert Answers(ROLES).with_reach(limits).halo == (6, 16, 16)
    assert Answers([BoundaryRole()]).with_reach(limits) == limits


@pytest.mark.parametrize("flips", [False, True])
def test_a_part_with_its_halo_is_as_in_the_whole(flips: bool) -> None:
    torch.manual_seed(0)
    network = LeanUNetNetwork(channels=(4, 8), convolutions=1).build(len(ROLES), space()).eval()
    wanted = Inferer(network, measure_limits(network), CPU, Arithmetic(), flips=flips, roles=ROLES)
    image, box = noise(48, 64, 64), Box((20, 24, 28), (25, 31, 33))
    whole = wanted(image, Box.of_shape(image.shape))
    limits = wanted.limits
    read = box.grow(limits.halo).aligned(limits.alignment).intersect(Box.of_shape(image.shape))
    part = wanted(np.ascontiguousarray(image[read.slices]), box.relative_to(read.start))
    assert read != Box.of_shape(image.shape)
    assert torch.allclose(part, whole[(slice(None), *box.slices)], atol=1e-5)
