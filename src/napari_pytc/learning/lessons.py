"""What a plan teaches: the channels, where they are learnt from, the batches and the scores."""

from __future__ import annotations

from typing import Protocol

from napari_pytc.errors import ModelError
from napari_pytc.geometry import Shape
from napari_pytc.learning.boundary_corrections import BoundaryCorrections
from napari_pytc.learning.config import TrainPlan
from napari_pytc.learning.data import TrainingData, TrainingImage
from napari_pytc.learning.held_out_blocks import Part
from napari_pytc.learning.instance_scoring import InstanceScorer
from napari_pytc.learning.normalisation import Normalisation
from napari_pytc.learning.object_batches import ObjectBatches
from napari_pytc.learning.objects import ObjectLabels, Unannotated
from napari_pytc.learning.places import AnnotatedChunk
from napari_pytc.learning.pseudo_labels import PseudoLabels
from napari_pytc.learning.sampling import BatchSource, PatchBatches
from napari_pytc.learning.scoring import HeldOutScorer, Scorer
from napari_pytc.volumes.channels import ChannelRole


class Lesson(Protocol):
    """What one target asks of a training."""

    roles: tuple[ChannelRole, ...]

    def check(self) -> list[str]:
        """Refuse what cannot be learnt from; what the user should know all the same."""

    @property
    def chunks(self) -> list[AnnotatedChunk]:
        """Where there is something to learn."""

    @property
    def n_annotated(self) -> dict[str, int]:
        """Voxels to learn from, by what they are called."""

    def batches(
        self, image: TrainingImage, plan: TrainPlan, batch_size: int, shape: Shape, guesses: PseudoLabels | None
    ) -> BatchSource:
        """The batches of patches."""

    def scorer(self, normalisation: Normalisation, most_voxels: int, part: Part = "all") -> Scorer:
        """What scores a network on the held-out boxes, or the part of them that decides or does not."""


class ClassLesson:
    """Classes, from strokes and from corrections of segments."""

    def __init__(self, data: TrainingData, roles: tuple[ChannelRole, ...]) -> None:
        self._data = data
        self.roles = roles
        self._corrections: BoundaryCorrections | None = None
        if data.corrections and data.boundary_class in data.classes:
            label = data.classes.index(data.boundary_class) + 1
            found = BoundaryCorrections(data.corrections, label, len(data.classes), data.space)
            self._corrections = found if found.chunks else None

    def check(self) -> list[str]:
        """See `Lesson`."""
        return self._data.check()

    @property
    def chunks(self) -> list[AnnotatedChunk]:
        """See `Lesson`."""
        return self._data.chunks

    @property
    def n_annotated(self) -> dict[str, int]:
        """Voxels of each class."""
        return {name: sum(chunk.counts[k] for chunk in self.chunks) for k, name in enumerate(self._data.classes)}

    def batches(
        self, image: TrainingImage, plan: TrainPlan, batch_size: int, shape: Shape, guesses: PseudoLabels | None
    ) -> PatchBatches:
        """See `Lesson`."""
        return PatchBatches(self._data, image, plan, batch_size, shape, guesses, self._corrections)

    def scorer(self, normalisation: Normalisation, most_voxels: int, part: Part = "all") -> HeldOutScorer:
        """See `Lesson`."""
        return HeldOutScorer(self._data, normalisation, most_voxels, part)


class ObjectLesson:
    """Instances, from labels of single objects and from corrections of segments."""

    def __init__(self, data: TrainingData, roles: tuple[ChannelRole, ...]) -> None:
        self._data = data
        self.roles = roles

    @property
    def _objects(self) -> ObjectLabels:
        if self._data.objects is None:
            raise ModelError(
                "This recipe learns instances, but no objects are annotated.",
                "Give labels of single objects: napari-pytc annotate PROJECT LABELS --instances.",
            )
        return self._data.objects

    def check(self) -> list[str]:
        """See `Lesson`."""
        corrections, volume = self._data.corrections, self._data.source.shape
        if corrections and self._data.objects is None:
            return []
        return self._objects.check(volume)

    @property
    def chunks(self) -> list[AnnotatedChunk]:
        """See `Lesson`."""
        return [chunk for labels, _ in self._sources(1.0) for chunk in labels.chunks]

    @property
    def n_annotated(self) -> dict[str, int]:
        """Labelled voxels."""
        found = {"objects": 0 if self._data.objects is None else _n_voxels(self._data.objects)}
        if self._data.corrections:
            found["corrections"] = sum(map(_n_voxels, self._data.corrections))
        return found

    def _sources(self, share: float) -> list[tuple[ObjectLabels, float]]:
        """Objects, and corrections in proportion to their chunks, with the share of patches of each."""
        corrections = self._data.corrections
        n_chunks = sum(len(labels.chunks) for labels in corrections)
        found = [(labels, share * len(labels.chunks) / n_chunks) for labels in corrections]
        return found if found and self._data.objects is None else [(self._objects, 1 - share), *found]

    def batches(
        self, image: TrainingImage, plan: TrainPlan, batch_size: int, shape: Shape, guesses: PseudoLabels | None
    ) -> ObjectBatches:
        """See `Lesson`; there are no guesses of objects."""
        sources = self._sources(plan.corrections_share)
        return ObjectBatches(sources, image, self.roles, self._data.space, plan, batch_size, shape)

    def scorer(self, normalisation: Normalisation, most_voxels: int, part: Part = "all") -> InstanceScorer:
        """See `Lesson`."""
        data = self._data
        objects = ObjectLabels(Unannotated(data.source.shape)) if data.objects is None else data.objects
        return InstanceScorer(
            objects, data.source, data.held_out, self.roles, data.space, normalisation, most_voxels, part
        )


def _n_voxels(labels: ObjectLabels) -> int:
    return sum(sum(chunk.counts) for chunk in labels.chunks)


def make_lesson(plan: TrainPlan, data: TrainingData) -> Lesson:
    """What a plan teaches with these data."""
    roles = plan.target.roles(data.classes, data.space)
    return ClassLesson(data, roles) if plan.target.kind == "classes" else ObjectLesson(data, roles)
