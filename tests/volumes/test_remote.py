"""Containers behind a URL, served from this machine; servers that refuse, fail or hang."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from napari_pytc.errors import VolumeError
from napari_pytc.geometry import Box
from napari_pytc.volumes import kvstore
from napari_pytc.volumes.kvstore import tensorstore_reason
from napari_pytc.volumes.opening import open_spec, open_volume
from tests.support.stores import served_folder, write_webknossos, zip_folder
from tests.volumes import files
from tests.volumes.files import SHAPE, image

NM = [{"name": a, "type": "space", "unit": "nanometer"} for a in "zyx"]
WHOLE = Box.of_shape(SHAPE)


@pytest.mark.slow
def test_ome_zarr(tmp_path: Path) -> None:
    levels = [image(), image()[:, ::2, ::2]]
    files.write_ome_zarr(tmp_path / "a.zarr", levels, "0.5", NM, [[40, 4, 4], [40, 8, 8]])
    with served_folder(tmp_path) as url:
        for where, level, size in ((f"{url}/a.zarr", levels[0], 4), (f"{url}/a.zarr:1", levels[1], 8)):
            volume = open_volume(where)
            np.testing.assert_array_equal(volume.read(Box.of_shape(level.shape)), level)
            assert volume.space.voxel_size_nm == (40, size, size)
            assert open_spec(volume.spec).space == volume.space


@pytest.mark.slow
@pytest.mark.parametrize("absent", [404, 403])
def test_every_container_opens_also_where_what_is_absent_is_refused(absent: int, tmp_path: Path) -> None:
    files.write_precomputed(tmp_path / "em", image()[None])
    files.write_n5(tmp_path / "a.n5", image(), "volumes/raw")
    files.write_zarr(tmp_path / "b.zarr", image(), 2)
    files.write_zarr(tmp_path / "c.zarr", image(), 3, "raw")
    write_webknossos(tmp_path / "wk", image())
    with served_folder(tmp_path, absent=absent) as url:
        for where in (
            f"precomputed://{url}/em", f"{url}/a.n5:volumes/raw", f"{url}/a.n5/volumes/raw", f"{url}/a.n5",
            f"{url}/b.zarr", f"{url}/c.zarr", f"{url}/c.zarr/raw", f"{url}/wk", f"{url}/wk/color/1",
        ):  # fmt: skip
            np.testing.assert_array_equal(open_volume(where).read(WHOLE), image())


@pytest.mark.slow
def test_chunks_that_are_refused_are_empty_where_the_server_refuses_all_that_is_absent(tmp_path: Path) -> None:
    files.write_zarr(tmp_path / "a.zarr", image(), 2, fill_value=7)
    (tmp_path / "a.zarr" / "1.0.1").unlink()
    expected = image()
    expected[4:8, :16, 16:32] = 7
    with served_folder(tmp_path, absent=403) as url:
        volume = open_volume(f"{url}/a.zarr")
        np.testing.assert_array_equal(volume.read(WHOLE), expected)
        assert any("chunks that it refuses are read as empty" in note for note in volume.notes)
    with served_folder(tmp_path) as url:
        volume = open_volume(f"{url}/a.zarr")
        np.testing.assert_array_equal(volume.read(WHOLE), expected)
        assert volume.notes == ()


@pytest.mark.slow
def test_access_that_ends_while_reading_is_no_empty_chunk(tmp_path: Path) -> None:
    files.write_zarr(tmp_path / "a.zarr", image(), 2)
    with served_folder(tmp_path, absent=403) as url:
        volume = open_volume(f"{url}/a.zarr")
        shutil.rmtree(tmp_path / "a.zarr")
        with pytest.raises(VolumeError, match=r"the server refuses access \(HTTP 403\)"):
            volume.read(WHOLE)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("code", "message"),
    [
        (403, "the server refused .* files"),
        (401, "the server refused .* files"),
        (404, "holds no Zarr"),
        (429, r"the server is asked too often \(HTTP 429\)"),
        (500, r"the server failed \(HTTP 500\)"),
        (503, r"the server failed \(HTTP 503\)"),
    ],
)
def test_answers_of_a_server_in_a_sentence(
    code: int, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    retries = {"max_retries": 1, "initial_delay": "1ms", "max_delay": "1ms"}
    monkeypatch.setitem(kvstore.REQUESTS, "http_request_retries", retries)
    files.write_zarr(tmp_path / "a.zarr", image(), 2)
    with served_folder(tmp_path, always=code) as url, pytest.raises(VolumeError, match=message) as caught:
        open_volume(f"{url}/a.zarr")
    assert not {"<", ">", "\n", "html", "PERMISSION"} & set(str(caught.value).split())
    assert "<" not in str(caught.value)
    assert caught.value.hint


@pytest.mark.slow
def test_a_server_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    retries = {"max_retries": 1, "initial_delay": "1ms", "max_delay": "1ms"}
    monkeypatch.setitem(kvstore.REQUESTS, "http_request_retries", retries)
    with pytest.raises(VolumeError, match=r"[Cc]ould not connect") as caught:
        open_volume("http://127.0.0.1:1/a.zarr")
    assert caught.value.hint == "Check access and the network."


@pytest.mark.slow
def test_a_zip_archive_on_a_server(tmp_path: Path) -> None:
    files.write_zarr(tmp_path / "a.zarr", image(), 3, "raw")
    zip_folder(tmp_path / "a.zarr", tmp_path / "a.zarr.zip")
    shutil.rmtree(tmp_path / "a.zarr")
    with served_folder(tmp_path) as url:
        np.testing.assert_array_equal(open_volume(f"{url}/a.zarr.zip").read(WHOLE), image())


@pytest.mark.slow
def test_nothing_there(tmp_path: Path) -> None:
    with served_folder(tmp_path) as url, pytest.raises(VolumeError, match="holds no Zarr"):
        open_volume(f"{url}/none.zarr")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            "PERMISSION_DENIED: Forbidden [HTTP code 403] [http_response_body='<!DOCTYPE HTML><html>\n</html>']",
            "the server refuses access (HTTP 403)",
        ),
        ("NOT_FOUND: x [HTTP code 404]", "the server has nothing there (HTTP 404)"),
        ("ABORTED: All 2 retry attempts failed: Too Many [HTTP code 429]", "the server is asked too often (HTTP 429)"),
        ("ABORTED: All 2 retry attempts failed: Bad Gateway [HTTP code 502]", "the server failed (HTTP 502)"),
        (
            "ABORTED: All 2 retry attempts failed: CURL error Could not connect to server: x [curl_code='7']",
            "Could not connect to server: x",
        ),
        ("FAILED_PRECONDITION: Error reading [0, 1) <html><body>", "Error reading [0, 1)"),
        ("", "ValueError"),
    ],
)  # fmt: skip
def test_reasons_of_tensorstore(text: str, reason: str) -> None:
    assert tensorstore_reason(ValueError(text)) == reason


def test_a_server_that_says_nothing_is_given_up() -> None:
    assert tensorstore_reason(TimeoutError()) == "no answer within the time allowed"


@pytest.mark.slow
def test_a_server_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kvstore, "_ANSWER_S", 0.2)
    with served_folder(tmp_path, hangs=True) as url, pytest.raises(VolumeError, match="no answer within") as caught:
        open_volume(f"{url}/a.zarr")
    assert caught.value.hint == "Check access and the network."
