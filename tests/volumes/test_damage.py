"""Truncated and changed files give one sentence, at opening or at the first read."""

from __future__ import annotations

import numpy as np
import pytest

from napari_pytc.errors import VolumeError
from napari_pytc.geometry import Box
from napari_pytc.volumes.fingerprint import Fingerprint, fingerprint
from napari_pytc.volumes.memory import MemoryVolume
from napari_pytc.volumes.opening import open_volume
from tests.volumes import files
from tests.volumes.files import SHAPE, image

WRITTEN = {
    "plain": {},
    "pages": {"metadata": None},
    "imagej": {"imagej": True, "metadata": {"axes": "ZYX"}},
    "ome": {"ome": True, "metadata": {"axes": "ZYX"}},
    "strips": {"compression": "zlib", "rowsperstrip": 8},
    "strips of pages": {"compression": "zlib", "rowsperstrip": 8, "metadata": None},
    "bigtiff": {"bigtiff": True, "tile": (16, 16), "compression": "zlib"},
}


@pytest.mark.parametrize("part", [0.3, 0.6, 0.97])
@pytest.mark.parametrize("kind", WRITTEN)
def test_a_truncated_tiff_is_an_error_not_zeros(kind, part, tmp_path):
    data = image()
    path = files.write_tiff(tmp_path / "a.tif", data, **WRITTEN[kind])
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * part)])
    try:
        block = open_volume(path).read(Box.of_shape(SHAPE))
    except VolumeError as error:
        message = str(error)
    else:
        # What lies behind the voxels may be lost without harm.
        assert part > 0.9
        np.testing.assert_array_equal(block, data)
        return
    assert "a.tif" in message
    assert "again" in message


@pytest.mark.parametrize("kind", ["plain", "strips", "bigtiff"])
def test_a_tiff_cut_while_it_is_open(kind, tmp_path):
    path = files.write_tiff(tmp_path / "a.tif", image(), **WRITTEN[kind])
    volume = open_volume(path)
    with open(path, "r+b") as file:
        file.truncate(600)
    with pytest.raises(VolumeError, match="could not be read"):
        volume.read(Box.of_shape(SHAPE))


def test_damaged_strips(tmp_path):
    path = files.write_tiff(tmp_path / "a.tif", image(), compression="zlib", rowsperstrip=37)
    volume = open_volume(path)
    offset = volume._stack.page(4).dataoffsets[0]
    with open(path, "r+b") as file:
        file.seek(offset)
        file.write(bytes(40))
    volume.read(Box((0, 0, 0), (4, 37, 41)))
    with pytest.raises(VolumeError, match="could not be read"):
        volume.read(Box((4, 0, 0), (5, 37, 41)))


def test_a_cut_npy(tmp_path):
    np.save(tmp_path / "a.npy", image())
    (tmp_path / "a.npy").write_bytes((tmp_path / "a.npy").read_bytes()[:-10])
    with pytest.raises(VolumeError, match="not a whole"):
        open_volume(tmp_path / "a.npy")


def test_a_pickled_npy_is_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.array([{}], object), allow_pickle=True)
    with pytest.raises(VolumeError, match="not a whole"):
        open_volume(tmp_path / "a.npy")


class TestFingerprint:
    def test_the_same_image_passes_also_from_another_file(self, tmp_path):
        taken = fingerprint(MemoryVolume(image()))
        again = Fingerprint.model_validate_json(taken.model_dump_json())
        again.check(open_volume(files.write_hdf5(tmp_path / "a.h5", {"main": image()})))
        assert taken.n_bytes == image().nbytes

    @pytest.mark.parametrize("changed", [image()[:-1], image("uint16"), image() + 1, image()[::-1].copy()])
    def test_another_image_is_reported(self, changed):
        with pytest.raises(VolumeError, match="changed"):
            fingerprint(MemoryVolume(image())).check(MemoryVolume(changed))

    def test_few_voxels_are_read(self):
        read = []

        class Counting(MemoryVolume):
            def read(self, box):
                read.append(box.size)
                return super().read(box)

        fingerprint(Counting(np.zeros((64, 256, 256), "uint8")))
        assert sum(read) <= 8 * 64 * 64
