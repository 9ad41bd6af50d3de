"""Choice of an array of a chunked container by what stands behind the colon, or by what there is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from napari_pytc.errors import VolumeError
from napari_pytc.volumes.formats.chunked.containers import array_at, find_arrays
from napari_pytc.volumes.formats.chunked.found_array import FoundArray
from napari_pytc.volumes.formats.chunked.webknossos import PROPERTIES
from napari_pytc.volumes.formats.hdf5 import GUESSES
from napari_pytc.volumes.kvstore import MetadataStore, inside_path
from napari_pytc.volumes.layout import STORED_DTYPES
from napari_pytc.volumes.spec import ChunkedSpec

_MOST_LISTED = 12
_MOST_PARENTS = 3


def choose_array(url: str, wanted: str | None) -> tuple[ChunkedSpec, FoundArray]:
    """The array that a path or URL and the text behind its colon name.

    Parameters
    ----------
    url : str
        Folder, zip archive or URL of a container, or of an array in one.
    wanted : str, optional
        Path of an array or group inside, number of a level, or key of a scale.

    Raises
    ------
    VolumeError
        If there is no container, no such array, or several and none was named; the message lists them.
    """
    store = MetadataStore(url)
    arrays: list[FoundArray] = []
    # A remote container may take many requests to list; what is named by its path needs no list.
    chosen = array_at(store, inside_path(wanted, url)) if wanted else None
    if chosen is None:
        arrays = list(find_arrays(store))
    if chosen is None and wanted:
        chosen = _named(store, arrays, wanted)
    elif chosen is None:
        fitting = [a for a in arrays if a.fits]
        chosen = _guessed([a for a in fitting if a.level == 0] or fitting)
    if chosen is None:
        raise _unchosen(store, arrays, wanted)
    place = store.url
    # A remote one is looked at more closely only where it was named without any group around it.
    if chosen.driver != "neuroglancer_precomputed" and (not chosen.path or store.folder is not None):
        place, chosen = _within_parent(store, chosen)
    if chosen.driver == "neuroglancer_precomputed":
        place = f"{place}/{chosen.group}" if chosen.group else place
        return ChunkedSpec(url=place, driver=chosen.driver, scale=chosen.level), chosen
    return ChunkedSpec(url=place, driver=chosen.driver, array=chosen.path), chosen


def _named(store: MetadataStore, arrays: list[FoundArray], wanted: str) -> FoundArray | None:
    wanted = inside_path(wanted, store.url)
    for array in arrays:  # the key of a precomputed scale
        if array.path == wanted:
            return array
    images = [array for array in arrays if array.is_image] or arrays
    levels = {array.level: array for array in images}
    if wanted.isdigit() and len(levels) == len(images) and int(wanted) in levels:
        return levels[int(wanted)]
    return _guessed([a for a in find_arrays(store, wanted) if a.level == 0])


def _guessed(arrays: list[FoundArray]) -> FoundArray | None:
    """The only array, the one with a usual name, or the only image beside segmentations."""
    if len(arrays) == 1:
        return arrays[0]
    usual = next((a for guess in GUESSES for a in arrays if a.path == guess), None)
    images = [a for a in arrays if a.is_image]
    chosen = usual or (images[0] if len(images) == 1 else None)
    if chosen is None:
        return None
    others = ", ".join(a.path for a in arrays[:_MOST_LISTED] if a is not chosen)
    return replace(chosen, notes=(*chosen.notes, f"{chosen.path!r} was chosen; there are also {others}."))


def _unchosen(store: MetadataStore, arrays: list[FoundArray], wanted: str | None) -> VolumeError:
    """Why no array can be chosen, with one that could be named."""
    if not arrays:
        if store.n_refused:
            return VolumeError(
                f"{store.url} holds no Zarr, N5 or precomputed volume that may be read: the server refused "
                f"{store.n_refused} files (HTTP 403).",
                "Check the address; a store that is not public needs credentials.",
            )
        return VolumeError(
            f"{store.url} holds no Zarr, N5 or precomputed volume.",
            "Give the folder that has its metadata, or PATH:ARRAY.",
        )
    fitting = [a for a in arrays if a.fits]
    if not fitting:
        return VolumeError(
            f"{store.url} has no array that could be a volume; it has {_listing(arrays)}.",
            f"A volume has 2 to 5 axes and voxels of {', '.join(STORED_DTYPES)}.",
        )
    finest = [a for a in fitting if a.level == 0] or fitting
    example = max(finest, key=lambda a: math.prod(a.lengths))
    problem = f"has no array {wanted!r}; it has" if wanted else "does not say which of its arrays to open:"
    hint = f"Name one, for example {store.url}:{example.path}." if example.path else f"Open {store.url} itself."
    return VolumeError(f"{store.url} {problem} {_listing(fitting)}.", hint)


def _within_parent(store: MetadataStore, array: FoundArray) -> tuple[str, FoundArray]:
    """An array as the groups around what was named have it: with axes and voxel size."""
    outer, inside, is_whole = store.url, array.path, bool(array.path)
    place = store.url
    for _ in range(_MOST_PARENTS):
        outer, _, name = outer.rpartition("/")
        if not name or not outer or outer.endswith("/") or outer.endswith(":"):
            break
        inside = f"{name}/{inside}".strip("/")
        try:
            around = MetadataStore(outer)
            if is_whole and not around.json(PROPERTIES):
                continue  # the container was named: only a dataset of WEBKNOSSOS around it says more
            seen = array_at(around, inside)
        except VolumeError:
            continue  # what lies around the array need not be a container
        # Farther out all that was found nearer is found again.
        if seen and (seen.axes, seen.found.space, seen.level) != (array.axes, array.found.space, array.level):
            place, array = outer, seen
    return place, array


def _listing(arrays: Sequence[FoundArray]) -> str:
    names = [f"{a.path or '/'} {a.lengths} {a.dtype}" for a in arrays]
    more = [f"and {len(names) - _MOST_LISTED} more"] if len(names) > _MOST_LISTED else []
    return ", ".join(names[:_MOST_LISTED] + more)
