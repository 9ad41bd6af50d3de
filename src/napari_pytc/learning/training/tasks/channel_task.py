"""The learning task of a target of channels: objects, classes, or both at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from napari_pytc.errors import ModelError
from napari_pytc.geometry import Box, Shape
from napari_pytc.learning.data.channel_batches import ChannelBatches, PatchSource, PatchVolume
from napari_pytc.learning.data.regions import AnnotatedChunk
from napari_pytc.learning.data.sampling import TrainingVolume
from napari_pytc.learning.data.targets.patch_targets import PatchTargets
from napari_pytc.learning.data.training_data import TrainingData
from napari_pytc.learning.data.volume_data import VolumeData
from napari_pytc.learning.evaluation.held_out_blocks import Part
from napari_pytc.learning.evaluation.instance_scoring import InstanceScorer
from napari_pytc.learning.evaluation.joint_scoring import JointScorer
from napari_pytc.learning.evaluation.scoring import HeldOutScorer, VolumeScorer
from napari_pytc.learning.evaluation.volume_scores import Scorer
from napari_pytc.learning.training.tasks.task import (
    ClassTask,
    ObjectTask,
    correction_weights,
    joint_scorer,
    unlearnt_notes,
)
from napari_pytc.plans.normalisation import ImageNormalisation
from napari_pytc.plans.plan import TrainPlan
from napari_pytc.plans.targets import ChannelsTarget
from napari_pytc.volumes.roles import ChannelRole, ClassRole


class ChannelTask:
    """Channels of objects from object labels, and of classes from strokes; patches are drawn around both.

    Where objects are learnt, corrections of segments are labels of objects; where classes alone are, they teach the
    class that keeps objects apart.

    Parameters
    ----------
    target : ChannelsTarget
        With the names of its classes.
    """

    def __init__(self, data: TrainingData, target: ChannelsTarget, roles: tuple[ChannelRole, ...]) -> None:
        self._data, self._target = data, target
        self.roles = roles
        self._class_numbers = {
            channel: data.classes.index(role.name) for channel, role in enumerate(roles) if isinstance(role, ClassRole)
        }
        self._object_channels = [n for n in range(len(roles)) if n not in self._class_numbers]
        own = tuple(roles[n] for n in self._object_channels)
        self._objects = ObjectTask(data, own) if own else None
        self._classes = ClassTask(data, tuple(roles[n] for n in self._class_numbers)) if self._class_numbers else None
        self._strokes = [ChosenClasses(volume, tuple(self._class_numbers.values())) for volume in data.volumes]

    def check(self) -> list[str]:
        """See `LearningTask`."""
        both = (("No classes are", self._classes), ("No objects are", self._objects))
        parts = [(what, task) for what, task in both if task is not None]
        notes = [note for _, task in parts for note in task.check_data()]
        notes += unlearnt_notes(self._data, parts)
        if self._classes is not None and self._n_painted < 2:
            names = ", ".join(self._data.classes[n] for n in self._class_numbers.values())
            raise ModelError(
                f"The target learns the classes {names}, and of less than two of them there are strokes.",
                "Paint a stroke of each, or change the names of the target's classes.",
            )
        return notes

    @property
    def _n_painted(self) -> int:
        counts = self._data.counts.sum(axis=0)
        return int(sum(counts[n] > 0 for n in self._class_numbers.values()))

    def chunks(self, volume: VolumeData) -> list[AnnotatedChunk]:
        """See `LearningTask`; those of objects, then those of strokes."""
        parts = [task for task in (self._objects, self._classes) if task is not None]
        return [chunk for task in parts for chunk in task.chunks(volume)]

    @property
    def n_annotated(self) -> dict[str, int]:
        """Voxels of each class, and labelled ones."""
        parts = [task for task in (self._classes, self._objects) if task is not None]
        return {name: n for task in parts for name, n in task.n_annotated.items()}

    def batches(
        self, volumes: Sequence[TrainingVolume], plan: TrainPlan, batch_size: int, shape: Shape
    ) -> ChannelBatches:
        """See `LearningTask`."""
        share = self._target.class_share if self._objects is not None else 1.0
        sources = self._class_sources(volumes, plan, share) if self._classes is not None else []
        if self._objects is not None:
            sources += self._object_sources(volumes, plan, 1 - share if sources else 1.0)
        targets = PatchTargets(self._target, self.roles, self._data.classes, self._data.space)
        return ChannelBatches(
            [source for source in sources if source.share], targets, self._data.space, plan, batch_size, shape
        )

    def _class_sources(self, volumes: Sequence[TrainingVolume], plan: TrainPlan, share: float) -> list[PatchSource]:
        assert self._classes is not None
        objects = [None] * len(volumes) if self._objects is None else self._objects.objects
        own = [
            replace(volume, corrections=corrections)
            for volume, corrections in zip(volumes, self._classes.corrections, strict=True)
        ]
        painted = [
            PatchVolume(strokes, volume, of)
            for strokes, volume, of in zip(self._strokes, own, objects, strict=True)
            if strokes.chunks
        ]
        corrected = [PatchVolume(one.corrections, one, None) for one in own if one.corrections is not None]
        if self._objects is not None or not corrected:
            return [PatchSource(painted, share, plan.class_balance)]
        return [
            PatchSource(painted, share * (1 - plan.corrections_share), plan.class_balance),
            PatchSource(corrected, share * plan.corrections_share, plan.class_balance),
        ]

    def _object_sources(self, volumes: Sequence[TrainingVolume], plan: TrainPlan, share: float) -> list[PatchSource]:
        assert self._objects is not None
        labelled = [
            PatchVolume(labels, volume, labels)
            for volume, labels in zip(volumes, self._objects.objects, strict=True)
            if labels is not None and labels.chunks
        ]
        corrections = [PatchVolume(labels, volume, labels) for volume in volumes for labels in volume.data.corrections]
        weights = correction_weights([volume.data for volume in volumes], plan.volume_balance) if corrections else []
        of_corrections = share * (plan.corrections_share if labelled else 1.0)
        # Of corrections half of the patches are drawn at borders: else most would only show that an object is one.
        found = [
            PatchSource([one], of_corrections * weight / sum(weights), 1.0)
            for one, weight in zip(corrections, weights, strict=True)
        ]
        if labelled:
            found.insert(0, PatchSource(labelled, share - (of_corrections if found else 0.0), plan.class_balance))
        return found

    def scorer(self, normalisations: Sequence[ImageNormalisation], most_voxels: int, part: Part = "all") -> Scorer:
        """See `LearningTask`."""
        n_parts = (self._classes is not None) + (self._objects is not None)
        share = most_voxels // max(1, n_parts * sum(1 for volume in self._data.volumes if volume.held_out))
        made = [
            JointScorer(*self._scorers(volume, normalisation, share, part))
            for volume, normalisation in zip(self._data.volumes, normalisations, strict=True)
        ]
        return joint_scorer(self._data, normalisations, made)

    def _scorers(
        self, volume: VolumeData, normalisation: ImageNormalisation, most_voxels: int, part: Part
    ) -> list[VolumeScorer]:
        found: list[VolumeScorer] = []
        if self._classes is not None:
            found.append(HeldOutScorer(volume, normalisation, most_voxels, part, self._class_numbers))
        if self._objects is not None:
            found.append(
                InstanceScorer(
                    volume.true_objects,
                    volume.source,
                    volume.own_held_out,
                    self._objects.roles,
                    self._data.space,
                    normalisation,
                    most_voxels,
                    part,
                    self._object_channels,
                    self._target.cut_objects == "counted",
                )
            )
        return found


class ChosenClasses:
    """Strokes of some classes, as places where patches are drawn.

    Parameters
    ----------
    classes : tuple of int
        Numbers of the classes, from 0.
    """

    def __init__(self, volume: VolumeData, classes: tuple[int, ...]) -> None:
        self._volume, self._classes = volume, classes

    @property
    def chunks(self) -> list[AnnotatedChunk]:
        """The chunks with such strokes, with the voxels of each class."""
        found = []
        for chunk in self._volume.chunks:
            counts = tuple(n if number in self._classes else 0 for number, n in enumerate(chunk.counts))
            if any(counts):
                found.append(AnnotatedChunk(chunk.box, counts, chunk.changed))
        return found

    def kinds(self, box: Box) -> np.ndarray:
        """The class of each voxel of a box; 0 = not to be drawn."""
        labels = self._volume.kinds(box)
        return np.where(np.isin(labels, [number + 1 for number in self._classes]), labels, 0)
