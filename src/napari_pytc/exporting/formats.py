"""The table of export formats: names, suffixes, options and exporters."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from napari_pytc.errors import InvalidInput
from napari_pytc.exporting.base import Exporter
from napari_pytc.settings import resolve

_TIFF = (("zlib (automatic)", "auto"), ("zstd", "zstd"), ("none", "none"))
_ZLIB = (("zlib (automatic)", "auto"), ("none", "none"))
_ONE = (("automatic", "auto"),)


@dataclass(frozen=True)
class ExportFormat:
    """A kind of file.

    Parameters
    ----------
    key : str
        Name on the command line.
    title : str
        Name for people.
    suffixes : tuple of str
        Ends of the names of such files, the usual one first; none where it is a plain folder.
    exporter : str
        ``module:class``, so that describing an export does not load the libraries of all formats.
    compressions : tuple of (str, str)
        Choices: a text for the user, and the value of `ExportOptions.compression`.
    options : frozenset of str
        The other options that the format uses: dataset, layout, pyramid, ome.
    tip : str
        What reads it.
    """

    key: str
    title: str
    suffixes: tuple[str, ...]
    exporter: str
    compressions: tuple[tuple[str, str], ...]
    tip: str
    options: frozenset[str] = frozenset()

    @property
    def suffix(self) -> str:
        """The usual end of a name; empty for a plain folder."""
        return self.suffixes[0] if self.suffixes else ""

    def fits(self, name: str) -> bool:
        """Whether a file's name ends as those of this format do."""
        return name.lower().endswith(self.suffixes)


_MODULE = "napari_pytc.exporting"
FORMATS = (
    ExportFormat(
        "ome-tif", "OME-TIFF", (".ome.tif", ".ome.tiff"), f"{_MODULE}.tiff:OmeTiffExporter", _TIFF,
        "A TIFF that knows its voxel size: Fiji, QuPath, napari.",
    ),
    ExportFormat(
        "tif", "TIFF", (".tif", ".tiff"), f"{_MODULE}.tiff:TiffExporter", _TIFF,
        "A stack of sections, read by nearly everything.",
    ),
    ExportFormat(
        "h5", "HDF5", (".h5", ".hdf5", ".hdf"), f"{_MODULE}.hdf5:Hdf5Exporter", _ZLIB,
        "A dataset in a container: PyTorch Connectomics, ilastik, CREMI.", frozenset({"dataset", "layout"}),
    ),
    ExportFormat(
        "zarr", "OME-Zarr", (".zarr",), f"{_MODULE}.zarr:ZarrExporter", (("zstd (automatic)", "auto"),),
        "A folder of chunks, for volumes of any size: napari, Fiji, WEBKNOSSOS, Neuroglancer.",
        frozenset({"pyramid", "ome"}),
    ),
    ExportFormat(
        "precomputed", "Neuroglancer", (".precomputed",),
        f"{_MODULE}.precomputed:PrecomputedExporter", _ONE,
        "A folder of chunks for Neuroglancer, CloudVolume and WEBKNOSSOS.", frozenset({"pyramid"}),
    ),
    ExportFormat(
        "png-series", "PNG series", (), f"{_MODULE}.series:PngSeriesExporter", _ONE,
        "A folder of numbered sections, one PNG each: TrakEM2, VAST, Ilastik and image viewers.",
    ),
    ExportFormat(
        "tif-series", "TIFF series", (), f"{_MODULE}.series:TiffSeriesExporter", _TIFF,
        "A folder of numbered sections, one TIFF each: TrakEM2, VAST, Amira.",
    ),
    ExportFormat(
        "nifti", "NIfTI", (".nii.gz", ".nii"), f"{_MODULE}.nifti:NiftiExporter", _ONE,
        "One file with its place in space: ITK-SNAP, 3D Slicer.",
    ),
    ExportFormat(
        "mrc", "MRC", (".mrc",), f"{_MODULE}.mrc:MrcExporter", (("none", "auto"),),
        "A stack of cryo-EM and tomography: IMOD, ChimeraX.",
    ),
)  # fmt: skip
"""All formats, in the order in which they are offered; of two with one suffix the longer comes first."""
BY_KEY = {found.key: found for found in FORMATS}
"""The formats by their names on the command line."""
CREMI_DATASETS = {"image": "volumes/raw", "segments": "volumes/labels/neuron_ids", "classes": "volumes/labels/classes"}
"""Names of datasets in HDF5 files of the CREMI challenge."""
SUFFIXES = tuple(suffix for found in FORMATS for suffix in found.suffixes)
"""All ends of names that say a format."""


def format_of_name(name: str) -> ExportFormat | None:
    """The format of a file's name by its suffix; None where no format has it."""
    return next((found for found in FORMATS if found.fits(name)), None)


def format_for(path: Path, key: str | None = None) -> ExportFormat:
    """The format of an export to a path.

    Parameters
    ----------
    key : str, optional
        The format that was asked for; by default the suffix of the path says it.

    Raises
    ------
    InvalidInput
        Where no format has the suffix, there is no such format, or the two differ.
    """
    by_name = format_of_name(path.name)
    if key is None:
        if by_name is None:
            raise InvalidInput(
                f"The name of an export must end in a known suffix, got {path.name!r}.",
                f"Known suffixes: {', '.join(SUFFIXES)}; a folder of sections is asked for with --format png-series or "
                "tif-series.",
            )
        return by_name
    if key not in BY_KEY:
        raise InvalidInput(f"There is no export format {key!r}.", f"Formats: {', '.join(BY_KEY)}.")
    wanted = BY_KEY[key]
    if by_name is not None and by_name is not wanted:
        end = next(suffix for suffix in by_name.suffixes if path.name.lower().endswith(suffix))
        better = f"{path.name[: -len(end)] or 'volume'}{wanted.suffix}"
        raise InvalidInput(
            f"{path.name} is named like {by_name.title}, but {wanted.title} is asked for.",
            f"Give it another name, such as {better}.",
        )
    return wanted


def exporter_for(path: Path, key: str | None = None) -> Exporter:
    """The exporter for a file of this name; parameters and errors as in `format_for`."""
    made: Exporter = resolve(format_for(path, key).exporter)()
    return made
