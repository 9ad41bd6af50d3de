"""Images of one or several channels behind one Protocol, and how they are opened."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from napari_pytc.errors import VolumeError
from napari_pytc.geometry import Box, Shape, VoxelSpace
from napari_pytc.volumes.base import FileVolume
from napari_pytc.volumes.opening import open_spec, open_volume
from napari_pytc.volumes.source import ImageSource, VolumeSource
from napari_pytc.volumes.spec import ChannelChoice, ReadOptions, VolumeSpec

LEFT_OUT = "Channels read: "
"""Beginning of the note on channels that are not read."""
_MOST_LISTED = 12


class SingleImage:
    """A volume as an image of one channel.

    Parameters
    ----------
    source : VolumeSource
        The channel.
    """

    def __init__(self, source: VolumeSource) -> None:
        self.source = source
        self.channels: tuple[VolumeSource, ...] = (source,)
        self.n_channels = 1
        self.channel_names, self.notes = ("",), source.notes
        if isinstance(source, FileVolume):
            number, is_mixed = source.shown_channel, source.is_mixed
            self.channel_names = ("",) if is_mixed else (source.channel_names[number],)
            self.notes = source.notes if is_mixed else (*source.notes, *_left_out(source, (number,)))

    @property
    def shape(self) -> Shape:
        """Lengths along z, y, x."""
        return self.source.shape

    @property
    def dtype(self) -> np.dtype:
        """Type of a voxel."""
        return self.source.dtype

    @property
    def space(self) -> VoxelSpace:
        """Voxel size and origin."""
        return self.source.space

    @property
    def spec(self) -> VolumeSpec:
        """The spec of the volume."""
        return self.source.spec

    def read(self, box: Box) -> np.ndarray:
        """The voxels of a box, (1, z, y, x)."""
        return self.source.read(box)[None]


class FileImage:
    """Several channels of one file, which is open once.

    Parameters
    ----------
    first : FileVolume
        The file, open for any of its channels.
    numbers : sequence of int
        Two or more channels, in the order in which they are read.

    Raises
    ------
    VolumeError
        If the file does not have one of them.
    """

    def __init__(self, first: FileVolume, numbers: Sequence[int]) -> None:
        for number in numbers:
            first.check_channel(number)
        self._volumes = tuple(first.with_channel(number) for number in numbers)
        self._numbers = tuple(numbers)
        self._runs = tuple(_runs(numbers)) if first.reads_channels_together else ()
        self.channels: tuple[VolumeSource, ...] = self._volumes
        self.n_channels = len(self._volumes)
        self.channel_names = tuple(first.channel_names[number] for number in numbers)
        self.shape: Shape = first.shape
        self.dtype: np.dtype = np.result_type(*(volume.dtype for volume in self._volumes))
        self.space = self._volumes[0].space
        self.spec: VolumeSpec = first.spec.model_copy(update={"channel": self._numbers})
        told = dict.fromkeys(note for volume in self._volumes for note in volume.notes)
        self.notes: tuple[str, ...] = (*told, *_left_out(first, self._numbers), *self._other_notes())

    def _other_notes(self) -> Iterator[str]:
        kinds = {volume.dtype.name for volume in self._volumes}
        if len(kinds) > 1:
            yield f"Channels are of the types {', '.join(sorted(kinds))}; together they are read as {self.dtype.name}."
        if any(volume.space != self.space for volume in self._volumes):
            yield "The file places its channels apart; they are read voxel for voxel, as the first one lies."

    def read(self, box: Box) -> np.ndarray:
        """The voxels of a box, (c, z, y, x); neighbouring channels of one array are read at once."""
        if not self._runs:
            return np.stack([volume.read(box) for volume in self._volumes]).astype(self.dtype, copy=False)
        parts = [self._volumes[start].read_together(box, n) for start, n in self._runs]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def close(self) -> None:
        """Close the file."""
        for volume in self._volumes:
            volume.close()

    def __repr__(self) -> str:
        numbers = ", ".join(map(str, self._numbers))
        return f"FileImage({self._volumes[0].name}, channels {numbers}, shape={self.shape}, dtype={self.dtype})"


def as_image(source: VolumeSource) -> ImageSource:
    """A volume as an image of one channel."""
    return SingleImage(source)


def open_image(where: str | Path, options: ReadOptions | None = None) -> ImageSource:
    """Open an image of one or several channels without reading its voxels.

    Parameters
    ----------
    where, options
        As of `open_volume`; the options' channel may be several, or all. Without one the file must have a single
        channel; colours are then mixed to grey. All of the colours are those without the transparency.

    Raises
    ------
    VolumeError
        As of `open_volume`, or if a channel does not exist.
    """
    asked = options or ReadOptions()
    first = open_volume(where, asked.model_copy(update={"channel": _first(asked.channel)}))
    return _with_channels(first, asked.channel)


def open_image_spec(spec: VolumeSpec) -> ImageSource:
    """Open the image of a spec, in any process; errors as of `open_spec`."""
    first = open_spec(spec.model_copy(update={"channel": _first(spec.channel)}))
    return _with_channels(first, spec.channel)


def chosen_channels(image: ImageSource, channel: ChannelChoice) -> ImageSource:
    """Some of the channels of an image, by their numbers in the file; None or "all" for all that it has.

    Raises
    ------
    VolumeError
        If it does not have one of them.
    """
    if channel is None or channel == "all":
        return image
    numbers, wanted = channel_numbers(image), (channel,) if isinstance(channel, int) else channel
    for number in wanted:
        if number not in numbers:
            listed = ", ".join("all mixed to grey" if n is None else str(n) for n in numbers)
            raise VolumeError(
                f"The image is used with the channels {listed}, so there is no channel {number} of it.",
                "Choose among these.",
            )
    return open_image_spec(image.spec.model_copy(update={"channel": wanted if len(wanted) > 1 else wanted[0]}))


def channel_numbers(image: ImageSource) -> tuple[int | None, ...]:
    """The number of each channel in its file; None for colours that are mixed to grey, and 0 where there is one."""
    chosen = image.spec.channel
    if isinstance(chosen, tuple):
        return chosen
    if chosen is None:
        first = image.channels[0]
        return (None if isinstance(first, FileVolume) and first.is_mixed else 0,)
    assert isinstance(chosen, int)
    return (chosen,)


def channel_titles(image: ImageSource) -> tuple[str, ...]:
    """What each channel is called for people: its name, else its number in the file, or grey for mixed colours."""
    return tuple(
        name or ("grey" if number is None else f"channel {number}")
        for name, number in zip(image.channel_names, channel_numbers(image), strict=True)
    )


def channel_documents(image: ImageSource) -> list[dict[str, int | str | None]]:
    """Number in the file and name of each channel, as JSON; the name is "" where the file has none."""
    return [
        {"number": number, "name": name}
        for number, name in zip(channel_numbers(image), image.channel_names, strict=True)
    ]


def _first(channel: ChannelChoice) -> int | None:
    if isinstance(channel, tuple):
        return channel[0]
    return 0 if channel == "all" else channel


def _with_channels(first: VolumeSource, asked: ChannelChoice) -> ImageSource:
    if asked is None or isinstance(asked, int):
        return SingleImage(first)
    assert isinstance(first, FileVolume)
    numbers = first.image_channels if asked == "all" else asked
    return FileImage(first, numbers) if len(numbers) > 1 else SingleImage(first)


def _runs(numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Places in a list at which numbers begin that follow one another, and how many do.

    ::

        numbers  0 1 2 5 3 4   ->   (0, 3), (3, 1), (4, 2)
    """
    start = 0
    for place in range(1, len(numbers) + 1):
        if place == len(numbers) or numbers[place] != numbers[place - 1] + 1:
            yield start, place - start
            start = place


def _left_out(volume: FileVolume, numbers: Sequence[int]) -> tuple[str, ...]:
    """A note on the channels of a file that are not read; none where all are."""
    others = [n for n in range(volume.n_channels) if n not in numbers]
    if not others:
        return ()
    return (f"{LEFT_OUT}{_listed(volume, numbers)}; left out: {_listed(volume, others)}.",)


def _listed(volume: FileVolume, numbers: Sequence[int]) -> str:
    shown = [f"{n} ({name})" if (name := volume.channel_names[n]) else str(n) for n in numbers[:_MOST_LISTED]]
    more = [f"and {len(numbers) - _MOST_LISTED} more"] if len(numbers) > _MOST_LISTED else []
    return ", ".join(shown + more)
