"""Skeletons of segments by TEASAR, in memory that one segment needs.

Source: Sato et al., "TEASAR: tree-structure extraction algorithm for accurate and robust skeletons" (2000).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np

from napari_pytc.errors import InvalidInput
from napari_pytc.geometry import Box, Shape, TileGrid, VoxelSpace
from napari_pytc.geometry.label_reader import LabelReader
from napari_pytc.skeletons.skeleton import Skeleton

BLOCK_SHAPE: Shape = (64, 512, 512)
"""Voxels of labels that are read at a time."""
MOST_VOXELS = 2**25
"""A segment in a larger box is skeletonised piece by piece."""
_VOXELS_WITHOUT_A_SIZE = 10.0


@dataclass(frozen=True)
class Teasar:
    """Settings of TEASAR.

    A path covers the voxels around each of its nodes to a distance of `scale` times the node's distance to the border,
    plus `constant_nm`; what no path covers gets a branch.

    Parameters
    ----------
    scale : float
        0 or more.
    constant_nm : float, optional
        0 or more; by default 300 nm, or 10 voxels where the voxel size is not known.
    """

    scale: float = 1.5
    constant_nm: float | None = None

    def __post_init__(self) -> None:
        for name, value in (("scale", self.scale), ("constant", self.constant_nm)):
            if value is not None and not 0 <= value < float("inf"):
                raise InvalidInput(
                    f"The {name} of TEASAR must be 0 or more, got {value:g}.", "Leave it out for the usual one."
                )

    def options(self, space: VoxelSpace) -> dict[str, object]:
        """Arguments of bioimage-cpp's functions."""
        constant = self.constant_nm
        if constant is None:
            constant = 300.0 if space.known else _VOXELS_WITHOUT_A_SIZE
        return {"spacing": list(space.voxel_size_nm), "scale": float(self.scale), "constant": float(constant)}


def skeletonise(
    mask: np.ndarray, segment: int, space: VoxelSpace, start: Shape = (0, 0, 0), teasar: Teasar | None = None
) -> Skeleton:
    """Skeleton of the voxels of a mask.

    Parameters
    ----------
    mask : ndarray of bool, shape (z, y, x)
        The segment's voxels.
    segment : int
        Its id.
    space : VoxelSpace
        Voxel size and origin of the volume.
    start : tuple of int
        Voxel of the volume at which the mask begins.
    """
    from bioimage_cpp.skeleton import teasar as run_teasar

    nodes, edges, radii = run_teasar(np.ascontiguousarray(mask), **(teasar or Teasar()).options(space))
    return _placed(nodes, edges, radii, segment, space, start)


def skeletonise_segments(
    labels: LabelReader,
    space: VoxelSpace,
    box: Box | None = None,
    segments: np.ndarray | None = None,
    teasar: Teasar | None = None,
    report: Callable[[int, int], None] | None = None,
    block_shape: Shape = BLOCK_SHAPE,
    most_voxels: int = MOST_VOXELS,
) -> Iterator[Skeleton]:
    """Skeletons of the segments of a volume, one at a time.

    ::

        1. boxes of all segments, block by block
        2. segments within a block: cut out of it, read once
        3. others: a segment at a time, from its own box; from pieces of it that share a plane where it is large

    Parameters
    ----------
    labels : LabelReader
        Ids from 0, the background.
    box : Box, optional
        The voxels that count; the whole volume by default. A segment is cut at it.
    segments : ndarray of int, optional
        The segments to skeletonise; all by default. One that has no voxel in the box gives no skeleton.
    report : callable, optional
        Called with the number of steps done and their total, before each; it may raise to stop.
    most_voxels : int
        Voxels of the box of a segment that is skeletonised in one piece.

    Yields
    ------
    Skeleton
        Those of a block in the order of their ids, then those that no block holds.
    """
    region = Box.of_shape(labels.shape) if box is None else box
    grid = TileGrid(region, block_shape)
    tell = report or _silent
    boxes = _boxes(labels, grid, None if segments is None else np.unique(segments), tell)
    within: dict[int, list[int]] = {}
    others: list[int] = []
    for segment, found in sorted(boxes.items()):
        tile = _tile_of(grid, found)
        if tile is None:
            others.append(segment)
        else:
            within.setdefault(tile, []).append(segment)
    n_steps = len(grid) + len(within) + len(others)
    done = len(grid)
    settings = teasar or Teasar()
    for index, inside in sorted(within.items()):
        tell(done, n_steps)
        outer = grid[index].write
        block = labels.read(outer)
        for segment in inside:
            own = boxes[segment]
            yield skeletonise(
                block[own.relative_to(outer.start).slices] == segment, segment, space, own.start, settings
            )
        done += 1
    for segment in others:
        tell(done, n_steps)
        own = boxes[segment]
        if own.size <= most_voxels:
            mask = segment_mask(labels, segment, own, block_shape)
            yield skeletonise(mask, segment, space, own.start, settings)
        else:
            yield _skeletonise_in_pieces(labels, segment, own, space, settings, block_shape)
        done += 1
    tell(n_steps, n_steps)


