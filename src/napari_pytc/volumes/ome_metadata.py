"""OME-Zarr metadata of versions 0.4 and 0.5: axes, levels, scale and translation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from napari_pytc.geometry import VoxelSpace
from napari_pytc.volumes.space import FoundSpace, found_space, numbers_of, unit_nm

_COLOURS = ("FF0000", "00FF00", "0000FF", "FFFF00", "FF00FF", "00FFFF", "FF8000", "FFFFFF")


@dataclass(frozen=True)
class Multiscale:
    """The first image of a group's ``multiscales``: its axes and where its levels lie."""

    axes: tuple[dict[str, Any], ...]
    datasets: tuple[dict[str, Any], ...]
    transforms: tuple[dict[str, Any], ...]

    @property
    def paths(self) -> list[str]:
        """Path of each level, the finest first."""
        return [str(d["path"]).strip("/") for d in self.datasets]

    @property
    def letters(self) -> str:
        """A letter an axis, by type where the name is no usual one."""
        return "".join(_letter(axis) for axis in self.axes)

    def space(self, level: int) -> FoundSpace:
        """Voxel size and origin of a level; unknown unless every spatial axis has a unit of length."""
        own = self.datasets[level].get("coordinateTransformations") or []
        n = len(self.axes)
        scale, origin = [1.0] * n, [0.0] * n
        for transform in [*own, *self.transforms]:
            numbers = numbers_of(transform.get(transform.get("type", ""), []))
            if len(numbers) != n:
                continue
            if transform["type"] == "scale":
                scale = [a * b for a, b in zip(scale, numbers, strict=True)]
                origin = [a * b for a, b in zip(origin, numbers, strict=True)]
            elif transform["type"] == "translation":
                origin = [a + b for a, b in zip(origin, numbers, strict=True)]
        size_nm: dict[str, float] = {}
        origin_nm: dict[str, float] = {}
        for axis, letter, length, start in zip(self.axes, self.letters, scale, origin, strict=True):
            if letter in "zyx":
                factor = unit_nm(axis.get("unit"))
                if factor is None:
                    return FoundSpace.nothing()
                size_nm[letter], origin_nm[letter] = length * factor, start * factor
        size_nm.setdefault("z", min(size_nm.values(), default=0.0))
        return found_space(
            [size_nm.get(a, 0.0) for a in "zyx"], "OME-Zarr scale", [origin_nm.get(a, 0.0) for a in "zyx"]
        )


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
    # Version 0.3 names axes by strings, older ones not at all and always t, c, z, y, x.
    axes = [a if isinstance(a, dict) else {"name": a} for a in first.get("axes") or "tczyx"]
    return Multiscale(tuple(axes), tuple(first["datasets"]), tuple(first.get("coordinateTransformations") or ()))


def ome_attributes(
    name: str, space: VoxelSpace, channels: Sequence[str], white: float, own: dict[str, Any]
) -> dict[str, Any]:
    """Attributes of an OME-Zarr 0.5 group with one level at path ``0``.

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
    """
    unit = {"unit": "nanometer"} if space.known else {}
    axes: list[dict[str, Any]] = [{"name": a, "type": "space", **unit} for a in "zyx"]
    scale, origin = list(space.voxel_size_nm), list(space.origin_nm)
    if channels:
        axes, scale, origin = [{"name": "c", "type": "channel"}, *axes], [1.0, *scale], [0.0, *origin]
    transforms: list[dict[str, Any]] = [{"type": "scale", "scale": scale}]
    if any(origin):
        transforms.append({"type": "translation", "translation": origin})
    datasets = [{"path": "0", "coordinateTransformations": transforms}]
    ome: dict[str, Any] = {"version": "0.5", "multiscales": [{"name": name, "axes": axes, "datasets": datasets}]}
    if channels:
        window = {"min": 0, "max": white, "start": 0, "end": white}
        ome["omero"] = {
            "channels": [
                {"label": label, "color": _COLOURS[i % len(_COLOURS)], "window": window, "active": True}
                for i, label in enumerate(channels)
            ]
        }
    return {"ome": ome, "napari_pytc": own}
