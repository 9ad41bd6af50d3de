"""Prediction of volumes of any size in overlapping, blended windows."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from functools import partial
from itertools import product

import numpy as np
from torch import Tensor

from napari_pytc.geometry import Box, Shape, Tile, TileGrid, hull_of
from napari_pytc.geometry.windows import WindowGrid
from napari_pytc.jobs.context import JobContext
from napari_pytc.learning.machine.prefetch import prefetch
from napari_pytc.learning.prediction.network_image import NetworkImage
from napari_pytc.learning.prediction.predictor import FinishedTiles, OutputTiles, PredictionReport
from napari_pytc.learning.prediction.scales import ScaleCombination
from napari_pytc.learning.prediction.tile_shape import CHUNK
from napari_pytc.learning.prediction.window_inferer import WindowInferer, read_mirrored, sweep_axis
from napari_pytc.plans.normalisation import ImageNormalisation
from napari_pytc.plans.windows import Windows
from napari_pytc.volumes.resampling import ResampledImage
from napari_pytc.volumes.source import ImageSource, VolumeSink

_SHARE = 0.25
"""Share of the free memory that the sums of windows may take."""
_MOST_BYTES = 2**30
"""Wider columns would not be much faster: a column computes one window more, across, than it has steps."""
_MOST_UNITS = 32
"""Columns of more chunks across are not considered, but for one that spans the volume."""
_PARTS = 100
"""Progress is reported in hundredths of a tile, which may take minutes."""
_ONE_SCALE = ScaleCombination()


class WindowPredictor:
    """Predicts a volume in overlapping windows whose probabilities are blended.

    ::

        y   +---------------+---------------+
            |   column 0    |   column 1    |     The volume is cut into columns, as wide as memory allows. Windows
            | > > > > > > > | > > > > > > > |     sweep through each; behind them tiles are complete and are written.
            +---------------+---------------+     Windows that reach across a border are computed in both columns.
                  tiles along the sweep

    Memory depends on the column's cross-section and the window's depth, never on the volume. Windows lie at fixed
    places of the volume (`WindowGrid`), context beyond the predicted box is read where the volume has it, and the
    windows of a voxel are added in a fixed order: the result depends neither on the box nor on columns, order or
    interruptions.

    Parameters
    ----------
    inferer : WindowInferer
        The network on its device.
    normalisation : ImageNormalisation
        Normalisation of the intensities.
    tile_shape : Shape
        Voxels written at a time: the cross-section of a column, and a piece of its length.
    resampled : ResampledImage, optional
        The volume on the network's voxels, where its own are of another size. Windows lie on these; probabilities are
        interpolated back, so that the result is on the volume's own voxels.
    scaled : sequence of ResampledImage
        The volume at other scales. Windows of the same shape sweep through all of them side by side.
    combination : ScaleCombination, optional
        What becomes of the predictions of all scales.
    """

    def __init__(
        self,
        inferer: WindowInferer,
        normalisation: ImageNormalisation,
        tile_shape: Shape,
        resampled: ResampledImage | None = None,
        scaled: Sequence[ResampledImage] = (),
        combination: ScaleCombination = _ONE_SCALE,
    ) -> None:
        self._inferer, self._image = inferer, NetworkImage(normalisation, resampled)
        self._scaled, self._combination = [NetworkImage(normalisation, one) for one in scaled], combination
        self.tile_shape = tile_shape

    @property
    def n_unknown(self) -> int:
        """Intensities in tiles that are no finite numbers; see `NetworkImage`."""
        return self._image.n_unknown

    def grid(self, source: ImageSource, box: Box) -> TileGrid:
        """The tiles that cover a box of a volume."""
        return TileGrid(box, self.tile_shape, bounds=Box.of_shape(source.shape))

    def n_computed(self, source: ImageSource, box: Box, indices: Iterable[int] | None = None) -> int:
        """Voxels of the windows that tiles of a box need, by default all tiles; a column computes each window once."""
        grid, windows = self.grid(source, box), self._inferer.grid(self._image.whole(source).shape)
        chosen = set(range(len(grid)) if indices is None else indices)
        columns = _columns(grid, self._axis(source))
        hulls = [[self._image.seen(grid[index].write) for index in column if index in chosen] for column in columns]
        return sum(windows.n_over(hull_of(boxes)) for boxes in hulls if boxes) * math.prod(windows.window)

    def for_view(self, source: ImageSource, part: Box) -> WindowPredictor:
        """The same with one tile for the part, so that no window is computed twice; smaller ones where it is large.

        It holds no more voxels at a time than with its own tiles.
        """
        tile, axis = part.shape, self._axis(source)
        if self._n_held(tile, axis) > self._n_held(self.tile_shape, axis):
            z, y, x = (-(-n // -(-n // most)) for n, most in zip(tile, self.tile_shape, strict=True))
            tile = (z, y, x)
        scaled = [one.resampled for one in self._scaled if one.resampled is not None]
        normalisation, resampled = self._image.normalisation, self._image.resampled
        return WindowPredictor(self._inferer, normalisation, tile, resampled, scaled, self._combination)

    def _n_held(self, tile: Shape, axis: int) -> int:
        """Voxels of the sums while a tile is predicted."""
        depth = math.ceil(self._inferer.windows.shape[axis] * self._image.factors[axis])
        return math.prod(n + depth * (a == axis) for a, n in enumerate(tile))

    def predict(
        self,
        source: ImageSource,
        sink: VolumeSink,
        box: Box,
        ctx: JobContext,
        *,
        focus: Sequence[float] | None = None,
        done: FinishedTiles | None = None,
    ) -> PredictionReport:
        """Write the probabilities of a box; see `Predictor`."""
        grid = self.grid(source, box)
        with OutputTiles(sink, ctx, len(grid), done, _PARTS) as output:
            for tiles in self._runs(source, grid, focus, output.before):
                self._sweep(source, tiles, output, ctx.check)
        return output.report()

    def _sweep(
        self, source: ImageSource, tiles: Sequence[Tile], output: OutputTiles, check: Callable[[], None]
    ) -> None:
        """Predict tiles that lie one behind the other along the sweep."""
        n_put, images, shares = 0, (self._image, *self._scaled), [0.0] * (1 + len(self._scaled))

        def advance(scale: int, share: float) -> None:
            shares[scale] = share
            output.advance(min(0.99, max(0.0, sum(shares) / len(shares) * len(tiles) - n_put)))

        with ExitStack() as opened:
            sweeps = [
                opened.enter_context(closing(self._sweep_image(source, image, tiles, check, partial(advance, scale))))
                for scale, image in enumerate(images)
            ]
            for tile, *found in zip(tiles, *sweeps, strict=True):
                output.put(tile, self._combination(found))
                n_put += 1

    def _sweep_image(
        self,
        source: ImageSource,
        image: NetworkImage,
        tiles: Sequence[Tile],
        check: Callable[[], None],
        advance: Callable[[float], None],
    ) -> Generator[Tensor, None, None]:
        """Predictions of tiles at one scale, on the volume's own voxels."""
        whole, boxes, axis = image.whole(source), [image.seen(tile.write) for tile in tiles], self._axis(source)
        slabs = self._inferer.slabs(boxes, whole, axis)
        with closing(self._read(source, image, slabs, whole, hull_of(boxes))) as read:
            found = self._inferer.sweep(read, boxes, whole, check, advance, axis)
            for tile, seen, probabilities in zip(tiles, boxes, found, strict=True):
                yield image.on_own_voxels(probabilities, seen, tile.write)

    def _runs(
        self, source: ImageSource, grid: TileGrid, focus: Sequence[float] | None, before: set[int]
    ) -> Iterator[list[Tile]]:
        """Tiles to predict in one sweep each: columns near the focus first, in them the tiles from the focus on."""
        axis = self._axis(source)
        columns = list(_columns(grid, axis))
        if focus is not None:
            scale = source.space.voxel_size_nm
            columns.sort(key=lambda column: _distance(grid, column, focus, scale, axis))
        for column in columns:
            cut = next(
                (
                    n
                    for n, index in enumerate(column)
                    if focus is not None and grid[index].write.stop[axis] > focus[axis]
                ),
                0,
            )
            for part in (column[cut:], column[:cut]):
                run: list[Tile] = []
                for index in part:
                    if index not in before:
                        run.append(grid[index])
                    elif run:
                        yield run
                        run = []
                if run:
                    yield run

    def _read(
        self, source: ImageSource, image: NetworkImage, slabs: Sequence[Box], whole: Box, counted: Box
    ) -> Generator[tuple[Box, np.ndarray], None, None]:
        """Slabs of the network's voxels with their normalised images, read ahead in a thread."""
        return prefetch(
            lambda slab: (slab, read_mirrored(slab, lambda box: image.read(source, box, counted), whole)),
            slabs,
            name="read",
        )

    def _axis(self, source: ImageSource) -> int:
        return sweep_axis(self._image.whole(source).shape, self._inferer.windows)


