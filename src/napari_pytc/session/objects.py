"""Objects to learn from: ids painted on voxels, kept beside the strokes of classes."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from napari_pytc.annotations.importing import LabelReader, Report
from napari_pytc.errors import InvalidInput
from napari_pytc.geometry import Box, Shape, TileGrid, VoxelSpace
from napari_pytc.labels.store import LabelStore
from napari_pytc.learning.targets import BACKGROUND

_BLOCK: Shape = (32, 512, 512)


def add_objects(
    folder: Path,
    shape: Shape,
    space: VoxelSpace,
    labels: LabelReader,
    offset: Sequence[int],
    dense: bool,
    report: Report | None,
) -> dict[str, int]:
    """Add objects to those of a project, block by block; the store is made with the first.

    All values are checked before the first is written. Voxels labelled 0 keep what they have, or with `dense` become
    background.

    Returns
    -------
    dict
        How many ``objects``, ``voxels`` of them and voxels of ``background`` were added.

    Raises
    ------
    InvalidInput
        If the labels are no ids of objects or reach beyond the volume.
    """
    target, tell = _target(shape, labels, offset), report or (lambda done, total: None)
    grid = TileGrid(target, _BLOCK)
    ids: set[int] = set()
    occupied = []
    for tile in grid:
        block = labels.read(tile.write.relative_to(target.start))
        found = _ids(block, tile.write)
        ids.update(found)
        if found or dense:
            occupied.append(tile.write)
        tell(tile.index + 1, 2 * len(grid))
    if not ids:
        raise InvalidInput("The labels hold no object: every voxel is 0.", "Give every object an id from 1.")
    store = _open(folder, shape, space)
    n_voxels = n_background = 0
    for number, box in enumerate(occupied):
        block = labels.read(box.relative_to(target.start)).astype(np.uint32)
        painted = block != 0
        n_voxels += int(np.count_nonzero(painted))
        n_background += 0 if not dense else int(np.count_nonzero(~painted))
        rest = np.uint32(BACKGROUND) if dense else store.read(box)
        store.write(box, np.where(painted, block, rest).astype(np.uint32))
        tell(len(grid) + number + 1, len(grid) + len(occupied))
    return {"objects": len(ids), "voxels": n_voxels, "background": n_background}


def _open(folder: Path, shape: Shape, space: VoxelSpace) -> LabelStore:
    if (folder / "zarr.json").exists():
        return LabelStore.open(folder)
    shutil.rmtree(folder, ignore_errors=True)  # what a kill left half made: nothing was written into it
    return LabelStore.create(folder, shape, np.uint32, space, attributes={"holds": "objects"})


def _target(shape: Shape, labels: LabelReader, offset: Sequence[int]) -> Box:
    if labels.dtype.kind not in "iub":
        raise InvalidInput(
            f"Objects are whole numbers (0 = not annotated, else an id), got {labels.dtype}.",
            "Convert them to an integer type, for example uint32.",
        )
    if len(offset) != 3:
        raise InvalidInput(f"An offset is three voxels along z, y, x, got {tuple(offset)}.")
    target = Box.at(offset, labels.shape)
    if target.is_empty or not Box.of_shape(shape).contains(target):
        raise InvalidInput(
            f"Objects of {' x '.join(map(str, labels.shape))} voxels at offset {','.join(map(str, offset))} do not lie "
            f"within the volume of {' x '.join(map(str, shape))}.",
            "Say with --offset Z,Y,X at which voxel of the image they begin.",
        )
    return target


def _ids(block: np.ndarray, box: Box) -> list[int]:
    found = [int(value) for value in np.unique(block)]
    wrong = next((value for value in (found[0], found[-1]) if not 0 <= value < BACKGROUND), None)
    if wrong is not None:
        raise InvalidInput(
            f"The labels hold the id {wrong} in {box}, but an object's id is 1 to {BACKGROUND - 1}.",
            "Nothing was changed; renumber the objects from 1, for example with fastremap.renumber.",
        )
    return [value for value in found if value]
