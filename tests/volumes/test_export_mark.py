"""Facts that exports leave in a folder of sections."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from napari_pytc.volumes.export_mark import MARK, WRITER, read_mark, space_of_series


def marked(folder: Path, **facts: Any) -> Path:
    (folder / MARK).write_text(json.dumps({"written_by": WRITER, **facts}), encoding="utf-8")
    return folder


def test_the_mark_of_an_export_is_read(tmp_path: Path) -> None:
    assert read_mark(marked(tmp_path, class_names=["a"]))["class_names"] == ["a"]


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"written_by": "another program", "voxel_size_nm": [1, 2, 3]}'])
def test_anything_else_of_that_name_is_no_mark(text: str, tmp_path: Path) -> None:
    (tmp_path / MARK).write_text(text, encoding="utf-8")
    assert read_mark(tmp_path) == {}
    assert not space_of_series(tmp_path, tmp_path / "0000.tif").space.known


def test_without_a_file_there_is_none(tmp_path: Path) -> None:
    assert read_mark(tmp_path) == {}


@pytest.mark.parametrize(
    ("origin", "first", "z"),
    [
        ([400, 8, 12], "0010.tif", 400),
        ([400, 8, 12], "0014.tif", 560),
        ([410, 8, 12], "0002.tif", 490),
        ([-80, 8, 12], "0000.tif", -80),
        ([400, 8, 12], "section.tif", 400),
    ],
    ids=["the first", "a later one", "between voxels", "before 0", "without a number"],
)
def test_a_series_lies_where_its_first_section_does(origin: list[float], first: str, z: float, tmp_path: Path) -> None:
    found = space_of_series(marked(tmp_path, voxel_size_nm=[40, 4, 4], origin_nm=origin), tmp_path / first)
    assert found.space.voxel_size_nm == (40, 4, 4)
    assert found.space.origin_nm == (z, 8, 12)
    assert found.space.is_placed


def test_an_origin_of_0_says_nothing(tmp_path: Path) -> None:
    folder = marked(tmp_path, voxel_size_nm=[40, 4, 4], origin_nm=[0, 0, 0])
    assert not space_of_series(folder, tmp_path / "0000.tif").space.is_placed
    assert space_of_series(folder, tmp_path / "0003.tif").space.origin_nm == (120, 0, 0), "a part of an export"


def test_without_an_origin_the_size_is_known(tmp_path: Path) -> None:
    found = space_of_series(marked(tmp_path, voxel_size_nm=[40, 4, 4]), tmp_path / "0000.tif").space
    assert found.known
    assert not found.is_placed
