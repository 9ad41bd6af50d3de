"""Options of the commands that take labels of other programs: where they lie, and what their values mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from napari_pytc.cli.options import read_triple

if TYPE_CHECKING:
    from napari_pytc.annotations.label_transform import LabelTransform

Offset = Annotated[
    str | None,
    typer.Option(
        "--offset",
        metavar="Z,Y,X",
        help="Voxel of the image where the labels' first voxel lies; by default what the files' origins say.",
    ),
]
Resample = Annotated[
    bool,
    typer.Option("--resample", help="Resample labels (to the nearest) whose voxels are of another size; else refused."),
]
LabelVoxelSize = Annotated[
    str | None,
    typer.Option("--voxel-size", metavar="Z,Y,X", help="Voxel size of the labels in nm, where their file is wrong."),
]
Map = Annotated[
    str | None,
    typer.Option(
        "--map",
        metavar="VALUE=CLASS,...",
        help="What values mean: a class's name or number (0: not annotated), an object's id, or background; for "
        "example 0=background,255=mito.",
    ),
]
IgnoreValue = Annotated[
    list[int] | None,
    typer.Option(
        "--ignore-value", metavar="VALUE", help="Nothing is known where the labels have this; may be repeated."
    ),
]
Dense = Annotated[
    bool,
    typer.Option("--dense", help="0 means that no object is there (of classes: background), not that nobody looked."),
]
Components = Annotated[
    bool, typer.Option("--components", help="Each connected part of an id is an object of its own, as in binary masks.")
]
KeepIds = Annotated[
    bool, typer.Option("--keep-ids", help="Ids that the project has already name the same objects; else all are new.")
]


def read_transform(
    offset: str | None = None,
    resample: bool = False,
    mapped: str | None = None,
    ignored: list[int] | None = None,
    dense: bool = False,
    components: bool = False,
    keep_ids: bool = False,
) -> LabelTransform:
    """The transform that these options describe."""
    where = None if offset is None else read_triple(offset, "An offset")
    from napari_pytc.annotations.label_transform import LabelTransform

    return LabelTransform(
        offset=where,
        resample=resample,
        values=LabelTransform.parse_values(mapped),
        ignored=tuple(ignored or ()),
        dense=dense,
        components=components,
        keep_ids=keep_ids,
    )
