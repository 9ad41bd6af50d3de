"""Specs of volumes, by which any process opens them: how to read a volume, and a frozen model a kind of file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator

from napari_pytc.errors import InvalidInput
from napari_pytc.settings import Settings, setting

AXES = "tczyxs"
"""Letters of axes: time, channel, z, y, x, and s for the colours of a pixel."""


ChannelNumber = Annotated[int, Field(ge=0)]
ChannelChoice = ChannelNumber | tuple[ChannelNumber, ...] | Literal["all"] | None
"""One channel, several in the order in which they are used, all of the file, or none where there is only one."""


def parse_channels(text: str) -> ChannelChoice:
    """Channels of an image as they are typed: a number, several with commas, or all; empty for none.

    Raises
    ------
    InvalidInput
        If it is none of these.
    """
    text = text.strip().lower()
    if text in ("", "all"):
        return "all" if text else None
    try:
        numbers = tuple(int(part) for part in text.split(","))
    except ValueError:
        numbers = ()
    if not numbers or min(numbers) < 0:
        raise InvalidInput(
            f"--channel is a number from 0, several with commas, or all; got {text!r}.", "For example: --channel 0,2."
        )
    if len(set(numbers)) < len(numbers):
        raise InvalidInput(f"--channel names each channel once, got {text!r}.", "For example: --channel 0,2.")
    return numbers[0] if len(numbers) == 1 else numbers


class ReadOptions(Settings):
    """How to read a volume where its file says nothing, too little, or something wrong."""

    voxel_size_nm: tuple[float, float, float] | None = setting(
        None, "Voxel size", "Voxel size along z, y, x; by default what the file says.", "nm"
    )
    channel: ChannelChoice = setting(
        None,
        "Channel",
        "Which channel or colour, counted from 0, where the file has several; of an image also several, or all.",
    )
    axes: str | None = setting(
        None,
        "Axes",
        "A letter for each axis of the file, slowest first, for example zyx, tzyx or xyz (t time, c channel, s "
        "colour); by default what the file says.",
    )
    time: int | None = setting(
        None, "Time point", "Which time point, counted from 0, where the file has several.", ge=0
    )
    missing_sections: Literal["note", "blank"] = setting(
        "note",
        "Missing sections",
        "Where numbered sections are missing: note, to close the gap and say so; blank, to put black ones there.",
    )
    labels: bool = setting(
        False,
        "Labels",
        "Voxels are labels, not intensities: the indices of a palette are read, and colours are not mixed to grey.",
    )

    @field_validator("channel")
    @classmethod
    def _each_once(cls, channel: ChannelChoice) -> ChannelChoice:
        """One alone as a number, so that a spec of one channel is written in one way only."""
        if not isinstance(channel, tuple):
            return channel
        twice = [number for number in channel if channel.count(number) > 1]
        if not channel or twice:
            raise ValueError(
                f"channels are named once each, got {twice[0]} twice" if twice else "no channel is named; leave it out"
            )
        return channel[0] if len(channel) == 1 else channel

    @field_validator("axes")
    @classmethod
    def _known_letters(cls, axes: str | None) -> str | None:
        if axes is None:
            return None
        axes = axes.lower()
        if set(axes) - set(AXES) or len(set(axes)) != len(axes) or not {"y", "x"} <= set(axes):
            raise ValueError(
                f"axes are letters of {', '.join(AXES)}, each at most once and y and x among them, got {axes!r}"
            )
        return axes

    @property
    def read_options(self) -> ReadOptions:
        """These options alone, of any spec: to open the same volume at another place."""
        return ReadOptions(**{name: getattr(self, name) for name in ReadOptions.model_fields})


class Hdf5Spec(ReadOptions):
    """A dataset of an HDF5 file."""

    kind: Literal["hdf5"] = "hdf5"
    path: Path
    dataset: str


class TiffSpec(ReadOptions):
    """A TIFF file: OME, ImageJ, BigTIFF or plain."""

    kind: Literal["tiff"] = "tiff"
    path: Path
    series: int | None = Field(None, ge=0, description="Number of the image in the file; None for the largest.")


class SectionsSpec(ReadOptions):
    """A folder of numbered sections (TIFF, PNG, JPEG), one file a section."""

    kind: Literal["sections"] = "sections"
    path: Path
    suffix: str
    pattern: str = Field("", description="Pattern of the files' names, as raw_*; empty for all with the suffix.")


class ChunkedSpec(ReadOptions):
    """A chunked array that tensorstore opens, on disk or remote."""

    kind: Literal["chunked"] = "chunked"
    url: str = Field(description="Folder or URL of the container.")
    driver: Literal["zarr", "zarr3", "n5", "neuroglancer_precomputed"]
    array: str = Field("", description="Path of the array inside the container.")
    scale: int = Field(0, description="Scale index of a precomputed volume.")


class BigDataViewerSpec(ReadOptions):
    """Data in HDF5 or N5 that an XML of BigDataViewer or BigStitcher describes."""

    kind: Literal["bigdataviewer"] = "bigdataviewer"
    path: Path = Field(description="The XML.")
    setup: str = Field("", description="Number, key or name of a setup; empty for all, as channels.")


class MrcSpec(ReadOptions):
    """An MRC file, as of electron tomography."""

    kind: Literal["mrc"] = "mrc"
    path: Path


class NiftiSpec(ReadOptions):
    """A NIfTI file."""

    kind: Literal["nifti"] = "nifti"
    path: Path


class NpySpec(ReadOptions):
    """A NumPy .npy file, memory-mapped; also passes volumes in memory to another process."""

    kind: Literal["npy"] = "npy"
    path: Path


VolumeSpec = Annotated[
    Hdf5Spec | TiffSpec | SectionsSpec | ChunkedSpec | BigDataViewerSpec | MrcSpec | NiftiSpec | NpySpec,
    Field(discriminator="kind"),
]
"""Any spec of a volume, told apart by its `kind`."""


def argument_of(spec: VolumeSpec) -> str:
    """``PATH[:DATASET]``, by which `open_volume` and the command line open the same file or container."""
    match spec:
        case ChunkedSpec():
            where, inside = spec.url, spec.array
        case Hdf5Spec():
            where, inside = str(spec.path), spec.dataset
        case TiffSpec():
            where, inside = str(spec.path), "" if spec.series is None else str(spec.series)
        case SectionsSpec():
            where, inside = str(spec.path), spec.pattern
        case BigDataViewerSpec():
            where, inside = str(spec.path), spec.setup
        case _:
            where, inside = str(spec.path), ""
    return f"{where}:{inside}" if inside else where
