"""What the instant model learnt and what it is remembered to have shown, kept from one session to the next."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import torch

from napari_pytc.errors import ModelError
from napari_pytc.geometry import Box
from napari_pytc.learning.held_answers import LEAST_REPEATED, least_repeated
from napari_pytc.learning.live.instant import InstantModel
from napari_pytc.learning.live.job import LiveJob
from napari_pytc.learning.live.remembered import RememberedAnswers, SeenVoxels
from napari_pytc.learning.live.strokes import Painted
from napari_pytc.learning.live.taught import Examples
from napari_pytc.learning.weights import load_weights_and_notes, save_weights

_FILE = "remembered.safetensors"


class Memory:
    """What the instant model and its twin learnt and, where that counts, what they answered for voxels in view.

    Parameters
    ----------
    job : LiveJob
        Its plan says how much the answers count.
    sees_held_out : callable
        Whether features of a box depend on what is held out; such a box is not remembered.
    """

    def __init__(
        self, job: LiveJob, instant: InstantModel, twin: InstantModel, sees_held_out: Callable[[Box], bool]
    ) -> None:
        self._folder, self._subject, self._weight = job.run_folder, _subject_of(job), job.plan.hold_weight
        self._sees_held_out = sees_held_out
        self._seen = SeenVoxels(instant.network.n_features, job.plan.seed)
        self._of = {"instant": (instant, RememberedAnswers(self._seen)), "twin": (twin, RememberedAnswers(self._seen))}
        self._learnt: dict[str, str] = {}

    def look(self, box: Box, features: torch.Tensor) -> None:
        """A tile is shown; its features (n, f) are those of its voxels in their order."""
        if self._weight and not self._sees_held_out(box):
            self._seen.look(box, features)

    def fit(self, name: str, examples: Examples, painted: Painted) -> None:
        """Let one of the models learn; where answers count, it is held near them unless that hides what was painted."""
        model, answers = self._of[name]
        self._learnt[name] = painted.digest
        if not self._weight:
            model.learn(examples, painted)
            return
        held = answers.prepare(painted, model.probabilities)
        model.fit(examples, held, self._weight)
        if held is not None:
            found = least_repeated(model.probabilities(examples.features).T, examples.classes)
            if found < LEAST_REPEATED:
                answers.forget()
                model.fit(examples)
        answers.take(painted, model.probabilities)

    def restore(self, painted: Painted) -> None:
        """Go on from what an earlier job kept, if the strokes are still those that it had learnt."""
        try:
            tensors, notes = load_weights_and_notes(self._path)
            if notes["of"] != self._subject or notes["digest"] != painted.digest:
                return
            if not self._weight:
                for name, (model, _) in self._of.items():
                    model.restore(_of(name, tensors), painted)
                return
            features, tiles = tensors["features"], tensors["tiles"]
            found = {name: tensors[name] for name in self._of}
        except (ModelError, KeyError):
            return
        self._seen.restore(features, tiles)
        for name, (_, answers) in self._of.items():
            answers.restore(painted, found[name])

    def keep(self) -> None:
        """Write what was learnt; a kill at any moment leaves this or what was written before."""
        digests = set(self._learnt.values())
        if len(self._learnt) != len(self._of) or len(digests) != 1:
            return  # the twin lags behind: what was written before may still be right
        tensors: dict[str, torch.Tensor] = {}
        for name, (model, answers) in self._of.items():
            if not self._weight:
                tensors |= {f"{name}.{key}": tensor for key, tensor in model.kept().items()}
                continue
            answers.absorb(model.probabilities)
            kept = answers.kept()
            if kept is None:
                return
            tensors[name] = kept
        if self._weight:
            features, tensors["tiles"] = self._seen.kept()
            tensors["features"] = features.half()
        self._folder.mkdir(parents=True, exist_ok=True)
        save_weights(self._path, tensors, {"of": self._subject, "digest": digests.pop()})

    @property
    def _path(self) -> Path:
        return self._folder / _FILE


def _of(name: str, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The tensors of one model, by their own names."""
    return {key.removeprefix(f"{name}."): tensor for key, tensor in tensors.items() if key.startswith(f"{name}.")}


def _subject_of(job: LiveJob) -> str:
    """What answers are of; those of other work are not remembered."""
    network = job.plan.instant.network.model_dump(mode="json")
    held_out = [str(box) for box in job.held_out]
    work = [network, job.classes, held_out, job.voxel_size_nm, job.image_digest]
    return hashlib.sha256(json.dumps(work, sort_keys=True).encode()).hexdigest()[:16]
