"""Intermediate results of a blockwise segmentation on disk, from which it resumes after a kill."""

from __future__ import annotations

import hashlib
import shutil
import zipfile
import zlib
from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np

from napari_pytc.errors import InvalidInput, VolumeError
from napari_pytc.files import atomic_write, write_text_durably
from napari_pytc.geometry import Box, Shape, TileGrid, VoxelSpace
from napari_pytc.labels.segmentation import SUPERVOXELS
from napari_pytc.labels.store import CHUNK_SHAPE, LabelStore

FOLDER = "parts"
_OURS = {FOLDER, SUPERVOXELS}
_MOST_LABELS = 2**32 - 2


class BlockResults:
    """Results of the blocks of an unfinished segmentation; safe to use from several threads.

    ::

        <segmentation>/parts/work            digest of the work that they belong to
        <segmentation>/parts/raw.zarr        labels of each block, counted from 1 in each
        <segmentation>/parts/decode/<i>.npz  how many labels block i has, and its labels beyond its faces
        <segmentation>/parts/graph/<i>.npz   sizes, boxes, classes and contacts in block i
        <segmentation>/parts/*.ledger        which blocks are done

    Parameters
    ----------
    segmentation : Path
        The segmentation's folder. Results of other work in it are deleted.
    work : str
        Description of the work: job, blocks and reused edits.
    """

    def __init__(self, segmentation: Path, work: str, shape: Shape, space: VoxelSpace) -> None:
        self.folder = segmentation / FOLDER
        self.work = hashlib.sha256(work.encode()).hexdigest()
        try:
            if self._work_before() != self.work:
                _clear(segmentation)
                for name in ("decode", "graph"):
                    (self.folder / name).mkdir(parents=True)
                LabelStore.create(self.folder / "raw.zarr", shape, np.uint32, space, CHUNK_SHAPE)
                write_text_durably(self.folder / "work", self.work)
        except OSError as error:
            raise _write_error(self.folder, error) from error
        self.raw = LabelStore.open(self.folder / "raw.zarr")
        self.starts = np.zeros(1, np.int64)

    def save(self, step: str, index: int, arrays: Mapping[str, np.ndarray]) -> None:
        """Save arrays of a block."""
        try:
            with atomic_write(self.folder / step / f"{index}.npz") as aside:
                _save(aside, arrays)
        except OSError as error:
            raise _write_error(self.folder, error) from error

    def load(self, step: str, index: int, names: Collection[str] | None = None) -> dict[str, np.ndarray]:
        """Load arrays of a block.

        Parameters
        ----------
        names : collection of str, optional
            Which ones, of those that were saved; by default all. Others are not read.
        """
        try:
            with (self.folder / step / f"{index}.npz").open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                return {name: arrays[name] for name in arrays.files if names is None or name in names}
        except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise VolumeError(
                f"A piece of the unfinished segmentation {self.folder.parent} cannot be read: {error}.",
                "Delete the folder and segment again.",
            ) from error

    def count(self, n_blocks: int) -> None:
        """Set `starts`, where the ids of each block begin; all blocks must be decoded.

        Raises
        ------
        InvalidInput
            If there are more labels than ids.
        """
        counts = [int(self.load("decode", index, ["n"])["n"]) for index in range(n_blocks)]
        self.starts = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
        if self.n_labels > _MOST_LABELS:
            raise InvalidInput(
                f"A segmentation has at most {_MOST_LABELS} supervoxels, got {self.n_labels}.",
                "Choose larger seed distances, or segment a box at a time.",
            )

    @property
    def n_labels(self) -> int:
        """Number of labels in all blocks."""
        return int(self.starts[-1])

    def read(self, box: Box, grid: TileGrid) -> np.ndarray:
        """Labels of a box, each with an id that no other block has; 0 is background."""
        labels = self.raw.read(box)
        for index in grid.overlapping(box):
            part = labels[grid[index].write.intersect(box).relative_to(box.start).slices]
            part[part > 0] += np.uint32(self.starts[index])
        return labels

    def remove(self) -> None:
        """Delete the results, which a finished segmentation does not need."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _work_before(self) -> str:
        try:
            return (self.folder / "work").read_text(encoding="utf-8")
        except OSError:
            return ""


def _clear(segmentation: Path) -> None:
    """Delete what an unfinished segmentation left; raise if the folder holds anything else."""
    if not segmentation.exists():
        return
    names = {item.name for item in segmentation.iterdir() if item.suffix not in (".npy", ".tmp")}
    if strange := sorted(names - _OURS):
        raise InvalidInput(
            f"A segmentation needs a folder of its own, but {segmentation} holds {strange[0]}.", "Choose another name."
        )
    for name in _OURS:
        if (segmentation / name).exists():
            shutil.rmtree(segmentation / name)


def _save(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    with path.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]


def _write_error(folder: Path, error: OSError) -> VolumeError:
    return VolumeError(
        f"The unfinished segmentation {folder.parent} could not be written: {error.strerror or error}.",
        "Free space on the disk, then start it again: it goes on from there.",
    )
