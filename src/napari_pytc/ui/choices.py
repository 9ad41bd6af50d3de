"""The user's layers that a project could be made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_pytc.geometry import Shape

OURS = "napari_pytc"
"""Key in a layer's metadata that says which of our roles it has."""


@dataclass(frozen=True)
class LayerChoice:
    """A layer of the user's that a project could be made of."""

    name: str
    shape: Shape
    dtype: str
    path: str | None
    voxel_size_nm: tuple[float, float, float] | None
    layer: Any


def layer_choice(layer: Any) -> LayerChoice | None:
    """A layer as a choice; None if it is ours, no grey image, or not of two or three dimensions."""
    if type(layer).__name__ != "Image" or OURS in layer.metadata or layer.rgb:
        return None
    data = layer.data[0] if layer.multiscale else layer.data
    shape: Sequence[int] = tuple(int(n) for n in data.shape)
    if len(shape) not in (2, 3):
        return None
    z, y, x = (1,) * (3 - len(shape)) + tuple(shape)
    return LayerChoice(
        name=layer.name,
        shape=(z, y, x),
        dtype=str(np.dtype(data.dtype)),
        path=None if layer.source.path is None else str(layer.source.path),
        voxel_size_nm=_voxel_size_nm(layer),
        layer=layer,
    )


_NM = {"nm": 1.0, "nanometer": 1.0, "µm": 1e3, "um": 1e3, "micrometer": 1e3, "mm": 1e6, "millimeter": 1e6, "pm": 1e-3}


def _voxel_size_nm(layer: Any) -> tuple[float, float, float] | None:
    """The layer's scale, where its units are lengths; a scale in pixels says nothing."""
    units = [str(unit) for unit in layer.units]
    if any(unit not in _NM for unit in units):
        return None
    sizes = [float(s) * _NM[unit] for s, unit in zip(layer.scale, units, strict=True)]
    z, y, x = [sizes[0]] * (3 - len(sizes)) + sizes
    return (z, y, x)
