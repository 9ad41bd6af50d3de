"""The voxel size that each kind of file carries."""

from __future__ import annotations

import numpy as np
import pytest

from napari_pytc.geometry import VoxelSpace
from napari_pytc.volumes.opening import open_spec, open_volume
from napari_pytc.volumes.spec import ReadOptions
from tests.volumes import files
from tests.volumes.files import image

ANISOTROPIC = pytest.approx((40, 4, 8))


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("unit", ["um", "\\u00B5m", "micron"])
def test_imagej(unit, byteorder, tmp_path):
    path = files.write_tiff(
        tmp_path / "a.tif",
        image(),
        imagej=True,
        byteorder=byteorder,
        resolution=(125, 250),
        metadata={"axes": "ZYX", "spacing": 0.04, "unit": unit},
    )
    assert open_volume(path).space.voxel_size_nm == ANISOTROPIC


def test_imagej_without_a_spacing_has_one_of_a_unit_and_says_so(tmp_path):
    metadata = {"axes": "ZYX", "unit": "um"}
    path = files.write_tiff(tmp_path / "a.tif", image(), imagej=True, resolution=(125, 250), metadata=metadata)
    volume = open_volume(path)
    assert volume.space.voxel_size_nm == pytest.approx((1000, 4, 8))
    assert volume.notes == ("ImageJ's file gives no distance of sections; 1 um is taken, as ImageJ does.",)
    assert open_volume(path, ReadOptions(voxel_size_nm=(40, 4, 8))).notes == ()


@pytest.mark.parametrize("unit", [None, "pixel", "inch"])
def test_imagej_without_a_length_is_unknown(unit, tmp_path):
    path = files.write_tiff(tmp_path / "a.tif", image(), imagej=True, metadata={"axes": "ZYX", "unit": unit})
    assert not open_volume(path).space.known or unit == "inch"


@pytest.mark.parametrize(("unit", "factor"), [("nm", 1), ("\u00b5m", 1e-3), ("mm", 1e-6), ("\u212b", None)])
def test_ome(unit, factor, tmp_path):
    sizes = {f"PhysicalSize{a}": v * (factor or 10) for a, v in zip("ZYX", (40, 4, 8), strict=True)}
    units = {f"PhysicalSize{a}Unit": unit for a in "ZYX"}
    path = files.write_tiff(tmp_path / "a.ome.tif", image(), ome=True, metadata={"axes": "ZYX", **sizes, **units})
    assert open_volume(path).space.voxel_size_nm == ANISOTROPIC


def test_ome_without_units_is_in_micrometres(tmp_path):
    sizes = {f"PhysicalSize{a}": v for a, v in zip("ZYX", (0.04, 0.004, 0.008), strict=True)}
    path = files.write_tiff(tmp_path / "a.ome.tif", image(), ome=True, metadata={"axes": "ZYX", **sizes})
    assert open_volume(path).space.voxel_size_nm == ANISOTROPIC


def test_plain_tiff_with_resolution_and_spacing(tmp_path):
    resolution = {"resolution": (1e7 / 8, 1e7 / 4), "resolutionunit": "CENTIMETER"}
    path = files.write_tiff(
        tmp_path / "a.tif", image(), metadata={"axes": "ZYX", "spacing": 0.04, "unit": "um"}, **resolution
    )
    assert open_volume(path).space.voxel_size_nm == ANISOTROPIC
    path = files.write_tiff(tmp_path / "b.tif", image(), metadata={"axes": "ZYX"}, **resolution)
    assert not open_volume(path).space.known
    path = files.write_tiff(tmp_path / "c.tif", image()[0], **resolution)
    assert open_volume(path).space.voxel_size_nm == pytest.approx((8, 4, 8))


def test_a_printers_resolution_says_nothing(tmp_path):
    path = files.write_tiff(tmp_path / "a.tif", image(), resolution=(72, 72), resolutionunit="INCH")
    assert open_volume(path).space == VoxelSpace.unknown()


@pytest.mark.parametrize(
    "attributes",
    [
        {"voxel_size_nm": [40, 4, 8]},
        {"resolution": [40.0, 4.0, 8.0]},
        {"resolution": [0.04, 0.004, 0.008], "unit": "um"},
        {"element_size_um": [0.04, 0.004, 0.008]},
    ],
)
@pytest.mark.parametrize("place", ["dataset", "group", "root"])
def test_hdf5_attributes_of_the_dataset_and_above(attributes, place, tmp_path):
    import h5py

    path = files.write_hdf5(tmp_path / "a.h5", {"volumes/raw": image()})
    with h5py.File(path, "a") as file:
        file[{"dataset": "volumes/raw", "group": "volumes", "root": "/"}[place]].attrs.update(attributes)
    assert open_volume(path).space.voxel_size_nm == ANISOTROPIC


@pytest.mark.parametrize("value", [[0, 4, 4], [-1, 2, 3], "large", [1, 2, 3, np.nan]])
def test_senseless_attributes_are_unknown(value, tmp_path):
    path = files.write_hdf5(tmp_path / "a.h5", {"main": image()}, {"resolution": value})
    assert open_volume(path).space == VoxelSpace.unknown()


