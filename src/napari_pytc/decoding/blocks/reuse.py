"""Reuse of a previous segmentation by a new one: supervoxels where nothing changed, and locked segments."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from napari_pytc.decoding.jobs import SegmentJob
from napari_pytc.errors import InvalidInput
from napari_pytc.geometry import Box, Shape, Tile, TileGrid
from napari_pytc.labels.segments_view import SegmentsView


class PreviousSegmentation:
    """A previous segmentation whose supervoxels or locked segments a job reuses; safe to use from several threads.

    Their edits are seen as of the last flush.

    Raises
    ------
    InvalidInput
        If one is of another volume, or has nothing in a part of the box.
    VolumeError
        If one is missing or damaged.
    """

    def __init__(self, job: SegmentJob, shape: Shape, box: Box) -> None:
        self._reuse = None if job.reuse is None else SegmentsView.open(job.reuse)
        same = job.keep is not None and job.keep == job.reuse
        self._keep = None if job.keep is None else self._reuse if same else SegmentsView.open(job.keep)
        for view, folder in ((self._reuse, job.reuse), (self._keep, job.keep)):
            if view is not None and folder is not None and view.shape != tuple(shape):
                raise InvalidInput(
                    f"What is taken over must be as large as the prediction {tuple(shape)}, but {folder.name} has "
                    f"{view.shape}.",
                    "Choose a segmentation of the same image.",
                )
        if self._reuse is not None and job.reuse is not None and not self._reuse.decoded.contains(box):
            raise InvalidInput(
                f"The segmentation {job.reuse.name} has voxels of {self._reuse.decoded} only, but {box} is asked for.",
                "Segment the same box again.",
            )
        self._changed = job.changed
        self._affected = np.zeros(0, np.uint32)

    @property
    def work(self) -> str:
        """Digest of the reused supervoxels and edits."""
        return " ".join(str(view.digests) for view in (self._reuse, self._keep) if view is not None)

    def is_reused(self, tile: Tile) -> bool:
        """Whether the prediction is unchanged in all voxels that a block reads."""
        return self._reuse is not None and not any(box.overlaps(tile.read) for box in self._changed)

    def find_affected(self, grid: TileGrid, check: Callable[[], None]) -> None:
        """Find the supervoxels that reach into blocks that are decoded anew; to be called before `pieces`."""
        found = [np.zeros(0, np.uint32)]
        for tile in grid if self._reuse is not None else ():
            if not self.is_reused(tile):
                check()
                found.append(np.unique(self._reuse.supervoxels(tile.write)))  # type: ignore[union-attr]
        self._affected = np.unique(np.concatenate(found))

    def pieces(self, box: Box, connectivity: int) -> tuple[np.ndarray, np.ndarray]:
        """Reused supervoxels of a box, and the previous supervoxel of each.

        A supervoxel that reaches into a block that is decoded anew may fall apart there: every connected part of it is
        a piece of its own.

        Returns
        -------
        labels : ndarray of uint32, ``box.shape``
            From 1.
        origins : ndarray of uint32, shape (n + 1,)
            The supervoxel of each.
        """
        from skimage.measure import label

        assert self._reuse is not None
        previous = self._reuse.supervoxels(box)
        separated = _among(previous, self._affected)
        whole, labels = np.unique(np.where(separated, 0, previous), return_inverse=True)
        if whole[0] != 0:
            whole, labels = np.r_[np.uint32(0), whole], labels + 1
        labels = labels.reshape(previous.shape).astype(np.uint32)
        if not separated.any():
            return labels, whole.astype(np.uint32)
        components = label(
            np.where(separated, previous, 0), background=0, connectivity={6: 1, 18: 2, 26: 3}[connectivity]
        )
        here = components > 0
        labels[here] = components[here] + (len(whole) - 1)
        origins = np.zeros(int(components.max()) + 1, np.uint32)
        origins[components[here]] = previous[here]
        return labels, np.concatenate([whole, origins[1:]]).astype(np.uint32)

    def is_whole(self, origins: np.ndarray) -> np.ndarray:
        """Mask of the supervoxels that lie wholly in reused blocks; bool."""
        return (origins > 0) & ~_among(origins, self._affected)

    def is_affected(self, origins: np.ndarray) -> np.ndarray:
        """Mask of the supervoxels that reach into blocks that are decoded anew; bool."""
        return _among(origins, self._affected)

    def locked(self, box: Box) -> np.ndarray | None:
        """Supervoxels of a box that belong to locked segments, 0 elsewhere; None where there are none."""
        if self._keep is None or not len(self._keep.locked):
            return None
        found = self._keep.supervoxels(box)
        found = np.where(_among(self._keep.owners(found), self._keep.locked), found, np.uint32(0))
        return found if found.any() else None

    def locked_segments(self, supervoxels: np.ndarray) -> np.ndarray:
        """Locked segments of the supervoxels that `locked` gave; 0 stays."""
        return np.zeros(len(supervoxels), np.uint32) if self._keep is None else self._keep.owners(supervoxels)


@dataclass(frozen=True, eq=False)
class Reused:
    """Origins of the labels of `BlockResults.read`: two uint32 arrays (n_labels + 1,).

    Parameters
    ----------
    origins : ndarray
        The reused supervoxel that a label is a piece of; 0 for those that were decoded.
    locks : ndarray
        The supervoxel of a locked segment; 0 for all others.
    """

    origins: np.ndarray
    locks: np.ndarray

    def pairs(self, previous: PreviousSegmentation) -> np.ndarray:
        """Pairs of labels of one reused or locked supervoxel, wherever they lie: (m, 2)."""
        whole = np.where(previous.is_whole(self.origins), self.origins, np.uint32(0))
        return np.concatenate([_same(whole), _same(self.locks)])

    def may_join(self, pairs: np.ndarray) -> np.ndarray:
        """Mask of the pairs of which at least one was decoded anew and none is locked: (m,)."""
        return ~self.locks[pairs].any(axis=1) & (self.origins[pairs] == 0).any(axis=1)

    def allowed(self, pairs: np.ndarray, contact: np.ndarray | None = None) -> np.ndarray:
        """The pairs that may be joined, and touching pieces of one reused supervoxel: (m, 2).

        Parameters
        ----------
        contact : ndarray of uint32, shape (k, 2), optional
            Labels that touch; the pairs by default.
        """
        touching = pairs if contact is None else contact
        first, second = self.origins[touching[:, 0]], self.origins[touching[:, 1]]
        return np.concatenate([pairs[self.may_join(pairs)], touching[(first > 0) & (first == second)]])

    def separated(self, pairs: np.ndarray, groups: np.ndarray) -> np.ndarray:
        """The pairs without those through which decoded labels would merge two reused supervoxels: (m, 2).

        Parameters
        ----------
        groups : ndarray, shape (n_labels + 1,)
            The group that the pairs put each label in.
        """
        reused = np.flatnonzero(self.origins)
        kinds = np.unique(np.stack([groups[reused], self.origins[reused]], axis=1), axis=0)
        mixed, counts = np.unique(kinds[:, 0], return_counts=True)
        is_mixed = np.isin(groups[pairs[:, 0]], mixed[counts > 1])
        crosses = (self.origins[pairs] > 0).sum(axis=1) == 1
        return pairs[~(is_mixed & crosses)]


def fallen_apart(
    pieces: np.ndarray, origins: np.ndarray, parts: np.ndarray, is_affected: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Pieces of which those that are affected are divided among the parts that a decoder makes of their voxels.

    Parameters
    ----------
    pieces : ndarray of uint32
        From 1; 0 is background.
    origins : ndarray of uint32, shape (n + 1,)
        The supervoxel of each piece.
    parts : ndarray of uint32, shape as pieces
        Objects of the decoder. Voxels of a piece that are in none, as painted ones are, stay together.
    is_affected : ndarray of bool, shape (n + 1,)
        Which pieces are divided.

    Returns
    -------
    pieces, origins : ndarray
        As the parameters; pieces that are not affected keep their numbers.
    """
    here = is_affected[pieces] & (pieces > 0)
    found, inverse = np.unique(np.stack([pieces[here], parts[here]], axis=1), axis=0, return_inverse=True)
    divided = pieces.copy()
    divided[here] = inverse.reshape(-1).astype(np.uint32) + np.uint32(len(origins))
    return divided, np.concatenate([origins, origins[found[:, 0]]]).astype(np.uint32)


