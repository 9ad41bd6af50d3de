"""Learning tasks: the channels of a target, the annotations they are learnt from, batches and scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Protocol

from napari_pytc.errors import ModelError
from napari_pytc.geometry import Shape
from napari_pytc.learning.data.correction_labels import BoundaryCorrections
from napari_pytc.learning.data.object_batches import ObjectBatches, ObjectVolume
from napari_pytc.learning.data.objects import ObjectLabels
from napari_pytc.learning.data.regions import AnnotatedChunk
from napari_pytc.learning.data.sampling import BatchSource, PatchBatches, TrainingVolume
from napari_pytc.learning.data.training_data import TrainingData
from napari_pytc.learning.data.volume_data import VolumeData
from napari_pytc.learning.evaluation.held_out_blocks import Part
from napari_pytc.learning.evaluation.instance_scoring import InstanceScorer
from napari_pytc.learning.evaluation.scoring import HeldOutScorer, VolumeScorer
from napari_pytc.learning.evaluation.volume_scores import ScoredVolume, Scorer
from napari_pytc.plans.normalisation import ImageNormalisation
from napari_pytc.plans.plan import TrainPlan
from napari_pytc.volumes.channels import ChannelRole


class LearningTask(Protocol):
    """A target of a training: channels, annotations, batches and scores."""

    roles: tuple[ChannelRole, ...]

    def check(self) -> list[str]:
        """Refuse annotations that nothing can be learnt from; return warnings for the user."""

    def chunks(self, volume: VolumeData) -> list[AnnotatedChunk]:
        """The chunks of a volume with annotations to learn from; none where it is only scored."""

    @property
    def n_annotated(self) -> dict[str, int]:
        """Annotated voxels of all volumes, by name of what they are."""

    def batches(self, volumes: Sequence[TrainingVolume], plan: TrainPlan, batch_size: int, shape: Shape) -> BatchSource:
        """The batches of patches."""

    def scorer(self, normalisations: Sequence[ImageNormalisation], most_voxels: int, part: Part = "all") -> Scorer:
        """The scorer of networks on the held-out boxes, or on the part of them that decides or does not.

        Parameters
        ----------
        normalisations : sequence of ImageNormalisation
            Of each volume.
        most_voxels : int
            At most about this many voxels are predicted a time; volumes share them.
        """


class ClassTask:
    """Classes, from strokes and from corrections of segments."""

    def __init__(self, data: TrainingData, roles: tuple[ChannelRole, ...]) -> None:
        self._data = data
        self.roles = roles
        self.corrections = [self._boundary_corrections(volume) for volume in data.volumes]
        """Labels from edits of segments, of each volume."""

    def _boundary_corrections(self, volume: VolumeData) -> BoundaryCorrections | None:
        if not volume.corrections or volume.boundary_class not in volume.classes:
            return None
        label = volume.classes.index(volume.boundary_class) + 1
        found = BoundaryCorrections(volume.corrections, label, len(volume.classes), volume.space)
        return found if found.chunks else None

    def check(self) -> list[str]:
        """See `LearningTask`."""
        return self.check_data() + unlearnt_notes(self._data, [("Nothing is", self)])

    def check_data(self) -> list[str]:
        """Refuse annotations that nothing can be learnt from; return notes on the others."""
        return self._data.check()

    def unlearnt(self) -> list[str | None]:
        """Of each volume: why it is not learnt from; None where it is."""
        return [
            None if self.chunks(volume) else "it has no strokes outside of held-out boxes"
            for volume in self._data.volumes
        ]

    def chunks(self, volume: VolumeData) -> list[AnnotatedChunk]:
        """See `LearningTask`; those of strokes, then those of corrections."""
        corrections = self.corrections[_number(self._data, volume)]
        return volume.chunks if corrections is None else [*volume.chunks, *corrections.chunks]

    @property
    def n_annotated(self) -> dict[str, int]:
        """Voxels of each class."""
        return {name: int(n) for name, n in zip(self._data.classes, self._data.counts.sum(axis=0), strict=True)}

    def batches(
        self, volumes: Sequence[TrainingVolume], plan: TrainPlan, batch_size: int, shape: Shape
    ) -> PatchBatches:
        """See `LearningTask`."""
        corrected = [
            replace(volume, corrections=corrections)
            for volume, corrections in zip(volumes, self.corrections, strict=True)
        ]
        return PatchBatches(corrected, plan, batch_size, shape)

    def scorer(self, normalisations: Sequence[ImageNormalisation], most_voxels: int, part: Part = "all") -> Scorer:
        """See `LearningTask`."""
        scored = [volume for volume in self._data.volumes if volume.held_out]
        share = most_voxels // max(1, len(scored))
        made = zip(self._data.volumes, normalisations, strict=True)
        return joint_scorer(self._data, normalisations, [HeldOutScorer(v, n, share, part) for v, n in made])


class ObjectTask:
    """Instances, from labels of single objects and from corrections of segments."""

    def __init__(self, data: TrainingData, roles: tuple[ChannelRole, ...]) -> None:
        self._data = data
        self.roles = roles

    @cached_property
    def _checks(self) -> list[tuple[list[str], ModelError | None]]:
        """Of each volume: notes on its objects, and why they are not learnt from where they are not."""
        found: list[tuple[list[str], ModelError | None]] = []
        for volume in self._data.volumes:
            try:
                found.append(([] if volume.objects is None else volume.objects.check(volume.source.shape), None))
            except ModelError as error:
                found.append(([], error))
        return found

    @property
    def objects(self) -> list[ObjectLabels | None]:
        """The objects of each volume that are learnt from."""
        checks = zip(self._data.volumes, self._checks, strict=True)
        return [volume.objects if refusal is None else None for volume, (_, refusal) in checks]

    def check(self) -> list[str]:
        """See `LearningTask`."""
        return self.check_data() + unlearnt_notes(self._data, [("Nothing is", self)])

    def check_data(self) -> list[str]:
        """Refuse annotations that nothing can be learnt from; return notes on the others."""
        volumes = self._data.volumes
        has_corrections = any(volume.corrections for volume in volumes)
        refusals = [refusal for _, refusal in self._checks if refusal is not None]
        if not any(self.objects) and (len(volumes) == 1 or not has_corrections):
            if refusals:
                raise refusals[0]
            if not has_corrections:
                raise ModelError(
                    "This recipe learns instances, but no objects are annotated.",
                    "Give labels of single objects: napari-pytc annotate PROJECT LABELS --instances.",
                )
        notes = [note for found, _ in self._checks for note in found]
        for volume, (_, refusal) in zip(volumes, self._checks, strict=True):
            if refusal is not None:
                notes.append(f"The objects of {volume.title} are not learnt from: {refusal.message}")
        return notes

    def unlearnt(self) -> list[str | None]:
        """Of each volume: why it is not learnt from; None where it is, or has objects that are refused."""
        return [
            "it has no labels of objects" if volume.objects is None and not volume.corrections else None
            for volume in self._data.volumes
        ]

    def chunks(self, volume: VolumeData) -> list[AnnotatedChunk]:
        """See `LearningTask`; those of corrections, then those of annotated objects."""
        objects = self.objects[_number(self._data, volume)]
        labels = [*volume.corrections, *([] if objects is None else [objects])]
        return [chunk for one in labels for chunk in one.chunks]

    @property
    def n_annotated(self) -> dict[str, int]:
        """Labelled voxels."""
        volumes = self._data.volumes
        found = {"objects": sum(0 if objects is None else _n_voxels(objects) for objects in self.objects)}
        if any(volume.corrections for volume in volumes):
            found["corrections"] = sum(_n_voxels(labels) for volume in volumes for labels in volume.corrections)
        return found

    def batches(
        self, volumes: Sequence[TrainingVolume], plan: TrainPlan, batch_size: int, shape: Shape
    ) -> ObjectBatches:
        """See `LearningTask`; there are no pseudo-labels of objects.

        Patches are drawn from the objects of all volumes, and from each store of corrections in proportion to its
        chunks; by `volume_balance` from the corrections of each volume alike.
        """
        objects = [
            ObjectVolume(labels, volume.image)
            for volume, labels in zip(volumes, self.objects, strict=True)
            if labels is not None and labels.chunks
        ]
        corrections = [ObjectVolume(labels, volume.image) for volume in volumes for labels in volume.data.corrections]
        weights = correction_weights([volume.data for volume in volumes], plan.volume_balance)
        share = plan.corrections_share
        sources = [([one], share * weight / sum(weights)) for one, weight in zip(corrections, weights, strict=True)]
        if objects:
            sources = [(objects, 1 - share), *sources]
        return ObjectBatches(sources, self.roles, self._data.space, plan, batch_size, shape)

    def scorer(self, normalisations: Sequence[ImageNormalisation], most_voxels: int, part: Part = "all") -> Scorer:
        """See `LearningTask`; objects of another image than the volume's are no truth of it."""
        share = most_voxels // max(1, sum(1 for volume in self._data.volumes if volume.held_out))
        made = [
            InstanceScorer(
                volume.true_objects,
                volume.source,
                volume.own_held_out,
                self.roles,
                self._data.space,
                normalisation,
                share,
                part,
            )
            for volume, normalisation in zip(self._data.volumes, normalisations, strict=True)
        ]
        return joint_scorer(self._data, normalisations, made)


