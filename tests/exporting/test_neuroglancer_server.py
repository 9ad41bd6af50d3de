"""Neuroglancer's server, asked over HTTP as a browser asks it."""

from __future__ import annotations

import io
import json
import socket
import urllib.error
import urllib.request
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from napari_pytc.errors import InvalidInput
from napari_pytc.exporting.neuroglancer_server import (
    LazyVolume,
    LazyVoxels,
    NeuroglancerServer,
    ServedLayer,
    _layer,
    _placement,
)
from napari_pytc.geometry import Box, VoxelSpace
from tests.support.arrays import FakeArray, VirtualArray
from tests.support.waiting import PATIENCE_S

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:neuroglancer.*")
SPACE = VoxelSpace((40.0, 8.0, 8.0), (80.0, 16.0, -24.0))
SHAPE = (6, 20, 24)


def fetch(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=PATIENCE_S) as answer:
        return answer.read()


def chunk(info_url: str, start: str, stop: str, scale: str = "1,1,1") -> np.ndarray:
    base, key = info_url.rsplit("/info/", 1)
    return np.load(io.BytesIO(zlib.decompress(fetch(f"{base}/npz/{key}/{scale}/{start}/{stop}"))))


@pytest.fixture(scope="module")
def arrays() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "image": rng.integers(0, 255, SHAPE).astype(np.uint8),
        "probabilities": rng.integers(0, 255, (2, *SHAPE)).astype(np.uint8),
        "segments": rng.integers(0, 2**60, SHAPE).astype(np.uint64),
    }


@pytest.fixture(scope="module")
def server(arrays: dict[str, np.ndarray]) -> Iterator[NeuroglancerServer]:
    layers = [
        ServedLayer("image", FakeArray(arrays["image"], SPACE), "image", ((3.0, 250.0),)),
        ServedLayer("prediction p", FakeArray(arrays["probabilities"], SPACE, ("a", "b")), "probabilities"),
        ServedLayer("segments s", FakeArray(arrays["segments"], SPACE), "segments"),
    ]
    with NeuroglancerServer(layers) as found:
        yield found


def state_of(server: NeuroglancerServer) -> dict[str, Any]:
    """The first state that the server tells a browser."""
    events = server.url.replace("/v/", "/events/").rstrip("/") + "?c=test&gc=&gs="
    with urllib.request.urlopen(events, timeout=PATIENCE_S) as answer:
        for line in answer:
            if line.startswith(b"data: "):
                message = json.loads(line[6:])
                if message["k"] == "s":
                    return message["s"]
    raise AssertionError("no state")


def test_the_page_is_served_to_who_has_the_token(server: NeuroglancerServer) -> None:
    assert server.url.startswith("http://127.0.0.1:")
    assert len(server.url.rstrip("/").rsplit("/", 1)[1]) == 40
    assert b"<html" in fetch(server.url).lower()


@pytest.mark.parametrize("path", ["v/{}/", "events/{}?c=a&gc=&gs=", "neuroglancer/info/{}.abc"])
def test_a_wrong_token_is_refused(server: NeuroglancerServer, path: str) -> None:
    base = server.url.split("/v/")[0]
    with pytest.raises(urllib.error.HTTPError) as caught:
        fetch(f"{base}/{path.format('0' * 40)}")
    assert caught.value.code == 404
    caught.value.close()


def test_layers_are_named_and_of_their_kinds(server: NeuroglancerServer) -> None:
    state = state_of(server)
    layers = {layer["name"]: layer for layer in state["layers"]}
    assert {name: layer["type"] for name, layer in layers.items()} == {
        "image": "image", "prediction p": "image", "segments s": "segmentation"
    }  # fmt: skip
    assert layers["image"]["shaderControls"] == {"normalized": {"range": [3, 250]}}
    assert "0 a, 1 b" in layers["prediction p"]["shader"]
    assert state["dimensions"] == {
        "x": [pytest.approx(8e-9), "m"], "y": [pytest.approx(8e-9), "m"], "z": [pytest.approx(4e-8), "m"]
    }  # fmt: skip
    assert list(state["dimensions"]) == ["x", "y", "z"], "x goes to the right of the screen, y down"
    assert state["position"] == [-3 + 12, 2 + 10, 2 + 3]


def test_an_image_of_several_channels_adds_up_their_colours(server: NeuroglancerServer) -> None:
    data = np.zeros((2, *SHAPE), np.uint16)
    layer = ServedLayer("image", FakeArray(data, SPACE, ("EM", "GFP")), "image", ((0.0, 900.0), (5.0, 70.0)))
    shown = _layer(layer, LazyVolume(LazyVoxels(layer.array), **_placement(layer))).to_json()
    assert shown["shaderControls"] == {
        "contrast0": {"range": [0.0, 900.0], "channel": [0]}, "contrast1": {"range": [5.0, 70.0], "channel": [1]}
    }  # fmt: skip
    for line in (
        "#uicontrol invlerp contrast1(channel=1)",
        '#uicontrol vec3 color0 color(default="#ffffff")',
        '#uicontrol vec3 color1 color(default="#ff00ff")',
        "#uicontrol bool show1 checkbox(default=true)",
        "  if (show1) sum += color1 * contrast1();",
    ):
        assert line in shown["shader"].splitlines(), line


def test_infos_have_voxel_size_and_place(server: NeuroglancerServer) -> None:
    for layer in server.layers:
        info = json.loads(fetch(layer["info"]))
        assert info["shape"][-3:] == list(SHAPE)
        assert [int(n) for n in info["voxelOffset"][-3:]] == [2, 2, -3]
        assert info["volumeType"] == ("segmentation" if layer["type"] == "segments" else "image")
        for axis, size in zip("zyx", (4e-8, 8e-9, 8e-9), strict=True):
            assert info["coordinateSpace"][axis] == [pytest.approx(size), "m"]


def test_chunks_are_the_voxels(server: NeuroglancerServer, arrays: dict[str, np.ndarray]) -> None:
    image, probabilities, segments = (layer["info"] for layer in server.layers)
    np.testing.assert_array_equal(chunk(image, "1,2,3", "5,18,20"), arrays["image"][1:5, 2:18, 3:20])
    np.testing.assert_array_equal(chunk(segments, "0,0,0", "6,20,24"), arrays["segments"])
    found = chunk(probabilities, "1,0,0,0", "2,6,20,24", "1,1,1,1")
    np.testing.assert_array_equal(found, arrays["probabilities"][1:])
    smaller = chunk(segments, "0,0,0", "6,10,12", "1,2,2")
    np.testing.assert_array_equal(smaller, arrays["segments"][:, ::2, ::2])


def test_there_are_no_meshes_which_would_load_all_voxels(server: NeuroglancerServer) -> None:
    base, key = server.layers[2]["info"].rsplit("/info/", 1)
    with pytest.raises(urllib.error.HTTPError) as caught:
        fetch(f"{base}/mesh/{key}/1")
    assert caught.value.code == 405
    caught.value.close()


def test_only_what_is_asked_for_is_read() -> None:
    array = VirtualArray((10_000, 10_000, 10_000))
    voxels = LazyVoxels(array)
    found = voxels[slice(np.int64(9000), np.int64(9064)), slice(0, 64), slice(64, 128)]
    np.testing.assert_array_equal(found, array.read(Box((9000, 0, 64), (9064, 64, 128))))
    assert array.largest == 64**3


def test_a_port_that_is_taken_is_told() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(InvalidInput, match="cannot be used"):
            NeuroglancerServer([], taken.getsockname()[1])
