"""Preview of an export: formats, the file that it would write, and obstacles."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_pytc.errors import PytcError
from napari_pytc.exporting.formats import FORMATS, ExportFormat, format_of_name
from napari_pytc.exporting.options import What
from napari_pytc.skeletons.units import FILE, FOLDER, SUFFIX
from napari_pytc.ui.tasks.background import readable
from napari_pytc.ui.widgets.flags import EXPORT, in_window
from napari_pytc.ui.widgets.labels import size

if TYPE_CHECKING:
    from napari_pytc.session.session import Session

TABLE = ExportFormat("csv", "CSV", (".csv",), "", (("none", "none"),), "A table that every spreadsheet reads.")
SWC = ExportFormat(
    FILE, "SWC", (SUFFIX,), "", (("none", "none"),),
    "One file of all skeletons; comments say the segments. Programs that ignore them see one skeleton of many roots.",
    frozenset({"unit"}),
)  # fmt: skip
SWC_SERIES = ExportFormat(
    FOLDER, "SWC series", (), "", (("none", "none"),),
    "A folder with a file for each segment, named by its id: neuTube, SNT, navis, Blender.", frozenset({"unit"}),
)  # fmt: skip
_ALL = (*FORMATS, TABLE, SWC)


def formats_for(what: What) -> tuple[ExportFormat, ...]:
    """The kinds of file that it can be written to."""
    of_segments: dict[What, tuple[ExportFormat, ...]] = {"table": (TABLE,), "skeletons": (SWC, SWC_SERIES)}
    return of_segments.get(what, FORMATS)


def format_of(name: str) -> ExportFormat | None:
    """The format of a file's name by its suffix; None where it has no suffix of ours."""
    return next((one for one in (TABLE, SWC) if one.fits(name)), None) or format_of_name(name)


def with_suffix(path: str, wanted: ExportFormat) -> str:
    """A path with the suffix of a format in place of the one it has; none where the format is a plain folder."""
    name = path
    for suffix in sorted((s for f in _ALL for s in f.suffixes), key=len, reverse=True):
        if name.lower().endswith(suffix):
            name = name[: -len(suffix)]
            break
    return name + wanted.suffix if name and not name.endswith(("/", "\\")) else path


@dataclass(frozen=True)
class ExportRequest:
    """An export as the panel describes it.

    Parameters
    ----------
    prediction : str, optional
        Its id; None where a segmentation is meant, whose id is then in `segmentation`, or the image.
    """

    what: What
    path: Path
    prediction: str | None
    segmentation: str | None = None
    options: dict[str, Any] = field(default_factory=dict)

    def arguments(self) -> dict[str, Any]:
        """All that is not always given, as `Jobs.export_job` takes it."""
        return self.options if self.segmentation is None else {"segmentation": self.segmentation, **self.options}


@dataclass(frozen=True)
class ExportForecast:
    """Description of the file that would be written, and the obstacle, if any.

    Parameters
    ----------
    text : str
        Shape, type, size, voxel size and format.
    exists : bool
        Whether there is something already where it would be written.
    reason : str
        Reason why it cannot be written; empty if it can.
    """

    text: str
    exists: bool
    reason: str


def forecast(session: Session, request: ExportRequest) -> ExportForecast:
    """Preview an export; reads from the disk, so not in the window's thread."""
    path = request.path
    exists = path.exists()
    try:
        preview = session.jobs.preview_export(request.what, path, request.prediction, **request.arguments())
    except PytcError as error:
        return ExportForecast("", exists, _lower(in_window(str(error), EXPORT)))
    if request.what == "table":
        lines = [f"{preview.format}, {preview.shape[0]} rows, about {size(preview.n_bytes)}"]
    elif request.what == "skeletons":
        lines = [f"{preview.format}, {preview.shape[0]} skeletons, about {size(preview.n_bytes)}"]
    else:
        levels = f", {preview.n_levels} levels" if preview.n_levels > 1 else ""
        lines = [
            f"{preview.format}, {' × '.join(str(n) for n in preview.shape)} of {preview.dtype}{levels}",
            f"{size(preview.n_bytes)} before compression",
        ]
    if preview.voxel_size_nm is None:
        lines.append("voxel size not known")
    else:
        lines.append("voxels of " + " × ".join(f"{n:g}" for n in preview.voxel_size_nm) + " nm (z, y, x)")
    lines += [f"Note: {note}" for note in preview.notes]
    if not path.parent.is_dir():
        return ExportForecast("\n".join(lines), exists, f"there is no folder {path.parent}.")
    try:
        free = shutil.disk_usage(path.parent).free
    except OSError as error:
        return ExportForecast("\n".join(lines), exists, _lower(readable(error).message))
    lines.append(f"{size(free)} free on the disk" + _doubt(preview.n_bytes, free))
    return ExportForecast("\n".join(lines), exists, "")


def _doubt(n_bytes: int, free: int) -> str:
    return ": it fits only if it compresses well" if n_bytes > free else ""


def _lower(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]
