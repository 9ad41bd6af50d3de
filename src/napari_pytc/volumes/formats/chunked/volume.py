"""Chunked arrays on disk, in a zip archive or remote (tensorstore): Zarr 2 and 3, OME-Zarr, N5, precomputed."""

from __future__ import annotations

import itertools
import re
from typing import Any

import numpy as np
import tensorstore as ts

from napari_pytc.errors import VolumeError
from napari_pytc.volumes.base import FileVolume
from napari_pytc.volumes.formats.chunked.containers import array_at, find_arrays
from napari_pytc.volumes.formats.chunked.found_array import FoundArray
from napari_pytc.volumes.kvstore import (
    REQUESTS,
    MetadataStore,
    is_archive,
    is_refused,
    is_url,
    kvstore_spec,
    tensorstore_reason,
)
from napari_pytc.volumes.layout import layout_of
from napari_pytc.volumes.spec import ChunkedSpec

# Decoded chunks kept, so that neighbouring boxes do not decode the same chunk again.
_CACHE_BYTES = 256 * 2**20
# A box may be large and the network slow; a server that says nothing for so long is down.
_ANSWER_S = 600.0
_CODECS = "zstd, blosc, gzip, zlib and bz2"


class ChunkedVolume(FileVolume):
    """An array of a chunked container.

    Parameters
    ----------
    spec : ChunkedSpec
        Place and kind of the array.
    found : FoundArray, optional
        The array's metadata, where the caller has read it already.
    """

    def __init__(self, spec: ChunkedSpec, found: FoundArray | None = None) -> None:
        name = f"{spec.url}:{spec.array}" if spec.array else spec.url
        if found is None or (spec.axes is not None and spec.axes != found.axes):
            found = _located(MetadataStore(spec.url), spec, name)
        found.check_extent(name)
        layout = layout_of(found.axes, found.lengths, spec, name)
        self._array = open_tensorstore(spec, name)
        self._absent = _AbsentChunks(spec) if is_url(spec.url) and not is_archive(spec.url) else None
        notes = (*found.notes, *(self._absent.notes if self._absent else ()))
        self._describe(name, layout, np.dtype(self._array.dtype.numpy_dtype), found.found, spec, notes, found.channels)

    def _fetch(self, index: tuple[slice, ...]) -> np.ndarray:
        try:
            try:
                return self._array[index].read().result(_ANSWER_S)
            except ValueError as error:
                if self._absent is None or not self._absent.explain(error):
                    raise
                return self._fetch_present(index)
        except ValueError as error:
            # tensorstore raises ValueError for a chunk that is missing, damaged or out of reach.
            raise OSError(tensorstore_reason(error)) from error

    def _fetch_present(self, index: tuple[slice, ...]) -> np.ndarray:
        """The voxels of an index chunk by chunk, the fill value where the server refuses the chunk."""
        fill = self._array.fill_value
        out = np.full([s.stop - s.start for s in index], 0 if fill is None else fill, self._array.dtype.numpy_dtype)
        chunk = self._array.chunk_layout.read_chunk.shape
        starts = [range(s.start // c * c, s.stop, c) for s, c in zip(index, chunk, strict=True)]
        for start in itertools.product(*starts):
            part = tuple(
                slice(max(a, s.start), min(a + c, s.stop)) for a, c, s in zip(start, chunk, index, strict=True)
            )
            target = tuple(slice(p.start - s.start, p.stop - s.start) for p, s in zip(part, index, strict=True))
            try:
                out[target] = self._array[part].read().result(_ANSWER_S)
            except ValueError as error:
                if self._absent is None or not self._absent.explain(error):
                    raise
        return out


class _AbsentChunks:
    """Whether a server refuses what is not there (HTTP 403), as object stores do where listing is forbidden."""

    def __init__(self, spec: ChunkedSpec) -> None:
        self._store = ts.KvStore.open(kvstore_spec(spec.url, spec.array), context=ts.Context(REQUESTS)).result()
        names = {"zarr": ".zarray", "zarr3": "zarr.json", "n5": "attributes.json", "neuroglancer_precomputed": "info"}
        self._metadata = names[spec.driver]
        self.is_so = self._is_refused("no-such-chunk")

    @property
    def notes(self) -> tuple[str, ...]:
        """What is assumed of refused chunks."""
        return (
            (
                "The server answers 403 for what is not there, as for what is forbidden: chunks that it refuses are "
                "read as empty.",
            )
            if self.is_so
            else ()
        )

    def explain(self, error: Exception) -> bool:
        """Whether an error means that a chunk is not there; false where by now the metadata is refused, too."""
        return self.is_so and is_refused(error) and not self._is_refused(self._metadata)

    def _is_refused(self, key: str) -> bool:
        try:
            self._store.read(key).result(_ANSWER_S)
        except (ValueError, OSError) as error:
            return is_refused(error)
        return False


def open_tensorstore(spec: ChunkedSpec, name: str) -> Any:
    """The tensorstore of a spec for reading, its first voxel at the origin."""
    wanted: dict[str, Any] = {
        "driver": spec.driver,
        "kvstore": kvstore_spec(spec.url, "" if spec.driver == "neuroglancer_precomputed" else spec.array),
        "context": {"cache_pool": {"total_bytes_limit": _CACHE_BYTES}, **REQUESTS},
        # A remote chunk is requested once; a local one may be rewritten by a running job.
        "recheck_cached_data": "open" if is_url(spec.url) else True,
    }
    if spec.driver == "neuroglancer_precomputed":
        wanted["scale_index"] = spec.scale
    try:
        array = ts.open(wanted, read=True, open=True).result(_ANSWER_S)
    except (ValueError, OSError) as error:
        raise _unopened(spec, name, error) from error
    return array[ts.d[:].translate_to[0]]


def _unopened(spec: ChunkedSpec, name: str, error: Exception) -> VolumeError:
    """What keeps an array from being opened: a codec that is not known here, or damage."""
    text = str(error)
    codec = re.search(r'"([\w.-]+)" is not registered', text)
    if codec and re.search(r'"(compressor|compression|codecs)"', text):
        if spec.driver == "n5":
            needs = "the program that wrote it"
            hint = "Write it again there with gzip, zstd or blosc."
        else:
            needs = "zarr-python with numcodecs"
            hint = (
                "Write it again there with zstd: zarr.create_array(store, data=zarr.open_array(source)[:], "
                "compressors=zarr.codecs.ZstdCodec())."
            )
        return VolumeError(
            f"{name} is compressed with {codec.group(1)}, which needs {needs}; here {_CODECS} are read.", hint
        )
    if "filters are not supported" in text:
        return VolumeError(
            f"{name} is written with filters (as delta), which need zarr-python with numcodecs.",
            "Write it again there without filters.",
        )
    return VolumeError(f"{name} cannot be opened: {tensorstore_reason(error)}.", "Check that it is complete.")


def _located(store: MetadataStore, spec: ChunkedSpec, name: str) -> FoundArray:
    if spec.driver != "neuroglancer_precomputed":
        if array := array_at(store, spec.array, spec.axes or ""):
            return array
    else:
        for array in find_arrays(store):
            if array.level == spec.scale and array.driver == spec.driver:
                return array
    raise VolumeError(f"There is no array at {name}.", "Check the path, or tell the project where the image moved to.")
