"""Arrays of N5 from their metadata, as N5 Viewer, BigDataViewer, Paintera, COSEM and funlib write them."""

from __future__ import annotations

from typing import Any

from napari_pytc.volumes.attribute_space import axes_of_attributes, axis_letters
from napari_pytc.volumes.formats.chunked.found_array import FoundArray, shape_of
from napari_pytc.volumes.formats.chunked.surroundings import Surroundings, space_of_array, surroundings_of
from napari_pytc.volumes.formats.spim_data import space_beside, view_of_array
from napari_pytc.volumes.kvstore import MetadataStore
from napari_pytc.volumes.space import FoundSpace, found_space, numbers_of


def n5_array(store: MetadataStore, path: str, meta: dict[str, Any], asked: str) -> FoundArray:
    """An array of N5, which lists x first, as tensorstore does."""
    lengths = shape_of(meta["dimensions"])
    around = surroundings_of(store, path, len(lengths), is_n5=True)
    # Lists of OME-Zarr, COSEM and funlib are those of the array as Zarr sees it, the slowest axis first.
    slowest_first = around.axes or axes_of_attributes(meta)
    axes = slowest_first[::-1] or axis_letters(meta.get("axes") or [])
    if len(axes) != len(lengths):
        axes = {2: "xy", 3: "xyz", 4: "xyzc", 5: "xyzct"}.get(len(lengths), "")
    name = path.rpartition("/")[2]
    level = int(name[1:]) if name[:1] == "s" and name[1:].isdigit() else around.level
    order = asked if len(asked) == len(lengths) else axes
    found = _space(store, path, meta, level, order[::-1], around)
    notes = around.notes or _level_notes(store, path, level)
    chunks = shape_of(meta.get("blockSize", ()))
    dtype = str(meta.get("dataType"))
    return FoundArray("n5", path, axes, lengths, dtype, found, level, chunks, notes, around.is_image)


def _level_notes(store: MetadataStore, path: str, level: int) -> tuple[str, ...]:
    """Which of several levels, ``s0`` and ``s1``, this is."""
    group, _, name = path.rpartition("/")
    has_others = name == f"s{level}" and "dimensions" in store.json(group, f"s{0 if level else 1}", "attributes.json")
    return (f"This is level {level}, {name!r}; others lie beside it.",) if has_others else ()


def _space(
    store: MetadataStore, path: str, meta: dict[str, Any], level: int, axes: str, around: Surroundings
) -> FoundSpace:
    """The space of an array whose axes are given slowest first."""
    factors = meta.get("downsamplingFactors")
    if factors is None and path:
        # N5 Viewer's list of the factors of all levels, in the group around them.
        scales = store.json(path.rpartition("/")[0], "attributes.json").get("scales")
        factors = scales[level] if isinstance(scales, list) and level < len(scales) else None
    view = view_of_array(path)
    if view is None or store.folder is None or around.found is not None:
        return _downsampled(space_of_array(store, path, "N5", meta, axes, around), factors)
    # BigDataViewer writes a resolution there, too, in a unit that only its XML tells.
    known = numbers_of(factors) or ([1.0, 1.0, 1.0] if level == 0 else [])
    return space_beside(store.folder / view[0], *view[1], known)


def _downsampled(found: FoundSpace, factors: Any) -> FoundSpace:
    """The space of an N5 level whose attributes give the full resolution and the level's factors (x, y, z).

    The first voxel of a level is the mean of the first ones of the full resolution, so its centre lies farther in.
    """
    zyx = numbers_of(factors)[:3][::-1]
    is_whole = found.source in ("N5 attribute resolution", "N5 attribute pixelResolution")
    if len(zyx) != 3 or not is_whole or not all(f > 0 for f in zyx):
        return found
    size, origin = found.space.voxel_size_nm, found.space.origin_nm
    centre = [o + (f - 1) / 2 * s for o, f, s in zip(origin, zyx, size, strict=True)]
    return found_space(
        [s * f for s, f in zip(size, zyx, strict=True)],
        found.source,
        centre if any(centre) or found.space.is_placed else None,
        found.notes,
        place_notes=found.place_notes,
    )