def _silent(done: int, total: int) -> None:
    """Tell nobody."""


def _boxes(
    labels: LabelReader, grid: TileGrid, wanted: np.ndarray | None, tell: Callable[[int, int], None]
) -> dict[int, Box]:
    """The box of each segment with a voxel in the grid's box."""
    import cc3d
    import fastremap

    found: dict[int, Box] = {}
    for tile in grid:
        tell(tile.index, 2 * len(grid))
        small, names = fastremap.renumber(labels.read(tile.write), in_place=False)
        boxes = np.asarray(cc3d.statistics(small, no_slice_conversion=True)["bounding_boxes"], np.int64)
        for segment, number in names.items():
            if not segment or (wanted is not None and not _is_among(int(segment), wanted)):
                continue
            ends = boxes[number].reshape(3, 2) + np.asarray(tile.write.start)[:, None]
            own = Box(tuple(ends[:, 0].tolist()), tuple((ends[:, 1] + 1).tolist()))
            before = found.get(int(segment))
            found[int(segment)] = own if before is None else before.hull(own)
    return found


def _is_among(segment: int, wanted: np.ndarray) -> bool:
    at = int(np.searchsorted(wanted, segment))
    return at < len(wanted) and int(wanted[at]) == segment


def _tile_of(grid: TileGrid, box: Box) -> int | None:
    """Number of the block that holds a box; None where it crosses a border."""
    first, *more = islice(grid.overlapping(box), 2)
    return None if more else first


def segment_mask(labels: LabelReader, segment: int, box: Box, block_shape: Shape = BLOCK_SHAPE) -> np.ndarray:
    """The voxels of a segment in a box, bool; a block is read at a time."""
    mask = np.zeros(box.shape, bool)
    for tile in TileGrid(box, block_shape):
        mask[tile.write.relative_to(box.start).slices] = labels.read(tile.write) == segment
    return mask


def _skeletonise_in_pieces(
    labels: LabelReader, segment: int, box: Box, space: VoxelSpace, teasar: Teasar, block_shape: Shape
) -> Skeleton:
    """Skeleton of a large segment, from pieces that share a plane, in which both go through the same voxels."""
    from bioimage_cpp.skeleton import distributed

    options = teasar.options(space)
    spacing = options["spacing"]
    fragments = []
    for tile in TileGrid(box, block_shape):
        one_more: Shape = tuple(n + 1 for n in tile.write.shape)  # type: ignore[assignment]
        piece = Box.at(tile.write.start, one_more).intersect(box)
        mask = np.ascontiguousarray(labels.read(piece) == segment)
        if not mask.any():
            continue
        faces = [(axis, "low") for axis in range(3) if piece.start[axis] > box.start[axis]]
        faces += [(axis, "high") for axis in range(3) if piece.stop[axis] > tile.write.stop[axis]]
        shared = distributed.block_border_targets(mask, faces, origin=piece.start, spacing=spacing)
        fragments.append(
            distributed.block_teasar(mask, open_faces=faces, origin=piece.start, required_targets=shared, **options)
        )
    merged = distributed.minimum_spanning_forest(distributed.merge_block_skeletons(fragments), spacing=spacing)
    nodes, edges, radii = distributed.lattice_to_physical(merged, spacing=spacing)
    return _placed(nodes, edges, radii, segment, space, (0, 0, 0))


def _placed(
    nodes: np.ndarray, edges: np.ndarray, radii: np.ndarray, segment: int, space: VoxelSpace, start: Shape
) -> Skeleton:
    """What bioimage-cpp found, in nm of the volume."""
    first = np.asarray(space.nm(start)) + np.asarray(space.origin_nm)
    return Skeleton(segment, nodes + first, edges.astype(np.int64).reshape(-1, 2), radii.astype(np.float64))
