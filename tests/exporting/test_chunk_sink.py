"""One array of a chunked export on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_pytc.errors import VolumeError
from napari_pytc.exporting.chunk_sink import ChunkSink, open_chunks, tensorstore_errors
from napari_pytc.geometry import Box, Shape, VoxelSpace
from napari_pytc.volumes.kvstore import kvstore_spec

SHAPE: Shape = (5, 13, 17)
CHUNK: Shape = (2, 8, 8)


def sink(folder: Path, channels: tuple[str, ...] = (), dtype: str = "uint16") -> ChunkSink:
    shape = [*([len(channels)] if channels else []), *SHAPE]
    chunks = [*([1] if channels else []), *CHUNK]
    spec: dict[str, Any] = {
        "driver": "zarr",
        "kvstore": kvstore_spec(str(folder), "0"),
        "metadata": {
            "shape": shape,
            "chunks": chunks,
            "dtype": np.dtype(dtype).str,
            "fill_value": 0,
            "compressor": None,
            "dimension_separator": "/",
        },
    }
    return ChunkSink(folder, open_chunks(folder, spec), CHUNK, VoxelSpace((40, 4, 4)), channels)


def values(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(1, 1000, shape).astype(np.uint16)


def test_it_has_the_shape_and_type_of_the_array(tmp_path: Path) -> None:
    found = sink(tmp_path, ("a", "b"))
    assert (found.shape, found.dtype, found.channels) == (SHAPE, np.dtype("uint16"), ("a", "b"))


@pytest.mark.parametrize("channels", [(), ("a", "b")])
def test_what_was_written_is_read_back_whatever_the_chunks(tmp_path: Path, channels: tuple[str, ...]) -> None:
    found, data = sink(tmp_path, channels), values(*([len(channels)] if channels else []), *SHAPE)
    for box in (Box((0, 0, 0), (3, 13, 10)), Box((3, 0, 0), (5, 13, 10)), Box((0, 0, 10), (5, 13, 17))):
        found.write(box, data[(..., *box.slices)])
    assert np.array_equal(found.read(Box.of_shape(SHAPE)), data)
    part = Box((1, 3, 4), (4, 9, 15))
    assert np.array_equal(found.read(part), data[(..., *part.slices)])


def test_it_is_on_the_disk_when_the_write_returns(tmp_path: Path) -> None:
    sink(tmp_path).write(Box((0, 0, 0), CHUNK), values(*CHUNK))
    written = np.fromfile(tmp_path / "0" / "0" / "0" / "0", np.uint16).reshape(CHUNK)
    assert np.array_equal(written, values(*CHUNK))


def test_values_are_stored_as_the_type_of_the_array(tmp_path: Path) -> None:
    found = sink(tmp_path, dtype="uint8")
    found.write(Box((0, 0, 0), (1, 1, 3)), np.array([[[1, 2, 255]]], np.int64)[..., ::-1])
    assert found.read(Box((0, 0, 0), (1, 1, 3))).tolist() == [[[255, 2, 1]]]


@pytest.mark.parametrize("error", [ValueError("NOT_FOUND: gone"), OSError(28, "No space left on device")])
def test_errors_of_tensorstore_name_the_folder(tmp_path: Path, error: Exception) -> None:
    with pytest.raises(VolumeError) as caught, tensorstore_errors(tmp_path / "out.zarr"):
        raise error
    assert caught.value.message.startswith(f"{tmp_path / 'out.zarr'} cannot be written: ")
    assert "Check the disk" in caught.value.hint


def test_other_errors_stay_as_they_are(tmp_path: Path) -> None:
    with pytest.raises(KeyError), tensorstore_errors(tmp_path):
        raise KeyError("x")
