"""Edited tables of a segmentation, as saved beside it in `state.npz`."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass, field, fields
from pathlib import Path

import numpy as np

from napari_pytc.errors import VolumeError
from napari_pytc.files import atomic_write

STATE, EDITS = "state.npz", "edits.zarr"
VERSION = 1


def _ids() -> np.ndarray:
    return np.zeros(0, np.uint32)


@dataclass(frozen=True, eq=False)
class SavedState:
    """Tables as of a place in the journal; what is not named here is as decoded.

    Parameters
    ----------
    log_index : int
        The journal's log up to and with this row is in here and in ``edits.zarr``.
    next_id : int
        The first id that was never used.
    digests : ndarray of uint64
        Of voxels, table and notes, as `proofreading.digests` makes them.
    moved, segments : ndarray of uint32
        Supervoxels whose segment may differ from the decoded one, sorted, and their segments.
    touched, sizes, boxes : ndarray
        Supervoxels that gained or lost voxels, sorted; their voxels (uint64), and their boxes (int32, (n, 6)).
    noted, locked, deleted, classes : ndarray
        Segments of which something is noted (uint32), and what: bool, bool, uint8.
    """

    log_index: int = 0
    next_id: int = 0
    digests: np.ndarray = field(default_factory=lambda: np.zeros(3, np.uint64))
    moved: np.ndarray = field(default_factory=_ids)
    segments: np.ndarray = field(default_factory=_ids)
    touched: np.ndarray = field(default_factory=_ids)
    sizes: np.ndarray = field(default_factory=lambda: np.zeros(0, np.uint64))
    boxes: np.ndarray = field(default_factory=lambda: np.zeros((0, 6), np.int32))
    noted: np.ndarray = field(default_factory=_ids)
    locked: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))
    deleted: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))
    classes: np.ndarray = field(default_factory=lambda: np.zeros(0, np.uint8))

    @classmethod
    def load(cls, folder: Path) -> SavedState | None:
        """The state of a segmentation's folder; None where nothing was saved yet.

        Raises
        ------
        VolumeError
            If it is damaged, or a newer napari-pytc wrote it.
        """
        path = folder / STATE
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                version = int(arrays["version"])
                if version <= VERSION:
                    found = {entry.name: arrays[entry.name] for entry in fields(cls)}
                    return cls(int(found.pop("log_index")), int(found.pop("next_id")), **found)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise VolumeError(
                f"The saved state {path} is damaged: {error}.", "Rebuild it from the journal: napari-pytc replay."
            ) from error
        raise VolumeError(
            f"{path} has format {version}, but this napari-pytc reads up to {VERSION}.", "Update napari-pytc."
        )

    def save(self, folder: Path) -> None:
        """Put the state in place in one step.

        Raises
        ------
        VolumeError
            If the disk is full or refuses; the former state is intact.
        """
        path = folder / STATE
        try:
            with atomic_write(path) as aside:
                self._write(aside)
        except OSError as error:
            raise VolumeError(
                f"The state of the segmentation could not be saved to {path}: {error.strerror or error}.",
                "No edit is lost: they are in the journal. Free space on the disk and save again.",
            ) from error

    def _write(self, path: Path) -> None:
        arrays = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        with path.open("wb") as file:
            np.savez(file, version=VERSION, **arrays)
