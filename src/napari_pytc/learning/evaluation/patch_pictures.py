"""Pictures of a few fixed patches during a training: image, prediction and truth side by side."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from napari_pytc.geometry import Box
from napari_pytc.learning.data.objects import numbered_ids
from napari_pytc.learning.data.targets.encoding import IGNORED, LabelledPatch, decoded
from napari_pytc.learning.data.targets.make import object_targets
from napari_pytc.learning.data.training_data import TrainingData
from napari_pytc.learning.data.volume_data import VolumeData
from napari_pytc.learning.evaluation.instance_scoring import group_of, without_levels
from napari_pytc.learning.evaluation.scoring import SCORED_TILE, hull_of_labels
from napari_pytc.learning.prediction.predictor import BoxInferer
from napari_pytc.plans.normalisation import ImageNormalisation
from napari_pytc.volumes.roles import AffinityRole, ChannelRole, ClassRole

N_PATCHES = 3
SIDE = 128
"""Most voxels of a patch along y and x."""
_MOST_CHANNELS = 3
_LEAST_SIDE = 64
_DEPTH = 8
"""Sections on either side that the targets of objects are made of."""
_N_AT_FIRST = 32
"""So many validations are all drawn; then every second, after as many again every fourth, and so on."""
_GAP = 2
_COLOURS = np.array(
    [(230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (0, 114, 178), (213, 94, 0), (204, 121, 167)],
    np.float32,
)
"""Of classes, in their order (Okabe and Ito 2008, told apart by everybody)."""

Channels = list[tuple[str, np.ndarray, np.ndarray]]
"""Name of a channel, its prediction and its target as pictures (y, x, 3)."""


@dataclass(frozen=True)
class PicturedPatch:
    """A part of one section of a volume.

    Parameters
    ----------
    volume : VolumeData
        The volume.
    box : Box
        One section thick.
    normalisation : ImageNormalisation
        Of the volume.
    is_held_out : bool
        Whether it lies in a held-out box, so that nothing of it is learnt.
    """

    volume: VolumeData
    box: Box
    normalisation: ImageNormalisation
    is_held_out: bool

    @property
    def title(self) -> str:
        """Where it is, for people."""
        where = "held out" if self.is_held_out else "training"
        return f"{self.volume.name or 'volume'} z {self.box.start[0]} {where}"


class PatchPictures:
    """Pictures of a few patches with truth, the same at each validation.

    Patches lie in held-out boxes where there is truth, else around what is learnt from. A picture has a row for the
    classes, and one for each of at most three other channels: one of each kind, affinities along x.

    Parameters
    ----------
    roles : sequence of ChannelRole
        The network's channels.
    normalisations : sequence of ImageNormalisation
        Of each volume.
    """

    def __init__(
        self, data: TrainingData, roles: Sequence[ChannelRole], normalisations: Sequence[ImageNormalisation]
    ) -> None:
        self._data, self._roles, self._normalisations = data, tuple(roles), tuple(normalisations)
        self._class_channels = [n for n, role in enumerate(roles) if isinstance(role, ClassRole)]
        self._object_channels = [n for n in range(len(roles)) if n not in self._class_channels]
        self._targets: dict[PicturedPatch, np.ndarray] = {}

    @cached_property
    def patches(self) -> list[PicturedPatch]:
        """The patches; none where nothing is annotated."""
        found = self._chosen(True)
        return found or self._chosen(False)

    def are_due(self, number: int) -> bool:
        """Whether a validation is drawn, by its number: all at first, then ever fewer, so that files stay small."""
        return number % 2 ** max(0, math.floor(math.log2(max(number, 1) / _N_AT_FIRST))) == 0

    def draw(self, inferer: BoxInferer, check: Callable[[], None] = lambda: None) -> dict[str, np.ndarray]:
        """Pictures by title, (y, x, 3) uint8: rows of image, prediction and truth.

        Parameters
        ----------
        check : callable
            Called before each patch; raises to give up.
        """
        found = {}
        for number, patch in enumerate(self.patches, 1):
            check()
            image, channels = self._pictured(patch, inferer)
            rows = [_beside([image, predicted, truth]) for _, predicted, truth in channels]
            names = ", ".join(name for name, _, _ in channels)
            found[f"{number} {patch.title} {names}"] = _below(rows)
        return found

    def _pictured(self, patch: PicturedPatch, inferer: BoxInferer) -> tuple[np.ndarray, Channels]:
        source, scaling = patch.volume.source, patch.normalisation

        def read(box: Box) -> np.ndarray:
            return scaling.apply(source.read(box))

        found = inferer.predict_box(read, patch.box, Box.of_shape(source.shape)).numpy()
        image = _gray(read(patch.box)[0, 0])
        channels: Channels = []
        if self._class_channels:
            predicted = found[self._class_channels, 0]
            channels.append(("classes", _mixed(predicted), _painted(self._labels(patch), image)))
        if self._object_channels:
            channels += self._of_objects(patch, found[self._object_channels])
        return image, channels

    def _of_objects(self, patch: PicturedPatch, found: np.ndarray) -> Channels:
        """The main channels that are learnt from objects."""
        roles = [self._roles[n] for n in self._object_channels]
        targets = self._object_targets(patch, roles)
        chosen: dict[str, tuple[str, np.ndarray, np.ndarray]] = {}
        for role, predicted, target in without_levels(roles, found, targets):
            if group_of(role) not in chosen or (isinstance(role, AffinityRole) and role.is_near):
                chosen[group_of(role)] = (role.title, predicted[0], target[0])
        return [(title, _shares(predicted), _known(target)) for title, predicted, target in chosen.values()][
            :_MOST_CHANNELS
        ]

    def _object_targets(self, patch: PicturedPatch, roles: Sequence[ChannelRole]) -> np.ndarray:
        """Targets (c, 1, y, x) of the section, made of those beside it as well."""
        if patch not in self._targets:
            (z, y, x), (_, bottom, right) = patch.box.start, patch.box.stop
            whole = Box.of_shape(patch.volume.source.shape)
            box = Box((z - _DEPTH, y, x), (z + _DEPTH + 1, bottom, right)).intersect(whole)
            labels, names = numbered_ids(self._ids(patch, box))
            targets = object_targets(LabelledPatch(labels, self._data.space, ids=names), roles)
            first = z - box.start[0]
            self._targets[patch] = targets[:, first : first + 1]
        return self._targets[patch]

    def _labels(self, patch: PicturedPatch) -> np.ndarray:
        read = patch.volume.annotations.read if patch.is_held_out else patch.volume.labels
        return read(patch.box)[0]

    def _ids(self, patch: PicturedPatch, box: Box) -> np.ndarray:
        objects = patch.volume.objects
        if objects is None or objects.shape != tuple(patch.volume.source.shape):
            return np.zeros(box.shape, np.uint32)
        return objects.truth(box) if patch.is_held_out else objects.labels(box)

    def _chosen(self, is_held_out: bool) -> list[PicturedPatch]:
        """A few patches, spread over what is annotated in or outside of held-out boxes."""
        places = [
            (volume, normalisation, box, read)
            for volume, normalisation in zip(self._data.volumes, self._normalisations, strict=True)
            for box, read in self._annotated(volume, is_held_out)
        ]
        order = np.random.default_rng(0).permutation(len(places))
        patches = []
        for index in order[:N_PATCHES]:
            volume, normalisation, box, read = places[int(index)]
            labels = read(box)
            if labels.any():  # erased meanwhile
                patches.append(PicturedPatch(volume, _around(labels, box, volume), normalisation, is_held_out))
        return list(dict.fromkeys(patches))

    def _annotated(self, volume: VolumeData, is_held_out: bool) -> list[tuple[Box, Callable[[Box], np.ndarray]]]:
        """Boxes with annotations, and what reads these: of objects where there are such channels, else of classes."""
        objects = volume.objects if self._object_channels else None
        if objects is not None and objects.shape != tuple(volume.source.shape):
            objects = None
        if objects is not None:
            boxes = objects.scored_tiles(SCORED_TILE) if is_held_out else [chunk.box for chunk in objects.chunks]
            return [(box, objects.truth if is_held_out else objects.labels) for box in boxes]
        if not self._class_channels:
            return []
        if not is_held_out:
            return [(chunk.box, volume.labels) for chunk in volume.chunks]
        read = volume.annotations.read
        return [(hull_of_labels(read(box), box), read) for box in volume.scored_tiles(SCORED_TILE)]


def _around(labels: np.ndarray, box: Box, volume: VolumeData) -> Box:
    """The patch around the middle of what is labelled in the section with most of it."""
    section = int(np.count_nonzero(labels, axis=(1, 2)).argmax())
    middle = np.argwhere(labels[section]).mean(axis=0).astype(int)
    start = [box.start[0] + section]
    shape = [1]
    for at, first, length in zip(middle, box.start[1:], volume.source.shape[1:], strict=True):
        side = min(SIDE, length)
        start.append(min(max(int(at) + first - side // 2, 0), length - side))
        shape.append(side)
    return Box.at(start, shape)


def _gray(values: np.ndarray) -> np.ndarray:
    """Intensities (y, x) as a picture, stretched between their percentiles 1 and 99."""
    known = np.nan_to_num(values.astype(np.float32))
    low, high = np.percentile(known, (1, 99))
    return _shares((known - low) / max(float(high - low), 1e-6))


def _shares(values: np.ndarray) -> np.ndarray:
    """Shares (y, x) of 0 to 1 as gray."""
    gray = np.rint(255 * np.clip(np.nan_to_num(values), 0, 1)).astype(np.uint8)
    return np.repeat(gray[..., None], 3, axis=-1)


def _known(target: np.ndarray) -> np.ndarray:
    """A target (y, x) as gray, dark blue where it is not known."""
    picture = _shares(decoded(target))
    picture[target == IGNORED] = (20, 30, 80)
    return picture


def _mixed(shares: np.ndarray) -> np.ndarray:
    """Shares of classes (k, y, x) as a mixture of their colours."""
    colours = _COLOURS[np.arange(len(shares)) % len(_COLOURS)]
    mixed = np.einsum("kyx,kc->yxc", np.nan_to_num(shares), colours)
    return np.rint(np.clip(mixed, 0, 255)).astype(np.uint8)


def _painted(labels: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Labels (y, x) in the colours of their classes, on the dimmed image where nothing is annotated."""
    picture = image // 3
    painted = labels > 0
    picture[painted] = _COLOURS[(labels[painted].astype(int) - 1) % len(_COLOURS)].astype(np.uint8)
    return picture


def _beside(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """Pictures of one size side by side, small ones enlarged."""
    factor = max(1, -(-_LEAST_SIDE // max(pictures[0].shape[:2])))
    large = [picture.repeat(factor, axis=0).repeat(factor, axis=1) for picture in pictures]
    gap = np.full((large[0].shape[0], _GAP, 3), 255, np.uint8)
    return np.concatenate([part for picture in large for part in (gap, picture)][1:], axis=1)


def _below(rows: Sequence[np.ndarray]) -> np.ndarray:
    gap = np.full((_GAP, rows[0].shape[1], 3), 255, np.uint8)
    return np.concatenate([part for row in rows for part in (gap, row)][1:], axis=0)
