"""Scores of the objects that a model's decoder makes of its predictions on held-out boxes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_pytc.annotations.object_relations import BACKGROUND, OTHER
from napari_pytc.decoding.base import DecoderSettings, Decoding
from napari_pytc.decoding.describe import decoder_of_channels
from napari_pytc.decoding.evidence import Evidence
from napari_pytc.errors import InvalidInput
from napari_pytc.geometry import Box, Shape, VoxelSpace
from napari_pytc.learning.data.training_data import TrainingData
from napari_pytc.learning.data.volume_data import VolumeData
from napari_pytc.learning.evaluation.scoring import chosen_boxes, hull_of_labels
from napari_pytc.learning.evaluation.volume_scores import digest_of_truth
from napari_pytc.learning.prediction.predictor import BoxInferer
from napari_pytc.metrics.instances import InstanceCounts
from napari_pytc.metrics.run_lengths import run_lengths
from napari_pytc.metrics.skeletons import segments_at_nodes
from napari_pytc.plans.normalisation import ImageNormalisation
from napari_pytc.plans.plan import TrainPlan
from napari_pytc.skeletons.skeleton import Skeleton
from napari_pytc.skeletons.teasar import skeletonise_segments
from napari_pytc.volumes.roles import ChannelRole, ClassRole

TOLERATED_NODES = 5
"""Skeletons are made of labels, whose borders a prediction never meets to the voxel."""
_TILE: Shape = (64, 512, 512)
"""Held-out boxes are looked through in tiles of this shape."""
_FIRST_OF_BOX, _UNKNOWN = 1 << 33, 1 << 62
"""Ids of one box are so far from those of another; and the true id of voxels that are not annotated."""


@dataclass(frozen=True)
class ScoredBox:
    """A box of a volume with its predicted and true objects.

    Parameters
    ----------
    predicted, truth : ndarray of uint64
        Ids, 0 for none; the truth is `_UNKNOWN` where it is not annotated.
    classes : pair of ndarray
        Class of each voxel, predicted and true, from 1; 0 for none.
    """

    predicted: np.ndarray
    truth: np.ndarray
    classes: tuple[np.ndarray, np.ndarray]


class ObjectScorer:
    """Scorer of single objects in held-out boxes that hold labels of objects.

    A network predicts the boxes, its decoder makes objects, and they are compared with the true ones as
    `evaluate_instances` does. All annotated voxels of a box count, also those that choose the weights: the blocks that
    single voxels are scored in would cut the objects. Objects are cut at the boxes, predicted and true ones alike.

    Use `of`.
    """

    def __init__(
        self,
        data: TrainingData,
        normalisations: Sequence[ImageNormalisation],
        roles: Sequence[ChannelRole],
        kept: Sequence[int],
        decoder: DecoderSettings,
        boundary_class: str | None = None,
    ) -> None:
        self._boundary_class = boundary_class
        self._data, self._normalisations = data, tuple(normalisations)
        self._kept, self._roles = list(kept), tuple(roles[channel] for channel in kept)
        self.decoder = decoder
        names = [role.name for role in self._roles if isinstance(role, ClassRole)]
        # The foreground of a target of instances is a channel like that of a class, but none of the project's classes.
        numbers = {name: number for number, name in enumerate(data.classes, 1)}
        self._class_numbers = np.array([0, *(numbers.get(name, 0) for name in names)])
        self._hulls = [list(_hulls(volume)) for volume in data.volumes]

    @classmethod
    def of(
        cls,
        plan: TrainPlan,
        data: TrainingData,
        normalisations: Sequence[ImageNormalisation],
        roles: Sequence[ChannelRole],
        warn: Callable[[str], object],
    ) -> ObjectScorer | None:
        """The scorer of a plan; None where it learns no objects, none are held out, or no decoder fits its channels.

        Parameters
        ----------
        roles : sequence of ChannelRole
            Of the network's channels.
        warn : callable
            Told why objects that are held out get no score.
        """
        if not plan.target.learns_objects or not any(next(_hulls(volume), None) for volume in data.volumes):
            return None
        kept = plan.target.kept(data.classes, data.space)
        predicted = [roles[channel] for channel in kept]
        names = [role.name for role in predicted if isinstance(role, ClassRole)]
        boundary_class = data.boundary_class if data.boundary_class in names else None
        try:
            decoder = decoder_of_channels(predicted, plan.decoder, boundary_class)
        except InvalidInput as error:
            warn(f"Single objects get no score, as they cannot be decoded: {error.message}")
            return None
        return cls(data, normalisations, roles, kept, decoder, boundary_class)

    def score(
        self,
        inferer: BoxInferer,
        most_voxels: int,
        check: Callable[[], None] = lambda: None,
        with_skeletons: bool = False,
    ) -> dict[str, Any]:
        """Scores of the objects of all volumes together.

        Parameters
        ----------
        most_voxels : int
            At most about this many voxels are predicted; volumes share them.
        check : callable
            Called before each box and each skeleton; raises to give up.
        with_skeletons : bool
            Whether the run lengths along skeletons of the true objects are scored, too. They say little about objects
            of a class, so that a decoder of one has none.

        Returns
        -------
        dict
            As of `InstanceCounts.figures`, with names of the classes in ``of_class``; ``nerl`` and its
            ``tolerated_nodes``; ``n_voxels`` annotated ones, the kind of the ``decoder``, and a digest of the
            ``truth``.
        """
        with_classes = bool(np.count_nonzero(self._class_numbers) > 1)
        counts, n_known, runs = InstanceCounts(with_classes), 0, _Runs()
        for number, found in enumerate(self._boxes(inferer, most_voxels, check)):
            n_known += int((found.truth != _UNKNOWN).sum())
            predicted, truth = (_apart(ids, number) for ids in (found.predicted, found.truth))
            counts.add(predicted, truth, found.classes if with_classes else None)
            if with_skeletons and not self.decoder.object_class:
                runs.add(predicted, truth, self._data.space, check)
        figures = counts.figures(_UNKNOWN)
        figures.pop("arand")
        if with_classes:
            names = self._data.classes
            figures["of_class"] = {names[int(k) - 1]: one for k, one in figures["of_class"].items()}
        return {
            **figures,
            **runs.figures(),
            "n_voxels": n_known,
            "decoder": self.decoder.kind,
            "truth": self._truth_digest(most_voxels),
        }

    # ---- private

    def _chosen(self, most_voxels: int) -> Iterator[tuple[int, Box]]:
        """The boxes to score, with the number of their volume."""
        share = most_voxels // max(1, sum(1 for hulls in self._hulls if hulls))
        for number, hulls in enumerate(self._hulls):
            for box in chosen_boxes(hulls, share):
                yield number, box

    def _boxes(self, inferer: BoxInferer, most_voxels: int, check: Callable[[], None]) -> Iterator[ScoredBox]:
        for number, box in self._chosen(most_voxels):
            check()
            volume = self._data.volumes[number]
            decoding = self._decoded(inferer, volume, self._normalisations[number], box)
            classes = self._class_numbers[decoding.classes.astype(int)][decoding.supervoxels]
            labels = decoding.labels.astype(np.uint64)
            yield ScoredBox(labels, _truth(volume, box), (classes, _classes(volume, box)))

    def _decoded(
        self, inferer: BoxInferer, volume: VolumeData, normalisation: ImageNormalisation, box: Box
    ) -> Decoding:
        """Objects of a box, of the numbers that a prediction on disk would have."""

        def read(part: Box) -> np.ndarray:
            return normalisation.apply(volume.source.read(part))

        found = inferer.predict_box(read, box, Box.of_shape(volume.source.shape)).numpy()[self._kept]
        stored = np.rint(255 * found).astype(np.uint8)
        evidence = Evidence.of_channels(stored, self._roles, self._boundary_class)
        return self.decoder.decode(evidence, self._data.space)

    def _truth_digest(self, most_voxels: int) -> str:
        volumes = self._data.volumes
        return digest_of_truth(
            (volumes[number].digest, box, _truth(volumes[number], box)) for number, box in self._chosen(most_voxels)
        )


def precision_curves(scores: Mapping[str, Any]) -> dict[str, float]:
    """Points of the curves of a training: average precisions of all objects, and at an IoU of 0.5 of each class."""
    names = ("average_precision", "average_precision_50")
    found = {name: scores.get(name) for name in names}
    found |= {f"{names[1]}/{title}": one[names[1]] for title, one in scores.get("of_class", {}).items()}
    return {name: value for name, value in found.items() if value is not None}


class _Runs:
    """Skeletons of the true objects of boxes, with the predicted segment at each node."""

    def __init__(self) -> None:
        self._skeletons: list[Skeleton] = []
        self._segments: list[np.ndarray] = []

    def add(self, predicted: np.ndarray, truth: np.ndarray, space: VoxelSpace, check: Callable[[], None]) -> None:
        """Make the skeletons of a box."""
        labels = _ArrayLabels(np.where(truth == _UNKNOWN, 0, truth))
        found = list(skeletonise_segments(labels, space, report=lambda done, total: check()))
        if found:
            whole = Box.of_shape(labels.shape)
            self._skeletons += found
            self._segments += segments_at_nodes(_ArrayLabels(predicted), found, space, whole)

    def figures(self) -> dict[str, Any]:
        """The normalised expected run length, and the nodes that it tolerates; empty without skeletons of a length."""
        scores = run_lengths(self._skeletons, self._segments, TOLERATED_NODES)
        return {"nerl": scores.nerl, "tolerated_nodes": TOLERATED_NODES} if scores.skeletons else {}


class _ArrayLabels:
    """An array of ids as a volume of labels."""

    def __init__(self, ids: np.ndarray) -> None:
        z, y, x = ids.shape
        self._ids, self.shape = ids, (z, y, x)

    def read(self, box: Box) -> np.ndarray:
        """Ids of a box."""
        return self._ids[box.slices]


def _hulls(volume: VolumeData) -> Iterator[Box]:
    """Hulls of the labels of objects in the held-out boxes."""
    objects = volume.true_objects
    for tile in objects.scored_tiles(_TILE):
        yield hull_of_labels(objects.truth(tile), tile)


def _truth(volume: VolumeData, box: Box) -> np.ndarray:
    """True ids of a box: 0 for no object, `_UNKNOWN` where it is not annotated or not known which."""
    ids = volume.true_objects.truth(box).astype(np.uint64)
    is_unknown = (ids == 0) | (ids == OTHER)
    ids[ids == BACKGROUND] = 0
    ids[is_unknown] = _UNKNOWN
    return ids


def _classes(volume: VolumeData, box: Box) -> np.ndarray:
    """Painted classes of a box, 0 for none."""
    labels = volume.annotations.read(box)
    return np.where(labels <= len(volume.classes), labels, 0)


def _apart(ids: np.ndarray, number: int) -> np.ndarray:
    """Ids of a box that no other box has; 0 and what is not known stay."""
    return np.where((ids == 0) | (ids == _UNKNOWN), ids, ids + np.uint64(number * _FIRST_OF_BOX))
