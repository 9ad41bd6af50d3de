"""What an export would write, found out before it is started."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from napari_pytc.errors import PytcError
from napari_pytc.ui.background import readable
from napari_pytc.ui.parts import size

if TYPE_CHECKING:
    from napari_pytc.session.session import Session

What = Literal["classes", "probabilities", "segments", "table"]


@dataclass(frozen=True)
class Format:
    """A kind of file.

    Parameters
    ----------
    compressions : tuple of (str, str)
        What can be chosen: a text for people, and the value of `ExportOptions.compression`.
    """

    name: str
    suffix: str
    other_suffixes: tuple[str, ...]
    compressions: tuple[tuple[str, str], ...]
    tip: str

    def fits(self, name: str) -> bool:
        """Whether a file's name says that it is of this kind."""
        return name.lower().endswith((self.suffix, *self.other_suffixes))


_TIFF = (("zlib (automatic)", "auto"), ("zstd", "zstd"), ("none", "none"))
FORMATS = (
    Format("OME-TIFF", ".ome.tif", (".ome.tiff",), _TIFF, "A TIFF that knows its voxel size: Fiji, QuPath, napari."),
    Format("TIFF", ".tif", (".tiff",), _TIFF, "A stack of sections, read by nearly everything."),
    Format(
        "HDF5", ".h5", (".hdf5", ".hdf"), (("zlib (automatic)", "auto"), ("none", "none")),
        "A dataset in a container: PyTorch Connectomics, ilastik, CREMI.",
    ),
    Format("OME-Zarr", ".zarr", (), (("zstd (automatic)", "auto"),), "A folder of chunks, for volumes of any size."),
)  # fmt: skip
TABLE = Format("CSV", ".csv", (), (("none", "none"),), "A table that every spreadsheet reads.")


def formats_for(what: What) -> tuple[Format, ...]:
    """The kinds of file that it can be written to."""
    return (TABLE,) if what == "table" else FORMATS


def format_of(name: str) -> Format | None:
    """The format that a file's name asks for; None where it has no suffix of ours."""
    return next((found for found in (*FORMATS, TABLE) if found.fits(name)), None)


def with_suffix(path: str, wanted: Format) -> str:
    """A path with the suffix of a format in place of the one it has."""
    name = path
    for suffix in sorted((s for f in (*FORMATS, TABLE) for s in (f.suffix, *f.other_suffixes)), key=len, reverse=True):
        if name.lower().endswith(suffix):
            name = name[: -len(suffix)]
            break
    return name + wanted.suffix if name and not name.endswith(("/", "\\")) else path


@dataclass(frozen=True)
class ExportRequest:
    """What the panel is set to.

    Parameters
    ----------
    prediction : str, optional
        Its id; None where a segmentation is meant, whose id is then in `segmentation`.
    """

    what: What
    path: Path
    prediction: str | None
    segmentation: str | None = None
    options: dict[str, Any] = field(default_factory=dict)

    def arguments(self) -> dict[str, Any]:
        """All that is not always given, as `Session.export_job` takes it."""
        return self.options if self.segmentation is None else {"segmentation": self.segmentation, **self.options}


@dataclass(frozen=True)
class Outlook:
    """What would be written, and what is in the way.

    Parameters
    ----------
    text : str
        Shape, type, size, voxel size and format.
    exists : bool
        Whether there is something already where it would be written.
    reason : str
        Why it cannot be written; empty if it can.
    """

    text: str
    exists: bool
    reason: str


def look_ahead(session: Session, request: ExportRequest) -> Outlook:
    """Find out what an export would write; asks the disk, so not in the window's thread."""
    path = request.path
    exists = path.exists()
    try:
        preview = session.preview_export(request.what, path, request.prediction, **request.arguments())
    except PytcError as error:
        return Outlook("", exists, _lower(error.message))
    if request.what == "table":
        lines = [f"{preview.format}, {preview.shape[0]} rows, about {size(preview.n_bytes)}"]
    else:
        lines = [
            f"{preview.format}, {' × '.join(str(n) for n in preview.shape)} of {preview.dtype}",
            f"{size(preview.n_bytes)} before compression",
        ]
    if preview.voxel_size_nm is None:
        lines.append("voxel size not known")
    else:
        lines.append("voxels of " + " × ".join(f"{n:g}" for n in preview.voxel_size_nm) + " nm (z, y, x)")
    if not path.parent.is_dir():
        return Outlook("\n".join(lines), exists, f"there is no folder {path.parent}.")
    try:
        free = shutil.disk_usage(path.parent).free
    except OSError as error:
        return Outlook("\n".join(lines), exists, _lower(readable(error).message))
    lines.append(f"{size(free)} free on the disk" + _doubt(preview.n_bytes, free))
    return Outlook("\n".join(lines), exists, "")


def _doubt(n_bytes: int, free: int) -> str:
    return ": it fits only if it compresses well" if n_bytes > free else ""


def _lower(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]
