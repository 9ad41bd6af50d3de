"""What the groups around an array of a container say of it: levels of an image, magnifications, voxel sizes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from napari_pytc.volumes.attribute_space import space_of_attributes, with_offset
from napari_pytc.volumes.formats.chunked.webknossos import PROPERTIES, magnifications_of
from napari_pytc.volumes.kvstore import MetadataStore, inside_path
from napari_pytc.volumes.ome_metadata import channel_names, multiscale_of
from napari_pytc.volumes.space import FoundSpace


def group_attributes(store: MetadataStore, path: str) -> dict[str, Any]:
    """The attributes of a group of Zarr, of either version, or of N5; empty where there is none."""
    return (
        store.json(path, "zarr.json").get("attributes")
        or store.json(path, ".zattrs")
        or store.json(path, "attributes.json")
    )


@dataclass(frozen=True)
class Surroundings:
    """What the groups around an array say of it; axes the slowest first, empty where they are not named."""

    axes: str = ""
    found: FoundSpace | None = None
    level: int = 0
    notes: tuple[str, ...] = ()
    is_image: bool = False
    channels: tuple[str, ...] = ()


def surroundings_of(store: MetadataStore, path: str, n_axes: int, *, is_n5: bool = False) -> Surroundings:
    """The nearest group that lists the array among its magnifications, else among its levels.

    WEBKNOSSOS also writes OME-Zarr metadata, but leaves out axes there that its own properties have.
    """
    found = Surroundings()
    above = path
    while above:
        above = above.rpartition("/")[0]
        inside = path[len(above) :].strip("/")
        if properties := store.json(above, PROPERTIES):
            for mag in magnifications_of(properties, store.url):
                if inside in (inside_path(name, store.url) for name in mag.paths):
                    axes = mag.axes_of(n_axes)
                    # WEBKNOSSOS counts the axes of N5 in N5's order.
                    return Surroundings(axes[::-1] if is_n5 else axes, mag.found, mag.level, mag.notes, mag.is_image)
        attributes = group_attributes(store, above)
        multiscale = multiscale_of(attributes)
        if multiscale and inside in multiscale.paths and found.found is None:
            level = multiscale.paths.index(inside)
            axes, notes = multiscale.letters_of(n_axes), multiscale.notes(level, n_axes)
            names = channel_names(attributes)
            found = Surroundings(axes, multiscale.space(level), level, notes, channels=names)
    return found


def space_of_array(
    store: MetadataStore, path: str, kind: str, attributes: dict[str, Any], axes: str, around: Surroundings
) -> FoundSpace:
    """The space of an image's levels, else of the array's own attributes, else of those of the groups above."""
    is_n5 = kind == "N5"
    if around.found and around.found.space.known:
        return around.found
    notes = around.found.notes if around.found else ()
    found = space_of_attributes(attributes, kind, axes, is_n5=is_n5)
    above = path
    while above and not found.space.known:
        notes += found.notes
        above = above.rpartition("/")[0]
        outer = with_offset(group_attributes(store, above), attributes)
        found = space_of_attributes(outer, kind, axes, is_n5=is_n5)
    return found if found.space.known else FoundSpace.nothing(*dict.fromkeys((*notes, *found.notes)))
