"""What live learning leaves on the disk: the best model, and the state to go on from."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from napari_pytc.durable import write_text_durably
from napari_pytc.errors import ModelError
from napari_pytc.geometry import VoxelSpace
from napari_pytc.jobs.context import JobContext
from napari_pytc.learning.checkpoints import TrainingState, load_training_state, save_training_state
from napari_pytc.learning.config import TrainPlan
from napari_pytc.learning.live.job import LiveJob
from napari_pytc.learning.live.strokes import Anchor
from napari_pytc.learning.model import TrainedModel
from napari_pytc.learning.model_folder import ModelInfo, write_model_folder
from napari_pytc.learning.networks import NetworkLimits
from napari_pytc.learning.normalisation import Normalisation
from napari_pytc.learning.weights import save_weights

_STROKES = "strokes.json"


@dataclass(frozen=True)
class KeptModel:
    """All that a model folder needs beside what the job says."""

    plan: TrainPlan
    weights: dict[str, Tensor]
    limits: NetworkLimits
    normalisation: Normalisation
    steps: int
    seconds: float
    precision: str
    n_annotated: dict[str, int]
    scores: dict[str, Any]


def info_of(job: LiveJob, model: KeptModel, parent: str | None) -> ModelInfo:
    """What is said of a model beside its weights."""
    folder = job.model_folder
    return ModelInfo(
        id=folder.name,
        name=folder.name,
        recipe="live",
        classes=job.classes,
        parent=parent,
        voxel_size_nm=job.voxel_size_nm,
        limits=model.limits,
        seconds=round(model.seconds, 2),
        steps=model.steps,
        n_annotated=model.n_annotated,
        precision=model.precision,
        plan=model.plan,
        scores=model.scores,
    )


def network_of(info: ModelInfo, model: KeptModel) -> TrainedModel:
    """A model that is not on the disk yet, ready to be used."""
    network = info.plan.network.build(len(info.classes), VoxelSpace(info.voxel_size_nm))
    network.load_state_dict(model.weights)
    return TrainedModel(info, network.eval(), model.limits, model.normalisation, fingerprint="")


def keep_model(job: LiveJob, info: ModelInfo, model: KeptModel) -> None:
    """Write a model's folder, completely or not at all."""
    folder = job.model_folder
    if not folder.parent.parent.is_dir():
        raise ModelError(
            f"The project folder {folder.parent.parent} was deleted or moved while live learning ran.",
            "Put it back where it was, then switch Live on again.",
        )
    write_model_folder(folder, info, model.normalisation, lambda path: save_weights(path, model.weights))


def fingerprint_of(job: LiveJob, shape: tuple[int, int, int]) -> str:
    """What a state is of; one of other work is not gone on from."""
    plan = job.plan.network.model_dump(mode="json", exclude={"device", "precision", "decoder"})
    held_out = [str(box) for box in job.held_out]
    work = [plan, job.classes, held_out, shape, job.voxel_size_nm, str(job.parent), job.image_digest]
    return hashlib.sha256(json.dumps(work, sort_keys=True).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class KeptState:
    """What an earlier live job left: its network, which strokes it kept from it, and its rounds' scores."""

    network: TrainingState | None
    anchors: list[Anchor]
    rounds: list[float]


def keep_state(folder: Path, fingerprint: str, state: KeptState) -> None:
    """Write the state; a kill at any moment leaves this or the one before."""
    folder.mkdir(parents=True, exist_ok=True)
    # First the strokes: what was kept from the network before is kept from it also with these.
    note = {"fingerprint": fingerprint, "anchors": state.anchors, "rounds": state.rounds}
    write_text_durably(folder / _STROKES, json.dumps(note))
    if state.network is not None:
        save_training_state(folder, state.network)


def kept_state(folder: Path, fingerprint: str, ctx: JobContext) -> KeptState | None:
    """The state an earlier job left, None where there is none of the same work."""
    try:
        note = json.loads((folder / _STROKES).read_text(encoding="utf-8"))
        if note["fingerprint"] != fingerprint:
            return None
        anchors = [(int(k), int(z), int(y), int(x)) for k, z, y, x in note["anchors"]]
        rounds = [float(score) for score in note["rounds"]]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    try:
        network = load_training_state(folder, ctx.warn)
    except ModelError as error:
        ctx.warn(f"{error.message} The network begins anew.")
        network = None
    if network is not None and network.fingerprint != fingerprint:
        network = None
    return KeptState(network, anchors, rounds)
