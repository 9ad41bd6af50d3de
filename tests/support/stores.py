"""Small stores as other programs write them: MRC, NIfTI, WEBKNOSSOS, BigDataViewer, zipped Zarr; a server of them."""

from __future__ import annotations

import json
import threading
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import TCPServer
from typing import Any

import h5py
import numpy as np
import zarr


def write_json(path: Path, value: Any) -> Path:
    """A JSON file, with the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))
    return path


def write_mrc(path: Path, data: np.ndarray, angstrom_zyx: tuple[float, ...] | None = None, **fields: Any) -> Path:
    """An MRC file of (z, y, x); `fields` are set in the header, those of x, y, z by a tuple of three."""
    import mrcfile

    with mrcfile.new(path, overwrite=True) as file:
        file.set_data(data)
        if angstrom_zyx is not None:
            z, y, x = angstrom_zyx
            file.voxel_size = (x, y, z)
        for name, value in fields.items():
            file.header[name] = value
    return path


def mark_imod(path: Path, flags: int) -> Path:
    """Put IMOD's stamp and flags into an MRC header."""
    content = bytearray(path.read_bytes())
    content[152:160] = np.array([1146047817, flags], "<i4").tobytes()
    path.write_bytes(content)
    return path


def write_nifti(
    path: Path, data: np.ndarray, affine: np.ndarray | None = None, unit: str | None = "mm", **header: Any
) -> Path:
    """A NIfTI-1 file of (x, y, z, ...)."""
    import nibabel

    image = nibabel.Nifti1Image(data, affine)
    if unit is not None:
        image.header.set_xyzt_units(unit)
    if "zooms" in header:
        image.header.set_zooms(header["zooms"])
    if "slope" in header:
        image.header.set_slope_inter(header["slope"], header.get("inter", 0))
    nibabel.save(image, path)
    if "dim" in header:  # of a file that is made longer behind the library's back
        content = bytearray(path.read_bytes())
        content[40:56] = np.array(header["dim"], "<i2").tobytes()
        path.write_bytes(content)
    return path


def write_webknossos(
    folder: Path,
    data: np.ndarray,
    version: int = 2,
    layers: Mapping[str, str] | None = None,
    n_mags: int = 1,
    **top: Any,
) -> Path:
    """A dataset whose layers hold (z, y, x) as c, x, y, z, and coarser ones by every second voxel along x and y."""
    described = []
    for name, category in (layers or {"color": "color"}).items():
        mags = []
        for level in range(n_mags):
            step = 2**level
            key = "1" if level == 0 else f"{step}-{step}-1"
            part = data[:, ::step, ::step].transpose(2, 1, 0)[None]
            names = {"dimension_names": list("cxyz")} if version == 3 else {}
            zarr.create_array(str(folder / name / key), data=part, zarr_format=version, **names)
            mags.append(
                {"mag": [step, step, 1], "path": f"./{name}/{key}", "axisOrder": {"c": 0, "x": 1, "y": 2, "z": 3}}
            )
        data_format = "zarr" if version == 2 else "zarr3"
        described.append({"name": name, "category": category, "dataFormat": data_format, "mags": mags})
    properties = {"scale": {"factor": [4, 8, 40], "unit": "nanometer"}, "dataLayers": described} | top
    write_json(folder / "datasource-properties.json", properties)
    return folder


def write_bdv_hdf5(path: Path, views: Mapping[tuple[int, int], np.ndarray], n_levels: int = 2) -> Path:
    """BigDataViewer's HDF5: views by time point and setup, stored as int16, coarser by 2 along x and y."""
    with h5py.File(path, "w") as file:
        for (time, setup), data in views.items():
            for level in range(n_levels):
                step = 2**level
                cells = data[:, ::step, ::step].astype(np.uint16).view(np.int16)
                file[f"t{time:05d}/s{setup:02d}/{level}/cells"] = cells
            if f"s{setup:02d}" not in file:
                file[f"s{setup:02d}/resolutions"] = [[2.0**k, 2.0**k, 1.0] for k in range(n_levels)]
                file[f"s{setup:02d}/subdivisions"] = [[16, 16, 16]] * n_levels
    return path


def write_bdv_xml(
    path: Path,
    data: str,
    shape: tuple[int, int, int],
    setups: Mapping[int, Mapping[str, str]] | None = None,
    times: str = "<Timepoints type='range'><first>0</first><last>0</last></Timepoints>",
    loader: str = "bdv.hdf5",
    unit: str = "nm",
    affine: str = "4 0 0 0 0 8 0 0 0 0 40 0",
    images: str = "",
) -> Path:
    """The XML of data of (z, y, x) at 40 x 8 x 4; `setups` give the attributes of each."""
    z, y, x = shape
    views, places = "", ""
    for number, attributes in (setups or {0: {"channel": "0"}}).items():
        inner = "".join(f"<{k}>{v}</{k}>" for k, v in attributes.items())
        views += (
            f"<ViewSetup><id>{number}</id><name>part {number}</name><size>{x} {y} {z}</size><voxelSize>"
            f"<unit>{unit}</unit><size>4.0 8.0 40.0</size></voxelSize><attributes>{inner}</attributes></ViewSetup>"
        )
        places += (
            f"<ViewRegistration timepoint='0' setup='{number}'><ViewTransform type='affine'><affine>{affine}</affine>"
            "</ViewTransform></ViewRegistration>"
        )
    tag = loader.rpartition(".")[2]
    path.write_text(
        f"<?xml version='1.0' encoding='UTF-8'?><SpimData version='0.2'><BasePath type='relative'>.</BasePath>"
        f"<SequenceDescription><ImageLoader format='{loader}'><{tag} type='relative'>{data}</{tag}>{images}"
        "</ImageLoader>"
        f"<ViewSetups>{views}</ViewSetups>{times}</SequenceDescription><ViewRegistrations>{places}</ViewRegistrations>"
        "</SpimData>"
    )
    return path


def zip_folder(folder: Path, path: Path, inside: str = "") -> Path:
    """A zip archive of what is in a folder, below the folder `inside`."""
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                archive.write(file, Path(inside) / file.relative_to(folder))
    return path


class FolderRequests(SimpleHTTPRequestHandler):
    """Answers of a server of one folder; the class attributes change those for what is not there, and for all."""

    absent = 404
    always: int | None = None
    go_on: threading.Event | None = None

    def do_GET(self) -> None:
        if self.go_on is not None:
            self.go_on.wait()
        if self.always is not None:
            self.send_error(self.always)
        else:
            super().do_GET()

    def send_error(self, code: int, *args: Any, **options: Any) -> None:
        super().send_error(self.absent if code == 404 else code, *args, **options)

    def list_directory(self, path: Any) -> None:
        self.send_error(404)

    def log_message(self, *_: object) -> None:
        pass


class _Server(ThreadingHTTPServer):
    # The usual one asks the name service for this machine's name, which may take seconds.
    server_bind = TCPServer.server_bind
    # A client that reads many chunks at once waits a second for each connection beyond the usual five.
    request_queue_size = 64


@contextmanager
def served_folder(folder: Path, *, absent: int = 404, always: int | None = None, hangs: bool = False) -> Iterator[str]:
    """The URL of a folder on loopback.

    `absent` is the answer for what is not there, `always` the one for all; one that `hangs` says nothing.
    """
    go_on = threading.Event()
    facts = {"absent": absent, "always": always, "go_on": go_on if hangs else None}
    requests = type("Requests", (FolderRequests,), facts)
    server = _Server(("127.0.0.1", 0), partial(requests, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        go_on.set()
        server.shutdown()
        server.server_close()
        thread.join()