def fit_window_tile(
    volume: Shape, whole: Shape, windows: Windows, n_channels: int, n_inputs: int, free_bytes: int
) -> Shape:
    """The tile to write at a time: that for which the fewest windows are computed, of those that fit into memory.

    Parameters
    ----------
    volume : Shape
        Lengths of the box to predict, in voxels.
    whole : Shape
        Lengths of the whole volume, which decide along which axis windows sweep.
    n_channels, n_inputs : int
        Channels that are summed, and those of the image.
    free_bytes : int
        Memory that is free on the device.
    """
    axis = sweep_axis(whole, windows)
    depth = min(whole[axis], windows.shape[axis]) + 2 * CHUNK[axis]
    # Sums, their weights, the image and a tile on its way to the disk.
    bytes_of_column = 4 * (depth * (n_channels + 1 + n_inputs) * 1.25 + 3 * CHUNK[axis] * n_channels)
    budget = min(_MOST_BYTES, _SHARE * free_bytes) / bytes_of_column
    others = [other for other in range(3) if other != axis]
    grid = WindowGrid.of(volume, windows.shape, windows.overlap)
    lengths = [[(length, _n_windows(grid, a, length)) for length in _lengths(volume[a], CHUNK[a])] for a in others]
    smallest = (lengths[0][0], lengths[1][0])
    fitting = [
        pair
        for pair in product(*lengths)
        if min(pair[0][0], volume[others[0]]) * min(pair[1][0], volume[others[1]]) <= budget
    ]
    best = min(fitting or [smallest], key=lambda pair: (pair[0][1] * pair[1][1], pair[0][0] * pair[1][0]))
    tile = [0, 0, 0]
    tile[axis] = CHUNK[axis]
    for other, (length, _) in zip(others, best, strict=True):
        tile[other] = length
    return (tile[0], tile[1], tile[2])


