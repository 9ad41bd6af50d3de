"""Scores of channels that are learnt from objects on the held-out boxes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from napari_pytc.geometry import Box, VoxelSpace
from napari_pytc.learning.data.objects import ObjectLabels, numbered_ids
from napari_pytc.learning.data.targets.encoding import IGNORED, ONE, ZERO, LabelledPatch, encoded
from napari_pytc.learning.data.targets.make import object_targets
from napari_pytc.learning.evaluation.held_out_blocks import HeldOutBlocks, Part
from napari_pytc.learning.evaluation.scoring import SCORED_TILE, chosen_boxes, hull_of_labels, mean_of_known
from napari_pytc.learning.prediction.predictor import BoxInferer
from napari_pytc.plans.normalisation import ImageNormalisation
from napari_pytc.volumes.distance_levels import distance_of_levels
from napari_pytc.volumes.roles import AffinityRole, ChannelRole, DistanceLevelRole, DistanceRole
from napari_pytc.volumes.source import ImageSource


class InstanceScorer:
    """Scorer of channels that are learnt from objects in the held-out boxes, where the labels decide them.

    Parameters
    ----------
    objects : ObjectLabels
        The labels.
    source : ImageSource
        Raw intensities.
    held_out : sequence of Box
        The held-out boxes, for the record.
    roles : sequence of ChannelRole
        Roles of the network's channels.
    most_voxels : int
        At most about this many voxels are predicted a time; a larger part is sampled, always the same.
    part : str
        The part of the `HeldOutBlocks` to score.
    channels : sequence of int, optional
        Numbers of these channels among the network's, by default all of them.
    counts_cut : bool
        Whether what a box holds of an object counts as the whole of it.
    """

    def __init__(
        self,
        objects: ObjectLabels,
        source: ImageSource,
        held_out: Sequence[Box],
        roles: Sequence[ChannelRole],
        space: VoxelSpace,
        normalisation: ImageNormalisation,
        most_voxels: int,
        part: Part = "all",
        channels: Sequence[int] | None = None,
        counts_cut: bool = False,
    ) -> None:
        self._channels = list(range(len(roles)) if channels is None else channels)
        self._counts_cut = counts_cut
        self._objects, self._source, self._held_out = objects, source, held_out
        self._roles, self._space, self._normalisation = roles, space, normalisation
        self._groups = list(dict.fromkeys(group_of(role) for role in roles))
        self._are_quantities = np.array([not _is_probability(self._role_of(group)) for group in self._groups])
        hulls = [hull_of_labels(objects.truth(tile), tile) for tile in objects.scored_tiles(SCORED_TILE)]
        self._blocks = HeldOutBlocks(hulls, lambda box: objects.truth(box) != 0, 1, space)
        self._is_counted = self._blocks.of_part(part)
        self._boxes = chosen_boxes(hulls, most_voxels) if self._is_counted.any() else []

    @property
    def n_boxes(self) -> int:
        """Number of boxes that are predicted for a score; 0 where nothing can be scored."""
        return len(self._boxes)

    @property
    def n_rows(self) -> int:
        """One a group of channels, and one for all voxels."""
        return len(self._groups) + 1

    @property
    def n_columns(self) -> int:
        """Voxels that are right and wrong, and all; see `_counted`."""
        return 3

    def score(self, inferer: BoxInferer, check: Callable[[], None] = lambda: None) -> dict[str, Any]:
        """Scores by group of channels.

        Near and far affinities are scored by the pairs that are to be kept apart, which are the rarer ones; other
        probabilities by themselves; all at 0.5. The score of a quantity is the share that the mean error leaves of its
        reach, half of what 0 to 255 stand for.

        Parameters
        ----------
        check : callable
            Called before each box; raises to give up.

        Returns
        -------
        dict
            ``dice`` and ``iou`` (group to number, None where there is nothing of it), ``mean`` of the groups' ``dice``,
            ``error_nm`` (mean error of the distance) and ``n_voxels``.
        """
        return self.summary(self.count(inferer, check).sum(axis=0))

    def count(
        self,
        inferer: BoxInferer,
        check: Callable[[], None] = lambda: None,
        normalisation: ImageNormalisation | None = None,
    ) -> np.ndarray:
        """Counts of each group as `_counted` gives them, and labelled voxels in a last one, (blocks, groups + 1, 3)."""
        counts = np.zeros((len(self._blocks), len(self._groups) + 1, 3))
        whole, scaling = Box.of_shape(self._source.shape), normalisation or self._normalisation

        def read(box: Box) -> np.ndarray:
            return scaling.apply(self._source.read(box))

        for box in self._boxes:
            check()
            found = inferer.predict_box(read, box, whole).numpy()[self._channels]
            ids = self._objects.truth(box)
            block = self._blocks.numbers(box)
            counted = self._counted(ids, block)
            labels, names = numbered_ids(ids)
            patch = LabelledPatch(labels, self._space, ids=names, counts_cut=self._counts_cut)
            targets = object_targets(patch, self._roles)
            counts[:, -1, 2] += np.bincount(block[counted], minlength=len(counts))
            for role, predicted, target in without_levels(self._roles, found, targets):
                known = counted & (target != IGNORED)
                group = self._groups.index(group_of(role))
                counts[:, group] += _counted(role, predicted[known], target[known], block[known], len(counts))
        return counts[counts[:, -1, 2] > 0]

    def truth(self) -> Iterator[tuple[Box, np.ndarray]]:
        """See `VolumeScorer`."""
        for box in self._boxes:
            ids = self._objects.truth(box)
            yield box, np.where(self._counted(ids, self._blocks.numbers(box)), ids, 0)

    def _counted(self, ids: np.ndarray, block: np.ndarray) -> np.ndarray:
        """Mask of the voxels of a box that count."""
        return np.asarray((ids != 0) & (block >= 0) & self._is_counted[block])

    def summary(self, sums: np.ndarray) -> dict[str, Any]:
        """See `VolumeScorer`."""
        values, mean = self._values(sums[None, :-1])[0], float(self.means(sums[None])[0])
        dice: dict[str, float | None] = {}
        iou: dict[str, float | None] = {}
        error_nm: dict[str, float] = {}
        for group, value, (right, wrong, _) in zip(self._groups, values, sums[:-1], strict=True):
            role, is_known = self._role_of(group), not math.isnan(value)
            dice[group] = float(value) if is_known else None
            iou[group] = None
            if not _is_probability(role):
                if is_known and isinstance(role, DistanceRole):
                    error_nm[group] = (1 - float(value)) * role.reach_nm
            elif is_known:
                iou[group] = float(right / (right + wrong))
        return {
            "dice": dice,
            "iou": iou,
            "mean": None if math.isnan(mean) else mean,
            "error_nm": error_nm,
            "n_voxels": int(sums[-1, 2]),
            "boxes": [str(box) for box in self._held_out],
        }

    def means(self, sums: np.ndarray) -> np.ndarray:
        """Mean of the groups' scores; see `VolumeScorer`."""
        return mean_of_known(self._values(sums[:, :-1]))

    def _values(self, sums: np.ndarray) -> np.ndarray:
        """The score of each group, (n, groups); nan where there is nothing of it."""
        right, wrong, n = np.moveaxis(sums, -1, 0)
        dice = np.where(right + wrong > 0, 2 * right / np.maximum(2 * right + wrong, 1), np.nan)
        left = np.where(n > 0, 1 - right / np.maximum(n, 1), np.nan)
        return np.where(self._are_quantities, left, dice)

    def _role_of(self, group: str) -> ChannelRole:
        return next(role for role in self._roles if group_of(role) == group)


