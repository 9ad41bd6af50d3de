"""Data of a training: one volume or several."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from napari_pytc.errors import ModelError
from napari_pytc.geometry import VoxelSpace
from napari_pytc.learning.data.volume_data import VolumeData
from napari_pytc.learning.data.volume_opening import choose_space, open_volume_data
from napari_pytc.plans.model_folder import read_model_info

if TYPE_CHECKING:
    from napari_pytc.plans.specs import TrainJob


@dataclass(frozen=True)
class TrainingData:
    """The volumes that a training learns from and is scored on.

    Parameters
    ----------
    volumes : tuple of VolumeData
        All of the same classes, on voxels of about the same size.
    space : VoxelSpace
        Voxel size of the network.
    """

    volumes: tuple[VolumeData, ...]
    space: VoxelSpace

    @classmethod
    def of(cls, data: VolumeData | TrainingData) -> TrainingData:
        """A volume alone as the data of a training."""
        return data if isinstance(data, TrainingData) else cls((data,), data.space)

    @classmethod
    def open(cls, job: TrainJob) -> TrainingData:
        """Open the data of a job.

        Raises
        ------
        VolumeError
            If an image is missing, damaged or another one than the job names; the volume is named.
        """
        learns_objects = job.plan.target.learns_objects
        wanted = job.plan.voxel_size_nm
        if wanted is None and job.output.parent is not None:
            wanted = read_model_info(job.output.parent).known_voxel_size_nm
        space = choose_space(job.inputs, wanted, learns_objects, job.plan.volume_balance)
        volumes = [
            open_volume_data(
                inputs,
                job.classes,
                space,
                learns_objects=learns_objects,
                boundary_class=job.boundary_class,
            )
            for inputs in job.inputs
        ]
        return cls(tuple(volumes), space)

    @property
    def n_inputs(self) -> int:
        """Channels of the images."""
        return self.volumes[0].source.n_channels

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""
        return self.volumes[0].classes

    @property
    def boundary_class(self) -> str | None:
        """The class that keeps objects apart."""
        return self.volumes[0].boundary_class

    @property
    def notes(self) -> list[str]:
        """What was assumed or converted when the volumes were opened, a sentence each."""
        return [note for volume in self.volumes for note in volume.notes]

    @cached_property
    def counts(self) -> np.ndarray:
        """Annotated voxels to learn from, (volumes, classes)."""
        found = np.zeros((len(self.volumes), len(self.classes)), np.int64)
        for row, volume in zip(found, self.volumes, strict=True):
            for chunk in volume.chunks:
                row += chunk.counts
        return found

    def check(self) -> list[str]:
        """Refuse annotations that nothing can be learnt from; return warnings for the user.

        Raises
        ------
        ModelError
            Without annotations of two classes outside the held-out boxes.
        """
        painted = [name for name, n in zip(self.classes, self.counts.sum(axis=0), strict=True) if n]
        if not painted and any(volume.has_annotations for volume in self.volumes):
            raise ModelError(
                "All annotated voxels lie in held-out boxes, which training must not see.",
                "Paint strokes outside them, or hold out less.",
            )
        if len(painted) < 2:
            raise ModelError(
                f"Training needs strokes of at least two classes, got {', '.join(painted) or 'none'}.",
                f"The classes are {', '.join(self.classes)}: paint a stroke of each.",
            )
        missing = [name for name in self.classes if name not in painted]
        return [f"Class {name!r} has no strokes to learn from: it will not be predicted." for name in missing]
