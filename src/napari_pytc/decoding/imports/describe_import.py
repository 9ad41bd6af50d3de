"""Description of the import of a segmentation of another program."""

from __future__ import annotations

from pathlib import Path

from napari_pytc.annotations.label_transform import LabelTransform
from napari_pytc.decoding.imports.boundary_map import BoundaryMap, find_boundary_map
from napari_pytc.decoding.jobs import ImportSegmentationJob
from napari_pytc.errors import InvalidInput
from napari_pytc.geometry import VoxelSpace
from napari_pytc.volumes.fingerprint import fingerprint
from napari_pytc.volumes.image import channel_numbers, channel_titles
from napari_pytc.volumes.opening import open_labels
from napari_pytc.volumes.source import ImageSource
from napari_pytc.volumes.spec import ReadOptions

_RIDGES = (
    "Contacts are scored by dark ridges in the image, such as membranes in electron microscopy; a boundary map "
    "(--boundaries) takes their place."
)


def describe_import(
    labels: str | Path,
    image: ImageSource,
    space: VoxelSpace,
    output: Path,
    options: ReadOptions | None = None,
    transform: LabelTransform | None = None,
    boundaries: str | Path | None = None,
    gap_um: float = 0.0,
    workers: int = 1,
    image_channel: int | None = None,
) -> ImportSegmentationJob:
    """Describe the import of labels as a segmentation; all that can be known before reading them is checked here.

    Parameters
    ----------
    labels : str or Path
        ``PATH[:DATASET]``: an id for each object, 0 for none.
    image : ImageSource
        The image that they are of.
    space : VoxelSpace
        Its voxel size and origin.
    output : Path
        The segmentation's folder.
    options : ReadOptions, optional
        How to read the labels.
    transform : LabelTransform, optional
        Where they lie, which values are no ids, and which ids to take for others.
    boundaries : str or Path, optional
        ``PATH[:DATASET]`` of a boundary map, or a prediction, that scores the contacts; the image's dark ridges by
        default.
    gap_um : float
        Segments that lie at most so far apart touch.
    image_channel : int, optional
        The channel, by its number in the file, whose dark ridges score contacts; the first of the image by default.

    Raises
    ------
    InvalidInput
        If the labels do not lie within the image, or are no whole numbers.
    VolumeError
        If a file cannot be opened.
    """
    transform = transform or LabelTransform()
    if transform.dense or transform.components or transform.keep_ids:
        raise InvalidInput(
            "In a segmentation 0 is no object, separate parts of an id are supervoxels, and ids are those of the file.",
            "Leave out dense, components and keep_ids, which are for objects to learn from.",
        )
    transform.mapped_ids()
    source = open_labels(labels, options)
    placed = transform.place(source, image.shape, space)
    found: BoundaryMap | None = None
    channel, of_channel = _ridge_channel(image, image_channel, boundaries is not None)
    notes = [*source.notes, *placed.placement.notes]
    if boundaries is not None:
        found = find_boundary_map(boundaries, image.shape, space, placed.box)
        notes += found.notes
    else:
        notes += [_RIDGES, *of_channel]
    return ImportSegmentationJob(
        labels=source.spec,
        labels_digest=fingerprint(source).digest,
        transform=transform,
        image=image.spec,
        digest=fingerprint(image).digest,
        space=space,
        boundaries=found,
        image_channel=channel,
        gap_um=gap_um,
        output=output,
        workers=workers,
        notes=tuple(notes),
    )


def _ridge_channel(image: ImageSource, number: int | None, has_map: bool) -> tuple[int, list[str]]:
    """The place among the image's channels of the one with the ridges, and a note where it was not said."""
    numbers = channel_numbers(image)
    if number is not None:
        if has_map:
            raise InvalidInput(
                "A boundary map scores the contacts, so no channel of the image does.",
                "Leave out --boundaries or --image-channel.",
            )
        if number not in numbers:
            listed = ", ".join("grey" if n is None else str(n) for n in numbers)
            raise InvalidInput(
                f"The image is used with the channels {listed}, so there is no channel {number} of it.",
                "Give one of these with --image-channel.",
            )
        return numbers.index(number), []
    if image.n_channels == 1:
        return 0, []
    title = channel_titles(image)[0]
    return 0, [
        f"Of {image.n_channels} channels the first, {title}, is looked at for ridges; --image-channel names another."
    ]
