"""HDF5: one chunked, compressed dataset with its voxel size as attributes, as PyTC reads it."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from itertools import product
from pathlib import Path

import h5py
import imagecodecs
import numpy as np

from napari_pytc.errors import InvalidInput
from napari_pytc.exporting.base import ArrayReader, ExportOptions, ExportPlan, chunk_blocks
from napari_pytc.exporting.target import export_target
from napari_pytc.geometry import Box, Shape
from napari_pytc.jobs.context import JobContext

CHUNK_SHAPE: Shape = (32, 128, 128)
CREMI_VERSION = "0.2"
"""Version of the files of the CREMI challenge, an attribute of the file."""
_GZIP_LEVEL = 4


class Hdf5Exporter:
    """Writes (z, y, x) and (c, z, y, x) block by block."""

    def plan(self, array: ArrayReader, options: ExportOptions) -> ExportPlan:
        """Describe the file; see `Exporter`."""
        name = options.dataset.strip("/")
        if not name or any(part in ("", ".", "..") for part in name.split("/")):
            raise InvalidInput(
                f"A dataset needs a name such as main or volumes/labels, got {options.dataset!r}.",
            )
        if options.compression == "zstd":
            raise InvalidInput(
                "HDF5 has no zstd compression that every program reads.", "Choose zlib (gzip), or export to OME-Zarr."
            )
        notes = () if array.space.known else ("The voxel size is not known, so the file has no resolution.",)
        return ExportPlan(array.dtype, (array.shape,), notes)

    def export(self, array: ArrayReader, path: Path, options: ExportOptions, ctx: JobContext) -> None:
        """Write the array to a dataset; see `Exporter`."""
        self.plan(array, options)
        name = options.dataset.strip("/")
        chunk_shape: Shape = tuple(min(c, n) for c, n in zip(CHUNK_SHAPE, array.shape, strict=True))  # type: ignore[assignment]
        with export_target(path, options.overwrite) as aside, _NeverFailingFile(aside) as file:
            with h5py.File(file, "w") as container, ThreadPoolExecutor(os.cpu_count() or 1, "export") as pool:
                dataset = _create(container, name, array, chunk_shape, options)
                grid = chunk_blocks(array, chunk_shape, options.block_bytes)
                for tile in grid:
                    ctx.check()
                    ctx.report(tile.index, len(grid), "blocks")
                    _write(dataset, tile.write, array, chunk_shape, pool, ctx)
                    file.raise_failure()
            file.raise_failure()
        ctx.report(len(grid), len(grid), "blocks")


def _create(
    container: h5py.File, name: str, array: ArrayReader, chunk_shape: Shape, options: ExportOptions
) -> h5py.Dataset:
    n_channels = len(array.channels)
    compressed = options.compression != "none"
    if options.layout == "cremi":
        container.attrs["file_format"] = CREMI_VERSION
    dataset = container.create_dataset(
        name,
        (n_channels, *array.shape) if n_channels else array.shape,
        array.dtype,
        chunks=(1, *chunk_shape) if n_channels else chunk_shape,
        compression="gzip" if compressed else None,
        compression_opts=_GZIP_LEVEL if compressed else None,
    )
    for dimension, axis in zip(dataset.dims, "czyx" if n_channels else "zyx", strict=True):
        dimension.label = axis
    if array.space.known:
        dataset.attrs["element_size_um"] = [v / 1e3 for v in array.space.voxel_size_nm]
        dataset.attrs["voxel_size_nm"] = array.space.voxel_size_nm
        # Both in nm, as the CREMI challenge and funlib have them.
        dataset.attrs["resolution"] = array.space.voxel_size_nm
        dataset.attrs["offset"] = array.space.origin_nm
    text = h5py.string_dtype()
    if n_channels:
        dataset.attrs.create("channels", list(array.channels), dtype=text)
    if options.class_names:
        dataset.attrs.create("class_names", list(options.class_names), dtype=text)
    return dataset


def _write(
    dataset: h5py.Dataset, box: Box, array: ArrayReader, chunk_shape: Shape, pool: Executor, ctx: JobContext
) -> None:
    """Store a block of whole chunks, one layer of them at a time so that a cancel counts while it is compressed.

    HDF5 itself compresses in a single thread. Its filter is plain zlib, so the chunks are compressed here, by all cores
    and by libdeflate, and handed over as they lie in the file.
    """
    data = array.read(box)
    _, ys, xs = box.slices
    for z in range(box.start[0], box.stop[0], chunk_shape[0]):
        ctx.check()
        stop = min(z + chunk_shape[0], box.stop[0])
        layer = np.asarray(data[..., z - box.start[0] : stop - box.start[0], :, :], dataset.dtype)
        if dataset.compression is None:
            dataset[..., z:stop, ys, xs] = layer
            continue
        corners = list(_chunk_corners(layer.shape, dataset.chunks))
        for corner, packed in zip(corners, pool.map(partial(_packed, layer, dataset.chunks), corners), strict=True):
            at = (*corner[:-3], corner[-3] + z, corner[-2] + box.start[1], corner[-1] + box.start[2])
            dataset.id.write_direct_chunk(at, packed)


def _chunk_corners(shape: tuple[int, ...], chunk_shape: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    yield from product(*(range(0, n, c) for n, c in zip(shape, chunk_shape, strict=True)))


def _packed(layer: np.ndarray, chunk_shape: tuple[int, ...], corner: tuple[int, ...]) -> bytes:
    """A chunk as HDF5's deflate filter would store it: whole also where it reaches beyond the array."""
    inside = layer[tuple(slice(a, a + n) for a, n in zip(corner, chunk_shape, strict=True))]
    if inside.shape != chunk_shape:
        inside = np.pad(inside, [(0, c - n) for c, n in zip(chunk_shape, inside.shape, strict=True)])
    return bytes(imagecodecs.deflate_encode(np.ascontiguousarray(inside).tobytes(), level=_GZIP_LEVEL))


class _NeverFailingFile(io.RawIOBase):
    """A file that drops writes after a failure and raises it on request.

    HDF5 crashes the process at its end when a file could not be flushed (seen with HDF5 2.0). So once the disk is full
    writes are dropped, HDF5 closes its file, and `raise_failure` raises the error.
    """

    def __init__(self, path: Path) -> None:
        self._file = open(path, "xb+", buffering=0)  # noqa: SIM115 (closed by close)
        self._failure: OSError | None = None

    def raise_failure(self) -> None:
        """Raise the first failure, if there was one."""
        if self._failure is not None:
            raise self._failure

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        n = self._file.readinto(buffer) or 0
        if self._failure is not None and n < len(buffer):
            memoryview(buffer)[n:] = bytes(len(buffer) - n)
            n = len(buffer)
        return n

    def write(self, data: memoryview) -> int:  # type: ignore[override]
        view = memoryview(data).cast("B")
        n = 0
        while n < len(view) and self._failure is None:
            try:
                n += self._file.write(view[n:]) or 0
            except OSError as error:
                self._failure = error
        return len(view)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def truncate(self, size: int | None = None) -> int:
        try:
            return self._file.truncate(size)
        except OSError as error:
            self._failure = self._failure or error
            return self._file.tell() if size is None else size

    def close(self) -> None:
        self._file.close()
        super().close()
