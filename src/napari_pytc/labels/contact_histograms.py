"""Histograms of the scores of contacts: any quantile follows from them, also that of contacts that become one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from napari_pytc.errors import InvalidInput

N_BINS = 256
_TOP = N_BINS - 1
_PERMILLE = 1000
_FILES = {"starts": np.int64, "bins": np.uint8, "counts": np.uint32}


@dataclass(frozen=True, eq=False)
class ContactHistograms:
    """How many faces of each contact have which score, in 256 steps from 0 to 1; only steps that occur are stored.

    ::

        contact     0                1         2
        starts      0                3         4              6
        bins        17   90   255    128       0    64              score = bin / 255
        counts       2    1     4      9       1     3              faces

    A score that was read from a byte is a step, so nothing is lost; others are rounded by at most 1/510. A contact of
    n faces takes 5 bytes for each of its scores, of which there are at most n and at most 256.

    Parameters
    ----------
    starts : ndarray of int64, shape (m + 1,)
        Where the steps of each contact begin, and where the last ones end.
    bins : ndarray of uint8, shape (k,)
        Ascending within each contact.
    counts : ndarray of unsigned integers, shape (k,)
        Faces with this score.
    """

    starts: np.ndarray
    bins: np.ndarray
    counts: np.ndarray

    def __post_init__(self) -> None:
        if self.bins.shape != self.counts.shape or not len(self.starts) or self.starts[-1] != len(self.bins):
            raise InvalidInput(
                f"Histograms need starts (m + 1,), bins (k,) and counts (k,), got {self.starts.shape}, "
                f"{self.bins.shape} and {self.counts.shape}."
            )

    @classmethod
    def empty(cls) -> ContactHistograms:
        """Those of no contact."""
        return cls(np.zeros(1, np.int64), np.zeros(0, np.uint8), np.zeros(0, np.int64))

    @classmethod
    def of_faces(cls, contact: np.ndarray, scores: np.ndarray, n: int) -> ContactHistograms:
        """Those of n contacts, from the contact and the score (0 to 1) of each face."""
        steps = np.rint(np.clip(scores, 0, 1) * _TOP).astype(np.int64)
        keys, counts = np.unique(contact.astype(np.int64) * N_BINS + steps, return_counts=True)
        return _of_keys(keys, counts, n)

    def __len__(self) -> int:
        return len(self.starts) - 1

    def take(self, rows: np.ndarray) -> ContactHistograms:
        """Those of some contacts, in this order."""
        lengths = np.diff(self.starts)[rows]
        starts = _starts(lengths)
        entries = np.repeat(self.starts[:-1][rows] - starts[:-1], lengths) + np.arange(starts[-1])
        return ContactHistograms(starts, self.bins[entries], self.counts[entries])

    def added(self, starts: np.ndarray) -> ContactHistograms:
        """Those of contacts that become one: of all from each start to the next, the faces added up."""
        first = self.starts[np.append(starts, len(self))]
        n_rows = np.diff(np.append(starts, len(self)))
        group = np.repeat(np.arange(len(starts)), np.diff(first))
        several = (n_rows > 1)[group]
        keys, counts = _added(group[several] * N_BINS + self.bins[several], self.counts[several])
        lengths = np.where(n_rows > 1, np.bincount(keys // N_BINS, minlength=len(starts)), np.diff(first))
        new = _starts(lengths)
        bins, total = np.zeros(new[-1], np.uint8), np.zeros(new[-1], np.int64)
        for owner, values, faces in (
            (group[~several], self.bins[~several], self.counts[~several]),
            (keys // N_BINS, keys % N_BINS, counts),
        ):
            # Contacts of either kind lie one after another, in the order of their numbers.
            before = _starts(np.bincount(owner, minlength=len(starts)))
            at = new[owner] + np.arange(len(owner)) - before[owner]
            bins[at], total[at] = values, faces
        return ContactHistograms(new, bins, total)

    def highest(self) -> ContactHistograms:
        """Only the highest score of each contact, with the number of faces that have it."""
        last = self.starts[1:] - 1
        return ContactHistograms(np.arange(len(self) + 1), self.bins[last], self.counts[last])

    def quantiles(self, permille: int) -> np.ndarray:
        """A quantile of the scores of each contact, float64 (m,): the (floor(n q) + 1)-th of its n, as in waterz.

        Parameters
        ----------
        permille : int
            The quantile in thousandths; 1000 is the highest score.
        """
        sums = np.concatenate([[0], np.cumsum(self.counts, dtype=np.int64)])
        before, total = sums[self.starts[:-1]], np.diff(sums[self.starts])
        rank = np.minimum(total * permille // _PERMILLE + 1, total)
        return np.asarray(self.bins[np.searchsorted(sums, before + rank) - 1] / _TOP)

    def arrays(self) -> dict[str, np.ndarray]:
        """All of it by name, in the types in which it is stored."""
        return {name: getattr(self, name).astype(dtype, copy=False) for name, dtype in _FILES.items()}

    def save(self, folder: Path) -> None:
        """Write it as .npy files into a folder."""
        for name, array in self.arrays().items():
            np.save(folder / f"histogram_{name}.npy", array)

    @staticmethod
    def files(folder: Path) -> list[Path]:
        """Files of what `save` wrote, in the order of the fields; none where it wrote nothing there."""
        found = [folder / f"histogram_{name}.npy" for name in _FILES]
        return found if found[0].exists() else []


def joined(parts: Sequence[ContactHistograms]) -> ContactHistograms:
    """The contacts of all parts, one after another."""
    lengths = np.concatenate([np.zeros(0, np.int64), *(np.diff(part.starts) for part in parts)])
    bins = np.concatenate([np.zeros(0, np.uint8), *(part.bins for part in parts)])
    counts = np.concatenate([np.zeros(0, np.int64), *(part.counts for part in parts)])
    return ContactHistograms(_starts(lengths), bins, counts)


def _starts(lengths: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])


def _added(keys: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each key once, ascending, with the sum of its counts."""
    if not len(keys):
        return keys.astype(np.int64), np.zeros(0, np.int64)
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    first = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]])
    return keys[first], np.add.reduceat(counts[order].astype(np.int64), first)


def _of_keys(keys: np.ndarray, counts: np.ndarray, n: int) -> ContactHistograms:
    lengths = np.bincount(keys // N_BINS, minlength=n)
    return ContactHistograms(_starts(lengths), (keys % N_BINS).astype(np.uint8), counts.astype(np.int64))
