"""The job that makes a model of a checkpoint of PyTorch Connectomics.

It holds a network's weights under names with a prefix of its wrappers (``model.model.``), beside what losses and
optimisers keep. Validation scores are those of the moving average, where there was one, so that is preferred.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from napari_pytc.errors import ModelError
from napari_pytc.geometry import Shape, VoxelSpace
from napari_pytc.jobs.context import JobContext
from napari_pytc.learning.imports.stored_tensors import dtype_of, read_tensor
from napari_pytc.learning.machine.weights import load_exactly, save_weights
from napari_pytc.learning.networks.mednext_module import MedNeXt, from_published
from napari_pytc.learning.networks.network import Network, build_network
from napari_pytc.learning.prediction.tiling import training_tiling
from napari_pytc.plans.model_folder import ModelInfo, ModelOrigin, write_model_folder
from napari_pytc.plans.networks import NetworkLimits
from napari_pytc.plans.networks.base import above_one_voxel
from napari_pytc.plans.normalisation import ImageNormalisation, Normalisation
from napari_pytc.plans.plan import TrainPlan
from napari_pytc.plans.specs import ImportModelJob
from napari_pytc.plans.windows import Windows
from napari_pytc.pytc.stored_checkpoint import StoredCheckpoint, escaped, tensors_in
from napari_pytc.pytc.stored_values import ForeignObject, StoredTensor

_WRAPPERS = ("module", "_orig_mod", "model", "network", "net")
_LOSSES = ("loss_functions.", "loss_weighter.", "criterion.", "loss.")
_SUPERVISION = ("out.1.", "out.2.", "out.3.", "out.4.", "ds_heads.", "level_heads.")
_WHOLE_PROJECTION = "out.0."
_AVERAGE = "EMAWeightsCallback"
_WRONG_CONFIG = "Give the configuration that the checkpoint was trained with."
_ASSUMED_RANGE = (0.0, 255.0)


def run(job: ImportModelJob, ctx: JobContext) -> dict[str, Any]:
    """Import a checkpoint as a job describes; see `ImportModelJob` for the result.

    Raises
    ------
    ModelError
        If it is no checkpoint, is damaged, or does not fit the plan's network.
    """
    if job.folder.exists():
        raise ModelError(f"There is already something at {job.folder}.", "Choose another folder.")
    ctx.report(0, 3, f"reading {job.checkpoint.name}")
    with StoredCheckpoint(job.checkpoint) as stored:
        weights, which = _weights(stored)
        ctx.check()
        plan, network, fitting, notes = _fitted(job, stored, weights)
        ctx.report(1, 3, "reading the weights")
        tensors = {}
        for name, tensor in fitting.items():
            ctx.check()
            tensors[name] = _read(stored, name, tensor, network)
        digest = stored.digest()
        values = stored.values if isinstance(stored.values, Mapping) else {}
        foreign = stored.foreign
    load_exactly(network, tensors, f"The checkpoint {job.checkpoint.name}")
    ctx.report(2, 3, "trying the network")
    space = VoxelSpace(plan.voxel_size_nm or (1.0, 1.0, 1.0))
    _try(network.eval(), plan, space, job)
    if foreign:
        notes.append(f"Objects of other programs were left alone: {_listed(foreign)}.")
    origin = ModelOrigin(
        file=job.checkpoint.name,
        sha256=digest,
        config=job.config,
        config_hash=_config_hash(values),
        weights=which,
    )
    info = _info(job, plan, network, space, origin, _steps(values))
    write_model_folder(job.folder, info, _stand_in(plan, job.n_inputs), lambda path: save_weights(path, tensors))
    ctx.report(3, 3, "done")
    return {
        "model": info.id,
        "folder": str(job.folder),
        "weights": which,
        "parameters": sum(one.numel() for one in network.parameters()),
        "steps": info.steps,
        "sha256": digest,
        "tiling": info.tiling,
        "notes": notes,
    }


def _weights(stored: StoredCheckpoint) -> tuple[dict[str, StoredTensor], str]:
    """Names and tensors, and whether they are the moving average."""
    values = stored.values
    if isinstance(values, ForeignObject):
        raise ModelError(
            f"{stored.path} holds an object of the class {escaped(values.name)}, not weights; its code is not run.",
            "Save its state dict: torch.save({'state_dict': model.state_dict()}, FILE).",
        )
    if not isinstance(values, Mapping):
        raise ModelError(
            f"{stored.path} holds {type(values).__name__}, not a checkpoint with a state dict.",
            "Give the file that the training wrote.",
        )
    for key in ("state_dict", "model_state_dict", "model"):
        found = tensors_in(values.get(key))
        if found:
            return _with_average(values, found)
    found = tensors_in(values)
    if not found:
        keys = _listed([key if isinstance(key, str) else type(key).__name__ for key in values]) or "nothing"
        raise ModelError(f"{stored.path} has no weights: it holds {keys}.", "Give the file that the training wrote.")
    return found, "last"


def _with_average(values: Mapping[Any, Any], found: dict[str, StoredTensor]) -> tuple[dict[str, StoredTensor], str]:
    """The moving average over the weights of the last step, which has names without the first ``model.``."""
    callbacks = values.get("callbacks")
    for name, state in callbacks.items() if isinstance(callbacks, Mapping) else ():
        average = tensors_in(state.get("ema_state")) if isinstance(state, Mapping) else {}
        if average and isinstance(name, str) and name.startswith(_AVERAGE):
            return average, "moving average"
    return found, "last"


def _fitted(
    job: ImportModelJob, stored: StoredCheckpoint, weights: Mapping[str, StoredTensor]
) -> tuple[TrainPlan, Network, dict[str, StoredTensor], list[str]]:
    """The plan, its network, the tensors by the network's names, and notes."""
    plan, notes = job.plan, []
    network = _build(job, plan)
    fitting, unused = _by_name(network, weights)
    missing = [name for name in network.state_dict() if name not in fitting]
    if missing and all(name.startswith(_SUPERVISION) for name in missing):
        settings = plan.network.model_copy(update={"deep_supervision": False})
        plan = plan.model_copy(update={"network": settings, "supervision_weights": None})
        network = _build(job, plan)
        fitting, unused = _by_name(network, weights)
        missing = []
        notes.append("The checkpoint has no heads of deep supervision, so the model has none.")
    kind = plan.network.kind
    own = network.state_dict()
    fitting = {name: _of_sections(tensor, own[name].shape) for name, tensor in fitting.items()}
    for name, tensor in fitting.items():
        if tuple(own[name].shape) != tensor.shape:
            raise ModelError(
                f"The checkpoint {stored.path.name} does not fit the network {kind} of {job.config}: its tensor for "
                f"{name} has the shape {_shape(tensor.shape)}, the network's {_shape(own[name].shape)}.",
                _WRONG_CONFIG,
            )
    if missing:
        raise ModelError(
            f"The checkpoint {stored.path.name} does not fit the network {kind} of {job.config}: it lacks "
            f"{len(missing)} of {len(own)} tensors, as {missing[0]}.",
            _WRONG_CONFIG,
        )
    without_use: tuple[str, ...] = _SUPERVISION
    if isinstance(network, MedNeXt) and network.head_names:
        without_use = (*_SUPERVISION, _WHOLE_PROJECTION)
        if any(name.startswith(_WHOLE_PROJECTION) for name in unused):
            notes.append("The projection to all channels was left out: the heads stand in for it.")
    heads = [name for name in unused if name.startswith(_SUPERVISION)]
    if heads:
        notes.append(f"Heads of deep supervision were left out ({len(heads)} tensors); predictions do not use them.")
    rest = [name for name in unused if not name.startswith(without_use)]
    if rest:
        raise ModelError(
            f"The checkpoint {stored.path.name} does not fit the network {kind} of {job.config}: the network has no "
            f"tensor {escaped(rest[0])}{f' (and {len(rest) - 1} more)' if len(rest) > 1 else ''}.",
            _WRONG_CONFIG,
        )
    return plan, network, fitting, notes


