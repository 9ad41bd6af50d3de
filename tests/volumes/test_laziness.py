"""Opening reads kilobytes and reading a box reads about the box, whatever the file's size."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile

from napari_pytc.geometry import Box
from napari_pytc.volumes.formats.sections.volume import SectionsVolume
from napari_pytc.volumes.formats.tiff import pages as tiff_pages
from napari_pytc.volumes.formats.tiff.pages import segment_cache
from napari_pytc.volumes.formats.tiff.volume import TiffVolume
from napari_pytc.volumes.inspection import describe_volume
from napari_pytc.volumes.opening import open_volume
from napari_pytc.volumes.spec import SectionsSpec, TiffSpec
from tests.support.stores import write_mrc, write_nifti
from tests.volumes import files
from tests.volumes.files import image

BIG = (2048, 2048, 2048)
OPENING = 256 * 2**10
# The directories of a TIFF are a chain that must be walked to know that it is whole.
OPENING_A_SECTION = 600
# Of contiguous data, whole rows are read.
READING = 2 * 8 * 64 * BIG[2]


def _bytes_read() -> int:
    """Bytes this process asked the system for by read calls."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("rchar")))


def _sparse(path: Path, kind: str) -> Path:
    if kind == "hdf5":
        with h5py.File(path, "w") as file:
            file.create_dataset("main", BIG, "uint8", chunks=(32, 64, 64))
    elif kind == "hdf5 contiguous":
        with h5py.File(path, "w") as file:
            file.create_dataset("main", BIG, "uint8", fill_time="never")[-1, -1, -1] = 0
    elif kind == "npy":
        header = np.lib.format.open_memmap(path, "w+", "uint8", BIG)
        header._mmap.close()
    elif kind in ("mrc", "nifti"):
        if kind == "mrc":
            write_mrc(path, np.zeros((1, 1, 1), "int8"), nx=BIG[2], ny=BIG[1], nz=BIG[0])
        else:
            write_nifti(path, np.zeros((1, 1, 1), "uint8"), dim=[3, *BIG[::-1], 1, 1, 1, 1])
        os.truncate(path, (1024 if kind == "mrc" else 352) + BIG[0] * BIG[1] * BIG[2])
    elif kind == "tiff":
        tifffile.imwrite(path, shape=BIG, dtype="uint8", bigtiff=True)
    elif kind == "ome":
        tifffile.imwrite(path, shape=BIG, dtype="uint8", bigtiff=True, ome=True, metadata={"axes": "ZYX"})
    else:
        path.mkdir()
        meta = {
            "zarr_format": 3, "node_type": "array", "shape": BIG, "data_type": "uint8", "fill_value": 0,
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [64, 64, 64]}},
            "chunk_key_encoding": {"name": "default"}, "codecs": [{"name": "bytes"}],
        }  # fmt: skip
        (path / "zarr.json").write_text(json.dumps(meta))
    return path


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts bytes in /proc")
@pytest.mark.parametrize("kind", ["hdf5", "hdf5 contiguous", "npy", "tiff", "ome", "zarr", "mrc", "nifti"])
def test_opening_eight_gigabytes_reads_kilobytes(kind, tmp_path):
    suffix = {"tiff": ".tif", "ome": ".ome.tif", "npy": ".npy", "zarr": ".zarr", "mrc": ".mrc", "nifti": ".nii"}.get(
        kind, ".h5"
    )
    path = _sparse(tmp_path / f"a{suffix}", kind)
    if path.is_file() and kind != "hdf5":
        assert path.stat().st_size >= 2**33
        assert path.stat().st_blocks * 512 < 2**28, "the file system does not keep sparse files"
    open_volume(path).close()  # what is imported on first use is not counted
    before = _bytes_read()
    volume = open_volume(path)
    assert volume.shape == BIG
    assert _bytes_read() - before < (OPENING_A_SECTION * BIG[0] if kind in ("tiff", "ome") else OPENING)
    assert describe_volume(path).n_bytes == 2**33
    before = _bytes_read()
    block = volume.read(Box.at((2040, 1000, 1000), (8, 64, 64)))
    assert not block.any()
    assert _bytes_read() - before < READING
    volume.close()


@pytest.fixture
def decoded(monkeypatch):
    """How many segments were read from files."""
    counted = []
    read = tiff_pages._bytes
    monkeypatch.setattr(tiff_pages, "_bytes", lambda *a: counted.append(a[1]) or read(*a))
    return counted


def test_only_the_tiles_of_a_box_are_read(tmp_path, decoded):
    path = files.write_tiff(tmp_path / "a.tif", image(shape=(6, 128, 128)), tile=(32, 32), compression="zlib")
    volume = open_volume(path)
    volume.read(Box((2, 40, 40), (4, 60, 60)))
    assert len(decoded) == 2
    volume.read(Box((2, 40, 40), (3, 90, 60)))
    assert len(decoded) == 3


def test_small_boxes_of_a_compressed_page_decode_it_once(tmp_path, decoded):
    data = image(shape=(2, 128, 128))
    path = files.write_tiff(tmp_path / "a.tif", data, compression="zlib", rowsperstrip=128)
    volume = open_volume(path)
    for y in range(0, 128, 16):
        for x in range(0, 128, 16):
            box = Box.at((0, y, x), (2, 16, 16))
            np.testing.assert_array_equal(volume.read(box), data[box.slices])
    assert len(decoded) == 2


def test_a_small_cache_changes_no_voxel(tmp_path):
    data = image(shape=(3, 64, 64))
    path = files.write_tiff(tmp_path / "a.tif", data, compression="zlib", tile=(16, 16))
    volume = TiffVolume(TiffSpec(path=path), segment_cache(300))
    np.testing.assert_array_equal(volume.read(Box.of_shape(data.shape)), data)


def test_many_sections_do_not_stay_open(tmp_path):
    folder = files.write_sections(tmp_path / "a", image(shape=(50, 8, 8)), ".tif")
    volume = SectionsVolume(SectionsSpec(path=folder, suffix=".tif"))
    volume.read(Box.of_shape(volume.shape))
    if sys.platform.startswith("linux"):
        links = [
            os.readlink(f"/proc/self/fd/{n}")
            for n in os.listdir("/proc/self/fd")
            if os.path.lexists(f"/proc/self/fd/{n}")
        ]
        assert sum(str(folder) in link for link in links) < 40
    volume.close()
