"""Chunked arrays on disk or remote (tensorstore): Zarr 2 and 3, OME-Zarr, N5, Neuroglancer precomputed."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorstore as ts

from napari_pytc.errors import VolumeError
from napari_pytc.volumes.base import FileVolume
from napari_pytc.volumes.containers import FoundArray, array_at, find_arrays
from napari_pytc.volumes.hdf5 import GUESSES
from napari_pytc.volumes.kvstore import MetadataStore, is_url, kvstore_spec
from napari_pytc.volumes.layout import DTYPES, guess_axes, layout_of
from napari_pytc.volumes.spec import ChunkedSpec

# Decoded chunks kept, so that neighbouring boxes do not decode the same chunk again.
_CACHE_BYTES = 256 * 2**20
_MOST_LISTED = 12


class ChunkedVolume(FileVolume):
    """An array of a chunked container.

    Parameters
    ----------
    spec : ChunkedSpec
        Where it is.
    found : FoundArray, optional
        What its metadata says, where the caller has read it already.
    """

    def __init__(self, spec: ChunkedSpec, found: FoundArray | None = None) -> None:
        name = f"{spec.url}:{spec.array}" if spec.array else spec.url
        found = found or _located(MetadataStore(spec.url), spec, name)
        axes = found.axes or guess_axes(found.lengths, name)
        layout = layout_of(axes, found.lengths, spec.channel, name)
        self._array = open_tensorstore(spec, name)
        self._describe(name, layout, np.dtype(self._array.dtype.numpy_dtype), found.found, spec)

    def _fetch(self, index: tuple[slice, ...]) -> np.ndarray:
        try:
            return self._array[index].read().result()
        except ValueError as error:
            # tensorstore says with ValueError that a chunk is missing, damaged or out of reach.
            raise OSError(_first_line(error)) from error


def open_tensorstore(spec: ChunkedSpec, name: str) -> Any:
    """The tensorstore of a spec for reading, its first voxel at the origin."""
    wanted: dict[str, Any] = {
        "driver": spec.driver,
        "kvstore": kvstore_spec(spec.url, "" if spec.driver == "neuroglancer_precomputed" else spec.array),
        "context": {"cache_pool": {"total_bytes_limit": _CACHE_BYTES}},
        # A remote chunk is asked for once; a local one may be rewritten by a running job.
        "recheck_cached_data": "open" if is_url(spec.url) else True,
    }
    if spec.driver == "neuroglancer_precomputed":
        wanted["scale_index"] = spec.scale
    try:
        array = ts.open(wanted, read=True, open=True).result()
    except (ValueError, OSError) as error:
        raise VolumeError(f"{name} cannot be opened: {_first_line(error)}.", "Check that it is complete.") from error
    return array[ts.d[:].translate_to[0]]


def _first_line(error: Exception) -> str:
    """Tensorstore's reason, without the JSON of its whole specification behind."""
    return str(error).partition(" [")[0].splitlines()[0].rstrip(".")


def _located(store: MetadataStore, spec: ChunkedSpec, name: str) -> FoundArray:
    if spec.driver != "neuroglancer_precomputed":
        if array := array_at(store, spec.array):
            return array
    else:
        for array in find_arrays(store):
            if array.level == spec.scale and array.driver == spec.driver:
                return array
    raise VolumeError(f"There is no array at {name}.", "Check the path, or tell the project where the image moved to.")


def choose_array(url: str, wanted: str | None) -> tuple[ChunkedSpec, FoundArray]:
    """The array that a place and the text behind its colon mean.

    Parameters
    ----------
    url : str
        Folder or URL of a container, or of an array in one.
    wanted : str, optional
        Path of an array or group inside, number of a level, or key of a scale.

    Raises
    ------
    VolumeError
        If there is no container, no such array, or several and none was named; the message lists them.
    """
    store = MetadataStore(url)
    arrays = list(find_arrays(store))
    if wanted:
        chosen = _named(store, arrays, wanted)
    else:
        chosen = _guessed([a for a in arrays if a.level == 0 and 2 <= len(a.lengths) <= 5 and a.dtype in DTYPES])
    if chosen is None:
        if not arrays:
            raise VolumeError(
                f"{url} holds no Zarr, N5 or precomputed volume.",
                "Give the folder that has its metadata, or PATH:ARRAY.",
            )
        problem = f"has no array {wanted!r}; it has" if wanted else "does not say which of its arrays to open:"
        raise VolumeError(f"{url} {problem} {_listing(arrays)}.", f"Name one, for example {url}:{arrays[0].path}.")
    place = store.url
    if not chosen.path and chosen.driver in ("zarr", "zarr3"):
        place, chosen = _within_parent(place, chosen)
    if chosen.driver == "neuroglancer_precomputed":
        return ChunkedSpec(url=place, driver=chosen.driver, scale=chosen.level), chosen
    return ChunkedSpec(url=place, driver=chosen.driver, array=chosen.path), chosen


def _named(store: MetadataStore, arrays: list[FoundArray], wanted: str) -> FoundArray | None:
    wanted = wanted.strip("/")
    for array in arrays:
        if array.path == wanted:
            return array
    levels = {array.level: array for array in arrays}
    if wanted.isdigit() and len(levels) == len(arrays) and int(wanted) in levels:
        return levels[int(wanted)]
    return _guessed([a for a in find_arrays(store, wanted) if a.level == 0])


def _guessed(arrays: list[FoundArray]) -> FoundArray | None:
    if len(arrays) == 1:
        return arrays[0]
    return next((a for guess in GUESSES for a in arrays if a.path == guess), None)


def _within_parent(url: str, array: FoundArray) -> tuple[str, FoundArray]:
    """An array that was named by its own folder, as the group around it has it: with axes and voxel size."""
    parent, _, name = url.rpartition("/")
    if not name or not parent or parent.endswith("/"):
        return url, array
    outer = array_at(MetadataStore(parent), name)
    return (parent, outer) if outer and (outer.axes, outer.found) != (array.axes, array.found) else (url, array)


def _listing(arrays: list[FoundArray]) -> str:
    names = [f"{a.path or '/'} {a.lengths} {a.dtype}" for a in arrays]
    more = [f"and {len(names) - _MOST_LISTED} more"] if len(names) > _MOST_LISTED else []
    return ", ".join(names[:_MOST_LISTED] + more)