def _of_sections(tensor: StoredTensor, shape: torch.Size) -> StoredTensor:
    """A kernel of sections as one of a volume that is a section thick, where the network's is."""
    if tuple(shape) != (*tensor.shape[:2], 1, *tensor.shape[2:]) or len(tensor.shape) != 4:
        return tensor
    stride = (*tensor.stride[:2], 0, *tensor.stride[2:])
    return StoredTensor(tensor.storage, tensor.offset, tuple(shape), stride)


def _build(job: ImportModelJob, plan: TrainPlan) -> Network:
    space = VoxelSpace(plan.voxel_size_nm or (1.0, 1.0, 1.0))
    return build_network(plan.network, len(plan.target.roles(job.classes, space)), space, job.n_inputs)


def _by_name(network: Network, weights: Mapping[str, StoredTensor]) -> tuple[dict[str, StoredTensor], list[str]]:
    """Tensors by the network's names, and the names of those that it does not have."""
    own = network.state_dict()
    found: dict[str, StoredTensor] = {}
    unused = []
    for name, tensor in weights.items():
        candidates = list(_candidates(name, network))
        fitting = next((one for one in candidates if one in own), None)
        if fitting is None:
            if not any(one.startswith(_LOSSES) or one.endswith("dummy_tensor") for one in (name, *candidates)):
                unused.append(candidates[-1])
        elif fitting in found:
            raise ModelError(f"The checkpoint has two tensors for {fitting}.", "Save its state dict alone.")
        else:
            found[fitting] = tensor
    return found, unused


