"""The job that counts the memory of a training step before the training begins."""

from __future__ import annotations

import copy
from typing import Any

import torch

from napari_pytc.errors import InvalidInput, OutOfMemory, PytcError
from napari_pytc.geometry import VoxelSpace
from napari_pytc.jobs.context import JobContext
from napari_pytc.learning.machine.devices import choose_device
from napari_pytc.learning.machine.memory import free_memory_bytes
from napari_pytc.learning.machine.oom_fallback import MemoryPlan
from napari_pytc.learning.networks.network import Network, build_network
from napari_pytc.learning.networks.step_memory import StepMemoryCounter, step_memory
from napari_pytc.learning.prediction.tiling import training_tiling
from napari_pytc.learning.training.memory.step_plans import fitting_plans
from napari_pytc.learning.training.steps.loop import memory_plans
from napari_pytc.plans.model_folder import read_model_info
from napari_pytc.plans.plan import TrainPlan
from napari_pytc.plans.specs import StepMemoryJob
from napari_pytc.plans.targets import AnyTarget


def run(job: StepMemoryJob, ctx: JobContext) -> dict[str, Any]:
    """Count the memory of a step as a job describes; see `StepMemoryJob` for the result."""
    plan = job.plan
    found = {
        "needed_bytes": 0, "free_bytes": 0, "device": "", "device_name": "", "step": "", "begins_with": "",
        "problem": "", "hint": "",
    }  # fmt: skip
    try:
        device = choose_device(plan.device)
        found |= {"device": str(device), "device_name": _name(device), "free_bytes": free_memory_bytes(device)}
        found |= _step(job, str(device), ctx)
    except PytcError as error:
        found |= {"problem": error.message, "hint": error.hint}
    except (NotImplementedError, ImportError) as error:  # of another package's network
        found |= {"problem": str(error)}
    return found


def _step(job: StepMemoryJob, device: str, ctx: JobContext) -> dict[str, Any]:
    """What a step needs, and how the training would begin."""
    plan, space = job.plan, _space(job)
    if plan.patch_shape is not None:
        plan.network.check_deepest_level(plan.patch_shape, space)
    target = plan.target.of_classes(job.classes)
    target.check_patch(plan.patch_shape or plan.network.patch_shape(space))
    n_outputs = len(target.roles(job.classes, space))
    if plan.network.learns_from == "voxels":
        needed = step_memory(plan.network, n_outputs, space, job.n_inputs, plan.batch_size).total
        return {"needed_bytes": needed, "step": f"{plan.batch_size} thousand voxels"}

    def build() -> Network:
        return build_network(plan.network, n_outputs, space, job.n_inputs)

    parent = _distilled(job, target)
    counter = StepMemoryCounter(build(), copy.deepcopy(parent))
    ctx.check()
    # The alignment of exact tiles takes seconds to measure and decides little: what fits anyway does not wait for it.
    wanted = MemoryPlan(plan.batch_size, plan.patch(space, plan.network.window_multiple(space)), device)
    try:
        needed = counter.count(wanted.batch_size, wanted.shape).total
        if needed <= free_memory_bytes(device):
            return {"needed_bytes": needed, "step": str(wanted)}
    except InvalidInput:
        if plan.network.tiles() != "exact":
            raise
    ctx.check()
    return _fallback(plan, space, build(), parent, counter)


def _distilled(job: StepMemoryJob, target: AnyTarget) -> Network | None:
    """The parent's network, with random weights, where the training would distil it; see `load_distilled_model`."""
    if job.parent is None or not job.plan.distil_weight:
        return None
    info = read_model_info(job.parent)
    space = VoxelSpace(info.voxel_size_nm)
    if info.plan.target.roles(info.classes, space) != target.roles(job.classes, _space(job)):
        return None
    if info.plan.normalisation != job.plan.normalisation:
        return None
    return build_network(info.plan.network, len(info.classes), space, info.n_inputs)


def _fallback(
    plan: TrainPlan, space: VoxelSpace, network: Network, parent: Network | None, counter: StepMemoryCounter
) -> dict[str, Any]:
    """How a training begins that does not fit as it is wanted, or whose patch has to be rounded up first."""
    plans = memory_plans(plan, space, training_tiling(network, plan, space))
    needed = counter.count(plans[0].batch_size, plans[0].shape).total
    found = {"needed_bytes": needed, "step": str(plans[0])}
    try:
        first, *_ = fitting_plans(network, plans, lambda _: None, free_memory_bytes, parent)
    except OutOfMemory as error:
        return {**found, "problem": error.message, "hint": error.hint}
    return {**found, "begins_with": "" if first == plans[0] else str(first)}


def _space(job: StepMemoryJob) -> VoxelSpace:
    """The voxels that the network would learn; of volumes that differ, those of the volume in the job."""
    wanted = job.plan.voxel_size_nm
    if wanted is None and job.parent is not None:
        wanted = read_model_info(job.parent).known_voxel_size_nm
    return job.space if wanted is None else VoxelSpace(wanted)


def _name(device: torch.device) -> str:
    """Name of a graphics card; empty for other devices."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else ""
