"""The best model and the state of live learning on disk."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from napari_pytc.errors import ModelError
from napari_pytc.files import write_text_durably
from napari_pytc.geometry import VoxelSpace
from napari_pytc.jobs.context import JobContext
from napari_pytc.learning.live.instant import InstantModel
from napari_pytc.learning.live.labelled_features import Examples
from napari_pytc.learning.live.stroke_split import Anchor, StrokeSnapshot
from napari_pytc.learning.machine.weights import load_weights_and_notes, save_weights
from napari_pytc.learning.networks.network import build_network
from napari_pytc.learning.prediction.model import TrainedModel
from napari_pytc.learning.training.state.checkpoints import TrainingState, load_training_state, save_training_state
from napari_pytc.plans.live_spec import LiveJob
from napari_pytc.plans.model_folder import ModelInfo, TrainedVolume, write_model_folder
from napari_pytc.plans.networks import NetworkLimits
from napari_pytc.plans.normalisation import ImageNormalisation
from napari_pytc.plans.plan import TrainPlan

_STROKES, _INSTANT = "strokes.json", "remembered.safetensors"


@dataclass(frozen=True)
class FinishedModel:
    """All that a model folder needs beside what is in the job."""

    plan: TrainPlan
    weights: dict[str, Tensor]
    limits: NetworkLimits
    normalisation: ImageNormalisation
    steps: int
    seconds: float
    precision: str
    n_annotated: dict[str, int]
    scores: dict[str, Any]
    volumes: tuple[TrainedVolume, ...] = ()
    input_names: tuple[str, ...] = ()


def make_model_info(job: LiveJob, model: FinishedModel, parent: str | None) -> ModelInfo:
    """The description of a model beside its weights."""
    folder = job.output.model_folder
    return ModelInfo(
        id=folder.name,
        name=folder.name,
        recipe="live",
        classes=job.classes,
        parent=parent,
        voxel_size_nm=job.in_view.space.voxel_size_nm,
        is_voxel_size_known=job.in_view.space.known,
        limits=model.limits,
        seconds=round(model.seconds, 2),
        steps=model.steps,
        n_annotated=model.n_annotated,
        precision=model.precision,
        volumes=model.volumes,
        n_inputs=len(model.normalisation.channels),
        input_names=model.input_names,
        plan=model.plan,
        scores=model.scores,
    )


def make_trained_model(info: ModelInfo, model: FinishedModel) -> TrainedModel:
    """The model in memory, before it is on the disk."""
    network = build_network(info.plan.network, len(info.classes), VoxelSpace(info.voxel_size_nm), info.n_inputs)
    network.load_state_dict(model.weights)
    return TrainedModel(info, network.eval(), model.limits, model.normalisation, fingerprint="")


def write_finished_model(job: LiveJob, info: ModelInfo, model: FinishedModel) -> None:
    """Write a model's folder, completely or not at all."""
    folder = job.output.model_folder
    if not folder.parent.parent.is_dir():
        raise ModelError(
            f"The project folder {folder.parent.parent} was deleted or moved while live learning ran.",
            "Put it back where it was, then switch Live on again.",
        )
    write_model_folder(folder, info, model.normalisation, lambda path: save_weights(path, model.weights))


def work_fingerprint(job: LiveJob, shape: tuple[int, int, int]) -> str:
    """Hash of all that a state depends on; a state of another hash is not used."""
    plan = job.plan.network.identity(1, exclude=("device", "precision", "decoder"))
    inputs, parent = job.in_view, str(job.output.parent)
    held_out = [str(box) for box in inputs.held_out]
    work = [plan, job.classes, held_out, shape, inputs.space.voxel_size_nm, parent, inputs.digest]
    return hashlib.sha256(json.dumps(work, sort_keys=True).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class LiveRunState:
    """State of a live session: its network, its validation strokes, and the score of each round of painting."""

    network: TrainingState | None
    anchors: list[Anchor]
    round_scores: list[float]


def save_live_state(folder: Path, fingerprint: str, state: LiveRunState) -> None:
    """Write the state; a kill at any moment leaves this or the one before."""
    folder.mkdir(parents=True, exist_ok=True)
    # The strokes come first: after a kill the older network has not been trained on its validation strokes either.
    note = {"fingerprint": fingerprint, "anchors": state.anchors, "rounds": state.round_scores}
    write_text_durably(folder / _STROKES, json.dumps(note))
    if state.network is not None:
        save_training_state(folder, state.network)


def load_live_state(folder: Path, fingerprint: str, ctx: JobContext) -> LiveRunState | None:
    """The state of an earlier session; None where there is none of the same work."""
    try:
        note = json.loads((folder / _STROKES).read_text(encoding="utf-8"))
        if note["fingerprint"] != fingerprint:
            return None
        anchors = [(int(k), int(z), int(y), int(x)) for k, z, y, x in note["anchors"]]
        round_scores = [float(score) for score in note["rounds"]]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    try:
        network = load_training_state(folder, ctx.warn)
    except ModelError as error:
        ctx.warn(f"{error.message} The network begins anew.")
        network = None
    if network is not None and network.fingerprint != fingerprint:
        network = None
    return LiveRunState(network, anchors, round_scores)


class InstantState:
    """Weights of the instant model and of its validation copy, saved once both are fitted to the same strokes."""

    def __init__(self, job: LiveJob, instant: InstantModel, validation_copy: InstantModel) -> None:
        self._path, self._fingerprint = job.output.run_folder / _INSTANT, _instant_fingerprint(job)
        self._models = {"instant": instant, "twin": validation_copy}  # their names in the file since version 0.1
        self._digests: dict[int, str] = {}

    def update(self, model: InstantModel, examples: Examples, snapshot: StrokeSnapshot) -> None:
        """Fit one of the models."""
        model.update(examples, snapshot)
        self._digests[id(model)] = snapshot.digest

    def restore(self, snapshot: StrokeSnapshot) -> None:
        """Load the weights of an earlier session, if they were fitted to the same strokes."""
        try:
            tensors, notes = load_weights_and_notes(self._path)
            if notes["of"] != self._fingerprint or notes["digest"] != snapshot.digest:
                return
            for name, model in self._models.items():
                model.restore(_tensors_of(name, tensors), snapshot)
        except (ModelError, KeyError):
            return

    def save(self) -> None:
        """Write the weights; a kill at any moment leaves these or the ones before."""
        digests = set(self._digests.values())
        if len(self._digests) != len(self._models) or len(digests) != 1:
            return  # the validation copy is not fitted yet: what was written before may still be right
        tensors: dict[str, torch.Tensor] = {}
        for name, model in self._models.items():
            tensors |= {f"{name}.{key}": tensor for key, tensor in model.weights().items()}
        self._path.parent.mkdir(parents=True, exist_ok=True)
        save_weights(self._path, tensors, {"of": self._fingerprint, "digest": digests.pop()})


def _tensors_of(name: str, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The tensors of one model, by their own names."""
    return {key.removeprefix(f"{name}."): tensor for key, tensor in tensors.items() if key.startswith(f"{name}.")}


def _instant_fingerprint(job: LiveJob) -> str:
    """Hash of all that the weights depend on beside the strokes."""
    network = job.plan.instant.network.model_dump(mode="json")
    held_out = [str(box) for box in job.in_view.held_out]
    work = [network, job.classes, held_out, job.in_view.space.voxel_size_nm, job.in_view.digest]
    scaling = job.plan.normalisation
    if not scaling.is_default:
        work.append(scaling.model_dump(mode="json"))
    return hashlib.sha256(json.dumps(work, sort_keys=True).encode()).hexdigest()[:16]
