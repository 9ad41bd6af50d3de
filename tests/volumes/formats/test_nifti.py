"""NIfTI files: axes, units, affines, scaled voxels."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_pytc.errors import VolumeError
from napari_pytc.geometry import Box
from napari_pytc.volumes.opening import open_volume
from napari_pytc.volumes.spec import ReadOptions
from tests.support.stores import write_nifti
from tests.support.volume_contract import VolumeContract
from tests.volumes.files import SHAPE, image

# 4 x 8 x 40 um along x, y, z, in mm.
AFFINE = np.diag([0.004, 0.008, 0.04, 1.0])


def written(path: Path, affine: Any = AFFINE, data: np.ndarray | None = None, **options: Any) -> Path:
    data = image() if data is None else data
    return write_nifti(path, data.transpose(2, 1, 0) if data.ndim == 3 else data, affine, **options)


class TestNifti(VolumeContract):
    @pytest.fixture
    def truth(self) -> np.ndarray:
        return image("int16")

    @pytest.fixture(params=[".nii", ".nii.gz"])
    def volume(self, request: Any, tmp_path: Path, truth: np.ndarray) -> Any:
        return open_volume(written(tmp_path / f"a{request.param}", data=truth))


@pytest.mark.parametrize(("unit", "factor"), [("mm", 1), ("micron", 1e3), ("meter", 1e-3)])
def test_units(unit: str, factor: float, tmp_path: Path) -> None:
    volume = open_volume(written(tmp_path / "a.nii", np.diag([*np.diag(AFFINE)[:3] * factor, 1]), unit=unit))
    assert volume.space.voxel_size_nm == pytest.approx((40e3, 8e3, 4e3))
    assert volume.notes == ()


def test_without_a_unit_the_size_is_not_known(tmp_path: Path) -> None:
    volume = open_volume(written(tmp_path / "a.nii", unit=None))
    assert not volume.space.known
    assert volume.notes == (
        "The NIfTI header gives voxels of 0.004 x 0.008 x 0.04 (x, y, z) without a unit; the voxel size is not known.",
    )


def test_one_millimetre_is_no_voxel_of_a_microscope(tmp_path: Path) -> None:
    volume = open_volume(written(tmp_path / "a.nii", np.eye(4)))
    assert not volume.space.known
    assert "outside of 0.05 nm to 100 um" in volume.notes[0]


def test_the_affine_gives_the_origin(tmp_path: Path) -> None:
    affine = AFFINE.copy()
    affine[:3, 3] = [0.04, 0.16, 1.2]
    assert open_volume(written(tmp_path / "a.nii", affine)).space.origin_nm == pytest.approx((1.2e6, 160e3, 40e3))


def test_a_flip_is_told_and_the_origin_counts_along_the_stored_axis(tmp_path: Path) -> None:
    affine = AFFINE.copy()
    affine[0, 0] *= -1
    affine[:3, 3] = [-0.04, 0, 0]
    volume = open_volume(written(tmp_path / "a.nii", affine))
    np.testing.assert_array_equal(volume.read(Box.of_shape(SHAPE)), image())
    assert volume.space.origin_nm == pytest.approx((0, 0, 40e3))
    assert volume.notes == ("The affine of the NIfTI file flips x; the voxels are read as they are stored.",)


def test_a_rotation_is_told(tmp_path: Path) -> None:
    turned = AFFINE.copy()
    turned[:3, :3] = np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1]]) @ AFFINE[:3, :3]
    volume = open_volume(written(tmp_path / "a.nii", turned))
    assert volume.space.voxel_size_nm == pytest.approx((40e3, 8e3, 4e3))
    assert "turns or shears" in volume.notes[0]


def test_scaled_voxels_are_float(tmp_path: Path) -> None:
    volume = open_volume(written(tmp_path / "a.nii", data=image("int16"), slope=0.5, inter=10))
    assert volume.dtype == "float32"
    np.testing.assert_allclose(volume.read(Box.of_shape(SHAPE)), image("int16") * 0.5 + 10)
    assert any("with the factor 0.5 and the shift 10" in note for note in volume.notes)


def test_time_points_and_axes_of_length_one(tmp_path: Path) -> None:
    data = np.stack([image().transpose(2, 1, 0), image(seed=1).transpose(2, 1, 0)], axis=-1)
    path = write_nifti(tmp_path / "a.nii", data, AFFINE)
    with pytest.raises(VolumeError, match="2 time points"):
        open_volume(path)
    np.testing.assert_array_equal(open_volume(path, ReadOptions(time=1)).read(Box.of_shape(SHAPE)), image(seed=1))
    single = write_nifti(tmp_path / "b.nii", data[..., :1, None], AFFINE)
    np.testing.assert_array_equal(open_volume(single).read(Box.of_shape(SHAPE)), image())


def test_an_image_is_a_volume_of_one_section(tmp_path: Path) -> None:
    volume = open_volume(write_nifti(tmp_path / "a.nii", image(shape=(41, 37)), np.diag([0.004, 0.008, 1, 1])))
    assert volume.shape == (1, 37, 41)


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_a_file_that_ends_early_is_an_error(name: str, tmp_path: Path) -> None:
    path = written(tmp_path / name, data=image("int16"))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(VolumeError, match=r"a\.nii.* is truncated" if name == "a.nii" else r"a\.nii"):
        open_volume(path).read(Box.of_shape(SHAPE))


def test_colours_are_refused_in_a_sentence(tmp_path: Path) -> None:
    data = np.zeros((5, 4, 3), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    with pytest.raises(VolumeError, match=r"a\.nii holds .* voxels; read are"):
        open_volume(write_nifti(tmp_path / "a.nii", data, AFFINE))


def test_without_nibabel_the_message_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "a.nii")
    monkeypatch.setitem(sys.modules, "nibabel", None)
    with pytest.raises(VolumeError, match="is a NIfTI file, which needs the package nibabel") as caught:
        open_volume(path)
    assert caught.value.hint == 'Install it: pip install "napari-pytc[formats]".'


def test_other_files_compressed_with_gzip_say_how(tmp_path: Path) -> None:
    packed = written(tmp_path / "a.nii.gz").rename(tmp_path / "a.dat.gz")
    with pytest.raises(VolumeError, match="compressed as a whole") as caught:
        open_volume(packed)
    assert "gunzip" in caught.value.hint


def test_a_pair_of_files(tmp_path: Path) -> None:
    import nibabel

    nibabel.save(nibabel.Nifti1Pair(image().T, AFFINE), tmp_path / "a.img")
    np.testing.assert_array_equal(open_volume(tmp_path / "a.hdr").read(Box.of_shape(SHAPE)), image())
    (tmp_path / "a.img").unlink()
    with pytest.raises(VolumeError, match=r"There is no file .*a\.img, which holds the voxels of .*a\.hdr"):
        open_volume(tmp_path / "a.hdr")


def test_an_odd_header_is_noted_and_not_printed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path / "a.nii")
    content = bytearray(path.read_bytes())
    content[80:84] = np.array([-0.004], "<f4").tobytes()  # the edge along x
    content[123] = 5  # no unit of the standard
    path.write_bytes(content)
    volume = open_volume(path)
    assert volume.notes[0].startswith("Its header is unusual: pixdim[1,2,3] should be positive")
    assert "without a unit" in volume.notes[1]
    assert capfd.readouterr().err == ""


def test_a_flip_is_told_where_the_size_is_not_known_and_where_the_user_gives_it(tmp_path: Path) -> None:
    affine = AFFINE.copy()
    affine[0, 0] *= -1
    path = written(tmp_path / "a.nii", affine, unit=None)
    assert any("flips x" in note for note in open_volume(path).notes)
    volume = open_volume(path, ReadOptions(voxel_size_nm=(40, 8, 4)))
    assert volume.notes == ("The affine of the NIfTI file flips x; the voxels are read as they are stored.",)
