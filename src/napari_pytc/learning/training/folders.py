"""Folders of a training."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class TrainingFolders:
    """Folders of a training: of the model, of checkpoints, of the parent and of the model in use.

    The training does not start from a model named by `distil_from`: it distils its predictions, as the parent's.
    """

    model: Path
    run: Path
    parent: Path | None = None
    resume: bool = True
    in_use: Path | None = None
    distil_from: Path | None = None

    @property
    def baselines(self) -> tuple[Path, ...]:
        """The models that the new one is to beat: its parent first, then the one in use."""
        return tuple(dict.fromkeys(path for path in (self.parent, self.in_use) if path is not None))
