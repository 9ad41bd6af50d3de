"""The best few weights of a training, beside the model that it makes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from napari_pytc.learning.machine.weights import save_weights

FOLDER = "checkpoints"
_LAST = "last.safetensors"


class BestWeights:
    """Keeps the weights with the best scores in a folder of the run, and copies them to the model at the end.

    ::

        checkpoints/
            step-000400.safetensors    weights as the model's own, of the best steps
            step-000700.safetensors
            last.safetensors           those of the last step
            checkpoints.json           step, score and file of each, the best first

    Parameters
    ----------
    n : int
        How many are kept; none at 0.
    """

    def __init__(self, run_folder: Path, n: int, is_lower_better: bool) -> None:
        self._folder, self.n, self._sign = run_folder / FOLDER, n, -1 if is_lower_better else 1
        self.index: list[dict[str, Any]] = []
        """Step and score of each that is kept, the best first."""
        self._last: int | None = None

    def restore(self, index: list[dict[str, Any]]) -> None:
        """Go on with those that a checkpoint of the training lists, as far as they are there."""
        self.index = [one for one in index if self._path(one["step"]).is_file()]

    def offer(self, weights: Mapping[str, Tensor], step: int, score: float) -> None:
        """Keep weights if their score is among the best; the earlier of equal ones stays."""
        ranked = [*(one for one in self.index if one["step"] != step), {"step": step, "score": score}]
        ranked.sort(key=lambda one: -self._sign * one["score"])
        kept = ranked[: self.n]
        if any(one["step"] == step for one in kept):
            self._save(self._path(step), weights)
        for one in ranked[self.n :]:
            self._path(one["step"]).unlink(missing_ok=True)
        self.index = kept

    def save_last(self, weights: Mapping[str, Tensor], step: int) -> None:
        """Keep the weights of the last step, too."""
        self._save(self._folder / _LAST, weights)
        self._last = step

    def copy_to(self, model_folder: Path) -> None:
        """Copy them into the folder of a model, with their index."""
        if not self.n or not self._folder.is_dir():
            return
        listed: list[dict[str, Any]] = [{**one, "file": self._path(one["step"]).name} for one in self.index]
        if self._last is not None:
            listed.append({"step": self._last, "score": None, "file": _LAST})
        folder = model_folder / FOLDER
        folder.mkdir()
        for one in listed:  # a training that was killed may have left others
            shutil.copyfile(self._folder / one["file"], folder / one["file"])
        (folder / "checkpoints.json").write_text(json.dumps({"checkpoints": listed}, indent=2) + "\n", encoding="utf-8")

    def delete(self) -> None:
        """Remove them, once the model has them."""
        if self.n:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _path(self, step: int) -> Path:
        return self._folder / f"step-{step:06}.safetensors"

    def _save(self, path: Path, weights: Mapping[str, Tensor]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_weights(path, weights)
