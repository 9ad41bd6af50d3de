"""Prediction of volumes of any size in tiles whose joins cannot be seen."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing

import numpy as np

from napari_pytc.geometry import Box, Shape, Tile, TileGrid
from napari_pytc.jobs.context import JobContext
from napari_pytc.learning.machine.prefetch import prefetch
from napari_pytc.learning.prediction.inference import Inferer
from napari_pytc.learning.prediction.network_image import NetworkImage
from napari_pytc.learning.prediction.predictor import FinishedTiles, OutputTiles, PredictionReport
from napari_pytc.learning.prediction.scales import ScaleCombination
from napari_pytc.learning.prediction.tile_shape import CHUNK
from napari_pytc.plans.networks import NetworkLimits
from napari_pytc.plans.normalisation import ImageNormalisation
from napari_pytc.volumes.resampling import ResampledImage
from napari_pytc.volumes.source import ImageSource, VolumeSink

_ONE_SCALE = ScaleCombination()


class TiledPredictor:
    """Predicts a volume tile by tile.

    ::

        reader thread          this thread             writer thread
        read, normalise, pad   network, softmax        round to the sink's type, write
              --- 2 tiles --->              --- 2 tiles --->

    Memory depends on the tile, never on the volume. Tiles overlap by the halo the network needs and are cut to their
    write boxes, so that the result equals that of the network applied to the volume in one piece (for networks that
    treat every place alike: batch norm does, instance norm does not).

    Parameters
    ----------
    inferer : Inferer
        The network on its device.
    normalisation : ImageNormalisation
        Normalisation of the intensities.
    tile_shape : Shape
        Voxels written at a time.
    resampled : ResampledImage, optional
        The volume on the network's voxels, where its own are of another size. The network sees these; its probabilities
        are interpolated back, so that the result is on the volume's own voxels.
    scaled : sequence of ResampledImage
        The volume at other scales, which are predicted, too.
    combination : ScaleCombination, optional
        What becomes of the predictions of all scales.
    """

    def __init__(
        self,
        inferer: Inferer,
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

    @property
    def limits(self) -> NetworkLimits:
        """Halo and alignment of the tiles."""
        return self._inferer.limits

    def for_view(self, source: ImageSource, part: Box) -> TiledPredictor:
        """The same with tiles of a chunk of a prediction on disk, so that the first one is there at once."""
        z, y, x = (math.lcm(c, a) for c, a in zip(CHUNK, self.limits.alignment, strict=True))
        scaled = [one.resampled for one in self._scaled if one.resampled is not None]
        normalisation, resampled = self._image.normalisation, self._image.resampled
        return TiledPredictor(self._inferer, normalisation, (z, y, x), resampled, scaled, self._combination)

    def n_computed(self, source: ImageSource, box: Box, indices: Iterable[int] | None = None) -> int:
        """Voxels that the network reads for tiles of a box, by default for all."""
        grid = self.grid(source, box)
        return sum(grid[index].read.size for index in (range(len(grid)) if indices is None else indices))

    def grid(self, source: ImageSource, box: Box) -> TileGrid:
        """The tiles that cover a box of a volume."""
        whole = Box.of_shape(source.shape)
        if self._image.resampled is None:
            return TileGrid(box, self.tile_shape, self.limits.halo, whole, self.limits.alignment)
        halo = [math.ceil(h * f) + 1 for h, f in zip(self.limits.halo, self._image.factors, strict=True)]
        return TileGrid(box, self.tile_shape, (halo[0], halo[1], halo[2]), whole)

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
        with OutputTiles(sink, ctx, len(grid), done) as output:
            order = (
                iter(grid.nearest_first(focus, source.space.voxel_size_nm)) if focus is not None else range(len(grid))
            )
            todo = (grid[index] for index in order if index not in output.before)
            with closing(self._read(source, todo)) as images:
                for tile, read in images:
                    found = []
                    for image, (seen, data) in zip((self._image, *self._scaled), read, strict=True):
                        ctx.check()
                        found.append(image.on_own_voxels(self._inferer(data, seen.inner), seen.write, tile.write))
                    output.put(tile, self._combination(found))
                    ctx.check()
        return output.report()

    def _read(
        self, source: ImageSource, tiles: Iterator[Tile]
    ) -> Generator[tuple[Tile, list[tuple[Tile, np.ndarray]]], None, None]:
        """Each tile, and at each scale the same on the network's voxels with its image."""

        def make(tile: Tile) -> tuple[Tile, list[tuple[Tile, np.ndarray]]]:
            found = []
            for image in (self._image, *self._scaled):
                seen = self._on_network_voxels(image, source, tile)
                found.append((seen, image.read(source, seen.read, seen.write)))
            return tile, found

        return prefetch(make, tiles, name="read")

    def _on_network_voxels(self, image: NetworkImage, source: ImageSource, tile: Tile) -> Tile:
        """The voxels of the network that a tile of the volume's own voxels needs."""
        if image.resampled is None:
            return tile
        write = image.seen(tile.write)
        read = write.grow(self.limits.halo).aligned(self.limits.alignment).intersect(image.whole(source))
        return Tile(tile.index, read, write, write.relative_to(read.start))
