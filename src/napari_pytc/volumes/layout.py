"""Layouts of files: from their axes to (z, y, x) and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from napari_pytc.errors import InvalidInput, VolumeError
from napari_pytc.geometry import Box, Shape
from napari_pytc.volumes.spec import ChannelChoice, ReadOptions

_SPACE = "zyx"
_CHANNEL = "cs"
DTYPES = ("uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64", "float32", "float64")
"""Types of the voxels of volumes."""
_READ_AS = {"float16": "float32", "bool": "uint8"}
STORED_DTYPES = (*DTYPES, *_READ_AS)
"""Types in files that can be read, as themselves or converted."""
_MOST_GUESSED_CHANNELS = 4
# Luminance of ITU-R BT.601, as Pillow and ImageJ's weighted conversion have it.
_LUMINANCE = (0.299, 0.587, 0.114)
# Of so many colours so many make grey; the last of two and of four is transparency.
_MIXED = {2: 1, 3: 3, 4: 3}
_COLOURS = {2: ("grey", "alpha"), 3: ("red", "green", "blue"), 4: ("red", "green", "blue", "alpha")}


FILES_OF_ONE_CHANNEL = (
    "Channels in files of their own are brought together in the window (select their layers), or saved as one file."
)
"""Hint where several channels are wanted of a file with one."""


@dataclass(frozen=True)
class AxisLayout:
    """Positions of z, y, x and the channel among the axes of a file.

    ::

        axes  t c z y x        box (z, y, x) + channel 1  ->  [0, 1, z0:z1, y0:y1, x0:x1]
        axes  x y z            box (z, y, x)              ->  [x0:x1, y0:y1, z0:z1], then transposed
        axes  y x s            box (z, y, x), grey        ->  [y0:y1, x0:x1, 0:3], then mixed

    Parameters
    ----------
    axes : str
        A letter an axis of the file: z, y, x, c for channels, s for colours, t for time points, anything else for axes
        of length 1.
    lengths : tuple of int
        The file's shape.
    channel : int
        The channel that is read; 0 where colours are mixed.
    n_channels : int
        Number of channels or colours to choose from.
    time : int
        The time point that is read.
    n_mixed : int
        Number of colours that are mixed to grey; 0 where one channel is read.
    notes : tuple of str
        What was assumed about the axes, or left out.
    is_labels : bool
        Whether voxels are labels, whose colours must be the same instead of being mixed.
    are_colours : bool
        Whether the channels to choose from are the colours of a pixel.
    """

    axes: str
    lengths: tuple[int, ...]
    channel: int
    n_channels: int
    time: int = 0
    n_mixed: int = 0
    notes: tuple[str, ...] = ()
    is_labels: bool = False
    are_colours: bool = False

    @property
    def shape(self) -> Shape:
        """Lengths along z, y, x; 1 along an axis that the file lacks."""
        length = dict(zip(self.axes, self.lengths, strict=True))
        return (length.get("z", 1), length["y"], length["x"])

    @property
    def image_channels(self) -> tuple[int, ...]:
        """Numbers of all channels that are intensities: of colours all but the transparency."""
        return tuple(range(_MIXED.get(self.n_channels, self.n_channels) if self.are_colours else self.n_channels))

    @property
    def colour_names(self) -> tuple[str, ...]:
        """Names of the colours; empty where the channels are none."""
        return _COLOURS.get(self.n_channels, ()) if self.are_colours else ()

    def index(self, box: Box, n_channels: int = 1) -> tuple[slice, ...]:
        """The slices of a box, one for each axis of the file, of so many channels from the layout's own on."""
        picked = slice(self.channel, self.channel + n_channels)
        ranges = dict(zip(_SPACE, box.slices, strict=True))
        ranges |= {"t": slice(self.time, self.time + 1), "c": picked}
        ranges["s"] = slice(0, self.n_mixed) if self.n_mixed else picked
        first = slice(0, 1)
        return tuple(
            ranges.get(a, first) if n > 1 or a in _SPACE else first
            for a, n in zip(self.axes, self.lengths, strict=True)
        )

    def arrange(self, data: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """Data read with `index`, as (z, y, x), contiguous and of the type that `read_dtype` gives.

        A shape of four lengths is that of several channels, (c, z, y, x).
        """
        if self.n_mixed:
            data = (_same_in_all if self.is_labels else mixed_to_grey)(data, self.axes.index("s"))
        kept = [a for a in _SPACE if a in self.axes]
        others = [i for i, a in enumerate(self.axes) if a not in _SPACE]
        turned = data.transpose([*others, *(self.axes.index(a) for a in kept)]).reshape(shape)
        return np.ascontiguousarray(turned, dtype=_read_as(turned.dtype))


def mixed_to_grey(data: np.ndarray, axis: int) -> np.ndarray:
    """The first three colours along an axis, red, green and blue, mixed to one; whole numbers stay whole."""
    if data.shape[axis] == 1:
        return data
    mixed = np.zeros((*data.shape[:axis], 1, *data.shape[axis + 1 :]), np.float64)
    for k, weight in enumerate(_LUMINANCE):
        mixed += weight * np.take(data, [k], axis)
    return (np.rint(mixed, out=mixed) if data.dtype.kind in "iu" else mixed).astype(data.dtype)


def _same_in_all(data: np.ndarray, axis: int) -> np.ndarray:
    """The labels that all colours hold; those that differ cannot be mixed to one number."""
    first = np.take(data, [0], axis)
    if not np.array_equal(np.broadcast_to(first, data.shape), data):
        raise VolumeError(
            "The labels are stored as colours, and red, green and blue differ, so that they are no numbers.",
            "Take one colour with --channel (0 is red), or save the labels as grey or with a palette.",
        )
    return first


def layout_of(axes: str, lengths: Sequence[int], options: ReadOptions, where: str) -> AxisLayout:
    """The layout of an array.

    Parameters
    ----------
    axes : str
        A letter an axis as the file has it, as in `AxisLayout`, of either case; empty where it does not name them.
    lengths : sequence of int
        The array's shape.
    options : ReadOptions
        The axes, channel and time point that the user gave; a spec is one.
    where : str
        Name of the array in messages.

    Raises
    ------
    VolumeError
        If y or x is missing, an axis other than t, c, z, y, x, s is longer than 1, or the channel or time point must be
        given or is too large.
    """
    lengths, notes = tuple(int(n) for n in lengths), []
    axes, note = _axes_of(axes.lower(), lengths, options, where)
    notes += [note] if note else []
    is_twice = any(axes.count(a) > 1 for a in _SPACE + _CHANNEL + "t")
    if len(axes) != len(lengths) or is_twice or not {"y", "x"} <= set(axes):
        raise VolumeError(
            f"{where} has axes {axes or 'unnamed'} for shape {lengths}; expected z, y, x, each once.",
            "Say what its axes are with --axes, a letter each, for example --axes zyx.",
        )
    if 0 in lengths:
        raise VolumeError(f"{where} is empty: its shape is {lengths}.", "Choose another file or dataset.")
    for name, n in zip(axes, lengths, strict=True):
        if name not in _SPACE + _CHANNEL + "t" and n > 1:
            raise VolumeError(
                f"{where} has {n} positions along axis {name!r}; a volume has z, y, x, channels and time points only.",
                "Say what its axes are with --axes, a letter each, for example --axes zyx.",
            )
    length = {"c": 1, "s": 1, "t": 1} | dict(zip(axes, lengths, strict=True))
    n_channels, n_colours = length["c"], length["s"]
    # A channel that is given is one of the colours only where there are no channels.
    is_mixed = n_colours in _MIXED and (n_channels > 1 or options.channel is None)
    if n_channels > 1 and n_colours > 1 and not is_mixed:
        raise VolumeError(f"{where} has both {n_channels} channels and {n_colours} colours.", "Save one as grey.")
    notes += _colour_notes(n_colours, n_channels == 1, options.labels) if is_mixed else []
    n_choices = n_channels if n_channels > 1 or is_mixed else n_colours
    channel = _chosen(one_channel(options.channel, where), n_choices, "channel", axes, where)
    time = _chosen(options.time, length["t"], "time point", axes, where)
    n_mixed = _MIXED[n_colours] if is_mixed else 0
    are_colours = n_channels == 1 and n_colours > 1
    n_channels = n_colours if are_colours else n_channels
    return AxisLayout(axes, lengths, channel, n_channels, time, n_mixed, tuple(notes), options.labels, are_colours)


def _axes_of(axes: str, lengths: tuple[int, ...], options: ReadOptions, where: str) -> tuple[str, str]:
    """The axes as the user, the file or their lengths tell, and what was assumed."""
    if options.axes is None:
        return (axes, "") if axes else guess_axes(lengths, where)
    wanted, kept = options.axes, [i for i, n in enumerate(lengths) if n > 1]
    if len(wanted) == len(kept) < len(lengths):  # axes of length 1 need no letter
        letters = dict(zip(kept, wanted, strict=True))
        wanted = "".join(letters.get(i, "q") for i in range(len(lengths)))
    if len(wanted) != len(lengths):
        raise VolumeError(
            f"{where} has {len(lengths)} axes, shape {lengths}, so they cannot be {options.axes}.",
            "Give a letter for each axis, slowest first; axes of length 1 may be left out.",
        )
    named = f"the file says {axes}" if axes else "the file does not name them"
    return wanted, "" if axes == wanted else f"Axes are read as {options.axes}, as asked; {named}."


def _colour_notes(n_colours: int, is_optional: bool, is_labels: bool) -> list[str]:
    notes = []
    if n_colours >= 3 and not is_labels:
        mix = ", ".join(f"{w:g} {name}" for w, name in zip(_LUMINANCE, ("red", "green", "blue"), strict=True))
        other = "; --channel takes one of them instead" if is_optional else ""
        notes.append(f"Colours are mixed to grey ({mix}){other}.")
    if n_colours in (2, 4):
        notes.append("Transparency is left out.")
    return notes


def _chosen(index: int | None, n: int, what: str, axes: str, where: str) -> int:
    """The channel or time point to read; must be given where there are several."""
    option = "--" + what.split()[0]
    several = "; an image can have several, 0,1, or all" if what == "channel" else ""
    choice = f"Give a {what} from 0 to {n - 1} with {option}{several}." if n > 1 else _left_out(option)
    plural = "s" if n > 1 else ""
    if index is None and n > 1:
        raise VolumeError(f"{where} has {n} {what}s, and one must be picked.", choice + _as_sections(what[0], axes))
    if index is not None and not 0 <= index < n:
        raise VolumeError(f"{where} has {n} {what}{plural}, so there is no {what} {index}.", choice)
    return index or 0


def one_channel(channel: ChannelChoice, where: str) -> int | None:
    """The only channel of a choice; an error where there are several and one is read."""
    if channel is None or isinstance(channel, int):
        return channel
    asked = "all channels" if channel == "all" else f"channels {', '.join(map(str, channel))}"
    raise VolumeError(f"One channel of {where} is used here, got {asked}.", "Give one with --channel.")


def _as_sections(letter: str, axes: str) -> str:
    """The hint that what the file calls channels or time points may be sections."""
    is_possible = letter in axes and "z" not in axes
    return f" If they are sections: --axes {axes.replace(letter, 'z')}." if is_possible else ""


def guess_axes(shape: Sequence[int], where: str) -> tuple[str, str]:
    """Axes of an array that does not name them, and a note where they could be others.

    (y, x), (z, y, x), (y, x, colour) where the last axis is 3 or 4 and the others are not; of four axes the shorter of
    the first and last is the channel, of five the first is time.
    """
    shape = tuple(shape)
    if len(shape) == 2:
        return "yx", ""
    if len(shape) == 3:
        if shape[2] in (3, 4) and min(shape[:2]) > _MOST_GUESSED_CHANNELS * 4:
            return "yxs", guess_note("yxs", shape)
        # Sections are rarely oblong and never fewer pixels wide than there are sections by far: x, y, z, as it seems.
        is_doubtful = 2 * shape[2] <= min(shape[:2]) and shape[0] > _MOST_GUESSED_CHANNELS
        return "zyx", guess_note("zyx", shape, "xyz") if is_doubtful else ""
    if len(shape) == 4:
        axes = "zyxc" if shape[3] < shape[0] and shape[3] <= _MOST_GUESSED_CHANNELS else "czyx"
        return axes, guess_note(axes, shape) if max(shape[0], shape[3]) > 1 else ""
    if len(shape) == 5:
        axes = "t" + guess_axes(shape[1:], where)[0]
        return axes, guess_note(axes, shape)
    raise VolumeError(f"{where} has {len(shape)} axes, shape {shape}; expected 2 to 4: (channel,) (z,) y, x.")


def guess_note(axes: str, shape: Sequence[int], other: str = "") -> str:
    """The note on axes that a file does not name, and on what else they could be."""
    remedy = f"if they are {', '.join(other)}, say --axes {other}" if other else "say --axes if they are others"
    lengths = " x ".join(map(str, shape))
    return f"The file does not name its axes of lengths {lengths}: they are taken as {', '.join(axes)}; {remedy}."


def check_dtype(dtype: np.dtype, where: str) -> np.dtype:
    """The type in this machine's byte order, or an error that names those that volumes have."""
    return _checked(np.dtype(dtype), DTYPES, where).newbyteorder("=")


def read_dtype(stored: np.dtype, where: str) -> np.dtype:
    """The type as which the voxels of a file are read: float16 as float32, bool as uint8, others as they are.

    Raises
    ------
    VolumeError
        If they cannot be read; the message names the types that can.
    """
    return _read_as(_checked(np.dtype(stored), STORED_DTYPES, where))


def _checked(dtype: np.dtype, known: Sequence[str], where: str) -> np.dtype:
    if dtype.name not in known:
        raise VolumeError(
            f"{where} holds {dtype.name} voxels; read are {', '.join(known)}.", "Convert it, for example to uint8."
        )
    return dtype


def dtype_notes(dtype: np.dtype) -> tuple[str, ...]:
    """The conversion that `read_dtype` makes, as a note."""
    name = np.dtype(dtype).name
    return (f"Voxels are stored as {name} and read as {_READ_AS[name]}.",) if name in _READ_AS else ()


def _read_as(dtype: np.dtype) -> np.dtype:
    return np.dtype(_READ_AS.get(dtype.name, dtype)).newbyteorder("=")


def check_box(box: Box, shape: Shape) -> None:
    """Refuse a box that leaves the volume."""
    if not Box.of_shape(shape).contains(box):
        raise InvalidInput(
            f"The box {box} leaves the volume, whose voxels are {Box.of_shape(shape)}.", "Choose a box inside it."
        )


def _left_out(option: str) -> str:
    return f"Leave {option} out. {FILES_OF_ONE_CHANNEL}" if option == "--channel" else f"Leave {option} out."
