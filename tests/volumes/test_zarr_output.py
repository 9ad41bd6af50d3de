"""OME-Zarr that this program writes, and that others read."""

from __future__ import annotations

import json
import os
import shutil
import threading
import time

import numpy as np
import pytest
import zarr

from napari_pytc.errors import InvalidInput, VolumeError
from napari_pytc.geometry import Box, VoxelSpace
from napari_pytc.volumes.opening import open_spec, open_volume
from napari_pytc.volumes.zarr_output import create_ome_zarr, open_ome_zarr
from tests.volumes.files import SHAPE, image

SPACE = VoxelSpace((40, 4, 8), (400, 20, 30))


def test_zarr_reads_the_same_array_scale_and_names(tmp_path):
    data = image(shape=(2, *SHAPE))
    array = create_ome_zarr(tmp_path / "p.zarr", SHAPE, "uint8", SPACE, channels=["membrane", "inside"])
    array.write(Box.of_shape(SHAPE), data)
    group = zarr.open_group(tmp_path / "p.zarr", mode="r")
    np.testing.assert_array_equal(group["0"][:], data)
    ome = group.attrs["ome"]
    assert ome["version"] == "0.5"
    image_meta = ome["multiscales"][0]
    assert [a["name"] for a in image_meta["axes"]] == ["c", "z", "y", "x"]
    assert [a.get("unit") for a in image_meta["axes"]] == [None, *["nanometer"] * 3]
    scale, translation = image_meta["datasets"][0]["coordinateTransformations"]
    assert scale == {"type": "scale", "scale": [1, 40, 4, 8]}
    assert translation == {"type": "translation", "translation": [0, 400, 20, 30]}
    assert [c["label"] for c in ome["omero"]["channels"]] == ["membrane", "inside"]
    assert group["0"].metadata.dimension_names == ("c", "z", "y", "x")


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int32", "float32", "uint64"])
def test_it_opens_again_as_it_was(dtype, tmp_path):
    written = create_ome_zarr(
        tmp_path / "a.zarr", SHAPE, dtype, SPACE, chunk_shape=(4, 16, 16), attributes={"model": "m1", "n": [1]}
    )
    data = image(dtype)
    written.write(Box.of_shape(SHAPE), data)
    again = open_ome_zarr(tmp_path / "a.zarr")
    assert (again.shape, again.dtype, again.space, again.channels) == (SHAPE, np.dtype(dtype), SPACE, ())
    assert again.attributes == {"model": "m1", "n": [1]}
    assert again.chunk_shape == (4, 16, 16)
    np.testing.assert_array_equal(again.read(Box.of_shape(SHAPE)), data)
    volume = open_volume(tmp_path / "a.zarr")
    assert volume.space == SPACE
    np.testing.assert_array_equal(volume.read(Box.of_shape(SHAPE)), data)


def test_an_unknown_voxel_size_stays_unknown(tmp_path):
    create_ome_zarr(tmp_path / "a.zarr", SHAPE, "uint8", VoxelSpace.unknown())
    assert not open_volume(tmp_path / "a.zarr").space.known
    assert not open_ome_zarr(tmp_path / "a.zarr").space.known


def test_missing_chunks_are_zero_and_take_no_room(tmp_path):
    array = create_ome_zarr(tmp_path / "a.zarr", (10_000, 10_000, 10_000), "uint8", SPACE, channels=["a", "b"])
    assert not array.read(Box.at((9_000, 9_000, 9_000), (3, 4, 5))).any()
    assert sum(len(files) for _, _, files in os.walk(tmp_path)) == 2


def test_what_was_written_is_on_disk_when_write_returns(tmp_path):
    array = create_ome_zarr(tmp_path / "a.zarr", SHAPE, "uint8", SPACE)
    array.write(Box.of_shape(SHAPE), image())
    np.testing.assert_array_equal(zarr.open_group(tmp_path / "a.zarr", mode="r")["0"][:], image())


def test_a_channel_of_it_is_a_volume(tmp_path):
    array = create_ome_zarr(tmp_path / "a.zarr", SHAPE, "uint8", SPACE, channels=["a", "b"])
    array.write(Box.of_shape(SHAPE), np.stack([image(), image(seed=1)]))
    spec = array.spec.model_copy(update={"channel": 1})
    np.testing.assert_array_equal(open_spec(spec).read(Box.of_shape(SHAPE)), image(seed=1))


def test_an_existing_folder_is_kept(tmp_path):
    create_ome_zarr(tmp_path / "a.zarr", SHAPE, "uint8", SPACE).write(Box.of_shape(SHAPE), image())
    with pytest.raises(VolumeError, match="exists already"):
        create_ome_zarr(tmp_path / "a.zarr", SHAPE, "uint8", SPACE)
    np.testing.assert_array_equal(open_ome_zarr(tmp_path / "a.zarr").read(Box.of_shape(SHAPE)), image())


