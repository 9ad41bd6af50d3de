"""Checkpoints from which a training resumes after a kill as if nothing had happened."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from napari_pytc.errors import ModelError
from napari_pytc.files import sync_folder
from napari_pytc.learning.machine.weights import load_weights_and_notes, save_weights
from napari_pytc.learning.training.steps.optimisation import load_optimiser_state

Tensors = dict[str, Tensor]

_CURRENT, _FORMER = "training.safetensors", "training.former.safetensors"
_NOTE = "training_state"
_SCHEMA_VERSION = 1


@dataclass
class TrainingState:
    """A training between two steps.

    Parameters
    ----------
    fingerprint : str
        Digest of the work (plan, classes, image); the caller compares it before resuming.
    optimiser : dict
        An optimiser's ``state_dict()``.
    history : list of dict
        Scores so far, JSON values.
    loss : dict, optional
        What is learnt of the loss itself, as the balance of its terms.
    numpy_rng : dict
        ``Generator.bit_generator.state``.
    extra : dict
        JSON values of the caller's own.
    """

    fingerprint: str
    step: int
    seconds: float
    network: Tensors
    optimiser: dict[str, Any]
    torch_rng: Tensor
    numpy_rng: dict[str, Any]
    average: Tensors | None = None
    best_score: float | None = None
    best: Tensors | None = None
    history: list[dict[str, Any]] = field(default_factory=list)
    device_rng: Tensor | None = None
    loss: Tensors | None = None
    extra: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def capture(
        cls,
        network: nn.Module,
        optimiser: torch.optim.Optimizer,
        rng: np.random.Generator,
        *,
        fingerprint: str,
        step: int,
        seconds: float,
        **others: Any,
    ) -> TrainingState:
        """The state of a running training; it is written at once, so tensors are not copied here."""
        on_gpu = any(p.is_cuda for p in network.parameters())
        return cls(
            fingerprint=fingerprint,
            step=step,
            seconds=seconds,
            network=dict(network.state_dict()),
            optimiser=optimiser.state_dict(),
            torch_rng=torch.get_rng_state(),
            numpy_rng=dict(rng.bit_generator.state),
            device_rng=torch.cuda.get_rng_state() if on_gpu else None,
            **others,
        )

    def restore(self, network: nn.Module, optimiser: torch.optim.Optimizer, rng: np.random.Generator) -> None:
        """Put network, optimiser and all random generators back to where they were."""
        try:
            network.load_state_dict(self.network)
            load_optimiser_state(optimiser, self.optimiser)
            rng.bit_generator.state = self.numpy_rng
        except (RuntimeError, ValueError, KeyError, TypeError) as error:
            raise ModelError(
                f"The checkpoint of step {self.step} does not fit this network and its optimiser: "
                f"{str(error).splitlines()[0]}",
                "Start the training anew instead of resuming it.",
            ) from error
        torch.set_rng_state(self.torch_rng)
        if self.device_rng is not None and torch.cuda.is_available():
            torch.cuda.set_rng_state(self.device_rng)


def save_training_state(folder: Path | str, state: TrainingState) -> None:
    """Write a checkpoint; the one before stays beside it until the next.

    A kill at any moment leaves at least one complete checkpoint.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tensors, note = _pack(state)
    current, former, coming = folder / _CURRENT, folder / _FORMER, folder / f"{_CURRENT}.coming"
    save_weights(coming, tensors, {_NOTE: json.dumps(note)})
    if current.exists():
        os.replace(current, former)
    os.replace(coming, current)
    sync_folder(folder)


