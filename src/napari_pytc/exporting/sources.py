"""The arrays of exports: an image, a prediction, or segments, cropped and converted as the job says."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from napari_pytc.errors import InvalidInput, VolumeError
from napari_pytc.exporting.base import ArrayReader
from napari_pytc.exporting.jobs import ExportJob
from napari_pytc.exporting.views import Converted, Crop, ImageArray, MostProbable, OriginalSegments
from napari_pytc.labels.original_ids import OriginalIds
from napari_pytc.labels.segment_colours import colour_of
from napari_pytc.labels.segments_view import SegmentsView
from napari_pytc.volumes.channels import ClassRole, class_numbers, other_classes_note, roles_of
from napari_pytc.volumes.image import open_image_spec
from napari_pytc.volumes.opening import local_path
from napari_pytc.volumes.spec import ChunkedSpec
from napari_pytc.volumes.zarr_output import open_ome_zarr

MOST_COLOURS = 1024
"""Colours of segments are written where there are at most so many of them."""


def _no_colours() -> dict[int, str]:
    return {}


@dataclass(frozen=True)
class ExportSource:
    """An array to export.

    Parameters
    ----------
    class_names : tuple of str
        Names of classes 1, 2, ...
    colours : callable
        Colours of labels as #rrggbb; may read the tables of the segments.
    bytes_read_per_byte : int
        How many bytes are read to make one of the array.
    notes : tuple of str
        What was converted.
    """

    array: ArrayReader
    class_names: tuple[str, ...] = ()
    colours: Callable[[], dict[int, str]] = field(default=_no_colours)
    bytes_read_per_byte: int = 1
    notes: tuple[str, ...] = ()


def open_source(job: ExportJob) -> ExportSource:
    """Open what a job exports.

    Raises
    ------
    PytcError
        If there is no such image, prediction or segmentation, or it cannot be written as requested.
    """
    source = {"image": _image, "segments": _segments}.get(job.what, _prediction)(job)
    wanted = job.dtype or ("uint64" if job.what == "segments" and job.layout == "cremi" else None)
    if wanted is None or np.dtype(wanted) == source.array.dtype:
        return source
    is_probability = job.what == "probabilities" and wanted == "float32"
    note = f"Voxels are {source.array.dtype.name} and were written as {wanted}"
    note += ", 0 to 1." if is_probability else "."
    return ExportSource(
        Converted(source.array, np.dtype(wanted), 255.0 if is_probability else 1.0),
        source.class_names,
        source.colours,
        source.bytes_read_per_byte,
        (*source.notes, note),
    )


def open_table_source(job: ExportJob) -> SegmentsView:
    """Open the segments that a table is made of; errors as in `open_source`."""
    if job.segmentation is None:
        raise InvalidInput("To export segments, say of which segmentation.", "Name its folder.")
    _check_apart(job, job.segmentation, "segmentation")
    return SegmentsView.open(job.segmentation)


def exported_ids(job: ExportJob, view: SegmentsView) -> tuple[OriginalIds | None, tuple[str, ...]]:
    """The table of the ids that are written instead of those shown, and a note on them; none for the ids as shown."""
    ids = view.original_ids if job.ids == "original" else None
    if ids is None:
        return None, ()
    note = "Ids are those of the file that the segmentation was imported from"
    n_new = int(np.count_nonzero(ids.is_new(view.segment_ids())))
    return ids, (note + (f"; {n_new} segments that edits made have ids from {ids.first_new} on." if n_new else "."),)


def _cropped(job: ExportJob, array: ArrayReader) -> ArrayReader:
    return array if job.box is None else Crop(array, job.box)


def _image(job: ExportJob) -> ExportSource:
    if job.image is None:
        raise InvalidInput("To export an image, say which.", "Give its spec.")
    place = local_path(job.image.url) if isinstance(job.image, ChunkedSpec) else job.image.path
    if place is not None:
        _check_apart(job, place, "image")
    image = open_image_spec(job.image)
    return ExportSource(_cropped(job, ImageArray(image, job.space or image.space)))


def _segments(job: ExportJob) -> ExportSource:
    view = open_table_source(job)
    ids, notes = exported_ids(job, view)

    def colours() -> dict[int, str]:
        segments = view.segment_ids()
        if len(segments) > MOST_COLOURS:
            return {}
        names = segments if ids is None else ids.lookup(segments)
        return {int(name): colour_of(int(segment)) for name, segment in zip(names, segments, strict=True)}

    if ids is None:
        return ExportSource(_cropped(job, view), colours=colours)
    return ExportSource(OriginalSegments(_cropped(job, view), ids), colours=colours, notes=notes)


def _prediction(job: ExportJob) -> ExportSource:
    if job.prediction is None:
        raise InvalidInput(f"To export {job.what}, say of which prediction.", "Name its folder.")
    _check_apart(job, job.prediction, "prediction")
    prediction = open_ome_zarr(job.prediction)
    if not prediction.channels:
        raise VolumeError(
            f"A prediction has axes c, z, y, x, but {job.prediction} has no channels.",
            "Choose a Zarr that predict wrote.",
        )
    if job.what == "probabilities":
        return ExportSource(_cropped(job, prediction), tuple(prediction.channels))
    roles = roles_of(prediction.attributes, prediction.channels)
    is_class = [isinstance(role, ClassRole) for role in roles]
    others = [role.title for role, is_one in zip(roles, is_class, strict=True) if not is_one]
    if others and sum(is_class) < 2:  # a single one is the foreground of objects
        raise InvalidInput(
            f"{job.prediction.name} predicts {_role_titles(others)}, so it has no classes to export.",
            "Export its probabilities, or segment it and export the segments.",
        )
    own = [name for name, is_one in zip(prediction.channels, is_class, strict=True) if is_one]
    of_classes, names = class_numbers(own, job.class_names)
    left = iter(of_classes)
    classes = MostProbable(_cropped(job, prediction), tuple(next(left) if is_one else 0 for is_one in is_class))
    subject = f"The prediction {job.prediction.stem}"
    note = other_classes_note(subject, own, job.class_names) if job.class_names else None
    return ExportSource(
        classes,
        names,
        lambda: _class_colours(names, job.class_colours),
        # A block of classes is made from one of probabilities, which is this many times as large.
        bytes_read_per_byte=len(prediction.channels),
        notes=() if note is None else (note,),
    )


def _class_colours(names: Sequence[str], colours: Mapping[str, str]) -> dict[int, str]:
    """The project's colours by name; a class that the project does not have gets one of its number."""
    return {k: colours.get(name, colour_of(k)) for k, name in enumerate(names, start=1)}


def _check_apart(job: ExportJob, source: Path, what: str) -> None:
    ours, theirs = source.resolve(), job.output.resolve()
    if ours == theirs or ours in theirs.parents or theirs in ours.parents:
        article = "An" if what[0] in "aeiou" else "A"
        raise InvalidInput(
            f"{article} {what} cannot be exported over itself, got {job.output}.",
            "Choose another place for the export.",
        )


def _role_titles(titles: Sequence[str]) -> str:
    n_affinities = sum(title.startswith("affinity") for title in titles)
    others = [title for title in titles if not title.startswith("affinity")]
    return " and ".join([*([f"{n_affinities} affinities"] if n_affinities else []), *others])
