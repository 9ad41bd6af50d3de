"""The memory of a training step, counted beforehand, beside what a step takes."""

from __future__ import annotations

import multiprocessing
import re
import sys
from pathlib import Path

import psutil
import pytest
import torch

from napari_pytc.errors import InvalidInput
from napari_pytc.geometry import Shape
from napari_pytc.learning.networks.network import build_network
from napari_pytc.learning.networks.step_memory import StepMemoryCounter, step_memory
from napari_pytc.plans.networks import (
    FilterBankNetwork,
    FilterUNetNetwork,
    MedNeXtCustomNetwork,
    NetworkSettings,
    UNet3DNetwork,
    UNetNetwork,
)
from tests.support.learning import space


def test_more_patches_and_larger_ones_take_more() -> None:
    counter = StepMemoryCounter(build_network(UNetNetwork(channels=(4, 8)), 2, space()))

    one, two, large = (counter.count(n, (8, side, side)).total for n, side in ((1, 16), (2, 16), (1, 32)))

    assert one < two < large
    assert counter.n_weights > 1000


def test_recomputing_takes_less() -> None:
    settings = MedNeXtCustomNetwork(channels=8, blocks=(2, 2, 2, 2, 2))
    plain, recomputed = (
        step_memory(settings.model_copy(update={"checkpointing": on}), 2, space(), 1, 2, (16, 32, 32)).total
        for on in (False, True)
    )

    assert recomputed < 0.75 * plain


def test_networks_with_fixed_features_are_counted_too() -> None:
    bank = step_memory(FilterBankNetwork(sigmas=(0.7, 1.6), hidden=(8,)), 2, space(), 1, 1)
    unet = step_memory(FilterUNetNetwork(sigmas=(0.7, 1.6), hidden=(8,), channels=(4, 8)), 2, space(), 2, 1)

    assert 0 < bank.total < unet.total
    assert bank.n_weights > 0


@pytest.mark.parametrize(
    "settings", [UNetNetwork(channels=(4, 8)), FilterUNetNetwork(sigmas=(0.7, 1.6), hidden=(8,), channels=(4, 8))]
)
def test_a_parent_that_is_distilled_counts(settings: NetworkSettings) -> None:
    alone, large = (8, 32, 32), (8, 64, 64)
    plain = StepMemoryCounter(build_network(settings, 2, space()))
    both = StepMemoryCounter(build_network(settings, 2, space()), build_network(settings, 2, space()))

    more, more_if_large = (both.count(1, shape).total - plain.count(1, shape).total for shape in (alone, large))

    assert more >= 4 * plain.n_weights + 4 * 4 * 2 * 8 * 32 * 32  # its weights, and logits of two channels
    assert more_if_large > more
    assert both.count(1, alone).n_weights == plain.n_weights


def test_a_parent_that_computes_other_features_holds_them_too() -> None:
    settings = FilterUNetNetwork(sigmas=(0.7, 1.6), hidden=(8,), channels=(4, 8))
    other = FilterUNetNetwork(sigmas=(0.7, 3.2), hidden=(8,), channels=(4, 8))
    counts = []
    for parent in (settings, other):
        counter = StepMemoryCounter(build_network(settings, 2, space()), build_network(parent, 2, space()))
        counts.append(counter._of_parent(1, (8, 32, 32))[1])

    assert counts[0] < counts[1]


def test_a_patch_that_the_parent_does_not_take_is_told() -> None:
    parent = build_network(MedNeXtCustomNetwork(channels=2, blocks=(1, 1, 1, 1, 1)), 2, space())
    counter = StepMemoryCounter(build_network(UNetNetwork(channels=(2, 4)), 2, space()), parent)

    with pytest.raises(
        InvalidInput, match="The parent, which is distilled, takes no patches of 6x6x6 voxels"
    ) as caught:
        counter.count(1, (6, 6, 6))
    assert "distil_weight=0" in caught.value.hint


def test_a_patch_that_the_network_does_not_take_is_told() -> None:
    with pytest.raises(InvalidInput, match="takes no patches of 3x5x5 voxels"):
        step_memory(MedNeXtCustomNetwork(channels=2, blocks=(1, 1, 1)), 2, space(), 1, 1, (3, 5, 5))


def _measure(settings: NetworkSettings, shape: Shape, answer: multiprocessing.SimpleQueue[int]) -> None:
    """Most memory of three steps beside that of the process before."""
    torch.set_num_threads(1)
    small = build_network(UNetNetwork(channels=(4, 8)), 2, space())
    small(torch.zeros(1, 1, 8, 16, 16)).sum().backward()  # what torch needs itself
    before = psutil.Process().memory_info().rss
    network = build_network(settings, 2, space()).train()
    average = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    optimiser = torch.optim.AdamW(network.parameters())
    image, labels = torch.randn(2, 1, *shape), torch.randint(0, 2, (2, *shape))
    for _ in range(2):
        loss = sum(
            torch.nn.functional.cross_entropy(torch.nn.functional.interpolate(level, size=shape), labels)
            for level in network.training_logits(image)
        )
        loss.backward()  # type: ignore[union-attr]
        optimiser.step()
        optimiser.zero_grad()
    assert average
    answer.put(_highest() - before)


def _highest() -> int:
    """Most memory of this process in bytes; that of getrusage begins with its parent's."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return 1024 * int(re.search(r"VmHWM:\s+(\d+) kB", status)[1])  # type: ignore[index]


FACTOR = 2.0
"""By how much the projection may differ from what a step takes on a CPU: older ones take up to half more."""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="/proc is of Linux")
@pytest.mark.parametrize(
    ("settings", "shape"),
    [
        (UNet3DNetwork(channels=(16, 24, 32)), (16, 64, 64)),
        (MedNeXtCustomNetwork(channels=16, blocks=(1, 1, 1, 1, 1), expansion=(2,)), (16, 64, 64)),
    ],
    ids=["unet_3d", "mednext_custom"],
)
def test_the_projection_is_near_the_measured_peak(settings: NetworkSettings, shape: Shape) -> None:
    context = multiprocessing.get_context("spawn")
    answer = context.SimpleQueue()
    process = context.Process(target=_measure, args=(settings, shape, answer))
    process.start()
    process.join()
    assert process.exitcode == 0
    measured, projected = answer.get(), step_memory(settings, 2, space(), 1, 2, shape).total

    assert measured / FACTOR < projected < measured * FACTOR, (projected, measured)
