"""Strides, kernels and patches that follow the voxel size; without torch."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_pytc.errors import InvalidInput, ModelError
from napari_pytc.geometry import Shape, VoxelSpace
from napari_pytc.plans.networks import (
    DynUNetNetwork,
    FilterBankNetwork,
    FilterUNetNetwork,
    LeanUNetNetwork,
    NetworkSettings,
    UNetNetwork,
)
from napari_pytc.plans.networks.base import patch_of_budget, strides_and_kernels, total_stride

sizes = st.tuples(*[st.floats(1, 200)] * 3)
spaces = st.builds(VoxelSpace, sizes)
PATCHED: list[NetworkSettings] = [
    UNetNetwork(),
    UNetNetwork(full_resolution=True, channels=(8, 16, 32, 64)),
    DynUNetNetwork(),
    LeanUNetNetwork(),
    FilterUNetNetwork(),
    FilterUNetNetwork(flat=True),
]


@given(spaces, st.integers(1, 6))
def test_voxels_of_deeper_levels_become_more_cubic(space: VoxelSpace, n_levels: int) -> None:
    strides, kernels = strides_and_kernels(space, n_levels)
    assert len(strides) == len(kernels) == n_levels
    assert strides[0] == (1, 1, 1)
    size = np.array(space.voxel_size_nm)
    ratio = size.max() / size.min()
    for stride, kernel in zip(strides, kernels, strict=True):
        assert set(stride) <= {1, 2}
        assert set(kernel) <= {1, 3}
        size = size * stride
        assert size.max() / size.min() <= max(ratio, 2) + 1e-9
        ratio = size.max() / size.min()
        for edge, width in zip(size, kernel, strict=True):
            assert width == (3 if edge <= 2 * size.min() else 1)


@given(st.lists(st.tuples(*[st.integers(1, 4)] * 3), min_size=1, max_size=5))
def test_the_total_stride_is_the_product_of_all(strides: list[Shape]) -> None:
    assert total_stride(strides) == tuple(np.prod(strides, axis=0).tolist())


def test_of_no_level_the_total_stride_is_one() -> None:
    assert total_stride([]) == (1, 1, 1)


@given(
    st.tuples(*[st.sampled_from([1, 2, 4, 8])] * 3),
    st.floats(0.5, 20),
    st.sampled_from([4096, 36_864, 65_536, 131_072]),
)
def test_a_patch_is_a_multiple_of_the_stride_and_about_as_large_as_wanted(
    stride: Shape, anisotropy: float, n_voxels: int
) -> None:
    patch = patch_of_budget([(3, 3, 3)], stride, anisotropy, n_voxels)
    assert all(length % step == 0 for length, step in zip(patch, stride, strict=True))
    assert patch[0] <= max(patch[1], patch[2], stride[0])
    exact = [(n_voxels / 4 / max(anisotropy, 1)) ** (1 / 3)]
    exact += [(n_voxels / max(1, exact[0])) ** 0.5] * 2
    for length, wanted, step in zip(patch, exact, stride, strict=True):
        assert abs(length - max(wanted, step)) <= step


def test_a_network_that_never_looks_across_sections_gets_a_single_one() -> None:
    assert patch_of_budget([(1, 3, 3), (1, 3, 3)], (1, 4, 4), 10.0, 65_536)[0] == 1
    assert patch_of_budget([(1, 3, 3), (3, 3, 3)], (1, 4, 4), 10.0, 65_536)[0] > 1


@pytest.mark.parametrize("network", PATCHED, ids=lambda network: network.kind)
@settings(max_examples=15)
@given(space=st.builds(VoxelSpace, st.tuples(st.floats(4, 60), st.just(4.0), st.floats(4, 8))))
def test_every_network_has_a_patch_for_every_voxel_size(network: NetworkSettings, space: VoxelSpace) -> None:
    patch = network.patch_shape(space)
    assert all(isinstance(n, int) and n >= 1 for n in patch)
    assert 10_000 < math.prod(patch) < 4_000_000
    assert network.learns_from == "patches"


@given(spaces)
def test_a_filter_bank_learns_from_single_voxels(space: VoxelSpace) -> None:
    assert FilterBankNetwork().patch_shape(space) == (1, 1, 1)
    assert FilterBankNetwork().learns_from == "voxels"


@pytest.mark.parametrize(
    ("dimensions", "size", "dims"),
    [
        ("auto", (40, 4, 4), "2d"),
        ("auto", (12, 4, 4), "3d"),
        ("auto", (12.1, 4, 4), "2d"),
        ("auto", (4, 40, 40), "3d"),
        ("2d", (4, 4, 4), "2d"),
        ("3d", (400, 4, 4), "3d"),
    ],
)
def test_features_are_of_sections_where_these_are_thick(dimensions: str, size: tuple[float, ...], dims: str) -> None:
    assert FilterBankNetwork(dimensions=dimensions).dims(VoxelSpace(size)) == dims


def test_a_flat_u_net_takes_the_voxels_for_thick_ones() -> None:
    space = VoxelSpace((10, 5, 4), (1, 2, 3))
    assert FilterUNetNetwork().unet_space(space) == space
    assert FilterUNetNetwork(flat=True).unet_space(space) == VoxelSpace((400, 5, 4), (1, 2, 3))
    thick = VoxelSpace((1000, 5, 4))
    assert FilterUNetNetwork(flat=True).unet_space(thick) == thick
    flat, _ = FilterUNetNetwork(flat=True).unet().strides(FilterUNetNetwork(flat=True).unet_space(space))
    assert total_stride(flat)[0] == 1


def test_a_filter_u_net_hands_its_settings_to_both_parts() -> None:
    network = FilterUNetNetwork(sigmas=(1.0, 2.0), hidden=(8,), channels=(4, 8), residual_units=2, starter=True)
    assert network.bank() == FilterBankNetwork(sigmas=(1.0, 2.0), hidden=(8,), starter=True)
    assert network.unet() == UNetNetwork(channels=(4, 8), residual_units=2)


@pytest.mark.parametrize(
    ("block_nm", "size", "block"),
    [
        (0, (10, 10, 10), (2, 2, 2)),
        (40, (10, 10, 10), (4, 4, 4)),
        (80, (10, 10, 10), (8, 8, 8)),
        (0, (40, 4, 4), (1, 2, 2)),
        (16, (40, 4, 4), (1, 4, 4)),
    ],
)
def test_blocks_of_a_lean_u_net_are_at_least_two_voxels_wide(
    block_nm: float, size: tuple[float, float, float], block: Shape
) -> None:
    found, strides, kernels = LeanUNetNetwork(block_nm=block_nm).levels(VoxelSpace(size))
    assert found == block
    assert len(strides) == len(kernels) - 1 == 2


@settings(max_examples=25)
@given(block_nm=st.floats(0, 100), edge=st.floats(4, 20))
def test_a_patch_of_wide_blocks_is_as_many_blocks(block_nm: float, edge: float) -> None:
    network, space = LeanUNetNetwork(block_nm=block_nm), VoxelSpace((edge, edge, edge))
    block, _, _ = network.levels(space)
    n_blocks = math.prod(network.patch_shape(space)) / math.prod(block)
    assert 8_000 < n_blocks < 40_000


def test_an_architecture_that_says_nothing_of_patches_is_a_programmers_error() -> None:
    with pytest.raises(NotImplementedError, match="how large a patch"):
        NetworkSettings(kind="none").patch_shape(VoxelSpace())


def test_a_patch_of_a_single_deepest_voxel_is_refused_with_the_least() -> None:
    network = UNetNetwork(channels=(4, 8, 16))
    network.check_several_voxels((4, 8, 4), (4, 4, 4))
    network.check_several_voxels((1, 1, 1), (1, 1, 1))
    with pytest.raises(
        InvalidInput, match="4x4x4 is a single voxel of the deepest level of the network unet"
    ) as caught:
        network.check_several_voxels((4, 4, 4), (4, 4, 4))
    assert "4x8x8" in caught.value.hint


def test_a_patch_is_judged_as_it_is_rounded() -> None:
    UNetNetwork(channels=(4, 8, 16)).check_deepest_level((1, 8, 8), VoxelSpace((10.0, 10.0, 10.0)))
    with pytest.raises(InvalidInput, match="needs several of them in a patch"):
        UNetNetwork(channels=(4, 8, 16)).check_deepest_level((1, 4, 4), VoxelSpace((10.0, 10.0, 10.0)))


def of_one_channel(settings: NetworkSettings, n_classes: int, space: VoxelSpace) -> tuple[int]:
    """A builder as other packages wrote it before there were images of several channels."""
    return (n_classes,)


def of_any(settings: NetworkSettings, n_classes: int, space: VoxelSpace, n_channels: int) -> tuple[int, int]:
    """A builder that takes the number of channels."""
    return (n_classes, n_channels)


class Foreign(NetworkSettings):
    builds: ClassVar[str] = f"{__name__}:of_one_channel"
    kind: Literal["foreign"] = "foreign"


class ForeignOfAny(NetworkSettings):
    builds: ClassVar[str] = f"{__name__}:of_any"
    kind: Literal["foreign_of_any"] = "foreign_of_any"


def test_a_builder_without_channels_makes_networks_for_one() -> None:
    space = VoxelSpace((1, 1, 1))

    assert Foreign().build(2, space) == (2,)
    assert ForeignOfAny().build(2, space) == (2, 1)
    assert ForeignOfAny().build(2, space, 3) == (2, 3)
    with pytest.raises(ModelError, match="'foreign' reads images of one channel, got 2"):
        Foreign().build(2, space, 2)