def _lengths(n: int, unit: int) -> list[int]:
    n_units = -(-n // unit)
    return [unit * units for units in sorted({*range(1, min(n_units, _MOST_UNITS) + 1), n_units})]


def _n_windows(grid: WindowGrid, axis: int, length: int) -> int:
    """Windows along an axis that all tiles of a length compute."""
    starts = range(0, grid.volume[axis], length)
    return sum(len(grid.over(axis, start, min(start + length, grid.volume[axis]))) for start in starts)


def _columns(grid: TileGrid, axis: int) -> Iterator[list[int]]:
    """Indices of the tiles of each column along an axis, in order."""
    counts = grid.counts
    for across in product(*(range(1 if a == axis else n) for a, n in enumerate(counts))):
        column = []
        for number in range(counts[axis]):
            z, y, x = (number if a == axis else n for a, n in enumerate(across))
            column.append((z * counts[1] + y) * counts[2] + x)
        yield column


def _distance(
    grid: TileGrid, column: Sequence[int], focus: Sequence[float], scale: Sequence[float], axis: int
) -> float:
    """Squared distance of a column's middle from a point, across the sweep; -1 for the column around it."""
    box = hull_of([grid[column[0]].write, grid[column[-1]].write])
    across = [a for a in range(3) if a != axis]
    if all(box.start[a] <= focus[a] < box.stop[a] for a in across):
        return -1.0
    return sum(((box.centre[a] - focus[a]) * scale[a]) ** 2 for a in across)