def test_the_users_size_replaces_the_files(tmp_path):
    path = files.write_hdf5(tmp_path / "a.h5", {"main": image()}, {"resolution": [40, 4, 8]})
    volume = open_volume(path, ReadOptions(voxel_size_nm=(30, 3, 3)))
    assert volume.space.voxel_size_nm == (30, 3, 3)
    assert open_spec(volume.spec).space.voxel_size_nm == (30, 3, 3)


def test_ome_zarr_scale_and_translation_with_units(tmp_path):
    axes = [
        {"name": "z", "type": "space", "unit": "micrometer"},
        {"name": "y", "type": "space", "unit": "nanometer"},
        {"name": "x", "type": "space", "unit": "angstrom"},
    ]
    where = files.write_ome_zarr(tmp_path / "a.zarr", [image()], "0.4", axes, [[0.04, 4, 80]], [1, 20, 300])
    space = open_volume(where).space
    assert space.voxel_size_nm == ANISOTROPIC
    assert space.origin_nm == pytest.approx((1000, 20, 30))


def test_ome_zarr_without_units_is_unknown(tmp_path):
    axes = [{"name": a, "type": "space"} for a in "zyx"]
    where = files.write_ome_zarr(tmp_path / "a.zarr", [image()], "0.5", axes, [[40, 4, 8]])
    assert not open_volume(where).space.known


@pytest.mark.parametrize(
    "attributes",
    [
        {"resolution": [8, 4, 40]},
        {"pixelResolution": [8, 4, 40]},
        {"pixelResolution": {"dimensions": [0.008, 0.004, 0.04], "unit": "um"}},
        {"pixelResolution": [4, 2, 40], "downsamplingFactors": [2, 2, 1]},
    ],
)
def test_n5_lists_x_first(attributes, tmp_path):
    where = files.write_n5(tmp_path / "a.n5", image(), "em/s0", attributes)
    assert open_volume(where).space.voxel_size_nm == ANISOTROPIC


def test_precomputed_resolution_and_offset(tmp_path):
    space = open_volume(files.write_precomputed(tmp_path / "em", image()[None])).space
    assert space.voxel_size_nm == (40, 4, 4)
    assert space.origin_nm == (1200, 80, 40)


@pytest.mark.parametrize(
    ("options", "note"),
    [
        (
            {"imagej": True, "resolution": (72, 72), "metadata": {"axes": "ZYX", "unit": "inch", "spacing": 1}},
            "ImageJ's scale is in inch, which is no length of tissue; the voxel size is not known.",
        ),
        (
            {"imagej": True, "resolution": (1, 1), "metadata": {"axes": "ZYX", "unit": "cm", "spacing": 1}},
            "ImageJ spacing and resolution would make voxels of 1e+07 x 1e+07 x 1e+07 nm",
        ),
        (
            {"resolution": (300, 300), "resolutionunit": "INCH"},
            "The resolution is in pixels an inch, as for a printer, which is no length of tissue",
        ),
        (
            {"resolution": (1, 1), "resolutionunit": "CENTIMETER", "metadata": {"spacing": 1, "unit": "nm"}},
            "TIFF spacing and resolution would make voxels of 1 x 1e+07 x 1e+07 nm",
        ),
        (
            {"ome": True, "metadata": {"axes": "ZYX", "PhysicalSizeX": 1.0, "PhysicalSizeXUnit": "pixel"}},
            "PhysicalSizeX of the OME metadata is in pixel, which is no length of tissue",
        ),
    ],
)
def test_a_printers_resolution_is_not_known_and_said(options, note, tmp_path):
    volume = open_volume(files.write_tiff(tmp_path / "a.tif", image(), **options))
    assert not volume.space.known
    assert any(told.startswith(note) for told in volume.notes), volume.notes


def test_a_size_that_the_user_gives_silences_the_notes_on_the_files(tmp_path):
    path = files.write_hdf5(tmp_path / "a.h5", {"main": image()}, {"resolution": [0.04, 0.004, 0.004]})
    assert "outside of 0.05 nm to 100 um" in open_volume(path).notes[0]
    volume = open_volume(path, ReadOptions(voxel_size_nm=(40, 4, 4)))
    assert volume.notes == ()
    assert volume.space.voxel_size_nm == (40, 4, 4)


@pytest.mark.parametrize("place", ["dataset", "root", "both"])
def test_hdf5_origins_beside_the_size(place, tmp_path):
    import h5py

    path = files.write_hdf5(tmp_path / "a.h5", {"volumes/labels": image()})
    with h5py.File(path, "a") as file:
        size, offset = {"resolution": [40.0, 4.0, 8.0]}, {"offset": [160.0, 64.0, 128.0]}
        file["/" if place == "root" else "volumes/labels"].attrs.update(offset)
        file["volumes/labels" if place == "dataset" else "/"].attrs.update(size)
    assert open_volume(path).space.origin_nm == (160, 64, 128)
