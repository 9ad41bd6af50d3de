"""Tiles as large as the memory allows, in whole chunks."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from napari_pytc.learning.networks.network import TileMemory
from napari_pytc.learning.prediction.tile_shape import CHUNK, fit_tile
from napari_pytc.plans.networks import (
    DynUNetNetwork,
    FilterBankNetwork,
    FilterUNetNetwork,
    NetworkLimits,
    UNetNetwork,
)
from tests.support.learning import space

LIMITS = NetworkLimits(halo=(4, 16, 16), alignment=(1, 4, 4))
GIB = 2**30


def read_voxels(tile, volume, halo) -> int:
    return math.prod(n if t >= n else min(n, t + 2 * h) for t, n, h in zip(tile, volume, halo, strict=True))


@given(
    volume=st.tuples(st.integers(1, 5000), st.integers(1, 50_000), st.integers(1, 50_000)),
    voxel_bytes=st.floats(4, 4000),
    free=st.integers(0, 64 * GIB),
    alignment=st.sampled_from([(1, 1, 1), (1, 4, 4), (4, 8, 8), (3, 3, 3)]),
)
def test_a_tile_is_whole_chunks_and_fits_unless_it_is_the_smallest(volume, voxel_bytes, free, alignment) -> None:
    limits = NetworkLimits(halo=(4, 16, 16), alignment=alignment)
    tile = fit_tile(volume, limits, TileMemory(voxel_bytes, limits.halo), free)
    unit = [math.lcm(c, a) for c, a in zip(CHUNK, alignment, strict=True)]
    assert all(t % u == 0 and t >= u for t, u in zip(tile, unit, strict=True))
    assert all(t < n + u for t, n, u in zip(tile, volume, unit, strict=True))
    fits = read_voxels(tile, volume, limits.halo) * voxel_bytes <= 0.25 * free
    assert fits or list(tile) == unit


def test_more_memory_never_means_smaller_tiles() -> None:
    sizes = [
        math.prod(fit_tile((2000, 9000, 9000), LIMITS, TileMemory(1000, LIMITS.halo), n * GIB))
        for n in (0, 1, 2, 4, 8, 64)
    ]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[-1]


def test_a_small_volume_is_one_tile() -> None:
    tile = fit_tile((20, 200, 90), LIMITS, TileMemory(100, LIMITS.halo), 8 * GIB)
    assert all(t >= n for t, n in zip(tile, (20, 200, 90), strict=True))


@pytest.mark.parametrize(
    "settings",
    [
        UNetNetwork(channels=(4, 8)),
        DynUNetNetwork(channels=(4, 8, 8)),
        FilterBankNetwork(sigmas=(0.7, 1.6)),
        FilterUNetNetwork(),
    ],
    ids=lambda settings: settings.kind,
)
def test_memory_of_a_voxel_is_estimated_without_changing_the_network(settings) -> None:
    network = settings.build(3, space(2)).eval()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    estimate = network.tile_memory(network.limits(), 3).computed
    assert 4 + 8 * 3 < estimate < 5000
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    assert not any(module._forward_hooks for name, module in network.named_modules() if name)


def test_wider_networks_take_more() -> None:
    narrow, wide = (UNetNetwork(channels=(n, 2 * n)).build(2, space()).eval() for n in (4, 16))
    limits = narrow.limits()
    assert wide.tile_memory(limits, 2).computed > 1.5 * narrow.tile_memory(limits, 2).computed


def test_a_halo_that_is_only_looked_at_takes_little() -> None:
    filters = FilterBankNetwork().build(2, space()).eval()
    limits = filters.limits()
    memory = filters.tile_memory(limits, 2)
    assert memory.halo == (0, 0, 0)
    assert memory.read < memory.computed / 3
    everywhere = TileMemory(memory.computed, limits.halo)
    volume = (64, 4096, 4096)
    small, large = (math.prod(fit_tile(volume, limits, m, 4 * GIB)) for m in (everywhere, memory))
    assert large > small


def test_a_tile_is_never_so_large_that_a_job_seems_to_stand_still() -> None:
    assert math.prod(fit_tile((512, 4096, 4096), LIMITS, TileMemory(1, LIMITS.halo), 64 * GIB)) <= 2**23