def keep_ids(segments: np.ndarray, fixed: np.ndarray) -> np.ndarray:
    """Segments in which some supervoxels have fixed ids; other segments with such an id get a new one.

    Parameters
    ----------
    fixed : ndarray of uint32, shape (n + 1,)
        The segment that a supervoxel must have, 0 for any.
    """
    ids = np.unique(fixed[fixed > 0])
    segments = segments.astype(np.uint32)
    clashing = np.unique(segments[(fixed == 0) & np.isin(segments, ids)])
    free = max(len(segments) - 1, int(ids.max(initial=0)), int(segments.max(initial=0))) + 1
    new = np.arange(free, free + len(clashing), dtype=np.uint32)
    at = np.minimum(np.searchsorted(clashing, segments), max(len(clashing) - 1, 0))
    renamed = np.where(np.isin(segments, clashing), new[at], segments) if len(clashing) else segments
    return np.where(fixed > 0, fixed, renamed).astype(np.uint32)


def _same(values: np.ndarray) -> np.ndarray:
    """Pairs of places that follow one another among those with the same value, 0 left out: (m, 2)."""
    order = np.argsort(values, kind="stable")
    order = order[values[order] > 0]
    equal = values[order[1:]] == values[order[:-1]]
    return np.stack([order[:-1][equal], order[1:][equal]], axis=1).astype(np.uint32)


def _among(values: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """Mask of the values that are among sorted ones; `np.isin` may make a table as long as the largest id."""
    if not len(candidates):
        return np.zeros(values.shape, bool)
    at = np.minimum(np.searchsorted(candidates, values), len(candidates) - 1)
    return np.asarray((candidates[at] == values) & (values > 0))
