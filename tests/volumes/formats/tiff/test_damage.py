"""TIFF files whose tags and descriptions say what cannot be: one sentence, little memory, no wait."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_pytc.errors import VolumeError
from napari_pytc.geometry import Box
from napari_pytc.volumes.inspection import describe_volume
from napari_pytc.volumes.opening import open_volume
from tests.volumes.files import image

STACK = image(shape=(3, 32, 48))
_WIDTH, _LENGTH, _BITS, _STRIPS, _ROWS, _COUNTS = 256, 257, 258, 273, 278, 279


def _spoilt(path: Path, code: int, value: int, kind: int | None = None) -> Path:
    """A compressed stack in which a tag of the first page has another value, and perhaps another type."""
    tifffile.imwrite(path, STACK, photometric="minisblack", compression="zlib", rowsperstrip=32)
    with tifffile.TiffFile(path) as file:
        tag = file.pages.first.tags[code]
    with open(path, "r+b") as file:
        file.seek(tag.valueoffset)
        file.write(value.to_bytes(tag.valuebytecount // tag.count, "little"))
        if kind is not None:
            file.seek(tag.offset + 2)
            file.write(kind.to_bytes(2, "little"))
    return path


def _said_of(path: Path) -> str:
    """The error of describing, opening and reading a file; empty where it can be read."""
    try:
        describe_volume(path)
        volume = open_volume(path)
        volume.read(Box.at((0, 0, 0), (1, 8, 8)))
        volume.read(Box.at(tuple(max(0, n - 2) for n in volume.shape), (1, 1, 1)))
    except VolumeError as error:
        return error.message
    return ""


@pytest.mark.parametrize(
    ("code", "value", "kind"),
    [
        (_WIDTH, 0, None),
        (_LENGTH, 0xFFFF, None),
        (_BITS, 7777, None),
        (_ROWS, 0, None),
        (_COUNTS, 0xFFFF, None),
        (_STRIPS, 0x7FFFFFFF, None),
        (_WIDTH, 48, 2),
        (_LENGTH, 32, 12),
        (_ROWS, 32, 255),
    ],
)
def test_tags_with_other_values_and_types_are_errors_of_the_file(
    code: int, value: int, kind: int | None, tmp_path: Path
) -> None:
    said = _said_of(_spoilt(tmp_path / "a.tif", code, value, kind))
    assert said == "" or "a.tif" in said


@pytest.mark.parametrize("text", ["{", '{"shape": [3, 32, x]}', '{"shape": [0, 0]}', '{"shape": [1000000000, 32, 48]}'])
def test_descriptions_that_are_damaged(text: str, tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for section in STACK:
            file.write(section, description=text, metadata=None, photometric="minisblack", contiguous=False)
    said = _said_of(tmp_path / "a.tif")
    assert "a.tif" in said or open_volume(tmp_path / "a.tif").shape == STACK.shape


@pytest.mark.parametrize("kind", ["ome", "imagej"])
def test_a_description_of_a_milliard_sections_is_refused(kind: str, tmp_path: Path) -> None:
    ome = (
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0"><Pixels ID="P:0" '
        'DimensionOrder="XYZCT" Type="uint8" SizeX="48" SizeY="32" SizeZ="1000000000" SizeC="1" SizeT="1">'
        '<TiffData IFD="0" PlaneCount="1"/></Pixels></Image></OME>'
    )
    text = {"ome": ome, "imagej": "ImageJ=1.53\nimages=1000000000\nslices=1000000000\n"}[kind]
    tifffile.imwrite(
        tmp_path / "a.tif", STACK[0], description=text, metadata=None, compression="zlib", photometric="minisblack"
    )
    with pytest.raises(VolumeError, match="names 1000000000 sections, and the file has 1"):
        open_volume(tmp_path / "a.tif")


@pytest.mark.parametrize("has_tags", [True, False])
def test_pages_that_point_at_each_other_end(has_tags: bool, tmp_path: Path) -> None:
    tags = [(256, 4, 1, 16), (257, 4, 1, 16), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (273, 4, 1, 8)]
    tags += [(277, 3, 1, 1), (278, 4, 1, 16), (279, 4, 1, 256)]

    def directory(entries: list[tuple[int, ...]], following: int) -> bytes:
        packed = b"".join(struct.pack("<HHII", *entry) for entry in entries)
        return struct.pack("<H", len(entries)) + packed + struct.pack("<I", following)

    first = 8 + 256
    second = first + len(directory(tags, 0))
    content = b"II" + struct.pack("<HI", 42, first) + bytes(256)
    content += directory(tags, second) + directory(tags if has_tags else [], first)
    (tmp_path / "a.tif").write_bytes(content)
    with pytest.raises(VolumeError, match=r"a\.tif"):
        open_volume(tmp_path / "a.tif")


def test_headers_of_npy_that_are_no_header(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", STACK)
    content = (tmp_path / "a.npy").read_bytes()
    for old, new in (
        (b"(3, 32, 48)", b"(3, 32, -8)"),
        (b"'descr'", b"'de(cr'"),
        (b"False", b"Fal(e"),
        (b"|u1", b"|O1"),
    ):
        (tmp_path / "a.npy").write_bytes(content.replace(old, new))
        with pytest.raises(VolumeError, match=r"a\.npy"):
            open_volume(tmp_path / "a.npy")
