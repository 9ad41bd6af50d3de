"""MRC files: modes, axes, voxel sizes, origins, and headers that are odd or cut."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import mrcfile
import numpy as np
import pytest

from napari_pytc.errors import VolumeError
from napari_pytc.geometry import Box
from napari_pytc.volumes.opening import open_volume
from napari_pytc.volumes.spec import ReadOptions
from tests.support.stores import mark_imod, write_mrc
from tests.support.volume_contract import VolumeContract
from tests.volumes.files import SHAPE, image

SIZE = (400.0, 40.0, 80.0)  # Angstrom


class TestMrc(VolumeContract):
    @pytest.fixture
    def truth(self) -> np.ndarray:
        return image("uint16")

    @pytest.fixture
    def volume(self, tmp_path: Path, truth: np.ndarray) -> Any:
        return open_volume(write_mrc(tmp_path / "a.mrc", truth, SIZE))


@pytest.mark.parametrize("dtype", ["int8", "int16", "uint16", "float32", "float16"])
def test_modes(dtype: str, tmp_path: Path) -> None:
    data = (image("float32") - 15).astype(dtype) if dtype.startswith("float") else image("uint8").astype(dtype)
    volume = open_volume(write_mrc(tmp_path / "a.mrc", data, SIZE))
    assert volume.dtype == {"float16": "float32"}.get(dtype, dtype)
    np.testing.assert_array_equal(volume.read(Box.of_shape(SHAPE)), data)


@pytest.mark.parametrize("suffix", [".rec", ".st", ".map", ".mrcs", ".ali"])
def test_the_suffix_does_not_matter(suffix: str, tmp_path: Path) -> None:
    path = write_mrc(tmp_path / "a.mrc", image(dtype="int16"), SIZE).rename(tmp_path / f"a{suffix}")
    assert open_volume(path).space.voxel_size_nm == pytest.approx((40, 4, 8))


def test_an_older_file_without_its_mark_is_known_by_its_suffix(tmp_path: Path) -> None:
    path = write_mrc(tmp_path / "a.rec", image(dtype="int16"), SIZE)
    content = bytearray(path.read_bytes())
    content[208:216] = bytes(8)
    path.write_bytes(content)
    volume = open_volume(path)
    np.testing.assert_array_equal(volume.read(Box.of_shape(SHAPE)), image())
    assert any(note.startswith("Its header is unusual: ") for note in volume.notes)


def test_the_other_byte_order(tmp_path: Path) -> None:
    path = tmp_path / "a.mrc"
    data = image("int16")
    with mrcfile.new(path) as file:
        file.set_data(data)
        file.voxel_size = (80, 40, 400)
        header, stored = file.header.copy(), file.data.copy()
    header.machst[:] = [0x11, 0x11, 0, 0]
    raw = header.newbyteorder() if hasattr(header, "newbyteorder") else header
    path.write_bytes(header.astype(raw.dtype.newbyteorder(">")).tobytes() + stored.astype(">i2").tobytes())
    volume = open_volume(path)
    assert volume.dtype == np.dtype("int16")
    assert volume.space.voxel_size_nm == pytest.approx((40, 4, 8))
    np.testing.assert_array_equal(volume.read(Box.of_shape(SHAPE)), data)


def test_bytes_of_imod_are_unsigned_unless_its_flag_says_otherwise(tmp_path: Path) -> None:
    data = np.full(SHAPE, -56, "int8")
    path = write_mrc(tmp_path / "a.mrc", data, SIZE)
    assert open_volume(mark_imod(path, 1)).dtype == "int8"
    volume = open_volume(mark_imod(path, 0))
    assert volume.dtype == "uint8"
    assert volume.read(Box.at((0, 0, 0), (1, 1, 1)))[0, 0, 0] == 200
    assert "IMOD's flag says that the bytes are unsigned; they are read as uint8." in volume.notes


@pytest.mark.parametrize(
    ("mode", "name"), [(3, "complex int16"), (4, "complex float32"), (101, "4-bit"), (77, "unknown")]
)
def test_other_modes_are_refused(mode: int, name: str, tmp_path: Path) -> None:
    path = write_mrc(tmp_path / "a.mrc", image("int16"), SIZE, mode=mode)
    with pytest.raises(VolumeError, match=rf"holds {name} voxels \(MRC mode {mode}\)") as caught:
        open_volume(path)
    assert "newstack" in caught.value.hint


def test_sections_rows_and_columns_may_lie_along_other_axes(tmp_path: Path) -> None:
    data = image("int16")
    path = write_mrc(tmp_path / "a.mrc", data, mapc=2, mapr=1, maps=3, mx=37, my=41, mz=9)
    with mrcfile.open(path, "r+") as file:
        file.header.cella = (37 * 40, 41 * 80, 9 * 400)
    volume = open_volume(path)
    assert volume.shape == (9, 41, 37)
    assert volume.space.voxel_size_nm == pytest.approx((40, 8, 4))
    np.testing.assert_array_equal(volume.read(Box.of_shape(volume.shape)), data.transpose(0, 2, 1))
    assert "The header says that sections, rows and columns lie along z, x, y." in volume.notes


def test_axes_that_are_none_are_said(tmp_path: Path) -> None:
    volume = open_volume(write_mrc(tmp_path / "a.mrc", image("int16"), SIZE, mapc=0, mapr=0, maps=0))
    np.testing.assert_array_equal(volume.read(Box.of_shape(SHAPE)), image())
    assert any("expected 1, 2, 3" in note for note in volume.notes)


@pytest.mark.parametrize("size", [None, (1.0, 1.0, 1.0)])
def test_no_size_or_one_angstrom_is_not_known(size: Any, tmp_path: Path) -> None:
    volume = open_volume(write_mrc(tmp_path / "a.mrc", image("int16"), size))
    assert not volume.space.known
    assert "not known" in volume.notes[0]


@pytest.mark.parametrize(
    ("fields", "flags", "origin"),
    [
        ({"origin": (80, 40, 800)}, None, (80, 4, 8)),
        ({"origin": (80, 40, 800)}, 4, (80, 4, 8)),
        ({"origin": (80, 40, 800)}, 0, (-80, -4, -8)),  # IMOD's is the place of the zero in the image
        ({"nxstart": 3, "nystart": 5, "nzstart": 2}, None, (80, 20, 24)),
        ({}, None, (0, 0, 0)),
    ],
)
def test_origins(fields: dict[str, Any], flags: int | None, origin: Any, tmp_path: Path) -> None:
    path = write_mrc(tmp_path / "a.mrc", image("int16"), SIZE, **fields)
    if flags is not None:
        mark_imod(path, flags)
    assert open_volume(path).space.origin_nm == pytest.approx(origin)


def test_a_stack_of_volumes_has_time_points(tmp_path: Path) -> None:
    path = write_mrc(tmp_path / "a.mrc", image("int16"), SIZE, ispg=401, mz=3)
    with pytest.raises(VolumeError, match="has 3 time points"):
        open_volume(path)
    volume = open_volume(path, ReadOptions(time=1))
    assert volume.shape == (3, 37, 41)
    np.testing.assert_array_equal(volume.read(Box.of_shape(volume.shape)), image()[3:6])


def test_a_file_that_ends_early_counts_its_sections(tmp_path: Path) -> None:
    path = write_mrc(tmp_path / "a.mrc", image("int16"), SIZE)
    path.write_bytes(path.read_bytes()[: 1024 + 6 * 37 * 41 * 2 + 100])
    with pytest.raises(VolumeError, match="is to have 9 sections and ends after 6"):
        open_volume(path)
    volume = open_volume(path, ReadOptions(missing_sections="blank"))
    assert "The file ends after 6 of 9 sections; the others are black." in volume.notes
    whole = volume.read(Box.of_shape(SHAPE))
    np.testing.assert_array_equal(whole[:6], image()[:6])
    assert not whole[6:].any()
    assert not volume.read(Box((7, 0, 0), (9, 4, 4))).any()


def test_more_bytes_than_voxels_are_said(tmp_path: Path) -> None:
    path = write_mrc(tmp_path / "a.mrc", image("int16"), SIZE)
    path.write_bytes(path.read_bytes() + bytes(10))
    assert "The file has 10 bytes behind its voxels; they are left out." in open_volume(path).notes


@pytest.mark.parametrize("n_bytes", [0, 300, 1000])
def test_a_cut_header_is_no_mrc_file(n_bytes: int, tmp_path: Path) -> None:
    path = write_mrc(tmp_path / "a.mrc", image("int16"), SIZE)
    path.write_bytes(path.read_bytes()[:n_bytes])
    with pytest.raises(VolumeError, match=r"a\.mrc") as caught:
        open_volume(path)
    assert "again" in caught.value.hint


def test_a_file_cut_while_it_is_open(tmp_path: Path) -> None:
    volume = open_volume(write_mrc(tmp_path / "a.mrc", image("int16"), SIZE))
    with (tmp_path / "a.mrc").open("r+b") as file:
        file.truncate(5000)
    with pytest.raises(VolumeError, match="could not be read"):
        volume.read(Box.of_shape(SHAPE))


def test_without_mrcfile_the_message_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_mrc(tmp_path / "a.mrc", image("int16"), SIZE)
    monkeypatch.setitem(sys.modules, "mrcfile", None)
    with pytest.raises(VolumeError, match="is an MRC file, which needs the package mrcfile") as caught:
        open_volume(path)
    assert caught.value.hint == 'Install it: pip install "napari-pytc[formats]".'
