"""OME-Zarr metadata of versions 0.1 to 0.5, and COSEM's kind of it: axes, levels, scale and translation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from napari_pytc.geometry import VoxelSpace
from napari_pytc.volumes.attribute_space import axes_of_attributes, space_of_transform
from napari_pytc.volumes.channel_colours import channel_colour
from napari_pytc.volumes.space import FoundSpace, found_space, numbers_of, unit_nm

_COLOURS = ("FF0000", "00FF00", "0000FF", "FFFF00", "FF00FF", "00FFFF", "FF8000", "FFFFFF")


@dataclass(frozen=True)
class Multiscale:
    """The first image of a group's ``multiscales``: its axes and where its levels lie."""

    axes: tuple[dict[str, Any], ...]
    datasets: tuple[dict[str, Any], ...]
    transforms: tuple[dict[str, Any], ...]
    n_images: int = 1

    @property
    def paths(self) -> list[str]:
        """Path of each level, the finest first."""
        return ["/".join(p for p in str(d["path"]).split("/") if p not in ("", ".")) for d in self.datasets]

    @property
    def letters(self) -> str:
        """A letter an axis, the slowest first, by type where the name is no usual one."""
        if not self.axes:
            return axes_of_attributes(self.datasets[0]) or "tczyx"
        return "".join(_letter(axis) for axis in self.axes)

    def letters_of(self, n_axes: int) -> str:
        """The letters for an array of so many axes; empty where the metadata has others."""
        return self.letters if len(self.letters) == n_axes else ""

    def notes(self, level: int, n_axes: int) -> tuple[str, ...]:
        """Which of several levels, and of several images, this is, and whether the axes are those of the array."""
        notes = []
        if self.axes and len(self.axes) != n_axes:
            notes.append(f"The OME-Zarr metadata has {len(self.axes)} axes and the array {n_axes}; they are left out.")
        if self.n_images > 1:
            notes.append(f"The metadata describes {self.n_images} images; this is the first.")
        if len(self.datasets) > 1:
            notes.append(f"This is level {level} of 0 to {len(self.datasets) - 1}, {self.paths[level]!r}.")
        return tuple(notes)

    def space(self, level: int, *, is_own: bool = False) -> FoundSpace:
        """Voxel size and origin of a level; unknown, with a note, unless every spatial axis has a unit of length.

        Of images that this program wrote (`is_own`) every size counts; see `found_space`.
        """
        own = self.datasets[level].get("coordinateTransformations") or []
        cosem = self.datasets[level].get("transform")
        if not own and isinstance(cosem, dict):
            return space_of_transform(cosem, "the transform of the level")
        if not self.axes:
            return FoundSpace.nothing("The OME-Zarr metadata has no axes; the voxel size is not known.")
        n = len(self.axes)
        scale, origin, is_scaled, is_placed = [1.0] * n, [0.0] * n, False, False
        for transform in [*own, *self.transforms]:
            numbers = numbers_of(transform.get(transform.get("type", ""), []))
            if len(numbers) != n:
                continue
            if transform["type"] == "scale":
                is_scaled = True
                scale = [a * b for a, b in zip(scale, numbers, strict=True)]
                origin = [a * b for a, b in zip(origin, numbers, strict=True)]
            elif transform["type"] == "translation":
                is_placed = True
                origin = [a + b for a, b in zip(origin, numbers, strict=True)]
        size_nm: dict[str, float] = {}
        origin_nm: dict[str, float] = {}
        for axis, letter, length, start in zip(self.axes, self.letters, scale, origin, strict=True):
            if letter in "zyx":
                factor = unit_nm(axis.get("unit"))
                if factor is None:
                    return FoundSpace.nothing(_no_unit(axis))
                size_nm[letter], origin_nm[letter] = length * factor, start * factor
        if not size_nm or not is_scaled:
            missing = "scale that fits its axes" if size_nm else "axes"
            return FoundSpace.nothing(f"The OME-Zarr metadata has no {missing}; the voxel size is not known.")
        size_nm.setdefault("z", min(size_nm.values()))
        edges, first = [size_nm.get(a, 0.0) for a in "zyx"], [origin_nm.get(a, 0.0) for a in "zyx"]
        return found_space(edges, "OME-Zarr scale", first if is_placed else None, is_own=is_own)


def _no_unit(axis: dict[str, Any]) -> str:
    unit, name = axis.get("unit"), axis.get("name")
    which = f"the unit {unit!r}, which is no length" if unit else "no unit"
    return f"Axis {name} of the OME-Zarr has {which}; the voxel size is not known."


def _letter(axis: dict[str, Any]) -> str:
    name = str(axis.get("name", "?")).lower()
    kind = axis.get("type")
    return {"channel": "c", "time": "t"}.get(str(kind), name[:1])


