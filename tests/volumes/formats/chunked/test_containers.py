"""Arrays of chunked containers from their metadata, and metadata that cannot be understood."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from napari_pytc.errors import VolumeError
from napari_pytc.volumes.formats.chunked.array_choice import choose_array
from napari_pytc.volumes.formats.chunked.containers import array_at, find_arrays
from napari_pytc.volumes.formats.chunked.surroundings import group_attributes
from napari_pytc.volumes.kvstore import MetadataStore
from napari_pytc.volumes.opening import open_volume
from tests.volumes import files
from tests.volumes.files import SHAPE, image

ZARR2 = {"shape": [9, 37, 41], "chunks": [4, 16, 16], "dtype": "|u1", "zarr_format": 2}
ZARR3 = {"node_type": "array", "zarr_format": 3, "shape": [9, 37, 41], "data_type": "uint8"}
N5 = {"dimensions": [41, 37, 9], "blockSize": [16, 16, 4], "dataType": "uint8"}
SCALE = {"key": "8", "size": [41, 37, 9], "resolution": [4, 4, 40], "chunk_sizes": [[16, 16, 4]]}
INFO = {"data_type": "uint8", "num_channels": 1, "scales": [SCALE]}


def container(folder: Path, contents: dict[str, Any]) -> MetadataStore:
    """A folder with nothing but metadata, by the path of each file."""
    for name, content in contents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    return MetadataStore(str(folder))


def listed(store: MetadataStore) -> list[str]:
    return [array.path for array in find_arrays(store)]


@pytest.mark.parametrize(
    ("contents", "driver", "axes", "lengths"),
    [
        ({".zarray": ZARR2}, "zarr", "", (9, 37, 41)),
        ({".zarray": ZARR2, ".zattrs": {"_ARRAY_DIMENSIONS": ["z", "y", "x"]}}, "zarr", "zyx", (9, 37, 41)),
        ({"zarr.json": ZARR3}, "zarr3", "", (9, 37, 41)),
        ({"zarr.json": ZARR3 | {"dimension_names": ["Z", "Y", "X"]}}, "zarr3", "zyx", (9, 37, 41)),
        ({"zarr.json": ZARR3 | {"dimension_names": ["time", "channel", "y"]}}, "zarr3", "", (9, 37, 41)),
        ({"zarr.json": ZARR3 | {"dimension_names": ["depth", "y", "x"]}}, "zarr3", "", (9, 37, 41)),
        ({"zarr.json": ZARR3 | {"dimension_names": [None, "y", "x"]}}, "zarr3", "", (9, 37, 41)),
        ({"attributes.json": N5}, "n5", "xyz", (41, 37, 9)),
        ({"attributes.json": N5 | {"axes": ["x", "y", "z"]}}, "n5", "xyz", (41, 37, 9)),
        ({"attributes.json": N5 | {"dimensions": [41, 37]}}, "n5", "xy", (41, 37)),
    ],
)
def test_an_array_at_the_top(
    tmp_path: Path, contents: dict[str, Any], driver: str, axes: str, lengths: tuple[int, ...]
) -> None:
    array = array_at(container(tmp_path, contents), "")
    assert array is not None
    assert (array.driver, array.axes, array.lengths, array.dtype) == (driver, axes, lengths, "uint8")
    assert array.level == 0


def test_chunks_are_reported(tmp_path: Path) -> None:
    grid = {"chunk_grid": {"configuration": {"chunk_shape": [4, 16, 16]}}}
    store = container(tmp_path, {"a/.zarray": ZARR2, "b/zarr.json": ZARR3 | grid, "c/attributes.json": N5})
    assert [array.chunk_lengths for array in find_arrays(store)] == [(4, 16, 16), (4, 16, 16), (16, 16, 4)]


def test_arrays_are_found_in_groups_of_groups(tmp_path: Path) -> None:
    store = container(tmp_path, {"b/.zarray": ZARR2, "a/raw/.zarray": ZARR2, "a/deep/er/zarr.json": ZARR3})
    assert listed(store) == ["a/deep/er", "a/raw", "b"]


def test_the_search_ends_where_it_gets_too_deep(tmp_path: Path) -> None:
    store = container(tmp_path, {"a/b/c/d/e/f/g/.zarray": ZARR2, "near/.zarray": ZARR2})
    assert listed(store) == ["near"]


def test_nothing_is_found_where_there_is_no_container(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("hello")
    store = MetadataStore(str(tmp_path))
    assert listed(store) == []
    assert array_at(store, "raw") is None
    assert group_attributes(store, "") == {}


def test_levels_of_an_image_come_in_the_order_of_its_metadata(tmp_path: Path) -> None:
    attributes = {"multiscales": [{"datasets": [{"path": "s0"}, {"path": "s1"}], "axes": ["z", "y", "x"]}]}
    store = container(
        tmp_path, {".zattrs": attributes, "s1/.zarray": ZARR2, "s0/.zarray": ZARR2, "other/.zarray": ZARR2}
    )
    assert [(array.path, array.level, array.axes) for array in find_arrays(store)] == [
        ("s0", 0, "zyx"),
        ("s1", 1, "zyx"),
    ]


def test_a_level_that_the_metadata_names_but_nobody_wrote_is_left_out(tmp_path: Path) -> None:
    attributes = {"multiscales": [{"datasets": [{"path": "s0"}, {"path": "s1"}], "axes": ["z", "y", "x"]}]}
    store = container(tmp_path, {".zattrs": attributes, "s0/.zarray": ZARR2})
    assert listed(store) == ["s0"]


def test_scales_of_a_precomputed_volume(tmp_path: Path) -> None:
    coarse = SCALE | {"key": "16", "size": [20, 18, 9], "resolution": [8, 8, 40], "voxel_offset": [5, 0, 2]}
    fine, second = find_arrays(container(tmp_path, {"info": INFO | {"num_channels": 3, "scales": [SCALE, coarse]}}))
    assert (fine.axes, fine.lengths, fine.level) == ("xyzc", (41, 37, 9, 3), 0)
    assert (second.path, second.level) == ("16", 1)
    assert second.found.space.voxel_size_nm == (40, 8, 8)
    assert second.found.space.origin_nm == (80, 0, 40)


@pytest.mark.parametrize(
    "contents",
    [
        {"zarr.json": {"node_type": "array"}},
        {"zarr.json": ZARR3 | {"shape": None}},
        {"zarr.json": ZARR3 | {"chunk_grid": "regular"}},
        {"zarr.json": {"node_type": "group", "attributes": {"ome": {"multiscales": ["a"]}}}},
        {"zarr.json": {"node_type": "group", "attributes": {"ome": {"multiscales": [{"datasets": [{}]}]}}}},
        {".zarray": {"shape": 9}},
        {".zarray": ZARR2 | {"dtype": "|z9"}},
        {"attributes.json": N5 | {"dimensions": ["a", "b"]}},
        {"info": {"scales": [{"key": "8"}]}},
        {"info": {"scales": "none"}},
        {"info": INFO | {"scales": [SCALE | {"size": "large"}]}},
    ],
    ids=str,
)
def test_metadata_that_cannot_be_understood_is_reported_in_a_sentence(tmp_path: Path, contents: dict[str, Any]) -> None:
    container(tmp_path / "a.zarr", contents)
    with pytest.raises(VolumeError) as caught:
        open_volume(tmp_path / "a.zarr")
    assert "a.zarr" in caught.value.message
    assert caught.value.hint
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["zarr.json", ".zarray", "attributes.json", "info"])
@pytest.mark.parametrize("text", ["{", "not json", '{"shape": [1,'])
def test_metadata_that_is_cut_off_is_named(tmp_path: Path, name: str, text: str) -> None:
    container(tmp_path / "a.zarr", {name: text})
    with pytest.raises(VolumeError, match=rf"{name} is damaged"):
        open_volume(tmp_path / "a.zarr")


@pytest.mark.parametrize("text", ["[]", "3", "null", '"text"'])
def test_json_that_is_no_object_counts_as_nothing(tmp_path: Path, text: str) -> None:
    store = container(tmp_path, {"zarr.json": text})
    assert store.json("zarr.json") == {}
    assert listed(store) == []


def test_a_file_is_read_once(tmp_path: Path) -> None:
    store = container(tmp_path, {"a/.zarray": ZARR2})
    assert store.json("a", ".zarray") == ZARR2
    (tmp_path / "a" / ".zarray").unlink()
    assert store.json("/a/", ".zarray") == ZARR2
    assert store.json("b", ".zarray") == {}


def test_many_arrays_are_listed_up_to_twelve(tmp_path: Path) -> None:
    container(tmp_path / "a.zarr", {f"em{k:02}/.zarray": ZARR2 for k in range(15)})
    with pytest.raises(VolumeError, match="does not say which of its arrays to open") as caught:
        choose_array(str(tmp_path / "a.zarr"), None)
    assert "em11 (9, 37, 41) uint8" in caught.value.message
    assert "em12" not in caught.value.message
    assert "and 3 more" in caught.value.message
    assert caught.value.hint == f"Name one, for example {tmp_path / 'a.zarr'}:em00."


@pytest.mark.parametrize(
    ("names", "chosen"), [(("labels", "raw"), "raw"), (("main", "raw"), "main"), (("a", "volumes/raw"), "volumes/raw")]
)
def test_usual_names_are_guessed(tmp_path: Path, names: tuple[str, ...], chosen: str) -> None:
    for name in names:
        files.write_zarr(tmp_path / "a.zarr", image(), 3, name)
    spec, found = choose_array(str(tmp_path / "a.zarr"), None)
    assert spec.array == found.path == chosen


def test_a_group_is_named_for_the_only_array_in_it(tmp_path: Path) -> None:
    files.write_zarr(tmp_path / "a.zarr", image(), 3, "one/em")
    files.write_zarr(tmp_path / "a.zarr", image(), 3, "two/em")
    spec, _ = choose_array(str(tmp_path / "a.zarr"), "/two/")
    assert spec.array == "two/em"
    assert open_volume(f"{tmp_path}/a.zarr:two").shape == SHAPE