def load_training_state(folder: Path | str, warn: Callable[[str], None] | None = None) -> TrainingState | None:
    """The latest complete checkpoint; None where there is none.

    Parameters
    ----------
    folder : Path
        The run's folder.
    warn : callable, optional
        Called when the latest is damaged and the one before is taken.

    Raises
    ------
    ModelError
        If there are checkpoints and none can be read.
    """
    failure: ModelError | None = None
    for path in (Path(folder) / _CURRENT, Path(folder) / _FORMER):
        if not path.exists():
            continue
        try:
            state = _unpack(path)
        except ModelError as error:
            failure = failure or error
            continue
        if failure is not None and warn is not None:
            warn(f"{failure.message} Going on from the checkpoint before it, of step {state.step}.")
        return state
    if failure is not None:
        raise ModelError(failure.message, "Delete it, or train without resuming.") from failure
    return None


def delete_training_state(folder: Path | str) -> None:
    """Remove the checkpoints, once their training is done."""
    for name in (_CURRENT, _FORMER, f"{_CURRENT}.coming"):
        (Path(folder) / name).unlink(missing_ok=True)


def _pack(state: TrainingState) -> tuple[Tensors, dict[str, Any]]:
    tensors = {"rng.torch": state.torch_rng}
    if state.device_rng is not None:
        tensors["rng.device"] = state.device_rng
    groups: dict[str, Mapping[str, Tensor] | None] = {
        "network": state.network,
        "average": state.average,
        "best": state.best,
        "loss": state.loss,
    }
    for prefix, group in groups.items():
        for name, tensor in (group or {}).items():
            tensors[f"{prefix}.{name}"] = tensor
    note = {
        "schema_version": _SCHEMA_VERSION,
        "fingerprint": state.fingerprint,
        "step": state.step,
        "seconds": state.seconds,
        "best_score": state.best_score,
        "history": state.history,
        "numpy_rng": state.numpy_rng,
        "extra": state.extra,
        "present": [prefix for prefix, group in groups.items() if group is not None],
        "optimiser": _tensors_out(state.optimiser, "optimiser", tensors),
    }
    return tensors, note


def _unpack(path: Path) -> TrainingState:
    tensors, notes = load_weights_and_notes(path)
    try:
        note = json.loads(notes[_NOTE])
        if note["schema_version"] > _SCHEMA_VERSION:
            raise ModelError(
                f"Checkpoint {path} was written by a newer napari-pytc.", "Update napari-pytc to resume this training."
            )
        groups = {prefix: _group(tensors, prefix) for prefix in note["present"]}
        return TrainingState(
            fingerprint=note["fingerprint"],
            step=note["step"],
            seconds=note["seconds"],
            network=groups["network"],
            average=groups.get("average"),
            best=groups.get("best"),
            loss=groups.get("loss"),
            optimiser=_tensors_in(note["optimiser"], tensors),
            torch_rng=tensors["rng.torch"],
            device_rng=tensors.get("rng.device"),
            numpy_rng=note["numpy_rng"],
            best_score=note["best_score"],
            history=note["history"],
            extra=note["extra"],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{path} is no checkpoint of a training: {error!r}.", "Delete it.") from error


def _group(tensors: Tensors, prefix: str) -> Tensors:
    start = f"{prefix}."
    return {name.removeprefix(start): tensor for name, tensor in tensors.items() if name.startswith(start)}


def _tensors_out(value: Any, name: str, tensors: Tensors) -> Any:
    """A nested value as JSON, its tensors moved into `tensors` under dotted names; keys keep their type."""
    if isinstance(value, Tensor):
        tensors[name] = value
        return {"tensor": name}
    if isinstance(value, dict):
        return {"items": [[key, _tensors_out(v, f"{name}.{key}", tensors)] for key, v in value.items()]}
    if isinstance(value, list | tuple):
        parts = [_tensors_out(v, f"{name}.{i}", tensors) for i, v in enumerate(value)]
        return {"tuple" if isinstance(value, tuple) else "list": parts}
    return value


def _tensors_in(value: Any, tensors: Tensors) -> Any:
    """The inverse of `_tensors_out`."""
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "items":
        return {key: _tensors_in(v, tensors) for key, v in content}
    parts = [_tensors_in(v, tensors) for v in content]
    return tuple(parts) if kind == "tuple" else parts
