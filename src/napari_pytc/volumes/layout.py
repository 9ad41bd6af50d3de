"""From the axes of a file to (z, y, x): which part of the file a box is, and how to turn what was read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from napari_pytc.errors import InvalidInput, VolumeError
from napari_pytc.geometry import Box, Shape

_SPACE = "zyx"
_CHANNEL = "cs"
DTYPES = ("uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64", "float32", "float64")
_MOST_GUESSED_CHANNELS = 4


@dataclass(frozen=True)
class AxisLayout:
    """Where z, y, x and the channel lie among the axes of a file.

    ::

        axes  t c z y x        box (z, y, x) + channel 1  ->  [0, 1, z0:z1, y0:y1, x0:x1]
        axes  x y z            box (z, y, x)              ->  [x0:x1, y0:y1, z0:z1], then transposed

    Parameters
    ----------
    axes : str
        A letter an axis of the file: z, y, x, c for channels, s for colour samples, anything else for axes of length 1.
    lengths : tuple of int
        The file's shape.
    channel : int
        The channel that is read.
    n_channels : int
        How many there are to choose from.
    """

    axes: str
    lengths: tuple[int, ...]
    channel: int
    n_channels: int

    @property
    def shape(self) -> Shape:
        """Lengths along z, y, x; 1 along an axis that the file lacks."""
        length = dict(zip(self.axes, self.lengths, strict=True))
        return (length.get("z", 1), length["y"], length["x"])

    def index(self, box: Box) -> tuple[slice, ...]:
        """The slices of a box, one for each axis of the file."""
        ranges = dict(zip(_SPACE, box.slices, strict=True))
        whole = slice(0, 1)
        picked = slice(self.channel, self.channel + 1)
        return tuple(
            ranges.get(a, picked if a in _CHANNEL and n > 1 else whole)
            for a, n in zip(self.axes, self.lengths, strict=True)
        )

    def arrange(self, data: np.ndarray, shape: Shape) -> np.ndarray:
        """What was read with `index`, as (z, y, x), contiguous and in the byte order of this machine."""
        kept = [a for a in _SPACE if a in self.axes]
        others = [i for i, a in enumerate(self.axes) if a not in _SPACE]
        turned = data.transpose([*others, *(self.axes.index(a) for a in kept)]).reshape(shape)
        return np.ascontiguousarray(turned, dtype=turned.dtype.newbyteorder("="))

    def spread(self, data: np.ndarray) -> np.ndarray:
        """A (z, y, x) block as the file's axes have it: the reverse of `arrange`."""
        kept = [a for a in self.axes if a in _SPACE]
        block = data if "z" in kept else data.reshape(data.shape[1:])
        names = [a for a in _SPACE if a in kept]
        turned = block.transpose([names.index(a) for a in kept])
        return turned[tuple(slice(None) if a in _SPACE else None for a in self.axes)]


def layout_of(axes: str, lengths: Sequence[int], channel: int | None, where: str) -> AxisLayout:
    """The layout of an array whose axes are known.

    Parameters
    ----------
    axes : str
        A letter an axis, as in `AxisLayout`; case does not matter.
    lengths : sequence of int
        The array's shape.
    channel : int, optional
        Which channel to read; must be given where there are several.
    where : str
        Name of the array in messages.

    Raises
    ------
    VolumeError
        If y or x is missing, an axis other than z, y, x, c is longer than 1, or the channel is missing or too large.
    """
    axes, lengths = axes.lower(), tuple(int(n) for n in lengths)
    if len(axes) != len(lengths) or any(axes.count(a) != 1 for a in "yx") or axes.count("z") > 1:
        raise VolumeError(f"{where} has axes {axes or 'unnamed'} for shape {lengths}; expected z, y, x, each once.")
    if 0 in lengths:
        raise VolumeError(f"{where} is empty: its shape is {lengths}.", "Choose another file or dataset.")
    channels = [n for a, n in zip(axes, lengths, strict=True) if a in _CHANNEL and n > 1]
    for name, n in zip(axes, lengths, strict=True):
        if name not in _SPACE + _CHANNEL and n > 1:
            kind = {"t": "time points"}.get(name, f"positions along axis {name!r}")
            raise VolumeError(
                f"{where} has {n} {kind}; a volume has z, y, x and channels only.", "Save one of them to its own file."
            )
    if len(channels) > 1:
        raise VolumeError(f"{where} has both {channels[0]} channels and {channels[1]} colours.", "Save one as grey.")
    n_channels = channels[0] if channels else 1
    return AxisLayout(axes, lengths, _chosen(channel, n_channels, where), n_channels)


def _chosen(channel: int | None, n_channels: int, where: str) -> int:
    choice = f"Give a channel from 0 to {n_channels - 1}." if n_channels > 1 else "Leave the channel out."
    if channel is None:
        if n_channels > 1:
            raise VolumeError(f"{where} has {n_channels} channels, and one must be picked.", choice)
        return 0
    if not 0 <= channel < n_channels:
        plural = "s" if n_channels > 1 else ""
        raise VolumeError(f"{where} has {n_channels} channel{plural}, so there is no channel {channel}.", choice)
    return channel


def guess_axes(shape: Sequence[int], where: str) -> str:
    """Axes of an array that does not name them.

    (y, x), (z, y, x), (y, x, colour) where the last axis is 3 or 4 and the others are not; of four axes the shorter of
    the first and last is the channel, of five the first must be a single time point.
    """
    shape = tuple(shape)
    if len(shape) == 2:
        return "yx"
    if len(shape) == 3:
        colour = shape[2] in (3, 4) and min(shape[:2]) > _MOST_GUESSED_CHANNELS * 4
        return "yxs" if colour else "zyx"
    if len(shape) == 4:
        return "zyxc" if shape[3] < shape[0] and shape[3] <= _MOST_GUESSED_CHANNELS else "czyx"
    if len(shape) == 5:
        return "t" + guess_axes(shape[1:], where)
    raise VolumeError(f"{where} has {len(shape)} axes, shape {shape}; expected 2 to 4: (channel,) (z,) y, x.")


def check_dtype(dtype: np.dtype, where: str) -> np.dtype:
    """The type in this machine's byte order, or an error that names those that are read."""
    if np.dtype(dtype).name not in DTYPES:
        raise VolumeError(
            f"{where} holds {np.dtype(dtype).name} voxels; read are {', '.join(DTYPES)}.",
            "Convert it, for example to uint8.",
        )
    return np.dtype(dtype).newbyteorder("=")


def check_box(box: Box, shape: Shape) -> None:
    """Refuse a box that leaves the volume."""
    if not Box.of_shape(shape).contains(box):
        raise InvalidInput(
            f"The box {box} leaves the volume, whose voxels are {Box.of_shape(shape)}.", "Choose a box inside it."
        )
