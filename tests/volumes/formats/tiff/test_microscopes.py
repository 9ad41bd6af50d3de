"""TIFF files of microscopes, built tag by tag as Zeiss (LSM) and MetaMorph (STK) write them."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_pytc.geometry import Box
from napari_pytc.volumes.opening import open_volume
from napari_pytc.volumes.spec import ReadOptions
from tests.volumes.files import image

STACK = image(shape=(5, 32, 48))
_LSM_INFO, _UIC1, _UIC2 = 34412, 33628, 33629
_BYTE, _LONG, _RATIONAL = 1, 4, 5


def write_lsm(path: Path, data: np.ndarray, compression: str | None = None) -> Path:
    """An LSM of (z, y, x): each section is followed by a thumbnail."""
    info = np.zeros((), np.dtype(tifffile.TIFF.CZ_LSMINFO))
    values = {"MagicNumber": 67127628, "StructureSize": info.nbytes, "DimensionX": data.shape[2]}
    values |= {"DimensionY": data.shape[1], "DimensionZ": data.shape[0], "DimensionChannels": 1, "DimensionTime": 1}
    values |= {"VoxelSizeX": 8e-9, "VoxelSizeY": 4e-9, "VoxelSizeZ": 40e-9, "DataType": 1}
    for name, value in values.items():
        info[name] = value
    tag = (_LSM_INFO, _BYTE, info.nbytes, info.tobytes(), True)
    with tifffile.TiffWriter(path) as file:
        for z, section in enumerate(data):
            options = {"metadata": None, "contiguous": False, "photometric": "minisblack", "compression": compression}
            file.write(section, extratags=[tag] if z == 0 else [], **options)
            file.write(section[::4, ::4], subfiletype=1, **options)
    return path


def write_stk(path: Path, data: np.ndarray, z_distance_um: float) -> Path:
    """A STK of (z, y, x): one directory, the sections behind one another."""
    n = len(data)
    numerator = round(z_distance_um * 1000)
    planes = [word for _ in range(n) for word in (numerator, 1000, 0, 0, 0, 0)]
    tags = [(_UIC1, _LONG, 4, (0, 1, 0, 1), True), (_UIC2, _RATIONAL, 3 * n, planes, True)]
    tifffile.imwrite(path, data[0], metadata=None, extratags=tags, photometric="minisblack")
    with tifffile.TiffFile(path) as file:
        places = {code: file.pages.first.tags[code].offset for code in (_UIC1, _UIC2)}
    with open(path, "r+b") as file:
        # A plane of UIC2 counts as one rational but has three, an entry of UIC1 as one number but has two.
        for code, count in ((_UIC1, 2), (_UIC2, n)):
            file.seek(places[code] + 4)
            file.write(struct.pack("<I", count))
        file.seek(0, 2)
        file.write(data[1:].tobytes())
    return path


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_an_lsm_is_read_without_its_thumbnails(compression: str | None, tmp_path: Path) -> None:
    volume = open_volume(write_lsm(tmp_path / "a.lsm", STACK, compression))
    assert volume.space.voxel_size_nm == pytest.approx((40, 4, 8))
    np.testing.assert_array_equal(volume.read(Box.of_shape(STACK.shape)), STACK)
    assert volume.notes == (
        "The largest image of the file is read, 5 x 32 x 48 uint8; left out: :1 (5 x 8 x 12 uint8).",
    )


def test_a_stk_is_all_of_its_sections(tmp_path: Path) -> None:
    volume = open_volume(write_stk(tmp_path / "a.stk", STACK, 0.04))
    assert volume.shape == STACK.shape
    np.testing.assert_array_equal(volume.read(Box.of_shape(STACK.shape)), STACK)
    assert not volume.space.known


def test_a_stk_without_distances_is_taken_as_sections_too(tmp_path: Path) -> None:
    volume = open_volume(write_stk(tmp_path / "a.stk", STACK, 0), ReadOptions(axes="zyx"))
    np.testing.assert_array_equal(volume.read(Box.of_shape(STACK.shape)), STACK)
