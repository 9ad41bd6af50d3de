"""What arrays a chunked container holds, from its metadata alone: Zarr 2 and 3, OME-Zarr, N5, precomputed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from napari_pytc.volumes.kvstore import MetadataStore
from napari_pytc.volumes.ome_metadata import Multiscale, multiscale_of
from napari_pytc.volumes.space import FoundSpace, found_space, numbers_of, space_of_attributes, unit_nm

Driver = Literal["zarr", "zarr3", "n5", "neuroglancer_precomputed"]
_DEEPEST = 5
# Where a remote store lists nothing, these are tried.
_USUAL = ("0", "s0", "main", "raw", "volumes/raw")


@dataclass(frozen=True)
class FoundArray:
    """An array of a container.

    Parameters
    ----------
    path : str
        Inside the container; of a precomputed volume the key of the scale.
    axes : str
        A letter an axis, in the file's order; empty where the file does not say.
    level : int
        0 for full resolution.
    """

    driver: Driver
    path: str
    axes: str
    lengths: tuple[int, ...]
    dtype: str
    found: FoundSpace
    level: int = 0
    chunk_lengths: tuple[int, ...] = ()


def find_arrays(store: MetadataStore, path: str = "", depth: int = 0) -> Iterator[FoundArray]:
    """All arrays at or below a path, full resolution first; nothing where there is no container."""
    if array := array_at(store, path):
        yield array
        return
    if scales := store.json(path, "info").get("scales"):
        yield from _precomputed(store.json(path, "info"), scales)
        return
    multiscale = multiscale_of(group_attributes(store, path))
    if multiscale:
        yield from _levels(store, path, multiscale)
        return
    if depth < _DEEPEST:
        children = store.children(path)
        if not children and store.folder is None and depth == 0:
            children = [f"{path}/{name}".strip("/") for name in _USUAL]
        for child in children:
            yield from find_arrays(store, child, depth + 1)


def array_at(store: MetadataStore, path: str) -> FoundArray | None:
    """The Zarr or N5 array exactly at a path."""
    if (meta := store.json(path, "zarr.json")).get("node_type") == "array":
        attributes = meta.get("attributes") or {}
        axes = _letters(meta.get("dimension_names"))
        chunks = meta.get("chunk_grid", {}).get("configuration", {}).get("chunk_shape", ())
        return _zarr(store, "zarr3", path, meta["shape"], str(meta.get("data_type")), axes, attributes, chunks)
    if "shape" in (meta := store.json(path, ".zarray")):
        attributes = store.json(path, ".zattrs")
        axes = _letters(attributes.get("_ARRAY_DIMENSIONS"))
        dtype = meta.get("dtype")
        name = np.dtype(dtype).name if isinstance(dtype, str) else "structured"
        return _zarr(store, "zarr", path, meta["shape"], name, axes, attributes, meta.get("chunks", ()))
    if "dimensions" in (meta := store.json(path, "attributes.json")):
        return _n5(store, path, meta)
    return None


def group_attributes(store: MetadataStore, path: str) -> dict[str, Any]:
    """The attributes of a Zarr group of either version; empty where there is none."""
    return store.json(path, "zarr.json").get("attributes") or store.json(path, ".zattrs")


def _zarr(
    store: MetadataStore,
    driver: Driver,
    path: str,
    lengths: Sequence[int],
    dtype: str,
    axes: str,
    attributes: dict[str, Any],
    chunks: Sequence[int],
) -> FoundArray:
    """A Zarr array with what the groups above it say of axes and voxel size."""
    found, level = space_of_attributes(attributes, "Zarr"), 0
    above = path
    while above:
        above = above.rpartition("/")[0]
        outer = group_attributes(store, above)
        multiscale = multiscale_of(outer)
        inside = path[len(above) :].strip("/")
        if multiscale and inside in multiscale.paths:
            level = multiscale.paths.index(inside)
            axes, found = multiscale.letters, multiscale.space(level)
            break
        if not found.space.known:
            found = space_of_attributes(outer, "Zarr")
    return FoundArray(driver, path, axes, tuple(lengths), dtype, found, level, tuple(chunks))


def _levels(store: MetadataStore, path: str, multiscale: Multiscale) -> Iterator[FoundArray]:
    for name in multiscale.paths:
        if array := array_at(store, f"{path}/{name}".strip("/")):
            yield array


def _letters(names: Any) -> str:
    """Axis names as letters where each is one of z, y, x, c, t; else nothing."""
    if not isinstance(names, list) or not all(isinstance(n, str) and n for n in names):
        return ""
    letters = "".join({"channel": "c", "time": "t"}.get(n.lower(), n.lower() if len(n) == 1 else "?") for n in names)
    return letters if set(letters) <= set("czyxt") and {"y", "x"} <= set(letters) else ""


def _n5(store: MetadataStore, path: str, meta: dict[str, Any]) -> FoundArray:
    """N5 lists x first; so does tensorstore."""
    lengths = tuple(int(n) for n in meta["dimensions"])
    axes = _letters(meta.get("axes")) or {2: "xy", 3: "xyz", 4: "xyzc", 5: "xyzct"}.get(len(lengths), "")
    found, above = _n5_space(meta, meta), path
    while above and not found.space.known:
        above = above.rpartition("/")[0]
        found = _n5_space(store.json(above, "attributes.json"), meta)
    name = path.rpartition("/")[2]
    level = int(name[1:]) if name[:1] == "s" and name[1:].isdigit() else 0
    chunks = tuple(int(n) for n in meta.get("blockSize", ()))
    return FoundArray("n5", path, axes, lengths, str(meta.get("dataType")), found, level, chunks)


def _n5_space(attributes: dict[str, Any], array: dict[str, Any]) -> FoundSpace:
    """``resolution`` or ``pixelResolution`` (x, y, z; nm where no unit is given), times the array's downsampling."""
    unit: Any = attributes.get("unit", attributes.get("units"))
    value: Any = attributes.get("resolution")
    key = "resolution"
    if value is None:
        value, key = attributes.get("pixelResolution"), "pixelResolution"
    if isinstance(value, dict):
        value, unit = value.get("dimensions"), value.get("unit")
    size = numbers_of(value)
    units = unit if isinstance(unit, list) else [unit] * 3
    factors = numbers_of(array.get("downsamplingFactors")) or [1.0, 1.0, 1.0]
    if len(size) < 2 or len(units) < len(size) or len(factors) < len(size):
        return FoundSpace.nothing()
    edges = [s * f * (unit_nm(u) or 1.0) for s, f, u in zip(size, factors, units, strict=False)][:3]
    if len(edges) == 2:
        edges = [*edges, edges[0]]
    return found_space(edges[::-1], f"N5 attribute {key}")


def _precomputed(info: dict[str, Any], scales: list[dict[str, Any]]) -> Iterator[FoundArray]:
    n_channels = int(info.get("num_channels", 1))
    for level, scale in enumerate(scales):
        resolution = numbers_of(scale.get("resolution"))
        offset = numbers_of(scale.get("voxel_offset") or [0, 0, 0])
        origin = [o * r for o, r in zip(offset, resolution, strict=False)]
        found = found_space(resolution[::-1], "precomputed resolution", origin[::-1])
        lengths = (*(int(n) for n in scale["size"]), n_channels)
        chunks = tuple((scale.get("chunk_sizes") or [()])[0])
        yield FoundArray(
            "neuroglancer_precomputed", scale["key"], "xyzc", lengths, info["data_type"], found, level, chunks
        )
