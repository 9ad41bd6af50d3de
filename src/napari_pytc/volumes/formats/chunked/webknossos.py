"""Datasets of WEBKNOSSOS: layers and magnifications of ``datasource-properties.json``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from napari_pytc.errors import VolumeError
from napari_pytc.volumes.space import FoundSpace, found_space, numbers_of, unit_nm

PROPERTIES = "datasource-properties.json"
_PRECOMPUTED = "neuroglancerprecomputed"
_READ = ("zarr", "zarr3", "n5")


@dataclass(frozen=True)
class Magnification:
    """One resolution of a layer.

    Parameters
    ----------
    paths : tuple of str
        Inside the dataset; several where the properties name none and there are several usual ones.
    axes : str
        A letter an axis, in the order of the array's metadata; empty where the properties do not say.
    is_colour : bool
        Whether the channels are the colours of a pixel.
    level : int
        0 for the finest of its layer.
    n_levels : int
        Magnifications of the layer.
    """

    layer: str
    is_image: bool
    paths: tuple[str, ...]
    axes: str
    found: FoundSpace
    level: int
    n_levels: int
    is_colour: bool = False

    def axes_of(self, n_axes: int) -> str:
        """The axes of an array of so many: those of the properties, else c, x, y, z."""
        axes = self.axes if len(self.axes) == n_axes else {3: "xyz", 4: "cxyz"}.get(n_axes, "")
        return axes.replace("c", "s") if self.is_colour else axes

    @property
    def notes(self) -> tuple[str, ...]:
        """Which of several magnifications this is."""
        if self.n_levels < 2:
            return ()
        return (f"This is magnification {self.level} of 0 to {self.n_levels - 1} of layer {self.layer!r}.",)


def magnifications_of(properties: Mapping[str, Any], where: str) -> list[Magnification]:
    """Every magnification that can be read, the finest of each layer first.

    Raises
    ------
    VolumeError
        If the dataset has layers and all are of another kind or elsewhere.
    """
    layers = _layers(properties)
    read = [layer for layer in layers if str(layer.get("dataFormat", "zarr")).lower() in _READ]
    found = [m for layer in read for m in _layer(layer, properties.get("scale"))]
    if layers and not found and not precomputed_layers(properties):
        kinds = ", ".join(sorted({str(layer.get("dataFormat", "zarr")) for layer in layers}))
        raise VolumeError(
            f"{where} is a WEBKNOSSOS dataset whose layers are {kinds} or lie elsewhere; read are Zarr and N5 in it.",
            "Convert it to Zarr: webknossos convert-zarr SOURCE TARGET.",
        )
    return found


def precomputed_layers(properties: Mapping[str, Any]) -> list[str]:
    """Folders of the layers that are precomputed volumes."""
    found = [layer for layer in _layers(properties) if str(layer.get("dataFormat", "")).lower() == _PRECOMPUTED]
    return [str(layer["name"]) for layer in found if layer.get("name") not in (None, "", ".")]


def _layers(properties: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [layer for layer in properties.get("dataLayers") or [] if isinstance(layer, Mapping)]


def _layer(layer: Mapping[str, Any], scale: Any) -> Iterator[Magnification]:
    name = str(layer.get("name", ""))
    mags = [mag for mag in layer.get("mags") or layer.get("wkwResolutions") or [] if isinstance(mag, Mapping)]
    sized = [(factors, mag) for mag in mags if (factors := _factors(mag.get("mag", mag.get("resolution"))))]
    sized.sort(key=lambda item: (item[0][0] * item[0][1] * item[0][2], item[0]))
    is_image = str(layer.get("category", "")).lower() == "color"
    is_colour = str(layer.get("elementClass", "")).lower() == "uint24"
    for level, (factors, mag) in enumerate(sized):
        paths = (str(mag["path"]),) if mag.get("path") else tuple(f"{name}/{key}" for key in _directories(factors))
        if any("://" in path or path.startswith("/") for path in paths):
            continue
        axes = _axes(mag.get("axisOrder"), layer.get("additionalAxes"))
        yield Magnification(name, is_image, paths, axes, _space(scale, factors), level, len(sized), is_colour)


def _factors(mag: Any) -> list[float]:
    """Factors along x, y, z; empty where they cannot be understood."""
    numbers = numbers_of(mag)
    numbers = numbers * 3 if len(numbers) == 1 else numbers
    return numbers if len(numbers) == 3 and all(n > 0 for n in numbers) else []


def _directories(factors: Sequence[float]) -> list[str]:
    """The usual names of a magnification's folder."""
    whole = [f"{f:g}" for f in factors]
    return [*([whole[0]] if len(set(whole)) == 1 else []), "-".join(whole)]


def _axes(order: Any, additional: Any) -> str:
    """The axes by their index; additional ones beside x, y, z are time or of one position."""
    if not isinstance(order, Mapping):
        return ""
    named = {int(place): str(axis).lower()[:1] for axis, place in order.items()}
    for axis in additional or ():
        named[int(axis["index"])] = "t" if str(axis.get("name", "")).lower() in ("t", "time") else "q"
    return "".join(named[place] for place in sorted(named))


def _space(scale: Any, factors: Sequence[float]) -> FoundSpace:
    """Voxel size of a magnification; older datasets give the scale in nm without saying so."""
    value, unit = (scale.get("factor"), scale.get("unit")) if isinstance(scale, Mapping) else (scale, "nanometer")
    numbers, nm = numbers_of(value), unit_nm(unit)
    if not isinstance(scale, Mapping) and set(numbers) == {1.0}:
        return FoundSpace.nothing(
            "The scale of the WEBKNOSSOS dataset is 1 along every axis without a unit, as where nothing was set; the "
            "voxel size is not known."
        )
    if len(numbers) != 3 or nm is None:
        return FoundSpace.nothing(f"The scale of the WEBKNOSSOS dataset is {scale!r}; the voxel size is not known.")
    size = [n * f * nm for n, f in zip(numbers, factors, strict=True)]
    return found_space(size[::-1], "WEBKNOSSOS scale")
