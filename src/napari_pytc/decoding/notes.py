"""Sentences about what a decoder left out or gave away, which a segmentation keeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_pytc.decoding.base import DecoderSettings
from napari_pytc.geometry import Shape, VoxelSpace

MOST_DROPPED = 0.5
"""Share of objects whose loss to a size filter is told."""
_MOST_UNPREDICTED = 0.001
_MOST_SWALLOWED = 0.01
_JOINED = "joined a neighbour; a lower value keeps them apart."
_DUST = "join no neighbour and are background; a lower join_from or drop_below keeps them."
_UNUSED = "is not used."


@dataclass(frozen=True)
class BlockCounts:
    """Voxels that the blocks of a segmentation left out.

    Parameters
    ----------
    n_voxels : int
        All voxels of the blocks.
    n_unpredicted : int
        Voxels that no network has seen.
    n_swallowed : int
        Voxels inside of objects that a decoder left out by their size before there were supervoxels.
    """

    n_voxels: int = 0
    n_unpredicted: int = 0
    n_swallowed: int = 0

    @classmethod
    def total(cls, counts: Sequence[np.ndarray], n_voxels: int) -> BlockCounts:
        """Add up the pairs (unpredicted, swallowed) of blocks."""
        sums = np.sum([np.zeros(2, np.int64), *counts], axis=0)
        return cls(n_voxels, int(sums[0]), int(sums[1]))


class DecodingNotes:
    """Notes of one segmentation.

    Parameters
    ----------
    decoder : DecoderSettings
        As the user set it, not `DecoderSettings.fitted`.
    shape : tuple of int
        Lengths of what is decoded.
    """

    def __init__(self, decoder: DecoderSettings, shape: Shape, space: VoxelSpace) -> None:
        self._decoder, self._shape, self._space = decoder, shape, space

    def on_blocks(self, counts: BlockCounts) -> list[str]:
        """Notes on voxels that became no part of a supervoxel."""
        notes = []
        if counts.n_unpredicted > _MOST_UNPREDICTED * counts.n_voxels:
            share = _percent(counts.n_unpredicted, counts.n_voxels)
            notes.append(f"{share} of the voxels were not predicted and are background.")
        if counts.n_swallowed > _MOST_SWALLOWED * counts.n_voxels:
            share = _percent(counts.n_swallowed, counts.n_voxels)
            notes.append(
                f"{share} of the voxels lie in pieces that are smaller than {self._smallest} and touch no larger one: "
                "they are background."
            )
        return notes

    def on_dropped(self, keep: np.ndarray, seeded: np.ndarray | None = None) -> list[str]:
        """Notes on supervoxels that are dropped for their size, and on those that lack a seed.

        Parameters
        ----------
        keep : ndarray of bool, shape (n + 1,)
            `DecoderSettings.large_enough`.
        seeded : ndarray of bool, shape (n + 1,), optional
            `DecoderSettings.well_seeded`; all are by default.
        """
        if len(keep) == 1:
            return ["There is no object: the prediction shows none with these settings."]
        if seeded is None:
            return self._on_small(keep[1:])
        n, n_unseeded = len(keep) - 1, int(np.count_nonzero(~seeded[1:]))
        small = self._on_small(keep[1:][seeded[1:]])
        if n_unseeded <= MOST_DROPPED * n:
            return small
        what = f"All {n} objects hold" if n > 1 else "The only object holds"
        what = what if n_unseeded == n else f"{n_unseeded} of {n} objects hold"
        return [f"{what} no seed that is large enough and became background; weaker seed settings keep more.", *small]

    def _on_small(self, keep: np.ndarray) -> list[str]:
        n, n_kept = len(keep), int(np.count_nonzero(keep))
        if n - n_kept <= MOST_DROPPED * n:
            return []
        what = f"All {n} objects are" if n > 1 else "The only object is"
        what = what if not n_kept else f"{n - n_kept} of {n} objects are"
        verb = "were dropped" if n > 1 else "was dropped"
        return [f"{what} smaller than {self._smallest} and {verb}; a lower value keeps them."]

    def on_joined(self, before: np.ndarray, after: np.ndarray) -> list[str]:
        """Notes on segments that joined a neighbour for their size, or found none and are background.

        Parameters
        ----------
        before, after : ndarray, shape (n + 1,)
            The segment of each supervoxel that may change; afterwards 0 for what is background.
        """
        is_dust = after[1:] == 0
        n, n_dust = len(np.unique(before[1:])), len(np.unique(before[1:][is_dust]))
        n_joined = n - n_dust - len(np.unique(after[1:][~is_dust]))
        counts = ((n_joined, "and ", _JOINED), (n_dust, "", _DUST))
        return [
            f"{number} of {n} segments are smaller than {self._smallest}{' ' if word else ', '}{word}{what}"
            for number, word, what in counts
            if number > MOST_DROPPED * n
        ]

    @property
    def _smallest(self) -> str:
        return self._decoder.smallest_text(self._shape, self._space)


def unused_channels(titles: Sequence[str]) -> list[str]:
    """A note on channels of a prediction that no decoder uses; empty where all are used."""
    if not titles:
        return []
    verb, them = ("is", "it") if len(titles) == 1 else ("are", "them")
    return [f"Of the prediction {', '.join(titles)} {verb} left out: no decoder uses {them}."]


def unused_sizes(changes: Mapping[str, Any], depth: int) -> list[str]:
    """Notes on a smallest size that was given for volumes where sections count, or the other way round.

    Parameters
    ----------
    changes : mapping
        Settings of a decoder that are not its defaults.
    depth : int
        Number of sections that are decoded.
    """
    used, unused = ("smallest_um2", "smallest_um3") if depth == 1 else ("smallest_um3", "smallest_um2")
    if unused not in changes or used in changes:
        return []
    what = "A single section has areas, not volumes" if depth == 1 else "A volume has no areas"
    return [f"{what}: {used} counts, and {unused}={changes[unused]} {_UNUSED}"]


def is_on_grouping(note: str) -> bool:
    """Whether a note is about sizes of segments, which another grouping of the same supervoxels changes."""
    return note.endswith((_JOINED, _DUST, _UNUSED))


def _percent(part: int, whole: int) -> str:
    share = 100 * part / whole
    return f"{share:.0f} %" if share >= 10 else f"{share:.1f} %"