def group_of(role: ChannelRole) -> str:
    """The name under which channels of a kind are scored together."""
    if isinstance(role, AffinityRole):
        return "near affinities" if role.is_near else "far affinities"
    return role.distance.title if isinstance(role, DistanceLevelRole) else role.title


def _is_probability(role: ChannelRole) -> bool:
    """Whether a channel is scored as a probability; levels of a distance are scored as the distance."""
    return role.is_probability and not isinstance(role, DistanceLevelRole)


def without_levels(
    roles: Sequence[ChannelRole], found: np.ndarray, targets: np.ndarray
) -> Iterator[tuple[ChannelRole, np.ndarray, np.ndarray]]:
    """Each role with its channel of a prediction and of a target; levels as the distance that they stand for."""
    levels = [n for n, role in enumerate(roles) if isinstance(role, DistanceLevelRole)]
    for number, role in enumerate(roles):
        if not isinstance(role, DistanceLevelRole):
            yield role, found[number], targets[number]
        elif number == levels[0]:
            wanted = distance_of_levels((targets[levels] == ONE).astype(np.float32))
            target = encoded((wanted + 1) / 2, targets[number] != IGNORED)
            yield role.distance, (distance_of_levels(found[levels]) + 1) / 2, target


def _counted(role: ChannelRole, predicted: np.ndarray, target: np.ndarray, block: np.ndarray, n: int) -> np.ndarray:
    """For each of n blocks, (n, 3): voxels found and right, those found or right alone, all; or error, 0, all."""
    if not role.is_probability:
        wanted = (target.astype(np.float32) - ZERO) / (ONE - ZERO)
        right, wrong = 2 * np.abs(predicted - wanted).astype(float), np.zeros(len(target))
    else:
        is_of_pairs = isinstance(role, AffinityRole)
        found, truth = (predicted < 0.5, target == ZERO) if is_of_pairs else (predicted >= 0.5, target == ONE)
        right, wrong = (found & truth).astype(float), (found != truth).astype(float)
    weights = (right, wrong, None)
    return np.stack([np.bincount(block, weights=of, minlength=n) for of in weights], axis=-1)
