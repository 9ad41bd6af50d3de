"""Options of the commands that take labels of other programs."""

from __future__ import annotations

import pytest

from napari_pytc.annotations.label_transform import LabelTransform
from napari_pytc.cli.label_options import read_transform
from napari_pytc.errors import InvalidInput


def test_without_options_labels_are_taken_as_they_are() -> None:
    assert read_transform() == LabelTransform()


def test_each_option_is_a_part_of_the_transform() -> None:
    found = read_transform("0,-12,7", True, "0=background,255=mito", [254, 253], True, True, True)
    assert found == LabelTransform(
        offset=(0, -12, 7),
        resample=True,
        values={0: "background", 255: "mito"},
        ignored=(254, 253),
        dense=True,
        components=True,
        keep_ids=True,
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"offset": "1,2"}, "An offset is written Z,Y,X in voxels"),
        ({"offset": "a,b,c"}, "An offset is written Z,Y,X in voxels"),
        ({"mapped": "mito"}, "VALUE=CLASS"),
        ({"mapped": "1=a,1=b"}, "twice"),
    ],
)
def test_what_cannot_be_read_is_told(options: dict[str, str], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        read_transform(**options)  # type: ignore[arg-type]
