"""The job that lists networks with their weights, tiles and the memory of a training step."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from napari_pytc.errors import PytcError
from napari_pytc.geometry import Shape, VoxelSpace, whole_multiples
from napari_pytc.jobs.context import JobContext
from napari_pytc.learning.machine.devices import choose_device
from napari_pytc.learning.machine.memory import free_memory_bytes
from napari_pytc.learning.networks.network import Network, build_network
from napari_pytc.learning.networks.operations import multiplications_a_voxel
from napari_pytc.learning.networks.step_memory import BASIS, StepMemory, StepMemoryCounter, step_memory
from napari_pytc.learning.training.memory.step_plans import least_patch
from napari_pytc.plans.network_list import NetworksJob, all_networks, describe
from napari_pytc.plans.networks import NetworkSettings

_SMALL_IMAGE: Shape = (16, 32, 32)


def run(job: NetworksJob, ctx: JobContext) -> dict[str, Any]:
    """List networks as a job describes; see `NetworksJob` for the result."""
    networks = job.networks or all_networks()
    found = []
    for number, settings in enumerate(networks):
        ctx.check()
        ctx.report(number, len(networks), settings.kind)
        found.append(_entry(job, settings))
    device = choose_device(job.device)
    return {"networks": found, "basis": BASIS, "device": str(device), "free_bytes": free_memory_bytes(device)}


def _entry(job: NetworksJob, settings: NetworkSettings) -> dict[str, Any]:
    """What is known of a network; a number that cannot be had leaves the others as they are."""
    space, problems = VoxelSpace(job.voxel_size_nm), dict[str, None]()
    patch = least = job.patch_shape or (1, 1, 1)
    n_weights, n_multiplications = 0, 0.0
    wanted = smallest = StepMemory(0, 0, 0)
    with _noting(problems):
        multiple = settings.window_multiple(space)
        patch = whole_multiples(job.patch_shape or settings.patch_shape(space), multiple)
        least = least_patch(patch, multiple, settings.training_margin)
    with _noting(problems):
        network = build_network(settings, job.n_classes, space, job.n_inputs)
        n_weights = sum(parameter.numel() for parameter in network.parameters())
        count = _memory_counter(job, settings, space, network)
        if not problems:
            with _noting(problems):
                smallest = count(1, least)
            with _noting(problems):
                wanted = count(job.batch_size, patch)
                n_multiplications = _multiplications(settings, network, patch)
    return {
        "kind": settings.kind,
        "description": describe(settings),
        "when": settings.when,
        "parameters": n_weights,
        "tiles": settings.tiles(),
        "levels": wanted.n_levels or smallest.n_levels,
        "multiplications": round(n_multiplications),
        "patch_shape": list(patch),
        "batch_size": job.batch_size,
        "step_memory_bytes": wanted.total,
        "least_patch_shape": list(least),
        "least_memory_bytes": smallest.total,
        "settings": settings.model_dump(mode="json", exclude={"kind"}),
        "problem": "; ".join(problems),
    }


@contextmanager
def _noting(problems: dict[str, None]) -> Iterator[None]:
    """Note a problem of a network instead of ending the list."""
    try:
        yield
    except (PytcError, NotImplementedError, ImportError) as error:  # the last two of another package's network
        problems[str(error)] = None


def _memory_counter(
    job: NetworksJob, settings: NetworkSettings, space: VoxelSpace, network: Network
) -> Callable[[int, Shape], StepMemory]:
    """The function that counts the memory of a step of so many patches of a shape."""
    if settings.learns_from == "voxels":
        return lambda batch_size, shape: step_memory(settings, job.n_classes, space, job.n_inputs, batch_size)
    return StepMemoryCounter(copy.deepcopy(network)).count


def _multiplications(settings: NetworkSettings, network: Network, patch: Shape) -> float:
    """Multiplications for a voxel, where a network that computes its features gets a small image of its own."""
    return multiplications_a_voxel(network, _SMALL_IMAGE if settings.learns_from == "voxels" else patch)
