"""Images of several channels, of every kind of file that has them: values, notes, names, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import imagecodecs
import numpy as np
import pytest
import tifffile
from pydantic import ValidationError

from napari_pytc.errors import InvalidInput, VolumeError
from napari_pytc.geometry import Box, VoxelSpace
from napari_pytc.volumes.fingerprint import fingerprint
from napari_pytc.volumes.image import as_image, channel_numbers, channel_titles, open_image, open_image_spec
from napari_pytc.volumes.memory import MemoryVolume
from napari_pytc.volumes.opening import open_spec, open_volume
from napari_pytc.volumes.spec import ChannelChoice, Hdf5Spec, ReadOptions
from napari_pytc.volumes.zarr_output import create_ome_zarr
from tests.support.stores import write_bdv_hdf5, write_bdv_xml
from tests.support.volume_contract import some_boxes
from tests.volumes import files
from tests.volumes.files import SHAPE, image

N = 3


def channels(dtype: str = "uint8", n: int = N) -> np.ndarray:
    return np.stack([image(dtype, seed=k) for k in range(n)])


def hdf5(folder: Path, data: np.ndarray) -> Path:
    return files.write_hdf5(folder / "a.h5", {"raw": data})


def hdf5_last(folder: Path, data: np.ndarray) -> Path:
    with h5py.File(folder / "a.h5", "w") as file:
        dataset = file.create_dataset("raw", data=np.moveaxis(data, 0, -1), chunks=(4, 16, 16, len(data)))
        for dimension, letter in zip(dataset.dims, "zyxc", strict=True):
            dimension.label = letter
    return folder / "a.h5"


def imagej(folder: Path, data: np.ndarray) -> Path:
    path = folder / "a.tif"
    tifffile.imwrite(path, np.moveaxis(data, 0, 1), imagej=True, metadata={"axes": "ZCYX"})
    return path


def ome(folder: Path, data: np.ndarray) -> Path:
    metadata = {"axes": "CZYX", "Channel": {"Name": ["DAPI", "a < b", "GFP"][: len(data)]}}
    tifffile.imwrite(folder / "a.ome.tif", data, metadata=metadata, compression="zlib")
    return folder / "a.ome.tif"


def ome_zarr(folder: Path, data: np.ndarray) -> Path:
    names = ["DAPI", "a < b", "GFP"][: len(data)]
    sink = create_ome_zarr(folder / "a.zarr", data.shape[1:], data.dtype, VoxelSpace((40, 4, 4)), channels=names)
    sink.write(Box.of_shape(data.shape[1:]), data)
    return folder / "a.zarr"


def zarr_2(folder: Path, data: np.ndarray) -> Path:
    axes = [{"name": a, "type": "channel" if a == "c" else "space"} for a in "czyx"]
    return files.write_ome_zarr(folder / "b.zarr", [data], "0.4", axes, [[1.0, 40.0, 4.0, 4.0]])


def colour_sections(folder: Path, data: np.ndarray) -> Path:
    place = folder / "png"
    place.mkdir()
    for z in range(data.shape[1]):
        (place / f"s_{z}.png").write_bytes(imagecodecs.png_encode(np.ascontiguousarray(np.moveaxis(data[:, z], 0, -1))))
    return place


def colour_tiff_sections(folder: Path, data: np.ndarray) -> Path:
    place = folder / "tif"
    place.mkdir()
    for z in range(data.shape[1]):
        tifffile.imwrite(place / f"s_{z}.tif", np.moveaxis(data[:, z], 0, -1), photometric="rgb")
    return place


def colour_tiff(folder: Path, data: np.ndarray) -> Path:
    tifffile.imwrite(folder / "rgb.tif", np.moveaxis(data, 0, -1), photometric="rgb")
    return folder / "rgb.tif"


def npy(folder: Path, data: np.ndarray) -> Path:
    np.save(folder / "a.npy", data)
    return folder / "a.npy"


def xml(folder: Path, data: np.ndarray) -> Path:
    write_bdv_hdf5(folder / "a.h5", {(0, k): one.astype(np.uint16) for k, one in enumerate(data)})
    setups = {k: {"channel": str(k), "tile": "0"} for k in range(len(data))}
    return write_bdv_xml(folder / "a.xml", "a.h5", data.shape[1:], setups)


WRITERS: tuple[Callable[[Path, np.ndarray], Path], ...] = (
    hdf5, hdf5_last, imagej, ome, ome_zarr, zarr_2, colour_sections, colour_tiff_sections, colour_tiff, npy, xml,
)  # fmt: skip


@pytest.fixture(params=WRITERS, ids=lambda writer: writer.__name__)
def written(request: Any, tmp_path: Path) -> Path:
    return request.param(tmp_path, channels())


@pytest.mark.parametrize("asked", [(0, 1, 2), (0, 2), (2, 0, 1), "all"])
def test_channels_are_read_in_the_order_that_was_asked_for(written: Path, asked: ChannelChoice) -> None:
    opened = open_image(written, ReadOptions(channel=asked))
    order = list(range(N)) if asked == "all" else list(asked)  # type: ignore[arg-type]
    truth = channels()[order]
    assert (opened.n_channels, opened.shape, opened.spec.channel) == (len(order), SHAPE, tuple(order))
    again = open_image_spec(opened.spec)
    for box in some_boxes(SHAPE, 6):
        block = opened.read(box)
        assert block.shape == (len(order), *box.shape)
        assert block.dtype == opened.dtype
        np.testing.assert_array_equal(block, truth[(slice(None), *box.slices)])
        np.testing.assert_array_equal(again.read(box), block)
        for channel, expected in zip(opened.channels, truth, strict=True):
            np.testing.assert_array_equal(channel.read(box), expected[box.slices])
            assert channel.spec.channel == order[opened.channels.index(channel)]
    with pytest.raises(InvalidInput, match="leaves the volume"):
        opened.read(Box((0, 0, 0), tuple(n + 1 for n in SHAPE)))
    for note in opened.notes:
        assert note[0].isupper() or note[0].isdigit(), note
        assert note.endswith("."), note
    assert any("left out" in note for note in opened.notes) == (len(order) < N)


def test_the_file_stays_open_as_long_as_a_channel_of_it_is_used(written: Path) -> None:
    second = open_image(written, ReadOptions(channel=(0, 1))).channels[1]
    np.testing.assert_array_equal(second.read(Box.of_shape(SHAPE)), channels()[1])


def test_a_channel_alone_is_the_volume_of_before(written: Path) -> None:
    for asked in (1, (1,)):
        opened = open_image(written, ReadOptions(channel=asked))
        assert opened.spec == open_volume(written, ReadOptions(channel=1)).spec
        assert (opened.n_channels, opened.spec.channel) == (1, 1)
        np.testing.assert_array_equal(opened.read(Box.of_shape(SHAPE)), channels()[1:2])


def test_a_channel_that_does_not_exist_is_named(written: Path) -> None:
    for asked in ((0, 3), (7, 1)):
        with pytest.raises(VolumeError, match=rf"has 3 channels, so there is no channel {max(asked)}") as caught:
            open_image(written, ReadOptions(channel=asked))
        assert caught.value.hint.startswith(("Give channels from 0 to 2", "Give a channel from 0 to 2"))


def test_one_volume_of_several_channels_is_refused_with_what_came(written: Path) -> None:
    for asked, text in (((0, 2), "channels 0, 2"), ("all", "all channels")):
        with pytest.raises(VolumeError, match=f"One channel of .* is used here, got {text}"):
            open_volume(written, ReadOptions(channel=asked))


def test_a_channel_named_twice_or_none_is_refused() -> None:
    with pytest.raises(ValidationError, match="channels are named once each, got 1 twice"):
        ReadOptions(channel=(1, 0, 1))
    with pytest.raises(ValidationError, match="no channel is named"):
        ReadOptions(channel=())
    with pytest.raises(ValidationError, match="greater than or equal to 0"):
        ReadOptions(channel=(0, -1))


@pytest.mark.parametrize("channel", [None, 0, 3, (0, 2), "all"])
def test_options_survive_json_and_old_ones_open_unchanged(channel: ChannelChoice, tmp_path: Path) -> None:
    spec = Hdf5Spec(path=tmp_path / "a.h5", dataset="raw", channel=channel)
    assert Hdf5Spec.model_validate_json(spec.model_dump_json()) == spec
    assert spec.model_dump(mode="json")["channel"] == (list(channel) if isinstance(channel, tuple) else channel)


def test_a_file_of_one_channel(tmp_path: Path) -> None:
    path = files.write_hdf5(tmp_path / "a.h5", {"raw": image()})
    for asked in (None, "all", 0):
        opened = open_image(path, ReadOptions(channel=asked))
        assert (opened.n_channels, opened.channel_names, channel_titles(opened)) == (1, ("",), ("channel 0",))
        np.testing.assert_array_equal(opened.read(Box.of_shape(SHAPE))[0], image())
    with pytest.raises(VolumeError, match="has 1 channel, so there is no channel 1") as caught:
        open_image(path, ReadOptions(channel=(0, 1)))
    assert caught.value.hint.startswith("Leave --channel out.")


def test_several_channels_and_none_asked_for_is_an_error_that_tells_how(tmp_path: Path) -> None:
    with pytest.raises(VolumeError, match="has 3 channels, and one must be picked") as caught:
        open_image(hdf5(tmp_path, channels()))
    assert "0,1, or all" in caught.value.hint


def test_colours_are_grey_unless_channels_are_asked_for(tmp_path: Path) -> None:
    path = colour_tiff(tmp_path, channels())
    grey = open_image(path)
    weights = np.tensordot([0.299, 0.587, 0.114], channels().astype(float), 1)
    assert np.abs(grey.read(Box.of_shape(SHAPE))[0] - weights).max() <= 0.51
    assert any("Colours are mixed to grey" in note for note in grey.notes)
    assert not any("left out" in note for note in grey.notes)
    assert open_image(path, ReadOptions(channel="all")).channel_names == ("red", "green", "blue")


@pytest.mark.parametrize(("n", "kept"), [(4, (0, 1, 2)), (2, 0)])
def test_all_colours_are_those_without_the_transparency(n: int, kept: tuple[int, ...] | int, tmp_path: Path) -> None:
    data = np.moveaxis(channels(n=n), 0, -1)
    tifffile.imwrite(
        tmp_path / "a.tif", data, photometric="rgb" if n == 4 else "minisblack", extrasamples=["unassalpha"]
    )
    opened = open_image(tmp_path / "a.tif", ReadOptions(channel="all"))
    assert opened.spec.channel == kept
    assert any(f"left out: {n - 1} (alpha)" in note for note in opened.notes)
    assert open_image(tmp_path / "a.tif", ReadOptions(channel=(0, n - 1))).n_channels == 2


@pytest.mark.parametrize("write", [ome, ome_zarr])
def test_names_of_channels_are_read(write: Callable[[Path, np.ndarray], Path], tmp_path: Path) -> None:
    path = write(tmp_path, channels())
    opened = open_image(path, ReadOptions(channel=(2, 1)))
    assert opened.channel_names == ("GFP", "a < b")
    assert "Channels read: 2 (GFP), 1 (a < b); left out: 0 (DAPI)." in opened.notes
    assert channel_titles(open_image(path, ReadOptions(channel=0))) == ("DAPI",)


def test_channels_without_names_have_their_numbers(tmp_path: Path) -> None:
    opened = open_image(hdf5(tmp_path, channels()), ReadOptions(channel=(2, 0)))
    assert (opened.channel_names, channel_titles(opened)) == (("", ""), ("channel 2", "channel 0"))


def test_setups_of_two_types_are_read_as_one_that_holds_both(tmp_path: Path) -> None:
    data = image("uint16") * 250
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["t00000/s00/0/cells"], file["t00000/s01/0/cells"] = image(), data.view("int16")
    setups = {k: {"channel": str(k), "tile": "0"} for k in range(2)}
    path = write_bdv_xml(tmp_path / "a.xml", "a.h5", SHAPE, setups)
    opened = open_image(path, ReadOptions(channel="all"))
    np.testing.assert_array_equal(opened.read(Box.of_shape(SHAPE)), np.stack([image(), data]))
    assert "Channels are of the types uint16, uint8; together they are read as uint16." in opened.notes
    np.testing.assert_array_equal(open_volume(path, ReadOptions(channel=1)).read(Box.of_shape(SHAPE)), data)


def test_memory_as_an_image() -> None:
    volume = MemoryVolume(image(), VoxelSpace((40, 4, 4)))
    opened = as_image(volume)
    assert (opened.channels, opened.channel_names, opened.space) == ((volume,), ("",), volume.space)
    np.testing.assert_array_equal(opened.read(Box.of_shape(SHAPE)), image()[None])
    assert open_image_spec(opened.spec).n_channels == 1


def test_a_fingerprint_is_of_all_channels(tmp_path: Path) -> None:
    path = hdf5(tmp_path, channels())
    both = fingerprint(open_image(path, ReadOptions(channel=(0, 1))))
    assert both.n_bytes == 2 * image().size
    with h5py.File(path, "r+") as file:
        file["raw"][1] = 0
    changed = open_image(path, ReadOptions(channel=(0, 1)))
    with pytest.raises(VolumeError, match="other values"):
        both.check(changed)
    first = open_image(path, ReadOptions(channel=0))
    assert fingerprint(first) == fingerprint(open_spec(first.spec))


@pytest.mark.parametrize(("channel", "name", "left_out"), [(None, "", None), (2, "blue", "0 (red), 1 (green)")])
def test_colours_of_sections_are_named_and_what_is_left_out_is_told(
    tmp_path: Path, channel: int | None, name: str, left_out: str | None
) -> None:
    from skimage.io import imsave

    for number in range(3):
        imsave(tmp_path / f"s_{number}.png", np.full((8, 8, 3), (10, 20, 30), np.uint8), check_contrast=False)
    image = open_image(tmp_path, ReadOptions(channel=channel))
    assert image.channel_names == (name,)
    assert channel_numbers(image) == (channel,)
    told = [note for note in image.notes if "left out" in note]
    assert [left_out in note for note in told] == ([True] if left_out else [])