def _candidates(name: str, network: Network) -> Iterator[str]:
    """The name as it is, and without each of the wrappers before it."""
    while True:
        renamed = name
        if isinstance(network, MedNeXt):
            renamed = next(iter(from_published({name: torch.empty(0)}, network.head_names)), name)
        yield renamed
        first, dot, rest = name.partition(".")
        if not dot or first not in _WRAPPERS:
            return
        name = rest


def _read(stored: StoredCheckpoint, name: str, tensor: StoredTensor, network: Network) -> Tensor:
    own = network.state_dict()[name]
    if dtype_of(tensor).is_floating_point != own.dtype.is_floating_point:
        raise ModelError(f"The checkpoint's tensor {name} has numbers of the type {tensor.dtype.name}.", _WRONG_CONFIG)
    found = read_tensor(stored, tensor).to(own.dtype)
    if found.dtype.is_floating_point and not bool(torch.isfinite(found).all()):
        raise ModelError(
            f"The checkpoint's tensor {name} holds numbers that are not finite: its training had failed.",
            "Give an earlier checkpoint.",
        )
    return found


def _try(network: Network, plan: TrainPlan, space: VoxelSpace, job: ImportModelJob) -> None:
    """Predict a small patch, so that a network that computes nothing is told now."""
    multiple = plan.network.window_multiple(space)
    least: Shape = (max(multiple[0], 8), max(multiple[1], 16), max(multiple[2], 16))
    shape = above_one_voxel(least, multiple)
    generator = torch.Generator().manual_seed(0)
    image = torch.rand((1, job.n_inputs, *shape), generator=generator)
    with torch.no_grad():
        logits = network(image)
    if tuple(logits.shape[2:]) != shape or not bool(torch.isfinite(logits).all()):
        raise ModelError(
            f"The network of the checkpoint {job.checkpoint.name} predicts numbers that are not finite.",
            "Give an earlier checkpoint.",
        )


def _info(
    job: ImportModelJob, plan: TrainPlan, network: Network, space: VoxelSpace, origin: ModelOrigin, steps: int
) -> ModelInfo:
    tiling = training_tiling(network, plan, space)
    return ModelInfo(
        id=job.folder.name,
        name=job.folder.name,
        recipe=plan.recipe,
        classes=tuple(role.title for role in plan.target.roles(job.classes, space)),
        parent=None,
        voxel_size_nm=space.voxel_size_nm,
        is_voxel_size_known=plan.voxel_size_nm is not None,
        limits=tiling if isinstance(tiling, NetworkLimits) else None,
        window_shape=(job.window_shape or tiling.shape) if isinstance(tiling, Windows) else None,
        n_inputs=job.n_inputs,
        steps=steps,
        plan=plan,
        origin=origin,
        prediction=job.prediction,
    )


def _stand_in(plan: TrainPlan, n_inputs: int) -> ImageNormalisation:
    """What stands in for the normalisation of the training, whose volumes nobody knows."""
    low, high = _ASSUMED_RANGE
    settings = plan.normalisation
    one = Normalisation(
        method=settings.method,
        mean=(low + high) / 2,
        std=(high - low) / math.sqrt(12),
        low=low,
        high=high,
        usual=(low, high),
        divisor=settings.divide_by if settings.method == "divide" else None,
        scaled_to=None if settings.scaled_to == (0.0, 1.0) else settings.scaled_to,
    )
    return ImageNormalisation.of([one] * n_inputs)


def _steps(values: Mapping[Any, Any]) -> int:
    for key in ("global_step", "iteration"):
        found = values.get(key)
        if isinstance(found, int) and found >= 0:
            return found
    return 0


def _config_hash(values: Mapping[Any, Any]) -> str:
    metadata = values.get("pytc_metadata")
    found = metadata.get("config_hash") if isinstance(metadata, Mapping) else None
    return escaped(found[:100]) if isinstance(found, str) else ""


def _shape(shape: tuple[int, ...] | torch.Size) -> str:
    return " x ".join(map(str, shape)) or "of a single number"


def _listed(names: tuple[str, ...] | list[str]) -> str:
    shown = [escaped(name[:60]) for name in names[:4]]
    return ", ".join(shown) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
