"""Arrays of a chunked container, from its metadata alone: Zarr 2 and 3, OME-Zarr, N5, precomputed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np

from napari_pytc.errors import VolumeError
from napari_pytc.volumes.attribute_space import axes_of_attributes, axis_letters
from napari_pytc.volumes.formats.chunked.found_array import Driver, FoundArray, shape_of
from napari_pytc.volumes.formats.chunked.n5_array import n5_array
from napari_pytc.volumes.formats.chunked.surroundings import group_attributes, space_of_array, surroundings_of
from napari_pytc.volumes.formats.chunked.webknossos import PROPERTIES, magnifications_of, precomputed_layers
from napari_pytc.volumes.kvstore import MetadataStore, inside_path
from napari_pytc.volumes.ome_metadata import Multiscale, label_names, multiscale_of
from napari_pytc.volumes.space import found_space, numbers_of, stated_origin

_DEEPEST = 5
# Where a remote store lists nothing, these are tried.
_USUAL = ("0", "s0", "main", "raw", "volumes/raw")


def find_arrays(store: MetadataStore, path: str = "") -> Iterator[FoundArray]:
    """All arrays at or below a path, full resolution first; nothing where there is no container.

    Raises
    ------
    VolumeError
        If there is metadata that cannot be understood.
    """
    with _understood(store):
        yield from _find(store, path, 0)


def _find(store: MetadataStore, path: str, depth: int) -> Iterator[FoundArray]:
    if array := _array_at(store, path):
        yield array
        return
    if scales := store.json(path, "info").get("scales"):
        yield from _precomputed(store.json(path, "info"), scales, path)
        return
    if multiscale := multiscale_of(group_attributes(store, path)):
        yield from _levels(store, path, multiscale)
        labels = inside_path(f"{path}/labels", store.url)
        for name in label_names(group_attributes(store, labels)):
            label = inside_path(f"{labels}/{name}", store.url)
            # Our own exports of labels list the levels of the label image as those of the whole, too.
            if not any(level.startswith(f"labels/{name}/") for level in multiscale.paths):
                yield from _find(store, label, depth + 1)
        return
    if properties := store.json(path, PROPERTIES):
        for magnification in magnifications_of(properties, store.url):
            places = [inside_path(f"{path}/{name}", store.url) for name in magnification.paths]
            if array := next(filter(None, (_array_at(store, place) for place in places)), None):
                yield array
        for name in precomputed_layers(properties):
            yield from _find(store, inside_path(f"{path}/{name}", store.url), depth + 1)
        return
    if depth < _DEEPEST:
        children = store.children(path)
        if not children and store.folder is None and depth == 0:
            children = [f"{path}/{name}".strip("/") for name in _USUAL]
        for child in children:
            yield from _find(store, child, depth + 1)


def array_at(store: MetadataStore, path: str, axes: str = "") -> FoundArray | None:
    """The Zarr or N5 array exactly at a path; errors as in `find_arrays`.

    Parameters
    ----------
    axes : str
        A letter an axis in the file's order, where the user says other than the file: sizes in the order of the array's
        axes follow it.
    """
    with _understood(store):
        return _array_at(store, path, axes)


@contextmanager
def _understood(store: MetadataStore) -> Iterator[None]:
    """Metadata of other programs may lack anything, or hold anything: this is an error of the file, not a bug."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise VolumeError(
            f"The metadata of {store.url} cannot be understood: {reason}.", "Check that it was written to its end."
        ) from error


def _array_at(store: MetadataStore, path: str, asked: str = "") -> FoundArray | None:
    if (meta := store.json(path, "zarr.json")).get("node_type") == "array":
        return _zarr(store, "zarr3", path, meta, meta.get("attributes") or {}, asked)
    if "shape" in (meta := store.json(path, ".zarray")):
        return _zarr(store, "zarr", path, meta, store.json(path, ".zattrs"), asked)
    if "dimensions" in (meta := store.json(path, "attributes.json")):
        return n5_array(store, path, meta, asked)
    return None


def _zarr(
    store: MetadataStore, driver: Driver, path: str, meta: dict[str, Any], attributes: dict[str, Any], asked: str
) -> FoundArray:
    """A Zarr array with axes and voxel size of its own or of the groups above it."""
    lengths = shape_of(meta["shape"])
    if driver == "zarr3":
        dtype, chunks = str(meta.get("data_type")), _readable_chunk(meta)
        named = axis_letters(meta.get("dimension_names") or [])
    else:
        code = meta.get("dtype")
        dtype, chunks = np.dtype(code).name if isinstance(code, str) else "structured", meta.get("chunks", ())
        named = axis_letters(attributes.get("_ARRAY_DIMENSIONS") or [])
    around = surroundings_of(store, path, len(lengths))
    axes = around.axes or axes_of_attributes(attributes) or named
    axes = axes if len(axes) == len(lengths) else ""
    found = space_of_array(store, path, "Zarr", attributes, asked if len(asked) == len(lengths) else axes, around)
    return FoundArray(
        driver, path, axes, lengths, dtype, found, around.level, shape_of(list(chunks)), around.notes, around.is_image,
        channels=around.channels,
    )  # fmt: skip


def _readable_chunk(meta: dict[str, Any]) -> Sequence[int]:
    """The chunk of a Zarr 3 array, of a sharded one the inner chunk."""
    chunks: Sequence[int] = meta.get("chunk_grid", {}).get("configuration", {}).get("chunk_shape", ())
    for codec in meta.get("codecs") or ():
        if isinstance(codec, dict) and codec.get("name") == "sharding_indexed":
            chunks = codec.get("configuration", {}).get("chunk_shape", chunks)
    return chunks


def _levels(store: MetadataStore, path: str, multiscale: Multiscale) -> Iterator[FoundArray]:
    for name in multiscale.paths:
        if array := _array_at(store, inside_path(f"{path}/{name}", store.url)):
            is_label = "labels" in path.split("/")[:-1]
            yield replace(array, is_image=not is_label)


def _precomputed(info: dict[str, Any], scales: list[dict[str, Any]], group: str) -> Iterator[FoundArray]:
    n_channels = int(info.get("num_channels", 1))
    for level, scale in enumerate(scales):
        resolution = numbers_of(scale.get("resolution"))
        offset = numbers_of(scale.get("voxel_offset"))
        origin = stated_origin([o * r for o, r in zip(offset, resolution, strict=False)][::-1])
        found = found_space(resolution[::-1], "precomputed resolution", origin)
        lengths = (*shape_of(scale["size"]), n_channels)
        chunks = shape_of((scale.get("chunk_sizes") or [[]])[0])
        notes = (f"This is scale {level} of 0 to {len(scales) - 1}, {scale['key']!r}.",) if len(scales) > 1 else ()
        path = inside_path(f"{group}/{scale['key']}", group)
        is_image = info.get("type") != "segmentation"
        dtype = info["data_type"]
        yield FoundArray(
            "neuroglancer_precomputed", path, "xyzc", lengths, dtype, found, level, chunks, notes, is_image, group
        )
