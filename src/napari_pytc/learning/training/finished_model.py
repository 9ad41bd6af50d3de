"""The model folder that a training ends with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from napari_pytc.learning.data.training_data import TrainingData
from napari_pytc.learning.training.tasks.task import LearningTask
from napari_pytc.plans.model_folder import ModelInfo, TrainedVolume
from napari_pytc.plans.normalisation import ImageNormalisation
from napari_pytc.volumes.fingerprint import fingerprint
from napari_pytc.volumes.resampling import unresampled


@dataclass(frozen=True)
class Checkpoint:
    """A finished model on disk."""

    folder: Path
    info: ModelInfo
    stopped: str
    notes: tuple[str, ...] = ()
    tracked: dict[str, str] = field(default_factory=dict)
    """Folders of the trackers that recorded the training, by kind."""

    def summary(self) -> dict[str, Any]:
        """The result of the job."""
        found = {
            "model": self.info.id,
            "folder": str(self.folder),
            "scores": self.info.scores,
            "steps": self.info.steps,
            "seconds": round(self.info.seconds, 2),
            "stopped": self.stopped,
            "notes": list(self.notes),
        }
        return {**found, "tracked": self.tracked} if self.tracked else found


def most_annotated_normalisation(
    data: TrainingData, task: LearningTask, normalisations: Sequence[ImageNormalisation]
) -> ImageNormalisation:
    """The normalisation of the volume with the most labels to learn from."""
    n_labels = [sum(sum(chunk.counts) for chunk in task.chunks(volume)) for volume in data.volumes]
    return normalisations[n_labels.index(max(n_labels))]


def trained_volumes(data: TrainingData, normalisations: Sequence[ImageNormalisation]) -> tuple[TrainedVolume, ...]:
    """The volumes and their normalisations, by which a prediction of one of them is normalised as in the training."""
    return tuple(
        TrainedVolume(
            name=volume.name,
            digest=volume.digest or fingerprint(unresampled(volume.source)).digest,
            voxel_size_nm=volume.space.voxel_size_nm,
            normalisation=normalisation,
        )
        for volume, normalisation in zip(data.volumes, normalisations, strict=True)
    )
