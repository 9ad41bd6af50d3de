"""The user's layers that a project could be made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_pytc.geometry import Shape

OURS = "napari_pytc"
"""Key in a layer's metadata that says which of our roles it has."""
VOLUME = "pytc_volume"
"""Key in a layer's metadata that says which volume our readers made it of: ``PATH[:DATASET]`` and channel."""


@dataclass(frozen=True)
class LayerChoice:
    """A layer of the user's that a project could be made of."""

    name: str
    shape: Shape
    dtype: str
    path: str | None
    voxel_size_nm: tuple[float, float, float] | None
    layer: Any
    channel: int | None = None


def layer_choice(layer: Any) -> LayerChoice | None:
    """A layer as a choice; None if it is ours, no grey image, or not of two or three dimensions."""
    if type(layer).__name__ != "Image" or OURS in layer.metadata or layer.rgb:
        return None
    data = layer.data[0] if layer.multiscale else layer.data
    shape: Sequence[int] = tuple(int(n) for n in data.shape)
    if len(shape) not in (2, 3):
        return None
    z, y, x = (1,) * (3 - len(shape)) + tuple(shape)
    path, channel = layer.metadata.get(VOLUME, (layer.source.path, None))
    return LayerChoice(
        name=layer.name,
        shape=(z, y, x),
        dtype=str(np.dtype(data.dtype)),
        path=None if path is None else str(path),
        voxel_size_nm=lengths_nm(layer.scale, layer.units),
        layer=layer,
        channel=channel,
    )


_NM = {
    "nm": 1.0, "nanometer": 1.0, "µm": 1e3, "um": 1e3, "micrometer": 1e3, "mm": 1e6, "millimeter": 1e6,
    "pm": 1e-3, "picometer": 1e-3, "angstrom": 0.1, "m": 1e9, "meter": 1e9,
}  # fmt: skip


def lengths_nm(lengths: Sequence[float], units: Sequence[Any]) -> tuple[float, float, float] | None:
    """A layer's lengths along z, y, x in nm; None where its units are no lengths, as pixels.

    Of more than three axes the last count; a layer of two is as thick as its pixels are high.
    """
    known = [_NM.get(str(unit)) for unit in units][-3:]
    if any(factor is None for factor in known):
        return None
    found = [float(v) * factor for v, factor in zip(list(lengths)[-3:], known, strict=True) if factor is not None]
    z, y, x = [found[0]] * (3 - len(found)) + found
    return (z, y, x)
