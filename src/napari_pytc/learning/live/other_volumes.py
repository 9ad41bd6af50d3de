"""The other volumes of a project whose strokes live learning learns from, too."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from napari_pytc.errors import ModelError, PytcError
from napari_pytc.geometry import VoxelSpace
from napari_pytc.jobs.context import JobContext
from napari_pytc.learning.data.sampling import TrainingVolume
from napari_pytc.learning.data.training_image import TrainingImage
from napari_pytc.learning.data.volume_data import VolumeData
from napari_pytc.learning.data.volume_opening import open_volume_data
from napari_pytc.learning.live.labelled_features import Examples, LabelledFeatures
from napari_pytc.learning.live.stroke_split import StrokeSnapshot, StrokeSplit, TrainingStrokes
from napari_pytc.learning.networks.filter_bank import FilterBank
from napari_pytc.plans.networks import NetworkLimits
from napari_pytc.plans.normalisation import ImageNormalisation, NormalisationSettings
from napari_pytc.plans.specs import VolumeInputs

_REFRESH_S = 2.0
"""Seconds between two looks at strokes that somebody may have changed meanwhile."""
_CACHE_BYTES = 128 * 2**20
"""Raw blocks that all other volumes keep, for features and for batches each."""
_WITHOUT = "Live learns without this volume."


class _NoFeatures:
    """A `FeatureSource` that has computed none."""

    def __init__(self, n_features: int) -> None:
        self._n_features = n_features

    def at(self, where: np.ndarray) -> tuple[np.ndarray, torch.Tensor]:
        """Nothing."""
        return np.zeros(0, np.int64), torch.zeros(0, self._n_features)


class _OtherVolume:
    """One of them: all of its strokes outside held-out boxes are training data.

    Parameters
    ----------
    number : int
        Its number; the volume in view has 0.
    n_volumes : int
        How many share the memory for blocks and the number of examples.
    """

    def __init__(
        self,
        data: VolumeData,
        n_classes: int,
        number: int,
        n_volumes: int,
        bank: FilterBank,
        limits: NetworkLimits,
        scaling: NormalisationSettings,
    ) -> None:
        self.data, self._number = data, number
        self.errors: list[PytcError] = []
        self.split = StrokeSplit(data.annotations, n_classes, data.held_out, anchors=())
        self.split.refresh()
        self.normalisation, notes = data.normalisation(
            [chunk.box for chunk in self.split.chunks.values()], scaling, is_learnt=True
        )
        self.notes = (*data.notes, *notes)
        image, self._batch_image = (
            TrainingImage(data.source, self.normalisation, data.held_out, _CACHE_BYTES // n_volumes, self.errors.append)
            for _ in range(2)
        )
        self._features = LabelledFeatures(
            bank, limits, image, image, _NoFeatures(bank.n_features), n_volumes=n_volumes + 1
        )
        self.is_left_out = False
        self._examples: tuple[int, Examples] | None = None
        self._training: tuple[int, TrainingVolume] | None = None

    def refresh(self) -> bool:
        """Read strokes that changed; whether any did."""
        try:
            return self.split.refresh()
        except PytcError as error:
            self.errors.append(error)
            return False

    def leave_out(self) -> None:
        """Learn nothing from it any more."""
        self.is_left_out = True
        self.split.chunks = {}
        self.split.revision += 1

    def examples(self) -> Examples:
        """Features and classes of the strokes; gathered anew when they change."""
        if self._examples is None or self._examples[0] != self.split.revision:
            training, validation = self._features.gather(self.split.chunks.values())
            self._examples = self.split.revision, (training + validation).of_volume(self._number)
        return self._examples[1]

    def training_volume(self) -> TrainingVolume:
        """The volume with its strokes, which are in memory; made anew when they change."""
        if self._training is None or self._training[0] != self.split.revision:
            chunks = list(self.split.chunks.values())
            strokes = TrainingStrokes(self.data.source.shape, chunks, self.split.revision, with_validation=True)
            data = replace(self.data, annotations=strokes)
            self._training = self.split.revision, TrainingVolume(data, self._batch_image)
        return self._training[1]


def _check_channels(data: VolumeData, n_inputs: int) -> None:
    if data.source.n_channels != n_inputs:
        raise ModelError(
            f"Its image has another number of channels ({data.source.n_channels}) than that of the volume in view "
            f"({n_inputs})."
        )


class OtherVolumes:
    """Volumes beside the one in view; one that cannot be opened, or read later, is left out and told.

    Their strokes are read when Live starts and again when they change. None of them is validation data: scores are of
    the volume in view.

    Parameters
    ----------
    inputs : sequence of VolumeInputs
        The volumes.
    space : VoxelSpace
        Voxel size of the volume in view, to which the others are resampled.
    bank : FilterBank
        Its features are computed.
    scaling : NormalisationSettings
        How intensities are scaled.
    ctx : JobContext
        Gets notes.
    """

    def __init__(
        self,
        inputs: Sequence[VolumeInputs],
        classes: tuple[str, ...],
        space: VoxelSpace,
        bank: FilterBank,
        limits: NetworkLimits,
        scaling: NormalisationSettings,
        ctx: JobContext,
    ) -> None:
        self._volumes: list[_OtherVolume] = []
        self._n_classes, self._looked, self._ctx = len(classes), -np.inf, ctx
        for one in inputs:
            try:
                data = open_volume_data(one, classes, space)
                _check_channels(data, bank.n_inputs)
                number = len(self._volumes) + 1
                self._volumes.append(_OtherVolume(data, len(classes), number, len(inputs), bank, limits, scaling))
            except PytcError as error:
                ctx.warn(f"{_named(one.name, error)} {_WITHOUT}")
                continue
            for note in self._volumes[-1].notes:
                ctx.warn(note)

    def refresh(self) -> bool:
        """Read strokes that changed, at most every two seconds, and leave out what cannot be read; whether any did."""
        changed = self.leave_out_unreadable()
        now = time.monotonic()
        if not self._volumes or now - self._looked < _REFRESH_S:
            return changed
        self._looked = now
        found = [volume.refresh() for volume in self._volumes if not volume.is_left_out]
        return self.leave_out_unreadable() or changed or any(found)

    def raised(self, error: PytcError) -> bool:
        """Whether an error is that of reading one of these volumes."""
        return any(error is one for volume in self._volumes for one in volume.errors)

    def leave_out_unreadable(self) -> bool:
        """Leave out volumes whose image or strokes could not be read, and tell it; whether there are any."""
        found = [volume for volume in self._volumes if volume.errors and not volume.is_left_out]
        for volume in found:
            volume.leave_out()
            self._ctx.warn(f"{_named(volume.data.name, volume.errors[0])} {_WITHOUT}")
        return bool(found)

    @property
    def volumes(self) -> list[tuple[VolumeData, ImageNormalisation]]:
        """The volumes that are learnt from, and their normalisations."""
        return [(volume.data, volume.normalisation) for volume in self._volumes if not volume.is_left_out]

    @property
    def counts(self) -> np.ndarray:
        """Strokes' voxels of each class outside held-out boxes."""
        total = np.zeros(self._n_classes, np.int64)
        for volume in self._volumes:
            for chunk in volume.split.chunks.values():
                total += np.bincount(chunk.classes[~chunk.is_held_out], minlength=self._n_classes + 1)[1:]
        return total

    def snapshots(self) -> tuple[StrokeSnapshot, ...]:
        """The strokes of each as they are now."""
        return tuple(volume.split.snapshot() for volume in self._volumes)

    def examples(self) -> list[Examples]:
        """Features and classes of the strokes of each; the volume in view has number 0."""
        found = []
        for volume in self._volumes:
            try:
                found.append(volume.examples())
            except PytcError as error:
                volume.errors.append(error)
                self.leave_out_unreadable()
                found.append(volume.examples())
        return found

    def training_volumes(self) -> list[TrainingVolume]:
        """The volumes with their strokes as they are now, for batches of a network."""
        return [volume.training_volume() for volume in self._volumes]


def _named(name: str, error: PytcError) -> str:
    """An error's sentence, which begins with the name of the volume."""
    is_named = not name or error.message.startswith(f"Volume {name!r}: ")
    return error.message if is_named else f"Volume {name!r}: {error.message}"