def multiscale_of(attributes: dict[str, Any]) -> Multiscale | None:
    """The first multiscale image of a group's attributes, none where it has none."""
    ome = attributes.get("ome", attributes)
    images = ome.get("multiscales") if isinstance(ome, dict) else None
    if not isinstance(images, list) or not images or not images[0].get("datasets"):
        return None
    first = images[0]
    # Version 0.3 names axes by strings, older ones not at all.
    axes = [a if isinstance(a, dict) else {"name": a} for a in first.get("axes") or ()]
    transforms = tuple(first.get("coordinateTransformations") or ())
    return Multiscale(tuple(axes), tuple(first["datasets"]), transforms, len(images))


def channel_names(attributes: dict[str, Any]) -> tuple[str, ...]:
    """Names of the channels of a group's image (``omero``), "" for one without; empty where it lists none."""
    ome = attributes.get("ome", attributes)
    omero = ome.get("omero", attributes.get("omero")) if isinstance(ome, dict) else None
    listed = omero.get("channels") if isinstance(omero, dict) else None
    if not isinstance(listed, list):
        return ()
    return tuple(str(c.get("label") or "") if isinstance(c, dict) else "" for c in listed)


def label_names(attributes: dict[str, Any]) -> list[str]:
    """Names of the label images beside an image, from the attributes of its group ``labels``."""
    ome = attributes.get("ome", attributes)
    names = ome.get("labels") if isinstance(ome, dict) else None
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []


def ome_attributes(
    name: str,
    space: VoxelSpace,
    channels: Sequence[str],
    white: float,
    own: dict[str, Any],
    *,
    levels: Sequence[tuple[str, Sequence[int]]] = (("0", (1, 1, 1)),),
    version: str = "0.5",
    labels: dict[str, Any] | None = None,
    ranges: Sequence[tuple[float, float]] = (),
) -> dict[str, Any]:
    """Attributes of an OME-Zarr group with one image.

    Parameters
    ----------
    name : str
        Name of the image.
    channels : sequence of str
        Names along the first axis; none for (z, y, x).
    white : float
        Voxel value shown as white.
    own : dict
        JSON values of this program, kept under ``napari_pytc``.
    levels : sequence of (str, sequence of int)
        Path of each level, and the voxels of the full resolution along z, y, x in one of its own.
    version : "0.4" or "0.5"
        Of the metadata.
    labels : dict, optional
        The group's ``image-label``, where it is a label image.
    ranges : sequence of (float, float)
        Of an image, for each channel the values that are black and of its full colour; by default 0 and white.
    """
    unit = {"unit": "nanometer"} if space.known else {}
    axes: list[dict[str, Any]] = [{"name": a, "type": "space", **unit} for a in "zyx"]
    if channels:
        axes = [{"name": "c", "type": "channel"}, *axes]
    datasets = [
        {"path": path, "coordinateTransformations": _transforms(space, factors, bool(channels))}
        for path, factors in levels
    ]
    ome: dict[str, Any] = {"multiscales": [{"name": name, "axes": axes, "datasets": datasets}]}
    if channels:
        ome["omero"] = {"channels": [_channel(k, channels, white, ranges) for k in range(len(channels))]}
    if labels is not None:
        ome["image-label"] = labels
    return {**versioned(ome, version), "napari_pytc": own}


def _channel(place: int, names: Sequence[str], white: float, ranges: Sequence[tuple[float, float]]) -> dict[str, Any]:
    """How a channel is shown."""
    low, high = ranges[place] if ranges else (0.0, white)
    colour = channel_colour(place, len(names), names[place])[1:].upper() if ranges else _COLOURS[place % len(_COLOURS)]
    window = {"min": min(0.0, low), "max": max(white, high), "start": low, "end": high}
    return {"label": names[place], "color": colour, "window": window, "active": True}


def versioned(ome: dict[str, Any], version: str) -> dict[str, Any]:
    """OME metadata where a version has it: 0.5 under ``ome``, 0.4 at the top and in each image."""
    if version != "0.4":
        return {"ome": {"version": version, **ome}}
    images = [{"version": version, **image} for image in ome.get("multiscales", ())]
    label = {"image-label": {"version": version, **ome["image-label"]}} if "image-label" in ome else {}
    return {**ome, **({"multiscales": images} if images else {}), **label}


def _transforms(space: VoxelSpace, factors: Sequence[int], has_channels: bool) -> list[dict[str, Any]]:
    """Scale and translation of a level, whose first voxel has its centre between those of the voxels in it."""
    scale = [v * f for v, f in zip(space.voxel_size_nm, factors, strict=True)]
    origin = [o + v * (f - 1) / 2 for o, v, f in zip(space.origin_nm, space.voxel_size_nm, factors, strict=True)]
    if has_channels:
        scale, origin = [1.0, *scale], [0.0, *origin]
    transforms: list[dict[str, Any]] = [{"type": "scale", "scale": scale}]
    if any(origin):
        transforms.append({"type": "translation", "translation": origin})
    return transforms
