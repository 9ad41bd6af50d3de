"""Scores of affinities, boundaries and distances on the held-out boxes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from napari_pytc.geometry import Box, VoxelSpace
from napari_pytc.learning.inference import Inferer
from napari_pytc.learning.instance_targets import IGNORED, ONE, ZERO, instance_targets
from napari_pytc.learning.normalisation import Normalisation
from napari_pytc.learning.objects import ObjectLabels, renumbered
from napari_pytc.learning.scoring import SCORED_TILE, chosen_boxes, hull_of_labels
from napari_pytc.volumes.channels import AffinityRole, ChannelRole, DistanceRole
from napari_pytc.volumes.source import VolumeSource


class InstanceScorer:
    """How well a network tells objects apart in the held-out boxes, where their labels decide it.

    Parameters
    ----------
    objects : ObjectLabels
        The labels.
    source : VolumeSource
        Raw intensities.
    held_out : sequence of Box
        The held-out boxes, for the record.
    roles : sequence of ChannelRole
        What the network's channels mean.
    most_voxels : int
        At most about this many voxels are predicted a time; a larger part is sampled, always the same.
    """

    def __init__(
        self,
        objects: ObjectLabels,
        source: VolumeSource,
        held_out: Sequence[Box],
        roles: Sequence[ChannelRole],
        space: VoxelSpace,
        normalisation: Normalisation,
        most_voxels: int,
    ) -> None:
        self._objects, self._source, self._held_out = objects, source, held_out
        self._roles, self._space, self._normalisation = roles, space, normalisation
        tiles = objects.scored_tiles(SCORED_TILE)
        self._boxes = chosen_boxes([hull_of_labels(objects.truth(tile), tile) for tile in tiles], most_voxels)

    @property
    def n_boxes(self) -> int:
        """Number of boxes that are predicted for a score; 0 where nothing can be scored."""
        return len(self._boxes)

    def score(self, inferer: Inferer, check: Callable[[], None] = lambda: None) -> dict[str, Any]:
        """Scores by group of channels.

        Near and far affinities are scored by the pairs that are to be kept apart, which are the rarer ones, boundary
        and foreground by themselves, all at a probability of 0.5; of a distance the share of its reach that the mean
        error leaves is given.

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
        counts: dict[str, np.ndarray] = {group_of(role): np.zeros(3) for role in self._roles}
        whole, n_voxels = Box.of_shape(self._source.shape), 0
        for box in self._boxes:
            check()
            read = box.grow(inferer.limits.halo).aligned(inferer.limits.alignment).intersect(whole)
            image = self._normalisation.apply(self._source.read(read))
            found = inferer(image, box.relative_to(read.start)).numpy()
            labels = renumbered(self._objects.truth(box))
            targets = instance_targets(labels, self._roles, self._space)
            n_voxels += int(np.count_nonzero(labels))
            for role, answer, target in zip(self._roles, found, targets, strict=True):
                counts[group_of(role)] += _counted(role, answer, target)
        dice: dict[str, float | None] = {}
        iou: dict[str, float | None] = {}
        error_nm: dict[str, float] = {}
        for role in {group_of(role): role for role in self._roles}.values():
            group, (right, wrong, n) = group_of(role), counts[group_of(role)]
            if isinstance(role, DistanceRole):
                error = right / n if n else None
                dice[group], iou[group] = None if error is None else 1 - error, None
                if error is not None:
                    error_nm[group] = error * role.reach_nm
            else:
                dice[group] = 2 * right / (2 * right + wrong) if right + wrong else None
                iou[group] = right / (right + wrong) if right + wrong else None
        known = [value for value in dice.values() if value is not None]
        return {
            "dice": dice,
            "iou": iou,
            "mean": float(np.mean(known)) if known else None,
            "error_nm": error_nm,
            "n_voxels": n_voxels,
            "boxes": [str(box) for box in self._held_out],
        }


def group_of(role: ChannelRole) -> str:
    """The name under which channels of a kind are scored together."""
    if isinstance(role, AffinityRole):
        return "near affinities" if role.is_near else "far affinities"
    return role.title


def _counted(role: ChannelRole, answer: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Voxels that are found and right, those that are found or right alone, and 0; or the error's sum, 0, voxels."""
    known = target != IGNORED
    answer, target = answer[known], target[known]
    if isinstance(role, DistanceRole):
        wanted = (target.astype(np.float32) - ZERO) / (ONE - ZERO)
        return np.array([2 * np.abs(answer - wanted).sum(dtype=float), 0, len(target)])
    found, truth = (answer < 0.5, target == ZERO) if isinstance(role, AffinityRole) else (answer >= 0.5, target == ONE)
    return np.array([np.count_nonzero(found & truth), np.count_nonzero(found != truth), 0], float)
