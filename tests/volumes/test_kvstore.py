"""Places of containers: what is a URL, and how tensorstore calls it."""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_pytc.errors import VolumeError
from napari_pytc.volumes.kvstore import MetadataStore, is_url, kvstore_spec, plain_url


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("s3://bucket/a", True),
        ("https://host/a", True),
        ("precomputed://gs://bucket/a", True),
        ("gs+xyz://bucket/a", True),
        ("C:/data/a.zarr", False),
        ("C://data/a.zarr", False),
        ("/data/a.zarr", False),
        ("data/a://b", False),
        ("a.zarr", False),
        ("://a", False),
        ("", False),
    ],
)
def test_a_url_has_a_scheme_longer_than_a_drive_letter(text: str, expected: bool) -> None:
    assert is_url(text) is expected


@pytest.mark.parametrize(
    ("url", "plain"),
    [
        ("precomputed://gs://bucket/em/", "gs://bucket/em"),
        ("zarr://s3://bucket/a.zarr", "s3://bucket/a.zarr"),
        ("zarr2://https://host/a", "https://host/a"),
        ("zarr3://file:///data/a", "/data/a"),
        ("n5://file:///data/a.n5/", "/data/a.n5"),
        ("file:///data/a", "/data/a"),
        ("/data/a/", "/data/a"),
        ("/", "/"),
    ],
)
def test_the_name_of_a_format_in_front_is_taken_off(url: str, plain: str) -> None:
    assert plain_url(url) == plain
    assert plain_url(plain) == plain


@pytest.mark.parametrize(
    ("url", "inside", "spec"),
    [
        ("s3://bucket/a", "", "s3://bucket/a/"),
        ("s3://bucket/a/", "/s0/", "s3://bucket/a/s0/"),
        ("precomputed://gs://bucket/em", "4_4_40", "gs://bucket/em/4_4_40/"),
    ],
)
def test_a_place_on_the_network_is_a_url_that_ends_in_a_slash(url: str, inside: str, spec: str) -> None:
    assert kvstore_spec(url, inside) == spec


def test_a_place_on_the_disk_is_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for url in ("a.zarr", str(tmp_path / "a.zarr"), f"file://{tmp_path.as_posix()}/a.zarr/"):
        assert kvstore_spec(url, "0") == {"driver": "file", "path": f"{tmp_path.as_posix()}/a.zarr/0/"}


def test_children_of_a_folder_are_its_folders_in_order(tmp_path: Path) -> None:
    for name in ("b", "a", "c/d"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "file.json").write_text("{}")
    store = MetadataStore(str(tmp_path))
    assert store.children("") == ["a", "b", "c"]
    assert store.children("c") == ["c/d"]
    assert store.children("nowhere") == []


def test_an_unknown_scheme_is_reported_with_the_address() -> None:
    with pytest.raises(VolumeError, match=r"gopher://host/a cannot be opened") as caught:
        MetadataStore("gopher://host/a")
    assert caught.value.hint == "Check the address and the network."