def test_a_failed_making_leaves_nothing(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("napari_pytc.files.os.replace", full)
    with pytest.raises(VolumeError, match="No space left"):
        create_ome_zarr(tmp_path / "a.zarr", SHAPE, "uint8", SPACE)
    assert not list(tmp_path.iterdir())


def test_a_failed_write_says_where(tmp_path):
    array = create_ome_zarr(tmp_path / "a.zarr", SHAPE, "uint8", SPACE)
    # A file where the folder of chunks must be made: fails for every user, root included.
    (tmp_path / "a.zarr" / "0" / "c").write_text("")
    with pytest.raises(VolumeError, match=r"could not be written to .*a\.zarr"):
        array.write(Box.of_shape(SHAPE), image())


class _InFlight:
    """An array whose folder goes away between the check and the write."""

    def __init__(self, array, go_away):
        self._array, self._go_away = array, go_away

    def __getitem__(self, index):
        self._go_away()
        return self._array[index]


def test_a_write_in_flight_leaves_nothing_where_a_project_was(tmp_path):
    project = tmp_path / "fly.pytc"
    array = create_ome_zarr(project / "predictions" / "p.zarr", SHAPE, "uint8", SPACE)
    array._array = _InFlight(array._array, lambda: project.rename(tmp_path / "elsewhere"))
    with pytest.raises(VolumeError, match="deleted or moved"):
        array.write(Box.of_shape(SHAPE), image())
    assert [path.name for path in tmp_path.iterdir()] == ["elsewhere"]
    assert open_ome_zarr(tmp_path / "elsewhere" / "predictions" / "p.zarr").shape == SHAPE


def test_a_folder_of_the_user_stays_though_it_is_empty(tmp_path):
    (tmp_path / "mine").mkdir()
    array = create_ome_zarr(tmp_path / "mine" / "p.zarr", SHAPE, "uint8", SPACE)
    array._array = _InFlight(array._array, lambda: shutil.rmtree(array.path))
    for _ in range(2):
        with pytest.raises(VolumeError, match="deleted or moved"):
            array.write(Box.of_shape(SHAPE), image())
    assert list((tmp_path / "mine").iterdir()) == []


def test_reading_only_refuses_to_write(tmp_path):
    create_ome_zarr(tmp_path / "a.zarr", SHAPE, "uint8", SPACE)
    with pytest.raises(VolumeError, match="could not be written"):
        open_ome_zarr(tmp_path / "a.zarr").write(Box.of_shape(SHAPE), image())


@pytest.mark.parametrize("damage", ["{", json.dumps({"node_type": "group"}), None])
def test_a_damaged_folder_is_reported(damage, tmp_path):
    create_ome_zarr(tmp_path / "a.zarr", SHAPE, "uint8", SPACE)
    if damage is None:
        (tmp_path / "a.zarr" / "0" / "zarr.json").unlink()
    else:
        (tmp_path / "a.zarr" / "zarr.json").write_text(damage)
    with pytest.raises(VolumeError, match="damaged"):
        open_ome_zarr(tmp_path / "a.zarr")
    with pytest.raises(VolumeError, match="no folder"):
        open_ome_zarr(tmp_path / "b.zarr")


def test_senseless_shapes_are_refused(tmp_path):
    for shape in ((3, 4), (0, 4, 4)):
        with pytest.raises(InvalidInput, match="three lengths"):
            create_ome_zarr(tmp_path / "a.zarr", shape, "uint8", SPACE)


@pytest.mark.slow
def test_a_folder_moved_while_many_chunks_are_written_does_not_come_back(tmp_path):
    wait_s = iter(np.random.default_rng(0).uniform(0, 0.01, 30))
    for attempt, wait in enumerate(wait_s):
        project = tmp_path / f"{attempt}.pytc"
        folder = project / "volumes" / "v1" / "predictions"  # as deep as in a project
        folder.mkdir(parents=True)
        array = create_ome_zarr(
            folder / "p.zarr", (4, 64, 64), "uint8", SPACE, channels=["a", "b"], chunk_shape=(1, 8, 8)
        )
        errors = []

        def write(array=array, errors=errors):
            try:
                while True:
                    array.write(Box.of_shape(array.shape), np.ones((2, *array.shape), np.uint8))
            except VolumeError as error:
                errors.append(error.message)

        writer = threading.Thread(target=write)
        writer.start()
        time.sleep(wait)
        project.rename(tmp_path / f"{attempt} elsewhere")
        writer.join()
        assert not project.exists()
        assert len(errors) == 1
        assert "is gone" in errors[0]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"attributes": null}',
        '{"attributes": {"ome": {"multiscales": ["a"]}}}',
        '{"attributes": {"napari_pytc": {"channels": 3}}}',
    ],
)
def test_a_description_that_cannot_be_understood_is_reported(tmp_path, text):
    create_ome_zarr(tmp_path / "a.zarr", SHAPE, "uint8", SPACE)
    (tmp_path / "a.zarr" / "zarr.json").write_text(text)
    with pytest.raises(VolumeError, match="is not an OME-Zarr that this program wrote, or it is damaged") as caught:
        open_ome_zarr(tmp_path / "a.zarr")
    assert caught.value.hint == "Delete it and compute it again."


@pytest.mark.parametrize("shape", [(0, 3, 4), (3, 4), (2, 3, 4, 5), (-1, 3, 4)])
def test_lengths_that_no_volume_has_are_refused(tmp_path, shape):
    with pytest.raises(InvalidInput, match="three lengths of at least 1"):
        create_ome_zarr(tmp_path / "a.zarr", shape, "uint8", SPACE)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("dtype", ["bool", "complex64", "float16"])
def test_types_that_no_volume_has_are_refused(tmp_path, dtype):
    with pytest.raises(VolumeError, match="read are uint8"):
        create_ome_zarr(tmp_path / "a.zarr", SHAPE, dtype, SPACE)


def test_chunks_are_cut_down_to_a_small_volume(tmp_path):
    array = create_ome_zarr(tmp_path / "a.zarr", (2, 300, 5), "uint8", SPACE)
    assert array.chunk_shape == (2, 128, 5)


def test_one_opened_for_reading_is_not_written(tmp_path):
    create_ome_zarr(tmp_path / "a.zarr", SHAPE, "uint8", SPACE)
    with pytest.raises(VolumeError, match="could not be written"):
        open_ome_zarr(tmp_path / "a.zarr").write(Box.of_shape(SHAPE), image())
