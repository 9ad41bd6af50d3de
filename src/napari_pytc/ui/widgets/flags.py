"""Options of the command line in messages, named as the window's fields are."""

from __future__ import annotations

import re
from collections.abc import Mapping

from napari_pytc.errors import PytcError
from napari_pytc.volumes.spec import ReadOptions

READING = {
    f"--{name.removesuffix('_nm').replace('_', '-')}": field.title or name
    for name, field in ReadOptions.model_fields.items()
}
"""Titles of the fields that say how to read a file, by their options on the command line."""

LABELS = {
    **READING,
    "--offset": "Begins at voxel",
    "--map": "Map values",
    "--ignore-value": "Ignore values",
    "--channel": "Channel",
    "--resample": "Resample",
    "--components": "Each connected part is an object",
    "--keep-ids": "Ids that the project has name the same objects",
}
"""Titles in the dialog that imports labels."""

SEGMENTATION = {
    **READING,
    "--boundaries": "Boundaries",
    "--image-channel": "Ridges of channel",
    "--gap": "Gap",
    "--channel": "Ids in channel",
    "--offset": "Begins at",
    "--ignore-value": "No ids",
    "--map": "Map values",
    "--resample": "Resample",
}
"""Titles in the dialog that imports a segmentation."""

EXPORT = {
    "--channel": "Channels",
    "--dtype": "Type",
    "--format": "Format",
    "--layout": "Layout",
    "--overwrite": "Replace what is there",
    "--unit": "Unit",
}
"""Titles in the Export panel."""

APPLY = {
    **READING,
    "--include-results": "Also results of earlier runs",
    "--out": "Folder",
    "--overwrite": "Replace files of other work",
    "--sections": "A folder of images is one volume of sections",
}
"""Titles in the dialog that applies a model to other files."""

OF_JOBS = {"apply": APPLY, "export": EXPORT, "import_segmentation": SEGMENTATION}
"""Titles where a kind of job is described; of the others `READING` is all that their messages name."""

_FLAG = re.compile(
    r"(?P<flag>--[a-z][a-z-]*[a-z])"
    # What may be a value: a choice, letters of axes, a number, or several values with = or commas between.
    r"(?: (?P<value>blank|note|cremi|[a-z]+-series|[tczyxs]{2,6}|-?\d+|\w+(?:[=,]\w+)+)(?![\w=]))?"
)


def in_window(text: str, titles: Mapping[str, str] = READING) -> str:
    """A message in which options of the command line are called as the window's fields.

    Parameters
    ----------
    titles : mapping of str to str
        Title of the field of each option; others stay as they are.

    Examples
    --------
    >>> in_window("Give a time point from 0 to 4 with --time.")
    'Give a time point from 0 to 4 with “Time point”.'
    >>> in_window("If they are sections: --axes zyx.")
    'If they are sections: “Axes: zyx”.'
    """

    def name(found: re.Match[str]) -> str:
        title, value = titles.get(found["flag"]), found["value"]
        if title is None:
            return found[0]
        return f"“{title}: {value}”" if value else f"“{title}”"

    return _FLAG.sub(name, text)


def error_in_window(error: PytcError, titles: Mapping[str, str] = READING) -> PytcError:
    """An error whose message and hint are as `in_window` gives them."""
    return type(error)(in_window(error.message, titles), in_window(error.hint, titles))
