"""Containers behind a URL, served from this machine."""

from __future__ import annotations

import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer

import numpy as np
import pytest

from napari_pytc.errors import VolumeError
from napari_pytc.geometry import Box
from napari_pytc.volumes.opening import open_spec, open_volume
from tests.volumes import files
from tests.volumes.files import SHAPE, image


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


class _Server(ThreadingHTTPServer):
    # The usual one asks the name service for this machine's name, which may take seconds.
    server_bind = TCPServer.server_bind


@pytest.fixture
def served(tmp_path):
    """A folder and the URL under which it is served."""
    server = _Server(("127.0.0.1", 0), partial(_Quiet, directory=str(tmp_path)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield tmp_path, f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_ome_zarr(served):
    folder, url = served
    axes = [{"name": a, "type": "space", "unit": "nanometer"} for a in "zyx"]
    levels = [image(), image()[:, ::2, ::2]]
    files.write_ome_zarr(folder / "a.zarr", levels, "0.5", axes, [[40, 4, 4], [40, 8, 8]])
    for where, level, size in ((f"{url}/a.zarr", levels[0], 4), (f"{url}/a.zarr:1", levels[1], 8)):
        volume = open_volume(where)
        np.testing.assert_array_equal(volume.read(Box.of_shape(level.shape)), level)
        assert volume.space.voxel_size_nm == (40, size, size)
        assert open_spec(volume.spec).space == volume.space


def test_precomputed_and_n5(served):
    folder, url = served
    files.write_precomputed(folder / "em", image()[None])
    files.write_n5(folder / "a.n5", image(), "volumes/raw")
    for where in (f"precomputed://{url}/em", f"{url}/a.n5:volumes/raw", f"{url}/a.n5/volumes/raw", f"{url}/a.n5"):
        np.testing.assert_array_equal(open_volume(where).read(Box.of_shape(SHAPE)), image())


def test_nothing_there(served):
    _, url = served
    with pytest.raises(VolumeError, match="holds no Zarr"):
        open_volume(f"{url}/none.zarr")