def unlearnt_notes(data: TrainingData, parts: Sequence[tuple[str, ClassTask | ObjectTask]]) -> list[str]:
    """Notes on volumes from which nothing is learnt, or not by a part of the channels.

    Parameters
    ----------
    parts : sequence of (str, task)
        How a sentence begins on a volume from which a part learns nothing and another does, as "No classes are"; and
        the part.
    """
    notes = []
    for volume, *reasons in zip(data.volumes, *(task.unlearnt() for _, task in parts), strict=True):
        if all(reasons):
            notes.append(f"Nothing is learnt from {volume.title}: {' and '.join(filter(None, reasons))}.")
        else:
            named = [(what, why) for (what, _), why in zip(parts, reasons, strict=True) if why]
            notes += [f"{what} learnt from {volume.title}: {why}." for what, why in named]
    return notes


def joint_scorer(
    data: TrainingData, normalisations: Sequence[ImageNormalisation], scorers: Sequence[VolumeScorer]
) -> Scorer:
    """The scorer of all volumes, of one of each."""
    names = [volume.name for volume in data.volumes]
    titles = [
        name if name and names.count(name) == 1 else f"{name} {number}".strip() for number, name in enumerate(names, 1)
    ]
    made = zip(scorers, titles, data.volumes, normalisations, strict=True)
    return Scorer([ScoredVolume(scorer, title, volume.digest, own) for scorer, title, volume, own in made])


def correction_weights(volumes: Sequence[VolumeData], balance: float) -> list[float]:
    """How often each store of corrections is drawn from: its chunks, and the volumes evenly by `balance`."""
    counts = [[len(labels.chunks) for labels in volume.corrections] for volume in volumes if volume.corrections]
    if len(counts) == 1:
        return [float(n) for n in counts[0]]
    return [n * sum(of_volume) ** -balance for of_volume in counts for n in of_volume]


def _number(data: TrainingData, volume: VolumeData) -> int:
    """The number of a volume among those of a training."""
    return next(number for number, one in enumerate(data.volumes) if one is volume)


def _n_voxels(labels: ObjectLabels) -> int:
    return sum(sum(chunk.counts) for chunk in labels.chunks)
