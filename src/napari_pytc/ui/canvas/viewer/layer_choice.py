"""The user's layers that a project could be made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_pytc.geometry import Shape

if TYPE_CHECKING:
    from napari_pytc.volumes.spec import VolumeSpec

OURS = "napari_pytc"
"""Key in a layer's metadata whose value is the role that it has for us."""
_CHANNEL_NAMES, _TIME_NAMES = ("c", "ch", "channel", "channels"), ("t", "time", "frame", "frames")
_MOST_GUESSED = 8
VOLUME = "pytc_volume"
"""Key in a layer's metadata for the volume that our readers made it of: ``PATH[:DATASET]`` and channel."""


@dataclass(frozen=True)
class LayerChoice:
    """A layer of the user's that a project could be made of.

    Parameters
    ----------
    shape : tuple of int
        (z, y, x), without channels.
    channel : int, optional
        The channel of the file at `path` that our reader made it of.
    channel_axis : int, optional
        The axis of its data that counts channels or colours; None for a layer of one channel.
    n_channels : int
        Length of that axis.
    is_colour : bool
        Whether they are the colours of a pixel.
    is_selected : bool
        Whether the user has selected it.
    """

    name: str
    shape: Shape
    dtype: str
    path: str | None
    voxel_size_nm: tuple[float, float, float] | None
    layer: Any
    channel: int | None = None
    channel_axis: int | None = None
    n_channels: int = 1
    is_colour: bool = False
    is_selected: bool = False


def layer_choice(layer: Any, is_selected: bool = False) -> LayerChoice | None:
    """A layer as a choice; None if it is ours, no image, or not of two or three dimensions beside its channels."""
    if type(layer).__name__ != "Image" or OURS in layer.metadata:
        return None
    data = layer.data[0] if layer.multiscale else layer.data
    lengths: Sequence[int] = tuple(int(n) for n in data.shape)
    axis = len(lengths) - 1 if layer.rgb else _channel_axis(layer, lengths)
    shape = tuple(n for k, n in enumerate(lengths) if k != axis)
    if len(shape) not in (2, 3):
        return None
    z, y, x = (1,) * (3 - len(shape)) + shape
    path, channel = layer.metadata.get(VOLUME, (layer.source.path, None))
    return LayerChoice(
        name=layer.name,
        shape=(z, y, x),
        dtype=str(np.dtype(data.dtype)),
        path=None if path is None else str(path),
        voxel_size_nm=lengths_nm(layer.scale, layer.units),
        layer=layer,
        channel=channel,
        channel_axis=axis,
        n_channels=1 if axis is None else lengths[axis],
        is_colour=bool(layer.rgb),
        is_selected=is_selected,
    )


def _channel_axis(layer: Any, lengths: Sequence[int]) -> int | None:
    """The axis of channels of a layer: by its name, or of four axes without names the one that is far shorter."""
    names = [str(name).lower() for name in layer.axis_labels]
    for k, name in enumerate(names):
        if name in _CHANNEL_NAMES and lengths[k] > 1:
            return k
    if len(lengths) != 4 or any(name in _TIME_NAMES for name in names):
        return None
    shortest = min((0, 1), key=lambda k: lengths[k])
    is_plain = 1 < lengths[shortest] <= _MOST_GUESSED and 2 * lengths[shortest] <= min(lengths[2:])
    return shortest if is_plain and lengths[shortest] < lengths[1 - shortest] else None


def shows_volume(choice: LayerChoice, spec: VolumeSpec, shape: Shape, dtype: str) -> bool:
    """Whether a layer shows the volume of a spec: the same file, dataset and channel, of one shape and type.

    A volume that is read with axes or a time point of its own matches no layer.
    """
    from napari_pytc.volumes.opening import split_dataset  # not before a project is open: slow to import

    if choice.path is None or choice.channel_axis is not None or (choice.shape, choice.dtype) != (shape, dtype):
        return False
    place, dataset = split_dataset(choice.path)
    if spec.kind == "chunked":
        is_same = _as_path(place, dataset) == _as_path(spec.url, spec.array)
    else:
        inside = spec.dataset if spec.kind == "hdf5" else None
        is_same = _as_path(place) == _as_path(str(spec.path)) and dataset in (None, inside)
    return is_same and not spec.time and spec.axes is None and choice.channel in (spec.channel, spec.channel or 0)


def _as_path(place: str, inside: str | None = None) -> str:
    """A file or container, and an array in it, as one path."""
    from napari_pytc.volumes.opening import local_path

    local = local_path(place)
    whole = place if local is None else str(local.resolve())
    return "/".join(part for part in (whole.rstrip("/"), (inside or "").strip("/")) if part)


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
