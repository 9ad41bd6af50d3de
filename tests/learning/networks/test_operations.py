"""Multiplications of a network for each voxel of its prediction."""

from __future__ import annotations

import pytest
from torch import nn

from napari_pytc.geometry import VoxelSpace
from napari_pytc.learning.networks.network import adapt, build_network
from napari_pytc.learning.networks.operations import multiplications_a_voxel
from napari_pytc.plans.networks import FilterUNetNetwork, SectionUNetNetwork, UNetNetwork

SPACE = VoxelSpace((10, 10, 10))


def test_a_convolution_multiplies_each_weight_at_each_voxel() -> None:
    network = adapt(nn.Conv3d(1, 3, 5, padding="same"))
    assert multiplications_a_voxel(network, (4, 8, 8)) == pytest.approx(3 * 125)


def test_a_wider_network_multiplies_more_and_the_size_of_the_image_does_not_matter() -> None:
    narrow, wide = (build_network(UNetNetwork(channels=(n, 2 * n)), 2, SPACE) for n in (4, 8))
    small = multiplications_a_voxel(narrow, (8, 16, 16))
    assert multiplications_a_voxel(narrow, (16, 32, 32)) == pytest.approx(small)
    assert multiplications_a_voxel(wide, (8, 16, 16)) > 2 * small


@pytest.mark.parametrize("settings", [FilterUNetNetwork(sigmas=(0.7, 1.6), channels=(4, 8)), SectionUNetNetwork()])
def test_filters_and_sections_are_counted(settings: FilterUNetNetwork | SectionUNetNetwork) -> None:
    assert multiplications_a_voxel(build_network(settings, 2, SPACE), (8, 32, 32)) > 100
