"""The job that lists networks with their weights, tiles and the memory of a training step."""

from __future__ import annotations

from typing import Any

from napari_pytc.errors import PytcError
from napari_pytc.geometry import Shape, VoxelSpace
from napari_pytc.jobs.context import JobContext
from napari_pytc.learning.machine.devices import choose_device
from napari_pytc.learning.machine.memory import free_memory_bytes
from napari_pytc.learning.networks.network import build_network
from napari_pytc.learning.networks.step_memory import BASIS, StepMemory, StepMemoryCounter, step_memory
from napari_pytc.learning.training.step_plans import least_patch, whole_multiples
from napari_pytc.plans.network_list import NetworksJob, all_networks, describe
from napari_pytc.plans.networks import NetworkSettings


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
    space = VoxelSpace(job.voxel_size_nm)
    patch = least = job.patch_shape or (1, 1, 1)
    problem, memory, smallest = "", StepMemory(0, 0), StepMemory(0, 0)
    try:
        multiple = settings.window_multiple(space)
        patch = whole_multiples(job.patch_shape or settings.patch_shape(space), multiple)
        least = least_patch(patch, multiple)
        memory, smallest = _memory(job, settings, space, patch, least)
    except (PytcError, NotImplementedError) as error:  # the latter of another package's network
        problem = str(error)
    return {
        "kind": settings.kind,
        "description": describe(settings),
        "parameters": memory.n_weights,
        "tiles": settings.tiles(),
        "patch_shape": list(patch),
        "batch_size": job.batch_size,
        "step_memory_bytes": memory.total,
        "least_patch_shape": list(least),
        "least_memory_bytes": smallest.total,
        "settings": settings.model_dump(mode="json", exclude={"kind"}),
        "problem": problem,
    }


def _memory(
    job: NetworksJob, settings: NetworkSettings, space: VoxelSpace, patch: Shape, least: Shape
) -> tuple[StepMemory, StepMemory]:
    """Memory of a step as it is wanted, and of the smallest one."""
    if settings.learns_from == "voxels":
        both = [step_memory(settings, job.n_classes, space, job.n_inputs, n) for n in (job.batch_size, 1)]
        return both[0], both[1]
    counter = StepMemoryCounter(build_network(settings, job.n_classes, space, job.n_inputs))
    return counter.count(job.batch_size, patch), counter.count(1, least)
