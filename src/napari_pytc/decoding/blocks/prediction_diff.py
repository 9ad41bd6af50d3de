"""Boxes in which two predictions of one volume differ enough to be decoded anew."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from napari_pytc.decoding.jobs import CompareJob
from napari_pytc.errors import InvalidInput, VolumeError
from napari_pytc.files import write_text_durably
from napari_pytc.geometry import Box, Shape, TileGrid
from napari_pytc.jobs.context import JobContext
from napari_pytc.volumes.zarr_output import open_ome_zarr

TILE: Shape = (16, 128, 128)
_CLEARLY = 0.1
"""A voxel that goes from one side of 0.5 to the other counts if it moves by so much."""


def compare_predictions(job: CompareJob, ctx: JobContext) -> dict[str, Any]:
    """Compare tile by tile; the boxes that differ are written to the job's output.

    Returns
    -------
    dict
        ``output``, ``tiles``, ``changed`` and ``share`` (of the voxels).

    Raises
    ------
    InvalidInput
        If they are not of one shape with the same channels.
    VolumeError
        If one cannot be read, or the output cannot be written.
    """
    previous, present = open_ome_zarr(job.former), open_ome_zarr(job.prediction)
    if previous.shape != present.shape or previous.channels != present.channels:
        raise InvalidInput(
            f"Only predictions of the same channels of one volume can be compared, got {previous.shape} with "
            f"{', '.join(previous.channels)} and {present.shape} with {', '.join(present.channels)}.",
            "Segment the new prediction anew.",
        )
    grid = TileGrid(job.box or Box.of_shape(present.shape), TILE)
    found = []
    for tile in grid:
        ctx.check()
        ctx.report(tile.index, len(grid), "comparing")
        if differs(previous.read(tile.write), present.read(tile.write), job.mean, job.flipped):
            found.append(tile.write)
    boxes = rows_of(found)
    try:
        job.output.parent.mkdir(parents=True, exist_ok=True)
        write_text_durably(job.output, json.dumps([str(box) for box in boxes]))
    except OSError as error:
        raise VolumeError(
            f"The list of changes could not be written to {job.output}: {error.strerror or error}.",
            "Free space on the disk, then start again.",
        ) from error
    ctx.report(len(grid), len(grid), "comparing")
    share = sum(box.size for box in found) / grid.box.size
    return {"output": str(job.output), "tiles": len(grid), "changed": len(found), "share": round(share, 4)}


def differs(previous: np.ndarray, present: np.ndarray, mean: float, flipped: float) -> bool:
    """Whether uint8 probabilities (c, z, y, x) of a tile differ in a way that matters."""
    if not previous.size:
        return False
    step = np.abs(previous.astype(np.int16) - present)
    if step.mean() > 255 * mean:
        return True
    flips = ((previous >= 128) != (present >= 128)) & (step >= 255 * _CLEARLY)
    return bool(flips.any(axis=0).mean() > flipped)


def rows_of(boxes: Iterable[Box]) -> list[Box]:
    """The same voxels in fewer boxes: those that follow one another along x are one."""
    rows: list[Box] = []
    for box in boxes:
        last = rows[-1] if rows else None
        if last is not None and (last.start[:2], last.stop[:2], last.stop[2]) == (
            box.start[:2],
            box.stop[:2],
            box.start[2],
        ):
            rows[-1] = Box(last.start, box.stop)
        else:
            rows.append(box)
    return rows


def read_changes(path: Path) -> tuple[Box, ...]:
    """The boxes that a comparison wrote.

    Raises
    ------
    VolumeError
        If they are not there, or damaged.
    """
    try:
        return tuple(Box.parse(text) for text in json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, AttributeError, InvalidInput) as error:
        raise VolumeError(f"The list of changes {path} cannot be read: {error}.", "Start again.") from error
